"""What is measured, how often, who is woken by it, and what it may cost."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.model import Model
from config.platform import Install, Profile
from config.problems import RefusalError
from config.values import DnsLabel, Duration

FORK_IMAGE = "nerdalert/wasm-shim"
"""The filter of the original demonstration, which counted by itself, for lack of labels at Limitador."""


class TelemetryLabels(Model):
    """Labels on Limitador's counters. Each one off makes fewer time series."""

    user: bool = True
    """By user."""
    tier: bool = True
    """By tier; without it rules know no cost."""
    model: bool = True
    """By model; without it tokens are told from requests by the number of calls."""
    team: bool = False
    """By team."""
    cost_centre: bool = False
    """By cost centre."""


_Share = Annotated[float, Field(gt=0, le=1)]


class Thresholds(Model):
    """From where on somebody is told."""

    limited_ratio: _Share = 0.5
    """Share of a tier's requests that are refused because of limits."""
    authentication_failure_ratio: _Share = 0.2
    """Share of requests whose key is not valid."""
    authentication_latency_seconds: Annotated[float, Field(gt=0)] = 1.0
    """95th percentile. A request waits as long for `platform.kuadrant.authTimeout` at most."""
    certificate_days: Annotated[int, Field(strict=True, ge=1)] = 14
    """Days that the gateway's certificate is still valid."""
    series: Annotated[int, Field(strict=True, ge=1)] = 100_000
    """Time series of Limitador: they grow with users times models."""


class Budget(Model):
    """What may be spent in a calendar month (UTC), by everybody or by those who are named."""

    amount: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
    """In the currency of the prices."""
    user: DnsLabel | None = None
    """A user of the stack."""
    team: str | None = None
    """The users of the stack that have this team."""
    tier: DnsLabel | None = None
    """A tier of the stack."""
    model: DnsLabel | None = None
    """A model of the stack, by name."""
    cost_centre: str | None = None
    """The users of the stack that have this cost centre."""

    @model_validator(mode="after")
    def _one_scope(self) -> Self:
        named = [name for name in ("user", "team", "tier", "model", "cost_centre") if getattr(self, name) is not None]
        if len(named) > 1:
            raise RefusalError(
                f"is for {' and for '.join(named)}", allowed="one of them, or none for everybody", fix="two budgets"
            )
        return self


class Grafana(Model):
    """The Grafana that shows the dashboards, with the Grafana operator."""

    instance: Literal["managed", "existing"] | None = None
    """`managed`: a Grafana of the stack, whose administrator's password the operator makes; default where the operator
    is installed by the stack. `existing`: somebody else's is found by its labels."""
    selector: dict[str, str] = Field(default_factory=lambda: {"dashboards": "maas"}, min_length=1)
    """Labels of the Grafana object."""
    folder: str = "Models as a Service"
    """Where the dashboards are."""

    def managed_with(self, install: Install) -> bool:
        """Whether the Grafana is the stack's own."""
        return self.instance == "managed" or (self.instance is None and install is not Install.PREINSTALLED)


class Prometheus(Model):
    """Where usage is asked for."""

    url: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")
    """Address inside the cluster of an API like Prometheus' own; default: the Prometheus operator's, on OpenShift
    Thanos, which knows what both of its Prometheuses know."""
    token: Literal["rotated", "none"] | None = None
    """How Grafana proves who it is. `rotated`: with a short-lived token of a ServiceAccount, renewed by a CronJob;
    default on OpenShift where the Grafana is the stack's own. With somebody else's Grafana there, and no token, the
    data source is theirs, too."""

    def url_on(self, profile: Profile) -> str:
        """The address on a platform."""
        return self.url or _PROMETHEUS[profile]

    def token_on(self, profile: Profile, *, own_grafana: bool) -> bool:
        """Whether Grafana needs a token."""
        return self.token == _ROTATED or (self.token is None and profile is Profile.OPENSHIFT and own_grafana)


_ROTATED = "rotated"
_PROMETHEUS = {
    Profile.KUBERNETES: "http://prometheus-operated.monitoring.svc:9090",
    Profile.OPENSHIFT: "https://thanos-querier.openshift-monitoring.svc:9091",
}


class Observability(Model):
    """Collection of metrics by a Prometheus operator, rules and alerts, dashboards."""

    monitors: bool = True
    """Create ServiceMonitors and PodMonitors; needs the Prometheus operator's CRDs on the cluster."""
    kuadrant_monitors: Literal["maas", "kuadrant"] = "maas"
    """Whose monitors watch Limitador, Authorino and the gateway: ours, or Kuadrant's own, which its object then turns
    on (`observability.enable`). Both at once would count every token twice."""
    interval: Duration = "30s"
    """How often each target is scraped."""
    monitor_labels: dict[str, str] = Field(default_factory=dict)
    """Labels that the cluster's Prometheus selects monitors and rules by, such as `release: kube-prometheus-stack`."""
    telemetry_labels: TelemetryLabels = TelemetryLabels()
    """What usage can be told apart by."""
    counters: Literal["limitador", "gateway"] | None = None
    """Who counts by user: Limitador, or the gateway's filter as in the original demonstration. Default: the gateway
    where `platform.kuadrant.wasmShim` is that filter's image."""
    rules: bool = True
    """Create PrometheusRules: usage, cost, limits, budgets, alerts."""
    runbooks: str = "docs/observability/runbooks.md"
    """Where alerts send people: address of the page with a section for each."""
    thresholds: Thresholds = Thresholds()
    """From where on alerts fire."""
    budgets: dict[DnsLabel, Budget] = Field(default_factory=dict)
    """What may be spent in a calendar month (UTC), by a name of your choice; alerts at 80, 90 and 100 percent."""
    dashboards: Literal["operator", "sidecar", "none"] = "operator"
    """How Grafana gets the dashboards: as objects of the Grafana operator, or as ConfigMaps that the sidecar of a
    Grafana looks for, such as kube-prometheus-stack's."""
    grafana: Grafana = Grafana()
    """The Grafana that shows the dashboards."""
    prometheus: Prometheus = Prometheus()
    """Where usage is asked for."""

    def counted_by_gateway(self, wasm_shim: str | None) -> bool:
        """Whether the counters by user are the gateway's own, with the filter image of the stack."""
        return self.counters == "gateway" or (self.counters is None and FORK_IMAGE in (wasm_shim or ""))


class Timeouts(Model):
    """How long the deployment waits for each kind of thing to become ready."""

    gateway: Duration = "5m"
    """Gateway: Programmed, with an address."""
    certificate: Duration = "10m"
    """ACME by DNS-01 waits until the record is seen."""
    operator: Duration = "10m"
    """An operator's images are pulled, its webhooks get certificates; an InstallPlan may wait for approval."""
    kserve: Duration = "5m"
    """KServe's controller, after its settings changed."""
    kuadrant: Duration = "5m"
    """The Kuadrant object: Ready."""
    model: Duration = "30m"
    """A GPU model pulls an image of gigabytes, then its weights."""
    route: Duration = "2m"
    """HTTPRoutes: Accepted and ResolvedRefs; OpenShift Routes: Admitted."""
    external_secret: Duration = "2m"  # noqa: S105 - a time limit
    """The External Secrets operator asks the store."""
    policy: Duration = "3m"
    """Policies: Accepted and Enforced."""
    delete: Duration = "10m"
    """Until what is deleted is gone."""
