"""A stack and the cluster it is for: what the program would deploy, beside what there is."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from cli.doctor.snapshot import Kind, Listing, Manifest, Snapshot
from cli.program.recorder import Object
from components.housekeeping.cluster_steps import MONITORING_NAMESPACE
from components.kserve import CONFIG_MAP
from components.layer import STACK_LABEL
from config.models import Vendor
from config.platform import Profile
from config.settings import Settings
from sandbox.kube import conditions, reference

GATEWAY_API = "gateway.networking.k8s.io/v1"
KUADRANT = ("kuadrant.io/v1beta1", "Kuadrant")
LIMITADOR = ("limitador.kuadrant.io/v1alpha1", "Limitador")
AUTHORINO = ("operator.authorino.kuadrant.io/v1beta1", "Authorino")
OPERATOR_GROUP = ("operators.coreos.com/v1", "OperatorGroup")
SUBSCRIPTION = ("operators.coreos.com/v1alpha1", "Subscription")
CSV = ("operators.coreos.com/v1alpha1", "ClusterServiceVersion")
SCC = ("security.openshift.io/v1", "SecurityContextConstraints")
RBAC = "rbac.authorization.k8s.io/v1"
WEBHOOKS = ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")
CLUSTER_POLICY = ("nvidia.com/v1", "ClusterPolicy")
DEVICE_CONFIG = ("amd.com/v1alpha1", "DeviceConfig")
_GPU_OPERATORS = {Vendor.NVIDIA: CLUSTER_POLICY, Vendor.AMD: DEVICE_CONFIG}
_EVERYWHERE = frozenset({OPERATOR_GROUP, SUBSCRIPTION, CSV, SCC})
OPTIONAL = frozenset({*_EVERYWHERE, *_GPU_OPERATORS.values()})
"""Kinds that a healthy cluster may not serve: without OLM, without OpenShift, without that vendor's operator."""


@dataclass(frozen=True)
class Case:
    """All that the checks look at."""

    stack: str
    settings: Settings
    wanted: tuple[Object, ...]
    """The objects that the program would deploy, as recorded: the one place for their names and bodies."""
    cluster: Snapshot

    @cached_property
    def deployed(self) -> bool:
        """Whether anything of this stack is on the cluster. Before, only what `up` needs is looked at."""
        return any(
            (labels_of(found).get(STACK_LABEL) == self.stack)
            for each in self.wanted
            if not each.is_patch and (found := self.live(each))
        )

    def live(self, wanted: Object) -> Manifest | None:
        """The object on the cluster that a recorded one stands for."""
        return self.cluster.get(wanted.api_version, wanted.kind, wanted.metadata_name, wanted.namespace)

    def of_kind(self, *kinds: str) -> Iterator[Object]:
        """The recorded objects of some kinds, patches aside."""
        return (each for each in self.wanted if each.kind in kinds and not each.is_patch)

    def standing(self, *kinds: str) -> Iterator[tuple[Object, Manifest]]:
        """The recorded objects of some kinds that are on the cluster, each with what is there."""
        return ((each, found) for each in self.of_kind(*kinds) if (found := self.live(each)))

    def installs(self, operator: str) -> bool:
        """Whether the stack installs this operator (a field of `config.platform.Platform`) by itself."""
        return str(getattr(self.settings.platform, operator).install) != "preinstalled"


def listings(settings: Settings, wanted: Iterable[Object]) -> set[Listing]:
    """What has to be read: each recorded object's kind where it lives, and what the checks look at besides."""
    platform = settings.platform
    llm, kuadrant = platform.namespace, platform.kuadrant.namespace
    own = {Listing(each.api_version, each.kind, each.namespace or None) for each in wanted}
    return own | {
        Listing("v1", "Namespace"),
        Listing("v1", "Node"),
        Listing("v1", "Pod", llm),
        Listing("v1", "Secret", kuadrant),
        Listing("apps/v1", "Deployment"),
        Listing(RBAC, "RoleBinding", llm),
        Listing(RBAC, "ClusterRoleBinding"),
        Listing(*WEBHOOKS),
        Listing(GATEWAY_API, "GatewayClass"),
        Listing(*KUADRANT),
        Listing(*LIMITADOR, kuadrant),
        Listing(*AUTHORINO, kuadrant),
        *(Listing(*kind) for kind in _EVERYWHERE),
        *(Listing(*_GPU_OPERATORS[model.gpu.vendor]) for model in settings.models.values() if model.gpu is not None),
        *([Listing("v1", "ConfigMap", MONITORING_NAMESPACE)] if user_workload_matters(settings) else []),
        *(Listing("v1", "Secret", llm) for each in wanted if _certificates(each.body)),
    }


def user_workload_matters(settings: Settings) -> bool:
    """Whether the stack's monitors are read by OpenShift's own monitoring, which has to be told so."""
    return settings.platform.profile is Profile.OPENSHIFT and settings.observability.monitors


def certificates(gateway: Mapping[str, Any]) -> list[str]:
    """Names of the Secrets that a Gateway's listeners have their certificates from."""
    return _certificates(gateway)


def _certificates(body: Mapping[str, Any]) -> list[str]:
    if body.get("kind") != "Gateway":
        return []
    listeners = items(dig(body, "spec", "listeners"))
    return [str(ref["name"]) for each in listeners for ref in items(dig(each, "tls", "certificateRefs"))]


# Reading JSON.


def dig(value: object, *path: str) -> Any:  # noqa: ANN401 - JSON
    """What is at a path of mappings; None when any part of it is missing."""
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = cast("Mapping[str, object]", value).get(key)
    return value


def items(value: object) -> list[Manifest]:
    """The mappings in a list; none when it is no list."""
    if not isinstance(value, list):
        return []
    return [cast("Manifest", each) for each in cast("list[object]", value) if isinstance(each, dict)]


def texts(value: object) -> list[str]:
    """The entries of a list, as text; none when it is no list."""
    return [str(each) for each in cast("list[object]", value)] if isinstance(value, list) else []


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """metadata.labels."""
    return cast("Mapping[str, str]", dig(obj, "metadata", "labels") or {})


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """metadata.annotations."""
    return cast("Mapping[str, str]", dig(obj, "metadata", "annotations") or {})


def name_of(obj: Mapping[str, Any]) -> str:
    """metadata.name."""
    return str(dig(obj, "metadata", "name") or "")


def namespace_of(obj: Mapping[str, Any]) -> str:
    """metadata.namespace; empty for what is cluster-scoped."""
    return str(dig(obj, "metadata", "namespace") or "")


def ref(obj: Mapping[str, Any] | Object) -> str:
    """How findings name an object: `Kind namespace/name`."""
    body = obj.body if isinstance(obj, Object) else obj
    return reference(str(body["kind"]), name_of(body), namespace_of(body) or None)


def condition(obj: Manifest, type_: str) -> Manifest | None:
    """A condition of the object; None when nobody has set it."""
    return next((each for each in conditions(obj) if each.get("type") == type_), None)


def holds(found: Manifest | None, obj: Manifest) -> bool:
    """Whether a condition is true, and of the object as it is now."""
    if found is None or found.get("status") != "True":
        return False
    seen = found.get("observedGeneration")
    return seen is None or seen == dig(obj, "metadata", "generation")


def words(found: Manifest | None, controller: str) -> str:
    """What a condition that does not hold says, for people."""
    if found is None:
        return f"{controller} has said nothing about it"
    if found.get("status") == "True":
        return f"{controller} has not looked at its last change yet"
    reason, message = str(found.get("reason") or "no reason given"), str(found.get("message") or "").strip()
    return f"{reason}: {message}" if message else reason


def kind_of(obj: Object) -> Kind:
    """ApiVersion and kind of a recorded object."""
    return obj.api_version, obj.kind


def kserve_settings_ref(settings: Settings) -> str:
    """KServe's ConfigMap, as findings name it."""
    return reference("ConfigMap", CONFIG_MAP, settings.platform.kserve.namespace)
