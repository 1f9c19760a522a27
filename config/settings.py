"""The whole configuration of a stack: one frozen object, or one error that lists everything that is wrong."""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, Self, get_type_hints

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError

from config.checks import CHECKS
from config.gateway import Gateway
from config.identity import ApiKeys, Identity, Users
from config.limiter import Limiter
from config.migrations import FIRST, SCHEMA, VERSION_KEY, pending, version_of
from config.mirror import Mirror
from config.model import Model
from config.models import Api, Models, host_label
from config.nodes import Nodes
from config.observability import Observability, Timeouts
from config.platform import Cluster, Platform
from config.policy import Policy
from config.problems import HIDDEN, ConfigError, Problem, RefusalError, closest, from_pydantic, one_of, shown
from config.routing import Routing
from config.serving import ModelSecrets, Serving
from config.tiers import Tiers
from config.values import DnsLabel, Domain

NAMESPACE = "maas"
SECRET_KEYS = frozenset({"apiKeys", "modelSecrets"})
"""Keys whose values must never be shown."""


def _listed(value: object) -> object:
    """One name is a list of one; none is an empty one."""
    return ([value] if value else []) if isinstance(value, str) else value


def _known_version(value: int) -> int:
    if not FIRST <= value <= SCHEMA:
        raise RefusalError(
            f"this program reads stack files up to version {SCHEMA} of the schema, and this one is for another",
            allowed=f"{FIRST} to {SCHEMA}",
            fix="the release of this project that the file was written for, or a newer one",
        )
    return value


SchemaVersion = Annotated[int, Field(strict=True), AfterValidator(_known_version)]


class Settings(Model):
    """What Pulumi.<stack>.yaml says under `maas:`, with every default filled in."""

    schema_version: SchemaVersion = FIRST
    """The version of the configuration's schema that the file is written for."""
    extends: Annotated[tuple[DnsLabel, ...], BeforeValidator(_listed)] = ()
    """Files of `shared/` whose values hold for this stack too, by name without `.yaml`: one, or a list in which a later
    one stands over those before it. What the stack says itself stands over all of them."""
    domain: Domain
    """Models are reached below this domain."""
    tiers: Tiers
    """Tiers by name: what a user of each may spend, and what it costs."""
    cluster: Cluster = Cluster()
    """Which cluster the stack is for."""
    platform: Platform = Platform()
    """Where the service runs, and how each operator gets there."""
    gateway: Gateway = Gateway()
    """The one gateway that all models are called through."""
    limiter: Limiter = Limiter()
    """Limitador: how many, and where the counters live."""
    mirror: Mirror = Mirror()
    """Where images and charts come from on a cluster that cannot reach the internet."""
    identity: Identity = Identity()
    """How callers prove who they are."""
    users: Users = Field(default_factory=dict)
    """Users by name; the name is the user id that limits count by."""
    api_keys: ApiKeys = Field(default_factory=dict)
    """The keys of each user that has any, encrypted: `./maas keys` writes them. One key, or a list of two while it is
    being rotated, the current one first. The whole section can be one encrypted text that holds it as JSON."""
    models: Models = Field(default_factory=dict)
    """The models by name."""
    routing: Routing = Routing()
    """Where models are reached, and what that makes of quotas."""
    serving: Serving = Serving()
    """What holds for all models."""
    model_secrets: ModelSecrets = Field(default_factory=dict)
    """Secrets that sources of models ask for, encrypted, by name. Keys that start with `serving.kserve.io/` become
    annotations."""
    nodes: Nodes = Field(default_factory=dict)
    """Kinds of nodes by name, for `./maas models estimate`, and to refuse models that no node takes."""
    observability: Observability = Observability()
    """What is measured, who is told, what it may cost, where it is seen."""
    policy: Policy = Policy()
    """What the policy pack holds this stack to."""
    timeouts: Timeouts = Timeouts()
    """How long a deployment waits for each kind of thing."""

    @classmethod
    def load(
        cls,
        stack: str,
        values: Mapping[str, Any],
        encrypted: Collection[str] = SECRET_KEYS,
        known_problems: Iterable[Problem] = (),
        origin: Callable[[str], str] = lambda _: "",
    ) -> Self:
        """Check everything under `maas:` of a stack.

        Args:
            stack: name of the stack, for messages.
            values: stack keys without `maas:`, such as `{"domain": "...", "tiers": {...}}`.
            encrypted: the keys that hold something that the stack file keeps encrypted. No problem shows their values.
            known_problems: what is wrong already, to be told with the rest.
            origin: the file that the value of a key is from, for messages; empty for the stack file.

        Raises:
            ConfigError: with all problems at once.
        """
        aliases = {field.alias or name: name for name, field in cls.model_fields.items()}
        hidden = SECRET_KEYS.union(encrypted)
        problems = [
            Problem(
                f"{NAMESPACE}:{key}",
                HIDDEN if key in hidden else shown(values[key]),
                "unknown key",
                one_of(aliases),
                closest(key, aliases),
            )
            for key in values
            if key not in aliases
        ]
        problems += known_problems
        problems += [_in_plain_text(key) for key in SECRET_KEYS if values.get(key) and key not in encrypted]
        problems += [_not_kept(key) for key in aliases if key in hidden - SECRET_KEYS and key in values]
        sections: dict[str, object] = {}
        for alias, name in aliases.items():
            found = _section(cls, alias, name, values, hide=alias in hidden)
            if isinstance(found, list):
                problems += found
            else:
                sections[name] = found.value
        for check in CHECKS:
            needed = _needed(check)
            if needed <= sections.keys():
                problems += check(**{name: sections[name] for name in needed})
        problems = _to_migrate(stack, values, problems)
        if problems:
            raise ConfigError(stack, [replace(each, file=origin(each.key)) for each in problems])
        return cls.model_construct(None, **sections)

    def host(self, model: str) -> str:
        """The host that a model is called at, such as `simulator.example.com`."""
        if self.routing.by_path:
            return f"{self.routing.host}.{self.domain}"
        return f"{host_label(model, self.models[model], self.platform)}.{self.domain}"

    def prefix(self, model: str) -> str:
        """What stands before `/v1` in the path that a model is called at: nothing, or `/simulator`."""
        return f"/{model}" if self.routing.by_path else ""

    def served_name(self, model: str) -> str:
        """What callers put into the request's `model`."""
        return self.models[model].served_name or model

    def api(self, model: str) -> Api:
        """The kind of KServe's object that a model becomes. A simulator has no address for the other kind."""
        entry = self.models[model]
        return entry.api or (Api.INFERENCE_SERVICE if entry.runtime.simulates else self.serving.api)

    @property
    def has_llm_inference_services(self) -> bool:
        """Whether any model becomes an LLMInferenceService, whose pods are found by other labels."""
        kinds = {self.api(name) for name, model in self.models.items() if not model.external}
        return Api.LLM_INFERENCE_SERVICE in kinds


def _in_plain_text(key: str) -> Problem:
    return Problem(
        f"{NAMESPACE}:{key}",
        HIDDEN,
        "stands in plain text in the stack file, so it is known to whoever can read the repository",
        "encrypted values",
        f"new keys, each set with: pulumi config set --secret --path '{NAMESPACE}:{key}.<user>'",
    )


def _to_migrate(stack: str, values: Mapping[str, Any], problems: list[Problem]) -> list[Problem]:
    """One problem for all that older files say otherwise, in place of those that come from it."""
    places = sorted({".".join(change.path) for change in pending(values)})
    if not places:
        return problems
    why = f"{', '.join(places)}: written otherwise since version {SCHEMA} of the schema"
    fix = f"./maas config migrate --stack {stack}"
    whole = Problem(f"{NAMESPACE}:{VERSION_KEY}", str(version_of(values)), why, f"a file for {SCHEMA}", fix)
    old = tuple(f"{NAMESPACE}:{place}" for place in places)
    return [whole, *(each for each in problems if not each.key.startswith(old))]


def _not_kept(key: str) -> Problem:
    return Problem(
        f"{NAMESPACE}:{key}",
        HIDDEN,
        "holds an encrypted value, which would stand in plain text in the cluster's objects, the state and previews",
        f"encrypted values in {one_of(SECRET_KEYS)}",
        "the name of a Secret, or the value in plain text",
    )


class _Valid:
    """A section that passed, boxed so that it cannot be taken for a list of problems."""

    def __init__(self, value: object) -> None:
        self.value = value


def _section(
    model: type[Model], alias: str, name: str, values: Mapping[str, Any], *, hide: bool
) -> _Valid | list[Problem]:
    """One key of the stack, checked by itself, so that an error in it does not hide those in others."""
    key = f"{NAMESPACE}:{alias}"
    field = model.model_fields[name]
    # The engine fills in Pulumi.yaml's defaults, an empty mapping for most.
    if alias not in values or (field.is_required() and values[alias] == {}):
        if field.is_required():
            return [Problem(key, "", "required, but not set")]
        return _Valid(field.get_default(call_default_factory=True, validated_data={}))
    try:
        return _Valid(_adapter(model, name).validate_python(values[alias]))
    except ValidationError as error:
        return from_pydantic(key, _annotations(model)[name], error, hide=hide)


@cache
def _annotations(model: type[Model]) -> Mapping[str, Any]:
    """The types of its sections."""
    return get_type_hints(model, include_extras=True)


@cache
def _adapter(model: type[Model], name: str) -> TypeAdapter[Any]:
    """What checks a section: it takes longer to make than to use."""
    return TypeAdapter(_annotations(model)[name])


@cache
def _needed(check: Callable[..., object]) -> frozenset[str]:
    """The sections that a check looks at: the names of its parameters."""
    return frozenset(inspect.signature(check).parameters)
