"""What the limiter has counted since the run began: from its own page on a sandbox, else from Prometheus."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import httpx
from prometheus_client.parser import text_string_to_metric_families

from cli.bill.api import Api, Labels
from cli.bill.counters import Growth, Source, growth
from cli.exits import MaasError
from cli.verify.scenario import BlockedError

_SECONDS = 5.0
_PAGE_PATIENCE = 3.0
_SCRAPES = 3


class PageMeter:
    """A page in Prometheus' text format, read before and after."""

    patience = _PAGE_PATIENCE

    def __init__(self, url: str, source: Source) -> None:
        """Get ready to read `url`."""
        self._url, self._source = url, source
        self._before: Mapping[Labels, Decimal] = {}
        self.began = datetime.now(UTC)

    async def start(self) -> None:
        """Take down where the counters are.

        Raises:
            BlockedError: They cannot be read.
        """
        self._before = await self._read()

    async def growth(self) -> Growth:
        """By series.

        Raises:
            BlockedError: The page cannot be read.
        """
        found = Growth()
        for labels, value in (await self._read()).items():
            before = self._before.get(labels, Decimal(0))
            found.by_series[labels] = value - before if value >= before else value
        return found

    async def _read(self) -> Mapping[Labels, Decimal]:
        try:
            async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as http:
                text = (await http.get(self._url)).raise_for_status().text
            return series(text, self._source)
        except (httpx.HTTPError, ValueError) as error:
            raise BlockedError(f"the limiter's metrics cannot be read: {error}") from error


class PrometheusMeter:
    """Prometheus, as bills are made from it."""

    def __init__(self, api: Api, source: Source) -> None:
        """Get ready to ask."""
        self._api, self._source = api, source
        self.patience = float(_SCRAPES * source.interval)
        self.began = datetime.now(UTC)

    async def start(self) -> None:
        """See that it answers.

        Raises:
            BlockedError: It does not.
        """
        await self._asked()

    async def growth(self) -> Growth:
        """By series; a minute before the run began is in it, as scrapes do not know of it.

        Raises:
            BlockedError: Prometheus does not answer.
        """
        return await self._asked()

    async def _asked(self) -> Growth:
        now = Decimal(int(datetime.now(UTC).timestamp()))
        try:
            return await asyncio.to_thread(
                growth, self._api, self._source, Decimal(int(self.began.timestamp()) - 60), now
            )
        except MaasError as error:
            raise BlockedError(str(error)) from error


def series(text: str, source: Source) -> Mapping[Labels, Decimal]:
    """The counters of a page that usage is in.

    Raises:
        ValueError: The page is not in Prometheus' text format.
    """
    return {
        tuple(sorted({**sample.labels, "__name__": name}.items())): Decimal(str(sample.value))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        # The library gives every counter the end that OpenMetrics wants; these are older than that.
        if (name := sample.name.removesuffix("_total")) in source.names
    }
