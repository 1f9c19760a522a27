"""The cluster: what kind it is, where things live on it, and how each operator got there."""

import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field

from config.isolation import Isolation, NetworkPolicies
from config.model import Model
from config.problems import RefusalError
from config.values import DnsLabel, Duration


class Profile(StrEnum):
    """The kind of cluster; it picks defaults, each of which can be overridden."""

    KUBERNETES = "kubernetes"
    OPENSHIFT = "openshift"


class Install(StrEnum):
    """How an operator gets onto the cluster."""

    HELM = "helm"
    OLM = "olm"
    PREINSTALLED = "preinstalled"


AVAILABLE_INSTALLS: Mapping[str, frozenset[Install]] = {
    "certManager": frozenset(Install),
    "serviceMesh": frozenset({Install.HELM, Install.PREINSTALLED}),
    "kserve": frozenset({Install.HELM, Install.PREINSTALLED}),
    "kuadrant": frozenset(Install),
    "monitoring": frozenset({Install.HELM, Install.PREINSTALLED}),
    "grafana": frozenset(Install),
}
"""What can be installed how, by key of `maas:platform`. config/checks.py refuses the rest and says why."""


class Scc(StrEnum):
    """What OpenShift lets the models' pods do."""

    RESTRICTED = "restricted"
    """What every account may: the cluster's own `restricted-v2`. All that the models of this project need."""
    ORIGINAL = "original"
    """What the original demonstration asked for, for the models' account alone: any user id, NET_ADMIN and NET_RAW."""


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """YAML writes what is no number as `.nan` and `.inf`; JSON, in which everything goes to the engine, cannot."""
    for place, value in _leaves(values):
        if isinstance(value, float) and not math.isfinite(value):
            raise RefusalError(f"{place} is {value}, which JSON has no word for", allowed="numbers, texts, lists, maps")
    return values


def _leaves(value: object, place: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        inside = cast("dict[str, object]", value).items()
    elif isinstance(value, list):
        inside = enumerate(cast("list[object]", value))
    else:
        yield place, value
        return
    for key, each in inside:
        yield from _leaves(each, f"{place}.{key}" if place else str(key))


ChartValues = Annotated[dict[str, Any], AfterValidator(_finite)]
"""Values for a chart, whatever it takes."""


class Operator(Model):
    """An operator that the service stands on. What is not set is as components/operators/catalogue.py declares it."""

    install: Install = Install.PREINSTALLED
    """How it gets onto the cluster. Not every way works for every operator: what cannot work is refused, and why."""
    version: str | None = None
    """Of the chart; with OLM, of the first ClusterServiceVersion, and the catalog image's tag. Default: pinned."""
    chart: str | None = None
    """Helm: where the chart is: a folder, a .tgz, or an `oci://` address. An operator with several charts takes the
    folder or address that they are in."""
    values: ChartValues = Field(default_factory=dict)
    """Helm: more values for the chart, merged over ours."""
    channel: str | None = None
    """OLM: which line of releases to follow."""
    catalog: str | None = None
    """OLM: the name of a CatalogSource that is on the cluster, or an image to make one of.
    `quay.io/kuadrant/kuadrant-operator-catalog:latest` with channel `preview` is Kuadrant's nightly build."""
    package: DnsLabel | None = None
    """OLM: the package's name, where there is more than one of the same operator: for `kuadrant` on OpenShift
    `kuadrant-operator` (upstream) or `rhcl-operator` (Red Hat Connectivity Link; 1.4.0 is refused, as it lets requests
    through without a key)."""
    approval: Literal["Automatic", "Manual"] = "Automatic"
    """OLM: with `Manual`, somebody has to approve each InstallPlan, the first one too."""


class GatewayApi(Model):
    """The Gateway API's CRDs."""

    install: Literal["manifest", "preinstalled"] = "preinstalled"
    """`manifest`: the release's own file, standard channel. OpenShift 4.19 and newer have them built in."""
    version: str | None = None
    """Of the release."""
    source: str | None = None
    """Address or path of the file, where it is not the release's own."""


class ServiceMesh(Operator):
    """Istio, or on OpenShift the platform's own gateway controller, which runs the gateway."""

    gateway_class: Literal["managed", "existing"] | None = None
    """`managed`: the GatewayClass is made when it is not there, and stays when the stack goes; default on OpenShift,
    whose controller starts with the first class of its own. `existing`: the mesh makes it, as Istio does."""

    def class_managed_on(self, profile: Profile) -> bool:
        """Whether the GatewayClass is ours to make on a platform."""
        return self.gateway_class == "managed" or (self.gateway_class is None and profile is Profile.OPENSHIFT)


class Monitoring(Operator):
    """A Prometheus operator, or OpenShift's user-workload monitoring."""

    user_workload: Literal["managed", "existing"] = "existing"
    """On OpenShift. `managed`: `enableUserWorkload: true` is merged into the cluster's monitoring configuration, where
    the stack wants monitors; it stays when the stack goes. `existing`: the cluster's owner has done so."""


class CleanUp(Model):
    """What others left on the cluster and the service cannot live with. Removed only when asked for, once."""

    odh_webhook: bool = False
    """The webhook `mutating.odh-model-controller.opendatahub.io`, which an OpenDataHub without its controller leaves
    behind: it refuses every InferenceService."""
    sail_operator: bool = False
    """A Sail operator with an Istio of its own, beside the one that runs the gateway: Subscription,
    ClusterServiceVersion, Deployments, and what that Istio left in our namespace. The gateway is restarted.
    OpenShift's own mesh is not touched."""
    sail_namespace: DnsLabel = "gateway-system"
    """Where that operator is; the namespace must exist."""


class KServeOperator(Operator):
    """KServe, which turns InferenceServices into Deployments and Services."""

    namespace: DnsLabel = "kserve"
    """Where its controller runs."""
    configure: bool = True
    """Set the keys `deploy` and `ingress` of its ConfigMap to raw deployments behind our Gateway, and restart the
    controller when they change. Off: the cluster's owner has done so."""


class Authorino(Model):
    """Kuadrant's authorisation server."""

    replicas: Annotated[int, Field(strict=True, ge=1)] = 1
    """How many; from two on with a disruption budget."""


class KuadrantOperator(Operator):
    """Kuadrant, which enforces authentication and limits at the gateway."""

    namespace: DnsLabel = "kuadrant-system"
    """Where the Kuadrant object, Limitador and Authorino live, and the API keys with them."""
    instance: Literal["managed", "existing"] = "managed"
    """`managed`: the Kuadrant object is ours, and goes when the stack goes. `existing`: somebody else's is used."""
    environment: Literal["managed", "existing"] | None = None
    """`managed`: the operator's gateway controllers, failure modes and time limits are ours; default where we install
    it. `existing`: they are left as they are; default for a preinstalled operator, which others may use."""
    wasm_shim: str | None = None
    """Image of the gateway's filter, in place of the release's own. It has to know what the operator asks of it.
    Taking the key away puts the release's own back."""
    auth_timeout: Duration = "2s"
    """How long the gateway waits for Authorino. Kuadrant's own 200ms turn into errors under load."""
    limits_timeout: Duration = "1s"
    """How long the gateway waits for Limitador, Kuadrant's own being 100ms."""
    authorino: Authorino = Authorino()
    """The authorisation server."""

    @property
    def manages_environment(self) -> bool:
        """Whether the operator's environment is ours to set."""
        return self.environment == "managed" or (self.environment is None and self.install is not Install.PREINSTALLED)


class Platform(Model):
    """Where the service runs."""

    profile: Profile = Profile.KUBERNETES
    """The kind of cluster."""
    namespace: DnsLabel = "llm"
    """Holds the gateway, the models and the policies; created and deleted with the stack."""
    scc: Scc = Scc.RESTRICTED
    """On OpenShift: the SecurityContextConstraints of the ServiceAccount `models`. `original` weakens the cluster for
    pods that do not fit `restricted-v2`; those that fit are run under that all the same."""
    gateway_api: GatewayApi = GatewayApi()
    """The Gateway API's CRDs."""
    cert_manager: Operator = Operator()
    """cert-manager, which makes certificates."""
    service_mesh: ServiceMesh = ServiceMesh()
    """The mesh that runs the gateway."""
    kserve: KServeOperator = KServeOperator()
    """KServe, which runs the models."""
    kuadrant: KuadrantOperator = KuadrantOperator()
    """Kuadrant, which enforces the policies."""
    monitoring: Monitoring = Monitoring()
    """The Prometheus operator."""
    grafana: Operator = Operator()
    """The Grafana operator."""
    clean_up: CleanUp = CleanUp()
    """What others left, removed once and only when asked to."""
    network_policies: NetworkPolicies = Isolation()
    """Who may reach whom on the cluster's network. `false` alone means `{enabled: false}`."""


def platform_field(key: str) -> str:
    """The field of `Platform` for a key of `maas:platform`, such as cert_manager for certManager."""
    return next(name for name, field in Platform.model_fields.items() if (field.alias or name) == key)


class Cluster(Model):
    """Which cluster the stack is for. Credentials stay outside: they come from KUBECONFIG or ~/.kube/config."""

    context: str = ""
    """Context of the kubeconfig; empty means the current one."""
    identifier: str = ""
    """Changing it means another cluster: everything is created anew there. Empty means the stack's name."""
