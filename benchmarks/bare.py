"""The floor: a program that registers recorded objects and knows nothing of this project, on the same engine.

    python -m benchmarks.bare record <file>   what the program of the tree in the working folder registers
    python -m benchmarks.bare preview|up|refresh|destroy <file> <folder>   with an own state in the folder

`<folder>` needs `environment.json`, the variables of the sandbox's own engine. Nothing is checked, shown or tried out:
what is left is the SDK, the engine, the provider and the API server.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("bare_program.py")
OBJECTS = "BARE_OBJECTS"
_PROJECT = "name: bare\nruntime: python\n"


def record_objects(file: Path) -> None:
    """Write down what the program registers: its custom resources, in an order in which they can be made."""
    from cli.program.recorder import record, stack_config  # noqa: PLC0415 - not for the floor itself

    recording = record("sandbox", *stack_config("sandbox"))
    known = {each.urn: each for each in recording.resources}
    custom = {urn: each for urn, each in known.items() if each.request.custom}
    order: dict[str, None] = {}

    def needs(urn: str) -> list[str]:
        """What it depends on, and what the components around it do."""
        each = known[urn]
        return [*each.dependencies, *(needs(each.parent) if each.parent in known else [])]

    def add(urn: str) -> None:
        if urn in custom and urn not in order:
            for each in needs(urn):
                add(each)
            order[urn] = None

    for urn in custom:
        add(urn)
    places = {urn: number for number, urn in enumerate(order)}
    content: list[dict[str, Any]] = []
    for urn in order:
        each, request = custom[urn], custom[urn].request
        timeouts = request.customTimeouts
        content.append(
            {
                "type": each.type,
                "name": each.name,
                "inputs": dict(each.inputs),
                "secrets": sorted({path.partition(".")[0] for path in each.secrets}),
                "after": sorted({places[name] for name in needs(urn) if name in places}),
                "provider": places.get(each.provider.rpartition("::")[0]),
                "deleteBeforeReplace": request.deleteBeforeReplace,
                "retainOnDelete": request.retainOnDelete,
                "ignoreChanges": list(request.ignoreChanges),
                "timeouts": [timeouts.create, timeouts.update, timeouts.delete],
            }
        )
    file.write_text(json.dumps(content), encoding="utf-8")


def operate(operation: str, objects: Path, folder: Path) -> None:
    """One operation of the engine on the bare program."""
    from cli.deploy.engine import Engine, Session  # noqa: PLC0415 - nothing of it is needed to record
    from sandbox.provider import serve  # noqa: PLC0415

    environment: dict[str, str] = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    state = folder / "state"
    state.mkdir(exist_ok=True)
    (folder / "Pulumi.yaml").write_text(_PROJECT, encoding="utf-8")
    environment |= {"PULUMI_BACKEND_URL": f"file://{state}", OBJECTS: str(objects)}
    program = Path(environment.pop("PULUMI_PROGRAM"))
    os.environ.update(environment)
    with serve(Path(environment["KUBECONFIG"])) as port:
        engine = Engine(program, "v3.200.0", {**environment, "PULUMI_DEBUG_PROVIDERS": f"kubernetes:{port}"})
        exists = (state / ".pulumi" / "stacks" / "bare" / "bare.json").is_file()
        session = Session(engine, "bare", folder, PROGRAM, exists=exists)
        counts: dict[str, int] = {}

        def on_event(event: Any) -> None:  # noqa: ANN401 - the SDK's event
            if event.summary_event:
                counts.update({str(getattr(k, "value", k)): v for k, v in event.summary_event.resource_changes.items()})

        work: dict[str, Callable[[], None]] = {
            "preview": lambda: session.preview(on_event),
            "up": lambda: session.up(on_event),
            "refresh": lambda: session.refresh(on_event, preview_only=False),
            "destroy": lambda: session.destroy(on_event),
        }
        work[operation]()
    sys.stdout.write(json.dumps({"changes": counts}) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "record":
        record_objects(Path(sys.argv[2]))
    else:
        operate(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
