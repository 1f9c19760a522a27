"""Who has used how much."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.options import Name, Stack, open_console
from cli.exits import HELP
from cli.guard import guarded

app = typer.Typer()

PrometheusUrl = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="MAAS_PROMETHEUS_URL", help="Address of a Prometheus API; default: the stack's cluster's."
    ),
]
Authority = Annotated[Path | None, typer.Option("--ca-file", help="Authority of that address's certificate.")]


@app.command(epilog=HELP)
def bill(  # noqa: PLR0913, PLR0917 - its options
    stack: Stack = "sandbox",
    since: Annotated[
        str | None, typer.Option("--from", help="Date (UTC) or time; default: the first of the month.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Date or time, not in it any more; default: now.")] = None,
    by: Annotated[str, typer.Option("--by", help="user, team, tier or model.")] = "user",
    format_: Annotated[str, typer.Option("--format", "-f", help="table, csv, json or html.")] = "table",
    url: PrometheusUrl = None,
    ca: Authority = None,
    name: Name = "sandbox",
) -> None:
    """Say what was used and what it costs, beside the period before, and how complete the figures are.

    A token for the API is taken from MAAS_PROMETHEUS_TOKEN.
    """

    def work() -> None:
        from datetime import UTC, datetime  # noqa: PLC0415

        from cli.bill import command, report  # noqa: PLC0415
        from cli.bill.statement import Statement  # noqa: PLC0415

        try:
            lines = report.By(by)
        except ValueError:
            raise typer.BadParameter(f"{by!r} is none of {', '.join(report.By)}", param_hint="--by") from None
        if format_ not in report.FORMATS:
            raise typer.BadParameter(f"{format_!r} is none of {', '.join(report.FORMATS)}", param_hint="--format")
        settings, console = command.settings_of(stack), open_console()
        api = command.find_api(settings, stack, name, url, ca)
        wanted = command.period(since, until, datetime.now(UTC))
        with console.step("Reading counters") as step:
            made = command.bill(
                Statement(stack, lines, wanted), api, settings, lambda done, of: step.update(f"window {done} of {of}")
            )
        typer.echo(report.FORMATS[format_](made))

    guarded(work)


@app.command(epilog=HELP)
def usage(  # noqa: PLR0913 - its options
    stack: Stack = "sandbox",
    url: PrometheusUrl = None,
    ca: Authority = None,
    name: Name = "sandbox",
    every: Annotated[float, typer.Option("--every", min=1, help="Seconds between two looks.")] = 5,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")] = False,
) -> None:
    """Say what each user used in the last five minutes."""

    def work() -> None:
        from rich.console import Console as Terminal  # noqa: PLC0415

        from cli.bill import command  # noqa: PLC0415

        settings = command.settings_of(stack)
        api = command.find_api(settings, stack, name, url, ca)
        command.usage(settings, api, watch=watch, every=every, console=Terminal())

    guarded(work)


@app.command(epilog=HELP)
def dashboard(
    stack: Stack = "sandbox",
    url: PrometheusUrl = None,
    ca: Authority = None,
    port: Annotated[int, typer.Option("--port", help="Port on loopback; 0 for any that is free.")] = 3000,
) -> None:
    """Show the dashboards with data, on a page at this machine, until Ctrl-C.

    Without --url a real Prometheus is started here, with the stack's own rules, over made-up traffic of the stack's
    users: nothing of it is real, and its clock runs 60 times faster. Grafana shows the same from dashboards/*.json.
    """

    def work() -> None:
        from contextlib import nullcontext  # noqa: PLC0415

        from cli.bill import command  # noqa: PLC0415
        from cli.bill.api import Api, token_of_user  # noqa: PLC0415
        from cli.dashboard.command import generated, serve  # noqa: PLC0415

        settings, console = command.settings_of(stack), open_console()
        with nullcontext(url) if url else generated(settings, console) as where:
            if not url:
                console.note(f"Prometheus is at {where}; its traffic is made up.")
            serve(Api.at(where, token_of_user(), ca), port, lambda at: typer.echo(f"Dashboards: {at} (Ctrl-C ends it)"))

    guarded(work)
