"""The gateway: its class, itself, the routes through it."""

from collections.abc import Iterator

from cli.doctor.case import (
    GATEWAY_API,
    Case,
    certificates,
    condition,
    dig,
    holds,
    items,
    name_of,
    namespace_of,
    ref,
    words,
)
from cli.doctor.findings import Finding, Level
from cli.doctor.snapshot import Manifest
from config.platform import Profile
from sandbox.kube import reference

_CONTROLLER = "the gateway's controller"
_BAD_STATUS = {"Conflicted": "True", "Accepted": "False", "Programmed": "False", "ResolvedRefs": "False"}
"""The status of a listener's condition that means trouble."""


def gateway_class(case: Case) -> Iterator[Finding]:
    """The class that the stack names is there, and some controller has accepted it."""
    if not case.cluster.knows(GATEWAY_API, "GatewayClass"):
        return
    for name in sorted({str(dig(each.body, "spec", "gatewayClassName")) for each in case.of_kind("Gateway")}):
        found = case.cluster.get(GATEWAY_API, "GatewayClass", name)
        what = reference("GatewayClass", name)
        if found is None:
            comes = case.installs("service_mesh") or any(case.of_kind("GatewayClass"))
            if case.deployed or not comes:
                yield Finding("gateway", Level.PROBLEM, what, _no_class(case), _class_fix(case, name), symptom=True)
            continue
        accepted = condition(found, "Accepted")
        if holds(accepted, found):
            yield Finding("gateway", Level.OK, what, f"accepted by {dig(found, 'spec', 'controllerName')}")
        else:
            message = f"not accepted: {words(accepted, str(dig(found, 'spec', 'controllerName')))}"
            fix = "see that the mesh's controller runs, and that controllerName is its own"
            yield Finding("gateway", Level.PROBLEM, what, message, fix, symptom=True)


def issued(case: Case) -> Iterator[Finding]:
    """The stack's certificates are issued."""
    for _, found in case.standing("Issuer", "ClusterIssuer", "Certificate"):
        state = condition(found, "Ready")
        if holds(state, found):
            yield Finding("gateway", Level.OK, ref(found), "ready")
        else:
            message = f"not ready: {words(state, 'cert-manager')}"
            fix = f"kubectl describe {found['kind'].lower()} {name_of(found)} -n {namespace_of(found)}"
            yield Finding("gateway", Level.PROBLEM, ref(found), message, fix, symptom=True)


def _no_class(case: Case) -> str:
    found = sorted(name_of(each) for each in case.cluster.all(GATEWAY_API, "GatewayClass"))
    return f"does not exist; there {'is' if len(found) == 1 else 'are'} {', '.join(found) or 'none'}"


def _class_fix(case: Case, name: str) -> str:
    if case.settings.platform.profile is Profile.OPENSHIFT:
        return f"create GatewayClass {name} with controllerName openshift.io/gateway-controller/v1"
    return "Istio makes it when it starts: install or restart istiod, or set maas:gateway.className to one that exists"


def gateways(case: Case) -> Iterator[Finding]:
    """The Gateway has the stack's class, is programmed, has an address, and its listeners are in order."""
    for wanted, found in case.standing("Gateway"):
        name, actual = (str(dig(each, "spec", "gatewayClassName")) for each in (wanted.body, found))
        if name != actual:
            message = f"is of class {actual}, but the stack says {name}"
            yield Finding("gateway", Level.PROBLEM, ref(found), message, "./maas up puts it right")
        troubles = list(_gateway_troubles(case, found))
        yield from troubles
        if not troubles:
            addresses = ", ".join(str(each.get("value")) for each in items(dig(found, "status", "addresses")))
            yield Finding("gateway", Level.OK, ref(found), f"programmed, at {addresses}")


def _gateway_troubles(case: Case, gateway: Manifest) -> Iterator[Finding]:
    what, namespace = ref(gateway), namespace_of(gateway)
    for secret in certificates(gateway):
        made = any(dig(each.body, "spec", "secretName") == secret for each in case.of_kind("Certificate"))
        if case.cluster.knows("v1", "Secret") and not case.cluster.get("v1", "Secret", secret, namespace) and not made:
            message = f"its certificate, Secret {namespace}/{secret}, does not exist"
            fix = f"kubectl create secret tls {secret} -n {namespace} --cert=<file> --key=<file>"
            yield Finding("gateway", Level.PROBLEM, what, message, fix)
            return
    for type_ in ("Accepted", "Programmed"):
        state = condition(gateway, type_)
        if not holds(state, gateway):
            message = f"not {type_.lower()}: {words(state, _CONTROLLER)}"
            fix = f"kubectl describe gateway {name_of(gateway)} -n {namespace}"
            yield Finding("gateway", Level.PROBLEM, what, message, fix, symptom=True)
            return
    for listener in items(dig(gateway, "status", "listeners")):
        said = _listener_trouble(listener)
        if said:
            fix = "./maas preview shows whether somebody changed it; its certificate must be in the Gateway's namespace"
            message = f"listener {listener.get('name')} is not in order: {said}"
            yield Finding("gateway", Level.PROBLEM, what, message, fix, symptom=True)
            return
    if not items(dig(gateway, "status", "addresses")):
        message = "has no address: nothing gives its Service one"
        fix = "install a load balancer (such as MetalLB), or set maas:gateway: {expose: clusterIP}"
        yield Finding("gateway", Level.PROBLEM, what, message, fix, symptom=True)


def _listener_trouble(listener: Manifest) -> str:
    for each in items(listener.get("conditions")):
        if each.get("status") == _BAD_STATUS.get(str(each.get("type"))):
            return f"{each.get('reason')}: {each.get('message')}"
    return ""


def routes(case: Case) -> Iterator[Finding]:
    """Each HTTPRoute is accepted by our Gateway, and what it leads to exists."""
    for _, found in case.standing("HTTPRoute"):
        trouble = _route_trouble(found)
        if trouble:
            fix = f"kubectl describe httproute {name_of(found)} -n {namespace_of(found)}"
            yield Finding("routes", Level.PROBLEM, ref(found), trouble, fix, symptom=True)
        else:
            hosts = ", ".join(map(str, dig(found, "spec", "hostnames") or ["every host"]))
            yield Finding("routes", Level.OK, ref(found), f"accepted for {hosts}")
    for _, found in case.standing("Route"):
        states = [
            each for ingress in items(dig(found, "status", "ingress")) for each in items(ingress.get("conditions"))
        ]
        admitted = [each for each in states if each.get("type") == "Admitted"]
        if admitted and all(each.get("status") == "True" for each in admitted):
            yield Finding("routes", Level.OK, ref(found), f"admitted for {dig(found, 'spec', 'host')}")
        else:
            said = "; ".join(f"{each.get('reason')}: {each.get('message')}" for each in admitted) or "no router took it"
            fix = "another Route may have the host; a router shard may leave this namespace out"
            yield Finding("routes", Level.PROBLEM, ref(found), f"not admitted: {said}", fix, symptom=True)


def _route_trouble(route: Manifest) -> str:
    parents = items(dig(route, "status", "parents"))
    if not parents:
        return f"{_CONTROLLER} has said nothing about it"
    for parent in parents:
        for type_, negative in (("Accepted", "not accepted"), ("ResolvedRefs", "leads nowhere")):
            state = next((each for each in items(parent.get("conditions")) if each.get("type") == type_), None)
            if not holds(state, route):
                return f"{negative}: {words(state, _CONTROLLER)}"
    return ""
