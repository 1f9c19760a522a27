"""A small repository, and what its users do to it."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from cli.diff import report, revisions
from cli.diff.compare import compare
from cli.diff.revisions import both, commit_of, exported, lock_notes
from cli.exits import MaasError

PROGRAM = """
import json
import os
from pathlib import Path

import pulumi
from config import NAME

if Path.cwd() != Path(__file__).resolve().parent:
    raise pulumi.RunError("a program stands in its own folder")
if leaked := [name for name in os.environ if name.startswith(("AWS_", "KUBE", "PULUMI_ACCESS"))]:
    raise pulumi.RunError(f"a program has no business with {leaked}")
config = pulumi.Config("maas")
data = {"limit": config.require("limit"), "key": config.require_secret("key")}
body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": "x"}, "data": data}


class ConfigMap(pulumi.CustomResource):
    def __init__(self) -> None:
        super().__init__("kubernetes:core/v1:ConfigMap", NAME, body)


ConfigMap()
"""
STACK = "config:\n  maas:limit: {limit}\n  maas:key:\n    secure: {key}\n"


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)  # noqa: S603, S607 - our own words
    return done.stdout.strip()


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two commits: `main`, and on it a `change` of the limit and of an encrypted key."""
    folder = tmp_path_factory.mktemp("upstream")
    git(folder, "init", "--quiet", "--initial-branch=main")
    write(
        folder,
        {
            "Pulumi.yaml": "name: maas\nruntime: python\n",
            "Pulumi.dev.yaml": STACK.format(limit=1, key="AAABABC="),
            "Pulumi.same.yaml": STACK.format(limit=1, key="AAABABC="),
            "__main__.py": PROGRAM,
            "config/__init__.py": "NAME = 'c'\n",
            "requirements.lock": "pulumi==3.1.0 \\\n    --hash=sha256:0\npydantic==2.0\n",
        },
    )
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "One")
    git(folder, "switch", "--quiet", "-c", "change")
    write(folder, {"Pulumi.dev.yaml": STACK.format(limit=2, key="ZZZZZZ=")})
    git(folder, "commit", "--quiet", "-a", "-m", "Two")
    return folder


def told(root: Path, base: str) -> str:
    with exported(base, root) as tree:
        pairs = both(tree, [], root)
    return "".join(report.markdown(compare(stack, *pair)) for stack, pair in pairs.items())


@pytest.fixture(scope="module")
def usual(repository: Path) -> str:
    """What is told of the change in the repository itself."""
    return told(repository, "main")


def test_what_differs_is_told_and_encrypted_values_are_not(usual: str) -> None:
    assert "### Stack `dev`: 1 to change" in usual
    assert '- data.limit: "1"\n+ data.limit: "2"' in usual
    assert "### Stack `same`: no changes" in usual
    assert "ZZZZZZ" not in usual


def test_a_shallow_clone_tells_the_same(repository: Path, tmp_path: Path, usual: str) -> None:
    # As continuous integration has it: the merge commit of the pull request, and its parents.
    git(tmp_path, "clone", "--quiet", "--depth=2", "--branch=change", f"file://{repository}", "clone")
    assert told(tmp_path / "clone", "HEAD^1") == usual


def test_a_fork_tells_the_same(repository: Path, tmp_path: Path, usual: str) -> None:
    git(tmp_path, "clone", "--quiet", "--branch=main", str(repository), "fork")
    fork = tmp_path / "fork"
    git(fork, "fetch", "--quiet", "origin", "change")
    git(fork, "switch", "--quiet", "-c", "mine", "FETCH_HEAD")
    assert told(fork, "origin/main") == usual


def test_a_dirty_tree_is_read_as_it_is_and_left_as_it_is(
    repository: Path, tmp_path: Path, usual: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "KUBECONFIG", "PULUMI_ACCESS_TOKEN"):
        monkeypatch.setenv(name, "test-only")
    git(tmp_path, "clone", "--quiet", "--branch=main", str(repository), "tree")
    tree = tmp_path / "tree"
    write(tree, {"Pulumi.dev.yaml": STACK.format(limit=2, key="ZZZZZZ="), "notes.txt": "mine\n"})
    before = git(tree, "status", "--porcelain"), git(tree, "worktree", "list")
    assert told(tree, "HEAD") == usual
    assert (git(tree, "status", "--porcelain"), git(tree, "worktree", "list")) == before


def test_each_side_is_run_by_its_own_program(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--branch=main", str(repository), "tree")
    tree = tmp_path / "tree"
    write(tree, {"config/__init__.py": "NAME = 'renamed'\n"})
    text = told(tree, "HEAD")
    assert "+ ConfigMap x/renamed" in text
    assert "- ConfigMap x/c" in text


def test_a_stack_that_comes_or_goes_is_told_whole(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--branch=main", str(repository), "tree")
    tree = tmp_path / "tree"
    (tree / "Pulumi.same.yaml").rename(tree / "Pulumi.other.yaml")
    text = told(tree, "HEAD")
    assert "### Stack `other`: stack added: 1 to create" in text
    assert (
        "### Stack `same`: stack removed\n\n- what it deployed stays on the cluster (1 resource): `./maas des" in text
    )


def test_a_program_that_refuses_is_told_in_its_own_words(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--branch=main", str(repository), "tree")
    tree = tmp_path / "tree"
    write(tree, {"Pulumi.dev.yaml": "config: {}\n"})
    text = told(tree, "HEAD")
    assert "### Stack `dev`: the configuration is refused" in text
    assert "maas:limit" in text


def test_a_commit_that_is_not_here_comes_with_the_command_that_fetches_it(repository: Path) -> None:
    with pytest.raises(MaasError, match="git fetch --depth=1 origin nowhere"):
        commit_of("nowhere", repository)


def test_a_folder_without_git_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(MaasError, match="is no git repository"):
        commit_of("HEAD", tmp_path)


def test_a_link_of_the_base_that_leads_out_of_it_is_left_out(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--branch=main", str(repository), "tree")
    tree = tmp_path / "tree"
    (tree / "out").symlink_to("/etc/hostname")
    (tree / "within").symlink_to("Pulumi.yaml")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "Links")
    git(tree, "tag", "-a", "v1", "-m", "A tag")
    with exported("v1", tree) as base:
        assert not (base / "out").is_symlink()
        assert (base / "within").read_bytes() == (tree / "Pulumi.yaml").read_bytes()


def test_a_stack_that_neither_side_has_is_refused(repository: Path) -> None:
    with exported("main", repository) as tree, pytest.raises(MaasError, match=r"No stack prod.*dev, same"):
        both(tree, ["prod"], repository)


def test_a_base_made_for_another_library_is_told(tmp_path: Path) -> None:
    for name, version in (("one", "3.1.0"), ("two", "3.2.0")):
        write(tmp_path, {f"{name}/requirements.lock": f"pulumi=={version} \\\n  --hash=x\nclick=={version}\n"})
    [note] = lock_notes(tmp_path / "one", tmp_path / "two")
    assert note.startswith("pulumi 3.1.0 to 3.2.0")
    assert lock_notes(tmp_path / "one", tmp_path / "one") == []


def test_nothing_is_left_of_the_base(repository: Path) -> None:
    with exported("main", repository) as tree:
        assert (tree / "__main__.py").is_file()
    assert not tree.exists()
    assert revisions.commit_of("main", repository) == git(repository, "rev-parse", "main")
