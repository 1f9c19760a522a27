#!/usr/bin/env python3
"""Changes that are made to a cluster once, each limited to named objects that belong to somebody else.

Runs as a Job with the rights of its ServiceAccount (components/housekeeping/__init__.py), or as a process: then
MAAS_API_SERVER, MAAS_API_TOKEN and MAAS_API_CA (a file) say where and as whom. Needs nothing but Python's own library.
Doing it again is harmless: each step first looks at what is there.
"""

import argparse
import json
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_NOT_FOUND, _CONFLICT = 404, 409
_PASSING = frozenset({429, 500, 502, 503, 504})
_ATTEMPTS = 6
_JSON, _MERGE = "application/json", "application/merge-patch+json"

KEY = "enableUserWorkload"
MONITORING_NAMESPACE = "openshift-monitoring"
MONITORING_CONFIG = "cluster-monitoring-config"
MONITORING_TEXT = "config.yaml"
ODH_WEBHOOK = "mutating.odh-model-controller.opendatahub.io"
SAIL_SUBSCRIPTION = "sailoperator"
SAIL_VERSIONS = "sailoperator."
"""What the names of the Sail operator's ClusterServiceVersions begin with."""
SAIL_DEPLOYMENTS = ("sail-operator", "istiod")
ROOT_CERTIFICATE = "istio-ca-root-cert"
GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"

_OLM = "/apis/operators.coreos.com/v1alpha1"
_REVISION = "deployment.kubernetes.io/revision"

Body = dict[str, Any]


class StepError(Exception):
    """The step cannot be done; the message says why, and what to do by hand."""


# The API server.


class RefusedError(StepError):
    """The API server refused a request."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Api:
    """One API server and the right to talk to it."""

    def __init__(self, server: str, token: str, authority: str, *, pause: float = 1.0) -> None:
        """Prepare the connection.

        Args:
            server: Base URL.
            token: Bearer token.
            authority: File with the certificates to trust.
            pause: Seconds before a request is tried again, doubled each time.
        """
        self._server = server.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Accept": _JSON}
        context = ssl.create_default_context(cafile=authority) if server.startswith("https:") else None
        https = [urllib.request.HTTPSHandler(context=context)] if context else []
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({}), *https).open
        self._pause = pause

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], account: Path = _ACCOUNT) -> "Api":
        """The API server of the pod that this runs in, unless the environment names another.

        Raises:
            StepError: Neither is there.
        """
        server = environment.get("MAAS_API_SERVER")
        host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
        if not server:
            if not host:
                raise StepError("no cluster: not in a pod, and MAAS_API_SERVER is not set")
            server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        try:
            token = environment.get("MAAS_API_TOKEN") or (account / "token").read_text(encoding="utf-8").strip()
        except OSError as error:
            raise StepError(f"no token: {error}") from error
        authority = environment.get("MAAS_API_CA") or str(account / "ca.crt")
        try:
            return cls(server, token, authority)
        except OSError as error:
            raise StepError(f"no certificates to trust in {authority}: {error}") from error

    def get(self, path: str) -> Body | None:
        """What is there; None when nothing is, or its kind is not served."""
        return self._absent_is_none("GET", path)

    def items(self, path: str, selector: str = "") -> list[Body]:
        """What a collection has; nothing when its kind is not served."""
        query = f"?{urllib.parse.urlencode({'labelSelector': selector})}" if selector else ""
        found = self._absent_is_none("GET", path + query) or {}
        return cast("list[Body]", found.get("items") or [])

    def delete(self, path: str) -> bool:
        """Delete it; False when it was not there."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        return self._absent_is_none("DELETE", path, body) is not None

    def create(self, path: str, body: Body) -> Body:
        """Create an object in a collection."""
        return self._call("POST", path, body)

    def patch(self, path: str, body: Body) -> Body:
        """Change some fields of an object."""
        return self._call("PATCH", path, body, _MERGE)

    def _absent_is_none(self, method: str, path: str, body: Body | None = None) -> Body | None:
        try:
            return self._call(method, path, body)
        except RefusedError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def _call(self, method: str, path: str, body: Body | None = None, content_type: str = _JSON) -> Body:
        data = json.dumps(body).encode() if body is not None else None
        headers = {**self._headers, **({"Content-Type": content_type} if data else {})}
        url = self._server + path
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - the cluster's own address
        for attempt in range(_ATTEMPTS):
            try:
                with self._open(request, timeout=30) as answer:
                    return cast("Body", json.load(answer))
            except urllib.error.HTTPError as error:
                if error.code not in _PASSING or attempt == _ATTEMPTS - 1:
                    raise RefusedError(error.code, f"{method} {path}: HTTP {error.code}: {_message(error)}") from error
            except (OSError, ValueError) as error:
                if attempt == _ATTEMPTS - 1:
                    raise StepError(f"{method} {path}: no answer from {self._server}: {error}") from error
            time.sleep(self._pause * 2**attempt)
        raise AssertionError("unreachable")


def _message(error: urllib.error.HTTPError) -> str:
    text = error.read().decode(errors="replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200] or str(error.reason)


def _mapping(value: object) -> Body:
    """A mapping that may be missing."""
    return cast("Body", value or {})


def say(text: str) -> None:
    """Tell what was done: the Job's log."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# User-workload monitoring: one key of a YAML text that others write, too.

_TOP_KEY = re.compile(r"""^(?P<key>[A-Za-z_][\w./-]*|"[\w./-]+"|'[\w./-]+')\s*:(?P<value>\s.*|)$""")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_OTHER_BREAK = re.compile("\r(?!\n)|[\x0b\x0c\x85\u2028\u2029]")
_COMMENT = re.compile(r"^\s*(#.*)?$")
_PROPERTIES = re.compile(r"^([&!]\S*\s+)*")
_START = re.compile(r"^---\s*(#.*)?$")
_BOOLEAN = re.compile(r"^(?P<before>\s+)(?P<word>\w+|~)?(?P<after>\s*|\s+#.*)$")
_WHOLE_TEXT = re.compile(r"""^("(\\.|[^"\\])*"|'(''|[^'])*')\s*(\s#.*)?$""")
_TRUE, _FALSE = frozenset({"true", "True", "TRUE"}), frozenset({"false", "False", "FALSE", "null", "~", None})


def with_user_workload(text: str) -> str:
    """The text with `enableUserWorkload: true` at its top level, and everything else as it was, byte for byte.

    There is no YAML parser in Python's own library, so this reads only what such texts look like: block style, keys at
    the beginning of their lines. What it does not understand for certain it leaves alone.

    Raises:
        StepError: The text is written in another way.
    """
    lines: list[str] = _LINE.findall(text)
    top = _top_level(lines)
    ours = [number for number, key in top if key == KEY]
    if len(ours) > 1:
        raise _not_understood(ours[1], f"{KEY} is there twice")
    if ours:
        lines[ours[0]] = _turned_on(lines, ours[0])
        return "".join(lines)
    newline = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    # First, and not last: what stands at the end may be a text that goes on to the end.
    empty = [number for number, line in enumerate(lines) if line.strip() == "{}"]
    if empty:
        lines[empty[0]] = f"{KEY}: true{newline}"
        return "".join(lines)
    start = next((number for number, line in enumerate(lines) if _START.match(line.rstrip())), None)
    place = 0 if start is None else start + 1
    if place and not lines[place - 1].endswith("\n"):
        lines[place - 1] += newline
    lines.insert(place, f"{KEY}: true{newline}")
    return "".join(lines)


def _top_level(lines: Sequence[str]) -> list[tuple[int, str]]:
    """Number and key of each line that begins a top-level entry."""
    top: list[tuple[int, str]] = []
    started, alone = False, False
    for number, line in enumerate(lines):
        content = line.rstrip()
        if _OTHER_BREAK.search(line):
            raise _not_understood(number, "an unusual character that can end a line")
        if _COMMENT.match(content):
            continue
        if _START.match(content) and not started and not top:
            started = True
            continue
        if alone:
            raise _not_understood(number, "there is something beside an empty mapping")
        if content == "{}" and not top:
            alone = True
            continue
        if content[0] == " " and top:  # belongs to the entry above it
            continue
        if content[:2] in {"- ", "-"} and top and not _value(lines[top[-1][0]]):
            continue  # so does a list, which needs no indentation
        match = _TOP_KEY.match(content)
        if match is None:
            raise _not_understood(number, f"{content[:60]!r} is not `key: value` at the beginning of a line")
        _refuse_open_value(number, _PROPERTIES.sub("", match["value"].strip()))
        top.append((number, match["key"].strip("\"'")))
    return top


def _value(line: str) -> str:
    match = _TOP_KEY.match(line.rstrip())
    value = match["value"].strip() if match else ""
    return "" if value.startswith("#") else value


def _refuse_open_value(number: int, value: str) -> None:
    """A text or a list that ends on a later line could hide what looks like a key."""
    if value[:1] in {'"', "'"} and not _WHOLE_TEXT.match(value):
        raise _not_understood(number, "a text in quotes that does not end on its line")
    if value[:1] in {"{", "["}:
        bare = re.sub(r"""\s#.*$|"(\\.|[^"\\])*"|'[^']*'""", "", value)
        if bare.count("{") != bare.count("}") or bare.count("[") != bare.count("]"):
            raise _not_understood(number, "flow style that does not end on its line")


def _turned_on(lines: Sequence[str], number: int) -> str:
    line = lines[number]
    content = line.rstrip("\r\n")
    match = _TOP_KEY.match(content)
    value = _BOOLEAN.match(match["value"] or " ") if match else None
    below = next((each for each in lines[number + 1 :] if not _COMMENT.match(each.rstrip())), "")
    if match is None or value is None or below.startswith((" ", "- ")) or value["word"] not in _TRUE | _FALSE:
        raise _not_understood(number, f"the value of {KEY} is neither true nor false")
    if value["word"] in _TRUE:
        return line
    ending = line[len(content) :]
    return f"{content[: match.end('key')]}: true{value['after'] if value['after'].strip() else ''}{ending}"


def _not_understood(number: int, why: str) -> StepError:
    return StepError(
        f"{MONITORING_TEXT} of ConfigMap {MONITORING_NAMESPACE}/{MONITORING_CONFIG}, line {number + 1}: {why}. It is "
        f"left as it is: add `{KEY}: true` to it by hand, or set maas:platform.monitoring.userWorkload to existing"
    )


def user_workload_monitoring(api: Api) -> None:
    """Have OpenShift run a Prometheus for the monitors of users' namespaces.

    Raises:
        StepError: The ConfigMap has a text that this cannot change for certain, or others kept changing it.
    """
    collection = f"/api/v1/namespaces/{MONITORING_NAMESPACE}/configmaps"
    name = f"ConfigMap {MONITORING_NAMESPACE}/{MONITORING_CONFIG}"
    for attempt in range(_ATTEMPTS):
        found = api.get(f"{collection}/{MONITORING_CONFIG}")
        before = str(_mapping((found or {}).get("data")).get(MONITORING_TEXT) or "")
        after = with_user_workload(before)
        if found and before == after:
            say(f"{name} has {KEY}: true already")
            return
        metadata = {"name": MONITORING_CONFIG, "namespace": MONITORING_NAMESPACE}
        try:
            if found is None:
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {MONITORING_TEXT: after}}
                api.create(collection, body)
            else:
                # With its version, the change is refused when somebody else was quicker.
                metadata = {"resourceVersion": found["metadata"]["resourceVersion"]}
                body = {"metadata": metadata, "data": {MONITORING_TEXT: after}}
                api.patch(f"{collection}/{MONITORING_CONFIG}", body)
        except RefusedError as error:
            if error.status != _CONFLICT or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(attempt)
            continue
        say(f"{name}: {'created with' if found is None else 'added'} {KEY}: true")
        return


# What others left behind.


def odh_webhook(api: Api) -> None:
    """Remove OpenDataHub's webhook for InferenceServices."""
    gone = api.delete(f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{ODH_WEBHOOK}")
    say(f"MutatingWebhookConfiguration {ODH_WEBHOOK}: {'removed' if gone else 'is not there'}")


@dataclass(frozen=True)
class Meshes:
    """Where a stray Sail operator is, and the gateway that has to forget its Istio."""

    namespace: str
    """Of the operator and its istiod."""
    ours: str
    """The gateway's namespace."""
    gateway: str
    """The Gateway's name."""
    deployment: str
    """The gateway's Deployment."""
    mark: str
    """Annotation `key=value` of the gateway's pods that restarts them, once."""


def sail_operator(api: Api, meshes: Meshes) -> None:
    """Remove a Sail operator that somebody else's overlay brought, and what its Istio left with our gateway."""
    namespace, ours = meshes.namespace, meshes.ours
    subscription = f"{_OLM}/namespaces/{namespace}/subscriptions/{SAIL_SUBSCRIPTION}"
    _remove(api, f"Subscription {namespace}/{SAIL_SUBSCRIPTION}", subscription)
    versions = f"{_OLM}/namespaces/{namespace}/clusterserviceversions"
    for each in api.items(versions):
        name = str(each["metadata"]["name"])
        # A copy goes with its original.
        if name.startswith(SAIL_VERSIONS) and "olm.copiedFrom" not in _mapping(each["metadata"].get("labels")):
            _remove(api, f"ClusterServiceVersion {namespace}/{name}", f"{versions}/{name}")
    for name in SAIL_DEPLOYMENTS:
        _remove(api, f"Deployment {namespace}/{name}", f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    # The certificates of the Istio that is gone; the right one writes its own.
    path = f"/api/v1/namespaces/{ours}/configmaps/{ROOT_CERTIFICATE}"
    _remove(api, f"ConfigMap {ours}/{ROOT_CERTIFICATE}", path)
    _leftover_replica_sets(api, ours, meshes.gateway)
    _restart(api, ours, meshes.deployment, meshes.mark)


def _remove(api: Api, what: str, path: str) -> None:
    say(f"{what}: {'removed' if api.delete(path) else 'is not there'}")


def _leftover_replica_sets(api: Api, namespace: str, gateway: str) -> None:
    """Remove the gateway's ReplicaSets that run no pods: a later revision has taken their place."""
    path = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    found = api.items(path, f"{GATEWAY_LABEL}={gateway}")
    newest = max((_revision(each) for each in found), default=0)
    for each in found:
        name = str(each["metadata"]["name"])
        orphan = not each["metadata"].get("ownerReferences")
        if orphan or (_revision(each) < newest and not each["spec"].get("replicas")):
            _remove(api, f"ReplicaSet {namespace}/{name}", f"{path}/{name}")


def _revision(replica_set: Body) -> int:
    return int(_mapping(replica_set["metadata"].get("annotations")).get(_REVISION, 0))


def _restart(api: Api, namespace: str, name: str, mark: str) -> None:
    """Roll the gateway's pods, which trust the certificates that they read when they started."""
    key, _, value = mark.partition("=")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    found = api.get(path)
    if found is None:
        say(f"Deployment {namespace}/{name}: is not there yet")
        return
    annotations = _mapping(found["spec"]["template"]["metadata"].get("annotations"))
    if annotations.get(key) == value:
        say(f"Deployment {namespace}/{name}: was restarted already")
        return
    api.patch(path, {"spec": {"template": {"metadata": {"annotations": {key: value}}}}})
    say(f"Deployment {namespace}/{name}: restarted")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("user-workload-monitoring", help=(user_workload_monitoring.__doc__ or "").partition("\n")[0])
    steps.add_parser("odh-webhook", help=odh_webhook.__doc__)
    sail = steps.add_parser("sail-operator", help=sail_operator.__doc__)
    options = [each.name for each in fields(Meshes)]
    for option in options:
        sail.add_argument(f"--{option}", required=True)
    chosen = parser.parse_args(arguments)
    try:
        api = Api.from_environment(os.environ)
        if chosen.step == "user-workload-monitoring":
            user_workload_monitoring(api)
        elif chosen.step == "odh-webhook":
            odh_webhook(api)
        else:
            sail_operator(api, Meshes(**{option: getattr(chosen, option) for option in options}))
    except StepError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
