"""The limiter's switch: how many replicas the Limitador object asks for."""

from typing import Any

from cli.doctor.case import LIMITADOR, dig, name_of
from cli.verify.scenario import BlockedError
from config.settings import Settings
from sandbox.kube import ApiError, Kube

_MANAGER = "maas-verify"


class ClusterLimiter:
    """Kuadrant's Limitador, without replicas and with as many as before."""

    patience = 120.0

    def __init__(self, kube: Kube, settings: Settings) -> None:
        """Get ready."""
        self._kube, self._where = kube, settings.platform.kuadrant.namespace
        self._stopped: dict[str, Any] | None = None

    async def stop(self) -> None:
        """Ask for no replica.

        Raises:
            BlockedError: There is no Limitador, or the cluster refuses.
        """
        try:
            found = await self._kube.list(*LIMITADOR, self._where)
            if not found:
                raise BlockedError(f"no Limitador is in {self._where}")
            self._stopped = found[0]
            await self._set(0)
        except ApiError as error:
            raise BlockedError(f"the limiter cannot be stopped: {error.message}") from error

    async def restore(self) -> None:
        """Ask for what was asked for before.

        Raises:
            BlockedError: The cluster refuses; says what to do.
        """
        if self._stopped is None:
            return
        before = dig(self._stopped, "spec", "replicas")
        try:
            await self._set(before)
        except ApiError as error:
            what = f"limitador {name_of(self._stopped)} in {self._where} still has replicas: 0: ./maas up, or set it"
            raise BlockedError(f"{what} back to {before}: {error.message}") from error
        self._stopped = None

    async def _set(self, replicas: int | None) -> None:
        assert self._stopped is not None  # noqa: S101 - read first
        await self._kube.patch(
            *LIMITADOR,
            name_of(self._stopped),
            {"spec": {"replicas": replicas}},
            self._where,
            field_manager=_MANAGER,
        )
