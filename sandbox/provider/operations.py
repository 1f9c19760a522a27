"""What happens to one object: check, diff, create, read, update, delete. Knows nothing of the engine's protocol."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from sandbox.kube import ApiError, Kube, NoMatchError, Object, reference
from sandbox.provider import diff as differ
from sandbox.provider import field_managers, readiness, waiting
from sandbox.provider.diff import FieldChange
from sandbox.provider.kinds import ResourceType
from sandbox.provider.options import Options
from sandbox.provider.replacement import forces_replacement, immutable_fields
from sandbox.provider.state import State, object_id, parse_id
from sandbox.provider.values import UNKNOWN, Properties, copy_secrecy, has_unknown, plain
from sandbox.provider.wait_for import WaitForError

_CREATE_PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds between tries while the CRD or namespace of a new object is missing: as long as the official one waits."""

_CREATED_WITH_OBJECT: Final = ("uid", "resourceVersion", "creationTimestamp", "generation")
"""What a dry run makes up for a new object: nobody may take it for the real thing."""

_FORBIDDEN, _UNPROCESSABLE = 403, 422


class OperationError(Exception):
    """The operation failed and nothing is to be recorded."""


class PartialFailureError(Exception):
    """The object exists in the cluster but is not as it should be; what is known of it is to be recorded.

    Attributes:
        id: The resource's id.
        properties: Its state.
        inputs: Its inputs, when they differ from the program's.
    """

    def __init__(
        self, resource_id: str, properties: Properties, message: str, inputs: Properties | None = None
    ) -> None:
        self.id = resource_id
        self.properties = properties
        self.inputs = inputs
        super().__init__(message)


@dataclass(frozen=True)
class Difference:
    """The outcome of a diff: all changes, and those of them that replace the object."""

    changes: list[FieldChange]
    replacing: list[FieldChange]
    delete_first: bool


@dataclass(frozen=True)
class Found:
    """The outcome of a read."""

    id: str
    properties: Properties
    inputs: Properties


@dataclass(frozen=True)
class Operations:
    """All operations on one cluster.

    Attributes:
        kube: The client.
        options: What the program said of the provider.
        cancelled: Ends all waits when set.
        say: Is told what is awaited; first the URN, then the text.
        warn: Is told what the user should know; first the URN, then the text.
        pauses: Seconds between tries while a new object's CRD or namespace is missing.
    """

    kube: Kube
    options: Options
    cancelled: asyncio.Event
    say: Callable[[str, str], None]
    warn: Callable[[str, str], None]
    pauses: Sequence[float] = field(default=_CREATE_PAUSES)

    async def check(
        self, urn: str, declared: Properties, *, autonaming_disabled: bool
    ) -> tuple[Properties, dict[str, str]]:
        """Validate what the program declares, and put it into the default namespace where it names none.

        Returns:
            The inputs to go on with, and what is wrong with them by property path.
        """
        resource, given = ResourceType.of_urn(urn), cast("Object", plain(declared))
        failures: dict[str, str] = {}
        api_version, kind = given.get("apiVersion"), given.get("kind")
        if not resource.accepts(str(api_version), str(kind)):
            failures["kind"] = (
                f"{api_version}, kind {kind} does not fit the resource type {resource.api_version}:{resource.name}"
            )
            return declared, failures
        metadata: object = given.get("metadata", {})
        if metadata is UNKNOWN:
            return declared, failures
        if not isinstance(metadata, dict):
            failures["metadata"] = "must be a mapping"
            return declared, failures
        if not cast("Object", metadata).get("name"):
            failures["metadata.name"] = (
                "autonaming is disabled, resource requires the .metadata.name field"
                if autonaming_disabled
                else "the stand-in provider makes up no names: set .metadata.name"
            )
        try:
            readiness.checks(given)
        except WaitForError as error:
            failures["metadata.annotations"] = str(error)
        return await self._with_namespace(declared, str(api_version), str(kind)), failures

    def diff(self, urn: str, old: Properties, new: Properties, ignored: Sequence[str]) -> Difference:
        """Compare what was declared (or, after a refresh, found) with what is declared now."""
        state = State.read(old)
        before = _comparable(state.inputs, state.live)
        after = _comparable(cast("Object", plain(new)), state.live)
        paths = [differ.parse_path(one) for one in ignored]
        changes = [c for c in differ.changes(before, after) if not differ.is_ignored(c.path, paths)]
        immutable = immutable_fields(
            before,
            after,
            config_map_mutable=self.options.config_map_mutable,
            secret_mutable=self.options.secret_mutable,
            patch=ResourceType.of_urn(urn).is_patch_of(str(after.get("kind"))),
        )
        if _group(before) != _group(after):
            # Another version of the same group is the same object; another group is another one.
            immutable = (*immutable, "apiVersion")
        replacing = [c for c in changes if forces_replacement(c.path, c.value, immutable)]
        stays = all(_metadata(before).get(key) == _metadata(after).get(key) for key in ("name", "namespace"))
        return Difference(changes, replacing, delete_first=bool(replacing) and stays)

    async def create(self, urn: str, declared: Properties, *, seconds: float, preview: bool) -> tuple[str, Properties]:
        """Create the object and wait until it is ready.

        Returns:
            The id (empty in a preview) and the state.

        Raises:
            PartialFailureError: It was created, but did not become ready.
            OperationError: It was not created.
            ApiError: Refused.
        """
        obj = cast("Object", plain(declared))
        resource = ResourceType.of_urn(urn)
        manager = field_managers.field_manager(urn, obj)
        state = State(inputs=obj, live=obj, api_version=obj["apiVersion"], field_manager=manager)
        if preview:
            if resource.is_patch_of(obj["kind"]) or has_unknown(obj):
                return "", declared
            live = await self._preview_create(urn, obj, manager)
            return "", replace(state, live=live).write(declared) if live else declared
        live = await self._create_patiently(urn, resource, obj, manager)
        live = await self._wait(urn, replace(state, live=live), declared, seconds)
        return object_id(live), replace(state, live=live).write(declared)

    async def read(self, urn: str, resource_id: str, properties: Properties, declared: Properties) -> Found | None:
        """Look at the live object; None when it is gone.

        The inputs of the answer are the declared fields with their live values, or, for an object that is being
        imported, all that someone could have declared.

        Raises:
            PartialFailureError: It exists but is not ready.
            ApiError: Refused.
        """
        resource, state = ResourceType.of_urn(urn), State.read(properties)
        given = cast("Object", plain(declared)) or state.inputs
        namespace, name = parse_id(resource_id)
        api_version = str(given.get("apiVersion") or state.live.get("apiVersion") or resource.api_version)
        kind = str(given.get("kind") or state.live.get("kind") or resource.name)
        live = await self.kube.get(api_version, kind, name, namespace)
        if live is None:
            return None
        inputs = differ.observe(given, state.live, live) if given else differ.without_server_fields(live)
        fresh = State(
            inputs=inputs,
            live=live,
            api_version=state.api_version or api_version,
            field_manager=field_managers.field_manager(urn, inputs, state.field_manager),
        )
        secrecy = declared or copy_secrecy(inputs, {})
        found = Found(resource_id or object_id(live), fresh.write(secrecy), copy_secrecy(inputs, secrecy))
        problems = [v.message for v in (check(live) for check in await self._built_in_checks(live)) if not v.ready]
        if problems and not _metadata(live).get("deletionTimestamp"):
            message = f"{waiting.describe(live)} is not ready: {'; '.join(problems)}. {waiting.look_at(live)}"
            raise PartialFailureError(found.id, found.properties, message, found.inputs)
        return found

    async def update(  # noqa: PLR0913
        self, urn: str, old: Properties, declared: Properties, *, ignored: Sequence[str], seconds: float, preview: bool
    ) -> Properties:
        """Make the object what is declared now, and wait until it is ready; returns the state.

        Raises:
            PartialFailureError: It was changed, but did not become ready.
            OperationError: Another field manager is in the way.
            ApiError: Refused.
        """
        obj, recorded = cast("Object", plain(declared)), State.read(old)
        patch = ResourceType.of_urn(urn).is_patch_of(obj["kind"])
        if preview and (has_unknown(obj) or not await self._is_served(obj)):
            return declared
        manager = field_managers.field_manager(urn, obj, recorded.field_manager)
        body = _appliable(obj)
        try:
            live = await self._get(body)
            if live is None and patch:
                raise OperationError(f"{_describe(body)} does not exist, so it cannot be patched")
            if live is not None:
                body = _without_ignored(body, live, manager, ignored)
            if live is not None and not patch and not preview:
                live = await self._adopt(live, manager)
            fresh = await self._put_or_apply(body, live, manager, preview=preview)
        except ApiError as error:
            if preview and error.status == _FORBIDDEN:
                return declared
            raise
        state = State(
            inputs=obj, live=fresh, api_version=recorded.api_version or obj["apiVersion"], field_manager=manager
        )
        if preview:
            return state.write(declared)
        if recorded.field_manager and recorded.field_manager != manager:
            await self._relinquish(fresh, recorded.field_manager)
        live = await self._wait(urn, state, declared, seconds)
        return replace(state, live=live).write(declared)

    async def delete(self, urn: str, resource_id: str, properties: Properties, *, seconds: float) -> None:
        """Delete the object and wait until it is gone; a Patch resource only gives up its fields.

        Raises:
            OperationError: It is still there when time is up.
            ApiError: Refused.
        """
        state, resource = State.read(properties), ResourceType.of_urn(urn)
        declared = state.inputs or state.live
        api_version = str(declared.get("apiVersion") or resource.api_version)
        kind = str(declared.get("kind") or resource.name)
        namespace, name = parse_id(resource_id)
        if resource.is_patch_of(kind):
            await self._relinquish(state.live, state.field_manager)
            return
        # Not bound to the uid: whoever destroys a stack wants the name free, as the official provider has it.
        answer = await self.kube.delete(api_version, kind, name, namespace, propagation=readiness.propagation(declared))
        if answer is None or answer.get("kind") != kind or readiness.skips_delete_await(declared):
            return
        limit = readiness.timeout(declared, seconds)
        try:
            await waiting.until_gone(self.kube, answer, seconds=limit, cancelled=self.cancelled)
        except waiting.NotReadyError as error:
            raise OperationError(str(error)) from error
        except ApiError as error:
            if not error.not_found:
                raise

    # --- parts

    async def _with_namespace(self, declared: Properties, api_version: str, kind: str) -> Properties:
        """Set the default namespace on what lives in one and names none; drop it from what lives in none."""
        metadata: object = declared.get("metadata")
        if not isinstance(metadata, dict):
            return declared
        given = cast("Properties", metadata)
        try:
            namespaced = (await self.kube.resource(api_version, kind)).namespaced
        except ApiError:
            # No CRD yet, or no server: the namespace stays as it is until there is one.
            return declared
        if namespaced and not given.get("namespace"):
            return declared | {"metadata": given | {"namespace": self.options.namespace or self.kube.namespace}}
        if not namespaced and "namespace" in given:
            return declared | {"metadata": {key: value for key, value in given.items() if key != "namespace"}}
        return declared

    async def _preview_create(self, urn: str, obj: Object, manager: str) -> Object | None:
        """What the server would make of the object; None when that cannot be known before `up`."""
        try:
            if not await self._is_served(obj):
                return None
            live = await self.kube.create(_appliable(obj), field_manager=manager, dry_run=True)
        except ApiError as error:
            if error.status == 0:
                self.warn(urn, f"not checked against the cluster: {error}")
                return None
            # The namespace may be created by this very program; what exists may be about to be replaced or taken over.
            if error.status == _FORBIDDEN or error.not_found or error.reason == "AlreadyExists":
                return None
            raise
        metadata = _metadata(live) | dict.fromkeys(_CREATED_WITH_OBJECT, UNKNOWN)
        return {key: value for key, value in live.items() if key != "status"} | {"metadata": metadata}

    async def _create_patiently(self, urn: str, resource: ResourceType, obj: Object, manager: str) -> Object:
        """Create; again and again for a while when the CRD or the namespace is not there yet."""
        for pause in (*self.pauses, None):
            try:
                return await self._create_once(resource, obj, manager)
            except ApiError as error:
                if not error.not_found:
                    raise
                if pause is None:
                    raise _still_missing(obj, error) from error
                self.say(urn, f"retrying in {pause:g} s: {error.message}")
            try:
                await waiting.interruptible(self.cancelled, asyncio.sleep(pause))
            except waiting.CancelledByUserError:
                raise OperationError(f"{_describe(obj)}: cancelled before it could be created") from None
        raise AssertionError("the last try has no pause")

    async def _create_once(self, resource: ResourceType, obj: Object, manager: str) -> Object:
        body = _appliable(obj)
        if resource.is_patch_of(obj["kind"]):
            live = await self._get(body)
            if live is None:
                raise ApiError(404, "NotFound", "the object to be patched does not exist", _describe(body))
            # With the uid in it, the apply cannot create an object by mistake.
            return await self._apply(_with_uid(body, live), manager)
        if self.options.upsert:
            return await self._apply(body, manager)
        try:
            return await self.kube.create(body, field_manager=manager)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            token = f"kubernetes:{'' if '/' in obj['apiVersion'] else 'core/'}{obj['apiVersion']}:{obj['kind']}"
            raise OperationError(
                f"{_describe(body)} exists already. To adopt it: import it (pulumi import {token} NAME "
                f"{object_id(body)}), or set the provider option upsertExistingObjects. To change "
                f"only some of its fields: {obj['kind']}Patch"
            ) from error

    async def _put_or_apply(self, body: Object, live: Object | None, manager: str, *, preview: bool) -> Object:
        if body["kind"] == "CustomResourceDefinition" and live is not None:
            # As the official provider does: a CRD is replaced as a whole, whoever owns its fields.
            version = {"resourceVersion": _metadata(live)["resourceVersion"]}
            whole = body | {"metadata": _metadata(body) | version}
            return await self.kube.replace(whole, field_manager=manager, dry_run=preview)
        return await self._apply(body, manager, dry_run=preview)

    async def _apply(self, body: Object, manager: str, *, dry_run: bool = False) -> Object:
        """Server-side apply, with conflicts told so that people can act on them."""
        force = self.options.patch_force or readiness.annotation(body, field_managers.PATCH_FORCE) == "true"
        try:
            return await self.kube.apply(body, field_manager=manager, force=force, dry_run=dry_run)
        except ApiError as error:
            if not error.conflict:
                raise
            if dry_run and field_managers.only_adopted_in_the_way(error, manager):
                return await self.kube.apply(body, field_manager=manager, force=True, dry_run=True)
            raise OperationError(field_managers.conflict_message(error)) from error

    async def _adopt(self, live: Object, manager: str) -> Object:
        """Take over what kubectl owns of the object, so that the next apply may change or remove it."""
        patch = field_managers.adopted(live, manager)
        if patch is None:
            return live
        metadata = _metadata(live)
        return await self.kube.patch(
            live["apiVersion"],
            live["kind"],
            metadata["name"],
            patch,
            metadata.get("namespace"),
            field_manager=manager,
        )

    async def _relinquish(self, live: Object, manager: str) -> None:
        """Give up all fields owned under this name; what is gone already is fine."""
        metadata = _metadata(live)
        identity = {key: metadata[key] for key in ("name", "namespace", "uid") if key in metadata}
        empty = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": identity}
        try:
            await self.kube.apply(empty, field_manager=manager)
        except ApiError as error:
            if error.not_found or error.conflict:
                # A conflict is about the uid: the object that we patched is gone, whatever has its name now.
                return
            if error.status == _UNPROCESSABLE:
                fields = ", ".join(cause.field for cause in error.causes) or error.message
                raise OperationError(
                    f"{error.target}: the Patch owns a field that the object cannot be without ({fields}). Set "
                    "retain_on_delete, or let another field manager own the field first"
                ) from error
            raise

    async def _wait(self, urn: str, state: State, declared: Properties, seconds: float) -> Object:
        """Wait until the object is ready; on failure what is known of it is kept."""
        live = state.live
        try:
            ready = await waiting.until_ready(
                self.kube,
                live,
                await self._checks(state.inputs, live),
                seconds=readiness.timeout(state.inputs, seconds),
                cancelled=self.cancelled,
                say=lambda text: self.say(urn, text),
            )
        except waiting.NotReadyError as error:
            kept, message = error.live, str(error)
        except ApiError as error:
            kept, message = live, f"{waiting.describe(live)} exists, but it could not be watched: {error}"
        else:
            if ready is not live:
                self.say(urn, "")  # takes the last word about waiting off the screen
            return ready
        raise PartialFailureError(object_id(kept), replace(state, live=kept).write(declared), message)

    async def _checks(self, declared: Object, live: Object) -> list[readiness.Check]:
        if readiness.annotation(declared, readiness.WAIT_FOR):
            return readiness.checks(declared)
        return await self._built_in_checks(live)

    async def _built_in_checks(self, live: Object) -> list[readiness.Check]:
        if live["kind"] == "PersistentVolumeClaim" and await waiting.waits_for_first_consumer(self.kube, live):
            return []
        return readiness.built_in_checks(live)

    async def _is_served(self, obj: Object) -> bool:
        try:
            await self.kube.resource(obj["apiVersion"], obj["kind"])
        except NoMatchError:
            return False
        return True

    async def _get(self, obj: Object) -> Object | None:
        metadata = _metadata(obj)
        return await self.kube.get(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))


def _metadata(obj: Mapping[str, Any]) -> Object:
    metadata: object = obj.get("metadata")
    return cast("Object", metadata) if isinstance(metadata, dict) else {}


def _describe(obj: Object) -> str:
    return reference(obj["kind"], _metadata(obj).get("name", ""), _metadata(obj).get("namespace"))


def _group(obj: Object) -> str:
    return str(obj.get("apiVersion") or "").rpartition("/")[0]


def _with_uid(body: Object, live: Object) -> Object:
    return body | {"metadata": _metadata(body) | {"uid": _metadata(live)["uid"]}}


def _appliable(obj: Object) -> Object:
    """What may be sent: imported inputs can hold what only the server writes."""
    return differ.without_server_fields(obj) if "metadata" in obj else obj


def _comparable(declared: Object, live: Object) -> Object:
    """Declared fields with the namespace that the object is really in, so that a default is no difference."""
    cleaned = _appliable(declared) if isinstance(declared.get("metadata"), dict) else declared
    if not live or not isinstance(cleaned.get("metadata"), dict):
        return cleaned
    metadata = dict(_metadata(cleaned))
    namespace = _metadata(live).get("namespace")
    if namespace:
        metadata["namespace"] = metadata.get("namespace") or namespace
    else:
        metadata.pop("namespace", None)
    return cleaned | {"metadata": metadata}


def _without_ignored(body: Object, live: Object, manager: str, ignored: Sequence[str]) -> Object:
    """Leave ignored fields to their owners: out of the apply when that is someone else, as they are now otherwise."""
    for one in ignored:
        path = differ.parse_path(one)
        current = _lookup(live, path)
        if field_managers.foreign_fields(live, manager, path):
            body = _changed(body, path, None)
        elif current is not None:
            body = _changed(body, path, current)
    return body


def _lookup(obj: object, path: differ.Path) -> object:
    for step in path:
        obj = cast("Object", obj).get(str(step)) if isinstance(obj, dict) else None
    return obj


def _changed(obj: Object, path: differ.Path, value: object) -> Object:
    """The object with one field set, or removed when the value is None; paths through lists are left alone."""
    head, rest = path[0], path[1:]
    if not isinstance(head, str):
        return obj
    if rest:
        inner: object = obj.get(head)
        return obj | {head: _changed(cast("Object", inner), rest, value)} if isinstance(inner, dict) else obj
    return {key: item for key, item in obj.items() if key != head} | ({} if value is None else {head: value})


def _still_missing(obj: Object, error: ApiError) -> OperationError:
    if isinstance(error, NoMatchError):
        return OperationError(
            f"{_describe(obj)}: the API server does not serve {obj['apiVersion']} {obj['kind']}. Is the CRD installed, "
            f"and by something that this resource depends on? Look at: kubectl api-resources --api-group={_group(obj)}"
        )
    return OperationError(f"{error}. Does this resource depend on what creates that?")
