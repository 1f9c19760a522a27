"""What asks the running service, its cluster, or its identity provider."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.commands.options import Json, Name, Stack, end, open_console
from cli.exits import HELP
from cli.guard import guarded
from cli.paths import of_user

app = typer.Typer()


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
        from cli.service import chat as talk  # noqa: PLC0415
        from cli.service.calls import Service  # noqa: PLC0415

        console = open_console()
        begun = talk.begin(Service.of(stack, name), console, user=user, model=model, most=most)
        end(talk.run(begun, prompt))

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
        end(run(options, Console(quiet=json_)))

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
        from cli.service.connect import Format, Wish, connect, shown  # noqa: PLC0415

        if format_ not in set(Format):
            raise typer.BadParameter(f"{format_!r} is none of {', '.join(Format)}", param_hint="--format")
        console = open_console()
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
        end(run(wish, open_console()))

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
        from cli.deploy.operations import Command, Options  # noqa: PLC0415
        from cli.service.hosts import advice, checked_address, hosts_lines  # noqa: PLC0415

        console, where = open_console(), checked_address(address)
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
def doctor(stack: Stack = "sandbox", name: Name = "sandbox", *, json_: Json = False) -> None:
    """Look at a stack's cluster, change nothing, and say what is missing, broken or insecure, and the fix.

    Ends with 0 when there are no problems (warnings are none), with 1 when there are.
    """

    def work() -> None:
        from cli.doctor.command import run  # noqa: PLC0415

        end(run(stack, name, as_json=json_, console=open_console()))

    guarded(work)
