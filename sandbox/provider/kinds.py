"""What a type token says: `kubernetes:apps/v1:DeploymentPatch` is a patch of the kind Deployment in apps/v1."""

from dataclasses import dataclass
from typing import Self

NOT_HERE = (
    "the stand-in provider does not do {what}; that needs the official kubernetes provider, which comes with an "
    "ordinary Pulumi installation"
)


class UnsupportedTypeError(Exception):
    """The type is one that only the official provider handles, or none of this package."""


@dataclass(frozen=True)
class ResourceType:
    """A resource's type as its token names it.

    Attributes:
        api_version: As Kubernetes writes it; `v1` for the core group.
        name: The token's last part; a kind, with the suffix `Patch` for patches.
    """

    api_version: str
    name: str

    @classmethod
    def of_urn(cls, urn: str) -> Self:
        """Read the type out of a resource's URN.

        Raises:
            UnsupportedTypeError: It is not a Kubernetes object.
        """
        token = urn.split("::")[2].rpartition("$")[2]
        package, _, rest = token.partition(":")
        api_version, _, name = rest.rpartition(":")
        if package != "kubernetes" or "/" not in api_version:
            raise UnsupportedTypeError(NOT_HERE.format(what=f"resources of type {token}"))
        if api_version.startswith("helm.sh/"):
            raise UnsupportedTypeError(NOT_HERE.format(what="Helm releases and charts"))
        if api_version in {"yaml/v2", "kustomize/v2"}:
            raise UnsupportedTypeError(NOT_HERE.format(what=f"{api_version} resources"))
        return cls(api_version.removeprefix("core/"), name)

    def is_patch_of(self, kind: str) -> bool:
        """Whether this is the type of patches for that kind (a kind's own name may end in Patch, too)."""
        return self.name == f"{kind}Patch"

    def accepts(self, api_version: str, kind: str) -> bool:
        """Whether an object of this apiVersion and kind may have this type."""
        return api_version == self.api_version and (kind == self.name or self.is_patch_of(kind))
