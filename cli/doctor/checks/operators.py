"""The operators: running, new enough, installed once, and not in each other's way."""

import json
import re
from collections.abc import Iterator

from cli.doctor.case import (
    CSV,
    OPERATOR_GROUP,
    SUBSCRIPTION,
    WEBHOOKS,
    Case,
    annotations_of,
    condition,
    dig,
    items,
    labels_of,
    name_of,
    namespace_of,
    ref,
    texts,
    words,
)
from cli.doctor.findings import Finding, Level
from cli.doctor.snapshot import Manifest
from components.housekeeping.cluster_steps import ODH_WEBHOOK, SAIL_SUBSCRIPTION
from components.kserve import CONTROLLER
from components.operators.catalogue import DECLARATIONS, releases
from config.platform import Install, Profile, platform_field
from sandbox.kube import reference

DEPLOYMENTS = {
    "kserve": (CONTROLLER,),
    "kuadrant": (
        "kuadrant-operator-controller-manager",
        "authorino-operator",
        "limitador-operator-controller-manager",
    ),
    "service_mesh": ("istiod",),
    "cert_manager": ("cert-manager", "cert-manager-cainjector", "cert-manager-webhook"),
    "monitoring": ("prometheus-operator", "kube-prometheus-stack-operator"),
    "grafana": ("grafana-operator-controller-manager", "grafana-operator"),
}
"""What runs each operator, as their charts and catalogs call it. Others (of releases with names of their own, of
OpenShift's gateway controller) are not looked for."""
_REQUIRED = ("kserve", "kuadrant")
OLDEST = {"kserve": (0, 15), "kuadrant": (1, 3)}
"""Oldest versions: KServe with the Gateway API for raw deployments, Kuadrant with TokenRateLimitPolicy."""
_MESH_PACKAGES = frozenset({"sailoperator", "servicemeshoperator", "servicemeshoperator3"})
_OWNED_BY_INGRESS = "ingress.operator.openshift.io/owned"
"""Annotation of the mesh subscription that OpenShift's own ingress operator makes."""
_BAD_CONNECTIVITY_LINK = "rhcl-operator.v1.4.0"
_KUADRANT_PACKAGES = frozenset({"kuadrant-operator", "rhcl-operator"})
_HOLDS_BACK = {
    "CatalogSourcesUnhealthy": "a catalog does not answer",
    "ResolutionFailed": "the package, its channel or its version is not in the catalog",
    "InstallPlanPending": "its InstallPlan waits for approval",
    "InstallPlanFailed": "its InstallPlan failed",
}
"""Conditions of a Subscription that keep the operator from being installed."""


def deployments(case: Case) -> Iterator[Finding]:
    """Each operator's Deployments are available; those of KServe and Kuadrant are where the stack says."""
    if not case.cluster.knows("apps/v1", "Deployment"):
        return
    for operator, names in DEPLOYMENTS.items():
        for name in names:
            found = [each for each in case.cluster.all("apps/v1", "Deployment") if name_of(each) == name]
            namespace = dig(case.settings.platform.model_dump(), operator, "namespace") or ""
            if not found and operator in _REQUIRED:
                yield from _missing(case, operator, name, namespace)
            here = [each for each in found if not namespace or namespace_of(each) == namespace]
            if found and not here and operator in _REQUIRED:
                yield _elsewhere(operator, name, namespace, namespace_of(found[0]))
            yield from (_available(each) for each in here)


def _missing(case: Case, operator: str, name: str, namespace: str) -> Iterator[Finding]:
    what = reference("Deployment", name, namespace)
    if case.installs(operator) and not case.deployed:
        yield Finding("operators", Level.OK, what, "not there yet; `up` installs it")
        return
    message = f"the operator does not run: there is no Deployment {name} in any namespace"
    yield Finding("operators", Level.PROBLEM, what, message, f"install {operator}", symptom=True)


def already_there(case: Case) -> Iterator[Finding]:
    """An operator that the stack wants to install by Helm, and that somebody else has: Helm takes nothing over."""
    for declaration in DECLARATIONS:
        key = platform_field(declaration.key)
        operator = getattr(case.settings.platform, key)
        if operator.install is not Install.HELM:
            continue
        ours = {(each.name, each.namespace) for each in releases(declaration, case.settings)}
        theirs = [
            each
            for each in case.cluster.all("apps/v1", "Deployment")
            if name_of(each) in DEPLOYMENTS[key] and not (case.deployed and _release_of(each) in ours)
        ]
        for each in theirs[:1]:
            name, namespace = _release_of(each)
            how = f"as release {name} in namespace {namespace}" if name else "not by Helm"
            message = f"is there already, {how}; Helm takes over no release and no object: `up` would fail"
            fix = f"maas:platform.{declaration.key}.install: preinstalled; or uninstall it first, its objects with it"
            yield Finding("operators", Level.PROBLEM, ref(each), message, fix)


def _release_of(obj: Manifest) -> tuple[str, str]:
    """Name and namespace of the Helm release that an object belongs to; empty for none."""
    annotations = annotations_of(obj)
    return annotations.get("meta.helm.sh/release-name", ""), annotations.get("meta.helm.sh/release-namespace", "")


def _elsewhere(operator: str, name: str, wanted: str, actual: str) -> Finding:
    message = f"runs in namespace {actual}, but the stack says {wanted}"
    fix = f"set maas:platform.{operator}.namespace to {actual}"
    return Finding("operators", Level.PROBLEM, reference("Deployment", name, wanted), message, fix)


def _available(deployment: Manifest) -> Finding:
    if dig(deployment, "spec", "replicas") == 0:
        namespace, name = namespace_of(deployment), name_of(deployment)
        fix = f"kubectl scale deployment {name} -n {namespace} --replicas=1"
        return Finding("operators", Level.PROBLEM, ref(deployment), "is scaled to 0: nothing it serves moves", fix)
    found = condition(deployment, "Available")
    if found is not None and found.get("status") == "True":
        return Finding("operators", Level.OK, ref(deployment), "available")
    message = f"not available: {words(found, 'the deployment controller')}"
    fix = f"kubectl describe pods -n {namespace_of(deployment)}"
    return Finding("operators", Level.PROBLEM, ref(deployment), message, fix, symptom=True)


def versions(case: Case) -> Iterator[Finding]:
    """KServe and Kuadrant, by the tags of their images; a digest or another scheme says nothing, and is let pass."""
    for operator, oldest in OLDEST.items():
        for each in case.cluster.all("apps/v1", "Deployment"):
            if name_of(each) != DEPLOYMENTS[operator][0]:
                continue
            containers = items(dig(each, "spec", "template", "spec", "containers"))
            images = [
                str(container.get("image")) for container in containers if operator in str(container.get("image"))
            ]
            for image in images:
                match = re.search(r":v(\d+)\.(\d+)\.\d+", image)
                if match and (int(match[1]), int(match[2])) < oldest:
                    wanted = ".".join(map(str, oldest))
                    message = f"{image} is too old: {wanted} or newer is needed"
                    yield Finding("operators", Level.PROBLEM, ref(each), message, f"upgrade {operator}")


def olm(case: Case) -> Iterator[Finding]:
    """What OLM says of its operators, and what makes it refuse them."""
    for each in case.cluster.all(*CSV):
        if "olm.copiedFrom" in labels_of(each) or not _is_ours(case, namespace_of(each)):
            continue
        if name_of(each) == _BAD_CONNECTIVITY_LINK:
            message = "this version lets requests through without authentication"
            yield Finding("olm", Level.PROBLEM, ref(each), message, "upgrade to 1.4.1 or newer")
        phase = str(dig(each, "status", "phase") or "")
        if phase and phase != "Succeeded":
            said = f"{dig(each, 'status', 'reason')}: {dig(each, 'status', 'message')}"
            fix = f"kubectl describe {CSV[1].lower()} {name_of(each)} -n {namespace_of(each)}"
            yield Finding("olm", Level.PROBLEM, ref(each), f"{phase}: {said}", fix, symptom=True)
    groups: dict[str, list[Manifest]] = {}
    for each in case.cluster.all(*OPERATOR_GROUP):
        groups.setdefault(namespace_of(each), []).append(each)
    for namespace, found in sorted(groups.items()):
        if _is_ours(case, namespace):
            yield from _groups(case, namespace, found)


def subscriptions(case: Case) -> Iterator[Finding]:
    """A Subscription of the stack that OLM does not carry out says why."""
    for _, each in case.standing(SUBSCRIPTION[1]):
        for state in items(dig(each, "status", "conditions")):
            type_ = str(state.get("type"))
            if state.get("status") != "True" or type_ not in _HOLDS_BACK:
                continue
            message = f"{_HOLDS_BACK[type_]} ({state.get('reason')}: {state.get('message')})"
            yield Finding("olm", Level.PROBLEM, ref(each), message, _olm_fix(type_, namespace_of(each)), symptom=True)
            break


def _olm_fix(type_: str, namespace: str) -> str:
    if type_ == "InstallPlanPending":
        return f"kubectl get installplan -n {namespace}, then set spec.approved of the one that waits to true"
    return f"kubectl describe subscription.operators.coreos.com -n {namespace}"


def _groups(case: Case, namespace: str, found: list[Manifest]) -> Iterator[Finding]:
    names = sorted(name_of(each) for each in found)
    if len(found) > 1:
        message = f"{' and '.join(names)}: with more than one group in a namespace OLM installs nothing there"
        fix = f"keep one: kubectl delete operatorgroup -n {namespace} <the other>"
        yield Finding("olm", Level.PROBLEM, reference("OperatorGroup", ", ".join(names), namespace), message, fix)
    here = [each for each in case.cluster.all(*SUBSCRIPTION) if namespace_of(each) == namespace]
    packages = {str(dig(each, "spec", "name")) for each in here}
    targets = [name for each in found for name in texts(dig(each, "spec", "targetNamespaces"))]
    if targets and packages & _KUADRANT_PACKAGES:
        message = "has targetNamespaces, but Kuadrant's operator supports all namespaces only"
        yield Finding("olm", Level.PROBLEM, ref(found[0]), message, "make its spec empty: {}")


def _is_ours(case: Case, namespace: str) -> bool:
    """Whether the stack's operators live in a namespace."""
    platform = case.settings.platform
    return namespace in {platform.kserve.namespace, platform.kuadrant.namespace} | {
        each.namespace for each in case.wanted if each.kind in ("Subscription", "OperatorGroup")
    } or any(
        namespace_of(each) == namespace and dig(each, "spec", "name") in _KUADRANT_PACKAGES
        for each in case.cluster.all(*SUBSCRIPTION)
    )


def meshes(case: Case) -> Iterator[Finding]:
    """A second mesh: a stray Sail operator, or on OpenShift a subscription beside the platform's own."""
    wanted = {(each.namespace, each.metadata_name) for each in case.of_kind("Subscription")}
    openshift = case.settings.platform.profile is Profile.OPENSHIFT
    for each in case.cluster.all(*SUBSCRIPTION):
        package = dig(each, "spec", "name")
        if package not in _MESH_PACKAGES or (namespace_of(each), name_of(each)) in wanted:
            continue
        if _OWNED_BY_INGRESS in annotations_of(each) or not (openshift or package == "sailoperator"):
            continue
        message = f"installs {package}, a second mesh beside the one that serves the gateway"
        clean_up = {"sailOperator": True, "sailNamespace": namespace_of(each)}
        ours = f"maas:platform.cleanUp: {json.dumps(clean_up)}; or " if name_of(each) == SAIL_SUBSCRIPTION else ""
        fix = (
            f"{ours}kubectl delete subscription.operators.coreos.com {name_of(each)} -n {namespace_of(each)}, then its "
            "ClusterServiceVersion; approve no upgrade of it"
        )
        yield Finding("mesh", Level.PROBLEM, ref(each), message, fix)


def webhooks(case: Case) -> Iterator[Finding]:
    """OpenDataHub's webhook for InferenceServices: without its controller, KServe's objects cannot be written."""
    for each in case.cluster.all(*WEBHOOKS):
        if any(_is_odh(webhook) for webhook in items(each.get("webhooks"))):
            message = "OpenDataHub's webhook changes, or refuses, every InferenceService beside KServe's own"
            ours = ", or maas:platform.cleanUp: {odhWebhook: true}" if name_of(each) == ODH_WEBHOOK else ""
            fix = f"where OpenDataHub serves no models here: kubectl delete {WEBHOOKS[1].lower()} {name_of(each)}{ours}"
            yield Finding("kserve", Level.PROBLEM, ref(each), message, fix)


def _is_odh(webhook: Manifest) -> bool:
    names = f"{webhook.get('name')} {dig(webhook, 'clientConfig', 'service', 'name')}"
    resources = {str(name) for rule in items(webhook.get("rules")) for name in texts(rule.get("resources"))}
    return "odh-model-controller" in names and "inferenceservices" in resources
