"""What the engine keeps of an object: the live one and what was declared, laid out as by the official provider."""

from dataclasses import dataclass
from typing import Any, Final, Self, cast

from sandbox.kube import Object
from sandbox.provider.values import Properties, copy_secrecy, plain

_INPUTS: Final = "__inputs"
_API_VERSION: Final = "__initialApiVersion"
_FIELD_MANAGER: Final = "__fieldManager"

# Long, of no use to a program, and the annotation repeats a Secret's data in clear text.
_DROPPED_ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class State:
    """A resource's recorded state, without secret marks.

    Attributes:
        inputs: What the program declared.
        live: The object as the API server last showed it.
        api_version: The apiVersion it was created with.
        field_manager: Who owns its fields; empty when nothing is recorded.
    """

    inputs: Object
    live: Object
    api_version: str = ""
    field_manager: str = ""

    @classmethod
    def read(cls, properties: Properties) -> Self:
        """Read what an earlier operation recorded."""
        stored = cast("Object", plain(properties))
        return cls(
            inputs=stored.pop(_INPUTS, None) or {},
            api_version=stored.pop(_API_VERSION, None) or "",
            field_manager=stored.pop(_FIELD_MANAGER, None) or "",
            live=stored,
        )

    def write(self, declared: Properties) -> Properties:
        """The properties to record, with everything secret that is secret in `declared`."""
        recorded = copy_secrecy(_lean(self.live), declared)
        if "stringData" in declared and "data" in recorded:
            recorded = copy_secrecy(recorded, {"data": declared["stringData"]})
        recorded[_INPUTS] = copy_secrecy(self.inputs, declared)
        recorded[_API_VERSION] = self.api_version
        recorded[_FIELD_MANAGER] = self.field_manager
        return recorded


def object_id(live: Object) -> str:
    """The resource id: `namespace/name`, or `name` for what belongs to no namespace."""
    metadata: dict[str, Any] = live["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]


def parse_id(resource_id: str) -> tuple[str | None, str]:
    """Namespace and name of an id."""
    namespace, _, name = resource_id.rpartition("/")
    return namespace or None, name


def _lean(live: Object) -> Object:
    metadata = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    if _DROPPED_ANNOTATION in metadata.get("annotations", {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != _DROPPED_ANNOTATION}
    return live | {"metadata": metadata}
