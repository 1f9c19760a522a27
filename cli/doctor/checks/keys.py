"""API keys: one Secret for each user, as Authorino looks for it. Values are never seen here, only their digests."""

from collections.abc import Iterator

from cli.doctor.case import Case, annotations_of, dig, labels_of, name_of, namespace_of, ref
from cli.doctor.findings import Finding, Level
from cli.doctor.snapshot import Manifest
from cli.program.recorder import Object
from components.identity import (
    AUTHORINO_LABEL,
    GROUPS_ANNOTATION,
    KEY_PROPERTY,
    USER_ANNOTATION,
    key_labels,
    key_selector,
)
from config.identity import KeyBackend
from config.settings import Settings

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
    if not dig(found, "data", KEY_PROPERTY):
        yield Finding("keys", Level.PROBLEM, what, f"has no value under {KEY_PROPERTY}", _UP)


def existing(case: Case) -> Iterator[Finding]:
    """Keys that somebody else makes have what Authorino looks for and what policies read."""
    source = case.settings.identity.api_keys
    if source.backend is not KeyBackend.EXISTING or not case.cluster.knows("v1", "Secret"):
        return
    where, found = case.settings.platform.kuadrant.namespace, _live_keys(case)
    if not found:
        marks = ", ".join(f"{key}={value}" for key, value in sorted(source.selector.items()))
        message, fix = f"no Secret has the labels {marks}", "make one, as docs/keys.md says"
        yield Finding("keys", Level.WARNING, f"Secrets in {where}", f"{message}: nobody has an API key", fix)
    good = 0
    for each in found:
        lacking = list(_lacking(each, case.settings))
        for message, fix in lacking:
            yield Finding("keys", Level.PROBLEM, ref(each), message, fix)
        good += not lacking
    if good:
        yield Finding("keys", Level.OK, f"Secrets in {where}", f"{good} keys with labels, user and tier")


def _lacking(secret: Manifest, settings: Settings) -> Iterator[tuple[str, str]]:
    """What a key of somebody else's has not, and what to do."""
    said, target = annotations_of(secret), f"{name_of(secret)} -n {namespace_of(secret)}"
    if AUTHORINO_LABEL.items() - labels_of(secret).items():
        [(label, value)] = AUTHORINO_LABEL.items()
        message = f"lacks the label {label}={value}: Authorino does not notice when the key comes, changes or goes"
        yield message, f"kubectl label secret {target} {label}={value}"
    if not dig(secret, "data", KEY_PROPERTY):
        yield f"has no value under {KEY_PROPERTY}", f"put the key under {KEY_PROPERTY}"
    # Authorino reads annotations once: another Secret has to take this one's place.
    if not said.get(USER_ANNOTATION):
        yield f"names no user ({USER_ANNOTATION}): it is refused", "make another Secret that does"
    if not settings.tiers.keys() & set(said.get(GROUPS_ANNOTATION, "").split(",")):
        yield f"names no tier of the stack ({GROUPS_ANNOTATION}): it is refused", "make another Secret that does"


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
        if digest := dig(each, "data", KEY_PROPERTY):
            holders.setdefault(digest, []).append(each)
    for found in holders.values():
        if len(found) > 1:
            first, *others = sorted(found, key=name_of)
            names = " and ".join(name_of(each) for each in others)
            message = f"has the same key as {names}: who is who is left to chance"
            yield Finding("keys", Level.PROBLEM, ref(first), message, "give each user a key of their own")


def strangers(case: Case) -> Iterator[Finding]:
    """A Secret that passes for one of the stack's keys, and is none."""
    if case.settings.identity.api_keys.backend is KeyBackend.EXISTING:
        return
    own = {(wanted.namespace, wanted.metadata_name) for wanted in case.of_kind("Secret", "ExternalSecret")}
    for each in _live_keys(case):
        if (namespace_of(each), name_of(each)) not in own:
            message = "is a valid key that the stack does not know: somebody made it by hand"
            fix = f"kubectl delete secret {name_of(each)} -n {namespace_of(each)}, unless it is meant to be there"
            yield Finding("keys", Level.WARNING, ref(each), message, fix)


def _live_keys(case: Case) -> list[Manifest]:
    marks = key_selector(case.settings.identity.api_keys, case.stack).items()
    where = case.settings.platform.kuadrant.namespace
    return [
        each
        for each in case.cluster.all("v1", "Secret")
        if namespace_of(each) == where and marks <= labels_of(each).items()
    ]
