"""Where images and charts come from on a cluster that cannot reach the internet."""

import re

from pydantic import Field

from config.model import Model
from config.values import DnsLabel

_DOCKER = "docker.io"
_SCHEME = re.compile(r"^[a-z]+://")


class Mirror(Model):
    """Rewrites of registries and chart repositories."""

    registries: dict[str, str] = Field(default_factory=dict)
    """Registry, or registry and path, by what stands in its place: `docker.io: mirror.example.com/docker`. The
    longest that fits wins. Holds for the models' images, catalogs, the gateway's filter, and the images that charts let
    be set."""
    charts: dict[str, str] = Field(default_factory=dict)
    """Chart repository by what stands in its place: a repository, or a folder, or a registry with `oci://`."""
    pull_secret: DnsLabel | None = None
    """Secret of type kubernetes.io/dockerconfigjson; one of this name must be in every namespace that pulls."""

    def image(self, image: str) -> str:
        """The image as the cluster pulls it; see `mirrored`."""
        return mirrored(image, self.registries)

    def chart_repository(self, repository: str) -> str:
        """The chart repository as the deployment reaches it."""
        return _replaced(repository.rstrip("/"), {key.rstrip("/"): value for key, value in self.charts.items()})


def mirrored(image: str, registries: dict[str, str]) -> str:
    """The image where the mirror has it; the longest registry or path that fits decides.

    Docker's short names count as what they stand for (`kserve/agent` is `docker.io/kserve/agent`), and a scheme such as
    `oci://` stays. An image that no rule fits is returned as it was written.
    """
    scheme = match[0] if (match := _SCHEME.match(image)) else ""
    full = _full_name(image.removeprefix(scheme))
    replaced = _replaced(full, registries)
    return image if replaced == full else f"{scheme}{replaced}"


def _full_name(image: str) -> str:
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return image
    return f"{_DOCKER}/{image}" if slash else f"{_DOCKER}/library/{image}"


def _replaced(name: str, rules: dict[str, str]) -> str:
    fitting = [prefix for prefix in rules if name == prefix or name.startswith((f"{prefix}/", f"{prefix}:"))]
    if not fitting:
        return name
    longest = max(fitting, key=len)
    return rules[longest].rstrip("/") + name.removeprefix(longest)
