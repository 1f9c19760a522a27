"""`./maas models`: names, options and help of its commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.options import Json, Stack, print_json, print_part
from cli.exits import HELP, Exit, MaasError
from cli.guard import guarded
from cli.paths import of_user

if TYPE_CHECKING:
    from cli.models.catalogue import Entry

app = typer.Typer(
    help="The models of a stack: what there is, one more, one less, and how much GPU memory a model needs.",
    no_args_is_help=True,
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change in the stack file, and leave it.")]
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="The model's key under maas:models.")]


@app.command("list", epilog=HELP)
def list_(stack: Stack = "sandbox", *, json_: Json = False) -> None:
    """Show the models of a stack."""

    def work() -> None:
        from cli.models.catalogue import entries  # noqa: PLC0415
        from cli.models.report import shown_list  # noqa: PLC0415

        found = entries(stack)
        if json_:
            print_json({"models": [_as_json(each) for each in found]})
        else:
            print_part(shown_list(found, stack))

    guarded(work)


@app.command(epilog=HELP)
def show(name: ModelName, stack: Stack = "sandbox", *, json_: Json = False) -> None:
    """Show every setting of a model, and whether it comes from the entry, its profile, or is a default."""

    def work() -> None:
        from cli.models.catalogue import entry_of  # noqa: PLC0415
        from cli.models.report import shown_entry  # noqa: PLC0415

        entry = entry_of(stack, name)
        if json_:
            print_json({"model": _as_json(entry)})
        else:
            print_part(shown_entry(entry))

    guarded(work)


@app.command(epilog=HELP)
def add(  # noqa: PLR0913 - its options
    name: ModelName,
    stack: Stack = "sandbox",
    source: Annotated[str, typer.Option("--source", help="Where the weights are, such as hf://Qwen/Qwen3-0.6B.")] = "",
    profile: Annotated[str, typer.Option("--profile", help="Defaults to start from: docs/configuration.md.")] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other key, such as gpu.count=2; can be repeated."),
    ] = None,
    *,
    dry_run: DryRun = False,
    json_: Json = False,
) -> None:
    """Write a model into the stack file, and leave everything else in it as it is. `up` deploys it."""

    def work() -> None:
        from cli.models import catalogue  # noqa: PLC0415

        given = {"source": source, "profile": profile}
        entry = catalogue.with_settings({key: value for key, value in given.items() if value}, settings or [])
        if not entry:
            raise MaasError("A model needs a --profile, and most a --source.", code=Exit.USAGE)
        _changed(catalogue.add(stack, name, entry, dry_run=dry_run), stack, dry_run=dry_run, as_json=json_)

    guarded(work)


@app.command(epilog=HELP)
def remove(name: ModelName, stack: Stack = "sandbox", *, dry_run: DryRun = False, json_: Json = False) -> None:
    """Take a model out of the stack file. The next `up` deletes it from the cluster."""

    def work() -> None:
        from cli.models import catalogue  # noqa: PLC0415

        _changed(catalogue.remove(stack, name, dry_run=dry_run), stack, dry_run=dry_run, as_json=json_)

    guarded(work)


@app.command(epilog=HELP)
def estimate(  # noqa: PLR0913, PLR0917 - its options
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="A model of the stack; its settings are taken.")] = "",
    stack: Stack = "sandbox",
    source: Annotated[str, typer.Option("--source", help="Instead of a name: hf://<organisation>/<model>.")] = "",
    config: Annotated[
        Path | None, typer.Option("--config", help="The model's own config.json, for layers, heads and data type.")
    ] = None,
    parameters: Annotated[str, typer.Option("--parameters", help="How many, such as 8B or 494M.")] = "",
    dtype: Annotated[
        str, typer.Option("--type", help="Of the weights: bf16, fp16, fp32, fp8, int8, int4, mxfp4; default bf16.")
    ] = "",
    cache_dtype: Annotated[str, typer.Option("--cache-type", help="Of the KV cache: bf16, fp16 or fp8.")] = "",
    context: Annotated[int, typer.Option("--context", help="Longest prompt and answer together, in tokens.")] = 0,
    sequences: Annotated[int, typer.Option("--sequences", help="Requests at once, each of full length.")] = 0,
    layers: Annotated[int, typer.Option("--layers", help="num_hidden_layers of config.json.")] = 0,
    kv_heads: Annotated[int, typer.Option("--kv-heads", help="num_key_value_heads of config.json.")] = 0,
    head_size: Annotated[int, typer.Option("--head-size", help="head_dim of config.json.")] = 0,
    utilisation: Annotated[float, typer.Option("--utilisation", help="Share of a GPU's memory for vLLM.")] = 0,
    *,
    json_: Json = False,
) -> None:
    """Say how much GPU memory a model needs, and which of the stack's node kinds (maas:nodes) have it.

    The formula and its sources are in docs/gpu.md. Ends with 1 when there are node kinds and none fits.
    """

    def work() -> None:
        from cli.models import estimation  # noqa: PLC0415
        from cli.models.report import shown_estimate  # noqa: PLC0415

        wanted = estimation.Wanted(
            name=name,
            source=source,
            config=of_user(config) if config else None,
            parameters=parameters,
            dtype=dtype,
            cache_dtype=cache_dtype,
            context=context,
            sequences=sequences,
            layers=layers,
            kv_heads=kv_heads,
            head_size=head_size,
            utilisation=utilisation,
        )
        answer = estimation.estimate(stack, wanted)
        if json_:
            print_json({"estimate": answer.as_json()})
        else:
            print_part(shown_estimate(answer))
        if answer.fits and not any(each.gpus for each in answer.fits):
            raise typer.Exit(int(Exit.FAILED))

    guarded(work)


def _changed(diff: str, stack: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"changed": not dry_run, "diff": diff})
        return
    typer.echo(diff)
    typer.echo("Nothing was written." if dry_run else f"Written. See what it means: ./maas preview --stack {stack}")


def _as_json(entry: "Entry") -> dict[str, object]:
    return {
        "name": entry.name,
        "servedName": entry.served_name,
        "url": entry.url,
        "settings": {each.path: {"value": each.value, "origin": each.origin} for each in entry.settings},
    }
