"""The sandbox answers: the OpenAI client through the gateway of a real `./maas up`, with windows of a few seconds."""

import base64
import threading
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Self

import httpx
import openai
import pytest
import yaml
from openai.types.chat import ChatCompletionMessageParam

from sandbox import processes
from sandbox.gateway import process
from sandbox.gateway.gates import OPERATOR
from sandbox.kube import Kube
from sandbox.operators import PAUSE_IMAGE
from tests.openai_errors import refused
from tests.tree import UP_SECONDS, Tree, in_cluster

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(UP_SECONDS)]

WINDOW = 6
TIERS = {
    "few": {"level": 0, "requests": f"3 per {WINDOW}s", "tokens": "100000 per 1h"},
    "short": {"level": 1, "requests": "1000 per 1h", "tokens": [f"30 per {WINDOW}s", "100000 per 1h"]},
    "many": {"level": 2, "requests": "100000 per 1h", "tokens": "10000000 per 1h"},
}
USERS = {
    **dict.fromkeys(("ada", "bob", "hal", "ida", "flo", "tim"), "few"),
    **dict.fromkeys(("cleo", "dan", "jon", "kim"), "short"),
    **dict.fromkeys(("eve", "gil", "lea"), "many"),
}
KUADRANT = "kuadrant-system"
QUESTION = "How many teams share one gateway?"
TRAFFIC_MOST = 3000
"""Requests that flow while something changes, at the most."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Generator[Tree]:
    tree = Tree(tmp_path_factory.mktemp("gateway"))
    content = yaml.safe_load(tree.settings.read_text())
    content["config"]["maas:tiers"] = TIERS
    content["config"]["maas:users"] = {user: {"tier": tier} for user, tier in USERS.items()}
    tree.settings.write_text(yaml.safe_dump(content))
    code, out, err = tree.run("up")
    assert code == 0, out + err
    assert "without a key 401, with the key of" in " ".join(out.split()), out
    yield tree
    tree.run("down")


def keys_of(tree: Tree, user: str) -> list[str]:
    async def look(kube: Kube) -> list[str]:
        found = await kube.list("v1", "Secret", "kuadrant-system", label_selector=f"maas.kuadrant.io/user={user}")
        return [base64.b64decode(each["data"]["api_key"]).decode() for each in found]

    return in_cluster(tree, look)


def client(tree: Tree, key: str, host: str = "simulator.maas.localhost") -> openai.OpenAI:
    url = f"{process.url(tree.sandbox)}/v1"
    return openai.OpenAI(base_url=url, api_key=key, default_headers={"Host": host}, max_retries=0, timeout=60)


def of(tree: Tree, user: str) -> openai.OpenAI:
    return client(tree, keys_of(tree, user)[0])


def chat(caller: openai.OpenAI, tokens: int = 10, *, stream: bool = False) -> int:
    """The status of one chat, after a check that a whole answer came."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
    model = "simulator-model"
    try:
        if stream:
            events = list(
                caller.chat.completions.create(model=model, messages=messages, max_tokens=tokens, stream=True)
            )
            usage = events[-1].usage
        else:
            usage = caller.chat.completions.create(model=model, messages=messages, max_tokens=tokens).usage
        assert usage is not None, "in a stream the last event tells it"
        assert usage.completion_tokens == tokens
    except openai.APIStatusError as error:
        return error.status_code
    return 200


def until(caller: openai.OpenAI, status: int, seconds: float = 5.0) -> float:
    """Seconds until a caller gets an answer with this status, without using a quota up."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            caller.models.list()
            got = 200
        except openai.APIStatusError as error:
            got = error.status_code
        if got == status:
            return time.monotonic() - began
        time.sleep(0.05)
    raise AssertionError(f"no {status} within {seconds} s")


@pytest.mark.parametrize(("user", "other", "stream"), [("ada", "bob", False), ("hal", "ida", True)])
def test_request_limits_hold_by_user_until_their_window_ends(
    tree: Tree, user: str, other: str, *, stream: bool
) -> None:
    one, another = of(tree, user), of(tree, other)
    first, ends = chat(one, stream=stream), time.monotonic() + WINDOW
    assert [first, *(chat(one, stream=stream) for _ in range(3))] == [200, 200, 200, 429]
    assert chat(another, stream=stream) == 200, "another user's window is another's"
    assert time.monotonic() < ends, "the machine was too slow for this window: nothing was proved"
    time.sleep(ends - time.monotonic())
    assert chat(one, stream=stream) == 200


@pytest.mark.parametrize(("user", "other", "stream"), [("cleo", "dan", False), ("jon", "kim", True)])
def test_the_request_that_crosses_a_token_limit_is_the_last_that_is_answered(
    tree: Tree, user: str, other: str, *, stream: bool
) -> None:
    one, another = of(tree, user), of(tree, other)
    first, ends = chat(one, stream=stream), time.monotonic() + WINDOW
    assert [first, chat(one, stream=stream), chat(one, stream=stream)] == [200, 200, 429]
    assert chat(another, stream=stream) == 200
    assert time.monotonic() < ends, "the machine was too slow for this window: nothing was proved"
    time.sleep(ends - time.monotonic())
    assert chat(one, stream=stream) == 200


def test_refusals_are_the_clients_own_exceptions(tree: Tree) -> None:
    """401, 403 and 429; each of them more closely in tests/unit/gateway/test_openai_client.py."""
    assert refused(openai.AuthenticationError, client(tree, "nobody").models.list).code == "invalid_api_key"
    eve = of(tree, "eve")
    forged = {"x-maas-userid": "ada"}
    denied = refused(openai.PermissionDeniedError, lambda: eve.models.list(extra_headers=forged))
    assert denied.code == "forged_identity"
    tim = of(tree, "tim")
    assert [chat(tim) for _ in range(3)] == [200] * 3

    def ask() -> object:
        return tim.chat.completions.create(model="simulator-model", messages=[{"role": "user", "content": "?"}])

    assert refused(openai.RateLimitError, ask).code == "rate_limit_exceeded"


def test_each_model_answers_under_its_own_name_with_counters_of_its_own(tree: Tree) -> None:
    ada = keys_of(tree, "ada")[0]
    other = client(tree, ada, "qwen3.maas.localhost")
    assert [each.id for each in other.models.list()] == ["qwen3-0-6b-instruct"]
    assert [each.id for each in client(tree, ada).models.list()] == ["simulator-model"]
    assert chat(other) == 404, "the model's own error: it has not this name"


class Traffic:
    """Requests of one user, one after the other, while something else happens."""

    def __init__(self, caller: openai.OpenAI) -> None:
        self.statuses: Counter[int] = Counter()
        self.failure: BaseException | None = None
        self._caller, self._over = caller, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        try:
            for number in range(TRAFFIC_MOST):
                if self._over.is_set():
                    return
                self.statuses[chat(self._caller, 5, stream=number % 2 == 0)] += 1
                time.sleep(0.02)
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.failure = error


def test_a_tier_and_a_model_change_by_up_while_traffic_flows_and_no_request_is_lost(tree: Tree) -> None:
    flo = of(tree, "flo")
    assert [chat(flo) for _ in range(4)] == [200, 200, 200, 429]
    content = yaml.safe_load(tree.settings.read_text())
    content["config"]["maas:users"]["flo"] = {"tier": "many"}
    content["config"]["maas:models"]["simulator"]["maxSequences"] = 64
    tree.settings.write_text(yaml.safe_dump(content))
    with Traffic(of(tree, "eve")) as eve, Traffic(of(tree, "gil")) as gil:
        code, out, err = tree.run("up")
    assert code == 0, out + err
    for traffic in (eve, gil):
        assert traffic.failure is None
        assert set(traffic.statuses) == {200}, "no 5xx, nothing dropped, nobody else is limited"
    assert eve.statuses[200] > 20
    assert [chat(of(tree, "flo")) for _ in range(6)] == [200] * 6, "the higher tier's limit holds at once"


def test_a_rotated_key_works_beside_the_old_one_and_a_revoked_one_within_a_second_no_more(tree: Tree) -> None:
    (old,) = keys_of(tree, "eve")
    assert tree.run("keys", "rotate", "eve", "--grace", "1h")[0] == 0
    assert tree.run("up")[0] == 0
    both = keys_of(tree, "eve")
    assert len(both) == 2
    assert [chat(client(tree, key)) for key in both] == [200, 200]
    assert tree.run("keys", "revoke", "eve")[0] == 0
    assert tree.run("up")[0] == 0
    assert until(client(tree, old), 401, seconds=1.0) <= 1.0


def test_a_change_on_the_api_server_is_in_force_within_a_second(tree: Tree) -> None:
    gil = of(tree, "gil")
    until(gil, 200)

    async def delete(kube: Kube) -> None:
        for each in await kube.list("v1", "Secret", "kuadrant-system", label_selector="maas.kuadrant.io/user=gil"):
            await kube.delete("v1", "Secret", each["metadata"]["name"], "kuadrant-system")

    in_cluster(tree, delete)
    assert until(gil, 401, seconds=1.0) <= 1.0


def test_without_a_limiter_it_does_what_kuadrants_operator_was_told(tree: Tree) -> None:
    lea = of(tree, "lea")
    names = ("RATELIMIT_SERVICE_FAILURE_MODE", "RATELIMIT_CHECK_SERVICE_FAILURE_MODE")

    async def change(kube: Kube, api_version: str, kind: str, name: str, spec: dict[str, object]) -> None:
        await kube.patch(api_version, kind, name, {"spec": spec}, KUADRANT, field_manager="somebody")

    def limiters(replicas: int) -> None:
        in_cluster(
            tree,
            lambda kube: change(
                kube, "limitador.kuadrant.io/v1alpha1", "Limitador", "limitador", {"replicas": replicas}
            ),
        )

    def told(mode: str) -> None:
        env = [{"name": name, "value": mode} for name in names]
        pod = {"containers": [{"name": "manager", "image": PAUSE_IMAGE, "env": env}]}
        in_cluster(tree, lambda kube: change(kube, "apps/v1", "Deployment", OPERATOR, {"template": {"spec": pod}}))

    def settled(status: int) -> bool:
        deadline = time.monotonic() + 2
        while (now := chat(lea)) != status and time.monotonic() < deadline:
            time.sleep(0.1)
        return now == status

    limiters(0)
    assert settled(500)
    told("allow")
    assert settled(200)
    told("deny")
    assert settled(500)
    limiters(1)
    assert settled(200)


def test_metrics_of_everything_can_be_scraped_by_the_list_of_targets(tree: Tree) -> None:
    targets = httpx.get(f"{process.admin_url(tree.sandbox)}/targets").json()
    pages = {
        each["labels"]["job"]: httpx.get(f"http://{each['targets'][0]}{each['labels']['__metrics_path__']}").text
        for each in targets
    }
    assert 'limited_calls{limitador_namespace="llm/simulator"' in pages["limitador-limitador"]
    assert 'auth_server_response_status{status="OK"}' in pages["authorino-controller-metrics"]
    assert "istio_requests_total{" in pages["llm/maas-gateway"]
    assert "vllm:generation_tokens_total" in pages["llm/maas-models"]
    assert {each["targets"][0].partition(":")[0] for each in targets} == {"127.0.0.1"}


def test_chat_says_what_is_left_and_status_where_the_gateway_is(tree: Tree) -> None:
    code, out, err = tree.run("chat", "--user", "bob", "--max-tokens", "7", QUESTION)
    assert (code, len(out.split()) > 3) == (0, True), err
    assert "3 requests left" in " ".join(err.split()), err
    assert process.url(tree.sandbox) in tree.run("sandbox", "status")[1]


def test_a_gateway_that_was_killed_is_started_again_by_up(tree: Tree) -> None:
    gateway = [each for each in process.running(tree.sandbox) if processes.name_of(each) == "sandbox.gateway"]
    gateway[0].kill()
    gateway[0].wait(10)
    assert "does not answer" in tree.run("sandbox", "status")[1]
    assert tree.run("sandbox", "up", "--name", "sandbox")[0] == 0
    until(of(tree, "ada"), 200)


def test_nothing_of_it_connects_to_anything_but_loopback(tree: Tree) -> None:
    connections = [
        each.raddr.ip for one in process.running(tree.sandbox) for each in one.net_connections("inet") if each.raddr
    ]
    assert set(connections) <= {"127.0.0.1"}
    assert Path(process.log_file(tree.sandbox)).read_text().count("Traceback") == 0
