"""Where a stack's API keys are kept: one encrypted text in its stack file, read and written by the stack's own engine.

One text, because each value that the engine encrypts is a run of the engine. A tracked stack file is changed as text;
the sandbox's keys are in the composed stack file that lives with its state.
"""

import json
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pulumi.automation.errors import CommandError

from cli.deploy import composed
from cli.deploy.engine import Engine, Session
from cli.deploy.lock import held
from cli.deploy.recovery import recover
from cli.deploy.target import Target, of_sandbox, of_stack, words_for
from cli.exits import Exit, MaasError
from cli.keys.book import Book, dumped, loaded, new_key
from cli.models.edit import with_entries, with_root_keys, with_setting
from cli.paths import ROOT
from cli.stacks.stackfile import (
    API_KEYS,
    PROJECT_FILE,
    SANDBOX,
    full_keys,
    has_secret,
    mapping,
    read,
    stack_config,
    stack_file,
    users_of,
    with_shared,
)
from config.problems import ConfigError
from config.settings import NAMESPACE, Settings
from config.shared import FOLDER
from config.source import load
from sandbox.instance import Sandbox, home_folder
from sandbox.progress import Reporter
from sandbox.toolbox import find
from sandbox.tools.declarations import TOOLS
from sandbox.tools.files import write_whole

_USERS, _KEYS = f"{NAMESPACE}:users", "apiKeys"


def settle(session: Session, users: list[str]) -> None:
    """Have a key for each user of a composed stack file that has never had one, and none for those that have gone.

    Args:
        session: the composed stack.
        users: those that `composed.compose` says are not settled.
    """
    folder = Path(session.stack.workspace.work_dir)
    config = mapping(read(stack_file(session.stack.name, folder)).get("config"))
    present = users_of(with_shared(config))
    book = _read(session, config)
    fresh = {user: (new_key(),) for user in users if user in present and user not in book}
    _write(session, {user: keys for user, keys in {**book, **fresh}.items() if user in present})
    composed.remember_keyed(folder, present)


@dataclass
class Store:
    """A stack's keys, open to be changed. What is changed is written by `save`, all of it or nothing."""

    stack: str
    settings: Settings
    """The stack's settings, without its keys."""
    book: Book
    where: str
    """What a command for these keys has more than its name and its users; see `Target.words`."""
    _values: Mapping[str, str]
    _session: Session
    _root: Path
    _new_users: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, "Mapping[str, Any]"])

    @property
    def is_sandbox(self) -> bool:
        """Whether the keys are with the state of a sandbox, and not in the tracked stack file."""
        return self.stack == SANDBOX

    def add_users(self, users: Mapping[str, Mapping[str, Any]]) -> None:
        """Have `save` write more users into the stack file, each with what stands below its name."""
        self._new_users.update(users)

    def save(self, book: Book) -> None:
        """Check the stack with these keys and users, and write both.

        Raises:
            MaasError: The settings are refused with them, or the stack file cannot be edited; nothing was written.
        """
        users = {**mapping(json.loads(self._values.get(_USERS) or "{}")), **self._new_users}
        self.settings = _checked(
            self.stack, {**self._values, _USERS: json.dumps(users), API_KEYS: dumped(book)}, self._root
        )
        path = stack_file(self.stack, self._root)
        old = path.read_bytes().decode("utf-8")
        new = with_entries(old, _USERS.removeprefix(f"{NAMESPACE}:"), self._new_users)
        if not self.is_sandbox:
            _write(self._session, book)
            new = _with_ciphertext(new, stack_file(self.stack, Path(self._session.stack.workspace.work_dir)))
        if new != old:
            write_whole(path, new.encode("utf-8"), path.stat().st_mode & 0o777)
        if self.is_sandbox:
            folder = Path(self._session.stack.workspace.work_dir)
            composed.compose(folder, self._root)
            _write(self._session, book)
            composed.remember_keyed(folder, users_of({_USERS: users}))
        self.book, self._new_users = book, {}


@contextmanager
def opened(stack: str, sandbox: str, reporter: Reporter, root: Path = ROOT) -> Generator[Store]:
    """The keys of a stack, decrypted; nobody else works on the stack meanwhile.

    Args:
        stack: its name.
        sandbox: name of the sandbox, for the sandbox's stack.
        reporter: told of tools that have to be made first.
        root: the folder of the tracked stack files.

    Raises:
        MaasError: There is no such stack or sandbox, or its keys cannot be decrypted.
    """
    values, _ = stack_config(stack, root)
    settings = _checked(stack, {**values, API_KEYS: "{}"}, root)
    if stack == SANDBOX and not (home_folder() / sandbox).is_dir():
        how = f"./maas up{words_for(stack, sandbox)}"
        raise MaasError(f"There is no sandbox {sandbox}, and its keys are with its state. Make it: {how}")
    target = of_sandbox(Sandbox.open(sandbox)) if stack == SANDBOX else of_stack(stack)
    target.require_passphrase()
    with held(target), tempfile.TemporaryDirectory() as draft:
        folder = target.work_dir if target.sandbox else _copied(stack, root, Path(draft))
        unsettled = composed.compose(folder, root) if target.sandbox else []
        with target.in_this_process():
            if target.backend and target.backend.folder.is_dir():
                recover(target.backend, reporter, target.words)
            try:
                session = _session(target, folder, reporter)
                if unsettled:
                    settle(session, unsettled)
                config = mapping(read(stack_file(stack, folder)).get("config"))
                book = _read(session, full_keys(config, target.project))
                yield Store(stack, settings, book, target.words, values, session, root)
            except CommandError as error:
                raise MaasError(_cannot(stack, error)) from None


def current_key(stack: str, user: str, reporter: Reporter, root: Path = ROOT) -> str | None:
    """The key that a user of a stack has to use, in clear; None when there is none. The file stays, nobody waits.

    Raises:
        MaasError: There is no such stack, or its keys cannot be decrypted.
    """
    target = of_stack(stack)
    with tempfile.TemporaryDirectory() as draft, target.in_this_process():
        folder = _copied(stack, root, Path(draft))
        config = full_keys(mapping(read(stack_file(stack, folder)).get("config")), target.project)
        try:
            keys = _read(_session(target, folder, reporter), config).get(user, ())
        except CommandError as error:
            raise MaasError(_cannot(stack, error)) from None
    return keys[0].key.get_secret_value() if keys else None


def _session(target: Target, folder: Path, reporter: Reporter) -> Session:
    program = find("pulumi", reporter)
    engine = Engine(program, TOOLS["pulumi"].version, target.environment, target.without)
    exists = target.backend.exists if target.backend else None
    return Session(engine, target.stack, folder, ROOT / "__main__.py", exists=exists)


def _copied(stack: str, root: Path, folder: Path) -> Path:
    """The project's two files in a folder of its own: the engine rewrites a stack file in its own style."""
    (folder / PROJECT_FILE).write_bytes((root / PROJECT_FILE).read_bytes())
    stack_file(stack, folder).write_bytes(stack_file(stack, root).read_bytes())
    return folder


def _read(session: Session, config: Mapping[str, Any]) -> Book:
    if not config.get(API_KEYS):
        return {}
    content = session.get_secret(API_KEYS) if has_secret(config[API_KEYS]) else json.dumps(config[API_KEYS])
    return loaded(session.stack.name, json.loads(content))


def _write(session: Session, book: Book) -> None:
    session.set_secret(API_KEYS, dumped(book))


def _with_ciphertext(text: str, written: Path) -> str:
    """The stack file with the keys as the engine has encrypted them, and what it needs to decrypt them again."""
    content = read(written)
    config = mapping(content.get("config"))
    text = with_setting(text, _KEYS, cast("Mapping[str, str]", config[API_KEYS]))
    return with_root_keys(text, {key: str(content[key]) for key in composed.ENGINE_OWNED if key in content})


def _checked(stack: str, values: Mapping[str, str], root: Path) -> Settings:
    try:
        return load(stack, values, {_KEYS}, root / FOLDER.name)
    except ConfigError as error:
        raise MaasError(str(error), code=Exit.CONFIG) from None


def _cannot(stack: str, error: CommandError) -> str:
    """Why the engine could not read or write the keys, and what to do; what it printed to stdout may hold them."""
    said = str(error).partition("stderr: ")[2].strip()
    return (
        f"The engine could not read or write the keys of stack {stack}. Look at PULUMI_CONFIG_PASSPHRASE, "
        f"PULUMI_CONFIG_PASSPHRASE_FILE, or your access to the stack's secrets provider.\n{said}"
    )
