"""Everything that goes wrong: what happens, in bounded time, with which words, and that the next run puts it right.

MAAS_TEST_FAULTS=all runs every fault; without it those that stand for the others.
"""

import os
import random
import time
from collections.abc import Generator

import pytest

from cli.deploy.target import Target
from cli.state.checks import PROBLEM, of_folder
from tests.faults.table import DESTROY, FAULTS, UP, Fault
from tests.faults.world import STACK, World, can_mount, standing
from tests.tree import UP_SECONDS

pytestmark = pytest.mark.sandbox

EVERYTHING = os.environ.get("MAAS_TEST_FAULTS") == "all"
CHOSEN = [fault for fault in FAULTS if EVERYTHING or fault.ordinary]
SEED = 20251125
KILLS = int(os.environ.get("MAAS_TEST_FAULT_KILLS", "20" if EVERYTHING else "0"))
"""How many times `up` is killed at random; half as many times `destroy` is. In every run, the main road has a few."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    with standing(tmp_path_factory.mktemp("faults")) as world:
        yield world


@pytest.fixture(scope="module")
def mounts(tmp_path_factory: pytest.TempPathFactory) -> bool:
    return can_mount(tmp_path_factory.mktemp("mounts"))


def problems(world: World) -> list[str]:
    """What `./maas state check` would complain of."""
    environment = {"PULUMI_CONFIG_PASSPHRASE_FILE": str(world.home / "passphrase")}
    target = Target(
        stack=STACK,
        project="maas",
        work_dir=world.tree.root,
        environment={**environment, "PULUMI_BACKEND_URL": world.backend.url},
        without=frozenset(),
        kubeconfig=None,
        sandbox=None,
        lock=world.home / ".lock",
        backups=world.home / "backups" / STACK,
        words="",
    )
    return [f"{each.subject}: {each.text}" for each in of_folder(target, world.backend) if each.level == PROBLEM]


@pytest.mark.timeout(UP_SECONDS)
@pytest.mark.parametrize("fault", CHOSEN, ids=lambda fault: fault.name)
def test_a_fault_is_told_in_bounded_time_and_the_next_run_puts_it_right(
    world: World, fault: Fault, *, mounts: bool
) -> None:
    if fault.mounts and not mounts:
        pytest.skip("needs the right to mount file systems: run it as root")
    canaries = world.canaries()
    with fault.make(world):
        limit = world.change()
        said = world.run(*fault.words)
    print(f"{fault.name}: {said.code} after {said.seconds:.1f} s\n{said.text}")  # noqa: T201 - shown when it fails
    assert said.code == fault.code
    as_one_line = " ".join(said.text.split())  # lines end where the terminal does
    for words in fault.says:
        assert words in as_one_line
    assert "Traceback" not in said.text
    assert said.seconds < fault.seconds + 2 * world.usual_seconds
    if not fault.gets_over_it:
        for words in fault.way_back:
            again = world.run(*words)
            assert again.code == 0, again.text
        again = world.up()
        assert again.code == 0, again.text
    assert world.live_limit() == limit, "the next run has brought the change"
    assert problems(world) == []
    assert world.engines() == []
    if fault.touches:
        canaries = {place: each for place, each in canaries.items() if place.partition(" ")[2] not in fault.touches}
        assert world.canaries().items() >= canaries.items()
        world.put_canaries()
    else:
        assert world.canaries() == canaries, "nothing of others was touched"


@pytest.mark.skipif(not EVERYTHING, reason="part of the whole tier: ./maas test --tier faults")
@pytest.mark.timeout(UP_SECONDS)
def test_after_all_faults_nothing_is_left_to_do(world: World) -> None:
    preview = world.run("preview", "--stack", STACK, "--stand-in", "--expect-no-changes")
    assert preview.code == 0, preview.text
    refresh = world.run("refresh", "--stack", STACK, "--stand-in", "--expect-no-changes")
    assert refresh.code == 0, refresh.text


@pytest.mark.skipif(not KILLS, reason="part of the whole tier: ./maas test --tier faults")
@pytest.mark.timeout(UP_SECONDS)
@pytest.mark.parametrize(("words", "kills"), [(UP, KILLS), (DESTROY, (KILLS + 1) // 2)], ids=["up", "destroy"])
def test_a_run_that_is_killed_at_any_moment_is_taken_up_by_the_next(
    world: World, words: tuple[str, ...], kills: int
) -> None:
    moments = random.Random(SEED)  # noqa: S311 - the same moments in each run
    wanted = world.backend.urns()
    for number in range(kills):
        # Before `up` is killed there is nothing, before `destroy` everything.
        before = world.run(*(DESTROY if words == UP else UP))
        assert before.code == 0, before.text
        # How long such a run takes on this machine says when it can be killed.
        moment = moments.uniform(0.2, 1.0) * before.seconds
        process = world.start(*words)
        time.sleep(moment)
        process.kill()
        process.communicate()
        where = f"kill {number + 1} after {moment:.1f} s (seed {SEED})"
        again = world.run(*words)
        assert again.code == 0, f"{where}: {again.text}"
        assert problems(world) == [], where
        assert world.engines() == [], where
        if words == DESTROY:
            assert world.backend.urns() == [], where
        else:
            assert sorted(world.backend.urns()) == sorted(wanted), where
            preview = world.run("preview", "--stack", STACK, "--stand-in", "--expect-no-changes")
            assert preview.code == 0, f"{where}: {preview.text}"
