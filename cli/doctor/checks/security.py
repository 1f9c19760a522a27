"""What works, and should not: rights that nobody needs, keys in plain text, keys from anywhere."""

from collections.abc import Iterator, Mapping
from typing import cast

from cli.doctor.case import RBAC, SCC, Case, dig, items, labels_of, name_of, ref, texts
from cli.doctor.findings import Finding, Level
from cli.doctor.snapshot import Manifest
from components.platform import MODEL_ACCOUNT
from config.gateway import Expose

_POWERFUL = {
    "cluster-admin": "anything on the cluster",
    "system:openshift:scc:privileged": "privileged containers",
    "system:openshift:scc:anyuid": "containers as root",
    "system:openshift:scc:hostaccess": "the host's files and network",
}
_SCC_FLAGS = ("allowPrivilegedContainer", "allowHostNetwork", "allowHostPID", "allowHostDirVolumePlugin")


def accounts(case: Case) -> Iterator[Finding]:
    """The models' service account, and the namespace's default one, are bound to nothing powerful."""
    namespace = case.settings.platform.namespace
    accounts_ = (MODEL_ACCOUNT, "default")
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        for each in case.cluster.all(RBAC, kind):
            role = str(dig(each, "roleRef", "name"))
            for account in (name for name in accounts_ if _binds(each, name, namespace)):
                if role in _POWERFUL:
                    message = f"gives ServiceAccount {namespace}/{account} {_POWERFUL[role]}: models need none of it"
                    yield Finding(
                        "security", Level.WARNING, ref(each), message, f"kubectl delete {kind.lower()} {name_of(each)}"
                    )
    for each in case.cluster.all(*SCC):
        users = texts(each.get("users"))
        for account in (name for name in accounts_ if f"system:serviceaccount:{namespace}:{name}" in users):
            flags = [flag for flag in _SCC_FLAGS if each.get(flag)]
            if flags:
                message = f"gives ServiceAccount {namespace}/{account} {', '.join(flags)}: models need none of it"
                yield Finding("security", Level.WARNING, ref(each), message, "take the account out of its users")


def _binds(binding: Manifest, account: str, namespace: str) -> bool:
    return any(
        subject.get("kind") == "ServiceAccount"
        and subject.get("name") == account
        and subject.get("namespace") == namespace
        for subject in items(binding.get("subjects"))
    )


def sidecars(case: Case) -> Iterator[Finding]:
    """Sidecars: the gateway is the only proxy; an operator behind one does not reach the API server at its start."""
    platform = case.settings.platform
    for name in sorted({platform.namespace, platform.kuadrant.namespace, platform.kserve.namespace}):
        found = case.cluster.get("v1", "Namespace", name)
        if found is not None and labels_of(found).get("istio-injection") == "enabled":
            message = "has sidecars injected; neither operators nor models here are made for it"
            fix = f"kubectl label namespace {name} istio-injection-, then restart its pods"
            yield Finding("security", Level.WARNING, ref(found), message, fix)


def keys_from_anywhere(case: Case) -> Iterator[Finding]:
    """An AuthPolicy that takes keys of all namespaces: whoever may make a Secret somewhere makes a key."""
    for _, found in case.standing("AuthPolicy"):
        methods = cast("Mapping[str, object]", dig(found, "spec", "rules", "authentication") or {})
        if any(dig(method, "apiKey", "allNamespaces") for method in methods.values()):
            message = "takes API keys of all namespaces: whoever may create a Secret anywhere can make a key"
            yield Finding("security", Level.PROBLEM, ref(found), message, "./maas up puts it right")


def plain_text(case: Case) -> Iterator[Finding]:
    """Keys that travel in plain text outside of the cluster."""
    settings = case.settings
    exposed = settings.gateway.exposure_on(settings.platform.profile) is Expose.LOAD_BALANCER
    gateways = list(case.of_kind("Gateway"))
    protocols = {
        str(listener.get("protocol")) for each in gateways for listener in items(dig(each.body, "spec", "listeners"))
    }
    for each in gateways:
        if exposed and protocols == {"HTTP"}:
            message = "speaks plain HTTP on a load balancer: API keys and prompts can be read on the way"
            fix = "set maas:gateway.tls, unless the load balancer ends TLS"
            yield Finding("security", Level.WARNING, ref(each), message, fix)
