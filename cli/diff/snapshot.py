"""What a stack comes to at one revision, as plain data that crosses from the process that ran the program."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cli.stacks.stackfile import mapping


@dataclass(frozen=True)
class Item:
    """One resource that the engine would have in its state: an object, a Helm release, the provider."""

    urn: str
    """Chain of types and logical name, without stack and project: what the engine tells resources apart by."""
    type: str
    layer: str
    inputs: Mapping[str, Any]
    """Its inputs, secrets redacted."""
    aliases: tuple[str, ...] = ()
    """URNs that it had before, of the same form."""
    replace_on_changes: tuple[str, ...] = ()
    retained: bool = False
    """Stays on the cluster when it leaves the stack."""

    @property
    def kind(self) -> str:
        """The object's kind; for what is no object, the last part of its type."""
        return str(self.inputs.get("kind") or self.type.rsplit(":", 1)[-1])

    @property
    def is_object(self) -> bool:
        """Whether it is one Kubernetes object, or a patch of one."""
        return {"apiVersion", "kind"} <= self.inputs.keys()

    @property
    def is_patch(self) -> bool:
        """Whether it changes fields of somebody else's object."""
        return self.is_object and self.type.endswith("Patch")

    @property
    def namespace(self) -> str:
        """metadata.namespace; empty for what has none."""
        return str(mapping(self.inputs.get("metadata")).get("namespace", ""))

    @property
    def metadata_name(self) -> str:
        """metadata.name; for what is no object, the logical name."""
        return str(mapping(self.inputs.get("metadata")).get("name") or self.urn.rsplit("::", 1)[-1])

    @property
    def place(self) -> str:
        """Where it is on the cluster: `llm/gateway-auth`, or the name alone."""
        return f"{self.namespace}/{self.metadata_name}" if self.namespace else self.metadata_name

    @property
    def title(self) -> str:
        """How a person would call it: `AuthPolicy llm/gateway-auth`."""
        return f"{self.kind}{' (patch)' if self.is_patch else ''} {self.place}"

    @property
    def identity(self) -> tuple[str, str, str]:
        """Group and kind, namespace, name: what the API server tells objects apart by."""
        group = str(self.inputs.get("apiVersion", "")).rpartition("/")[0]
        return f"{group}/{self.kind}", self.namespace, self.metadata_name


@dataclass(frozen=True)
class Version:
    """One constant of config/versions.py."""

    value: str
    datasource: str = ""
    package: str = ""
    """How Renovate calls what is released."""


@dataclass(frozen=True)
class Snapshot:
    """A stack at one revision."""

    stack: str
    items: tuple[Item, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Every setting with its default, by the name that users write; empty when the revision's code cannot tell."""
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the stack file itself says, encrypted values replaced by a fingerprint of the encrypted text."""
    versions: Mapping[str, Version] = field(default_factory=dict[str, Version])
    violations: tuple[tuple[str, str, str, str], ...] = ()
    """What the rules of the policy pack find: level, rule, where, text; the present rules on both sides."""
    refused: str = ""
    """Why the program would not run; everything else is empty then."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Snapshot":
        """Read what the worker wrote."""
        items = cast("list[dict[str, Any]]", content.get("items", []))
        return cls(
            stack=content["stack"],
            items=tuple(
                Item(
                    urn=each["urn"],
                    type=each["type"],
                    layer=each["layer"],
                    inputs=each["inputs"],
                    aliases=tuple(each["aliases"]),
                    replace_on_changes=tuple(each["replaceOnChanges"]),
                    retained=each["retained"],
                )
                for each in items
            ),
            outputs=content.get("outputs", {}),
            settings=content.get("settings", {}),
            given=content.get("given", {}),
            versions={name: Version(*each) for name, each in content.get("versions", {}).items()},
            violations=tuple(tuple(each) for each in content.get("violations", [])),
            refused=content.get("refused", ""),
        )
