"""Install an operator from its Helm chart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast


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


def merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both values, those of `more` last. Mappings are merged key by key; anything else is replaced."""
    result = dict(values)
    for key, value in more.items():
        old: object = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[key] = merged(cast("Mapping[str, Any]", old), cast("Mapping[str, Any]", value))
        else:
            result[key] = value
    return result
