"""A client of Prometheus' HTTP API, wherever it is: at an address, or behind a cluster's API server."""

import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import urlsplit

import httpx

from cli.exits import Exit, MaasError
from config.platform import Profile
from config.settings import Settings
from sandbox.kubeconfig import Connection, KubeconfigError

_SECONDS = 120.0
_THANOS_ROUTE = "/apis/route.openshift.io/v1/namespaces/openshift-monitoring/routes/thanos-querier"
Labels = tuple[tuple[str, str], ...]
"""The labels of a series, sorted."""


@dataclass(frozen=True)
class Sample:
    """One value at one time (seconds since 1970, exact)."""

    time: Decimal
    value: Decimal


@dataclass(frozen=True)
class Api:
    """Where to ask, and the right to."""

    url: str
    tls: ssl.SSLContext | bool = True
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    proxy: str | None = None

    @classmethod
    def at(cls, url: str, token: str | None = None, ca: Path | None = None) -> Self:
        """An API at an address.

        Args:
            url: Such as `https://prometheus.example.com`, without `/api/v1`.
            token: A bearer token.
            ca: File with the authority of its certificate, where the system does not know it.
        """
        if urlsplit(url).scheme not in {"http", "https"}:
            raise MaasError(f"--url {url}: not an address that begins with http:// or https://", code=Exit.USAGE)
        tls = ssl.create_default_context(cafile=str(ca)) if ca else True
        return cls(url.rstrip("/"), tls, {"Authorization": f"Bearer {token}"} if token else {})

    @classmethod
    def of_cluster(cls, settings: Settings, kubeconfig: Path, ca: Path | None = None) -> Self:
        """The API of a stack's cluster: its Service by way of the API server; on OpenShift Thanos, at its Route."""
        try:
            connection = Connection.read(kubeconfig, settings.cluster.context or None)
        except KubeconfigError as error:
            raise MaasError(str(error), code=Exit.USAGE) from error
        if settings.platform.profile is Profile.OPENSHIFT and settings.observability.prometheus.url is None:
            return cls._of_openshift(connection, ca)
        inside = urlsplit(settings.observability.prometheus.url_on(settings.platform.profile))
        name, _, namespace = (inside.hostname or "").removesuffix(".cluster.local").removesuffix(".svc").partition(".")
        if not name or not namespace or "." in namespace:
            raise MaasError(
                f"{inside.geturl()} is no Service of the cluster (<name>.<namespace>.svc): give --url instead.",
                code=Exit.USAGE,
            )
        port = inside.port or (443 if inside.scheme == "https" else 80)
        path = f"/api/v1/namespaces/{namespace}/services/{inside.scheme}:{name}:{port}/proxy"
        return cls(connection.server + path, connection.tls, connection.headers, connection.proxy)

    @classmethod
    def _of_openshift(cls, connection: Connection, ca: Path | None) -> Self:
        # The API server keeps the caller's token to itself when it passes a request on, and Thanos wants one.
        here = cls(connection.server, connection.tls, connection.headers, connection.proxy)
        if "Authorization" not in connection.headers:
            raise MaasError(
                "Thanos wants a token, and the kubeconfig has none: log in with `oc login`, or set "
                "MAAS_PROMETHEUS_TOKEN and --url.",
                code=Exit.USAGE,
            )
        route = here.get(_THANOS_ROUTE)
        tls = ssl.create_default_context(cafile=str(ca)) if ca else True
        return cls(f"https://{route['spec']['host']}", tls, connection.headers)

    def get(self, path: str) -> dict[str, Any]:
        """Any JSON below the address."""
        return self._request("GET", path, {})

    def instant(self, expression: str, time: Decimal) -> dict[Labels, list[Sample]]:
        """The values at one time; for a range selector, its samples."""
        return self._query("query", {"query": expression, "time": str(time)})

    def range(self, expression: str, start: Decimal, end: Decimal, step: int) -> dict[Labels, list[Sample]]:
        """The values at `start`, every `step` seconds after it, and not after `end`."""
        wanted = {"query": expression, "start": str(start), "end": str(end), "step": str(step)}
        return self._query("query_range", wanted)

    def _query(self, kind: str, parameters: dict[str, str]) -> dict[Labels, list[Sample]]:
        answer = self._request("POST", f"/api/v1/{kind}", parameters)
        if answer.get("status") != "success":
            raise MaasError(f"{self.url} refuses {parameters['query']!r}: {answer.get('error', 'no reason given')}")
        result = cast("list[dict[str, Any]]", answer["data"]["result"])
        return {
            tuple(sorted(cast("dict[str, str]", each["metric"]).items())): [
                Sample(Decimal(time), Decimal(value)) for time, value in each.get("values") or [each["value"]]
            ]
            for each in result
        }

    def _request(self, method: str, path: str, data: dict[str, str]) -> dict[str, Any]:
        try:
            with httpx.Client(
                verify=self.tls, headers=dict(self.headers), timeout=_SECONDS, proxy=self.proxy, trust_env=False
            ) as client:
                answer = client.request(method, self.url + path, data=data or None)
        except httpx.HTTPError as error:
            raise MaasError(f"{self.url} does not answer: {error}. Is Prometheus there? Try --url.") from error
        if answer.status_code in (401, 403):
            raise MaasError(
                f"{self.url} does not let this account ask (HTTP {answer.status_code}): it may need "
                "MAAS_PROMETHEUS_TOKEN, or on OpenShift the role cluster-monitoring-view."
            )
        try:
            # Times and values stay as they are written: a float would lose digits of large counters.
            return cast("dict[str, Any]", json.loads(answer.text, parse_float=Decimal))
        except ValueError:
            raise MaasError(f"{self.url}{path} is no Prometheus API: HTTP {answer.status_code}, no JSON.") from None


def token_of_user() -> str | None:
    """The token that the environment has, which is where a token belongs: not on a command line."""
    return os.environ.get("MAAS_PROMETHEUS_TOKEN") or None
