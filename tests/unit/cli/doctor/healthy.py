"""A cluster on which everything is well, made by hand from what the program would deploy."""

import copy
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from cli.doctor.case import Case, listings
from cli.doctor.checks.operators import DEPLOYMENTS
from cli.doctor.command import diagnose, program
from cli.doctor.findings import Finding, Level
from cli.doctor.snapshot import Snapshot
from cli.program.recorder import Object, record, stack_config
from components.operators.catalogue import DECLARATIONS, releases
from config.platform import Install, platform_field
from config.settings import Settings
from config.source import load
from sandbox import operators
from sandbox.contents import nodes
from sandbox.kube import reference

Manifest = dict[str, Any]
GENERATION = 3


def true(*types: str, stale: bool = False) -> list[Manifest]:
    generation = GENERATION - 1 if stale else GENERATION
    return [{"type": each, "status": "True", "reason": each, "observedGeneration": generation} for each in types]


def false(type_: str, reason: str, message: str = "") -> Manifest:
    entry = {"type": type_, "status": "False", "reason": reason, "message": message}
    return entry | {"observedGeneration": GENERATION}


_recorded = cache(program)


def _changed(stack: str, changes: Mapping[str, Any]) -> tuple[Settings, tuple[Object, ...]]:
    """The stack with other sections in place of its own."""
    values, secrets = stack_config(stack)
    values |= {f"maas:{name}": json.dumps(section) for name, section in changes.items()}
    return load(stack, values), record(stack, values, secrets).objects


class Cluster:
    """The sandbox's stack on a healthy cluster; a test breaks one thing and looks at what the doctor says."""

    def __init__(
        self, stack: str = "sandbox", changes: Mapping[str, Any] | None = None, *, deployed: bool = True
    ) -> None:
        self.stack = stack
        # Frozen, so that tests may share it.
        self.settings, self.wanted = _changed(stack, changes) if changes else _recorded(stack)
        self.objects: dict[tuple[str, str], list[Manifest]] = {
            (each.api_version, each.kind): [] for each in listings(self.settings, self.wanted)
        }
        self.not_served: dict[tuple[str, str], tuple[str, ...]] = {}
        self.denied: dict[tuple[str, str], str] = {}
        self.version = "v1.33.2"
        for each in operators.objects():
            self.add(each)
        for each in nodes():
            self.add(each | {"status": {**each["status"], "conditions": true("Ready")}})
        for each in self.objects["apps/v1", "Deployment"]:
            each["status"] = {"conditions": true("Available")}
        self._belongs_to_our_releases()
        self.of("GatewayClass", "istio")["status"] = {"conditions": true("Accepted")}
        if deployed:
            for kind, version in (
                ("Limitador", "limitador.kuadrant.io/v1alpha1"),
                ("Authorino", "operator.authorino.kuadrant.io/v1beta1"),
            ):
                metadata = {"name": kind.lower(), "namespace": "kuadrant-system"}
                ready = {"spec": {}, "status": {"conditions": true("Ready")}}
                self.add({"apiVersion": version, "kind": kind, "metadata": metadata, **ready})
            for wanted in self.wanted:
                self.deploy(wanted)

    def _belongs_to_our_releases(self) -> None:
        """Where the stack installs by Helm, Helm has marked what it made."""
        for declaration in DECLARATIONS:
            if declaration.of(self.settings.platform).install is Install.HELM:
                release = releases(declaration, self.settings)[-1]
                marks = {
                    "meta.helm.sh/release-name": release.name,
                    "meta.helm.sh/release-namespace": release.namespace,
                }
                for each in self.objects["apps/v1", "Deployment"]:
                    if each["metadata"]["name"] in DEPLOYMENTS[platform_field(declaration.key)]:
                        each["metadata"].setdefault("annotations", {}).update(marks)

    def add(self, obj: Mapping[str, Any]) -> Manifest:
        body = copy.deepcopy(dict(obj))
        body["metadata"].setdefault("generation", GENERATION)
        self.objects.setdefault((body["apiVersion"], body["kind"]), []).append(body)
        return body

    def deploy(self, wanted: Object) -> None:
        body = copy.deepcopy(dict(wanted.body))
        if wanted.is_patch:
            merge(self.of(wanted.kind, wanted.metadata_name, wanted.namespace), body)
            return
        if wanted.kind == "Secret":
            values = body.pop("stringData", {})
            body["data"] = {key: hashlib.sha256(value.encode()).hexdigest() for key, value in values.items()}
        body["status"] = status(body)
        self.add(body)

    def of(self, kind: str, name: str, namespace: str = "") -> Manifest:
        for (_, known), found in self.objects.items():
            for each in found:
                metadata = each["metadata"]
                if known == kind and metadata["name"] == name and namespace in ("", metadata.get("namespace")):
                    return each
        raise KeyError(reference(kind, name, namespace))

    def remove(self, kind: str, name: str) -> None:
        gone = self.of(kind, name)
        for found in self.objects.values():
            found[:] = [each for each in found if each is not gone]

    def unserve(self, kind: str, *served: str) -> None:
        for key in [key for key in self.objects if key[1] == kind]:
            del self.objects[key]
            self.not_served[key] = served

    def case(self) -> Case:
        objects = {kind: tuple(found) for kind, found in self.objects.items()}
        return Case(
            self.stack, self.settings, self.wanted, Snapshot(self.version, objects, self.not_served, self.denied)
        )

    def findings(self) -> tuple[Finding, ...]:
        return diagnose(self.case())

    def bad(self) -> list[Finding]:
        """What the doctor names: problems and warnings."""
        return [each for each in self.findings() if each.level in (Level.PROBLEM, Level.WARNING)]


def merge(target: Manifest, patch: Mapping[str, Any]) -> None:
    for key, value in patch.items():
        if isinstance(value, Mapping) and key in target:
            merge(target[key], cast("Manifest", value))
        else:
            target[key] = copy.deepcopy(cast("Any", value))


def status(body: Manifest) -> Manifest:
    match body["kind"]:
        case "Gateway":
            listeners = [{"name": each["name"], "conditions": true("Accepted")} for each in body["spec"]["listeners"]]
            addresses = [{"value": "192.0.2.7"}]
            return {"conditions": true("Accepted", "Programmed"), "listeners": listeners, "addresses": addresses}
        case "HTTPRoute":
            return {"parents": [{"conditions": true("Accepted", "ResolvedRefs")}]}
        case "Route":
            return {"ingress": [{"conditions": true("Admitted")}]}
        case "AuthPolicy" | "RateLimitPolicy" | "TokenRateLimitPolicy" | "TelemetryPolicy":
            return {"conditions": true("Accepted", "Enforced")}
        case "Kuadrant" | "InferenceService" | "LLMInferenceService":
            return {"conditions": true("Ready")}
        case _:
            return {}


def set_condition(obj: Manifest, bad: Manifest) -> None:
    """Replace one condition, or add it."""
    conditions = obj["status"]["conditions"]
    conditions[:] = [each for each in conditions if each["type"] != bad["type"]] + [bad]
