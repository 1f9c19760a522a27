"""What a change of the settings means to the people who use the service."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from cli.diff.fields import ABSENT, Field, changed_fields
from cli.diff.snapshot import Snapshot
from cli.diff.words import count, figure, models_of, names, rate, rates_of, value_of
from cli.stacks.stackfile import mapping

_LIMITS = (("requests", "requests"), ("tokens", "tokens"))
_ONE_BY_ONE = 10
"""Up to so many users are named one by one."""

Entries = Mapping[str, Mapping[str, Any]]


def meaning(before: Snapshot, after: Snapshot, restarting: Mapping[str, str]) -> list[str]:
    """Sentences on what differs, section by section.

    Args:
        before: the stack as it was.
        after: the stack as it will be.
        restarting: models whose pods start anew, and why.
    """
    old, new = before.settings, after.settings
    lines: list[str] = []
    for section in sorted({*old, *new}, key=_place):
        if old.get(section) != new.get(section):
            special = _SECTIONS.get(section)
            values = old.get(section, ABSENT), new.get(section, ABSENT)
            lines += special(before, after) if special else _plainly(section, *values)
    lines += _models(before, after, restarting)
    lines += _keys(before, after)
    return lines


def said(snapshot: Snapshot, other: Snapshot) -> Mapping[str, Any]:
    """The settings, without keys that only this revision's code knows and the stack's file does not mention.

    A key that is new in the program, with its default, changes nothing that anybody has set. What it does to objects
    shows there.
    """
    given = {key.removeprefix("maas:"): value for key, value in snapshot.given.items()}
    return cast("Mapping[str, Any]", _said(snapshot.settings, other.settings, given)) if other.settings else {}


def _said(value: object, other: object, given: object) -> object:
    entries, others = mapping(value), mapping(other)
    if not isinstance(value, Mapping) or not isinstance(other, Mapping):
        return cast("object", value)
    known = mapping(cast("object", given)) if given is None or isinstance(given, Mapping) else entries
    return {
        key: _said(each, others[key], known.get(key)) if key in others else each
        for key, each in entries.items()
        if key in others or key in known
    }


def renamed_tiers(before: Snapshot, after: Snapshot) -> dict[str, str]:
    """Tiers that have another name and are the same otherwise: old name to new."""
    old, new = _entries(before, "tiers"), _entries(after, "tiers")
    came = {name: tier for name, tier in new.items() if name not in old}
    found: dict[str, str] = {}
    for name, tier in old.items():
        if name not in new and (match := next((each for each in sorted(came) if came[each] == tier), None)):
            found[name] = match
            del came[match]
    return found


def gpus(model: Mapping[str, Any]) -> int:
    """GPUs of all replicas of a model, as it is without any autoscaling."""
    return int(mapping(model.get("gpu")).get("count") or 0) * int(model.get("replicas") or 1)


def users_of(snapshot: Snapshot, tier: str) -> int:
    """How many users of the stack are in a tier."""
    return _in(_entries(snapshot, "users"), tier)


def people_in(snapshot: Snapshot, tier: str) -> str:
    """Who is in a tier: those whom the stack names, counted, and who decides about others."""
    identity = mapping(snapshot.settings.get("identity"))
    accounts = mapping(mapping(identity.get("kubernetes")).get("accounts"))
    issuers = {f"`{name}`": each for name, each in mapping(identity.get("oidc")).items() if tier in _tiers_of(each)}
    in_keycloak = _in(mapping(identity.get("keycloak")).get("users"), tier)
    parts = [count(users_of(snapshot, tier), "user")]
    parts += [count(in_keycloak, "user of Keycloak", "users of Keycloak")] if in_keycloak else []
    parts += [count(_in(accounts, tier), "service account")] if _in(accounts, tier) else []
    parts += [f"whoever has a token of {', '.join(sorted(issuers))} for it"] if issuers else []
    if mapping(identity.get("apiKeys")).get("backend") == "existing":
        parts.append("whoever has a key of others for it")
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)


def _in(entries: object, tier: str) -> int:
    return sum(mapping(each).get("tier") == tier for each in mapping(entries).values())


def _tiers_of(issuer: Mapping[str, Any]) -> set[object]:
    return {issuer.get("defaultTier"), *mapping(issuer.get("groups")).values()}


_ORDER = ("domain", "cluster", "platform", "gateway", "tiers", "users")


def _place(section: str) -> tuple[int, str]:
    return (_ORDER.index(section) if section in _ORDER else len(_ORDER), section)


def _entries(snapshot: Snapshot, section: str) -> Entries:
    return cast("Entries", mapping(snapshot.settings.get(section)))


def _domain(before: Snapshot, after: Snapshot) -> list[str]:
    was, will = (value_of(each.settings.get("domain")) for each in (before, after))
    return [f"domain: {was} to {will}; {count(len(_entries(after, 'models')), 'model')} at another address"]


def _platform(before: Snapshot, after: Snapshot) -> list[str]:
    old, new = _entries(before, "platform"), _entries(after, "platform")
    lines: list[str] = []
    for key in sorted({*old, *new}):
        was, will = old.get(key), new.get(key)
        if was == will:
            continue
        installs = mapping(was).get("install"), mapping(will).get("install")
        if key == "profile":
            lines.append(f"profile: {value_of(was)} to {value_of(will)}; every default follows it")
        elif None not in installs and installs[0] != installs[1]:
            lines.append(f"operator {key}: installed by {installs[1]} instead of {installs[0]}")
            lines += _plainly(f"platform.{key}", {**mapping(was), "install": ""}, {**mapping(will), "install": ""})
        elif mapping(was).get("version") != mapping(will).get("version"):
            versions = [mapping(each).get("version") or "the project's own" for each in (was, will)]
            lines.append(f"operator {key}: version {versions[0]} to {versions[1]}")
            lines += _plainly(f"platform.{key}", {**mapping(was), "version": ""}, {**mapping(will), "version": ""})
        else:
            lines += _plainly(f"platform.{key}", was, will)
    return lines


def _tiers(before: Snapshot, after: Snapshot) -> list[str]:
    old, new = _entries(before, "tiers"), _entries(after, "tiers")
    renamed = renamed_tiers(before, after)
    lines: list[str] = []
    for name in sorted({*old, *new}):
        affected = people_in(after, name)
        if name in renamed:
            to = renamed[name]
            lines.append(f"tier `{name}` is called `{to}`; {people_in(after, to)} affected")
        elif name in renamed.values():
            continue
        elif name not in new:
            lines.append(f"tier `{name}` removed; it had {count(users_of(before, name), 'user')}")
        elif name not in old:
            limits = [_allowance(new[name], key, what) for key, what in _LIMITS]
            lines.append(f"tier `{name}` added: {', '.join(limits)}, price {new[name].get('price')}; {affected}")
        else:
            lines += [f"tier `{name}`: {each}" for each in _tier(old[name], new[name], affected)]
    return lines


def _tier(old: Mapping[str, Any], new: Mapping[str, Any], affected: str) -> Iterator[str]:
    for model in ("", *models_of(old, new)):
        where = f"on `{model}`: " if model else ""
        for key, what in _LIMITS:
            was, will = rates_of(old, key, model), rates_of(new, key, model)
            if was != will and not (model and _is_the_tiers(old, new, key, model)):
                yield f"{where}{_another_allowance(was, will, what)}; {affected} affected"
    said = {"requests", "tokens", "models"}
    old, new = ({key: value for key, value in each.items() if key not in said} for each in (old, new))
    yield from (f"{each.path} {_from_to(each)}" for each in _told(old, new))


def _is_the_tiers(old: Mapping[str, Any], new: Mapping[str, Any], key: str, model: str) -> bool:
    """Whether a model has no limit of its own on either side, so that the tier's has been told of."""
    return all(rates_of(each, key, model) == rates_of(each, key) for each in (old, new))


def _another_allowance(was: Mapping[str, int], will: Mapping[str, int], what: str) -> str:
    if was.keys() != will.keys() or not was:
        return f"{_in_words(was, what)} to {_in_words(will, what)}"
    return ", ".join(
        f"{figure(limit)} to {rate(will[window], what, window)}"
        for window, limit in was.items()
        if limit != will[window]
    )


def _allowance(tier: Mapping[str, Any], key: str, what: str) -> str:
    return _in_words(rates_of(tier, key), what)


def _in_words(rates: Mapping[str, int], what: str) -> str:
    return " and ".join(rate(limit, what, window) for window, limit in rates.items()) or f"unlimited {what}"


def _users(before: Snapshot, after: Snapshot) -> list[str]:
    old, new = _entries(before, "users"), _entries(after, "users")
    renamed = renamed_tiers(before, after)
    lines: list[str] = []
    for verb, found in (("added", new.keys() - old.keys()), ("removed", old.keys() - new.keys())):
        source = new if verb == "added" else old
        if len(found) > _ONE_BY_ONE:
            by_tier = Counter(str(source[name].get("tier")) for name in found)
            spread = ", ".join(f"{number} in `{tier}`" for tier, number in sorted(by_tier.items()))
            lines.append(f"{count(len(found), 'user')} {verb}: {names(found)}; {spread}")
        else:
            lines += [f"user `{name}` {verb} (tier `{source[name].get('tier')}`)" for name in sorted(found)]
    alike: dict[str, list[str]] = {}
    for name in sorted(old.keys() & new.keys()):
        for each in _told(old[name], new[name]):
            if each.path != "tier" or renamed.get(str(each.before)) != each.after:
                alike.setdefault(f"{each.path} {_from_to(each)}", []).append(name)
    for what, who in alike.items():
        if len(who) > _ONE_BY_ONE:
            lines.append(f"{count(len(who), 'user')} ({names(who)}): {what}")
        else:
            lines += [f"user `{name}`: {what}" for name in who]
    return lines


def _models(before: Snapshot, after: Snapshot, restarting: Mapping[str, str]) -> list[str]:
    old, new = _entries(before, "models"), _entries(after, "models")
    addresses = mapping(before.outputs.get("endpoints")), mapping(after.outputs.get("endpoints"))
    same_domain = before.settings.get("domain") == after.settings.get("domain")
    lines: list[str] = []
    for name in sorted({*old, *new}):
        if name not in new:
            lines.append(f"model `{name}` removed: its address is gone{_gpu_words(gpus(old[name]), 0)}")
        elif name not in old:
            lines.append(f"model `{name}` added: {_model(new[name])}, at {addresses[1].get(name)}")
        else:
            parts = [f"{each.path} {_from_to(each)}" for each in _told(old[name], new[name])]
            if name in restarting:
                parts.append(f"restart ({restarting[name]})" if not parts else "restart")
            if addresses[0].get(name) != addresses[1].get(name) and same_domain:
                parts.append(f"at {addresses[1].get(name)} instead of {addresses[0].get(name)}")
            if parts:
                lines.append(f"model `{name}`: {', '.join(parts)}{_gpu_words(gpus(old[name]), gpus(new[name]))}")
    return lines


def _model(model: Mapping[str, Any]) -> str:
    parts = [str(model.get("runtime")), str(model.get("source") or "")]
    parts += [count(int(model.get("replicas") or 1), "replica")]
    parts += [count(gpus(model), "GPU")] if gpus(model) else []
    return ", ".join(part for part in parts if part)


def _gpu_words(was: int, will: int) -> str:
    if was == will:
        return ""
    return f", {count(abs(will - was), 'GPU')} {'more' if will > was else 'fewer'}"


def _keys(before: Snapshot, after: Snapshot) -> list[str]:
    """API keys, of which only the encrypted text is known."""
    old, new = (mapping(each.given.get("maas:apiKeys")) for each in (before, after))
    words = {
        "set": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "encrypted anew, so perhaps changed": [name for name in new if name in old and old[name] != new[name]],
    }
    return [f"API keys {verb}: {names(found)}" for verb, found in words.items() if found]


def _plainly(path: str, before: object, after: object) -> list[str]:
    return [f"{each.path}: {_from_to(each)}" for each in _told(before, after, path)]


def _told(before: object, after: object, path: str = "") -> list[Field]:
    """The settings that differ, without those that come or go and say nothing."""
    return [
        each
        for each in changed_fields(before, after, path)
        if not (_is_nothing(each.before) and _is_nothing(each.after))
    ]


def _is_nothing(value: object) -> bool:
    return value is ABSENT or value_of(value) == "nothing"


def _from_to(each: Field) -> str:
    if each.before is ABSENT:
        return f"set to {value_of(each.after)}"
    if each.after is ABSENT:
        return f"no longer set, was {value_of(each.before)}"
    return f"{value_of(each.before)} to {value_of(each.after)}"


def _nothing(before: Snapshot, after: Snapshot) -> list[str]:
    """Models come last, after all that they depend on."""
    del before, after
    return []


_SECTIONS: Mapping[str, Callable[[Snapshot, Snapshot], list[str]]] = {
    "domain": _domain,
    "platform": _platform,
    "tiers": _tiers,
    "users": _users,
    "models": _nothing,
}
