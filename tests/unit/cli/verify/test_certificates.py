"""A gateway that speaks TLS, with good certificates and others."""

import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from cli.verify.client import Client, Spent
from cli.verify.facts import Facts
from cli.verify.runner import Budget, Runner, chosen
from cli.verify.scenario import Bench, Means, Outcome, Result
from cli.verify.scenarios import SCENARIOS
from tests.misbehaviour.certificates import Certificate, served
from tests.misbehaviour.service import serving
from tests.unit.cli.verify.bench import done
from tests.verifying import STACK, objects, stack, ways


def judged(folder: Path, kind: Certificate) -> dict[str, Result]:
    """What comes of the certificate of one host, and of a scenario behind it."""
    with serving(objects(), tls=served(folder, stack()[0].domain, kind).context) as double:

        async def run() -> Sequence[Result]:
            tls = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            client = Client(Spent(100, 100), 10, tls, trust_env=False)
            bench = Bench(Facts(STACK, stack()[0], ("simulator",)), client, Means(ways(double.url)))
            try:
                return await Runner(bench, Budget(), chosen(SCENARIOS, ["no-key"])[0]).run()
            finally:
                await client.close()

        return {each.scenario.name: each for each in done(run())}


def test_a_good_certificate_passes_whatever_the_address_is_by_which_the_gateway_is_reached(tmp_path: Path) -> None:
    found = judged(tmp_path, Certificate.GOOD)
    assert {name: each.outcome for name, each in found.items()} == dict.fromkeys(
        ("certificate", "gateway", "no-key"), Outcome.PASSED
    )
    assert found["certificate"].remark.startswith("valid until")


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        (Certificate.EXPIRED, "expired"),
        (Certificate.OF_ANOTHER_HOST, "mismatch"),
        (Certificate.OF_ANOTHER_AUTHORITY, "certificate"),
    ],
)
def test_another_certificate_fails_and_nothing_is_sent_over_it(kind: Certificate, seen: str, tmp_path: Path) -> None:
    found = judged(tmp_path, kind)
    assert found["certificate"].outcome is Outcome.FAILED
    assert "valid for simulator.maas.localhost" in found["certificate"].expected
    assert seen in found["certificate"].seen
    assert found["no-key"].outcome is Outcome.BLOCKED
