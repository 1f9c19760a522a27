"""API keys: one Secret for each user, as Authorino looks for it. Values are never seen here, only their digests."""

from collections.abc import Iterator

from cli.doctor.case import Case, annotations_of, dig, labels_of, name_of, namespace_of, ref
from cli.doctor.findings import Finding, Level
from cli.doctor.snapshot import Manifest
from cli.recorder import Object
from components.identity import GROUPS_ANNOTATION, USER_ANNOTATION, key_labels
from config.identity import KeyBackend

_KEY = "api_key"
_UP = "./maas up puts it right"


def secrets(case: Case) -> Iterator[Finding]:
    """Each key's Secret has the labels by which Authorino finds it, and its owner's tier."""
    good = 0
    for wanted, found in _keys(case):
        troubles = list(_troubles(wanted, found))
        yield from troubles
        good += not troubles
    if good:
        where = case.settings.platform.kuadrant.namespace
        yield Finding("keys", Level.OK, f"Secrets in {where}", f"{good} keys with labels, user and tier")


def _keys(case: Case) -> Iterator[tuple[Object, Manifest]]:
    marks = key_labels(case.stack).items()
    return ((wanted, found) for wanted, found in case.standing("Secret") if marks <= labels_of(wanted.body).items())


def _troubles(wanted: Object, found: Manifest) -> Iterator[Finding]:
    what = ref(found)
    missing = sorted(labels_of(wanted.body).items() - labels_of(found).items())
    if missing:
        names = ", ".join(f"{key}={value}" for key, value in missing)
        message = f"lacks the label {names}: Authorino may not find the key, or not notice when it changes"
        yield Finding("keys", Level.PROBLEM, what, message, _UP)
    for annotation, meaning in ((USER_ANNOTATION, "user"), (GROUPS_ANNOTATION, "tier")):
        said, is_ = annotations_of(wanted.body).get(annotation, ""), annotations_of(found).get(annotation, "")
        if said != is_:
            message = f"says that the {meaning} is {is_ or 'nothing'}, but the stack says {said}"
            yield Finding("keys", Level.PROBLEM, what, message, _UP)
    if not dig(found, "data", _KEY):
        yield Finding("keys", Level.PROBLEM, what, f"has no value under {_KEY}", _UP)


def users(case: Case) -> Iterator[Finding]:
    """A user without a key cannot call anything."""
    if case.settings.identity.api_keys.backend is not KeyBackend.STACK:
        return
    for user in sorted(case.settings.users.keys() - case.settings.api_keys.keys()):
        fix = f"./maas keys create {user} --stack {case.stack}"
        yield Finding("keys", Level.WARNING, f"user {user}", "has no API key", fix)


def duplicates(case: Case) -> Iterator[Finding]:
    """Two Secrets with one key: whose use it is depends on which Authorino finds first."""
    holders: dict[str, list[Manifest]] = {}
    for each in _live_keys(case):
        if digest := dig(each, "data", _KEY):
            holders.setdefault(digest, []).append(each)
    for found in holders.values():
        if len(found) > 1:
            first, *others = sorted(found, key=name_of)
            names = " and ".join(name_of(each) for each in others)
            message = f"has the same key as {names}: who is who is left to chance"
            yield Finding("keys", Level.PROBLEM, ref(first), message, "give each user a key of their own")


def strangers(case: Case) -> Iterator[Finding]:
    """A Secret that passes for one of the stack's keys, and is none."""
    own = {(wanted.namespace, wanted.metadata_name) for wanted in case.of_kind("Secret")}
    for each in _live_keys(case):
        if (namespace_of(each), name_of(each)) not in own:
            message = "is a valid key that the stack does not know: somebody made it by hand"
            fix = f"kubectl delete secret {name_of(each)} -n {namespace_of(each)}, unless it is meant to be there"
            yield Finding("keys", Level.WARNING, ref(each), message, fix)


def _live_keys(case: Case) -> list[Manifest]:
    marks = key_labels(case.stack).items()
    where = case.settings.platform.kuadrant.namespace
    return [
        each
        for each in case.cluster.all("v1", "Secret")
        if namespace_of(each) == where and marks <= labels_of(each).items()
    ]
