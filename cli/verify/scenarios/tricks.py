"""Ways around a policy that have worked somewhere."""

from cli.stacks.stackfile import mapping
from cli.verify.client import MODELS, Reply
from cli.verify.scenario import (
    FORBIDDEN,
    NOT_FOUND,
    OK,
    TOO_MANY,
    Bench,
    Case,
    Cost,
    Need,
    Phase,
    Scenario,
    SkippedError,
    expect,
    expect_that,
    refused_without_a_key,
)
from cli.verify.scenarios.limits import tightest, used_up
from config.identity import IDENTITY_HEADERS

GROUP = "tricks"
_QUERY = "?verify=1"
_UNCOUNTED = ("/metrics", "/version", "/v1/messages", "/v1/responses", "/tokenize")
"""What models have beside the paths whose answers are counted."""
_SIMULATOR_CREDENTIALS = "x-simulator-credentials"
"""In which the simulator names the headers with credentials that it got."""


async def mixed_case_host(bench: Bench, _: object) -> None:
    """Hosts are the same in any case: no key is no key, and a used-up quota is used up."""
    one = await bench.use_up(*tightest(bench))
    host = _mixed(bench.way(tightest(bench)[1]).host)
    limited = await bench.chat(one.caller, 1, host=host)
    bench.still(one)
    expect(limited, TOO_MANY, f"as Host {host}, while the user's quota is used up")
    await refused_without_a_key(bench, f"as Host {host}", host=host)


async def query_string(bench: Bench, _: object) -> None:
    """A query changes nothing."""
    one = await bench.use_up(*tightest(bench))
    limited = await bench.chat(one.caller, 1, query=_QUERY)
    bench.still(one)
    expect(limited, TOO_MANY, f"with {_QUERY}, while the user's quota is used up")
    await refused_without_a_key(bench, f"with {_QUERY}", query=_QUERY)


async def forged_identity(bench: Bench, _: object) -> None:
    """Nobody becomes somebody else by saying so in a header."""
    caller = await bench.caller()
    code = bench.facts.code("no-forged-identity")
    for name, value in (("userid", "somebody-else"), ("tier", bench.facts.tiers[-1])):
        header = f"{IDENTITY_HEADERS}{name}"
        expect(await bench.chat(caller, headers={header: value}), FORBIDDEN, f"with a header {header}", code)
        await refused_without_a_key(bench, f"with {header}", headers={header: value})


async def uncounted_paths(bench: Bench, _: object) -> None:
    """What costs something and is not counted is not answered; nor is what is for operators."""
    caller, code = await bench.caller(), bench.facts.code("known-endpoint")
    messages: list[object] = []
    body = {"model": bench.way().served_name, "input": "Hi", "max_tokens": 1, "messages": messages}
    for path in _UNCOUNTED:
        reply = await bench.ask(caller, path, body=None if path in {"/metrics", "/version"} else body)
        expected = f"404, or 403 ({code}), for {path}"
        expect_that(
            reply.status == NOT_FOUND or (reply.status == FORBIDDEN and reply.code == code),
            expected,
            reply.words,
            reply,
        )


async def credentials_stay(bench: Bench, _: object) -> None:
    """The model gets neither the caller's key nor its cookies."""
    caller = await bench.caller()
    more = {"Cookie": "session=verify", "X-Api-Key": "verify"}
    reply = expect(await bench.ask(caller, MODELS, headers=more), OK, "for the list of models")
    told = reply.headers.get(_SIMULATOR_CREDENTIALS)
    if told is None:
        raise SkippedError(f"{bench.model} does not tell which headers it gets; a model with profile: simulator does")
    expect_that(told == "none", "that no header with credentials reaches the model", f"{told} at the model", reply)


async def backend_host(bench: Bench, model: str) -> None:
    """The gateway does not lead to a model by the name of its Service."""
    host = f"{model}-predictor.{bench.facts.settings.platform.namespace}.svc.cluster.local"
    caller = await bench.caller(model)
    reply = await bench.chat(caller, 1, model, host=host)
    _no_answer(reply, f"no answer as Host {host}")


def _no_answer(reply: Reply, expected: str) -> None:
    expect_that(reply.status != OK or "choices" not in mapping(reply.json), expected, reply.words, reply)


def _mixed(host: str) -> str:
    return "".join(each.upper() if number % 2 else each for number, each in enumerate(host))


_USERS = frozenset({Need.USERS})
SCENARIOS = (
    Scenario(
        "mixed-case-host",
        GROUP,
        "A host in other case falls under the same policies.",
        mixed_case_host,
        Phase.QUOTA,
        _USERS,
        cases=used_up,
        hint="the EnvoyFilter that writes hosts in lower case is missing: Kuadrant's filter compares them as they come",
    ),
    Scenario(
        "query-string",
        GROUP,
        "A path with a query falls under the same policies.",
        query_string,
        Phase.QUOTA,
        _USERS,
        cases=used_up,
        hint="a limit's `when` compares request.path, which has the query in it, instead of request.url_path",
    ),
    Scenario(
        "forged-identity",
        GROUP,
        "Headers that only the gateway may set are refused.",
        forged_identity,
        cases=lambda _facts: [Case(cost=Cost(8, 20))],
        hint="the AuthPolicy on the cluster lacks the rule no-forged-identity: ./maas refresh",
    ),
    Scenario(
        "uncounted-paths",
        GROUP,
        "Paths whose answers are not counted are refused.",
        uncounted_paths,
        cases=lambda _facts: [Case(cost=Cost(8, 20))],
        hint="a route of somebody else's, or an AuthPolicy that lacks the rule known-endpoint",
    ),
    Scenario(
        "credentials-stay",
        GROUP,
        "No credential of the caller's reaches a model.",
        credentials_stay,
        hint="the HTTPRoute lacks the filter that removes Authorization, Cookie and keys: ./maas refresh",
    ),
    Scenario(
        "backend-host",
        GROUP,
        "The gateway leads to a model by its own host only.",
        backend_host,
        cases=lambda facts: [Case(each, Cost(4, 20), each) for each in facts.models[:1]],
        hint="KServe has made a route of its own: the InferenceService lacks the label cluster-local",
    ),
)
