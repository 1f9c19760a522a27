"""Runs that write the state once, at their end, and what makes a killed one harmless.

With a state in a folder the engine writes all of it at every step, so that a run costs changes times size of the state
(docs/scaling.md). It can be told to write once. What it makes is in no state then until it ends: killed before that, it
leaves objects that nobody knows. So the objects that the program has are noted before such a run, and the note goes
when the state has been written. The next run that finds a note looks at what is really there (refresh), adopts what the
program still has, as applying an object that exists does, and deletes the rest of the note: objects that carry this
stack's label and are in no state.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from cli.deploy.recovery import Backend
from cli.exits import Exit, MaasError
from cli.files import private_folder, write_private
from cli.program.recorder import Object, Recording, Resource
from cli.program.urns import name_of, type_of
from cli.stacks.stackfile import mapping
from components.layer import STACK_LABEL
from sandbox.kube import ApiError, Kube, NoMatchError, reference

VARIABLE = "MAAS_SAVE_STATE"
ENGINE_VARIABLE = "PULUMI_SKIP_CHECKPOINTS"
_WORTH = 10_000
"""New or deleted objects times all objects, from which on the state is written once: 70 new ones beside 70 others.
Below it, writing at every step takes a few seconds in all."""


class When(StrEnum):
    """When the state is written."""

    AUTO = "auto"
    STEPS = "steps"
    ONCE = "once"


@dataclass(frozen=True, order=True)
class Ref:
    """An object on the cluster."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from others, whatever version of its group it is read in."""
        group, slash, _ = self.api_version.partition("/")
        return group if slash else "", self.kind, self.namespace, self.name

    def __str__(self) -> str:
        """As errors name it."""
        return reference(self.kind, self.name, self.namespace or None)


@dataclass(frozen=True)
class Note:
    """What a run was about to make."""

    path: Path = field(compare=False)
    objects: tuple[Ref, ...] = ()

    @classmethod
    def find(cls, backend: Backend | None) -> "Note | None":
        """The note that an earlier run left; None when its state was written.

        Raises:
            MaasError: It cannot be read.
        """
        if backend is None or not (path := _path(backend)).is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, tuple(Ref(**each) for each in content["objects"]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise MaasError(
                f"{path} cannot be read. It names what a killed run may have left on the cluster. Look for objects "
                f"with the label {STACK_LABEL}={backend.stack} that the stack should not have, then remove the file."
            ) from error

    def left(self, *known: Iterable[Ref]) -> list[Ref]:
        """Its objects without those that a state or a program has."""
        others = {each.key for refs in known for each in refs}
        return [each for each in self.objects if each.key not in others]

    def forget(self) -> None:
        """Nothing is unknown any more."""
        self.path.unlink(missing_ok=True)


def refs_of(recording: Recording) -> tuple[Ref, ...]:
    """The objects of a program that go with the stack and say so: no patches, nothing that is kept when it goes."""
    return tuple(
        sorted(
            Ref(each.api_version, each.kind, each.namespace, each.metadata_name)
            for each in recording.objects
            if not each.is_patch
            and not each.request.retainOnDelete
            and each.metadata_name
            and mapping(each.metadata.get("labels")).get(STACK_LABEL) == recording.stack
        )
    )


def refs_in(backend: Backend) -> list[Ref]:
    """The objects that the state has."""
    inputs = (mapping(each.get("inputs")) for each in backend.resources())
    return [_ref(each) for each in inputs if "metadata" in each]


def when() -> When:
    """What the environment says.

    Raises:
        MaasError: It says something else than it may.
    """
    said = os.environ.get(VARIABLE, When.AUTO)
    try:
        return When(said)
    except ValueError:
        allowed = ", ".join(When)
        raise MaasError(f"{VARIABLE} is {said!r}; it may be {allowed}.", code=Exit.USAGE) from None


def writes_once(backend: Backend | None, recording: Recording | None) -> bool:
    """Whether a run should write its state once.

    Args:
        backend: The state; only one in a folder of this machine is written so.
        recording: The program; None to destroy the stack.
    """
    chosen = when()
    if backend is None or not backend.exists or ENGINE_VARIABLE in os.environ or chosen is When.STEPS:
        return False
    known = {(type_of(urn), name_of(urn)) for urn in backend.urns()}
    wanted = {(each.type, each.name): each for each in recording.resources} if recording else {}
    new = [each for key, each in wanted.items() if key not in known]
    if any(not _can_be_adopted(each) for each in new):
        return False
    changed = len(new) + len(known - wanted.keys())
    return chosen is When.ONCE or changed * max(len(known), len(wanted)) >= _WORTH


def _can_be_adopted(resource: Resource) -> bool:
    """Whether creating it once more comes to the same, and whether it can be found again when nobody wants it.

    Not so a Helm release, whose name is taken, and what others make of a file; a random password, which would be drawn
    anew; a patch, which leaves no label on what it changes.
    """
    if isinstance(resource, Object):
        return not (resource.request.ignoreChanges or resource.is_patch)
    return resource.type.startswith("pulumi:providers:") or not (resource.request.custom or resource.request.remote)


@dataclass
class Once:
    """One run that writes its state once."""

    backend: Backend
    recording: Recording | None
    _before: int = 0

    def begin(self) -> None:
        """Leave a note, with what an earlier one still has."""
        earlier = Note.find(self.backend)
        objects = {*(earlier.objects if earlier else ()), *(refs_of(self.recording) if self.recording else ())}
        path = _path(self.backend)
        private_folder(path.parent)
        write_private(path, json.dumps({"objects": [asdict(each) for each in sorted(objects)]}, indent=1))
        self._before = _written(self.backend)

    @property
    def saved(self) -> bool:
        """Whether the engine has written the state since. It replaces the file in one step."""
        return _written(self.backend) != self._before

    def forget(self) -> None:
        """Nothing is unknown: the state has been written."""
        _path(self.backend).unlink(missing_ok=True)


def distrust(backend: Backend | None) -> None:
    """Have the next run look at what is really there, as after one that wrote no state.

    For a state elsewhere nothing can be noted: `./maas refresh` does the same.
    """
    if backend is not None and backend.exists:
        Once(backend, None).begin()


def _written(backend: Backend) -> int:
    return backend.snapshot.stat().st_mtime_ns if backend.exists else 0


async def present(kube: Kube, stack: str, refs: Sequence[Ref]) -> list[tuple[Ref, str]]:
    """Those of the objects that exist and carry the stack's label, each with its uid.

    Raises:
        ApiError: One cannot be read.
    """
    found: list[tuple[Ref, str]] = []
    for each in refs:
        try:
            there = await kube.get(each.api_version, each.kind, each.name, each.namespace or None)
        except NoMatchError:
            continue  # its kind is gone, and all objects with it
        metadata = mapping(there and there["metadata"])
        if mapping(metadata.get("labels")).get(STACK_LABEL) == stack and "deletionTimestamp" not in metadata:
            found.append((each, str(metadata["uid"])))
    return found


async def sweep(kube: Kube, stack: str, refs: Sequence[Ref]) -> list[Ref]:
    """Delete those of the objects that are this stack's; namespaces last.

    Returns:
        What was deleted.

    Raises:
        ApiError: One cannot be read or deleted.
    """
    mine = await present(kube, stack, refs)
    for each, uid in sorted(mine, key=lambda found: (found[0].kind == "Namespace", found[0])):
        try:
            await kube.delete(each.api_version, each.kind, each.name, each.namespace or None, uid=uid)
        except ApiError as error:
            if not error.conflict:
                raise  # of another uid: somebody else's by now
    return [each for each, _ in mine]


def _path(backend: Backend) -> Path:
    return backend.folder / "unsaved" / f"{backend.project}.{backend.stack}.json"


def _ref(inputs: Mapping[str, Any]) -> Ref:
    metadata = mapping(inputs["metadata"])
    return Ref(
        str(inputs.get("apiVersion", "")),
        str(inputs.get("kind", "")),
        str(metadata.get("namespace") or ""),
        str(metadata.get("name") or ""),
    )
