"""What the gateway tells of itself, on a port of its own: health, metrics, targets to scrape, decisions, counters."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from enforcement.counters import Counter
from sandbox.gateway.journal import counted, shown
from sandbox.gateway.proxy import Proxy, as_json

_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_LOOPBACK = "127.0.0.1"
LIMITADOR, AUTHORINO, ENVOY = "/limitador/metrics", "/authorino/server-metrics", "/envoy/stats/prometheus"
Health = Callable[[], dict[str, Any]]


def admin_application(proxy: Proxy, health: Health, port: int) -> web.Application:
    """The endpoints; all of them only read.

    Args:
        proxy: the data path.
        health: what `/healthz` says.
        port: where it will listen, for the list of targets.
    """
    app = web.Application(middlewares=[_for_this_machine])

    def page(text: Callable[[], bytes]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            del request
            return web.Response(body=text(), headers={"Content-Type": _METRICS})

        return answer

    async def healthz(request: web.Request) -> web.Response:
        del request
        return as_json(health())

    async def targets(request: web.Request) -> web.Response:
        del request
        return as_json(scrape_targets(proxy, port))

    async def decisions(request: web.Request) -> web.Response:
        count = request.query.get("limit", "50")
        return as_json(proxy.journal.last(int(count) if count.isdecimal() else 50))

    async def decision(request: web.Request) -> web.Response:
        entry = proxy.journal.find(request.match_info["id"])
        if entry is None:
            return as_json({"error": "not among the last decisions"}, 404)
        return as_json({**shown(entry), "counters": await _read(proxy, list(entry.counters.values()))})

    async def trace(request: web.Request) -> web.Response:
        del request
        return web.Response(text=proxy.journal.trace(), content_type="application/jsonl")

    async def counters(request: web.Request) -> web.Response:
        wanted = request.query.get("user")
        users = [wanted] if wanted is not None else proxy.journal.users()
        found = {user: await _read(proxy, proxy.journal.counters_of(user)) for user in users}
        return as_json({user: running for user, all_ in found.items() if (running := _running(all_))})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/targets", targets)
    app.router.add_get("/decisions", decisions)
    app.router.add_get("/decisions/{id}", decision)
    app.router.add_get("/counters", counters)
    app.router.add_get("/trace", trace)
    app.router.add_get(LIMITADOR, page(proxy.telemetry.limitador.text))
    app.router.add_get(AUTHORINO, page(proxy.telemetry.authorino.text))
    app.router.add_get(ENVOY, page(proxy.telemetry.envoy.text))
    return app


def scrape_targets(proxy: Proxy, port: int) -> list[dict[str, Any]]:
    """What Prometheus' HTTP service discovery takes; labels are those that the stack's monitors give on a cluster."""
    gates = proxy.gates
    kuadrant = gates.kuadrant_namespace if gates else ""
    gateways = [name.partition("/") for name in (gates.names if gates else [])]
    here = f"{_LOOPBACK}:{port}"
    found = [
        _target(here, LIMITADOR, kuadrant, "limitador-limitador", service="limitador-limitador"),
        _target(here, AUTHORINO, kuadrant, "authorino-controller-metrics", service="authorino-controller-metrics"),
    ]
    if gateways:
        # One Envoy here, whatever the number of Gateways: it must not be scraped twice.
        namespace, _, name = gateways[0]
        found.append(_target(here, ENVOY, namespace, f"{namespace}/maas-gateway", pod=f"{name}-istio"))
    return found + [
        _target(
            f"{_LOOPBACK}:{each.port}",
            "/metrics",
            each.model.namespace,
            f"{each.model.namespace}/maas-models",
            pod=each.model.service[1],
        )
        for each in proxy.backends.all()
        if each.port is not None
    ]


def _target(address: str, path: str, namespace: str, job: str, **labels: str) -> dict[str, Any]:
    return {
        "targets": [address],
        "labels": {"__metrics_path__": path, "job": job, "namespace": namespace, **labels},
    }


async def _read(proxy: Proxy, counters: list[Counter]) -> list[dict[str, Any]]:
    gate_counters = proxy.counters
    now = proxy.clock()
    return await proxy.counting(gate_counters, lambda: [counted(gate_counters, each, now) for each in counters])


def _running(counters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those whose window has not ended: others are of no interest, and may be of a tier that the user has left."""
    return [each for each in counters if each["used"] or each["endsInSeconds"]]


@web.middleware
async def _for_this_machine(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A page in a browser could reach loopback under a name of its own; it would not get past this."""
    if request.host.partition(":")[0] not in {_LOOPBACK, "localhost"}:
        return as_json({"error": "for this machine only"}, 403)
    return await handler(request)
