"""Kuadrant: itself, its limiter and its authoriser, the policies on the gateway."""

from collections.abc import Iterator

from cli.doctor.case import (
    AUTHORINO,
    KUADRANT,
    LIMITADOR,
    Case,
    condition,
    dig,
    holds,
    name_of,
    namespace_of,
    ref,
    words,
)
from cli.doctor.findings import Finding, Level
from cli.doctor.snapshot import Manifest
from components.redis import URL as REDIS_PROPERTY
from sandbox.kube import reference

POLICIES = ("AuthPolicy", "RateLimitPolicy", "TokenRateLimitPolicy", "TelemetryPolicy")
_EXPLANATIONS = {
    "TargetNotFound": ("the Gateway that it names does not exist", "./maas up, or see why the Gateway is gone"),
    "Invalid": ("Kuadrant refuses what it says", "./maas up puts the stack's own text back"),
    "Conflicted": ("another policy of this kind has the same target", "delete the other policy"),
    "Overridden": ("another policy of this kind takes its place", "delete the other policy"),
    "InvalidCelExpression": (
        "an expression in it is not valid where it is used, so its limits are not enforced",
        "see that the AuthPolicy is enforced: limits use what it publishes; and that this Kuadrant knows it",
    ),
    "MissingResource": ("something that it needs is not there", "kubectl describe it, and see the operator's log"),
    "MissingDependency": ("Kuadrant misses an operator that it needs", "see the Kuadrant object"),
    "Unknown": (
        "Kuadrant cannot say that it holds: there is no route yet, or its components lag",
        "see the routes; then restart kuadrant-operator-controller-manager",
    ),
}
_OPERATOR_RESTART = "kubectl rollout restart deployment/kuadrant-operator-controller-manager -n {namespace}"


def instance(case: Case) -> Iterator[Finding]:
    """The one Kuadrant object, ready."""
    if not case.cluster.knows(*KUADRANT):
        return
    found = case.cluster.all(*KUADRANT)
    if len(found) > 1:
        names = " and ".join(f"{namespace_of(each)}/{name_of(each)}" for each in found)
        fix = "keep one; for somebody else's, set maas:platform.kuadrant: {instance: existing}"
        yield Finding("kuadrant", Level.PROBLEM, ref(found[1]), f"a second one: {names}", fix)
    ours = any(case.of_kind("Kuadrant"))
    if not found and not ours:
        namespace = case.settings.platform.kuadrant.namespace
        message = "the stack uses an existing Kuadrant object, but there is none"
        what = reference("Kuadrant", "kuadrant", namespace)
        yield Finding("kuadrant", Level.PROBLEM, what, message, "create it, or set instance: managed", symptom=True)
    for each in found:
        yield _ready(each)


def _ready(kuadrant: Manifest) -> Finding:
    state = condition(kuadrant, "Ready")
    if holds(state, kuadrant):
        return Finding("kuadrant", Level.OK, ref(kuadrant), "ready")
    message, fix = (
        f"not ready: {words(state, 'its operator')}",
        f"kubectl describe kuadrant -n {namespace_of(kuadrant)}",
    )
    if state is not None and state.get("reason") == "MissingDependency":
        message += ". The operator looks for what it needs only when it starts"
        fix = f"once that is installed: {_OPERATOR_RESTART.format(namespace=namespace_of(kuadrant))}"
    return Finding("kuadrant", Level.PROBLEM, ref(kuadrant), message, fix, symptom=True)


def components(case: Case) -> Iterator[Finding]:
    """Limitador and Authorino, which Kuadrant makes."""
    running = any(holds(condition(each, "Ready"), each) for each in case.cluster.all(*KUADRANT))
    consequences = {
        LIMITADOR: "limits are not enforced (requests pass unless the failure mode says deny)",
        AUTHORINO: "every request is refused",
    }
    for kind, consequence in consequences.items():
        found = case.cluster.all(*kind)
        if not found and running and case.cluster.knows(*kind):
            what = reference(kind[1], kind[1].lower(), case.settings.platform.kuadrant.namespace)
            fix = _OPERATOR_RESTART.format(namespace=case.settings.platform.kuadrant.namespace)
            yield Finding("kuadrant", Level.PROBLEM, what, f"does not exist, so {consequence}", fix, symptom=True)
        for each in found:
            state = condition(each, "Ready")
            if holds(state, each):
                yield Finding("kuadrant", Level.OK, ref(each), "ready")
                continue
            message = f"not ready, so {consequence}: {words(state, 'its operator')}"
            fix = f"kubectl get pods -n {namespace_of(each)}"
            yield Finding("kuadrant", Level.PROBLEM, ref(each), message, fix, symptom=True)


def redis(case: Case) -> Iterator[Finding]:
    """The Secret with the address of somebody else's Redis, without which the limiter does not start."""
    name, where = case.settings.limiter.redis_secret, case.settings.platform.kuadrant.namespace
    if name is None or not case.cluster.knows("v1", "Secret"):
        return
    found = case.cluster.get("v1", "Secret", name, where)
    if not dig(found, "data", REDIS_PROPERTY):
        missing = f"has no value under {REDIS_PROPERTY}" if found else "is not there"
        fix = (
            f"kubectl create secret generic {name} -n {where} --from-env-file=<file with {REDIS_PROPERTY}=redis://...>"
        )
        what = reference("Secret", name, where)
        yield Finding("kuadrant", Level.PROBLEM, what, f"{missing}: the limiter cannot start", fix)


def policies(case: Case) -> Iterator[Finding]:
    """Each policy of the stack is accepted and enforced."""
    for _, found in case.standing(*POLICIES):
        bad = next((each for each in ("Accepted", "Enforced") if not holds(condition(found, each), found)), None)
        if bad is None:
            yield Finding("policies", Level.OK, ref(found), "enforced")
            continue
        state = condition(found, bad)
        explained, fix = _EXPLANATIONS.get(
            str(dig(state, "reason")), ("", f"kubectl describe {found['kind'].lower()} -n {namespace_of(found)}")
        )
        said = words(state, "Kuadrant")
        message = f"not {bad.lower()}: {explained} ({said})" if explained else f"not {bad.lower()}: {said}"
        yield Finding("policies", Level.PROBLEM, ref(found), message, fix, symptom=True)


def rivals(case: Case) -> Iterator[Finding]:
    """A policy on the stack's gateway or routes that is not the stack's: it takes the place of the stack's own."""
    for each in rival_policies(case):
        target = f"{dig(each, 'spec', 'targetRef', 'kind')} {dig(each, 'spec', 'targetRef', 'name')}"
        message = f"is not the stack's, and replaces the stack's {each['kind']} on {target}"
        fix = f"kubectl delete {each['kind'].lower()} {name_of(each)} -n {namespace_of(each)}"
        yield Finding("policies", Level.PROBLEM, ref(each), message, fix)


def rival_policies(case: Case) -> list[Manifest]:
    """Policies on the stack's gateway or routes that are not the stack's."""
    targets = {(each.namespace, each.kind, each.metadata_name) for each in case.of_kind("Gateway", "HTTPRoute")}
    own = {(each.kind, each.namespace, each.metadata_name) for each in case.of_kind(*POLICIES)}
    found: list[Manifest] = []
    for kind in POLICIES:
        for each in case.cluster.of_kind(kind):
            namespace = namespace_of(each)
            target = (namespace, dig(each, "spec", "targetRef", "kind"), dig(each, "spec", "targetRef", "name"))
            if target in targets and (kind, namespace, name_of(each)) not in own:
                found.append(each)
    return found
