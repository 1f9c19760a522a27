"""Whether there is a gateway at all, under a name that its certificate is for."""

import asyncio
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from cli.stacks.stackfile import mapping
from cli.verify.client import NOBODY
from cli.verify.facts import Facts
from cli.verify.scenario import Bench, Case, Cost, Phase, Scenario, SkippedError, expect_that

GROUP = "reach"
_PATIENCE = 5.0


def _each_host(facts: Facts) -> Iterator[Case]:
    by_host = {facts.settings.host(model): model for model in reversed(facts.models)}
    for host, model in sorted(by_host.items()):
        yield Case(host, Cost(1), model)


async def gateway(bench: Bench, model: str) -> None:
    """Something speaks HTTP there. What it says is for others to judge."""
    reply = await bench.ask(NOBODY, model=model)
    expect_that(reply.status != 0, f"an answer from {bench.way(model).url}", reply.words)
    expect_that(
        reply.status not in {404, 502, 503, 504},
        f"that {bench.way(model).host} leads to a gateway with the stack's policies",
        reply.words,
        reply,
    )


async def certificate(bench: Bench, model: str) -> str:
    """The handshake ends well with the authorities that callers have."""
    way = bench.way(model)
    parts = urlsplit(way.url)
    if parts.scheme != "https":
        raise SkippedError(f"{parts.scheme}: no certificate is in use at {parts.netloc}")
    name = way.host.partition(":")[0]
    tls = bench.client.tls or ssl.create_default_context()
    try:
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=tls, server_hostname=name)
        ends = str(mapping(writer.get_extra_info("peercert")).get("notAfter", ""))
        writer.close()
    except ssl.SSLCertVerificationError as error:
        expect_that(False, f"a certificate that is valid for {name}", error.verify_message)  # noqa: FBT003 - it is not
    except (OSError, TimeoutError) as error:
        words = str(error) or type(error).__name__
        expect_that(False, f"a TLS connection to {parts.netloc}", words)  # noqa: FBT003 - there is none
    else:
        return f"valid until {ends}"
    raise AssertionError


SCENARIOS = (
    Scenario(
        "certificate",
        GROUP,
        "The certificate is valid for the host, by an authority that is known here.",
        certificate,
        Phase.REACH,
        cases=_each_host,
        hint="the certificate is of another name or authority (--ca names one), has ended, or nothing there speaks TLS",
    ),
    Scenario(
        "gateway",
        GROUP,
        "The gateway answers under each host.",
        gateway,
        Phase.REACH,
        cases=_each_host,
        hint="DNS does not lead to the gateway (./maas hosts, --url), it is down, or no route is accepted yet",
    ),
)
