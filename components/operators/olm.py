"""Install an operator as an OLM package: catalog, operator group, subscription, and its ClusterServiceVersion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.layer import FORCE, Site, wait_for
from components.objects import CustomResource
from components.operators.installation import Installation

OLM = "operators.coreos.com/v1alpha1"
OLM_GROUPS = "operators.coreos.com/v1"

SHARED_NAMESPACES = frozenset({"openshift-operators"})
"""Namespaces that have an OperatorGroup of the platform's; a second one would stop every operator in them."""

# Each state is of the object that the wait is on; syntax of `pulumi.com/waitFor`.
CATALOG_READY = "jsonpath={.status.connectionState.lastObservedState}=READY"
AT_LATEST = "jsonpath={.status.state}=AtLatestKnown"
CSV_SUCCEEDED = "jsonpath={.status.phase}=Succeeded"

TAKEN_OVER = FORCE
"""Annotation of what may be there already: with `install: olm` it is the stack's, whoever wrote its fields before."""


@dataclass(frozen=True)
class Catalog:
    """Where a package comes from."""

    name: str
    namespace: str
    image: str | None = None
    """Set: the CatalogSource is ours and serves this image. None: it is on the cluster already."""


@dataclass(frozen=True)
class Package:
    """An OLM package as one stack wants it."""

    name: str
    channel: str
    catalog: Catalog
    namespace: str
    approval: str = "Automatic"
    starting_csv: str | None = None
    is_exact: bool = False
    """The catalog has nothing newer than `starting_csv`, as its image is of that version."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    """On the operator's pods: a changed one restarts them."""


def operator_group_spec() -> dict[str, Any]:
    """Body of an OperatorGroup for all namespaces, the only mode that Kuadrant has. No targetNamespaces, on purpose."""
    return {}


def catalog_source_spec(name: str, image: str, pull_secret: str | None = None) -> dict[str, Any]:
    """Body of a CatalogSource that serves a catalog image, under the restricted pod security standard."""
    return {
        "sourceType": "grpc",
        "image": image,
        "displayName": name,
        "publisher": "maas",
        "grpcPodConfig": {"securityContextConfig": "restricted"},
        "updateStrategy": {"registryPoll": {"interval": "45m"}},
        **({"secrets": [pull_secret]} if pull_secret else {}),
    }


def subscription_spec(package: Package) -> dict[str, Any]:
    """Body of a Subscription. OLM puts `config` on the operator's Deployment, and takes it off when the key goes."""
    config: dict[str, Any] = {}
    if package.environment:
        config["env"] = [{"name": name, "value": value} for name, value in sorted(package.environment.items())]
    if package.annotations:
        config["annotations"] = dict(package.annotations)
    return {
        "name": package.name,
        "channel": package.channel,
        "source": package.catalog.name,
        "sourceNamespace": package.catalog.namespace,
        "installPlanApproval": package.approval,
        **({"startingCSV": package.starting_csv} if package.starting_csv else {}),
        **({"config": config} if config else {}),
    }


def subscription_ready(package: Package) -> str:
    """The state to wait for.

    A version that is known is awaited by name: after a change of version, "at the latest" is still said of the old one
    for a while, and with manual approval of an older version never.
    """
    if package.starting_csv and (package.is_exact or package.approval == "Manual"):
        return f"jsonpath={{.status.installedCSV}}={package.starting_csv}"
    return AT_LATEST


def installed_csv(status: Mapping[str, Any] | None, package: str) -> str:
    """Name of the ClusterServiceVersion that a Subscription has installed; the package's where no cluster answers."""
    return str((status or {}).get("installedCSV") or package)


class Subscription(pulumi.CustomResource):
    """A Subscription with its status, which pulumi-kubernetes' own CustomResource does not give out."""

    def __init__(self, name: str, metadata: Any, spec: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:  # noqa: ANN401 - the SDK takes any input here
        properties = {
            "apiVersion": OLM,
            "kind": "Subscription",
            "metadata": metadata,
            "spec": dict(spec),
            "status": None,
        }
        super().__init__(f"kubernetes:{OLM}:Subscription", name, properties, opts)

    @property
    @pulumi.getter
    def status(self) -> pulumi.Output[Mapping[str, Any] | None]:
        """What OLM says of it."""
        return pulumi.get(self, "status")  # pyright: ignore[reportUnknownMemberType] - no types in the SDK


class OlmPackage(Installation):
    """An operator by OLM. It is there when its ClusterServiceVersion has succeeded; a failed one says why.

    OLM leaves a ClusterServiceVersion, and so the operator, where it is when the Subscription goes. So it is an object
    of the stack too, taken over from OLM by name, and deleted with the stack. CRDs stay: OLM never deletes them.
    """

    def __init__(self, name: str, site: Site, package: Package, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, site, opts)
        catalogs: list[pulumi.Resource] = []
        if package.catalog.image:
            spec = catalog_source_spec(package.catalog.name, package.catalog.image, site.settings.mirror.pull_secret)
            catalog = CustomResource(
                package.catalog.name,
                api_version=OLM,
                kind="CatalogSource",
                metadata=self.metadata(
                    package.catalog.name, package.catalog.namespace, {**TAKEN_OVER, **wait_for(CATALOG_READY)}
                ),
                spec=spec,
                opts=self.options(),
            )
            catalogs.append(catalog)
        subscription = Subscription(
            package.name,
            self.metadata(package.name, package.namespace, {**TAKEN_OVER, **wait_for(subscription_ready(package))}),
            subscription_spec(package),
            self.options(depends_on=catalogs),
        )
        version = CustomResource(
            f"{package.name}-csv",
            api_version=OLM,
            kind="ClusterServiceVersion",
            metadata=self.metadata(
                subscription.status.apply(lambda status: installed_csv(status, package.name)),
                package.namespace,
                wait_for(CSV_SUCCEEDED),
            ),
            opts=self.options(depends_on=[subscription]),
        )
        self.register_outputs({"version": version.id})
