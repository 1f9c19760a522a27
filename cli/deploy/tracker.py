"""What the engine's events add up to: steps, counts by layer, waits, diagnostics, outputs. Shows nothing itself."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pulumi.automation.events import DiagnosticEvent, EngineEvent, PolicyEvent, StepEventMetadata

from cli.program import redact
from cli.program.urns import STACK_TYPE, label, layer_of, name_of, type_of

_UNCHANGED = frozenset({"same", "read", "read-replacement", "refresh", "discard", "discard-replaced"})
_ERROR, _WARNING = "error", "warning"
_MANDATORY = "mandatory"


@dataclass(frozen=True)
class Step:
    """One thing that the engine did, or would do."""

    op: str
    """`create`, `update`, `delete`, `replace`, ... as the engine calls it."""
    urn: str
    diff: tuple[str, ...] = ()
    """Paths of the properties that changed, such as `spec.limits.free.rates[0].limit`."""
    failed: bool = False

    @property
    def type(self) -> str:
        """The resource's own type token."""
        return type_of(self.urn)

    @property
    def name(self) -> str:
        """The resource's logical name."""
        return name_of(self.urn)

    @property
    def layer(self) -> str:
        """The layer that owns it; see `layer_of`."""
        return layer_of(self.urn)

    @property
    def label(self) -> str:
        """How a person would call it: `Secret key-alice`."""
        return label(self.urn)


@dataclass(frozen=True)
class Diagnostic:
    """An error or a warning that the engine or a provider gave."""

    severity: str
    message: str
    urn: str = ""
    rule: str = ""
    """The rule of a policy pack that was broken; empty for what went wrong."""


@dataclass(frozen=True)
class Span:
    """When an operation took place, waits included."""

    began: float
    """Seconds since the run began."""
    seconds: float


@dataclass
class Layer:
    """How far one layer is."""

    name: str
    expected: int = 0
    """How many resources it will have, as far as is known beforehand."""
    finished: frozenset[str] = frozenset()
    """URNs of what is through."""
    failed: frozenset[str] = frozenset()
    """URNs of what failed."""
    waiting: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
    """URN of what is under way, to its operation and when it began."""

    @property
    def total(self) -> int:
        """How many resources it has: at least those that were seen."""
        return max(self.expected, len(self.finished | self.failed | self.waiting.keys()))

    @property
    def done(self) -> int:
        """How many resources are through."""
        return len(self.finished)


class Tracker:
    """Collects events, which come from several threads."""

    def __init__(self, expected: Mapping[str, int] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty.

        Args:
            expected: How many resources each layer will have, in the order to show them.
            clock: Seconds, for how long a wait has lasted.
        """
        self.layers = {name: Layer(name, count) for name, count in (expected or {}).items()}
        self.outputs: dict[str, Any] = {}
        self.changes: dict[str, int] = {}
        self.finished = False
        self._clock, self._started = clock, clock()
        self._lock = threading.RLock()
        self._steps: dict[tuple[str, str], Step] = {}
        self.spans: dict[str, Span] = {}
        """When each resource's operation took place, by URN."""
        self._diagnostics: dict[Diagnostic, None] = {}

    @property
    def steps(self) -> list[Step]:
        """What changed, sorted by layer and name."""
        with self._lock:
            return sorted(self._steps.values(), key=lambda step: (step.layer, step.type, step.name, step.op))

    @property
    def errors(self) -> list[Diagnostic]:
        """The errors, in the order they came, each once."""
        return self._of(_ERROR)

    @property
    def warnings(self) -> list[Diagnostic]:
        """The warnings, in the order they came, each once."""
        return self._of(_WARNING)

    def _of(self, severity: str) -> list[Diagnostic]:
        with self._lock:
            return [each for each in self._diagnostics if each.severity == severity]

    @property
    def changed(self) -> bool:
        """Whether anything is not as it was."""
        with self._lock:
            return bool(self._steps)

    def slowest(self, count: int = 3) -> list[tuple[str, str, float]]:
        """URN, operation and seconds of what has been under way for longest."""
        with self._lock:
            now = self._clock()
            waits = [
                (urn, op, now - since) for layer in self.layers.values() for urn, (op, since) in layer.waiting.items()
            ]
        return sorted(waits, key=lambda wait: (-wait[2], wait[0]))[:count]

    def snapshot(self) -> list[Layer]:
        """The layers as they are now, safe to read while events come in."""
        with self._lock:
            return [
                Layer(each.name, each.expected, each.finished, each.failed, dict(each.waiting))
                for each in self.layers.values()
            ]

    def on_event(self, event: EngineEvent) -> None:
        """Take in one event."""
        with self._lock:
            if event.resource_pre_event:
                self._begin(event.resource_pre_event.metadata)
            elif event.res_outputs_event:
                self._end(event.res_outputs_event.metadata)
            elif event.res_op_failed_event:
                self._fail(event.res_op_failed_event.metadata)
            elif event.diagnostic_event:
                self._diagnose(event.diagnostic_event)
            elif event.policy_event:
                self._judge(event.policy_event)
            elif event.summary_event:
                self.changes = {_word(op): count for op, count in event.summary_event.resource_changes.items()}
                self.finished = True

    def _begin(self, step: StepEventMetadata) -> None:
        if _counts(step):
            layer = self._layer(step.urn)
            layer.waiting[step.urn] = (_word(step.op), self._clock())
            layer.finished -= {step.urn}  # a refresh of it came first
        self._note(step)

    def _end(self, step: StepEventMetadata) -> None:
        if step.type == STACK_TYPE:
            if step.new is not None and step.new.outputs:
                self.outputs = cast("dict[str, Any]", redact.event_value(step.new.outputs))
            return
        self._note(step)
        layer = self._layer(step.urn)
        # A component's outputs are announced a second time; only what was begun ends.
        begun = layer.waiting.pop(step.urn, None)
        if begun is not None:
            layer.finished |= {step.urn}
            self.spans[step.urn] = Span(begun[1] - self._started, self._clock() - begun[1])

    def _fail(self, step: StepEventMetadata) -> None:
        layer = self._layer(step.urn)
        layer.waiting.pop(step.urn, None)
        layer.failed |= {step.urn}
        key = (step.urn, _word(step.op))
        known = self._steps.get(key, Step(key[1], step.urn))
        self._steps[key] = Step(known.op, known.urn, known.diff, failed=True)

    def _note(self, step: StepEventMetadata) -> None:
        op = _word(step.op)
        if op in _UNCHANGED:
            return
        # The stack resource itself changes whenever an output does; that is no object of anybody's.
        if step.type == STACK_TYPE and op == "update":
            return
        key = (step.urn, op)
        earlier = self._steps.get(key)
        self._steps[key] = Step(
            op, step.urn, _paths(step) or (earlier.diff if earlier else ()), bool(earlier and earlier.failed)
        )

    def _diagnose(self, event: DiagnosticEvent) -> None:
        if event.severity not in (_ERROR, _WARNING):
            return
        message = event.message.strip()
        # "update failed" and the like repeat, for the stack, what an object's own error said.
        if message and message not in ("update failed", "preview failed", "refresh failed", "destroy failed"):
            self._diagnostics[Diagnostic(event.severity, message, event.urn or "")] = None

    def _judge(self, event: PolicyEvent) -> None:
        severity = _ERROR if event.enforcement_level == _MANDATORY else _WARNING
        # The engine puts the rule's description before what the rule said.
        said = event.message.strip().rsplit("\n", 1)[-1]
        name = event.policy_name.removesuffix("-advice")  # see policy/__main__.py
        text = f"{name} ({event.enforcement_level}): {said}"
        self._diagnostics[Diagnostic(severity, text, event.resource_urn or "", name)] = None

    def _layer(self, urn: str) -> Layer:
        name = layer_of(urn) or "stack"
        return self.layers.setdefault(name, Layer(name))


def _counts(step: StepEventMetadata) -> bool:
    return step.type != STACK_TYPE and _word(step.op) not in ("delete-replaced", "create-replacement")


def _word(op: object) -> str:
    return str(getattr(op, "value", op))


def _paths(step: StepEventMetadata) -> tuple[str, ...]:
    """The changed properties: from the provider's detailed diff, else its list of keys, else by comparison."""
    if step.detailed_diff:
        return tuple(sorted(step.detailed_diff))
    if step.diffs:
        return tuple(sorted(step.diffs))
    if _word(step.op) != "update" or step.old is None or step.new is None:
        return ()
    return tuple(sorted(differing(step.old.inputs, step.new.inputs)))


def differing(old: object, new: object, path: str = "") -> list[str]:
    """Paths at which two values differ, as deep as both are mappings or lists of one length."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        before, after = cast("Mapping[str, object]", old), cast("Mapping[str, object]", new)
        keys = sorted(before.keys() | after.keys())
        return [
            each
            for key in keys
            for each in differing(before.get(key), after.get(key), f"{path}.{key}" if path else key)
        ]
    if isinstance(old, list) and isinstance(new, list):
        items, others = cast("list[object]", old), cast("list[object]", new)
        if len(items) == len(others):
            pairs = enumerate(zip(items, others, strict=True))
            return [each for index, (one, two) in pairs for each in differing(one, two, f"{path}[{index}]")]
    return [] if old == new else [path]
