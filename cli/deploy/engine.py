"""Runs the Pulumi engine through its Automation API: the repository's program, in this process, on one stack."""

import os
import runpy
import signal
import subprocess
import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from pulumi.automation import CommandResult as Result
from pulumi.automation import (
    Deployment,
    LocalWorkspace,
    OutputMap,
    PulumiCommand,
    Stack,
    StackNotFoundError,
    UpdateSummary,
)
from pulumi.automation._stack import StackInitMode
from pulumi.automation.errors import create_command_error
from pulumi.automation.events import EngineEvent
from semver import VersionInfo

from cli.exits import Exit, MaasError

OWNER = "MAAS_ENGINE_OWNER"
"""In the environment of every engine that we start: who started it, as `<pid>:<creation time>`. A process keeps it for
as long as it lives, so that an engine whose owner was killed can be told from anybody else's."""

Program = Callable[[], None]


class Engine(PulumiCommand):
    """The `pulumi` program, run so that it can be told to stop, and found again when we are gone.

    It runs in a process group of its own: a Ctrl-C reaches it once, from us, and not a second time from the terminal,
    which it would take for "stop at once".
    """

    def __init__(
        self, program: Path, version: str, environment: Mapping[str, str], without: Collection[str] = ()
    ) -> None:
        """Remember how to run it.

        Args:
            program: Path of the program.
            version: Its version, or a lower one: asking the program takes half a second.
            environment: What to add to this process's environment.
            without: Variables of this process's environment that it must not see.
        """
        self.command = str(program)
        self.version = VersionInfo.parse(version.removeprefix("v"))
        kept = {key: value for key, value in os.environ.items() if key not in without}
        path = os.pathsep.join([str(program.parent), environment.get("PATH", kept.get("PATH", ""))])
        self._environment = {**kept, **environment, "PATH": path, OWNER: owner_mark()}
        self._running: subprocess.Popen[str] | None = None

    @contextmanager
    def with_environment(self, variables: Mapping[str, str]) -> Generator[None]:
        """Run what is run meanwhile with these variables, too."""
        before = self._environment
        self._environment = {**before, **variables}
        try:
            yield
        finally:
            self._environment = before

    def run(  # noqa: PLR0913 - the SDK's signature, and one
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
        *,
        stdin: str | None = None,
    ) -> Result:
        """Run one command to its end, with `stdin` as its input; see PulumiCommand.

        Raises:
            MaasError: It was killed.
        """
        words = [self.command, "--non-interactive", *(word for word in args if word != "--non-interactive")]
        environment = {**self._environment, **additional_env, "PULUMI_AUTOMATION_API": "true"}
        process = subprocess.Popen(  # noqa: S603 - the engine, with our own words
            words,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._running = process
        try:
            if process.stdin:
                process.stdin.write(stdin or "")
                process.stdin.close()
            out, err = _collect(process, on_output, on_error)
        finally:
            self._running = None
        if process.returncode < 0:
            name = signal.Signals(-process.returncode).name
            raise MaasError(
                f"The engine was killed ({name}), by somebody or for want of memory (dmesg tells). The same command "
                "again takes up what it was at."
            )
        result = Result(stdout=out, stderr=err, code=process.returncode)
        if process.returncode != 0:
            raise create_command_error(result)
        return result

    def interrupt(self) -> None:
        """Ask it to cancel: what is under way ends, nothing more begins, the state is saved."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """Stop it at once. What was under way is left as it is; the next run finds out."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        process = self._running
        if process is not None and process.poll() is None:
            process.send_signal(number)


def owner_mark() -> str:
    """This process, so that no later process with the same number can be taken for it."""
    return f"{os.getpid()}:{psutil.Process().create_time():.2f}"


def _collect(
    process: subprocess.Popen[str], on_output: Callable[[str], Any] | None, on_error: Callable[[str], Any] | None
) -> tuple[str, str]:
    """Read both streams to their end, and wait."""
    chunks: tuple[list[str], list[str]] = ([], [])

    def drain(stream: Any, callback: Callable[[str], Any] | None, into: list[str]) -> None:  # noqa: ANN401 - IO[str]
        for line in stream:
            into.append(line.rstrip())
            if callback:
                callback(into[-1])

    readers = [
        threading.Thread(target=drain, args=each, daemon=True)
        for each in ((process.stdout, on_output, chunks[0]), (process.stderr, on_error, chunks[1]))
    ]
    for reader in readers:
        reader.start()
    process.wait()
    for reader in readers:
        # A program that the engine started may have inherited the pipes and outlive it.
        reader.join(timeout=5)
    return "\n".join(chunks[0]), "\n".join(chunks[1])


class EngineStack(Stack):
    """A stack whose operations end with the operation: no further commands to ask for what the events have said."""

    def outputs(self) -> OutputMap:
        """Nothing: the tracker has them, with secrets masked."""
        return {}

    def info(self, show_secrets: bool = True) -> UpdateSummary | None:  # noqa: FBT001, FBT002 - the SDK's signature
        """An empty summary: the tracker has what happened."""
        del show_secrets
        return UpdateSummary(
            kind="update",
            start_time=datetime.fromtimestamp(0, tz=UTC),
            message="",
            environment={},
            config={},
            result="",
        )


class Session:
    """One stack, opened."""

    def __init__(  # noqa: PLR0913 - what a stack is made of
        self,
        engine: Engine,
        stack: str,
        work_dir: Path,
        program: Path,
        *,
        exists: bool | None = None,
        create: bool = True,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Open a stack.

        Args:
            engine: What runs the operations.
            stack: Its name.
            work_dir: The folder of Pulumi.yaml and Pulumi.<stack>.yaml.
            program: What describes the stack.
            exists: Whether it exists, where the caller knows; spares a command of half a second.
            create: Make it when it does not exist.
            say: Told what happens on a Ctrl-C.

        Raises:
            StackNotFoundError: It does not exist, and `create` is off.
        """
        self.engine = engine
        self.refusal: BaseException | None = None
        """What the program raised when it last ran."""
        self._program = program
        self._say = say
        workspace = _Workspace(exists=exists, work_dir=str(work_dir), program=self._run_program, pulumi_command=engine)
        # The SDK's class methods (create_or_select and so on) make a plain Stack whatever class they are called on.
        self.stack = EngineStack(stack, workspace, StackInitMode.CREATE_OR_SELECT if create else StackInitMode.SELECT)

    def up(self, on_event: Callable[[EngineEvent], None], *, refresh: bool = False) -> None:
        """Make the cluster what the program says; `refresh` first looks at what is really there."""
        self.attempt(lambda: self.stack.up(on_event=on_event, show_secrets=False, color="never", refresh=refresh))

    def preview(self, on_event: Callable[[EngineEvent], None], policy_packs: Sequence[Path] = ()) -> None:
        """Find out what `up` would do, and what policy packs say of it; a violated mandatory policy fails it."""
        packs = [str(each) for each in policy_packs]
        self.attempt(lambda: self.stack.preview(on_event=on_event, color="never", policy_packs=packs))

    def refresh(self, on_event: Callable[[EngineEvent], None], *, preview_only: bool) -> None:
        """Find out what is really there, and, unless `preview_only`, remember it."""
        if preview_only:
            self.attempt(lambda: self.stack.preview_refresh(on_event=on_event, color="never"))
        else:
            self.attempt(lambda: self.stack.refresh(on_event=on_event, show_secrets=False, color="never"))

    def destroy(self, on_event: Callable[[EngineEvent], None]) -> None:
        """Delete all that the stack has."""
        self.attempt(lambda: self.stack.destroy(on_event=on_event, show_secrets=False, color="never"))

    def set_secret(self, key: str, value: str) -> None:
        """Encrypt a whole setting (`maas:apiKeys`) into the stack file.

        The Automation API would put the value on the command line, where every user of the machine can read it: it goes
        by standard input instead.
        """
        self._config("set", "--secret", key, stdin=value)

    def get_secret(self, key: str) -> str:
        """A setting of the stack file with all that is encrypted in it in clear; a mapping or list as JSON."""
        return self._config("get", key).stdout

    def _config(self, action: str, *words: str, stdin: str | None = None) -> Result:
        words = ("config", action, "--stack", self.stack.name, *words)
        return self.engine.run(list(words), str(self.stack.workspace.work_dir), {}, stdin=stdin)

    def forget_pending_operations(self) -> int:
        """Drop the marks of operations that a killed run left half done; says how many there were."""
        state = self.stack.export_stack()
        deployment: dict[str, Any] = {**(state.deployment or {})}
        pending: list[Any] = deployment.get("pending_operations") or []
        if pending:
            deployment["pending_operations"] = []
            self.stack.import_stack(Deployment(version=state.version, deployment=deployment))
        return len(pending)

    def remove(self) -> None:
        """Remove the stack itself, which must be empty."""
        self.stack.workspace.remove_stack(self.stack.name)

    def _run_program(self) -> None:
        try:
            runpy.run_path(str(self._program), run_name="__main__")
        except BaseException as error:
            self.refusal = error
            raise

    def attempt(self, action: Callable[[], object]) -> None:
        """Run in a thread, so that this one stays free to hear a Ctrl-C and to pass it on."""
        failure: list[BaseException] = []
        # Not Thread.join: an exception that a signal raises inside of it makes Python take the thread for ended.
        over = threading.Event()

        def work() -> None:
            try:
                action()
            except BaseException as error:  # noqa: BLE001 - carried over to the waiting thread
                failure.append(error)
            finally:
                over.set()

        worker = threading.Thread(target=work, name="engine", daemon=True)
        worker.start()
        asked = 0
        while not over.is_set():
            try:
                over.wait(timeout=0.2)
            except KeyboardInterrupt:
                asked += 1
                if asked == 1:
                    self._say("Cancelling: what is under way ends, nothing more begins. Ctrl-C again stops at once.")
                    self.engine.interrupt()
                else:
                    self.engine.kill()
        if asked:
            raise MaasError("Interrupted. The same command again goes on from here.", code=Exit.INTERRUPTED)
        if failure:
            raise failure[0]


class _Workspace(LocalWorkspace):
    """A workspace that does not ask the engine what the caller knows."""

    def __init__(self, *, exists: bool | None, work_dir: str, program: Program, pulumi_command: Engine) -> None:
        super().__init__(work_dir=work_dir, program=program, pulumi_command=pulumi_command)
        self._exists = exists

    def select_stack(self, stack_name: str) -> None:
        """Make sure that the stack exists; which one is "selected" does not matter, as every command names it."""
        if self._exists is False:
            raise StackNotFoundError(Result(stdout="", stderr=f"no stack named '{stack_name}' found", code=255))
        if self._exists is None:
            super().select_stack(stack_name)
