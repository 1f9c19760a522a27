"""Rules that need more than one key of the stack. Each takes the sections that it names and yields what is wrong."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from config.gateway import Expose, Gateway
from config.identity import ApiKeys, Users
from config.models import Models, host_label
from config.platform import Platform, Profile
from config.problems import HIDDEN, Problem, closest, one_of, shown
from config.tiers import Tier

_LABEL_LONGEST = 63


def each_user_has_a_tier(users: Users, tiers: dict[str, Tier]) -> Iterator[Problem]:
    """A user's tier is one of the stack's."""
    for name, user in users.items():
        if user.tier not in tiers:
            key = f"maas:users.{name}.tier"
            yield Problem(key, shown(user.tier), "no such tier", one_of(tiers), closest(user.tier, tiers))


def each_tier_has_its_own_level(tiers: dict[str, Tier]) -> Iterator[Problem]:
    """Levels decide between tiers, so two tiers cannot share one."""
    by_level: dict[int, list[str]] = defaultdict(list)
    for name, tier in tiers.items():
        by_level[tier.level].append(name)
    for level, names in by_level.items():
        for name in sorted(names)[1:]:
            free = next(each for each in range(len(tiers) + 1) if each not in by_level)
            yield Problem(
                f"maas:tiers.{name}.level",
                str(level),
                f"tier '{min(names)}' has that level already",
                "a level of its own for each tier",
                str(free),
            )


def each_key_has_a_user(users: Users, api_keys: ApiKeys) -> Iterator[Problem]:
    """A key without a user would authenticate nobody."""
    for name in api_keys:
        if name not in users:
            yield Problem(f"maas:apiKeys.{name}", HIDDEN, "no such user", one_of(users), closest(name, users))


def each_key_is_for_one_user(api_keys: ApiKeys) -> Iterator[Problem]:
    """With one key for two users, usage could be counted for either."""
    owners: dict[str, str] = {}
    for name in sorted(api_keys):
        secret = api_keys[name].get_secret_value()
        if secret in owners:
            why = f"the same key as user '{owners[secret]}' has"
            yield Problem(f"maas:apiKeys.{name}", HIDDEN, why, "a key of its own for each user", "a new random key")
        owners.setdefault(secret, name)


def served_names_differ(models: Models) -> Iterator[Problem]:
    """Metrics and bills tell models apart by the served name."""
    names = {name: model.served_name or name for name, model in models.items()}
    yield from _doubles(names, "servedName", "serves under the same name")


def hosts_differ(models: Models, platform: Platform) -> Iterator[Problem]:
    """The gateway tells models apart by host."""
    labels = {name: host_label(name, model, platform) for name, model in models.items()}
    yield from _doubles(labels, "host", "has the same host")
    for name, label in labels.items():
        if len(label) > _LABEL_LONGEST:
            yield Problem(
                f"maas:models.{name}.host",
                shown(label),
                f"a DNS label has at most {_LABEL_LONGEST} characters, this host has {len(label)}",
                "a shorter name for the model, or a host of its own",
                name[:_LABEL_LONGEST].rstrip("-"),
            )


def routes_need_openshift(gateway: Gateway, platform: Platform) -> Iterator[Problem]:
    """Only OpenShift has Routes."""
    if gateway.expose is Expose.ROUTE and platform.profile is not Profile.OPENSHIFT:
        yield Problem(
            "maas:gateway.expose",
            shown(gateway.expose),
            "Routes exist on OpenShift only",
            one_of({Expose.LOAD_BALANCER, Expose.CLUSTER_IP}),
            Expose.LOAD_BALANCER,
        )


def routes_end_tls_themselves(gateway: Gateway, platform: Platform) -> Iterator[Problem]:
    """An edge Route speaks plain HTTP to the gateway, which an HTTPS listener would not understand."""
    if gateway.exposure_on(platform.profile) is Expose.ROUTE and gateway.tls.mode != "none":
        yield Problem(
            "maas:gateway.tls.mode",
            shown(gateway.tls.mode),
            "the Route ends TLS at the router and needs a plain listener behind it",
            "none with expose: route; secret with expose: loadBalancer or clusterIP",
            "none",
        )


def namespaces_differ(platform: Platform) -> Iterator[Problem]:
    """Ours is created and deleted with the stack: it cannot be an operator's."""
    theirs = {"kserve": platform.kserve.namespace, "kuadrant": platform.kuadrant.namespace}
    for operator, namespace in theirs.items():
        if namespace == platform.namespace:
            yield Problem(
                "maas:platform.namespace",
                shown(platform.namespace),
                f"that is the namespace of {operator}'s operator, and this one is deleted with the stack",
                "a namespace of its own",
                "llm",
            )


def _doubles(values: Mapping[str, str], field: str, why: str) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name in sorted(values):
        value = values[name].lower()
        if value in first:
            yield Problem(
                f"maas:models.{name}.{field}",
                shown(values[name]),
                f"model '{first[value]}' {why}",
                "one of its own",
                name,
            )
        first.setdefault(value, name)


CHECKS: tuple[Callable[..., Iterator[Problem]], ...] = (
    each_user_has_a_tier,
    each_tier_has_its_own_level,
    each_key_has_a_user,
    each_key_is_for_one_user,
    served_names_differ,
    hosts_differ,
    routes_need_openshift,
    routes_end_tls_themselves,
    namespaces_differ,
)
"""Every rule; Settings.load runs those whose sections are valid by themselves."""
