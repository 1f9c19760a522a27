"""The cluster itself: its version, what we may see, what kinds it serves, namespaces that do not go away."""

import re
from collections.abc import Iterator

from cli.doctor.case import KUADRANT, OPTIONAL, Case, dig, items, kind_of, name_of, namespace_of, ref, texts
from cli.doctor.findings import Finding, Level
from cli.doctor.snapshot import CRD, Kind, crd_name
from config.platform import Profile
from sandbox.kube import reference

OLDEST = {Profile.KUBERNETES: (1, 29), Profile.OPENSHIFT: (1, 32)}
"""Oldest Kubernetes: Istio 1.26 and KServe 0.15 are made for 1.29 and newer; OpenShift 4.19 is 1.32."""
_TOKEN_LIMITS = ("kuadrant.io/v1alpha1", "TokenRateLimitPolicy")

OPERATOR_OF_GROUP = {
    "gateway.networking.k8s.io": "gateway_api",
    "networking.istio.io": "service_mesh",
    "kuadrant.io": "kuadrant",
    "extensions.kuadrant.io": "kuadrant",
    "limitador.kuadrant.io": "kuadrant",
    "operator.authorino.kuadrant.io": "kuadrant",
    "serving.kserve.io": "kserve",
    "monitoring.coreos.com": "monitoring",
    "cert-manager.io": "cert_manager",
    "operator.openshift.io": "cert_manager",
    "grafana.integreatly.org": "grafana",
}
"""Which operator of `config.platform.Platform` brings the kinds of an API group."""
_HOLDING = frozenset(
    {
        "NamespaceFinalizersRemaining",
        "NamespaceContentRemaining",
        "NamespaceDeletionContentFailure",
        "NamespaceDeletionDiscoveryFailure",
    }
)
_FIXES = {
    "gateway_api": "install the Gateway API's CRDs: maas:platform.gatewayApi: {install: manifest}",
    "service_mesh": "install Istio, or set maas:gateway.guard: {lowerCaseHost: false, errorBodies: false}",
    "kuadrant": "install the Kuadrant operator, 1.3 or newer",
    "kserve": "install KServe, 0.15 or newer",
    "monitoring": "install the Prometheus operator, or set maas:observability: {monitors: false}",
    "cert_manager": "install cert-manager",
    "grafana": "install the Grafana operator",
}


def version(case: Case) -> Iterator[Finding]:
    """Whether Kubernetes is new enough for the operators."""
    found, what = case.cluster.version, "API server"
    match = re.match(r"v?(\d+)\.(\d+)", found)
    oldest = OLDEST[case.settings.platform.profile]
    if match and (int(match[1]), int(match[2])) < oldest:
        wanted = ".".join(map(str, oldest))
        message = f"Kubernetes {found} is too old: the operators need {wanted} or newer"
        yield Finding("cluster", Level.PROBLEM, what, message, "upgrade the cluster")
    else:
        yield Finding("cluster", Level.OK, what, f"answers; Kubernetes {found}")


def permissions(case: Case) -> Iterator[Finding]:
    """What we may not read is not judged, and that is said."""
    for (api_version, kind), message in sorted(case.cluster.denied.items()):
        if (api_version, kind) in OPTIONAL:
            continue
        fix = "bind the deployer's ClusterRole (docs/platforms) to the account of this kubeconfig"
        yield Finding("cluster", Level.WARNING, kind, f"may not be listed, so it is not checked: {message}", fix)


def kinds(case: Case) -> Iterator[Finding]:
    """The kinds that the program's objects have, at the versions it uses, operator by operator."""
    needed = {kind_of(each) for each in case.wanted} | {KUADRANT}
    broken: set[str] = set()
    for kind in sorted(needed & case.cluster.not_served.keys()):
        operator = OPERATOR_OF_GROUP.get(kind[0].partition("/")[0], "")
        broken.add(operator)
        if operator and _comes_with_up(case, operator) and not case.deployed:
            yield Finding("kinds", Level.OK, _crd(kind), "not there yet; `up` installs it")
        else:
            yield _not_served(case, kind, operator)
    groups = {kind: OPERATOR_OF_GROUP.get(kind[0].partition("/")[0]) for kind in needed}
    for operator in sorted({name for name in groups.values() if name} - broken):
        served = sorted(kind for (_, kind), name in groups.items() if name == operator)
        what = operator.replace("_", " ")
        yield Finding("kinds", Level.OK, what, f"serves {', '.join(served)}")


def _comes_with_up(case: Case, operator: str) -> bool:
    """Whether the stack installs it; OpenShift installs its mesh by itself, once there is a GatewayClass for it."""
    platform = case.settings.platform
    by_class = operator == "service_mesh" and platform.service_mesh.class_managed_on(platform.profile)
    return by_class or case.installs(operator)


def _crd(kind: Kind) -> str:
    return reference(CRD, crd_name(kind))


def _not_served(case: Case, kind: Kind, operator: str) -> Finding:
    version_ = kind[0].rpartition("/")[2]
    served = case.cluster.not_served[kind]
    fix = _FIXES.get(operator, "install what brings it")
    if served:
        message = f"served as {', '.join(served)}, but {version_} is needed: another version of its operator is there"
        return Finding("kinds", Level.PROBLEM, _crd(kind), message, fix, symptom=True)
    if kind == _TOKEN_LIMITS and case.cluster.knows("kuadrant.io/v1", "AuthPolicy"):
        message = "missing, while Kuadrant's other kinds are there: this Kuadrant is older than 1.3"
        return Finding("kinds", Level.PROBLEM, _crd(kind), message, "upgrade Kuadrant to 1.3 or newer", symptom=True)
    return Finding(
        "kinds", Level.PROBLEM, _crd(kind), f"missing ({kind[1]} {kind[0]} is not served)", fix, symptom=True
    )


def namespaces(case: Case) -> Iterator[Finding]:
    """A namespace that is being deleted takes no new object; what holds it is named."""
    platform = case.settings.platform
    ours = {platform.namespace, platform.kserve.namespace, platform.kuadrant.namespace}
    ours |= {each.namespace for each in case.wanted} - {""}
    for each in case.cluster.all("v1", "Namespace"):
        if name_of(each) not in ours or not dig(each, "metadata", "deletionTimestamp"):
            continue
        yield Finding(
            "namespaces",
            Level.PROBLEM,
            ref(each),
            f"is being deleted, and held by {'; '.join(_holders(case, name_of(each))) or 'nothing that we can see'}",
            "let the controller of the objects that hold it run until they are gone; only when it is gone for good, "
            "take their finalizers off (docs/troubleshooting.md)",
        )


def _holders(case: Case, namespace: str) -> list[str]:
    """What keeps a namespace from going: objects that we see with their finalizers, or else what the server says."""
    held = [
        f"{ref(each)} (finalizer {', '.join(finalizers)})"
        for objects in case.cluster.objects.values()
        for each in objects
        if namespace_of(each) == namespace
        and dig(each, "metadata", "deletionTimestamp")
        and (finalizers := texts(dig(each, "metadata", "finalizers")))
    ]
    found = case.cluster.get("v1", "Namespace", namespace)
    said = [
        str(each.get("message"))
        for each in items(dig(found, "status", "conditions"))
        if each.get("status") == "True" and each.get("type") in _HOLDING
    ]
    return held or said
