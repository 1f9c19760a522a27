"""The metrics of Limitador, Authorino and Envoy, in their names and with their labels.

Who counts what, and when, is in Limitador's server and Kuadrant's filter: a call for request limits counts a call and a
hit, a check of a token limit counts a call, a report counts the tokens as hits.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from enforcement.decision import Call, Decision, Gate, labels
from sandbox.gateway.gates import Limiter

prometheus_client.disable_created_metrics()

_MILLISECONDS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000)
"""Envoy's own buckets."""
_STATUS = {200: "OK", 401: "UNAUTHENTICATED"}
Labels = Mapping[str, str]


class _Family(Collector):
    """A metric whose labels are not known beforehand: a TelemetryPolicy names them."""

    def __init__(self, name: str, text: str, kind: str = "counter") -> None:
        self.name, self._text, self._kind = name, text, kind
        self._values: dict[tuple[tuple[str, str], ...], float] = {}

    def add(self, amount: float, which: Labels) -> None:
        key = tuple(sorted(which.items()))
        self._values[key] = self._values.get(key, 0.0) + amount

    def put(self, value: float, which: Labels) -> None:
        self._values[tuple(sorted(which.items()))] = value

    def collect(self) -> Iterator[Metric]:
        """The metric with all its samples."""
        metric = Metric(self.name, self._text, self._kind)
        for key, value in self._values.items():
            metric.add_sample(self.name, dict(key), value)
        yield metric


class _Page:
    """One endpoint that Prometheus scrapes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._plain: list[str] = []

    def family(self, name: str, text: str, kind: str = "counter") -> _Family:
        """A counter whose name has no `_total`, or a gauge."""
        made = _Family(name, text, kind)
        self.registry.register(made)
        self._plain.append(name)
        return made

    def text(self) -> bytes:
        """The text format. The library adds `_total` to a counter's type line; these counters are older than that."""
        names = "|".join(map(re.escape, self._plain))
        return re.sub(rf"(?m)^# (HELP|TYPE) ({names})_total ".encode(), rb"# \1 \2 ", generate_latest(self.registry))


class Telemetry:
    """What the three of them count."""

    def __init__(self) -> None:
        self.limitador, self.authorino, self.envoy = _Page(), _Page(), _Page()
        page = self.limitador
        self._calls = page.family("authorized_calls", "Authorized calls")
        self._hits = page.family("authorized_hits", "Authorized hits")
        self._limited = page.family("limited_calls", "Limited calls")
        page.family("limitador_up", "Limitador is running", "gauge").put(1, {})
        self._partitioned = page.family(
            "datastore_partitioned", "Limitador is partitioned from backing datastore", "gauge"
        )
        self.partitioned(yes=False)
        page = self.authorino
        config = ("namespace", "authconfig")
        self._checks = page.family("auth_server_authconfig_total", "Total number of authconfigs enforced")
        self._check_status = page.family(
            "auth_server_authconfig_response_status", "Response status of authconfigs sent by the auth server"
        )
        self._status = page.family("auth_server_response_status", "Status of HTTP response sent by the auth server")
        self._check_seconds = Histogram(
            "auth_server_authconfig_duration_seconds",
            "Response latency of authconfig enforced",
            config,
            buckets=(0.001, 0.051, 0.101, 0.151, 0.201, 0.251, 0.301, 0.351, 0.401, 0.451),
            registry=page.registry,
        )
        page = self.envoy
        self._filter = {
            name: page.family(f"kuadrant_{name}", f"Kuadrant's filter: {name}")
            for name in ("configs", "hits", "misses", "allowed", "denied", "errors")
        }
        for family in self._filter.values():
            family.add(0, {})
        istio = (
            "reporter",
            "source_workload",
            "source_workload_namespace",
            "destination_service",
            "destination_service_name",
            "destination_service_namespace",
            "request_protocol",
            "response_code",
            "response_flags",
        )
        self._requests = Counter("istio_requests_total", "Requests", istio, registry=page.registry)
        self._milliseconds = Histogram(
            "istio_request_duration_milliseconds",
            "Duration of requests",
            istio,
            buckets=_MILLISECONDS,
            registry=page.registry,
        )

    def configured(self) -> None:
        """The filter has got other policies."""
        self._filter["configs"].add(1, {})

    def partitioned(self, *, yes: bool) -> None:
        """Whether the limiter cannot reach its Redis."""
        self._partitioned.put(float(yes), {})

    def decided(self, gate: Gate, decision: Decision, limiter: Limiter, seconds: float) -> None:
        """Count a request that was decided over; before its answer is sent."""
        self._filter["hits" if decision.guarded else "misses"].add(1, {})
        if decision.guarded:
            refused = decision.status != 200 and decision.backend is None and _by_filter(decision)  # noqa: PLR2004
            self._filter["denied" if refused else "allowed"].add(1, {})
        if decision.errors:
            self._filter["errors"].add(decision.errors, {})
        self._checked(gate, decision, seconds)
        self._called(gate, decision, decision.calls, limiter)

    def finished(self, gate: Gate, decision: Decision, limiter: Limiter, before: tuple[int, int]) -> None:
        """Count the reports of an answered request; `before` is how many calls and errors there were before them."""
        calls, errors = before
        if decision.errors > errors:
            self._filter["errors"].add(decision.errors - errors, {})
        self._called(gate, decision, decision.calls[calls:], limiter)

    def answered(self, gateway: str, namespace: str, service: tuple[str, str], outcome: tuple[int, str, float]) -> None:
        """Count what Envoy counts of a request that it sent on.

        Args:
            gateway: name of the Gateway.
            namespace: its namespace.
            service: namespace and name of where the request went.
            outcome: status, Envoy's response flags, seconds.
        """
        to_namespace, to = service
        status, flags, seconds = outcome
        values = (
            "source",
            f"{gateway}-istio",
            namespace,
            f"{to}.{to_namespace}.svc.cluster.local",
            to,
            to_namespace,
            "http",
            str(status),
            flags,
        )
        self._requests.labels(*values).inc()
        self._milliseconds.labels(*values).observe(seconds * 1000)

    def _checked(self, gate: Gate, decision: Decision, seconds: float) -> None:
        if decision.verdict is None or decision.path is None:
            return
        status = "OK" if decision.verdict.allowed else _STATUS.get(decision.verdict.status, "PERMISSION_DENIED")
        # Kuadrant names an AuthConfig by a hash of the path that it is for.
        path = f"{decision.path.listener}/{decision.path.namespace}/{decision.path.hostname}/{decision.path.rule_index}"
        name = hashlib.sha256(path.encode()).hexdigest()
        which = {"namespace": gate.world.kuadrant_namespace, "authconfig": name}
        self._checks.add(1, which)
        self._check_status.add(1, {**which, "status": status})
        self._status.add(1, {"status": status})
        self._check_seconds.labels(*which.values()).observe(seconds)

    def _called(self, gate: Gate, decision: Decision, calls: Sequence[Call], limiter: Limiter) -> None:
        if not calls or decision.context is None:
            return
        common = labels(gate.world, decision.context)
        for call in calls:
            which = {"limitador_namespace": call.counters[0].namespace, **common}
            if call.kind == "report":
                self._hits.add(call.hits, which)
            elif call.refused is None:
                self._calls.add(1, which)
                if call.kind == "limit":
                    self._hits.add(call.hits, which)
            else:
                self._limited.add(1, {**which, "limit_name": call.refused.name} if limiter.exhaustive else which)


def _by_filter(decision: Decision) -> bool:
    """Whether a refusal is the filter's own: the router's come from a request that it let pass."""
    return (
        bool(decision.refused_by)
        or (decision.verdict is not None and not decision.verdict.allowed)
        or bool(decision.errors)
    )
