"""Both revisions of the repository, each run by its own program."""

import io
import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from cli.diff.snapshot import Snapshot
from cli.exits import Exit, MaasError
from cli.paths import ROOT
from cli.program import elsewhere
from cli.stacks.stackfile import stack_names

_DECIDING_PACKAGES = ("pulumi", "pulumi-kubernetes", "pydantic", "pyyaml")
"""The packages whose version may change what a program registers."""
_LOCK = "requirements.lock"
_SECONDS = 120.0
_FAR_AWAY = """\
There is no commit {base} in this clone{shallow}. Fetch it first:
  git fetch --depth=1 origin {base} && {again} FETCH_HEAD"""


@contextmanager
def exported(base: str, root: Path = ROOT) -> Generator[Path]:
    """The files of a commit in a temporary folder.

    `git archive` reads objects only: neither the working tree, nor the index, nor the list of worktrees is touched, so
    it works in a shallow clone, with local changes, and leaves nothing behind when it is killed.

    Raises:
        MaasError: There is no such commit here.
    """
    commit = commit_of(base, root)
    archive = _git(root, "archive", "--format=tar", commit)
    if archive.returncode:
        raise MaasError(f"git cannot read {base}: {archive.stderr.decode(errors='replace').strip()}")
    with tempfile.TemporaryDirectory(prefix="maas-base-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, [each for each in files if _stays_within(each, folder)], filter="data")
        yield Path(folder)


def _stays_within(member: tarfile.TarInfo, folder: str) -> bool:
    """Whether a file of the commit is one; what leads out of the folder, such as a link to an absolute path, is not."""
    try:
        tarfile.data_filter(member, folder)
    except tarfile.FilterError:
        return False
    return True


def commit_of(base: str, root: Path = ROOT, *, again: str = "./maas diff --base") -> str:
    """The full hash of a commit.

    Args:
        base: what somebody wrote.
        root: the clone.
        again: what is to be run with it once it has been fetched.

    Raises:
        MaasError: The word names none that is here.
    """
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    if found.returncode == 0:
        return found.stdout.decode().strip()
    if _git(root, "rev-parse", "--git-dir").returncode:
        raise MaasError(f"{root} is no git repository, so there is no commit to compare with.", code=Exit.USAGE)
    shallow = _git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
    word = ", which is a shallow one" if shallow else ""
    raise MaasError(_FAR_AWAY.format(base=base, shallow=word, again=again), code=Exit.USAGE)


def both(base: Path, stacks: Iterable[str], root: Path = ROOT) -> dict[str, tuple[Snapshot | None, Snapshot | None]]:
    """Each stack before and after; None where the revision has no file of it. The two programs run side by side.

    Raises:
        MaasError: No revision has one of the stacks; or a program could not be run at all.
    """
    known = {tree: stack_names(tree) for tree in (base, root)}
    wanted = sorted(set(stacks) or {*known[base], *known[root]})
    if unknown := [stack for stack in wanted if stack not in known[base] and stack not in known[root]]:
        raise MaasError(
            f"No stack {', '.join(unknown)} on either side. Stacks: {', '.join(known[root])}.", code=Exit.USAGE
        )
    with ThreadPoolExecutor(max_workers=2) as pool:
        jobs = [
            pool.submit(_snapshots, tree, [stack for stack in wanted if stack in known[tree]]) for tree in (base, root)
        ]
        before, after = (job.result() for job in jobs)
    return {stack: (before.get(stack), after.get(stack)) for stack in wanted}


def lock_notes(base: Path, root: Path = ROOT) -> list[str]:
    """What to know when the base was made for other libraries than those that are installed here."""
    before, after = _locked(base), _locked(root)
    return [
        f"{name} {before.get(name, 'none')} to {after.get(name, 'none')}: both sides were rendered with the latter, so "
        "what the library itself changes is not shown"
        for name in _DECIDING_PACKAGES
        if before.get(name) != after.get(name)
    ]


def _locked(tree: Path) -> dict[str, str]:
    try:
        text = (tree / _LOCK).read_text(encoding="utf-8")
    except OSError:
        return {}
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))


def _snapshots(tree: Path, stacks: list[str]) -> dict[str, Snapshot]:
    if not stacks:
        return {}
    done = elsewhere.run("cli.diff.worker", tree, *stacks, seconds=_SECONDS)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-5:]
        raise MaasError("The program could not be run:\n" + "\n".join(last))
    content = cast("list[dict[str, Any]]", json.loads(done.stdout))
    return {each["stack"]: Snapshot.from_json(each) for each in content}


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=False)  # noqa: S603, S607 - git as the user has it
