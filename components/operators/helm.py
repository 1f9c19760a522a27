"""Install an operator from its Helm chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_kubernetes.helm import v3 as helm

from components.layer import Site
from components.operators.installation import Installation
from config.values import window_seconds

_REVISIONS_KEPT = 5


@dataclass(frozen=True)
class Release:
    """One chart as one stack wants it."""

    name: str
    """Of the release, and of what the chart makes."""
    chart: str
    """Name in `repository`; without one, a folder or an `oci://` address."""
    repository: str | None
    version: str | None
    namespace: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    postrender: str | None = None
    """Program that what the chart renders is sent through."""


def located(chart: str, repository: str) -> tuple[str, str | None]:
    """Chart and repository as Helm wants them: registries and folders are part of the chart's own name."""
    if repository.startswith(("http://", "https://")):
        return chart, repository
    return f"{repository.rstrip('/')}/{chart}", None


class HelmRelease(Installation):
    """An operator by its charts: each waits until all that it made is ready, and a failed one is undone."""

    def __init__(self, name: str, site: Site, releases: Sequence[Release], opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, site, opts)
        before: list[pulumi.Resource] = []
        for release in releases:
            before = [
                helm.Release(
                    release.name,
                    name=release.name,
                    namespace=release.namespace,
                    chart=release.chart,
                    repository_opts=helm.RepositoryOptsArgs(repo=release.repository) if release.repository else None,
                    version=release.version,
                    values=release.values,
                    postrender=release.postrender,
                    # The namespace is an object of its own: it goes last, and takes nothing with it that is not ours.
                    create_namespace=False,
                    skip_await=False,
                    atomic=True,
                    cleanup_on_fail=True,
                    max_history=_REVISIONS_KEPT,
                    timeout=window_seconds(site.settings.timeouts.operator),
                    opts=self.options(depends_on=before),
                )
            ]
        self.register_outputs({})
