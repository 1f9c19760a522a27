"""What has to hold for every stack file."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from cli.exits import MaasError
from cli.models.edit import with_model, without_model
from cli.paths import ROOT
from cli.program import redact, render
from cli.program.recorder import Recording, record
from cli.stacks.stackfile import PROJECT_FILE, stack_config, stack_file
from config.problems import ConfigError, Problem
from config.settings import Settings
from config.source import parsed
from enforcement.authentication import Authorino
from enforcement.counters import Counters
from enforcement.decision import Decision, Gate
from enforcement.effective import effective
from enforcement.expressions import FilterContext
from enforcement.limits import limits_of
from enforcement.objects import World
from enforcement.request import Request
from tests.stackfiles import Spoilt

STACK = "fuzz"
NOW = 1_800_000_000.0
CHAT = "/v1/chat/completions"
NEW_MODEL: dict[str, Any] = {"profile": "simulator", "servedName": "not-there-yet"}


@cache
def _root() -> Path:
    """A project with nothing in it but its declaration."""
    folder = Path(tempfile.mkdtemp(prefix="maas-fuzz-"))
    (folder / PROJECT_FILE).write_bytes((ROOT / PROJECT_FILE).read_bytes())
    return folder


def read(content: bytes) -> tuple[dict[str, str], frozenset[str]]:
    """What the program is given for a stack file; see `cli.stacks.stackfile.stack_config`."""
    stack_file(STACK, _root()).write_bytes(content)
    return stack_config(STACK, _root())


def load(values: Mapping[str, str], secrets: frozenset[str]) -> Settings:
    """The settings; see `Settings.load`."""
    return Settings.load(STACK, parsed(values), {key.removeprefix("maas:") for key in secrets})


def accepted(text: str) -> tuple[Settings, Recording]:
    """A file that has to be accepted, and what it comes to.

    Raises:
        AssertionError: It is not, or what it comes to is not sound.
    """
    values, secrets = read(text.encode())
    settings = load(values, secrets)
    recording = record(STACK, values, secrets)
    sound(recording)
    guarded(settings, recording)
    return settings, recording


def sound(recording: Recording) -> None:
    """Each object once, with a name, in a file of its own, without secrets."""
    names = Counter(
        (each.api_version.partition("/")[0], each.kind, each.namespace, each.metadata_name)
        for each in recording.objects
        if not each.is_patch
    )
    assert [name for name, times in names.items() if times > 1] == [], "two resources for one object"
    assert all(each.metadata_name for each in recording.objects)
    for item in render.layout(recording).values():
        assert "placeholder-for-the-secret" not in str(redact.manifest(item.body, item.secrets)), (
            f"{item.urn} shows one"
        )


def guarded(settings: Settings, recording: Recording) -> None:
    """Nobody passes without an identity, and each identity falls under the limits of its own tier alone."""
    where = settings.platform
    world = World.of(
        (each.body for each in recording.objects),
        f"{where.namespace}/{settings.gateway.name}",
        where.kuadrant.namespace,
    )
    gate = Gate(world, Authorino(world.keys, where.kuadrant.namespace), Counters())
    for model in settings.models:
        stranger = _chat(gate, settings, model, "")
        assert stranger.guarded
        assert (stranger.allowed, stranger.charged, stranger.errors) == (False, [], 0), stranger.explanation
    _limits_hold(settings, gate, world)
    _keys_hold(settings, gate, world)


def _chat(gate: Gate, settings: Settings, model: str, key: str) -> Decision:
    return gate.decide(_request(settings, model, key), NOW)


def _request(settings: Settings, model: str, key: str = "") -> Request:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return Request("POST", settings.host(model), settings.prefix(model) + CHAT, headers)


def _limits_hold(settings: Settings, gate: Gate, world: World) -> None:
    """Whatever proves an identity, the policies know it by its tier and the model that is called."""
    if not settings.models:
        return
    path = gate.plan(_request(settings, min(settings.models)), NOW).guarded
    assert path is not None
    kinds = {"requests": world.requests, "tokens": world.tokens}
    for kind, policies in kinds.items():
        limits = limits_of(effective(world, policies, path))
        for model in settings.models:
            for name, tier in settings.tiers.items():
                context = FilterContext(_request(settings, model).attributes(NOW))
                context.authenticated({"identity": {"tier": name, "model": model, "userid": "somebody"}})
                hits = [each.name for each in limits if each.applies(context)]
                exception = getattr(tier.models.get(model), kind, None)
                own = exception if exception is not None else getattr(tier, kind)
                label = name if exception is None else f"{name}.{model}"
                # Tokens are counted under a limit alone: there is one where they are unlimited, too.
                assert hits == ([label] if own.rates or kind == "tokens" else []), kind


def _keys_hold(settings: Settings, gate: Gate, world: World) -> None:
    """Whoever has a key is let through, or not, as the stack says, and is counted on the limits of that tier."""
    for key in world.keys:
        annotations: Mapping[str, str] = key.secret["metadata"]["annotations"]
        user = settings.users[annotations["secret.kuadrant.io/user-id"]]
        ended = (annotations.get("maas.kuadrant.io/expires") or "9") < "2027"
        for name, model in settings.models.items():
            decision = _chat(gate, settings, name, key.value)
            may = (
                not ended
                and (user.models is None or name in user.models)
                and (model.tiers is None or user.tier in model.tiers)
            )
            assert decision.errors == 0, decision.explanation
            assert decision.allowed == may, (user, name, decision.explanation)
            gate.finish(decision, {"usage": {"total_tokens": 1}}, NOW)
            counted = {counter.name.partition(".")[0] for counter, _ in decision.charged}
            assert counted == ({user.tier} if may else set()), f"{user.tier} is counted on {counted}"
            gate.counters.clear()


def refused_or_sound(spoilt: Spoilt, unspoilt: Settings) -> bool:
    """A file with something wrong in it is refused with a place, or else it works.

    Args:
        spoilt: the file.
        unspoilt: what it said before; where it says the same still, it need not be tried.

    Returns:
        Whether it is refused.

    Raises:
        AssertionError: The refusal names no place.
    """
    _edited_or_refused(spoilt.content)
    try:
        values, secrets = read(spoilt.content)
        settings = load(values, secrets)
    except MaasError as error:
        _has(f"Pulumi.{STACK}.yaml" in str(error), error)
        return True
    except ConfigError as error:
        _names_places(error.problems, spoilt)
        return True
    if settings != unspoilt:
        sound(record(STACK, values, secrets))
    return False


def _names_places(problems: Sequence[Problem], spoilt: Spoilt) -> None:
    _has(bool(problems), spoilt)
    for each in problems:
        _has(each.key.startswith("maas:") and bool(each.why), each)
        _has(str(each).isprintable(), each)
    if spoilt.what == "added" and len(spoilt.path) == 1:
        _has(f"maas:{spoilt.path[0]}" in {each.key for each in problems}, spoilt)


def _has(holds: bool, what: object) -> None:  # noqa: FBT001 - an assertion
    assert holds, what


def _edited_or_refused(content: bytes) -> None:
    """The commands that write the file leave it alone, or change it so that it can be changed back."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return
    try:
        added = with_model(text, "not-there-yet", NEW_MODEL)
    except MaasError:
        return
    assert without_model(added, "not-there-yet") == text
