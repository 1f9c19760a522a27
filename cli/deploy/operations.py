"""What the commands do: open the stack, run the engine on it, say what came of it."""

import asyncio
import hashlib
import json
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pulumi
from pulumi.automation.errors import CommandError
from rich.prompt import Confirm

from cli.console import Console
from cli.deploy import composed, leftovers, namespaces, recovery, same_cluster, summary, unsaved
from cli.deploy.engine import Engine, Session
from cli.deploy.kind import KindCluster, require_engine
from cli.deploy.leftovers import Leftover
from cli.deploy.lock import held
from cli.deploy.provider import Choice, attached
from cli.deploy.recovery import Backend
from cli.deploy.summary import Summary
from cli.deploy.target import Target, ambient_kubeconfig, of_sandbox, of_stack
from cli.deploy.tracker import Diagnostic, Tracker
from cli.deploy.tryout import Tryout, try_out
from cli.deploy.unsaved import Note, Ref
from cli.exits import Exit, MaasError, unusable
from cli.keys import store
from cli.paths import ROOT
from cli.program import policies
from cli.program.recorder import Recording, RecordingError, record
from cli.program.sdk import without_debug_messages
from cli.program.urns import layer_of
from cli.service.calls import Service
from cli.stacks import drift
from cli.stacks.stackfile import SANDBOX, mapping, stack_config
from cli.state import BACKUPS, care
from config import source
from config.problems import ConfigError
from sandbox import control_plane, lifecycle
from sandbox.instance import Sandbox, SandboxError
from sandbox.kube import ApiError, Kube, Retry
from sandbox.kubeconfig import KubeconfigError
from sandbox.toolbox import ToolError, find
from sandbox.tools.declarations import TOOLS

PROGRAM = ROOT / "__main__.py"
_WITH_OPENAI = (
    "python -c 'import os, openai; "
    'print(openai.OpenAI(default_headers={"Host": os.environ["MAAS_HOST"]}).models.list())\''
)
_PROTECTED = """\
Stack {stack} is protected: callers depend on it. To take it away all the same, take `protected: true` out of
maas:policy in its file first."""
_QUICKLY = Retry(attempts=2, seconds=10)


@dataclass(frozen=True)
class Options:
    """What the command line says, the same for all commands."""

    stack: str = SANDBOX
    sandbox: str = "sandbox"
    """Name of the sandbox, for the sandbox stack."""
    json: bool = False
    yes: bool = False
    backups: int = BACKUPS
    """How many copies of a local state stay that are taken around `up` and `destroy`; none are taken with 0."""
    provider: Choice = Choice.AUTO
    kind: KindCluster | None = None
    """The kind cluster that the stack is for."""


Work = Callable[[Session, Tracker], None]


class Command:
    """One command on one stack, from its first check to what it says at the end."""

    def __init__(self, options: Options, console: Console) -> None:
        self.options = options
        self.console = console
        self._began = time.monotonic()
        self._tracker = Tracker()
        self._session_at_work: Session | None = None
        self._left: list[Leftover] = []

    def up(self) -> Exit:
        """Make the cluster what the stack's settings say; for the sandbox, start it first."""
        return self._report(self._up)

    def preview(self, *, expect_no_changes: bool, with_policies: bool = False) -> Exit:
        """Show what `up` would do; with the policy pack, also what its rules say of it."""

        def work() -> Exit:
            self._check_settings()
            packs = [policies.pack()] if with_policies else []
            with self._opened() as (target, session):
                self._require_running(target)
                self._run("Preview", state_counts(target), lambda t: session.preview(t.on_event, packs))
                self._say_what_would_be_swept(target)
            for each in self._tracker.warnings if with_policies else ():
                self.console.note(each.message)
            return self._changes("would be", expect_no_changes=expect_no_changes)

        return self._report(work)

    def refresh(self, *, expect_no_changes: bool, preview_only: bool) -> Exit:
        """Find out what is really there. With `expect_no_changes` or `preview_only`, remember nothing."""

        def work() -> Exit:
            with self._opened(create=False) as (target, session):
                self._require_running(target)
                looking = preview_only or expect_no_changes
                self._run("Refresh", state_counts(target), lambda t: session.refresh(t.on_event, preview_only=looking))
            if target.sandbox is None or target.sandbox.name == target.stack:  # others beside it have no row of theirs
                drift.remember(target.stack, drifted=bool(self._tracker.changed))
            return self._changes("", expect_no_changes=expect_no_changes)

        return self._report(work)

    def destroy(self) -> Exit:
        """Delete all that the stack has on its cluster."""

        def work() -> Exit:
            self._require_answer()
            if self._is_protected():
                raise MaasError(_PROTECTED.format(stack=self.options.stack))
            with self._opened(create=False) as (target, session), self._kept(target, "destroy"):
                self._require_running(target)
                self._confirm(f"Delete everything that stack {target.stack} has on its cluster?", target)
                try:
                    with self._saving(target, session, None):
                        self._run("Destroy", state_counts(target), lambda t: session.destroy(t.on_event))
                except Exception:
                    # What was not gone in time stays in the state, and may go any moment.
                    unsaved.distrust(target.backend)
                    raise
                self._look_for_leftovers(target)
            self._say(f"Destroyed: {summary.counts(self._tracker.changes)}.")
            self._say_leftovers()
            return Exit.OK

        return self._report(work)

    def down(self) -> Exit:
        """Destroy the sandbox's stack, stop the sandbox, and leave nothing of either."""

        def work() -> Exit:
            sandbox = Sandbox.open(self.options.sandbox)
            target = of_sandbox(sandbox)
            with held(target):
                self._destroy_if_possible(target)
                lifecycle.down(sandbox, self.console)
                shutil.rmtree(sandbox.folder, ignore_errors=True)
                drift.forget(target.stack)
            target.lock.unlink(missing_ok=True)
            self._say(f"Sandbox {sandbox.name} is gone.")
            return Exit.OK

        return self._report(work)

    def check(self) -> Recording:
        """Run the program on the stack's settings alone: what is wrong with them is said before anything is touched."""
        return self._recorded(*self._config())

    def _recorded(self, values: Mapping[str, str], secrets: frozenset[str]) -> Recording:
        try:
            return record(self.options.stack, values, secrets)
        except pulumi.RunError as error:
            raise MaasError(str(error), code=Exit.CONFIG) from error
        except RecordingError as error:
            raise MaasError(str(error)) from error

    def _keep_rules(self, recording: Recording, values: Mapping[str, str]) -> None:
        """Deploy a protected stack only when no mandatory rule is broken."""
        if not policies.is_protected(values):
            return
        found = policies.check(policies.of_recording(recording, values))
        if policies.result(found) is not Exit.OK:
            words = policies.lines(found, self.options.stack)
            raise MaasError("\n".join([*words, "It is protected, so nothing was deployed."]))

    def _is_protected(self) -> bool:
        """Whether the stack's file says so; a file that cannot be read says nothing."""
        try:
            return policies.is_protected(self._config()[0])
        except MaasError:
            return False

    def _check_settings(self) -> None:
        """Say what is wrong with the settings without a run of the whole program: the engine is about to run it."""
        values, secrets = self._config()
        try:
            source.load(self.options.stack, values, {key.removeprefix("maas:") for key in secrets})
        except ConfigError as error:
            raise MaasError(str(error), code=Exit.CONFIG) from error

    def _config(self) -> tuple[dict[str, str], frozenset[str]]:
        kind = self.options.kind
        if kind:
            kind.compose()
        return stack_config(self.options.stack, kind.project) if kind else stack_config(self.options.stack)

    def _up(self) -> Exit:
        self._require_answer()
        if self.options.kind:
            require_engine()
        values, secrets = self._config()
        recording = self._recorded(values, secrets)
        self._keep_rules(recording, values)
        with self._opened(start=True) as (target, session), self._kept(target, "up"):
            refresh = target.sandbox is not None and self._cluster_is_new(target)
            if refresh:
                self.console.note("The control plane is a new one: looking at what is really there first.")
            elif target.sandbox:
                _remember_cluster(target)
            refresh = self._namespaces_have_gone(target, recording) or refresh
            if target.sandbox is None and not self.options.yes:
                self._run("Preview", recording_counts(recording), lambda t: session.preview(t.on_event))
                self._show_changes("would be")
                self._say_what_would_be_swept(target)
                self._confirm(f"Deploy stack {target.stack}?", target)
            with self._saving(target, session, recording) as unknown:
                refresh = refresh or unknown
                self._run("Up", recording_counts(recording), lambda t: session.up(t.on_event, refresh=refresh))
            if target.sandbox:
                _remember_cluster(target)
            else:
                same_cluster.remember(target, lambda: self._cluster(target))
            self._show_changes("")
            self._look_for_leftovers(target)
            self._say_leftovers()
            tried = self._tried_out(target)
            if not self.options.json:
                port = target.sandbox.ports.gateway if target.sandbox else None
                end = summary.closing(self._tracker.outputs, self._hints(target, tried), port=port)
                summary.show(self.console.out, end)
        return Exit.OK

    def _namespaces_have_gone(self, target: Target, recording: Recording) -> bool:
        backend = target.backend
        known = (lambda: unsaved.refs_in(backend)) if backend else list[Ref]
        gone = namespaces.settle(lambda: self._cluster(target), recording, known, self.console)
        if gone:
            self.console.note("A namespace of the stack has gone, with all that was in it: looking at what is there.")
        return gone

    # Runs that write their state once, and what a killed one has left.

    @contextmanager
    def _saving(self, target: Target, session: Session, recording: Recording | None) -> Generator[bool]:
        """Have the engine write the state once where that is worth it, and put right what an earlier such run left.

        Yields whether the state may not be what is on the cluster, so that one has to look first.
        """
        earlier = Note.find(target.backend)
        if earlier:
            self.console.note(
                "An earlier run left its state behind what is on the cluster: looking at what is there, adopting it."
            )
        backend = target.backend
        if backend is None or not unsaved.writes_once(backend, recording):
            yield earlier is not None
        else:
            once = unsaved.Once(backend, recording)
            once.begin()
            try:
                with session.engine.with_environment({unsaved.ENGINE_VARIABLE: "true"}):
                    yield earlier is not None
            finally:
                if once.saved and earlier is None:
                    once.forget()
        if backend and earlier:
            self._sweep(target, backend, earlier)

    def _sweep(self, target: Target, backend: Backend, note: Note) -> None:
        """Delete what an earlier run made, that is in no state and that nobody wants."""
        left = note.left(unsaved.refs_in(backend))

        async def work() -> list[Ref]:
            async with Kube.connect(*self._cluster(target)) as kube:
                return await unsaved.sweep(kube, target.stack, left)

        swept = asyncio.run(work()) if left else []
        if swept:
            self._say(f"Deleted, of a run that was killed: {', '.join(map(str, swept))}.")
        note.forget()

    def _say_what_would_be_swept(self, target: Target) -> None:
        note = Note.find(target.backend)
        if note is None or target.backend is None:
            return
        self.console.note(
            "An earlier run left its state behind what is on the cluster. `up` looks at what is there first, and "
            "adopts what it made: less may change than is shown here."
        )
        left = note.left(unsaved.refs_in(target.backend), unsaved.refs_of(self.check()))

        async def look() -> list[Ref]:
            async with Kube.connect(*self._cluster(target), retry=_QUICKLY) as kube:
                return [each for each, _ in await unsaved.present(kube, target.stack, left)]

        if swept := asyncio.run(look()) if left else []:
            self.console.note(f"It would delete, of that run: {', '.join(map(str, swept))}.")

    def _tried_out(self, target: Target) -> Tryout | None:
        """In a sandbox requests are answered: see that they are, and that those without a key are not."""
        if target.sandbox is None:
            return None
        tried = try_out(Service(target, self._tracker.outputs), self.console)
        if tried is not None:
            self._say(f"Tried {tried.way.served_name}: {tried.words}.")
        return tried

    # What every command needs.

    @contextmanager
    def _opened(self, *, start: bool = False, create: bool = True) -> Generator[tuple[Target, Session]]:
        """The stack, ready to be worked on: nobody else at it, no remains of a killed run, a provider at hand."""
        target = self._target()
        with ExitStack() as stack:
            stack.enter_context(held(target))
            target.require_passphrase()
            care.require_state(target)
            pulumi_program = find("pulumi", self.console)
            if target.sandbox:
                self._prepare_sandbox(target, pulumi_program, start=start)
            elif self.options.kind:
                self._prepare_kind(self.options.kind, target, pulumi_program)
            stack.enter_context(target.in_this_process())
            self._recover(target)
            if target.sandbox is None:
                same_cluster.require(target, lambda: self._cluster(target))
            extra = stack.enter_context(attached(self.options.provider, target, pulumi_program, self.console))
            session = self._session_at_work = self._session(target, pulumi_program, extra, create=create)
            if target.backend and target.backend.pending_operations():
                count = session.forget_pending_operations()
                self.console.note(f"An earlier run was cut off in {count} operations; which are taken up again.")
            yield target, session

    def _target(self) -> Target:
        if self.options.kind:
            return self.options.kind.target()
        if self.options.stack == SANDBOX:
            return of_sandbox(Sandbox.open(self.options.sandbox))
        return of_stack(self.options.stack)

    def _prepare_sandbox(self, target: Target, program: Path, *, start: bool) -> None:
        """Compose the project, and, with `start`, bring the control plane up meanwhile."""
        assert target.sandbox is not None  # noqa: S101 - the caller has looked
        missing = composed.compose(target.work_dir)
        failures: list[BaseException] = []

        def give_keys() -> None:
            try:
                self._give_keys(target, program, missing)
            except BaseException as error:  # noqa: BLE001 - carried over to the waiting thread
                failures.append(error)

        giver = threading.Thread(target=give_keys, name="keys", daemon=True)
        if missing:
            # A preview needs them as well: keys of users who have gone are refused.
            giver.start()
        if start:
            lifecycle.up(target.sandbox, self.console)
        if giver.is_alive() or failures:
            with self.console.step("API keys for the sandbox's users", usually_seconds=3):
                giver.join()
        if failures:
            raise failures[0]

    def _prepare_kind(self, cluster: KindCluster, target: Target, program: Path) -> None:
        """Have the cluster there, and a key for each of the stack's users."""
        cluster.create(self.console)
        missing = cluster.compose()
        if missing:
            with self.console.step("API keys for the stack's users", usually_seconds=3):
                self._give_keys(target, program, missing)

    def _give_keys(self, target: Target, program: Path, users: list[str]) -> None:
        self._recover(target)
        store.settle(self._session(target, program, {}), users)

    def _session(self, target: Target, program: Path, extra: Mapping[str, str], *, create: bool = True) -> Session:
        engine = Engine(program, TOOLS["pulumi"].version, {**target.environment, **extra}, target.without)
        backend = target.backend
        exists = backend.exists if backend else None
        if not create and exists is False:
            raise MaasError(f"Stack {target.stack} does not exist: nothing was deployed from here.", code=Exit.USAGE)
        return Session(
            engine, target.stack, target.work_dir, PROGRAM, exists=exists, create=create, say=self.console.note
        )

    def _recover(self, target: Target) -> None:
        backend = target.backend
        if backend is None or not backend.folder.is_dir():
            return
        recovery.recover(backend, self.console, target.words)

    def _kept(self, target: Target, run: str) -> AbstractContextManager[None]:
        return care.kept(target, self.options.backups, run, self.console)

    def _run(self, title: str, expected: Mapping[str, int], work: Callable[[Tracker], None]) -> None:
        """Run one operation of the engine, showing how far it is."""
        self._tracker = Tracker(expected)
        with self.console.watch(title, self._tracker), without_debug_messages():
            work(self._tracker)

    def _require_running(self, target: Target) -> None:
        if target.sandbox and not control_plane.running(target.sandbox):
            raise MaasError(f"Sandbox {target.sandbox.name} is not running. Start it: ./maas up, or ./maas sandbox up.")

    def _require_answer(self) -> None:
        """A real cluster is changed when somebody said yes: refuse early where nobody has and nobody can be asked."""
        if self.options.stack != SANDBOX and not self.options.yes and (self.options.json or not sys.stdin.isatty()):
            raise MaasError("Nobody can be asked here: say --yes.", code=Exit.USAGE)

    def _confirm(self, question: str, target: Target) -> None:
        if target.sandbox or self.options.yes:
            return
        if not Confirm.ask(question, console=self.console.err, default=False):
            raise MaasError("Nothing was changed.", code=Exit.OK)

    def _destroy_if_possible(self, target: Target) -> None:
        """Destroy the stack in good order; where that cannot be, its objects go with the control plane all the same."""
        assert target.sandbox is not None  # noqa: S101 - `down` is for sandboxes only
        backend = target.backend
        if backend is None or not backend.exists or not control_plane.running(target.sandbox):
            return
        try:
            self._recover(target)
            if not backend.urns():
                return
            program = find("pulumi", self.console)
            with (
                target.in_this_process(),
                attached(self.options.provider, target, program, self.console) as extra,
            ):
                session = self._session(target, program, extra)
                with self._saving(target, session, None):
                    self._run("Destroy", state_counts(target), lambda tracker: session.destroy(tracker.on_event))
        except (MaasError, CommandError, ToolError, ApiError) as error:
            if isinstance(error, MaasError) and error.code is Exit.INTERRUPTED:
                raise
            self.console.note(
                f"The stack could not be destroyed in good order; its objects go with the control plane. {error}"
            )

    # What comes of it.

    def _report(self, work: Callable[[], Exit]) -> Exit:
        """Run a command, turn what it raises into words and an exit code, and print the JSON when that is wanted."""
        message = ""
        try:
            code = work()
        except MaasError as error:
            code, message = error.code, str(error)
        except CommandError as error:
            code, message = self._explain(error)
        except (ToolError, SandboxError, KubeconfigError, ApiError) as error:
            code, message = Exit.FAILED, str(error)
        except KeyboardInterrupt:
            code, message = Exit.INTERRUPTED, "Interrupted. The same command again goes on from here."
        except OSError as error:
            code, message = Exit.FAILED, unusable(error)
        if message:
            (self.console.error if code else self.console.note)(message)
        if self.options.json:
            result = Summary.of(self._tracker, time.monotonic() - self._began, code)
            result = replace(result, left=self._left)
            if message and not result.errors:
                result = replace(result, errors=[Diagnostic("error", message)])
            self.console.out.out(result.as_json(), highlight=False)
        return code

    def _explain(self, error: CommandError) -> tuple[Exit, str]:
        """The engine failed: what the objects' errors say, or else what the engine itself said."""
        if self._refused():
            return Exit.CONFIG, str(self._refused())
        if self._tracker.errors:
            return Exit.FAILED, summary.problems(self._tracker.errors, self._describe())
        if "incorrect passphrase" in str(error):
            return Exit.FAILED, self._target().wrong_passphrase()
        return Exit.FAILED, _own_words(error)

    def _refused(self) -> pulumi.RunError | None:
        """What the program said when it refused the settings that the engine gave it, with all secrets decrypted."""
        refusal = self._session_at_work.refusal if self._session_at_work else None
        return refusal if isinstance(refusal, pulumi.RunError) else None

    def _describe(self) -> str:
        if self.options.kind:
            return f"kubectl --kubeconfig {self.options.kind.kubeconfig} describe -n <namespace>"
        if self.options.stack != SANDBOX:
            return "kubectl describe -n <namespace>"
        return f"kubectl --kubeconfig $(./maas sandbox kubeconfig{self._named()}) describe -n <namespace>"

    def _named(self) -> str:
        return "" if self.options.sandbox == "sandbox" else f" --name {self.options.sandbox}"

    def _changes(self, would: str, *, expect_no_changes: bool) -> Exit:
        self._show_changes(would)
        if expect_no_changes and self._tracker.changed:
            self.console.error("Changes were found where none were expected.")
            return Exit.CHANGES
        return Exit.OK

    def _show_changes(self, would: str) -> None:
        if self.options.json:
            return
        # A first deployment creates everything: the counts say it, and the closing table shows it.
        if self._tracker.steps and (would or set(self._tracker.changes) != {"create"}):
            summary.show(self.console.out, summary.changed_objects(self._tracker.steps))
        seconds = time.monotonic() - self._began
        self._say(f"{would.capitalize()} {summary.counts(self._tracker.changes)}".strip() + f" ({seconds:.0f} s).")

    def _look_for_leftovers(self, target: Target) -> None:
        """Find the CRDs of operators that this run has taken away. What cannot be read is no failure of the run."""
        operators = leftovers.uninstalled(self._tracker.steps)
        if not operators:
            return

        async def look() -> list[Leftover]:
            async with Kube.connect(*self._cluster(target), retry=_QUICKLY) as kube:
                return await leftovers.look(kube, operators)

        try:
            self._left = asyncio.run(look())
        except (ApiError, KubeconfigError, MaasError) as error:
            names = ", ".join(operators)
            self.console.note(f"CRDs of {names} stay; how many objects they have could not be read: {error}")

    def _say_leftovers(self) -> None:
        if self._left and not self.options.json:
            # As it stands: it has a command to copy.
            self.console.out.print(leftovers.told(self._left), markup=False, highlight=False, soft_wrap=True)

    def _cluster(self, target: Target) -> tuple[Path, str | None]:
        """Kubeconfig and context of the stack's cluster."""
        if target.kubeconfig:
            return target.kubeconfig, None
        values, _ = stack_config(target.stack)
        context = mapping(json.loads(values.get("maas:cluster") or "{}")).get("context")
        return ambient_kubeconfig(), str(context) if context else None

    def _say(self, text: str) -> None:
        if not self.options.json:
            self.console.out.print(text)

    def _hints(self, target: Target, tried: Tryout | None = None) -> Sequence[tuple[str, str]]:
        named, stack = self._named(), "" if target.sandbox else f" --stack {target.stack}"
        if not target.sandbox and self.options.provider is Choice.STAND_IN:
            stack += " --stand-in"
        namespace = str(mapping(self._tracker.outputs.get("gateway")).get("namespace", "llm"))
        if self.options.kind:
            return _kind_hints(self.options.kind, namespace)
        hints = [
            (f"./maas preview{stack}{named}", f"after editing Pulumi.{target.stack}.yaml: what would change"),
            (f"./maas refresh{stack}{named}", "what somebody changed behind Pulumi's back"),
        ]
        look = (f"kubectl get gateway,httproute,inferenceservice -n {namespace}", "what stands")
        if not target.sandbox:
            return [look, *hints]
        here = (f"export KUBECONFIG=$(./maas sandbox kubeconfig{named})", "have kubectl speak to the sandbox")
        return [*_first_calls(tried, named), here, look, *hints, (f"./maas down{named}", "take it all away again")]

    @staticmethod
    def _cluster_is_new(target: Target) -> bool:
        """Whether the state speaks of another control plane than the one that runs now."""
        backend, mark = target.backend, _cluster_mark(target)
        if backend is None or not backend.exists or not backend.urns():
            return False
        return not mark.is_file() or mark.read_text(encoding="utf-8") != _cluster_id(target)


def _first_calls(tried: Tryout | None, named: str) -> Sequence[tuple[str, str]]:
    if tried is None:
        return []
    return [
        (f"./maas chat{named}", "talk to a model, and see what is left of the quota"),
        (f'eval "$(./maas sandbox env{named})"', "the address and a key, for curl and the OpenAI client"),
        ('curl $OPENAI_BASE_URL/models -H "Host: $MAAS_HOST" -H "Authorization: Bearer $OPENAI_API_KEY"', "with curl"),
        (
            _WITH_OPENAI,
            "with the OpenAI client, once it is installed",
        ),
        (f"./maas sandbox usage{named}", "who has used how much of which limit"),
    ]


def _kind_hints(cluster: KindCluster, namespace: str) -> Sequence[tuple[str, str]]:
    named = "" if cluster.name == "maas" else f" --name {cluster.name}"
    return [
        (f"export KUBECONFIG={cluster.kubeconfig}", "have kubectl speak to the cluster"),
        (f"kubectl get gateway,httproute,inferenceservice -n {namespace}", "what stands"),
        (f"./maas kind up{named}", "after editing Pulumi.dev.yaml: deploy what changed"),
        (f"./maas kind down{named}", "take it all away again"),
    ]


def recording_counts(recording: Recording) -> dict[str, int]:
    """How many resources each layer will have, layers in the order of the program."""
    return dict(Counter(each.layer or "stack" for each in recording.resources))


def state_counts(target: Target) -> dict[str, int]:
    """How many resources each layer has in the state; nothing when the state is not on this machine."""
    return dict(Counter(layer_of(urn) or "stack" for urn in target.backend.urns())) if target.backend else {}


def _cluster_mark(target: Target) -> Path:
    return target.work_dir / "cluster-id"


def _remember_cluster(target: Target) -> None:
    _cluster_mark(target).write_text(_cluster_id(target), encoding="utf-8")


def _cluster_id(target: Target) -> str:
    """What tells one control plane from the next: the certificates in its kubeconfig."""
    return hashlib.sha256(target.kubeconfig.read_bytes()).hexdigest() if target.kubeconfig else ""


def _own_words(error: CommandError) -> str:
    """The engine's own message, of the pieces that the SDK glues together."""
    _, _, said = str(error).partition("stdout: ")
    out, _, err = said.partition("\n stderr: ")
    return err.strip() or out.strip() or str(error).strip()
