"""The commands. Only names, options and help: what they do is imported when it is asked for, so that help is quick."""

import json
import signal
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import HELP, Exit, MaasError
from cli.guard import guarded
from cli.keys.app import app as keys_app
from cli.models.app import app as models_app
from cli.paths import ROOT, of_user
from cli.state import BACKUPS
from cli.state.app import app as state_app

if TYPE_CHECKING:
    from cli.console import Console
    from cli.operations import Options

app = typer.Typer(
    name="maas",
    help="Models-as-a-Service on Kuadrant: one stack file, one deployment.",
    epilog=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
sandbox_app = typer.Typer(
    help="The embedded control plane by itself: a real API server on loopback, without the stack.", no_args_is_help=True
)
app.add_typer(sandbox_app, name="sandbox")
kind_app = typer.Typer(
    help="The dev stack on a kind cluster of its own, for whoever has Docker. Changes no tracked file.",
    no_args_is_help=True,
)
app.add_typer(kind_app, name="kind")
app.add_typer(models_app, name="models")
stack_app = typer.Typer(help="The stacks of this project: one for each cluster.", no_args_is_help=True)
app.add_typer(stack_app, name="stack")
app.add_typer(keys_app, name="keys")
app.add_typer(state_app, name="state")
config_app = typer.Typer(help="The stack file by itself.", no_args_is_help=True)
app.add_typer(config_app, name="config")

Stack = Annotated[str, typer.Option("--stack", "-s", help="Which stack: the middle of Pulumi.<stack>.yaml.")]
Name = Annotated[str, typer.Option("--name", help="Which sandbox; several can live side by side.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
KindName = Annotated[str, typer.Option("--name", help="Which kind cluster.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. The sandbox never asks.")]
ExpectNoChanges = Annotated[bool, typer.Option("--expect-no-changes", help="Exit with 4 when there are changes.")]
StandIn = Annotated[
    bool, typer.Option("--stand-in", help="Use the sandbox's provider instead of the official kubernetes plugin.")
]
ProviderName = Annotated[
    str, typer.Option("--provider", envvar="MAAS_PROVIDER", help="auto, official or stand-in.", metavar="WHICH")
]
Copies = Annotated[
    int,
    typer.Option(
        "--backups",
        envvar="MAAS_STATE_BACKUPS",
        min=0,
        help="How many copies of a local state stay that are taken by themselves; 0 takes none.",
    ),
]


@app.command(epilog=HELP)
def up(  # noqa: PLR0913 - its options
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    provider: ProviderName = "auto",
    backups: Copies = BACKUPS,
    *,
    stand_in: StandIn = False,
    json_: Json = False,
    yes: Yes = False,
) -> None:
    """Deploy a stack. The sandbox is started first; from nothing that takes minutes once, for its tools."""
    from cli.operations import Command  # noqa: PLC0415

    options = _options(stack, name, provider, stand_in=stand_in, as_json=json_, yes=yes)
    _end(Command(replace(options, backups=backups), _console()).up())


@app.command(epilog=HELP)
def preview(  # noqa: PLR0913 - its options
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    provider: ProviderName = "auto",
    *,
    expect_no_changes: ExpectNoChanges = False,
    with_policies: Annotated[
        bool, typer.Option("--policies", help="Also run the policy pack; a mandatory rule that is violated fails it.")
    ] = False,
    stand_in: StandIn = False,
    json_: Json = False,
) -> None:
    """Show what `up` would change, object by object and field by field."""
    from cli.operations import Command  # noqa: PLC0415

    command = Command(_options(stack, name, provider, stand_in=stand_in, as_json=json_), _console())
    _end(command.preview(expect_no_changes=expect_no_changes, with_policies=with_policies))


@app.command(epilog=HELP)
def refresh(  # noqa: PLR0913 - its options
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    provider: ProviderName = "auto",
    *,
    expect_no_changes: ExpectNoChanges = False,
    preview_only: Annotated[bool, typer.Option("--preview-only", help="Look, but do not remember.")] = False,
    stand_in: StandIn = False,
    json_: Json = False,
) -> None:
    """Show what somebody changed on the cluster behind Pulumi's back; the next `up` puts it right.

    With --expect-no-changes nothing is remembered, so that asking twice gives the same answer.
    """
    from cli.operations import Command  # noqa: PLC0415

    command = Command(_options(stack, name, provider, stand_in=stand_in, as_json=json_), _console())
    _end(command.refresh(expect_no_changes=expect_no_changes, preview_only=preview_only))


@app.command(epilog=HELP)
def destroy(  # noqa: PLR0913 - its options
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    provider: ProviderName = "auto",
    backups: Copies = BACKUPS,
    *,
    stand_in: StandIn = False,
    json_: Json = False,
    yes: Yes = False,
) -> None:
    """Delete all that a stack has on its cluster; a sandbox keeps running (`down` stops it, too)."""
    from cli.operations import Command  # noqa: PLC0415

    options = _options(stack, name, provider, stand_in=stand_in, as_json=json_, yes=yes)
    _end(Command(replace(options, backups=backups), _console()).destroy())


@app.command(epilog=HELP)
def down(name: Name = "sandbox", provider: ProviderName = "auto", *, json_: Json = False) -> None:
    """Destroy the sandbox's stack and stop the sandbox. Nothing stays but the tools in the cache."""
    from cli.operations import Command  # noqa: PLC0415

    _end(Command(_options("sandbox", name, provider, as_json=json_), _console()).down())


@app.command(epilog=HELP)
def chat(  # noqa: PLR0913 - its options
    prompt: Annotated[str | None, typer.Argument(help="One question; without it a conversation, or stdin.")] = None,
    user: Annotated[str, typer.Option("--user", "-u", help="Whose key; default: a user of the lowest tier.")] = "",
    model: Annotated[str, typer.Option("--model", "-m", help="Which model; default: the simulator.")] = "",
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    *,
    most: Annotated[int | None, typer.Option("--max-tokens", help="Longest answer.", min=1)] = None,
) -> None:
    """Talk to a model through the gateway; says after each answer what is left of the quota.

    MAAS_API_KEY, when it is set, is the key that is used. Ends with 1 when a single question was refused.
    """

    def work() -> None:
        from cli import chat as talk  # noqa: PLC0415
        from cli.calls import Service  # noqa: PLC0415

        console = _console()
        begun = talk.begin(Service.of(stack, name), console, user=user, model=model, most=most)
        _end(talk.run(begun, prompt))

    guarded(work)


@app.command(epilog=HELP)
def verify(  # noqa: PLR0913, PLR0917 - its options
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    url: Annotated[
        str, typer.Option("--url", help="Address of the gateway in place of the stack's own, such as a port-forward's.")
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Scenario, group or pattern (chat*); may be given again.")
    ] = None,
    direct: Annotated[
        list[str] | None, typer.Option("--direct", help="Address of a model that must not answer; may be given again.")
    ] = None,
    prometheus: Annotated[str | None, typer.Option("--prometheus", help="Address of Prometheus.")] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="File with the authority of the gateway's certificate.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Also write JUnit's XML into this file.")] = None,
    max_requests: Annotated[int, typer.Option("--max-requests", min=1, help="The most requests to make.")] = 1000,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="The most tokens to use.")] = 50_000,
    max_seconds: Annotated[float, typer.Option("--max-seconds", min=5, help="The longest to take.")] = 240.0,
    request_seconds: Annotated[
        float, typer.Option("--request-seconds", min=0.1, help="The longest that one answer may take.")
    ] = 30.0,
    slow_seconds: Annotated[
        float, typer.Option("--slow-seconds", min=0.01, help="The longest that the gateway may take by itself.")
    ] = 2.0,
    *,
    make_users: Annotated[
        bool | None,
        typer.Option(
            "--make-users/--no-make-users",
            help="Make users for minutes, as Secrets on the cluster. On a sandbox unless it is said not to.",
            show_default=False,
        ),
    ] = None,
    allow_disruption: Annotated[
        bool, typer.Option("--allow-disruption", help="Also stop the limiter for a moment, which stops all callers.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="What was skipped counts as failed.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="Only tell which scenarios there are.")] = False,
    json_: Json = False,
) -> None:
    """Prove on the running service that keys, tiers, limits, metrics and models are as the stack says.

    Takes about a minute on the sandbox. Ends with 1 when something is not as it should be.
    """

    def work() -> None:
        from cli.console import Console  # noqa: PLC0415
        from cli.verify.command import Options, run  # noqa: PLC0415
        from cli.verify.runner import Budget  # noqa: PLC0415

        options = Options(
            stack=stack,
            sandbox=name,
            url=url,
            only=only or (),
            make_users=make_users,
            allow_disruption=allow_disruption,
            direct=direct or (),
            prometheus=prometheus,
            ca=of_user(ca) if ca else None,
            budget=Budget(max_requests, max_tokens, max_seconds),
            request_seconds=request_seconds,
            slow_seconds=slow_seconds,
            strict=strict,
            as_json=json_,
            junit=of_user(junit) if junit else None,
            list_only=list_only,
        )
        _end(run(options, Console(quiet=json_)))

    guarded(work)


@app.command(epilog=HELP)
def connect(  # noqa: PLR0913, PLR0917 - its options
    user: Annotated[str, typer.Argument(help="Who will call: a name below maas:users.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Which model; default: the simulator.")] = "",
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    format_: Annotated[str, typer.Option("--format", "-f", help="curl, python, env or all.", metavar="FORMAT")] = "all",
    url: Annotated[
        str, typer.Option("--url", help="Where the gateway is reached, where DNS does not know its names.")
    ] = "",
    ca: Annotated[Path | None, typer.Option("--ca-file", help="PEM of the authority to trust.")] = None,
    outputs: Annotated[
        Path | None,
        typer.Option(
            "--outputs", help="What `pulumi stack output --json` wrote, in place of the stack file; - is stdin."
        ),
    ] = None,
    *,
    show_key: Annotated[bool, typer.Option("--show-key", help="Put the user's key in, in clear.")] = False,
    json_: Json = False,
) -> None:
    """Print what a caller needs for a model: curl, OpenAI's Python client, environment variables.

    The key is left out unless --show-key asks for it. A shell is set up by: eval "$(./maas connect alice -f env)"
    """

    def work() -> None:
        from cli.connect import Format, Wish, connect, shown  # noqa: PLC0415

        if format_ not in set(Format):
            raise typer.BadParameter(f"{format_!r} is none of {', '.join(Format)}", param_hint="--format")
        console = _console()
        wish = Wish(user, model, stack, name, url, of_user(ca) if ca else None, outputs, show_key=show_key)
        made = connect(wish, console)
        if json_:
            typer.echo(json.dumps(made.as_json(), indent=2))
            return
        typer.echo(shown(made, Format(format_)), nl=False)
        for note in made.notes:
            console.note(note)

    guarded(work)


@app.command(epilog=HELP)
def render(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; earlier renders there are replaced.")],
    stack: Stack = "sandbox",
    *,
    json_: Json = False,
) -> None:
    """Write each object that a stack would deploy as a YAML file, secrets redacted. Needs no engine and no cluster."""
    from cli import render as files  # noqa: PLC0415
    from cli.operations import Command, Options  # noqa: PLC0415

    folder = of_user(out)

    def work() -> None:
        written = files.write(Command(Options(stack=stack, json=json_), _console()).check(), folder)
        if json_:
            typer.echo(json.dumps({"result": "succeeded", "files": [str(path) for path in written]}, indent=2))
        else:
            typer.echo(f"{len(written)} objects of stack {stack} in {folder}.")

    guarded(work)


@app.command(epilog=HELP)
def diff(
    base: Annotated[str, typer.Option("--base", help="The commit to compare with: a branch, a tag, HEAD^1 ...")],
    stacks: Annotated[
        list[str] | None, typer.Option("--stack", "-s", help="Only this stack; can be repeated. Default: all.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="terminal, markdown or json.", metavar="FORMAT")
    ] = "terminal",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder that gets a file for each stack.")] = None,
    *,
    expect_no_changes: ExpectNoChanges = False,
) -> None:
    """Show what the tree as it is would change against another commit, and what that means.

    Needs no cluster, no engine and no secret: both revisions are rendered by their own program.
    """

    def work() -> None:
        from cli.diff.command import Format, run  # noqa: PLC0415

        if format_ not in set(Format):
            raise typer.BadParameter(f"{format_!r} is none of {', '.join(Format)}", param_hint="--format")
        folder = of_user(out) if out else None
        style = Format(format_)
        _end(run(base, stacks or [], style, folder, expect_no_changes=expect_no_changes, console=_console()))

    guarded(work)


@app.command(epilog=HELP)
def bench(
    rounds: Annotated[int, typer.Option("--rounds", min=0, help="Rounds of the comparison; 0 leaves it out.")] = 3,
    models: Annotated[
        str, typer.Option("--models", help="Numbers of models for the series; empty leaves it out.")
    ] = "1,10",
    users: Annotated[str, typer.Option("--users", help="Numbers of users for the series.")] = "10,100",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for performance.md, .json and .svg. [.maas/bench]")
    ] = None,
) -> None:
    """Measure this program side by side with a bare one, Helm and kubectl, and how its work grows.

    In sandboxes of its own, some minutes on a quiet machine. `--out docs` brings docs/performance.md up to date.
    """

    def work() -> None:
        from benchmarks.measure import BenchError  # noqa: PLC0415
        from benchmarks.report import write  # noqa: PLC0415
        from benchmarks.suite import Plan, bench  # noqa: PLC0415
        from cli.paths import home  # noqa: PLC0415

        console = _console()
        plan = Plan(rounds, _numbers(models, "--models"), _numbers(users, "--users"))
        try:
            results = bench(plan, console.note)
        except BenchError as error:
            raise MaasError(str(error)) from error
        for path in write(results, of_user(out) if out else home() / "bench"):
            typer.echo(path)

    guarded(work)


def _numbers(text: str, option: str) -> list[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isdecimal() for word in words):
        raise typer.BadParameter(f"{text!r} is no list of numbers such as 1,10,100", param_hint=option)
    return [int(word) for word in words]


@app.command(epilog=HELP)
def graph(
    stack: Stack = "sandbox",
    format_: Annotated[
        str, typer.Option("--format", help="mermaid, dot (for Graphviz) or svg.", metavar="FORMAT")
    ] = "mermaid",
    *,
    objects: Annotated[bool, typer.Option("--objects", help="Every resource, not only the layers.")] = False,
) -> None:
    """Draw what a stack registers and what waits for what. Needs no engine and no cluster."""

    def work() -> None:
        from cli.graph import Format, drawn  # noqa: PLC0415
        from cli.operations import Command, Options  # noqa: PLC0415

        if format_ not in set(Format):
            raise typer.BadParameter(f"{format_!r} is none of {', '.join(Format)}", param_hint="--format")
        recording = Command(Options(stack=stack), _console()).check()
        typer.echo(drawn(recording, Format(format_), objects=objects))

    guarded(work)


@app.command(epilog=HELP)
def sbom(
    stack: Stack = "sandbox",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write to; default: stdout.")] = None,
) -> None:
    """Write what a stack is made of as CycloneDX: Python packages, Go programs with their modules, images, charts.

    Needs no engine and no cluster. What is in images and charts is theirs to tell.
    """

    def work() -> None:
        from cli.operations import Command, Options  # noqa: PLC0415
        from cli.sbom.command import made  # noqa: PLC0415

        console = _console()
        text, notes = made(stack, Command(Options(stack=stack), console).check())
        if out:
            of_user(out).write_text(text, encoding="utf-8")
        else:
            typer.echo(text, nl=False)
        for note in notes:
            console.note(note)

    guarded(work)


@app.command(epilog=HELP)
def policy(
    stack: Stack = "sandbox",
    rendered: Annotated[
        Path | None, typer.Option("--rendered", help="A folder that `render` wrote of this stack, instead of it.")
    ] = None,
    *,
    install: Annotated[
        bool,
        typer.Option("--install", help="Make the environment that the pack needs under `pulumi preview`; no check."),
    ] = False,
    json_: Json = False,
) -> None:
    """Hold a stack against the rules of the policy pack. Needs no engine and no cluster.

    Ends with 1 when a mandatory rule is violated.
    """

    def work() -> None:
        from cli import policies  # noqa: PLC0415
        from cli.operations import Command, Options  # noqa: PLC0415

        if install:
            policies.install()
            return
        if rendered:
            found = policies.check(policies.of_rendered(of_user(rendered), stack))
        else:
            found = policies.violations(stack, Command(Options(stack=stack, json=json_), _console()).check())
        if json_:
            typer.echo(json.dumps(policies.as_json(found, stack), indent=2))
        else:
            typer.echo("\n".join(policies.lines(found, stack)))
        _end(policies.result(found))

    guarded(work)


@app.command(epilog=HELP)
def simulate(  # noqa: PLR0913, PLR0917 - its options
    traffic: Annotated[
        str,
        typer.Option(
            "--traffic",
            "-t",
            metavar="FILE|TEXT",
            help="A trace (JSON lines), or traffic to make up: docs/simulate.md.",
        ),
    ],
    stack: Stack = "sandbox",
    against: Annotated[
        str, typer.Option("--against", metavar="REVISION", help="Compare with what a git revision would do.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Compare with other settings: maas:tiers.free.tokens='50 per 1m'; can be repeated.",
        ),
    ] = None,
    unknown_users: Annotated[
        str, typer.Option("--unknown-users", metavar="TIER", help="Give users that the stack does not have this tier.")
    ] = "",
    speed: Annotated[
        float, typer.Option("--tokens-per-second", min=0, help="Of an answer whose length in time is not given.")
    ] = 50.0,
    chart: Annotated[Path | None, typer.Option("--chart", help="Draw into a .png, .svg, .pdf or .html file.")] = None,
    save: Annotated[Path | None, typer.Option("--save-traffic", help="Write the requests as a trace.")] = None,
    *,
    all_users: Annotated[bool, typer.Option("--all-users", help="Show every user.")] = False,
    json_: Json = False,
) -> None:
    """Say what a stack would do with some traffic: who is limited, by what, what it costs, and what a change changes.

    Needs no cluster and no sandbox. Ends with 1 when the trace has recorded decisions and one of them would be another.
    """

    def work() -> None:
        from cli.simulate.command import Wish, run  # noqa: PLC0415

        wish = Wish(
            stack,
            traffic,
            against,
            settings or [],
            unknown_users,
            speed,
            chart,
            save,
            as_json=json_,
            all_users=all_users,
        )
        _end(run(wish, _console()))

    guarded(work)


@app.command(epilog=HELP)
def load(  # noqa: PLR0913, PLR0917 - its options
    traffic: Annotated[
        str,
        typer.Option("--traffic", "-t", metavar="FILE|TEXT", help="A trace, or traffic to make up: docs/callers.md."),
    ],
    stack: Stack = "sandbox",
    url: Annotated[str, typer.Option("--url", help="Where the gateway is. Has to be said.")] = "",
    requests: Annotated[
        int | None, typer.Option("--requests-budget", min=1, help="Requests at most; this or the next has to be said.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens-budget", min=1, help="Tokens of prompts and answers at most.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=1, max=3600, help="How long to send at most.")] = 3600.0,
    ca: Annotated[Path | None, typer.Option("--ca-file", help="PEM of the authority to trust.")] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds for one answer.")] = 120.0,
    name: Name = "sandbox",
    *,
    json_: Json = False,
) -> None:
    """Send real traffic to a gateway, by the clock, and say how long answers took, by tier.

    It uses the users' own keys, and counts against their quotas. Latency is from when a request was due, so that what
    waits behind a slow answer is seen. Ends with 1 when nothing was answered.
    """

    def work() -> None:
        from cli.load.command import Wish, run  # noqa: PLC0415
        from cli.load.plan import Budget  # noqa: PLC0415

        budget = Budget(requests, tokens, seconds)
        wish = Wish(stack, name, traffic, url, budget, of_user(ca) if ca else None, timeout, as_json=json_)
        _end(run(wish, _console()))

    guarded(work)


@app.command(epilog=HELP)
def doctor(stack: Stack = "sandbox", name: Name = "sandbox", *, json_: Json = False) -> None:
    """Look at a stack's cluster, change nothing, and say what is missing, broken or insecure, and the fix.

    Ends with 0 when there are no problems (warnings are none), with 1 when there are.
    """

    def work() -> None:
        from cli.doctor.command import run  # noqa: PLC0415

        _end(run(stack, name, as_json=json_, console=_console()))

    guarded(work)


@app.command(epilog=HELP)
def hosts(
    stack: Stack = "dev",
    address: Annotated[
        str,
        typer.Option(
            "--address",
            help="Where the gateway is reached: kubectl get gateway -n llm inference-gateway "
            "-o jsonpath='{.status.addresses[0].value}'",
        ),
    ] = "127.0.0.1",
    *,
    json_: Json = False,
) -> None:
    """Print a hosts-file line for each model of a stack, for a gateway that DNS does not know yet."""

    def work() -> None:
        from cli.hosts import advice, checked_address, hosts_lines  # noqa: PLC0415
        from cli.operations import Command, Options  # noqa: PLC0415

        console, where = _console(), checked_address(address)
        outputs = Command(Options(stack=stack, json=json_), console).check().outputs
        lines = hosts_lines(where, outputs["endpoints"].values())
        if json_:
            typer.echo(json.dumps({"result": "succeeded", "hosts": lines}, indent=2))
            return
        typer.echo("\n".join(lines))
        for note in advice((line.split()[1] for line in lines), where):
            console.note(note)

    guarded(work)


@app.command(epilog=HELP)
def token(  # noqa: PLR0913, PLR0917 - its options
    stack: Stack = "sandbox",
    name: Name = "sandbox",
    issuer: Annotated[
        str, typer.Option("--issuer", help="A name below maas:identity.oidc, when there are several.")
    ] = "",
    user: Annotated[
        str, typer.Option("--user", "-u", help="Whose token, by a password; of the stack's own Keycloak it is known.")
    ] = "",
    flow: Annotated[str, typer.Option("--flow", help="auto, password, device or client-credentials.")] = "auto",
    client_id: Annotated[
        str, typer.Option("--client-id", help="The application that asks; default: the issuer's first client.")
    ] = "",
    client_secret_file: Annotated[
        Path | None, typer.Option("--client-secret-file", help="Where its secret is.")
    ] = None,
    password_file: Annotated[Path | None, typer.Option("--password-file", help="Where the user's password is.")] = None,
    scope: Annotated[str, typer.Option("--scope", help="What to ask for.")] = "openid",
    reach: Annotated[
        str, typer.Option("--reach", help="Where the issuer is reached from here, such as http://127.0.0.1:8080.")
    ] = "",
    ca: Annotated[Path | None, typer.Option("--ca", help="PEM of the CA to trust, in place of the system's.")] = None,
    wait: Annotated[float, typer.Option("--wait", min=1, help="Seconds to wait for a sign-in in a browser.")] = 300.0,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds for each question to the issuer.")
    ] = 30.0,
    *,
    show: Annotated[bool, typer.Option("--show", help="Print the token, alone, on stdout.")] = False,
    json_: Json = False,
) -> None:
    """Get a token from an identity provider of the stack, and say what the gateway would make of it.

    With the token in a variable: TOKEN=$(./maas token --user alice --show)
    """

    def work() -> None:
        from cli.token.command import Wanted, get  # noqa: PLC0415
        from cli.token.report import secret_in, tell_where, told  # noqa: PLC0415

        wanted = Wanted(
            stack=stack,
            sandbox=name,
            issuer=issuer,
            user=user,
            flow=flow,
            client=client_id,
            client_secret=secret_in(client_secret_file),
            password=secret_in(password_file),
            scope=scope,
            reach=reach,
            ca=of_user(ca) if ca else None,
            seconds=wait,
            timeout=timeout,
        )
        told(get(wanted, tell_where), show=show, as_json=json_)

    guarded(work)


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
        settings, console = command.settings_of(stack), _console()
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

        settings, console = command.settings_of(stack), _console()
        with nullcontext(url) if url else generated(settings, console) as where:
            if not url:
                console.note(f"Prometheus is at {where}; its traffic is made up.")
            serve(Api.at(where, token_of_user(), ca), port, lambda at: typer.echo(f"Dashboards: {at} (Ctrl-C ends it)"))

    guarded(work)


@app.command(epilog=HELP)
def docs(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write to; default: .maas/site.")] = None,
    port: Annotated[int, typer.Option("--port", help="Port on loopback for --serve.")] = 8000,
    *,
    serve: Annotated[bool, typer.Option("--serve", help="Show the site at this machine, until Ctrl-C.")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Write the pages and pictures that come out of the program; no build.")
    ] = False,
) -> None:
    """Build the docs site from docs/; a link that leads nowhere fails it. Needs no other host."""

    def work() -> None:
        from cli.docs import command, generated  # noqa: PLC0415

        if write:
            typer.echo("\n".join(generated.write()) or "All as it should be.")
        elif serve:
            _end(command.serve(port))
        else:
            _end(command.build(of_user(out) if out else None))

    guarded(work)


@kind_app.command("up", epilog=HELP)
def kind_up(
    name: KindName = "maas",
    http_port: Annotated[int | None, typer.Option("--http-port", help="Port on loopback for HTTP; default 80.")] = None,
    https_port: Annotated[
        int | None, typer.Option("--https-port", help="Port on loopback for HTTPS; default 443.")
    ] = None,
    *,
    json_: Json = False,
) -> None:
    """Create a kind cluster, unless it is there, and deploy the dev stack on it."""

    def work() -> None:
        from cli.kind import STACK, KindCluster  # noqa: PLC0415
        from cli.operations import Command, Options  # noqa: PLC0415

        cluster = KindCluster.open(name, http_port, https_port)
        # The cluster is ours alone: nobody has to be asked.
        _end(Command(Options(stack=STACK, kind=cluster, json=json_, yes=True), _console()).up())

    guarded(work)


@kind_app.command("down", epilog=HELP)
def kind_down(name: KindName = "maas") -> None:
    """Delete the kind cluster with all that is on it, and forget its state."""

    def work() -> None:
        from cli.kind import KindCluster  # noqa: PLC0415

        KindCluster.open(name).delete(_console())
        typer.echo(f"kind cluster {name} is gone.")

    guarded(work)


@kind_app.command("status", epilog=HELP)
def kind_status(name: KindName = "maas", *, json_: Json = False) -> None:
    """Say whether the kind cluster is there, and how to reach it."""

    def work() -> None:
        from cli.kind import KindCluster  # noqa: PLC0415

        status = KindCluster.open(name).status()
        if json_:
            typer.echo(json.dumps(asdict(status), indent=2))
        elif not status.running:
            typer.echo(f"There is no kind cluster {name}. Make it: ./maas kind up")
        else:
            typer.echo(f"kind cluster {name} is there: context {status.context}")
            typer.echo(f"  export KUBECONFIG={status.kubeconfig}")
            typer.echo(f"  HTTP on 127.0.0.1:{status.http_port}, HTTPS on 127.0.0.1:{status.https_port}")

    guarded(work)


@stack_app.command("list", epilog=HELP)
def stack_list(
    *,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="First compare each with its cluster, as `refresh --preview-only` does.")
    ] = False,
    json_: Json = False,
) -> None:
    """Show every stack: its cluster, domain, versions, when it was last updated, and whether its cluster has drifted.

    Without --refresh nothing is asked of any cluster or backend: what is not known here is `unknown`.
    """

    def work() -> None:
        from cli import stacks  # noqa: PLC0415

        if refresh:
            for problem in stacks.look(stacks.rows(), _compare):
                _console().note(problem)
        found = stacks.rows()
        if json_:
            typer.echo(stacks.as_json(found))
        else:
            _console().out.print(stacks.table(found))

    guarded(work)


def _compare(stack: str) -> None:
    from cli.operations import Command  # noqa: PLC0415

    console = _console()
    console.out = console.err  # the table alone is the result
    command = Command(_options(stack, "sandbox", "auto"), console)
    if command.refresh(expect_no_changes=False, preview_only=True) is not Exit.OK:
        raise MaasError("it could not be compared with its cluster")


@stack_app.command("new", epilog=HELP)
def stack_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new stack, such as ocp-eu1.")],
    source: Annotated[str, typer.Option("--from", help="The stack whose file is copied.")],
    domain: Annotated[str, typer.Option("--domain", prompt=True, help="Models are reached below this domain.")],
    context: Annotated[
        str | None, typer.Option("--context", help="Context of the kubeconfig. Without it you are asked.")
    ] = None,
) -> None:
    """Make the file of a stack for another cluster: a copy with its own domain and context, and no secrets."""

    def work() -> None:
        from cli import stacks  # noqa: PLC0415

        wanted = context
        if wanted is None:
            asked = "Context of the kubeconfig (nothing for the current one)"
            wanted = typer.prompt(asked, default="", show_default=False) if sys.stdin.isatty() else ""
        path = stacks.create(name, source, domain, wanted)
        typer.echo(f"{path.name} is there. Next: edit it, then")
        typer.echo(f"  ./maas policy --stack {name}")
        typer.echo(f"  pulumi stack init {name}   # --secrets-provider awskms://... for a key of your cloud")
        typer.echo(f"  ./maas keys create <user> --stack {name}")
        typer.echo(f"  ./maas up --stack {name}")

    guarded(work)


@config_app.command("migrate", epilog=HELP)
def config_migrate(
    stack: Stack = "sandbox",
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change in the file, and leave it.")
    ] = False,
    json_: Json = False,
) -> None:
    """Rewrite a stack file of an older version for this one, and show what changes. Comments and all else stay."""

    def work() -> None:
        from cli.migrate import migrate  # noqa: PLC0415

        diff = migrate(stack, dry_run=dry_run)
        if json_:
            typer.echo(
                json.dumps({"result": "succeeded", "changed": bool(diff) and not dry_run, "diff": diff}, indent=2)
            )
        elif not diff:
            typer.echo("Nothing to migrate.")
        else:
            typer.echo(diff)
            typer.echo(
                "Nothing was written." if dry_run else f"Written. See what it means: ./maas preview --stack {stack}"
            )

    guarded(work)


@sandbox_app.command("up", epilog=HELP)
def sandbox_up(
    name: Name = "sandbox",
    operators: Annotated[str, typer.Option("--operators", help="Played by stages, or real: their own programs.")] = "",
) -> None:
    """Start the control plane: API server, scheduler, CRDs, fake CPU and GPU nodes.

    The programs of the real operators are built once, which takes some twenty minutes.
    """

    def work() -> None:
        from sandbox import lifecycle  # noqa: PLC0415
        from sandbox.instance import Operators, Sandbox  # noqa: PLC0415

        sandbox = Sandbox.open(name)
        if operators and operators not in set(Operators):
            raise MaasError(f"--operators {operators}: allowed are {', '.join(Operators)}")
        if operators:
            sandbox = lifecycle.with_operators(sandbox, Operators(operators))
        lifecycle.up(sandbox, _console())

    guarded(work)


@sandbox_app.command("down", epilog=HELP)
def sandbox_down(name: Name = "sandbox", provider: ProviderName = "auto", *, json_: Json = False) -> None:
    """Stop the control plane and forget it, with whatever a stack has on it. The same as `maas down`."""
    down(name, provider, json_=json_)


@sandbox_app.command("status", epilog=HELP)
def sandbox_status(name: Name = "sandbox", *, json_: Json = False) -> None:
    """Say whether the control plane runs, and where."""

    def work() -> None:
        from sandbox import lifecycle  # noqa: PLC0415
        from sandbox.instance import Sandbox  # noqa: PLC0415

        status = lifecycle.status(Sandbox.open(name))
        if json_:
            typer.echo(json.dumps(asdict(status), indent=2))
            return
        if not status.running:
            typer.echo(f"Sandbox {name} is not running. Start it: ./maas up")
            return
        typer.echo(f"Sandbox {name} is running: Kubernetes {status.version} at {status.server}")
        typer.echo(f"  kubeconfig {status.kubeconfig}")
        typer.echo(f"  gateway {status.gateway}, its health, metrics and decisions {status.admin}")
        typer.echo(f"  {len(status.processes)} processes, {status.memory // 2**20} MiB")
        typer.echo("  " + ", ".join(f"{count} {what}" for what, count in status.objects.items()))

    guarded(work)


@sandbox_app.command("conditions", epilog=HELP)
def sandbox_conditions(name: Name = "sandbox", *, json_: Json = False) -> None:
    """Show what real operators say: how each of their programs is, and every condition that they have set."""

    def work() -> None:
        from cli.conditions import tables  # noqa: PLC0415
        from sandbox import control_plane  # noqa: PLC0415
        from sandbox.instance import Operators, Sandbox  # noqa: PLC0415
        from sandbox.real.report import report  # noqa: PLC0415

        sandbox = Sandbox.open(name)
        if sandbox.operators is not Operators.REAL or not control_plane.running(sandbox):
            raise MaasError(
                f"Sandbox {name} does not run with real operators. "
                f"Start one: ./maas sandbox up --name {name} --operators real"
            )
        found = report(sandbox)
        if json_:
            typer.echo(json.dumps(found.as_json(), indent=2))
        else:
            for table in tables(found):
                _console().out.print(table)

    guarded(work)


@sandbox_app.command("kubeconfig", epilog=HELP)
def sandbox_kubeconfig(name: Name = "sandbox") -> None:
    """Print the path of the kubeconfig, for `kubectl --kubeconfig $(./maas sandbox kubeconfig) ...`."""

    def work() -> None:
        from sandbox.instance import Sandbox  # noqa: PLC0415

        path = Sandbox.open(name).kubeconfig
        if not path.is_file():
            raise MaasError(f"Sandbox {name} is not there. Start it: ./maas up")
        typer.echo(path)

    guarded(work)


@sandbox_app.command("env", epilog=HELP)
def sandbox_env(
    name: Name = "sandbox",
    user: Annotated[str, typer.Option("--user", "-u", help="Whose key; default: a user of the lowest tier.")] = "",
    model: Annotated[str, typer.Option("--model", "-m", help="Which model; default: the simulator.")] = "",
) -> None:
    """Print variables for OpenAI clients, with a key, for `eval "$(./maas sandbox env)"`."""

    def work() -> None:
        from cli.calls import Service  # noqa: PLC0415
        from cli.connect import Wish, connect, environment  # noqa: PLC0415

        users = Service.of("sandbox", name).users()
        if not user and not users:
            raise MaasError("No user of the stack has a key.")
        wish = Wish(user or users[0], model, "sandbox", name, show_key=True)
        typer.echo(environment(connect(wish, _console())), nl=False)

    guarded(work)


@sandbox_app.command("usage", epilog=HELP)
def sandbox_usage(name: Name = "sandbox", *, json_: Json = False) -> None:
    """Show the counters that run now: who has used how much of which limit."""

    def work() -> None:
        from cli.calls import Service  # noqa: PLC0415
        from cli.summary import show, usage  # noqa: PLC0415

        counters = Service.of("sandbox", name).admin("/counters")
        if counters is None:
            raise MaasError(f"The gateway of sandbox {name} does not answer. Start it: ./maas sandbox up")
        if json_:
            typer.echo(json.dumps({"result": "succeeded", "usage": counters}, indent=2))
        else:
            show(_console().out, usage(counters))

    guarded(work)


@app.command(
    "test",
    epilog=HELP,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)
def check(
    context: typer.Context,
    *,
    fast: Annotated[bool, typer.Option("--fast", help="Leave out what needs a control plane.")] = False,
    tier: Annotated[str, typer.Option("--tier", help="Only this: fast, sandbox, conformance or faults.")] = "",
) -> None:
    """Check and test this project. What follows the options goes to pytest, such as `-k limits` or a path.

    The conformance tier has the operators' own programs. With `--tier`, and where CI is set, they are built where they
    are missing, which takes some twenty minutes; otherwise the tier is left out until they are built.
    """

    def work() -> None:
        from cli.checks import Tier, run  # noqa: PLC0415

        if tier and tier not in set(Tier):
            raise MaasError(f"--tier {tier}: allowed are {', '.join(Tier)}", code=Exit.USAGE)
        chosen = Tier(tier) if tier else None
        _end(run(context.args, fast=fast, console=_console(), tier=chosen))

    guarded(work)


def _options(  # noqa: PLR0913 - what the commands have in common
    stack: str, name: str, provider: str, *, stand_in: bool = False, as_json: bool = False, yes: bool = False
) -> "Options":
    from cli.operations import Options  # noqa: PLC0415
    from cli.provider import Choice  # noqa: PLC0415

    try:
        choice = Choice.STAND_IN if stand_in else Choice(provider)
    except ValueError:
        raise typer.BadParameter(f"{provider!r} is none of {', '.join(Choice)}", param_hint="--provider") from None
    return Options(stack=stack, sandbox=name, json=as_json, yes=yes, provider=choice)


def _console() -> "Console":
    from cli.console import Console  # noqa: PLC0415

    return Console()


def _end(code: Exit) -> None:
    raise typer.Exit(int(code))


def _on_terminate(number: int, frame: FrameType | None) -> None:
    """A polite request to end is handled like Ctrl-C: the engine is asked to cancel and the state is saved."""
    del number, frame
    raise KeyboardInterrupt


def let_children_hear_interrupts() -> None:
    """Where SIGINT is ignored (`nohup ./maas up &`, a job of a script), go on not minding it, but do not pass that on.

    An ignored signal stays ignored in every program that we start, and SIGINT is how the engine is asked to cancel and
    save its state; a signal with a handler is back to normal there.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda _number, _frame: None)


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _on_terminate)
    let_children_hear_interrupts()
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    try:
        app(prog_name="maas")
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
