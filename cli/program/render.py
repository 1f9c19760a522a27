"""Write what the program would deploy as files: one object, one file, the same bytes each time."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from cli.exits import MaasError
from cli.program import redact
from cli.program.recorder import Object, Recording

INDEX = "rendered.index"
"""Lists (as JSON, but not by that ending: `kubectl apply -R` would read it) the files that render wrote, so that the
next render removes those, and only those, that it no longer writes."""


def write(recording: Recording, folder: Path) -> list[Path]:
    """Write every object of a recording below `folder`, and remove what an earlier render left there.

    Returns:
        The files, in alphabetical order, relative to `folder`.

    Raises:
        MaasError: Two objects would be the same file; or `folder` has files that render did not write in the way.
    """
    files = layout(recording)
    folder.mkdir(parents=True, exist_ok=True)
    _remove(folder, earlier(folder) - files.keys())
    for name, item in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(document(item), encoding="utf-8")
    index = {
        "stack": recording.stack,
        "objects": [
            {
                "file": name,
                "apiVersion": item.api_version,
                "kind": item.kind,
                "namespace": item.namespace or None,
                "name": item.metadata_name,
                "layer": item.layer,
                "patch": item.is_patch,
            }
            for name, item in files.items()
        ],
    }
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return [Path(name) for name in files]


def layout(recording: Recording) -> dict[str, Object]:
    """Which object goes into which file, `<layer>/<kind>-<namespace>-<name>.yaml`, in alphabetical order."""
    files: dict[str, Object] = {}
    for item in recording.objects:
        name = file_name(item)
        if name in files:
            raise MaasError(f"{files[name].urn} and {item.urn} are the same object: both would be {name}.")
        files[name] = item
    return dict(sorted(files.items()))


def file_name(item: Object) -> str:
    """`gateway/gateway-llm-inference-gateway.yaml`; a Patch resource has `patch` after its kind."""
    kind = item.kind.lower() + ("patch" if item.is_patch else "")
    parts = [kind, item.namespace, item.metadata_name or item.name]
    return f"{item.layer or 'stack'}/{'-'.join(_safe(part) for part in parts if part)}.yaml"


def document(item: Object) -> str:
    """The file of one object: sorted keys, secrets redacted."""
    body: dict[str, Any] = redact.manifest(item.body, item.secrets)
    return yaml.safe_dump(body, sort_keys=True, default_flow_style=False, allow_unicode=True, width=120)


def earlier(folder: Path) -> set[str]:
    """The files that the last render into this folder wrote."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return {str(each["file"]) for each in index["objects"]}
    except FileNotFoundError:
        return set()
    except (ValueError, KeyError, TypeError) as error:
        raise MaasError(
            f"{folder / INDEX} is not what render writes ({error}); empty the folder, or name another."
        ) from error


def _remove(folder: Path, names: set[str]) -> None:
    for name in sorted(names):
        target = (folder / name).resolve()
        if not target.is_relative_to(folder.resolve()):  # an index that somebody edited must not reach outside
            raise MaasError(f"{folder / INDEX} names a file outside of its folder: {name}.")
        target.unlink(missing_ok=True)
        if target.parent != folder.resolve() and target.parent.is_dir() and not any(target.parent.iterdir()):
            target.parent.rmdir()


def _safe(part: str) -> str:
    """A name as part of a file name: Kubernetes allows `:` in some names (RBAC), file systems do not."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", part)
