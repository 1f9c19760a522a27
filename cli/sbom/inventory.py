"""What there is: Python packages, Go programs with their modules, images, charts. All is read, and nobody is asked."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from cli.paths import ROOT
from cli.program.recorder import Recording, Resource
from cli.sbom.licences import licence_of
from cli.stacks.stackfile import mapping
from policy.rules import resource as rules
from policy.rules.pods import images
from sandbox.tools.declarations import TOOLS, TOOLS_FOLDER, Family

LOCK = ROOT / "requirements.lock"
_LOCKED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_REQUIRED = re.compile(r"^\s*(?:require )?(?P<path>[^\s()]+) (?P<version>v[^\s]+)(?: // indirect)?$", re.MULTILINE)
_RELEASE = "kubernetes:helm.sh/v3:Release"


@dataclass(frozen=True)
class Package:
    """A Python package of the lock."""

    name: str
    version: str
    hashes: tuple[str, ...]
    """SHA-256 of every file that may be installed as it."""
    licence: str
    """SPDX expression; empty where it is not installed here."""


@dataclass(frozen=True)
class Program:
    """What is built from one Go module."""

    family: Family
    module: str
    tools: tuple[str, ...]
    modules: tuple["Module", ...]


@dataclass(frozen=True, order=True)
class Module:
    """A Go module that a program has in it."""

    path: str
    version: str
    sum: str
    """What go.sum holds its content to; empty where a local one takes its place."""


@dataclass(frozen=True, order=True)
class Image:
    """An image that an object of the stack names."""

    name: str
    """Registry and repository."""
    tag: str
    digest: str


@dataclass(frozen=True, order=True)
class Chart:
    """A chart that the stack installs; the images in it are the chart's own."""

    name: str
    version: str
    place: str


@dataclass(frozen=True)
class Inventory:
    """All of it, in order."""

    packages: tuple[Package, ...]
    programs: tuple[Program, ...]
    images: tuple[Image, ...]
    charts: tuple[Chart, ...]


def inventory(recording: Recording) -> Inventory:
    """What this project and one stack of it are made of."""
    registered = [each for each in recording.resources if each.request.custom]
    named = {
        image_of(image)
        for each in registered
        for _, image in images(rules.Resource(each.type, each.inputs, each.urn, each.secrets))
    }
    return Inventory(
        tuple(packages(LOCK.read_text(encoding="utf-8"))),
        tuple(programs()),
        tuple(sorted(named)),
        tuple(sorted({_chart(each) for each in registered if each.type == _RELEASE})),
    )


def packages(lock: str) -> Iterator[Package]:
    """The packages of a lock, in its order."""
    for entry in re.split(r"\n(?=\S)", lock):
        if found := _LOCKED.match(entry):
            yield Package(found["name"], found["version"], tuple(_HASH.findall(entry)), _licence(found["name"]))


def programs(folder: Path = TOOLS_FOLDER) -> Iterator[Program]:
    """The families of tools, each with the modules that its go.mod names and its go.sum holds."""
    families = {tool.family.name: tool.family for tool in TOOLS.values()}
    for name, family in sorted(families.items()):
        tools = tuple(sorted(tool.name for tool in TOOLS.values() if tool.family.name == name))
        package = next(tool.package for tool in TOOLS.values() if tool.family.name == name)
        found = tuple(sorted(modules(folder / name)))
        main = max((each.path for each in found if _contains(each.path, package)), key=len, default=package)
        yield Program(family, main, tools, found)


def modules(folder: Path) -> Iterator[Module]:
    """The modules of a go.mod, with their sums."""
    sums: dict[tuple[str, str], str] = {}
    for line in (folder / "go.sum").read_text(encoding="utf-8").splitlines():
        path, version, digest = line.split()
        if not version.endswith("/go.mod"):
            sums[path, version] = digest
    for found in _REQUIRED.finditer(_requirements((folder / "go.mod").read_text(encoding="utf-8"))):
        path, version = found["path"], found["version"]
        yield Module(path, version, sums.get((path, version), ""))


def image_of(text: str) -> Image:
    """The parts of an image's name."""
    rest, _, digest = text.removeprefix("oci://").partition("@")
    before, slash, last = rest.rpartition("/")
    name, _, tag = last.partition(":")
    return Image(f"{before}{slash}{name}", tag, digest)


def _requirements(go_mod: str) -> str:
    """What stands below `require`; replacements are written like it, and are none."""
    blocks = re.findall(r"^require \((.*?)^\)", go_mod, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^require [^(\n]+$", go_mod, re.MULTILINE)
    return "\n".join([*blocks, *lines])


def _contains(module: str, package: str) -> bool:
    return package == module or package.startswith(f"{module}/")


def _chart(release: Resource) -> Chart:
    repository = str(mapping(release.inputs.get("repositoryOpts")).get("repo") or "")
    chart, version = str(release.inputs["chart"]), str(release.inputs.get("version") or "")
    return Chart(chart.rpartition("/")[2], version, repository or chart)


def _licence(name: str) -> str:
    try:
        return licence_of(distribution(name))
    except PackageNotFoundError:
        return ""  # meant for another platform


def unpinned(found: Iterable[Image]) -> list[Image]:
    """Images that a registry could answer with something else tomorrow."""
    return [each for each in found if not each.digest]
