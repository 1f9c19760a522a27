"""The operators as data: for each, its charts, its OLM package, and what must be there before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from components.operators import values
from components.operators.helm import Release, located
from components.operators.olm import Catalog, Package
from config.merging import merged
from config.platform import Operator, Platform, Profile, platform_field
from config.settings import Settings
from config.versions import (
    CERT_MANAGER_CHANNEL,
    CERT_MANAGER_CHARTS,
    CERT_MANAGER_VERSION,
    GRAFANA_OPERATOR_CHANNEL,
    GRAFANA_OPERATOR_CHARTS,
    GRAFANA_OPERATOR_VERSION,
    ISTIO_CHARTS,
    ISTIO_VERSION,
    KSERVE_CHARTS,
    KSERVE_VERSION,
    KUADRANT_CATALOG,
    KUADRANT_CHANNEL,
    KUADRANT_CHARTS,
    KUADRANT_VERSION,
    OPENSHIFT_CERT_MANAGER_CHANNEL,
    PROMETHEUS_STACK_CHARTS,
    PROMETHEUS_STACK_VERSION,
    RHCL_CHANNEL,
)

Values = Callable[[Settings], dict[str, Any]]


@dataclass(frozen=True)
class Chart:
    """One chart of an operator. Releases are named like their charts unless `release` says otherwise."""

    name: str
    values: Values
    postrender: str | None = None
    """Program that what the chart renders is sent through, from the project's folder."""


@dataclass(frozen=True)
class Charts:
    """An operator's charts, of one version, installed one after the other."""

    repository: str
    version: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Offer:
    """A package that a catalog offers."""

    package: str
    channel: str
    csv: str
    """What the names of its ClusterServiceVersions start with."""
    source: str
    """Name of a CatalogSource that such clusters have, or an image without its tag, to make one of."""
    version: str | None = None
    """Tag of the catalog's image; None for a catalog of the cluster's."""


@dataclass(frozen=True)
class Declaration:
    """An operator, however it gets onto the cluster."""

    name: str
    key: str
    """Under `maas:platform`."""
    namespace: Callable[[Platform], str]
    groups: tuple[str, ...]
    """The API groups of its CRDs; groups below one of these are meant too."""
    after: tuple[str, ...] = ()
    """Names of the operators that must be there before it."""
    charts: Charts | None = None
    offers: Mapping[Profile, tuple[Offer, ...]] | None = None
    """By kind of cluster; the first is taken unless `package` names another."""

    def of(self, platform: Platform) -> Operator:
        """What the stack says about it."""
        operator: Operator = getattr(platform, platform_field(self.key))
        return operator


_POSTRENDER = "./components/operators/postrender.py"
"""For charts with CRDs among their templates: they stay when the release goes. Others keep theirs by themselves."""
_KUADRANT_UPSTREAM = Offer(
    "kuadrant-operator", KUADRANT_CHANNEL, "kuadrant-operator", KUADRANT_CATALOG, KUADRANT_VERSION
)
_KUADRANT_PRODUCT = Offer("rhcl-operator", RHCL_CHANNEL, "rhcl-operator", "redhat-operators")
_GRAFANA = ("grafana-operator", GRAFANA_OPERATOR_CHANNEL, "grafana-operator")

DECLARATIONS: tuple[Declaration, ...] = (
    Declaration(
        name="cert-manager",
        key="certManager",
        groups=("cert-manager.io",),
        namespace=lambda platform: (
            "cert-manager-operator"
            if platform.cert_manager.install == "olm" and platform.profile is Profile.OPENSHIFT
            else "cert-manager"
        ),
        charts=Charts(CERT_MANAGER_CHARTS, CERT_MANAGER_VERSION, (Chart("cert-manager", values.cert_manager),)),
        offers={
            Profile.OPENSHIFT: (
                Offer(
                    "openshift-cert-manager-operator",
                    OPENSHIFT_CERT_MANAGER_CHANNEL,
                    "cert-manager-operator",
                    "redhat-operators",
                ),
            ),
            Profile.KUBERNETES: (Offer("cert-manager", CERT_MANAGER_CHANNEL, "cert-manager", "operatorhubio-catalog"),),
        },
    ),
    Declaration(
        name="monitoring",
        key="monitoring",
        groups=("monitoring.coreos.com",),
        namespace=lambda _: "monitoring",
        charts=Charts(
            PROMETHEUS_STACK_CHARTS,
            PROMETHEUS_STACK_VERSION,
            (Chart("kube-prometheus-stack", values.prometheus_stack),),
        ),
    ),
    # istiod watches the Gateway API only where its CRDs are.
    Declaration(
        name="service-mesh",
        key="serviceMesh",
        groups=("istio.io",),
        namespace=lambda _: "istio-system",
        after=("gateway-api",),
        charts=Charts(ISTIO_CHARTS, ISTIO_VERSION, (Chart("base", values.istio_base), Chart("istiod", values.istiod))),
    ),
    # Its webhooks get their certificates from cert-manager; its controller watches HTTPRoutes from the start.
    Declaration(
        name="kserve",
        key="kserve",
        groups=("serving.kserve.io",),
        namespace=lambda platform: platform.kserve.namespace,
        after=("cert-manager", "gateway-api"),
        charts=Charts(
            KSERVE_CHARTS,
            KSERVE_VERSION,
            (
                Chart("kserve-crd", values.kserve_crd, _POSTRENDER),
                Chart("kserve", values.kserve, _POSTRENDER),
            ),
        ),
    ),
    # Kuadrant looks once, when it starts, for each of these.
    Declaration(
        name="kuadrant",
        key="kuadrant",
        groups=("kuadrant.io",),
        namespace=lambda platform: platform.kuadrant.namespace,
        after=("gateway-api", "service-mesh", "cert-manager", "monitoring"),
        charts=Charts(KUADRANT_CHARTS, KUADRANT_VERSION, (Chart("kuadrant-operator", values.kuadrant, _POSTRENDER),)),
        offers={
            Profile.OPENSHIFT: (_KUADRANT_UPSTREAM, _KUADRANT_PRODUCT),
            Profile.KUBERNETES: (_KUADRANT_UPSTREAM,),
        },
    ),
    Declaration(
        name="grafana",
        key="grafana",
        groups=("grafana.integreatly.org",),
        namespace=lambda _: "grafana",
        charts=Charts(GRAFANA_OPERATOR_CHARTS, GRAFANA_OPERATOR_VERSION, (Chart("grafana-operator", values.grafana),)),
        offers={
            Profile.OPENSHIFT: (Offer(*_GRAFANA, "community-operators"),),
            Profile.KUBERNETES: (Offer(*_GRAFANA, "operatorhubio-catalog"),),
        },
    ),
)
"""In an order in which each stands behind what it needs."""

_CATALOGS_IN = {Profile.OPENSHIFT: "openshift-marketplace", Profile.KUBERNETES: "olm"}
"""Where a kind of cluster keeps the catalogs that it comes with."""


def releases(declaration: Declaration, settings: Settings) -> list[Release]:
    """The operator's Helm releases, in order."""
    charts, operator = declaration.charts, declaration.of(settings.platform)
    if charts is None:
        raise ValueError(f"{declaration.name} has no chart")
    repository = operator.chart or settings.mirror.chart_repository(charts.repository)
    several = len(charts.charts) > 1
    result: list[Release] = []
    for chart in charts.charts:
        name, where = located(chart.name, repository)
        if operator.chart and not several:
            name, where = operator.chart, None
        result.append(
            Release(
                name=f"istio-{chart.name}" if chart.name == "base" else chart.name,
                chart=name,
                repository=where,
                version=operator.version or charts.version,
                namespace=declaration.namespace(settings.platform),
                # More values are for the operator itself, which is the last of its charts.
                values=merged(chart.values(settings), operator.values if chart is charts.charts[-1] else {}),
                postrender=chart.postrender,
            )
        )
    return result


def package(
    declaration: Declaration,
    settings: Settings,
    environment: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Package:
    """The operator's OLM package."""
    platform = settings.platform
    operator = declaration.of(platform)
    offer = offered(declaration, platform)
    namespace = declaration.namespace(platform)
    return Package(
        name=offer.package,
        channel=operator.channel or offer.channel,
        catalog=_catalog(offer, operator, settings, namespace),
        namespace=namespace,
        approval=operator.approval,
        starting_csv=f"{offer.csv}.v{operator.version.removeprefix('v')}" if operator.version else None,
        is_exact=is_image(offer.source) and operator.catalog is None,
        environment=environment or {},
        annotations=annotations or {},
    )


def offered(declaration: Declaration, platform: Platform) -> Offer:
    """The package that the stack takes; the first of the declaration unless it names another."""
    offers = (declaration.offers or {}).get(platform.profile, ())
    wanted = declaration.of(platform).package
    for offer in offers:
        if wanted in {None, offer.package}:
            return offer
    raise ValueError(f"{declaration.name} has no package {wanted or ''} for {platform.profile}")


def _catalog(offer: Offer, operator: Operator, settings: Settings, namespace: str) -> Catalog:
    source = operator.catalog or offer.source
    if not is_image(source):
        return Catalog(source, _CATALOGS_IN[settings.platform.profile])
    tag = f"v{(operator.version or offer.version or '').removeprefix('v')}"
    image = source if operator.catalog else f"{source}:{tag}"
    return Catalog(f"{offer.package}-catalog", namespace, settings.mirror.image(image))


def is_image(catalog: str) -> bool:
    """Whether a catalog is named by its image; else it is the name of a CatalogSource."""
    return "/" in catalog
