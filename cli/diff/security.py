"""What a change makes weaker: who may do more than before, and what is guarded less."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from cli.diff.changes import Action, Change
from cli.diff.fields import ABSENT, Field, changed_fields
from cli.diff.meaning import renamed_tiers
from cli.diff.snapshot import Item, Snapshot
from cli.diff.words import count, figure, models_of, names, rate, rates_of, value_of
from cli.stacks.stackfile import mapping
from enforcement.limits import window_seconds
from policy.rules.levels import RULES, Level, level_of

_TLS = ("none", "self-signed", "service-ca", "cert-manager", "secret")
"""Modes, those that a stranger can trust last; the last two count as equal."""
_TLS_RANK = {mode: min(index, 3) for index, mode in enumerate(_TLS)}
_TERMINATION_RANK = {"edge": 0, "reencrypt": 1, "passthrough": 1}
_EXPOSE_RANK = {"clusterIP": 1}
_SCC_RANK = {"original": 0, "restricted": 1}
_POD_SECURITY_RANK = {"privileged": 0, "baseline": 1, "restricted": 2}
_GUARDS = {"AuthPolicy", "RateLimitPolicy", "TokenRateLimitPolicy", "NetworkPolicy", "PeerAuthentication"}
_GRANTS = {"RoleBinding", "ClusterRoleBinding", "SecurityContextConstraints"}
"""A role alone gives nobody anything."""
_ROLES = {"Role", "ClusterRole"}
_HOST = {"hostNetwork", "hostPID", "hostIPC", "hostPath"}


def loosened(before: Snapshot, after: Snapshot, found: Iterable[Change]) -> list[str]:
    """Sentences on what is weaker than before; empty when nothing is."""
    old, new = before.settings, after.settings
    changed = list(found)
    lines = [
        *_settings(old, new),
        *_network(old, new),
        *_rules(old, new),
        *_tiers(before, after),
        *_users(before, after),
    ]
    lines += [*_identity(old, new), *_models(old, new)]
    for each in changed:
        lines += _object(each)
        for one in each.fields or _whole(each):
            lines += [f"{each.item.title}: {words}" for words in _leaf(one)]
    return list(dict.fromkeys(lines))


def _settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for path, ranks, words in _RANKED:
        was, will = _at(old, path), _at(new, path)
        if was != will and ranks.get(str(will), 0) < ranks.get(str(was), 0):
            yield f"{path} {value_of(was)} to {value_of(will)}: {words}"
    for path, words in _SWITCHES_ON.items():
        if _at(new, path) is True and _at(old, path) is not True:
            yield f"{path}: {words}"
    for each in changed_fields(_without_entries(old), _without_entries(new)):
        if "networkpolic" in each.path.lower() and each.before is True and each.after is not True:
            yield f"{each.path} off: other pods of the cluster reach what it closed"
    if (
        _at(old, "platform.kuadrant.environment") == "managed"
        and _at(new, "platform.kuadrant.environment") == "existing"
    ):
        yield "platform.kuadrant.environment is no longer ours: Kuadrant's own failure mode lets requests pass"


def _network(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for path, words in _OPENED_BY_MORE.items():
        yield from (f"{path}: {words} {names(came)}, too" for came in [_came(_at(old, path), _at(new, path))] if came)
    ranges = "gateway.service.loadBalancerSourceRanges"
    if _wider(_list(_at(old, ranges)) or None, _list(_at(new, ranges)) or None):
        yield f"{ranges}: addresses that were kept out reach the gateway"
    if _at(old, "gateway.guard.lowerCaseHost") is True and _at(new, "gateway.guard.lowerCaseHost") is False:
        yield "gateway.guard.lowerCaseHost off: a host in mixed case may pass without any policy"


_OPENED_BY_MORE = {
    "platform.networkPolicies.downloads": "models may connect to",
    "platform.networkPolicies.scrapers": "models, Authorino and Limitador are reached from",
    "identity.kubernetes.audiences": "tokens are taken that were made for",
}
"""Lists of what is let through, where a longer one lets more through."""


def _came(was: object, will: object) -> list[str]:
    """What a list has that it had not; nothing where either side leaves it to a default."""
    if was is None or will is None:
        return []
    came = [each for each in _list(will) if each not in _list(was)]
    return [str(mapping(each).get("cidr") or mapping(each).get("namespace") or each) for each in came]


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _rules(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Rules of the policy pack that hold the stack less than before."""
    if "policy" not in old:
        return
    if _at(old, "policy.protected") is True and _at(new, "policy.protected") is not True:
        yield "policy.protected off: `./maas up` deploys what breaks a rule, and `./maas destroy` takes the stack away"
    for rule in RULES:
        was, will = (level_of(rule, mapping(each.get("policy"))) for each in (old, new))
        if _LEVEL_RANK[will] < _LEVEL_RANK[was]:
            yield f"policy: the rule `{rule}` is {will}, was {was}"


_LEVEL_RANK = {Level.DISABLED: 0, Level.ADVISORY: 1, Level.MANDATORY: 2}

_RANKED = (
    ("gateway.tls.mode", _TLS_RANK, "keys and prompts are less protected on their way"),
    ("gateway.route.termination", _TERMINATION_RANK, "the router talks to the gateway in plain text"),
    ("gateway.expose", _EXPOSE_RANK, "the gateway can be reached from outside of the cluster"),
    ("platform.scc", _SCC_RANK, "the models' pods may do more on their nodes"),
)
_SWITCHES_ON = {"limiter.failOpen": "requests pass without any limit while the limiter does not answer"}


def _without_entries(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in {"tiers", "users", "models", "nodes"}}


def _at(settings: Mapping[str, Any], path: str) -> object:
    value: object = settings
    for step in path.split("."):
        value = mapping(value).get(step)
    return value


def _tiers(before: Snapshot, after: Snapshot) -> Iterator[str]:
    old, new = (mapping(each.settings.get("tiers")) for each in (before, after))
    renamed = renamed_tiers(before, after)
    for name, tier in old.items():
        will = new.get(renamed.get(name, name))
        if will is None:
            continue
        yield from (f"tier `{name}` may use more{words}" for words in _allows_more(tier, will))


def _allows_more(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """How a tier allows more than another: `: tokens are unlimited`, ` of `qwen3`: ...`."""
    for key in ("requests", "tokens"):
        everywhere = list(_more(rates_of(old, key), rates_of(new, key), key))
        yield from (f": {words}" for words in everywhere)
        for model in models_of(old, new):
            here = _more(rates_of(old, key, model), rates_of(new, key, model), key)
            yield from (f" of `{model}`: {words}" for words in here if words not in everywhere)


def _more(was: Mapping[str, int], will: Mapping[str, int], key: str) -> Iterator[str]:
    if was and not will:
        yield f"{key} are unlimited"
        return
    for window, limit in was.items():
        seconds = window_seconds(window)
        if window not in will:
            if any(other <= limit and window_seconds(each) >= seconds for each, other in will.items()):
                continue  # as little in a longer time is less
            yield f"no longer at most {rate(limit, key, window)}"
        elif will[window] > limit:
            yield f"{rate(will[window], key, window)} instead of {figure(limit)}"


def _users(before: Snapshot, after: Snapshot) -> Iterator[str]:
    old, new = (mapping(each.settings.get("users")) for each in (before, after))
    tiers = [mapping(each.settings.get("tiers")) for each in (before, after)]
    renamed = renamed_tiers(before, after)
    moved: dict[tuple[str, str], list[str]] = {}
    for name, was in old.items():
        will = new.get(name)
        if will is None:
            continue
        if was.get("tier") != will.get("tier") and renamed.get(str(was.get("tier"))) != will.get("tier"):
            moved.setdefault((str(was.get("tier")), str(will.get("tier"))), []).append(name)
        if was.get("expires") and (not will.get("expires") or str(will["expires"]) > str(was["expires"])):
            yield f"user `{name}`: the key lasts longer ({was['expires']} to {will.get('expires') or 'for ever'})"
        if _wider(was.get("models"), will.get("models")):
            yield f"user `{name}` may call more models"
    for (was, will), who in sorted(moved.items()):
        verb = "is" if len(who) == 1 else "are"
        if _is_higher(was, will, tiers[1]):
            yield f"{count(len(who), 'user')} ({names(who)}) {verb} in a higher tier: `{was}` to `{will}`"
        else:
            more = _allows_more(mapping(tiers[0].get(was)), mapping(tiers[1].get(will)))
            yield from (
                f"{count(len(who), 'user')} ({names(who)}) may use more in `{will}` than in `{was}`{words}"
                for words in more
            )


def _is_higher(was: object, will: object, tiers: Mapping[str, Any]) -> bool:
    """Whether a tier has a higher level than another, both of which are there."""
    levels = [int(mapping(tiers[str(each)]).get("level", 0)) for each in (was, will) if str(each) in tiers]
    return len(levels) == 2 and levels[1] > levels[0]  # noqa: PLR2004 - both


def _identity(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Who gets in by a token, and as what."""
    tiers = mapping(new.get("tiers"))
    after = mapping(_at(new, "identity.oidc"))
    for name, was in mapping(_at(old, "identity.oidc")).items():
        will = mapping(after.get(name))
        path = f"identity.oidc.{name}"
        if came := _came(was.get("audiences"), will.get("audiences")):
            yield f"{path}: tokens are taken that were made for {names(came)}, too"
        if will and _wider(was.get("clients") or None, will.get("clients") or None):
            yield f"{path}: tokens of more clients are taken"
        if will.get("allowHttp") is True and was.get("allowHttp") is not True:
            yield f"{path}.allowHttp: the keys that prove a token come in plain text"
        if will.get("defaultTier") and not was.get("defaultTier"):
            yield f"{path}: whoever is in none of the groups is let in, in tier `{will['defaultTier']}`"
        places = {"whoever is in none of the groups": (was.get("defaultTier"), will.get("defaultTier"))}
        groups = mapping(will.get("groups"))
        places |= {f"group `{group}`": (tier, groups.get(group)) for group, tier in mapping(was.get("groups")).items()}
        yield from (
            f"{path}: {who} is in a higher tier: `{a}` to `{b}`"
            for who, (a, b) in places.items()
            if _is_higher(a, b, tiers)
        )
    accounts = mapping(_at(new, "identity.kubernetes.accounts"))
    for name, was in mapping(_at(old, "identity.kubernetes.accounts")).items():
        will = mapping(accounts.get(name))
        if _is_higher(was.get("tier"), will.get("tier"), tiers):
            yield f"service account `{name}` is in a higher tier: `{was.get('tier')}` to `{will.get('tier')}`"
        if will and _wider(was.get("models"), will.get("models")):
            yield f"service account `{name}` may call more models"


def _models(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    after = mapping(new.get("models"))
    for name, was in mapping(old.get("models")).items():
        if name in after and _wider(was.get("tiers"), after[name].get("tiers")):
            yield f"model `{name}` is open to more tiers"


def _wider(was: list[str] | None, will: list[str] | None) -> bool:
    """Whether a list of what is allowed allows more; None allows everything."""
    return was is not None and (will is None or not set(will) <= set(was))


def _object(change: Change) -> Iterator[str]:
    item = change.item
    if item.kind in _GUARDS and change.action is Action.DELETE:
        yield f"{item.title} is deleted: what it refused is let through"
    if item.kind in _GRANTS and change.action is Action.CREATE:
        yield f"{item.title} is created: somebody may do more"
    if item.kind in _ROLES and change.action is Action.UPDATE and any("rules" in each.steps for each in change.fields):
        yield f"{item.title}: what it permits changes"
    if item.kind == "AuthPolicy" and change.action in {Action.UPDATE, Action.REPLACE}:
        yield from _authentication(change)


def _authentication(change: Change) -> Iterator[str]:
    for step, went, came in (("authentication", False, True), ("authorization", True, False)):
        for name, which in _differing_rules(change.before, change.after, step):
            if which == "came" and came:
                yield f"{change.item.title}: another way in, `{name}`"
            if which == "went" and went:
                yield f"{change.item.title}: the rule `{name}` is gone"


def _differing_rules(before: Item | None, after: Item | None, step: str) -> Iterator[tuple[str, str]]:
    old, new = (
        mapping(mapping(mapping(each.inputs.get("spec") if each else None).get("rules")).get(step))
        for each in (before, after)
    )
    yield from ((name, "came") for name in sorted(new.keys() - old.keys()))
    yield from ((name, "went") for name in sorted(old.keys() - new.keys()))


def _whole(change: Change) -> list[Field]:
    """All fields of what is created; a deletion loosens nothing but the guards."""
    return changed_fields(ABSENT, change.item.inputs) if change.action is Action.CREATE else []


def _leaf(each: Field) -> Iterator[str]:
    name = each.steps[-1]
    for what, (applies, words) in _LEAVES.items():
        if name == what and applies(each):
            yield f"{each.path}: {words}"
    if name in _HOST and each.after not in {ABSENT, False}:
        yield f"{each.path}: the pod shares this with its node"
    if "pod-security.kubernetes.io/enforce]" in each.path and _lower(each):
        yield f"pods may do more: {value_of(_shown(each.before))} to {value_of(_shown(each.after))}"
    if each.steps[-2:] == ("capabilities", "add") and each.after is not ABSENT:
        yield f"{each.path}: {value_of(each.after)} added"
    if "FAILURE_MODE" in each.path and each.after == "allow":
        yield f"{each.path}: requests pass while the service does not answer"


def _lower(each: Field) -> bool:
    rank = _POD_SECURITY_RANK
    return each.before is not ABSENT and rank.get(str(each.after), 0) < rank.get(str(each.before), 0)


def _shown(value: object) -> object:
    return None if value is ABSENT else value


def _turned_on(each: Field) -> bool:
    return each.after is True


def _turned_off(each: Field) -> bool:
    return each.before is True and each.after is not True


_LEAVES: Mapping[str, tuple[Callable[[Field], bool], str]] = {
    "privileged": (_turned_on, "the container may do anything on its node"),
    "allowPrivilegeEscalation": (_turned_on, "a process may gain rights"),
    "runAsNonRoot": (_turned_off, "the container may run as root"),
    "readOnlyRootFilesystem": (_turned_off, "the container may change its own files"),
    "automountServiceAccountToken": (_turned_on, "the pod gets a token for the API server"),
}
