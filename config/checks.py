"""Rules that need more than one key of the stack. Each takes the sections that it names and yields what is wrong."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from config.gateway import ISSUED, Expose, Gateway, NodePorts, Route, Termination, TlsMode
from config.identity import ApiKeys, Identity, KeyBackend, Users
from config.limiter import Limiter
from config.model_checks import MODEL_CHECKS
from config.models import Models, host_label
from config.observability import Observability
from config.placement import models_find_a_node
from config.platform import AVAILABLE_INSTALLS, Install, Operator, Platform, Profile, Scc, platform_field
from config.problems import HIDDEN, Problem, closest, one_of, shown
from config.routing import QuotaScope, Routing
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
            fix = closest(name, users) or f"./maas keys revoke {name}, with --stack"
            yield Problem(f"maas:apiKeys.{name}", HIDDEN, "no such user", one_of(users), fix)


def each_key_is_for_one_user(api_keys: ApiKeys) -> Iterator[Problem]:
    """With one key for two users, usage could be counted for either."""
    owners: dict[str, str] = {}
    for name in sorted(api_keys):
        for each in api_keys[name]:
            secret = each.key.get_secret_value()
            if secret in owners:
                why = f"the same key as user '{owners[secret]}' has" if owners[secret] != name else "the same key twice"
                yield Problem(f"maas:apiKeys.{name}", HIDDEN, why, "a key of its own for each user", "a new random key")
            owners.setdefault(secret, name)


def each_user_may_call_models_that_exist(users: Users, models: Models) -> Iterator[Problem]:
    """A model that is misspelt would be one that the user cannot call."""
    for name, user in users.items():
        for model in user.models or ():
            if model not in models:
                key = f"maas:users.{name}.models"
                yield Problem(key, shown(model), "no such model", one_of(models), closest(model, models))


def each_model_is_for_tiers_that_exist(models: Models, tiers: dict[str, Tier]) -> Iterator[Problem]:
    """A tier that is misspelt would be one that cannot call the model. A tier that no model takes is none to refuse."""
    for name, model in models.items():
        for tier in sorted(model.tiers or ()):
            if tier not in tiers:
                key = f"maas:models.{name}.tiers"
                yield Problem(key, shown(tier), "no such tier", one_of(tiers), closest(tier, tiers))


def each_token_gets_a_tier_that_exists(identity: Identity, tiers: dict[str, Tier]) -> Iterator[Problem]:
    """A group or an account whose tier is misspelt would be refused at every call."""
    wanted = {
        **{
            f"oidc.{name}.groups.{group}": tier
            for name, issuer in identity.oidc.items()
            for group, tier in issuer.groups.items()
        },
        **{
            f"oidc.{name}.defaultTier": issuer.default_tier
            for name, issuer in identity.oidc.items()
            if issuer.default_tier is not None
        },
        **{f"kubernetes.accounts.{name}.tier": grant.tier for name, grant in identity.kubernetes.accounts.items()},
    }
    for key, tier in wanted.items():
        if tier not in tiers:
            yield Problem(f"maas:identity.{key}", shown(tier), "no such tier", one_of(tiers), closest(tier, tiers))


def each_account_may_call_models_that_exist(identity: Identity, models: Models) -> Iterator[Problem]:
    """A model that is misspelt would be one that the account cannot call."""
    for name, grant in identity.kubernetes.accounts.items():
        for model in grant.models:
            if model not in models:
                key = f"maas:identity.kubernetes.accounts.{name}.models"
                yield Problem(key, shown(model), "no such model", one_of(models), closest(model, models))


def issuers_differ(identity: Identity) -> Iterator[Problem]:
    """Two names for one issuer would give one person two user ids, and so two quotas."""
    first: dict[str, str] = {}
    for name, issuer in sorted(identity.oidc.items()):
        if issuer.issuer_url in first:
            why = f"issuer '{first[issuer.issuer_url]}' is the same"
            key = f"maas:identity.oidc.{name}.issuerUrl"
            yield Problem(key, shown(issuer.issuer_url), why, "each issuer once", "more audiences or groups there")
        first.setdefault(issuer.issuer_url, name)


def each_exception_is_for_a_model_that_exists(tiers: dict[str, Tier], models: Models) -> Iterator[Problem]:
    """A model that is misspelt would go on with the tier's own limits."""
    for name, tier in tiers.items():
        for model in tier.models:
            if model not in models:
                key = f"maas:tiers.{name}.models.{model}"
                yield Problem(key, "", "no such model", one_of(models), closest(model, models))


def each_budget_is_for_somebody(
    observability: Observability, users: Users, tiers: dict[str, Tier], models: Models
) -> Iterator[Problem]:
    """A budget for a name that is misspelt would never be spent."""
    known: dict[str, tuple[str, set[str]]] = {
        "user": ("user", set(users)),
        "tier": ("tier", set(tiers)),
        "model": ("model", set(models)),
        "team": ("team", {user.team for user in users.values()} - {""}),
        "cost_centre": ("costCentre", {user.cost_centre for user in users.values()} - {""}),
    }
    for name, budget in observability.budgets.items():
        for field, (key, names) in known.items():
            value = getattr(budget, field)
            if value is not None and value not in names:
                where = f"maas:observability.budgets.{name}.{key}"
                yield Problem(where, shown(value), f"no such {key}", one_of(names), closest(value, names))


def budgets_need_what_they_are_told_apart_by(observability: Observability) -> Iterator[Problem]:
    """Cost comes from the tier, and a budget of a user, team or cost centre from the user."""
    labels = observability.telemetry_labels
    for name, budget in observability.budgets.items():
        by_user = budget.user or budget.team or budget.cost_centre
        needed = ["tier", *(["user"] if by_user else []), *(["model"] if budget.model else [])]
        for label in needed:
            if not getattr(labels, label):
                where = f"maas:observability.telemetryLabels.{label}"
                yield Problem(where, "false", f"budget '{name}' needs that label", "true", "true")


def keys_come_from_one_place(api_keys: ApiKeys, identity: Identity) -> Iterator[Problem]:
    """Keys of the stack would be left without effect by another backend."""
    backend = identity.api_keys.backend
    if api_keys and backend is not KeyBackend.STACK:
        why = f"have no effect with identity.apiKeys.backend: {backend}"
        yield Problem("maas:apiKeys", HIDDEN, why, f"keys here with backend: {KeyBackend.STACK}", "no keys here")


def served_names_differ(models: Models) -> Iterator[Problem]:
    """Metrics and bills tell models apart by the served name."""
    names = {name: model.served_name or name for name, model in models.items()}
    yield from _doubles(names, "servedName", "serves under the same name")


_ROUTE_RULES = 16
"""An HTTPRoute's most, in the Gateway API's CRD; each model is one rule, with one of its 128 matches."""


def one_route_holds_every_model(models: Models, routing: Routing) -> Iterator[Problem]:
    """Quotas across models are counted on one HTTPRoute, which has to have a rule for each model."""
    if routing.quota is QuotaScope.ACROSS_MODELS and len(models) > _ROUTE_RULES:
        why = f"{len(models)} models need as many rules of one HTTPRoute, and the Gateway API allows {_ROUTE_RULES}"
        allowed = f"up to {_ROUTE_RULES} models, or quota: perModel"
        yield Problem("maas:routing.quota", shown(routing.quota), why, allowed, QuotaScope.PER_MODEL)


def hosts_differ(models: Models, platform: Platform, routing: Routing) -> Iterator[Problem]:
    """The gateway tells models apart by host, or by path on one host."""
    if routing.by_path:
        for name, model in models.items():
            if model.host is not None:
                why = f"models share the host '{routing.host}'"
                key = f"maas:models.{name}.host"
                yield Problem(key, shown(model.host), why, "a host with routing.by: host", "no host at all")
        return
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
    """Only OpenShift has Routes, and a service CA."""
    if platform.profile is Profile.OPENSHIFT:
        return
    if gateway.expose is Expose.ROUTE:
        yield Problem(
            "maas:gateway.expose",
            shown(gateway.expose),
            "Routes exist on OpenShift only",
            one_of(set(Expose) - {Expose.ROUTE}),
            Expose.LOAD_BALANCER,
        )
    elif gateway.tls.mode is TlsMode.SERVICE_CA:
        yield Problem(
            "maas:gateway.tls.mode",
            shown(gateway.tls.mode),
            "only OpenShift has a service CA",
            one_of(set(TlsMode) - {TlsMode.SERVICE_CA}),
            TlsMode.SELF_SIGNED,
        )


def route_and_listener_fit(gateway: Gateway, platform: Platform) -> Iterator[Problem]:
    """What the router sends, the gateway's listener has to understand."""
    mode, route = gateway.tls.mode, gateway.route
    if gateway.exposure_on(platform.profile) is not Expose.ROUTE:
        if route != Route():
            why = "there are no Routes with this exposure"
            yield Problem("maas:gateway.route", shown(route.termination), why, "expose: route", "no route at all")
        if mode is TlsMode.SERVICE_CA and platform.profile is Profile.OPENSHIFT:
            why = "nobody but the router trusts the service CA"
            allowed = "service-ca with expose: route and route.termination: reencrypt"
            yield Problem("maas:gateway.tls.mode", shown(mode), why, allowed, TlsMode.CERT_MANAGER)
        return
    if route.termination is Termination.EDGE and mode is not TlsMode.NONE:
        yield Problem(
            "maas:gateway.tls.mode",
            shown(mode),
            "the Route ends TLS at the router and needs a plain listener behind it",
            "none with route.termination: edge; others with reencrypt, passthrough, or expose: loadBalancer",
            TlsMode.NONE,
        )
    elif route.termination is Termination.PASSTHROUGH and mode in {TlsMode.NONE, TlsMode.SERVICE_CA}:
        why = "the gateway ends TLS, before callers' eyes: it needs a certificate that they can trust"
        allowed = one_of({*ISSUED, TlsMode.SECRET})
        yield Problem("maas:gateway.route.termination", shown(route.termination), why, allowed, Termination.EDGE)
    elif route.termination is Termination.REENCRYPT and mode is TlsMode.NONE:
        why = "the router opens a TLS connection to the gateway, whose listener has no certificate"
        allowed = "reencrypt with a tls.mode other than none"
        yield Problem(
            "maas:gateway.route.termination", shown(route.termination), why, allowed, "tls: {mode: service-ca}"
        )
    elif gateway.tls.redirect:
        why = "the router redirects by itself"
        yield Problem("maas:gateway.tls.redirect", "true", why, "redirect without Routes", "false")
    yield from _router_trusts_the_gateway(gateway)


def _router_trusts_the_gateway(gateway: Gateway) -> Iterator[Problem]:
    """The router checks the certificate of what it opens a TLS connection to."""
    mode, route = gateway.tls.mode, gateway.route
    reencrypt, key = route.termination is Termination.REENCRYPT, "maas:gateway.route.destinationCaCertificate"
    if reencrypt and mode not in {TlsMode.NONE, TlsMode.SERVICE_CA} and route.destination_ca_certificate is None:
        why = "the router trusts only certificates of the service CA unless it is given another"
        yield Problem(key, "", why, "the PEM of the CA, or tls.mode: service-ca", "tls: {mode: service-ca}")
    if (not reencrypt or mode is TlsMode.SERVICE_CA) and route.destination_ca_certificate is not None:
        why = "the router would not use it"
        allowed = "with route.termination: reencrypt, and a tls.mode other than service-ca"
        yield Problem(key, "(a certificate)", why, allowed, "no destinationCaCertificate at all")


def ports_fit_the_exposure(gateway: Gateway, platform: Platform) -> Iterator[Problem]:
    """What a Service of another type would refuse, or leave without effect, is refused here."""
    exposure = gateway.exposure_on(platform.profile)
    if gateway.node_ports != NodePorts() and exposure is not Expose.NODE_PORT:
        why = f"the gateway is exposed by {exposure}"
        key = "maas:gateway.nodePorts"
        yield Problem(key, shown(gateway.node_ports.model_dump()), why, "expose: nodePort", "no nodePorts at all")
    if gateway.service.external_traffic_policy and exposure not in {Expose.NODE_PORT, Expose.LOAD_BALANCER}:
        key, value = "maas:gateway.service.externalTrafficPolicy", shown(gateway.service.external_traffic_policy)
        yield Problem(key, value, f"the gateway is exposed by {exposure}", "expose: loadBalancer or nodePort")
    if gateway.service.load_balancer_source_ranges and exposure is not Expose.LOAD_BALANCER:
        key, value = "maas:gateway.service.loadBalancerSourceRanges", shown(gateway.service.load_balancer_source_ranges)
        yield Problem(key, value, f"the gateway is exposed by {exposure}", "expose: loadBalancer")


def security_constraints_need_openshift(platform: Platform) -> Iterator[Problem]:
    """Elsewhere there are no SecurityContextConstraints."""
    if platform.scc is not Scc.RESTRICTED and platform.profile is not Profile.OPENSHIFT:
        why = "SecurityContextConstraints exist on OpenShift only"
        yield Problem("maas:platform.scc", shown(platform.scc), why, Scc.RESTRICTED, Scc.RESTRICTED)


def housekeeping_fits_the_cluster(platform: Platform) -> Iterator[Problem]:
    """What is changed once on a cluster has to be there, and must not be ours."""
    monitoring, clean_up = platform.monitoring, platform.clean_up
    if monitoring.user_workload == "managed" and platform.profile is not Profile.OPENSHIFT:
        key, why = "maas:platform.monitoring.userWorkload", "user-workload monitoring exists on OpenShift only"
        yield Problem(key, shown(monitoring.user_workload), why, "existing", "existing")
    key = "maas:platform.cleanUp.sailNamespace"
    if clean_up.sail_namespace != type(clean_up)().sail_namespace and not clean_up.sail_operator:
        why = "nothing is cleaned up there"
        yield Problem(key, shown(clean_up.sail_namespace), why, "with sailOperator: true", "sailOperator: true")
    if clean_up.sail_operator and clean_up.sail_namespace in {platform.namespace, "istio-system"}:
        why = "an Istio there may be the one that runs the gateway"
        yield Problem(key, shown(clean_up.sail_namespace), why, "the namespace of the other mesh", "gateway-system")


def namespaces_differ(platform: Platform) -> Iterator[Problem]:
    """Ours is created and deleted with the stack: it cannot be an operator's."""
    theirs = {"kserve": platform.kserve.namespace, "kuadrant": platform.kuadrant.namespace}
    if platform.cert_manager.install is not Install.PREINSTALLED:
        theirs["cert-manager"] = "cert-manager"
    theirs |= {
        name: place
        for name, place, operator in (
            ("istio", "istio-system", platform.service_mesh),
            ("monitoring", "monitoring", platform.monitoring),
            ("grafana", "grafana", platform.grafana),
        )
        if operator.install is not Install.PREINSTALLED
    }
    for operator, namespace in theirs.items():
        if namespace == platform.namespace:
            yield Problem(
                "maas:platform.namespace",
                shown(platform.namespace),
                f"that is the namespace of {operator}'s operator, and this one is deleted with the stack",
                "a namespace of its own",
                "llm",
            )


_NO_OLM_PACKAGE = {
    "serviceMesh": (
        "a mesh operator beside OpenShift's own gateway controller takes the GatewayClass from it "
        "(GatewayAPIOSSMConflict), and elsewhere Istio has no package"
    ),
    "kserve": "KServe has no OLM package of its own; Open Data Hub's differs and brings a conflicting webhook",
    "monitoring": "the Prometheus operator's package makes no Prometheus",
}
_NO_CHART_ON_OPENSHIFT = {
    "serviceMesh": "OpenShift's own gateway controller runs an Istio already: a second would fight over its objects",
    "monitoring": "OpenShift's own monitoring has the Prometheus operator already: two would own the same objects",
}
_HELM_KEYS, _OLM_KEYS = ("chart", "values"), ("channel", "catalog", "package", "approval")
_BROKEN_PRODUCT = "1.4.0"


def keycloak_has_a_namespace_of_its_own(identity: Identity, platform: Platform) -> Iterator[Problem]:
    """Its pods are held to more than others', and its namespace goes with the stack."""
    taken = {platform.namespace, platform.kuadrant.namespace, platform.kserve.namespace}
    if identity.keycloak is not None and identity.keycloak.namespace in taken:
        where = identity.keycloak.namespace
        key, fix = "maas:identity.keycloak.namespace", f"{where}-keycloak"
        yield Problem(key, shown(where), "others are in it", "a namespace of its own", fix)


def operators_can_be_installed_so(platform: Platform) -> Iterator[Problem]:
    """Not every operator can be had in every way, nor on every kind of cluster."""
    for key, available in AVAILABLE_INSTALLS.items():
        install = _operator(platform, key).install
        theirs = key in _NO_CHART_ON_OPENSHIFT and platform.profile is Profile.OPENSHIFT
        possible = available - {Install.HELM} if theirs else available
        why = ""
        if install not in possible:
            why = (_NO_CHART_ON_OPENSHIFT if install is Install.HELM else _NO_OLM_PACKAGE)[key]
        if why:
            fix = Install.HELM if Install.HELM in possible else Install.PREINSTALLED
            yield Problem(f"maas:platform.{key}.install", shown(install), why, one_of(possible), fix)
    if platform.gateway_api.install == "manifest" and platform.profile is Profile.OPENSHIFT:
        why = "OpenShift 4.19 and newer have the Gateway API built in, and refuse changes to it"
        yield Problem("maas:platform.gatewayApi.install", shown("manifest"), why, "preinstalled", "preinstalled")


def operators_are_told_what_they_can_use(platform: Platform) -> Iterator[Problem]:
    """A key that the way of installing has no use for would be left without effect."""
    for key in AVAILABLE_INSTALLS:
        operator = _operator(platform, key)
        useless = {
            Install.HELM: _OLM_KEYS,
            Install.OLM: _HELM_KEYS,
            Install.PREINSTALLED: (*_HELM_KEYS, *_OLM_KEYS, "version"),
        }[operator.install]
        for name in useless:
            value, default = (
                getattr(operator, name),
                type(operator).model_fields[name].get_default(call_default_factory=True, validated_data={}),
            )
            if value != default:
                needs = Install.HELM if name in _HELM_KEYS else Install.OLM
                install = f"install: {needs}" if name != "version" else "install: helm or olm"
                why = f"has no effect with install: {operator.install}"
                yield Problem(f"maas:platform.{key}.{name}", shown(value), why, f"{name} with {install}", install)
    if platform.kuadrant.wasm_shim and not platform.kuadrant.manages_environment:
        key, why = "maas:platform.kuadrant.wasmShim", "the operator's environment is left as it is"
        yield Problem(key, shown(platform.kuadrant.wasm_shim), why, "with environment: managed", "environment: managed")


def packages_are_known(platform: Platform) -> Iterator[Problem]:
    """The Kuadrant of Red Hat Connectivity Link comes from OpenShift's catalogs, in a version that authenticates."""
    kuadrant = platform.kuadrant
    packages = {"kuadrant-operator"}
    if platform.profile is Profile.OPENSHIFT:
        packages.add("rhcl-operator")
    if kuadrant.install is not Install.OLM:
        return
    if kuadrant.package and kuadrant.package not in packages:
        fix = closest(kuadrant.package, packages) or min(packages)
        key = "maas:platform.kuadrant.package"
        yield Problem(key, shown(kuadrant.package), "no such package on this platform", one_of(packages), fix)
    elif kuadrant.package == "rhcl-operator" and (kuadrant.version or "").removeprefix("v") == _BROKEN_PRODUCT:
        yield Problem(
            "maas:platform.kuadrant.version",
            shown(kuadrant.version),
            "Red Hat Connectivity Link 1.4.0 lets requests to models through without a key",
            "1.3.x, or 1.4.1 and newer",
            "1.4.1",
        )


def a_changed_limiter_is_reachable(limiter: Limiter, platform: Platform) -> Iterator[Problem]:
    """What happens without the limiter is said in the operator's environment."""
    if limiter.fail_open and not platform.kuadrant.manages_environment:
        why = "Kuadrant's environment is left as it is, so this has no effect"
        allowed = "failOpen with platform.kuadrant.environment: managed"
        yield Problem("maas:limiter.failOpen", "true", why, allowed, "environment: managed")


def _operator(platform: Platform, key: str) -> Operator:
    operator: Operator = getattr(platform, platform_field(key))
    return operator


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
    each_user_may_call_models_that_exist,
    each_model_is_for_tiers_that_exist,
    each_token_gets_a_tier_that_exists,
    each_account_may_call_models_that_exist,
    issuers_differ,
    each_exception_is_for_a_model_that_exists,
    keycloak_has_a_namespace_of_its_own,
    keys_come_from_one_place,
    served_names_differ,
    one_route_holds_every_model,
    hosts_differ,
    routes_need_openshift,
    route_and_listener_fit,
    ports_fit_the_exposure,
    security_constraints_need_openshift,
    housekeeping_fits_the_cluster,
    namespaces_differ,
    operators_can_be_installed_so,
    operators_are_told_what_they_can_use,
    packages_are_known,
    a_changed_limiter_is_reachable,
    models_find_a_node,
    each_budget_is_for_somebody,
    budgets_need_what_they_are_told_apart_by,
    *MODEL_CHECKS,
)
"""Every rule; Settings.load runs those whose sections are valid by themselves."""
