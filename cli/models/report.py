"""What `./maas models` prints for people."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.models.catalogue import Entry
from cli.models.estimation import Answer
from cli.models.memory import GIB


def shown_list(entries: Sequence[Entry], stack: str) -> RenderableType:
    """The catalogue, a line for each model."""
    if not entries:
        return Text(f"Stack {stack} has no models. Add one: ./maas models add NAME --profile simulator")
    table = _table(f"Models of stack {stack}", "name", "called as", "runtime", "source", "GPUs", "replicas", "URL")
    for each in entries:
        gpus, replicas = each.value("gpu.count") or 0, each.value("replicas")
        least, most = each.value("autoscaling.min"), each.value("autoscaling.max")
        table.add_row(
            each.name,
            each.served_name,
            str(each.value("runtime")),
            str(each.value("source") or ""),
            str(gpus),
            str(replicas) if most is None else f"{least} to {most}",
            each.url,
        )
    return table


def shown_entry(entry: Entry) -> RenderableType:
    """Every setting of a model and where it comes from."""
    table = _table(f"Model {entry.name}, called as {entry.served_name}, at {entry.url}", "setting", "value", "from")
    for each in entry.settings:
        table.add_row(each.path, _word(each.value), each.origin)
    return table


def shown_estimate(answer: Answer) -> RenderableType:
    """What a model needs, and where it fits."""
    shape = answer.shape
    need = _table(f"GPU memory for {answer.what}", "part", "GiB", "from")
    need.add_row("weights", _gib(answer.weights), f"{shape.parameters / 1e9:.2f} billion parameters, {answer.dtype}")
    per_token = f"{answer.cache_per_token / 1024:.0f} KiB for each token ({answer.cache_dtype})"
    heads = f"{shape.layers} layers, {shape.kv_heads} KV heads of {shape.head_size}"
    need.add_row(
        "KV cache", _gib(answer.cache), f"{answer.sequences} sequences of {answer.context} tokens, {per_token}"
    )
    need.add_row("", "", heads)
    need.add_row("working", _gib(answer.working), "on one GPU; more on each where several share the model")
    card = f"a GPU of {_gib(answer.total / answer.utilisation)} GiB, of which vLLM takes {answer.utilisation:.0%}"
    need.add_row("together", _gib(answer.total), card)
    parts: list[RenderableType] = [need]
    if answer.assumed:
        parts.append(Text(f"Assumed: {', '.join(f'{each} {getattr(answer, each)}' for each in answer.assumed)}."))
    parts.append(Text(""))
    if not answer.fits:
        parts.append(Text("The stack names no kinds of nodes with GPUs: see maas:nodes in docs/configuration.md."))
        return Group(*parts)
    title = f"Kinds of nodes, of whose memory vLLM takes {answer.utilisation:.0%}"
    fits = _table(title, "kind", "GPUs of a replica", "GiB of each: needed", "there", "full sequences", "")
    for each in answer.fits:
        needed = _gib(each.each.total) if each.each else ""
        gpus, room = (str(each.gpus), str(each.sequences)) if each.gpus else ("does not fit", "")
        fits.add_row(each.kind, gpus, needed, _gib(each.memory), room, each.why)
    return Group(*parts, fits)


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _gib(value: float) -> str:
    return f"{value / GIB:.1f}"


def _word(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
