"""The three ways to a tool, with made-up tools and a release server on loopback."""

import hashlib
import io
import json
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sandbox import toolbox
from sandbox.progress import Silent, Step
from sandbox.toolbox import ToolError, cached_path, find, find_all
from sandbox.tools import toolchain
from sandbox.tools.build import build_command
from sandbox.tools.declarations import ETCD, TOOLS, TOOLS_FOLDER, Download, Tool, platform_names
from sandbox.tools.download import Network, published_digest
from sandbox.tools.errors import UnavailableError
from sandbox.tools.files import partial_folder, publish, write_whole

PROGRAM = b"#!/bin/sh\necho made-up v3.7.3\n" + b"#" * 300_000


class Releases:
    """A server of official releases: what it has, what it was asked, and how it misbehaves."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut_after: int | None = None

    def publish(self, name: str, content: bytes, digest: str | None = None) -> None:
        self.files[f"/{name}"] = content
        self.files[f"/{name}.sha256"] = (digest or hashlib.sha256(content).hexdigest()).encode()

    def tool(self, name: str = "made-up", **changes: object) -> Tool:
        url = f"{self.base}/{name}"
        made = Tool(name, ETCD, "example.com/made-up", Download(url, url + ".sha256"), build_seconds=1)
        return replace(made, **changes)


@pytest.fixture
def releases() -> Generator[Releases]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            whole = state.cut_after is None or self.path.endswith(".sha256")
            self.wfile.write(content if whole else content[: state.cut_after])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Releases(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def no_builds_and_a_cache_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_go(*_: object) -> Path:
        raise UnavailableError("no go on PATH")

    monkeypatch.setenv("MAAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(toolbox, "find_go", no_go)


def declare(monkeypatch: pytest.MonkeyPatch, *tools: Tool) -> None:
    monkeypatch.setattr(toolbox, "TOOLS", {tool.name: tool for tool in tools})


def partials(folder: Path) -> list[Path]:
    return list(folder.rglob(".partial-*"))


def put_on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return program


# --- the first way: it is there


def test_the_cache_is_looked_at_first(monkeypatch: pytest.MonkeyPatch, releases: Releases) -> None:
    tool = releases.tool()
    declare(monkeypatch, tool)
    write_whole(cached_path(tool), b"cached", 0o755)
    assert find(tool.name, Silent()) == cached_path(tool)
    assert not releases.asked


@pytest.mark.parametrize(
    ("compatible", "says"),
    [
        ("exact", "made-up Version: 3.7.3"),
        ("newer", "v3.8.0"),
        ("newer", "v3.7.3"),
        ("major", "Client Version: v3.1.9-dispatcher"),
    ],
)
def test_a_program_on_path_is_taken_in_a_compatible_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, releases: Releases, compatible: str, says: str
) -> None:
    tool = releases.tool(compatible=compatible)
    declare(monkeypatch, tool)
    program = put_on_path(monkeypatch, tmp_path / "bin", tool.name, says)
    assert find(tool.name, Silent()) == program


@pytest.mark.parametrize(
    ("compatible", "says"),
    [
        ("exact", "made-up Version: 3.7.4"),
        ("exact", "v3.7.3-rc.1"),
        ("exact", "made-up, no version"),
        ("newer", "v3.7.2"),
        ("newer", "v3.8.0-rc.1"),
        ("newer", "v4.0.0"),
        ("major", "v2.9.9"),
    ],
)
def test_a_program_on_path_of_another_version_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, releases: Releases, compatible: str, says: str
) -> None:
    tool = releases.tool(compatible=compatible)
    declare(monkeypatch, tool)
    program = put_on_path(monkeypatch, tmp_path / "bin", tool.name, says)
    with pytest.raises(ToolError, match=f"{program} has version"):
        find(tool.name, Silent())


# --- the second way: a release


def test_a_release_is_downloaded_once(monkeypatch: pytest.MonkeyPatch, releases: Releases, tmp_path: Path) -> None:
    tool = releases.tool()
    declare(monkeypatch, tool)
    releases.publish(tool.name, PROGRAM)
    network = Network()
    path, again = (find_all([tool.name], Silent(), network)[tool.name] for _ in range(2))
    assert path == again
    assert path.read_bytes() == PROGRAM
    assert path.stat().st_mode & 0o111, "it can be run"
    assert releases.asked == ["/made-up.sha256", "/made-up"]
    assert not partials(tmp_path)


def test_a_tool_in_an_archive_is_taken_out(monkeypatch: pytest.MonkeyPatch, releases: Releases) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("made-up-v3.7.3/made-up")
        member.size = len(PROGRAM)
        tar.addfile(member, io.BytesIO(PROGRAM))
    url = f"{releases.base}/made-up.tar.gz"
    tool = releases.tool(download=Download(url, url + ".sha256", member="made-up-{version}/made-up"))
    declare(monkeypatch, tool)
    releases.publish("made-up.tar.gz", packed.getvalue())
    assert find_all([tool.name], Silent(), Network())[tool.name].read_bytes() == PROGRAM


def test_a_release_with_another_checksum_is_thrown_away(
    monkeypatch: pytest.MonkeyPatch, releases: Releases, tmp_path: Path
) -> None:
    tool = releases.tool()
    declare(monkeypatch, tool)
    releases.publish(tool.name, PROGRAM, digest="0" * 64)
    with pytest.raises(ToolError, match=r"SHA-256 is [0-9a-f]{64}, the release says 0{64}"):
        find_all([tool.name], Silent(), Network())
    assert not cached_path(tool).exists()
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file() and file.stat().st_size], (
        "it is gone"
    )


def test_half_a_download_is_not_kept(monkeypatch: pytest.MonkeyPatch, releases: Releases, tmp_path: Path) -> None:
    tool = releases.tool()
    declare(monkeypatch, tool)
    releases.publish(tool.name, PROGRAM)
    releases.cut_after = 100_000
    with pytest.raises(ToolError, match="download: "):
        find_all([tool.name], Silent(), Network())
    assert not cached_path(tool).exists()
    assert not partials(tmp_path)
    releases.cut_after = None
    assert find_all([tool.name], Silent(), Network())[tool.name].read_bytes() == PROGRAM, "the next run gets it"


def test_what_a_killed_run_left_is_cleaned_up(monkeypatch: pytest.MonkeyPatch, releases: Releases) -> None:
    tool = releases.tool()
    declare(monkeypatch, tool)
    releases.publish(tool.name, PROGRAM)
    leftover = cached_path(tool).parent.parent / ".partial-killed"
    leftover.mkdir(parents=True)
    (leftover / "made-up").write_bytes(b"half")
    find_all([tool.name], Silent(), Network())
    assert not leftover.exists()


def test_an_offline_machine_is_found_out_once_for_all_tools(
    monkeypatch: pytest.MonkeyPatch, releases: Releases
) -> None:
    with socket.socket() as silent:  # takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        tools = [releases.tool(f"t{n}", download=Download(url, url)) for n in range(3)]
        declare(monkeypatch, *tools)
        contacts: list[str] = []
        network = Network(reach_seconds=0.3)
        first_contact = network._first_contact  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

        def counted(url: str) -> str:
            contacts.append(url)
            return first_contact(url)

        monkeypatch.setattr(network, "_first_contact", counted)
        with pytest.raises(ToolError) as raised:
            find_all([tool.name for tool in tools], Silent(), network)
    assert len(contacts) == 1, "each tool would cost its own wait"
    assert str(raised.value).count("taken as offline") == 3, "each tool says so"


def test_a_refused_connection_counts_as_offline_and_a_missing_file_does_not(
    monkeypatch: pytest.MonkeyPatch, releases: Releases
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
    missing, there = releases.tool("missing"), releases.tool("there")
    declare(monkeypatch, missing, there)
    releases.publish("there", PROGRAM)
    network = Network()
    with pytest.raises(ToolError, match="HTTP 404"):
        find_all(["missing"], Silent(), network)
    assert find_all(["there"], Silent(), network)

    offline = Network()
    unreachable = releases.tool("unreachable", download=Download(nobody, nobody))
    declare(monkeypatch, unreachable, releases.tool("other"))
    before = len(releases.asked)
    with pytest.raises(ToolError, match="offline"):
        find_all(["unreachable"], Silent(), offline)
    with pytest.raises(ToolError, match="offline"):
        find_all(["other"], Silent(), offline)
    assert len(releases.asked) == before


def test_two_racing_runs_download_once(releases: Releases, tmp_path: Path) -> None:
    releases.publish("made-up", PROGRAM * 20)
    program = f"""
from sandbox import toolbox
from sandbox.progress import Silent
from sandbox.tools.declarations import ETCD, Download, Tool
url = {releases.base!r} + "/made-up"
toolbox.TOOLS = {{"made-up": Tool("made-up", ETCD, "example.com/m", Download(url, url + ".sha256"), 1)}}
print(toolbox.find("made-up", Silent()))
"""
    racers = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)  # noqa: S603  (our own)
        for _ in range(4)
    ]
    paths = {racer.communicate(timeout=60)[0].strip() for racer in racers}
    assert [racer.returncode for racer in racers] == [0] * 4
    assert len(paths) == 1
    assert releases.asked.count("/made-up") == 1, "the others wait for the first"
    assert not partials(tmp_path)


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("a" * 64 + "\n", "a" * 64),
        (f"{'b' * 64}  other\n{'a' * 64}  tool\n", "a" * 64),
        (f"{'a' * 64} *tool\n", "a" * 64),
        (json.dumps({"assets": [{"name": "tool", "digest": "sha256:" + "a" * 64}]}), "a" * 64),
        (json.dumps({"assets": [{"name": "tool"}]}), None),
        (json.dumps({"message": "rate limit exceeded"}), None),
        (f"{'a' * 64}  other-tool\n{'b' * 64}  tool.sig\n", None),
        ("<html>moved</html>", None),
        ("", None),
    ],
)
def test_published_digests_are_read_in_each_form(text: str, digest: str | None) -> None:
    assert published_digest(text, "tool") == digest


# --- the third way: a build


def test_what_cannot_be_downloaded_is_built_a_family_at_a_time(
    monkeypatch: pytest.MonkeyPatch, releases: Releases
) -> None:
    tools = [releases.tool("one"), releases.tool("two")]
    declare(monkeypatch, *tools)
    builds: list[list[str]] = []

    def build(members: Sequence[Tool], folder: Path, go: Path, step: Step) -> None:
        del go, step
        builds.append([tool.name for tool in members])
        for tool in members:
            (folder / tool.name).write_bytes(PROGRAM)

    def some_go(*_: object) -> Path:
        return Path("go")

    monkeypatch.setattr(toolbox, "find_go", some_go)
    monkeypatch.setattr(toolbox, "build", build)
    found = find_all(["one", "two"], Silent(), Network())
    assert builds == [["one", "two"]]
    assert all(path.stat().st_mode & 0o111 for path in found.values())


def test_nothing_to_be_had_is_one_error_that_says_what_was_tried(
    monkeypatch: pytest.MonkeyPatch, releases: Releases, tmp_path: Path
) -> None:
    declare(monkeypatch, releases.tool("one"), releases.tool("two"))
    with pytest.raises(ToolError) as raised:
        find_all(["one", "two"], Silent(), Network())
    message = str(raised.value)
    assert message.startswith("Cannot get one, two.")
    for part in ("one v3.7.3:", "not on PATH", "download: ", "HTTP 404", "build: no go on PATH", str(tmp_path)):
        assert part in message, f"does not say {part}"


def test_a_build_is_reproducible_stripped_and_stamped() -> None:
    command = build_command(TOOLS["kube-apiserver"], Path("out"), Path("go"))
    assert {"-trimpath", "-mod=readonly"} <= set(command)
    flags = command[command.index("-ldflags") + 1]
    assert flags.startswith("-s -w ")
    assert "-X k8s.io/component-base/version.gitVersion=v1.37.2" in flags
    assert command[-1] == "k8s.io/kubernetes/cmd/kube-apiserver"


def test_a_go_that_is_too_old_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put_on_path(monkeypatch, tmp_path / "bin", "go", "go1.21.3")
    monkeypatch.setattr(toolchain, "_install", refuse_to_install)
    with pytest.raises(UnavailableError, match=r"go is older than 1\.26"):
        toolchain.find_go(tmp_path, Silent())
    program = put_on_path(monkeypatch, tmp_path / "bin", "go", "go1.26.1")
    assert toolchain.find_go(tmp_path, Silent()) == program


def refuse_to_install(_folder: Path, found: str) -> None:
    raise UnavailableError(found)


def test_go_is_told_all_that_decides_a_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-race")
    monkeypatch.setenv("GOOS", "plan9")
    monkeypatch.setenv("GOPROXY", "http://localhost:1")
    environment = toolchain.go_environment(Path("/opt/go/bin/go"))
    assert environment["CGO_ENABLED"] == "0"
    assert environment["GOFLAGS"] == ""
    assert "GOOS" not in environment
    assert environment["GOPROXY"] == "http://localhost:1", "where modules come from is the user's to say"


# --- declarations


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: str(tool.name))
def test_every_tool_is_declared_whole(tool: Tool) -> None:
    module_file = (TOOLS_FOLDER / tool.family.name / "go.mod").read_text(encoding="utf-8")
    assert tool.package in module_file, "its family's go.mod has no `tool` line for it"
    assert (TOOLS_FOLDER / tool.family.name / "go.sum").exists()
    names = {"version": "v1.2.3", "number": "1.2.3", "os": "linux", "arch": "amd64"}
    if tool.download is None:
        assert not tool.version_arguments, "what only images have is not looked for on PATH"
    else:
        assert "{" not in tool.download.url.format(**names) + tool.download.checksums.format(**names)
    assert tool.compatible in {"exact", "newer", "major", "any"}


@pytest.mark.parametrize("family", sorted({tool.family.name for tool in TOOLS.values()}))
def test_the_pinned_version_is_the_one_that_would_be_built(family: str) -> None:
    tool = next(tool for tool in TOOLS.values() if tool.family.name == family)
    module_file = (TOOLS_FOLDER / family / "go.mod").read_text(encoding="utf-8")
    required = [line.split() for line in module_file.splitlines() if line.startswith("\t")]
    versions = {words[0]: words[1] for words in required if len(words) > 1 and words[1].startswith("v")}
    owner = max((module for module in versions if tool.package.startswith(module)), key=len)
    assert versions[owner] == (tool.family.module_version or tool.version)


def test_the_fingerprint_covers_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = TOOLS["etcd"]
    before = tool.fingerprint()
    system, machine = platform_names()
    monkeypatch.setattr("sandbox.tools.declarations.platform_names", lambda: (system, machine + "x"))
    assert tool.fingerprint() != before, "a cache may be shared by machines of different kinds"
    assert replace(tool, package="other").fingerprint() != tool.fingerprint()


# --- files


def test_a_published_folder_replaces_the_one_before(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with partial_folder(tmp_path / "cache") as partial:
            (partial / "file").write_text(content, encoding="utf-8")
            publish(partial, tmp_path / "cache" / "thing")
    assert (tmp_path / "cache" / "thing" / "file").read_text(encoding="utf-8") == "new"
    assert not partials(tmp_path)


@contextmanager
def crash() -> Generator[None]:
    with pytest.raises(RuntimeError, match="crash"):
        yield


def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    write_whole(target, b"old", 0o600)

    def fail(*_: object) -> None:
        raise RuntimeError("crash")

    monkeypatch.setattr("sandbox.tools.files._sync", fail)
    with crash():
        write_whole(target, b"new", 0o600)
    assert target.read_bytes() == b"old"
    assert not partials(tmp_path)
    assert target.stat().st_mode & 0o777 == 0o600
