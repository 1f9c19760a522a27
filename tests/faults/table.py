"""The faults: how each is made, what is expected of it, and the way back. docs/faults.md shows this table."""

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import certifi
from aiohttp.web import Request, StreamResponse

from sandbox.crds import wait_until_served
from sandbox.kube import Kube, Object
from tests.faults import proxy as misbehave
from tests.faults.proxy import Misbehave, Proxy, Rule
from tests.faults.world import POLICY, STACK, WATCHES_POLICY, WRITES_POLICY, World

Make = Callable[[World], AbstractContextManager[None]]
Restore = tuple[str, ...]
"""Words of a command that has to be given before the next `up`."""

CRD = "tokenratelimitpolicies.kuadrant.io"
UP = ("up", "--stack", STACK, "--stand-in", "--yes")
DESTROY = ("destroy", "--stack", STACK, "--stand-in", "--yes")


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong while `up` changes one field of one object."""

    name: str
    what: str
    """For people: what goes wrong."""
    made: str
    """For people: how the test makes it."""
    make: Make
    code: int = 1
    """How the command ends: 0 when it gets over the fault."""
    says: tuple[str, ...] = ()
    """What it says, each somewhere."""
    seconds: float = 60
    """The longest that it may take beyond what two runs without a fault take on this machine."""
    way_back: tuple[Restore, ...] = ()
    words: Restore = UP
    ordinary: bool = False
    """Whether it is part of every run of the sandbox tier; the others take longer, or are much like another."""
    mounts: bool = False
    """Whether it needs the right to mount file systems."""
    touches: tuple[str, ...] = ()
    """The namespaces whose canaries the fault itself takes away."""

    @property
    def gets_over_it(self) -> bool:
        return self.code == 0


def through_proxy(act: Misbehave, *, method: str = "", path: str = "", times: int | None = None) -> Make:
    """Have the proxy misbehave; the fault has to have happened."""

    @contextmanager
    def make(world: World) -> Generator[None]:
        with world.proxy.misbehaving(Rule(act, method, path, times)) as rule:
            yield
        assert rule.seen, "no request met the fault"

    return make


def at_the_write(do: Callable[[World], None]) -> Make:
    """Have something happen in the middle of the run: when the changed field is about to be written."""

    @contextmanager
    def make(world: World) -> Generator[None]:
        done: list[str] = []

        async def act(request: Request, proxy: Proxy) -> StreamResponse:
            if not done:
                done.append(request.path)
                do(world)
            return await proxy.pass_on(request)

        with world.proxy.misbehaving(Rule(act, "PATCH", WRITES_POLICY)):
            yield
        assert done, "the run came to the write"

    return make


# --- between here and the API server


@contextmanager
def no_listener(world: World) -> Generator[None]:
    with world.with_kubeconfig(server="https://127.0.0.1:1"):
        yield


@contextmanager
def unknown_name(world: World) -> Generator[None]:
    """A name server on loopback that nobody runs answers no question."""
    servers = world.home / "resolv.conf"
    servers.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    world.prefix = ("unshare", "--mount", "sh", "-c", script, str(servers))
    try:
        with world.with_kubeconfig(server="https://api.no-such-cluster.example.com:6443"):
            yield
    finally:
        world.prefix = ()


@contextmanager
def wrong_ca(world: World) -> Generator[None]:
    pem = Path(certifi.where()).read_text(encoding="utf-8")
    start = pem.index("-----BEGIN")
    other = pem[start : pem.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----\n")]
    with world.with_kubeconfig(ca=other.encode()):
        yield


@contextmanager
def unknown_token(world: World) -> Generator[None]:
    with world.with_kubeconfig(user={"token": "not-known-here"}):
        yield


@contextmanager
def expired_certificate(world: World) -> Generator[None]:
    with world.with_kubeconfig(user=world.certificate("maas-deployer", ("system:masters",), days=-1)):
        yield


@contextmanager
def no_rights(world: World) -> Generator[None]:
    with world.with_kubeconfig(user=world.certificate("somebody-without-rights")):
        yield


@contextmanager
def broken_kubeconfig(world: World) -> Generator[None]:
    path = world.home / "broken-kubeconfig.yaml"
    path.write_text("clusters: [")
    with world.with_environment(KUBECONFIG=str(path)):
        yield


# --- the control plane


def kill_for_a_while(*names: str) -> Callable[[World], None]:
    def do(world: World) -> None:
        world.kill(*names)

    return do


def mended_afterwards(make: Make, *, operators_anew: bool = False) -> Make:
    """Start what was killed, when the run is over.

    Operators wait ever longer for an API server or a kind that is away: in the end longer than this stack waits for
    them. `operators_anew` starts them again, too.
    """

    @contextmanager
    def mended(world: World) -> Generator[None]:
        with make(world):
            yield
        if operators_anew:
            world.kill("kwok-controller")
        world.mend_control_plane()

    return mended


def restarted_at_once(world: World) -> None:
    """Kill etcd and the API server, and have them start again meanwhile."""
    world.kill("etcd", "kube-apiserver")
    threading.Thread(target=world.mend_control_plane, daemon=True).start()


@contextmanager
def controllers_stand_still(world: World) -> Generator[None]:
    with world.stopped("kwok-controller"):
        yield


# --- the engine, and who runs it


def kill_engine(world: World) -> None:
    for each in world.engines():
        each.kill()


@contextmanager
def killed(world: World) -> Generator[None]:
    """A run that was killed with everything in it but its engine, in the middle."""
    met = threading.Event()

    async def act(request: Request, proxy: Proxy) -> StreamResponse:
        met.set()
        return await misbehave.silent(request, proxy)

    with world.proxy.misbehaving(Rule(act, "PATCH", WRITES_POLICY)):
        world.change()
        process = world.start(*UP)
        assert met.wait(200), "the run came to the write"
        process.kill()
        process.wait()
    yield


@contextmanager
def asked_to_end(world: World) -> Generator[None]:
    """Ask the run that is about to begin to end, in the middle of it."""

    def ask(_world: World) -> None:
        for engine in world.engines():
            owner = engine.environ()["MAAS_ENGINE_OWNER"].partition(":")[0]
            subprocess.run(["kill", "-TERM", owner], check=True)  # noqa: S603, S607

    with at_the_write(ask)(world):
        yield


@contextmanager
def another_at_work(world: World) -> Generator[None]:
    met, release = threading.Event(), threading.Event()

    async def act(request: Request, proxy: Proxy) -> StreamResponse:
        met.set()
        while not release.is_set():
            await misbehave.pause()
        return await proxy.pass_on(request)

    with world.proxy.misbehaving(Rule(act, "PATCH", WRITES_POLICY)):
        world.change()
        first = world.start(*UP)
        try:
            assert met.wait(200), "the first run came to the write"
            yield
        finally:
            release.set()
            said, _ = first.communicate(timeout=200)
        assert first.returncode == 0, said


def lock_of(host: str) -> Make:
    @contextmanager
    def make(world: World) -> Generator[None]:
        import json  # noqa: PLC0415
        import socket  # noqa: PLC0415

        path = world.state / ".pulumi" / "locks" / "organization" / "maas" / STACK / "1.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"pid": 1, "username": "x", "hostname": host or socket.gethostname()}))
        yield

    return make


# --- the state


@contextmanager
def truncated(world: World) -> Generator[None]:
    content = world.backend.snapshot.read_bytes()
    world.backend.snapshot.write_bytes(content[: len(content) // 2])
    yield


@contextmanager
def truncated_with_all_copies_of_the_engine(world: World) -> Generator[None]:
    shutil.rmtree(world.state / ".pulumi" / "backups")
    world.backend.snapshot.with_name(f"{STACK}.json.bak").unlink(missing_ok=True)
    with truncated(world):
        yield


@contextmanager
def gone(world: World) -> Generator[None]:
    shutil.rmtree(world.state)
    yield


@contextmanager
def gone_with_its_newest_copy(world: World) -> Generator[None]:
    newest = max((world.home / "backups" / STACK).glob("*.json.gz"))
    newest.write_bytes(newest.read_bytes()[:-40])
    with gone(world):
        yield


@contextmanager
def half_written_sidecars(world: World) -> Generator[None]:
    (world.state / ".pulumi" / "meta.yaml").write_text("")
    world.backend.snapshot.with_name(f"{STACK}.json.attrs").write_text('{"user.cont')
    yield


@contextmanager
def without_meta(world: World) -> Generator[None]:
    (world.state / ".pulumi" / "meta.yaml").unlink()
    yield


def passphrase(text: str | None) -> Make:
    @contextmanager
    def make(world: World) -> Generator[None]:
        path = world.home / "passphrase"
        before = path.read_text()
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        try:
            yield
        finally:
            path.write_text(before)
            path.chmod(0o600)

    return make


def full(folder: str, *, but: str = "") -> Make:
    """A file system of its own for a folder of the home, with next to nothing free.

    Args:
        folder: The folder's name.
        but: Files that are not in it any more.
    """

    @contextmanager
    def make(world: World) -> Generator[None]:
        place, aside = world.home / folder, world.home / "aside"
        place.mkdir(exist_ok=True)
        place.rename(aside)
        place.mkdir(mode=0o700)
        size = sum(path.stat().st_size + 4096 for path in aside.rglob("*"))
        _mount("-t", "tmpfs", "-o", f"size={size + 2**20},mode=700", "tmpfs", str(place))
        try:
            shutil.copytree(aside, place, dirs_exist_ok=True)
            for path in place.rglob(but) if but else ():
                path.unlink()
            filler = place / "filler"
            with filler.open("wb", buffering=0) as out, suppress(OSError):
                while True:
                    out.write(b"x" * 4096)
            yield
            filler.unlink(missing_ok=True)
            shutil.rmtree(aside)
            shutil.copytree(place, aside)
        finally:
            subprocess.run(["umount", str(place)], check=True)  # noqa: S603, S607
            place.rmdir()
            aside.rename(place)

    return make


@contextmanager
def read_only(world: World) -> Generator[None]:
    place = str(world.state)
    _mount("--bind", place, place)
    try:
        _mount("-o", "remount,ro,bind", place)
        yield
    finally:
        subprocess.run(["umount", place], check=True)  # noqa: S603, S607


@contextmanager
def clock_was_ahead(world: World) -> Generator[None]:
    """Everything was written by a clock that was two days ahead, and has been set right since."""
    ahead = time.time() + 2 * 24 * 3600
    import os  # noqa: PLC0415

    for folder in (world.state, world.home / "backups"):
        for path in folder.rglob("*"):
            os.utime(path, (ahead, ahead))
    yield


@contextmanager
def half_written_stack_file(world: World) -> Generator[None]:
    end = "  maas:routing: {by:\n"
    world.settings.write_text(world.settings.read_text() + end)
    try:
        yield
    finally:
        world.settings.write_text(world.settings.read_text().removesuffix(end))


# --- what is on the cluster


@contextmanager
def crd_deleted(world: World) -> Generator[None]:
    where = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", CRD)
    found = world.get(*where)
    assert found
    kept: Object = {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {"name": CRD},
        "spec": found["spec"],
    }

    async def again(kube: Kube) -> None:
        await kube.apply(kept, field_manager="somebody-else")
        await wait_until_served(kube, [kept], timeout_seconds=10)

    world.cluster(lambda kube: kube.delete(*where))
    _until_none(world, *where)
    yield
    world.cluster(again)


@contextmanager
def deleted_by_somebody(world: World) -> Generator[None]:
    world.cluster(lambda kube: kube.delete(*POLICY))
    yield


@contextmanager
def field_of_somebody_else(world: World) -> Generator[None]:
    """Another field manager owns the field that the run changes, as a GitOps tool would."""
    api_version, kind, name, namespace = POLICY
    live = world.get(*POLICY)
    assert live
    metadata = {"name": name, "namespace": namespace}
    spec = {"targetRef": live["spec"]["targetRef"], "limits": live["spec"]["limits"]}
    spec["limits"]["free"]["rates"][0]["limit"] = 7
    theirs = {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
    world.cluster(lambda kube: kube.apply(theirs, field_manager="gitops", force=True))
    yield
    released = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
    world.cluster(lambda kube: kube.apply(released, field_manager="gitops", force=True))


@contextmanager
def refused_by_policy(world: World) -> Generator[None]:
    rule = {"apiGroups": ["kuadrant.io"], "apiVersions": ["*"], "operations": ["UPDATE"]}
    spec = {
        "matchConstraints": {"resourceRules": [{**rule, "resources": ["tokenratelimitpolicies"]}]},
        "validations": [{"expression": "false", "message": "limits are frozen until Monday"}],
    }
    binding = {"policyName": "frozen", "validationActions": ["Deny"]}
    kinds = (("ValidatingAdmissionPolicy", spec), ("ValidatingAdmissionPolicyBinding", binding))
    objects: list[Object] = [
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "frozen"}, "spec": body}
        for kind, body in kinds
    ]
    with world.having(*objects):
        time.sleep(2)  # the API server takes notice by a watch of its own
        yield
    time.sleep(2)


@contextmanager
def webhook_that_is_gone(world: World) -> Generator[None]:
    rule = {"apiGroups": ["kuadrant.io"], "apiVersions": ["*"], "operations": ["UPDATE"]}
    hook = {
        "name": "check.policies.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/validate"},
        "rules": [{**rule, "resources": ["tokenratelimitpolicies"]}],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
    }
    configuration: Object = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "gone"},
        "webhooks": [hook],
    }
    with world.having(configuration):
        time.sleep(2)
        yield
    time.sleep(2)


@contextmanager
def quota_is_full(world: World) -> Generator[None]:
    """No disruption budget in the namespace of the models, where a model with two replicas brings one."""
    quota: Object = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "full", "namespace": "llm"},
        "spec": {"hard": {"count/poddisruptionbudgets.policy": "0"}},
    }

    async def counted(kube: Kube) -> None:
        for _ in range(300):
            found = await kube.get("v1", "ResourceQuota", "full", "llm")
            if found and found.get("status", {}).get("used"):
                return
            await misbehave.pause()

    with ExitStack() as stack:
        stack.enter_context(
            world.edited("simulator: {profile: simulator}", "simulator: {profile: simulator, replicas: 2}")
        )
        with world.having(quota):
            world.cluster(counted)
            yield


@contextmanager
def stuck_in_deletion(world: World) -> Generator[None]:
    """An object that the stack no longer wants, and that somebody's finalizer holds."""
    with world.edited(
        "simulator: {profile: simulator}", "simulator: {profile: simulator}\n    second: {profile: simulator}"
    ):
        said = world.up()
        assert said.code == 0, said.text

    route = ("gateway.networking.k8s.io/v1", "HTTPRoute", "second", "llm")
    _finalizers(world, route, "example.com/not-yet")
    yield
    _finalizers(world, route)


CANARY = ("v1", "ConfigMap", "canary", "llm")
"""An object in the models' namespace, which does not go while it is held."""


def _finalizers(world: World, where: tuple[str, str, str, str], *names: str) -> None:
    """Have somebody hold an object with these finalizers; with none, let go of it."""
    api_version, kind, name, namespace = where
    body: Object = {"metadata": {"finalizers": list(names) or None}}
    world.cluster(lambda kube: kube.patch(api_version, kind, name, body, namespace, field_manager="somebody-else"))


def _until_none(world: World, *where: str) -> None:
    for _ in range(300):
        if world.get(*where) is None:
            return
        time.sleep(0.1)
    raise AssertionError(where)


def _delete_namespace(world: World) -> None:
    _finalizers(world, CANARY, "example.com/not-yet")
    world.cluster(lambda kube: kube.delete("v1", "Namespace", "llm"))
    _until_none(world, *POLICY)


@contextmanager
def namespace_terminating(world: World) -> Generator[None]:
    _delete_namespace(world)
    yield
    _finalizers(world, CANARY)
    _until_none(world, "v1", "Namespace", "llm")


@contextmanager
def namespace_going(world: World) -> Generator[None]:
    _delete_namespace(world)
    letting_go = threading.Timer(world.usual_seconds / 2, _finalizers, (world, CANARY))
    letting_go.start()
    yield
    letting_go.join()


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)  # noqa: S603, S607


def _other_cluster() -> Misbehave:
    body = '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":"another-cluster"}}'
    return misbehave.answering(200, body, **{"Content-Type": "application/json"})


_STATUS = '{"kind":"Status","apiVersion":"v1","status":"Failure","message":"%s","reason":"%s","code":%d}'
NETWORK: tuple[Fault, ...] = (
    Fault(
        "latency",
        "the API server is slow",
        "each answer comes half a second late",
        through_proxy(misbehave.late(0.5)),
        code=0,
        ordinary=True,
    ),
    Fault(
        "resets",
        "connections break before a request is passed on",
        "the first three writes",
        through_proxy(misbehave.reset, times=3, method="PATCH", path=WRITES_POLICY),
        code=0,
    ),
    Fault(
        "answer-lost",
        "a write is carried out, and its answer is lost",
        "the connection breaks after the write",
        through_proxy(misbehave.reset_after, times=1, method="PATCH", path=WRITES_POLICY),
        code=0,
        ordinary=True,
    ),
    Fault(
        "resets-for-good",
        "every connection breaks",
        "each request to the API server",
        through_proxy(misbehave.reset),
        says=("no answer from the API server",),
    ),
    Fault(
        "half-open-once",
        "a connection is half open",
        "one write is never answered",
        through_proxy(misbehave.silent, times=1, method="PATCH", path=WRITES_POLICY),
        code=0,
    ),
    Fault(
        "half-open",
        "every connection is half open",
        "no write is ever answered",
        through_proxy(misbehave.silent, method="PATCH", path=WRITES_POLICY),
        says=("no answer from the API server", "ReadTimeout"),
        seconds=180,
    ),
    Fault(
        "half-open-from-the-start",
        "an API server that takes connections and says nothing",
        "no request is ever answered",
        through_proxy(misbehave.silent),
        says=("no answer from the API server", "ReadTimeout"),
        seconds=240,
    ),
    Fault(
        "429",
        "the API server asks for patience",
        "three times 429 with `Retry-After: 1`",
        through_proxy(
            misbehave.answering(429, "slow down", **{"Retry-After": "1"}), times=3, method="PATCH", path=WRITES_POLICY
        ),
        code=0,
        ordinary=True,
    ),
    Fault(
        "429-for-good",
        "the API server never has time",
        "429 to each write",
        through_proxy(
            misbehave.answering(429, _STATUS % ("too many requests", "TooManyRequests", 429)),
            method="PATCH",
            path=WRITES_POLICY,
        ),
        says=("too many requests", "HTTP 429"),
    ),
    Fault(
        "500",
        "an internal error of the API server",
        "500 to the first two writes",
        through_proxy(
            misbehave.answering(500, _STATUS % ("etcdserver: leader changed", "InternalError", 500)),
            times=2,
            method="PATCH",
            path=WRITES_POLICY,
        ),
        code=0,
    ),
    Fault(
        "503",
        "a load balancer without an API server behind it",
        "503 to the first three requests",
        through_proxy(misbehave.answering(503, "no healthy upstream"), times=3),
        code=0,
    ),
    Fault(
        "503-for-good",
        "a load balancer that never has one",
        "503 to each request",
        through_proxy(misbehave.answering(503, "no healthy upstream")),
        says=("no healthy upstream", "HTTP 503"),
    ),
    Fault(
        "truncated-body",
        "an answer is cut short",
        "the first two writes get half an answer",
        through_proxy(misbehave.cut_short, times=2, method="PATCH", path=WRITES_POLICY),
        code=0,
    ),
    Fault(
        "no-json",
        "something else answers in the API server's place",
        "a sign-in page for each write",
        through_proxy(misbehave.answering(200, "<html>Please sign in</html>"), method="PATCH", path=WRITES_POLICY),
        says=("no JSON", "Please sign in"),
        ordinary=True,
    ),
    Fault(
        "truncated-watch",
        "a watch breaks off within an event",
        "the first two watches of the object",
        through_proxy(misbehave.watch_cut_short, times=2, path=WATCHES_POLICY),
        code=0,
        ordinary=True,
    ),
    Fault(
        "half-open-watch",
        "a watch is half open",
        "the first watch of the object is never answered",
        through_proxy(misbehave.silent, times=1, path=WATCHES_POLICY),
        code=0,
    ),
    Fault(
        "half-open-watches",
        "every watch is half open",
        "no watch of the object is ever answered",
        through_proxy(misbehave.silent, path=WATCHES_POLICY),
        code=0,
    ),
    Fault(
        "silent-watches",
        "watches begin, and then fall silent",
        "no watch of the object ever has an event",
        through_proxy(misbehave.watch_silent, path=WATCHES_POLICY),
        code=0,
    ),
    Fault(
        "watch-too-old",
        "etcd has been compacted under a watch",
        "410 in the first watch of the object",
        through_proxy(misbehave.watch_too_old, times=1, path=WATCHES_POLICY),
        code=0,
    ),
    Fault(
        "no-listener", "nobody listens", "the port of another server", no_listener, says=("no answer", "127.0.0.1:1")
    ),
    Fault(
        "unknown-name",
        "the API server's name does not resolve",
        "a name server that does not answer",
        unknown_name,
        says=("no answer from the API server at https://api.no-such-cluster.example.com:6443",),
        mounts=True,
    ),
    Fault(
        "wrong-ca",
        "the API server's certificate is of another CA",
        "a kubeconfig with another CA",
        wrong_ca,
        says=("certificate verify failed",),
    ),
    Fault(
        "unknown-token",
        "a token that is not valid any more",
        "a kubeconfig with another token",
        unknown_token,
        says=("Unauthorized", "HTTP 401"),
        ordinary=True,
    ),
    Fault(
        "expired-certificate",
        "a client certificate that has expired",
        "one that ended yesterday",
        expired_certificate,
        says=("HTTP 401",),
    ),
    Fault(
        "no-rights",
        "an account without rights",
        "a kubeconfig of somebody else",
        no_rights,
        says=("forbidden", "somebody-without-rights"),
    ),
    Fault(
        "broken-kubeconfig",
        "a kubeconfig that is no YAML",
        "a file cut short",
        broken_kubeconfig,
        says=("is not valid YAML",),
    ),
    Fault(
        "another-cluster",
        "the kubeconfig leads to another cluster",
        "another uid of kube-system",
        through_proxy(_other_cluster(), method="GET", path=r"/namespaces/kube-system$"),
        says=("leads to another cluster", "maas:cluster.context"),
        ordinary=True,
    ),
)
CONTROL_PLANE: tuple[Fault, ...] = (
    Fault(
        "api-server-killed",
        "the API server is killed in the middle, and comes back later",
        "`kill -9` at the write; started again after the run, with the operators",
        mended_afterwards(at_the_write(kill_for_a_while("kube-apiserver")), operators_anew=True),
        says=("no answer from the API server",),
    ),
    Fault(
        "etcd-killed",
        "etcd is killed in the middle, and comes back later",
        "`kill -9` at the write; started again after the run, with the operators",
        mended_afterwards(at_the_write(kill_for_a_while("etcd")), operators_anew=True),
        says=("TokenRateLimitPolicy llm/gateway-token-limits",),
        seconds=200,
    ),
    Fault(
        "control-plane-restarted",
        "etcd and API server are killed, and started again at once",
        "`kill -9` of both at the write",
        mended_afterwards(at_the_write(restarted_at_once)),
        code=0,
    ),
    Fault(
        "operator-down",
        "nobody accepts the change: the operator is down",
        "kwok stands still",
        controllers_stand_still,
        says=("is not ready after 15 s", "kubectl describe"),
    ),
)
RUNS: tuple[Fault, ...] = (
    Fault(
        "engine-killed",
        "the engine is killed",
        "`kill -9` at the write",
        at_the_write(kill_engine),
        says=("The engine was killed (SIGKILL)",),
        ordinary=True,
    ),
    Fault(
        "run-killed",
        "the command, with the provider in it, is killed",
        "`kill -9` at the write; then `up` again",
        killed,
        code=0,
        ordinary=True,
    ),
    Fault(
        "asked-to-end",
        "the command is asked to end",
        "SIGTERM at the write",
        asked_to_end,
        code=130,
        says=("Interrupted",),
    ),
    Fault(
        "two-ups",
        "two `up`s at once",
        "the second while the first writes",
        another_at_work,
        says=("Another command is at work on stack faults",),
        ordinary=True,
    ),
    Fault(
        "lock-left",
        "a lock that a killed run left",
        "a lock of a process that is gone",
        lock_of(""),
        code=0,
        says=("Cleared the lock",),
    ),
    Fault(
        "lock-elsewhere",
        "a lock of another machine",
        "a lock of another host",
        lock_of("build-3"),
        says=("is locked by process 1 on build-3", "./maas state unlock --force --stack faults"),
        way_back=(("state", "unlock", "--force", "--stack", STACK),),
    ),
)
STATE: tuple[Fault, ...] = (
    Fault(
        "state-truncated",
        "the state is cut short",
        "half of the file",
        truncated,
        code=0,
        says=("took the backup",),
        ordinary=True,
    ),
    Fault(
        "state-and-copies-truncated",
        "the state is cut short, and the engine's copies are gone",
        "half of the file, no copies of the engine's",
        truncated_with_all_copies_of_the_engine,
        says=("cannot be read", "./maas state restore --stack faults"),
        way_back=(("state", "restore", "--stack", STACK),),
    ),
    Fault(
        "state-gone",
        "the state's folder is gone",
        "`rm -rf`",
        gone,
        says=("is gone", "./maas state restore --stack faults"),
        way_back=(("state", "restore", "--stack", STACK),),
        ordinary=True,
    ),
    Fault(
        "state-and-newest-copy-gone",
        "the state is gone, and its newest copy is damaged",
        "`rm -rf`; the copy cut short",
        gone_with_its_newest_copy,
        says=("is gone",),
        way_back=(("state", "restore", "--stack", STACK),),
    ),
    Fault(
        "sidecars",
        "the engine's small files are half written",
        "an empty meta.yaml, half an .attrs",
        half_written_sidecars,
        code=0,
    ),
    Fault("no-meta", "the mark of the store's layout is gone", "meta.yaml deleted", without_meta, code=0),
    Fault(
        "wrong-passphrase",
        "another passphrase",
        "another text in the file",
        passphrase("another"),
        says=("encrypted with another passphrase", "adopt --lost-passphrase"),
        ordinary=True,
    ),
    Fault(
        "lost-passphrase",
        "the passphrase is lost",
        "the file deleted",
        passphrase(None),
        code=2,
        says=("was encrypted with a passphrase", "adopt --lost-passphrase"),
    ),
    Fault(
        "disk-full",
        "no room where the state is",
        "a full file system",
        full("state"),
        says=("no space left on device",),
        mounts=True,
    ),
    Fault(
        "disk-full-copies",
        "no room for the copy after the run",
        "a full file system where the copies are",
        full("backups"),
        code=0,
        says=("The copy of the state could not be written", "No space left on device"),
        mounts=True,
    ),
    Fault(
        "disk-full-first-copy",
        "no room for the copy before the run",
        "a full file system where the copies were",
        full("backups", but="*.json.gz"),
        says=("Nothing was begun", "No space left on device"),
        mounts=True,
    ),
    Fault(
        "read-only",
        "the state's folder is read-only",
        "mounted so",
        read_only,
        says=("read-only file system",),
        mounts=True,
    ),
    Fault("clock", "the clock was ahead, and is set back", "files of the day after tomorrow", clock_was_ahead, code=0),
    Fault(
        "stack-file",
        "the stack file is half written",
        "an open brace at its end",
        half_written_stack_file,
        code=3,
        says=("Pulumi.faults.yaml is not YAML", "line"),
    ),
)
OBJECTS: tuple[Fault, ...] = (
    Fault("deleted", "somebody deletes an object", "`kubectl delete`", deleted_by_somebody, code=0),
    Fault(
        "crd-deleted",
        "a CRD is deleted under us",
        "that of the token limits; it comes back after the run, and the operators are started again",
        mended_afterwards(crd_deleted, operators_anew=True),
        says=("no matches for kind", "TokenRateLimitPolicy"),
    ),
    Fault(
        "conflict",
        "the field belongs to somebody else",
        "another field manager applies it",
        field_of_somebody_else,
        says=("another field manager is in the way", "is owned by 'gitops'"),
    ),
    Fault(
        "refused",
        "a policy of the cluster refuses the change",
        "a ValidatingAdmissionPolicy",
        refused_by_policy,
        says=("limits are frozen until Monday",),
        ordinary=True,
    ),
    Fault(
        "webhook-gone",
        "a webhook that has to be asked is gone",
        "a ValidatingWebhookConfiguration that leads nowhere",
        webhook_that_is_gone,
        says=("failed calling webhook", "check.policies.example.com"),
    ),
    Fault(
        "quota",
        "a quota is full",
        "a ResourceQuota of 0 disruption budgets, a model with two replicas",
        quota_is_full,
        says=("exceeded quota: full",),
    ),
    Fault(
        "stuck",
        "an object is stuck in deletion",
        "somebody's finalizer on a route that has to go",
        stuck_in_deletion,
        says=("is not gone after 15 s", "example.com/not-yet"),
    ),
    Fault(
        "destroy-unreachable",
        "the API server is away during `destroy`",
        "503 to each request",
        through_proxy(misbehave.answering(503, "no healthy upstream")),
        words=DESTROY,
        says=("no healthy upstream",),
    ),
    Fault(
        "terminating",
        "the namespace is being deleted",
        "`kubectl delete namespace`, held by somebody's finalizer",
        namespace_terminating,
        says=("Namespace llm is not gone after 15 s", "example.com/not-yet"),
        touches=("llm",),
    ),
    Fault(
        "terminating-for-a-while",
        "the namespace is being deleted, and gone a few seconds later",
        "`kubectl delete namespace`, held by somebody's finalizer for that long",
        namespace_going,
        code=0,
        touches=("llm",),
        ordinary=True,
    ),
)
FAULTS: tuple[Fault, ...] = (*NETWORK, *CONTROL_PLANE, *RUNS, *STATE, *OBJECTS)
SECTIONS = (
    ("Between here and the API server", NETWORK),
    ("The control plane", CONTROL_PLANE),
    ("The engine, and who runs it", RUNS),
    ("The state and the stack file", STATE),
    ("What is on the cluster", OBJECTS),
)
