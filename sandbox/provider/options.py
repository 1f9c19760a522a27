"""The options of the provider resource: which are understood, and whether a change of them moves to another cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from sandbox.kubeconfig import Connection, KubeconfigError
from sandbox.provider.kinds import NOT_HERE

_FLAGS: Final = (
    "enableConfigMapMutable",
    "enableSecretMutable",
    "enableServerSideApply",
    "upsertExistingObjects",
    "enablePatchForce",
)
_TEXTS: Final = ("clusterIdentifier", "context", "kubeconfig", "namespace")
# They make no difference to what happens to an object here.
_WITHOUT_EFFECT: Final = ("kubeClientSettings", "suppressDeprecationWarnings", "suppressHelmHookWarnings")
# The engine's own.
_ENGINES: Final = ("version", "pluginDownloadURL", "pluginChecksums", "parameterization")


class OptionError(Exception):
    """An option is not understood or has a value that cannot be used.

    Attributes:
        option: The option's name.
    """

    def __init__(self, option: str, message: str) -> None:
        self.option = option
        super().__init__(message)


@dataclass(frozen=True)
class Options:
    """What the program said of its cluster.

    Attributes:
        cluster_identifier: When set, only its change means another cluster.
        context: The kubeconfig context; its current one when empty.
        kubeconfig: A path or the content itself; the one that this provider was started with when empty.
        namespace: Where namespaced objects go that name none.
        config_map_mutable: Change data of ConfigMaps in place.
        secret_mutable: Change data of Secrets in place.
        upsert: Creating an object that exists takes it over instead of failing.
        patch_force: Take fields over from other field managers.
    """

    cluster_identifier: str = ""
    context: str = ""
    kubeconfig: str = ""
    namespace: str = ""
    config_map_mutable: bool = False
    secret_mutable: bool = False
    upsert: bool = False
    patch_force: bool = False

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:
        """Read the provider's properties, without secret marks.

        Raises:
            OptionError: An option is not understood.
        """
        for name in given:
            if name not in (*_FLAGS, *_TEXTS, *_WITHOUT_EFFECT, *_ENGINES) and not name.startswith("__"):
                raise OptionError(name, NOT_HERE.format(what=f"the provider option {name}"))
        flags = {name: _flag(name, given[name]) for name in _FLAGS if name in given}
        texts = {name: str(given.get(name) or "") for name in _TEXTS}
        if flags.get("enableServerSideApply") is False:
            raise OptionError("enableServerSideApply", NOT_HERE.format(what="client-side apply"))
        return cls(
            cluster_identifier=texts["clusterIdentifier"],
            context=texts["context"],
            kubeconfig=texts["kubeconfig"],
            namespace=texts["namespace"],
            config_map_mutable=flags.get("enableConfigMapMutable", False),
            secret_mutable=flags.get("enableSecretMutable", False),
            upsert=flags.get("upsertExistingObjects", False),
            patch_force=flags.get("enablePatchForce", False),
        )

    def connection(self, default: Path) -> Connection:
        """How to reach the cluster.

        Raises:
            KubeconfigError: The kubeconfig cannot be used.
        """
        context = self.context or None
        if not self.kubeconfig:
            return Connection.read(default, context)
        if "\n" in self.kubeconfig or self.kubeconfig.lstrip().startswith("{"):
            return Connection.parse(self.kubeconfig, context, origin="the provider's kubeconfig option")
        return Connection.read(Path(self.kubeconfig).expanduser(), context)

    def moves_cluster(self, new: "Options", default: Path) -> list[str]:
        """The options whose change from these to `new` means another cluster, where everything has to be made anew."""
        if self.cluster_identifier or new.cluster_identifier:
            return ["clusterIdentifier"] * (self.cluster_identifier != new.cluster_identifier)
        changed = [name for name in ("context", "kubeconfig") if getattr(self, name) != getattr(new, name)]
        if not changed:
            return []
        try:
            return [] if self.connection(default).server == new.connection(default).server else changed
        except KubeconfigError:
            # The old one may be gone from the disk: there is no telling, so assume the worse.
            return changed


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in {"true", "false"}:
        return value == "true"
    raise OptionError(name, f"provider option {name} is {value!r}, it can be true or false")
