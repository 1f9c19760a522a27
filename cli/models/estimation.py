"""`./maas models estimate`: the formula put to a model and to the node kinds of a stack."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cli.exits import Exit, MaasError
from cli.models.catalogue import load
from cli.models.memory import BYTES, CACHE_BYTES, GIB, Need, divides, need
from cli.models.shapes import KNOWN, Shape, known, of_config
from cli.paths import ROOT
from config.models import Gpu, Model
from config.nodes import NodeKind
from config.placement import obstacle
from config.problems import closest
from config.settings import Settings
from config.values import amount

_CONTEXT, _SEQUENCES, _UTILISATION = 8192, 16, 0.9
"""What is taken when nobody says: the last is vLLM's own."""
_PARAMETERS = re.compile(r"(\d+(?:\.\d+)?)\s*([BM]?)", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """What the command line says; empty and 0 mean that it says nothing."""

    name: str = ""
    source: str = ""
    config: Path | None = None
    parameters: str = ""
    dtype: str = ""
    cache_dtype: str = ""
    context: int = 0
    sequences: int = 0
    layers: int = 0
    kv_heads: int = 0
    head_size: int = 0
    utilisation: float = 0


@dataclass(frozen=True)
class Fit:
    """A node kind, and how many of its GPUs one replica needs there."""

    kind: str
    gpus: int
    """0 when the model cannot run there."""
    sequences: int
    """How many of full length there is room for at once, on so many GPUs."""
    each: Need | None
    memory: float
    """Of one GPU, in bytes."""
    why: str
    """Why it cannot run there, or what else is to be known; empty when there is nothing to say."""


@dataclass(frozen=True)
class Answer:
    """What was taken, what it comes to, and where it fits."""

    what: str
    shape: Shape
    dtype: str
    cache_dtype: str
    context: int
    sequences: int
    utilisation: float
    weights: float
    cache_per_token: float
    cache: float
    working: float
    """On one GPU; several that share the model need more each."""
    total: float
    """For all sequences, on one GPU."""
    assumed: tuple[str, ...]
    """Which of these nobody has said."""
    fits: tuple[Fit, ...]

    def as_json(self) -> dict[str, object]:
        """For programs; amounts in bytes."""
        return asdict(self)


def estimate(stack: str, wanted: Wanted, root: Path = ROOT) -> Answer:
    """Measure a model, and put it to the stack's node kinds.

    Raises:
        MaasError: Too little is known of the model, or the settings are refused.
    """
    _refuse(wanted)
    settings, _ = load(stack, root)
    model = _model(settings, wanted.name) if wanted.name else None
    source = wanted.source or (model.source if model and model.source else "")
    shape = _shape(wanted, source)
    dtype = wanted.dtype or (_argument(model, "dtype", BYTES) if model else "") or shape.dtype
    cache_dtype = wanted.cache_dtype or (_argument(model, "kv-cache-dtype", CACHE_BYTES) if model else "") or "bf16"
    for value, known_ones in ((dtype, BYTES), (cache_dtype, CACHE_BYTES)):
        if value not in known_ones:
            raise MaasError(f"{value} is none of {', '.join(known_ones)}.", code=Exit.USAGE)
    said = {
        "context": wanted.context or (model.max_length if model else None),
        "sequences": wanted.sequences or (model.max_sequences if model else None),
        "utilisation": wanted.utilisation or (model.memory_utilisation if model else None),
    }
    context, sequences = int(said["context"] or _CONTEXT), int(said["sequences"] or _SEQUENCES)
    utilisation = float(said["utilisation"] or _UTILISATION)
    asked = _Question(shape, dtype, cache_dtype, context, sequences, utilisation)
    alone = asked.of(1, 0)
    return Answer(
        what=wanted.name or source or "the model",
        shape=shape,
        dtype=dtype,
        cache_dtype=cache_dtype,
        context=context,
        sequences=sequences,
        utilisation=utilisation,
        weights=alone.weights,
        cache_per_token=alone.cache_per_token,
        cache=alone.cache,
        working=alone.working,
        total=alone.total,
        assumed=tuple(name for name, value in said.items() if not value),
        fits=tuple(
            asked.on(name, kind, model.gpu if model else None)
            for name, kind in sorted(settings.nodes.items())
            if kind.gpu is not None
        ),
    )


def _refuse(wanted: Wanted) -> None:
    """Refuse figures that no model has.

    Raises:
        MaasError: With the option.
    """
    for option in ("context", "sequences", "layers", "kv_heads", "head_size"):
        if (value := getattr(wanted, option)) < 0:
            message = f"--{option.replace('_', '-')} {value}: less than nothing; say a number from 1 on."
            raise MaasError(message, code=Exit.USAGE)
    if not 0 <= wanted.utilisation <= 1:
        message = f"--utilisation {wanted.utilisation:g}: a share of the GPU, above 0 and up to 1, such as 0.9."
        raise MaasError(message, code=Exit.USAGE)


@dataclass(frozen=True)
class _Question:
    shape: Shape
    dtype: str
    cache_dtype: str
    context: int
    sequences: int
    utilisation: float

    def on(self, name: str, kind: NodeKind, wish: Gpu | None) -> Fit:
        """Whether one node of a kind can run a replica, on as few GPUs as will do."""
        offered = kind.gpu
        if offered is None:
            return Fit(name, 0, 0, None, 0, "has no GPU")
        memory = amount(offered.memory)
        most = 1 if offered.partitioned else offered.count
        rooms = [(gpus, *self._room(gpus, memory)) for gpus in range(1, most + 1) if divides(self.shape, gpus)]
        enough = [each for each in rooms if each[2] >= self.sequences]
        starts = [each for each in rooms if each[2] >= 1]
        gpus, each, sequences = (enough or starts[-1:] or rooms[-1:])[0]
        if not starts:
            usable = f"{memory * self.utilisation / GIB:.1f} GiB usable"
            why = f"{each.weights / GIB + each.working / GIB + self._sequence(each) / GIB:.1f} GiB needed, {usable}"
            return Fit(name, 0, 0, each, memory, f"{why} on each of {gpus}" if gpus > 1 else why)
        why = "" if enough else f"room for {sequences} of {self.sequences} sequences of full length"
        if wish is not None:
            stands = obstacle(wish, kind)
            if not stands and wish.count < gpus:
                stands = f"gpu.count is {wish.count}"
            why = "; ".join(part for part in (why, f"the entry keeps it away: {stands}" if stands else "") if part)
        return Fit(name, gpus, sequences, each, memory, why)

    def _room(self, gpus: int, memory: float) -> tuple[Need, int]:
        each = self.of(gpus, memory)
        left = memory * self.utilisation - each.weights - each.working
        return each, max(0, int(left // self._sequence(each)))

    def of(self, gpus: int, memory: float) -> Need:
        """What each of so many GPUs with so much memory has to have."""
        return need(
            self.shape,
            dtype=self.dtype,
            cache_dtype=self.cache_dtype,
            context=self.context,
            sequences=self.sequences,
            gpus=gpus,
            gpu_memory=memory,
        )

    def _sequence(self, each: Need) -> float:
        return each.cache / self.sequences


def _model(settings: Settings, name: str) -> Model:
    model = settings.models.get(name)
    if model is None:
        meant = closest(name, settings.models)
        raise MaasError(f"There is no model {name}." + (f" Did you mean {meant}?" if meant else ""), code=Exit.USAGE)
    if model.source is None:
        raise MaasError(f"Model {name} has no weights: it is a {model.runtime}.", code=Exit.USAGE)
    return model


def _argument(model: Model, option: str, values: Mapping[str, object]) -> str:
    """What the entry's own arguments say of an option, where the formula knows it."""
    words = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float": "fp32", "float32": "fp32"}
    for arg in model.args:
        name, _, value = arg.partition("=")
        found = words.get(value, "fp8" if value.startswith("fp8") else value)
        if name.lstrip("-").replace("_", "-") == option and found in values:
            return found
    return ""


def _shape(wanted: Wanted, source: str) -> Shape:
    parameters = _count(wanted.parameters) if wanted.parameters else None
    if wanted.config:
        return of_config(wanted.config, parameters)
    found = known(source)
    if found is None:
        stated = (parameters, wanted.layers, wanted.kv_heads, wanted.head_size)
        if not all(stated):
            what = f"{source} is not a model that I know" if source else "No model is named"
            raise MaasError(
                f"{what}: give its config.json (--config), or --parameters, --layers, --kv-heads and --head-size. "
                f"Known: {', '.join(KNOWN)}.",
                code=Exit.USAGE,
            )
        # The number of heads only says which numbers of GPUs can share the model: as many as KV heads can always.
        found = Shape(parameters or 0, 0, wanted.layers, wanted.kv_heads, wanted.kv_heads, wanted.head_size, 8192)
    return replace(
        found,
        parameters=parameters or found.parameters,
        layers=wanted.layers or found.layers,
        kv_heads=wanted.kv_heads or found.kv_heads,
        head_size=wanted.head_size or found.head_size,
    )


def _count(text: str) -> int:
    match = _PARAMETERS.fullmatch(text.strip())
    if match is None:
        raise MaasError(f"--parameters {text}: not a number such as 8B, 494M or 8030261248.", code=Exit.USAGE)
    count = int(float(match[1]) * {"B": 1e9, "M": 1e6, "": 1}[match[2].upper()])
    if count < 1:
        raise MaasError(f"--parameters {text}: a model has some.", code=Exit.USAGE)
    return count
