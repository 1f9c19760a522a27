"""Which object cannot work without which: so that one broken thing is reported, and not all that stands on it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from cli.doctor.case import (
    AUTHORINO,
    CSV,
    GATEWAY_API,
    KUADRANT,
    LIMITADOR,
    OPERATOR_GROUP,
    SUBSCRIPTION,
    WEBHOOKS,
    Case,
    dig,
    items,
    kind_of,
    kserve_settings_ref,
    name_of,
    namespace_of,
    ref,
)
from cli.doctor.checks.cluster import OPERATOR_OF_GROUP
from cli.doctor.checks.kuadrant import POLICIES, rival_policies
from cli.doctor.checks.operators import DEPLOYMENTS
from cli.doctor.snapshot import CRD, Kind, crd_name
from cli.program.recorder import Object
from components.identity import key_labels
from components.models import service_of
from sandbox.kube import reference

Causes = Mapping[str, Sequence[str]]


def causes(case: Case) -> Causes:
    """For each object that a finding may be about, the objects that it cannot work without."""
    edges: defaultdict[str, list[str]] = defaultdict(list)
    running = _operators(case)
    for wanted in case.wanted:
        edges[ref(wanted)] += [*_ground(wanted), *running[_operator(kind_of(wanted))], *_needs(case, wanted)]
    for each in (*case.cluster.all(*KUADRANT), *case.cluster.all(*LIMITADOR), *case.cluster.all(*AUTHORINO)):
        edges[ref(each)] += running["kuadrant"]
    for each in case.cluster.all(*KUADRANT):
        edges[ref(each)] += _kuadrant_needs(case)
    for name in {str(dig(each.body, "spec", "gatewayClassName")) for each in case.of_kind("Gateway")}:
        crd = reference(CRD, crd_name((GATEWAY_API, "GatewayClass")))
        edges[reference("GatewayClass", name)] += [crd, *running["service_mesh"]]
    for each in case.cluster.all(*CSV):
        edges[ref(each)] += _groups(case, namespace_of(each))
    for operator in DEPLOYMENTS:
        for what in running[operator]:
            namespace = what.partition(" ")[2].partition("/")[0]
            edges[what] += _olm(case, namespace)
            if operator == "kserve":
                edges[what].append(kserve_settings_ref(case.settings))
    for kind in case.cluster.not_served:
        edges[reference(CRD, crd_name(kind))] += running[_operator(kind)]
    return edges


def _operator(kind: Kind) -> str:
    """Whose controller moves objects of a kind."""
    operator = OPERATOR_OF_GROUP.get(kind[0].partition("/")[0], "")
    return "service_mesh" if operator == "gateway_api" else operator


def _operators(case: Case) -> defaultdict[str, list[str]]:
    """What runs each operator, where it is, or where the stack says that it is."""
    result: defaultdict[str, list[str]] = defaultdict(list)
    for operator, names in DEPLOYMENTS.items():
        result[operator] = [ref(each) for each in case.cluster.all("apps/v1", "Deployment") if name_of(each) in names]
        namespace = dig(case.settings.platform.model_dump(), operator, "namespace")
        if namespace:
            result[operator] += [reference("Deployment", name, str(namespace)) for name in names]
    return result


def _ground(wanted: Object) -> list[str]:
    """What any object stands on: its namespace, and its CRD."""
    namespace = [reference("Namespace", wanted.namespace)] if wanted.namespace else []
    return [*namespace, reference(CRD, crd_name(kind_of(wanted)))]


def _needs(case: Case, wanted: Object) -> Iterable[str]:
    """What an object of the program needs beside that."""
    gateways = [ref(each) for each in case.of_kind("Gateway")]
    match wanted.kind:
        case "Gateway":
            yield reference("GatewayClass", str(dig(wanted.body, "spec", "gatewayClassName")))
            yield from (ref(each) for each in case.of_kind("Certificate"))
        case "Certificate":
            yield from (ref(each) for each in case.of_kind("Issuer", "ClusterIssuer"))
        case "HTTPRoute":
            yield from gateways
            yield from _models_behind(case, wanted)
        case "Route":
            yield from gateways
        case "InferenceService" | "LLMInferenceService":
            yield kserve_settings_ref(case.settings)
            yield from (ref(each) for each in case.of_kind("ServingRuntime"))
            yield from (ref(each) for each in case.cluster.all(*WEBHOOKS))
        case kind if kind in POLICIES:
            yield from gateways
            yield from (ref(each) for each in case.of_kind("HTTPRoute", "Kuadrant"))
            yield from (ref(each) for each in case.cluster.all(*KUADRANT))
            yield from (ref(each) for each in rival_policies(case) if each["kind"] == kind)
            if kind != "AuthPolicy":
                # Limits and labels use what authentication publishes.
                yield from (ref(each) for each in case.of_kind("AuthPolicy"))
        case "Secret" if key_labels(case.stack).items() <= (wanted.metadata.get("labels") or {}).items():
            yield reference("Namespace", wanted.namespace)
        case _:
            return


def _models_behind(case: Case, route: Object) -> list[str]:
    """The models that a route leads to."""
    rules = items(dig(route.body, "spec", "rules"))
    services = {str(backend.get("name")) for rule in rules for backend in items(rule.get("backendRefs"))}
    models = case.of_kind("InferenceService", "LLMInferenceService")
    return [ref(each) for each in models if service_of(case.settings, each.metadata_name) in services]


def _kuadrant_needs(case: Case) -> Iterable[str]:
    """What makes Kuadrant not ready: its parts, and what it looked for when it started."""
    yield from (ref(each) for each in (*case.cluster.all(*LIMITADOR), *case.cluster.all(*AUTHORINO)))
    yield from (ref(each) for each in case.cluster.all(GATEWAY_API, "GatewayClass"))
    yield from (reference(CRD, crd_name(kind)) for kind in case.cluster.not_served)


def _olm(case: Case, namespace: str) -> Iterable[str]:
    """What OLM has in a namespace: an operator that it installs does not run when these are wrong."""
    for kind in (CSV, SUBSCRIPTION):
        yield from (ref(each) for each in case.cluster.all(*kind) if namespace_of(each) == namespace)
    yield from _groups(case, namespace)


def _groups(case: Case, namespace: str) -> list[str]:
    """The OperatorGroups of a namespace, as the finding of several names them."""
    names = sorted(name_of(each) for each in case.cluster.all(*OPERATOR_GROUP) if namespace_of(each) == namespace)
    return [reference("OperatorGroup", ", ".join(names), namespace)] if names else []
