"""Install an operator as an OLM package: catalog, operator group, subscription, and its ClusterServiceVersion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OLM = "operators.coreos.com/v1alpha1"
OLM_GROUPS = "operators.coreos.com/v1"

SHARED_NAMESPACES = frozenset({"openshift-operators"})
"""Namespaces that have an OperatorGroup of the platform's; a second one would stop every operator in them."""

# Each state is of the object that the wait is on; syntax of `pulumi.com/waitFor`.
CATALOG_READY = "jsonpath={.status.connectionState.lastObservedState}=READY"
AT_LATEST = "jsonpath={.status.state}=AtLatestKnown"
CSV_SUCCEEDED = "jsonpath={.status.phase}=Succeeded"


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
    """The state to wait for. A pinned version with manual approval stays behind the newest, so its name is awaited."""
    if package.approval == "Manual" and package.starting_csv:
        return f"jsonpath={{.status.installedCSV}}={package.starting_csv}"
    return AT_LATEST
