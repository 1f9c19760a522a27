"""The limiter's switch, the meter, and where a cause comes from."""

from decimal import Decimal
from typing import Any, cast

import pytest

from cli.bill.counters import Source
from cli.doctor.findings import Finding, Level
from cli.exits import MaasError
from cli.verify.causes import cause, explain
from cli.verify.limiter import ClusterLimiter
from cli.verify.meter import series
from cli.verify.scenario import BlockedError, Case, Outcome, Result
from cli.verify.scenarios import SCENARIOS
from sandbox.kube import ApiError, Kube
from tests.unit.cli.verify.bench import done
from tests.verifying import stack

SOURCE = Source(("authorized_hits", "authorized_calls", "limited_calls"), "limitador_up", 30)
PAGE = """# HELP authorized_hits Authorized hits
# TYPE authorized_hits counter
authorized_hits{model="m",user="ada"} 12.0
authorized_hits{user="ada"} 3
# TYPE limitador_up gauge
limitador_up 1
"""
BY_NAME = {each.name: each for each in SCENARIOS}


class Limitadors:
    """A cluster with one Limitador."""

    def __init__(self, spec: dict[str, Any] | None, *, refuses: bool = False) -> None:
        self.items = [{"metadata": {"name": "limitador"}, "spec": spec}] if spec is not None else []
        self.patches: list[dict[str, Any]] = []
        self.refuses = refuses

    async def list(self, api_version: str, kind: str, namespace: str) -> list[dict[str, Any]]:
        assert (kind, namespace) == ("Limitador", "kuadrant-system"), api_version
        return self.items

    async def patch(self, *where: Any, field_manager: str) -> None:  # noqa: ANN401 - of Kube.patch
        assert field_manager
        if self.refuses:
            raise ApiError(403, "Forbidden", "may not", "Limitador")
        self.patches.append(where[3])


def switch(kube: Limitadors) -> ClusterLimiter:
    return ClusterLimiter(cast("Kube", kube), stack()[0])


@pytest.mark.parametrize(("spec", "before"), [({}, None), ({"replicas": 3}, 3)])
def test_the_limiter_gets_back_what_it_had(spec: dict[str, Any], before: int | None) -> None:
    kube = Limitadors(spec)

    async def work() -> None:
        limiter = switch(kube)
        await limiter.stop()
        await limiter.restore()
        await limiter.restore()

    done(work())
    assert kube.patches == [{"spec": {"replicas": 0}}, {"spec": {"replicas": before}}]


def test_a_limiter_that_cannot_be_put_back_is_named_with_what_to_do() -> None:
    kube = Limitadors({"replicas": 2})
    limiter = switch(kube)
    done(limiter.stop())
    kube.refuses = True
    with pytest.raises(BlockedError, match=r"still has replicas: 0: \./maas up, or set it back to 2"):
        done(limiter.restore())


def test_no_limiter_and_no_right_to_it_are_told() -> None:
    with pytest.raises(BlockedError, match="no Limitador"):
        done(switch(Limitadors(None)).stop())
    with pytest.raises(BlockedError, match="cannot be stopped: may not"):
        done(switch(Limitadors({}, refuses=True)).stop())


def test_a_page_has_the_counters_of_usage_under_the_names_that_bills_know() -> None:
    assert series(PAGE, SOURCE) == {
        (("__name__", "authorized_hits"), ("model", "m"), ("user", "ada")): Decimal(12),
        (("__name__", "authorized_hits"), ("user", "ada")): Decimal(3),
    }


def result(name: str) -> Result:
    return Result(BY_NAME[name], Case(), Outcome.FAILED, request_id="id-7")


def finding(check: str, level: Level = Level.PROBLEM) -> Finding:
    return Finding(check, level, f"Kind {check}", "is broken", "mend it")


def test_the_nearest_problem_of_the_cluster_is_the_likeliest_cause() -> None:
    found = [finding("models"), finding("policies"), finding("kuadrant", Level.WARNING)]
    assert cause(result("request-limit"), found) == "Kind policies: is broken. mend it (1 more: ./maas doctor)"
    assert cause(result("chat"), found).startswith("Kind models")


def test_a_cluster_that_is_well_leaves_what_it_usually_is() -> None:
    assert cause(result("query-string"), [finding("policies", Level.OK)]) == BY_NAME["query-string"].hint


def test_every_scenario_has_a_usual_cause_or_stands_on_the_cluster() -> None:
    assert all(each.hint or each.group == "credentials" for each in SCENARIOS)
    assert {each.name for each in SCENARIOS if not each.hint} == set()


def test_the_gateways_own_reasons_are_added_and_a_cluster_that_does_not_answer_does_no_harm() -> None:
    async def broken() -> list[Finding]:
        raise MaasError("no cluster")

    async def why(request_id: str) -> object:
        return {"explanation": [f"{request_id} passed", "no limit holds"]}

    failed = result("query-string")
    done(explain([failed], broken, why))
    assert failed.cause == f"{failed.scenario.hint}; the gateway says: id-7 passed, no limit holds"
