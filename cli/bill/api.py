"""A client of Prometheus' HTTP API, wherever it is: at an address, or behind a cluster's API server."""

import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import urlsplit

import httpx

from cli.exits import Exit, MaasError
from cli.service.addresses import address, trusting
from cli.stacks.stackfile import mapping
from config.platform import Profile
from config.settings import Settings
from sandbox.kubeconfig import Connection, KubeconfigError

_SECONDS = 120.0
_TOKEN = "MAAS_PROMETHEUS_TOKEN"  # noqa: S105 - a variable's name
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
    warnings: list[str] = field(default_factory=list[str], compare=False)
    """What it said beside its answers: Thanos says so that a part is missing."""

    @classmethod
    def at(cls, url: str, token: str | None = None, ca: Path | None = None) -> Self:
        """An API at an address.

        Args:
            url: Such as `https://prometheus.example.com`, without `/api/v1`.
            token: A bearer token.
            ca: File with the authority of its certificate, where the system does not know it.
        """
        address("--url", url)
        tls = trusting("--ca-file", ca) if ca else True
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
        host = mapping(here.get(_THANOS_ROUTE).get("spec")).get("host")
        if not host:
            raise MaasError(f"{connection.server}{_THANOS_ROUTE} has no host: give --url.")
        tls = trusting("--ca-file", ca) if ca else True
        return cls(f"https://{host}", tls, connection.headers)

    def get(self, path: str) -> Mapping[str, Any]:
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
        path = f"/api/v1/{kind}"
        answer = self._request("POST", path, parameters)
        try:
            said = cast("list[str]", answer.get("warnings") or [])
            self.warnings.extend(each for each in said if each not in self.warnings)
            result = cast("list[dict[str, Any]]", answer["data"]["result"])
            return {
                tuple(sorted(cast("dict[str, str]", each["metric"]).items())): [
                    Sample(Decimal(time), Decimal(value)) for time, value in each.get("values") or [each["value"]]
                ]
                for each in result
            }
        except (AttributeError, InvalidOperation, KeyError, TypeError, ValueError):
            raise MaasError(f"{self.url}{path} is no Prometheus API: it answers something else.") from None

    def _request(self, method: str, path: str, data: dict[str, str]) -> Mapping[str, Any]:
        try:
            with httpx.Client(
                verify=self.tls, headers=dict(self.headers), timeout=_SECONDS, proxy=self.proxy, trust_env=False
            ) as client:
                answer = client.request(method, self.url + path, data=data or None)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            fix = "Does --ca-file name its authority?" if "CERTIFICATE_VERIFY" in str(error) else "Is Prometheus there?"
            raise MaasError(f"{self.url} does not answer: {error or type(error).__name__}. {fix} Try --url.") from error
        if answer.status_code in (401, 403):
            raise MaasError(
                f"{self.url} does not let this account ask (HTTP {answer.status_code}): it may need "
                "MAAS_PROMETHEUS_TOKEN, or on OpenShift the role cluster-monitoring-view."
            )
        try:
            # Times and values stay as they are written: a float would lose digits of large counters.
            content = mapping(json.loads(answer.text, parse_float=Decimal))
        except ValueError:
            raise MaasError(f"{self.url}{path} is no Prometheus API: HTTP {answer.status_code}, no JSON.") from None
        if answer.is_success:
            return content
        # Prometheus says why in `error`, the API server in `message`.
        why = content.get("error") or content.get("message") or "no reason given"
        raise MaasError(f"{self.url}{path} answers HTTP {answer.status_code}: {why}")


def token_of_user() -> str | None:
    """The token that the environment has, which is where a token belongs: not on a command line.

    Raises:
        MaasError: It cannot be one.
    """
    token = os.environ.get(_TOKEN, "").strip()
    if not (token.isascii() and token.isprintable()):
        raise MaasError(f"{_TOKEN} holds no token: it has letters that no header may have.", code=Exit.USAGE)
    return token or None
