"""The observability layer: what Prometheus scrapes, the rules over it, who is woken, what Grafana shows."""

from typing import Any

import pulumi

from components.layer import Layer, Site
from components.objects import (
    ClusterRoleBinding,
    ConfigMap,
    CronJob,
    CustomResource,
    Role,
    RoleBinding,
    Secret,
    ServiceAccount,
    account_subject,
    role_ref,
)
from components.observability import grafana
from components.observability.monitors import (
    authorino_monitor_spec,
    cert_manager_monitor_spec,
    gateway_monitor_spec,
    limitador_monitor_spec,
    llm_models_monitor_spec,
    models_monitor_spec,
)
from components.observability.rules import (
    BUDGETS,
    CERTIFICATES,
    COST,
    GATEWAY,
    LIMITER,
    LIMITS,
    MODELS,
    USAGE,
    USAGE_BY_GATEWAY,
    USAGE_WITHOUT_MODEL,
    RuleFile,
)
from components.observability.values import annotated, values_files
from config.gateway import ISSUED
from config.settings import Settings

_MONITORING = "monitoring.coreos.com/v1"
_CERT_MANAGER = "cert-manager"
"""Where cert-manager itself runs, whoever installed it: Red Hat's operator has another namespace only for itself."""


def counted_by_gateway(settings: Settings) -> bool:
    """Whether usage is counted by the filter of the original demonstration."""
    return settings.observability.counted_by_gateway(settings.platform.kuadrant.wasm_shim)


def rule_files(settings: Settings) -> list[RuleFile]:
    """The rules of a stack: those that are the same everywhere, and what they need to know of it."""
    usage = USAGE if settings.observability.telemetry_labels.model else USAGE_WITHOUT_MODEL
    if counted_by_gateway(settings):
        usage = USAGE_BY_GATEWAY
    files = [usage, COST, LIMITS, LIMITER, GATEWAY, MODELS]
    if settings.observability.budgets:
        files.append(BUDGETS)
    if settings.gateway.tls.mode in ISSUED:
        files.append(CERTIFICATES)
    return [*files, *values_files(settings)]


def rule_spec(file: RuleFile, settings: Settings) -> dict[str, Any]:
    """Body of a PrometheusRule."""
    return {
        "groups": [
            {**group, "rules": annotated(group["rules"], settings.observability.runbooks)} for group in file.groups
        ]
    }


def place(file: RuleFile, settings: Settings) -> str:
    """The namespace of a PrometheusRule: that of what its rules read.

    OpenShift's user-workload monitoring shows a rule only the series of its own namespace.
    """
    platform = settings.platform
    limiter, gateway = platform.kuadrant.namespace, platform.namespace
    return {
        "usage": gateway if counted_by_gateway(settings) else limiter,
        "limiter": limiter,
        "gateway": gateway,
        "certificates": _CERT_MANAGER,
    }[file.beside]


class Observability(Layer):
    """Monitors and rules. Each stands in the namespace of its target: user-workload monitoring looks nowhere else."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("observability", site, opts)
        if self.settings.observability.monitors:
            self._monitors()
        if self.settings.observability.rules:
            for file in rule_files(self.settings):
                name = f"maas-{file.name}"
                self._object("PrometheusRule", name, place(file, self.settings), rule_spec(file, self.settings))
        match self.settings.observability.dashboards:
            case "operator":
                self._grafana()
            case "sidecar":
                self._config_maps()
            case "none":
                pass
        self.register_outputs({})

    def _monitors(self) -> None:
        settings = self.settings
        interval, kuadrant = settings.observability.interval, settings.platform.kuadrant.namespace
        counts = counted_by_gateway(settings)
        if settings.observability.kuadrant_monitors == "maas":
            self._object("ServiceMonitor", "maas-limitador", kuadrant, limitador_monitor_spec(interval))
            self._object("ServiceMonitor", "maas-authorino", kuadrant, authorino_monitor_spec(interval))
            gateway = gateway_monitor_spec(settings.gateway.name, interval, counts=counts)
            self._object("PodMonitor", "maas-gateway", self.namespace, gateway)
        self._object("PodMonitor", "maas-models", self.namespace, models_monitor_spec(interval))
        if self.settings.has_llm_inference_services:
            self._object("PodMonitor", "maas-llm-models", self.namespace, llm_models_monitor_spec(interval))
        if settings.gateway.tls.mode in ISSUED:
            self._object("PodMonitor", "maas-cert-manager", _CERT_MANAGER, cert_manager_monitor_spec(interval))

    def _object(self, kind: str, name: str, namespace: str, spec: dict[str, Any]) -> None:
        CustomResource(
            name if kind.endswith("Monitor") else f"rules-{name}",
            api_version=_MONITORING,
            kind=kind,
            metadata=self.metadata(name, namespace, labels_too=self.settings.observability.monitor_labels),
            spec=spec,
            opts=self.options(),
        )

    def _grafana(self) -> None:
        settings = self.settings
        wanted = settings.observability.grafana
        if grafana.is_managed(settings):
            self._for_grafana("Grafana", "maas", grafana.instance_spec(), wanted.selector)
        self._for_grafana("GrafanaFolder", grafana.FOLDER, grafana.folder_spec(settings))
        if grafana.needs_token(settings):
            self._token()
        if grafana.has_datasource(settings):
            self._for_grafana("GrafanaDatasource", grafana.SOURCE, grafana.datasource_spec(settings))
        for name, text in grafana.dashboards().items():
            self._for_grafana("GrafanaDashboard", f"maas-{name}", grafana.dashboard_spec(settings, text))

    def _for_grafana(self, kind: str, name: str, spec: dict[str, Any], labels: dict[str, str] | None = None) -> None:
        CustomResource(
            f"{kind.lower()}-{name}",
            api_version=grafana.GRAFANA,
            kind=kind,
            metadata=self.metadata(name, self.namespace, labels_too=labels),
            spec=spec,
            opts=self.options(),
        )

    def _config_maps(self) -> None:
        for name, text in grafana.dashboards().items():
            title = f"maas-dashboard-{name}"
            ConfigMap(
                title,
                metadata=self.metadata(
                    title,
                    self.namespace,
                    labels_too={"grafana_dashboard": "1"},
                    annotations={"grafana_folder": self.settings.observability.grafana.folder},
                ),
                data=grafana.sidecar_data(name, text),
                opts=self.options(),
            )

    def _token(self) -> None:
        """A token for Grafana that ends within the hour, and what renews it: nobody has to paste one, or revoke it."""
        for account in (grafana.READER, grafana.ROTATOR):
            ServiceAccount(
                account,
                metadata=self.metadata(account, self.namespace),
                # Only the one that renews talks to the API server.
                automount_service_account_token=account == grafana.ROTATOR,
                opts=self.options(),
            )
        # Its data is the CronJob's: what is not said here stays as that leaves it.
        Secret(grafana.TOKEN, metadata=self.metadata(grafana.TOKEN, self.namespace), opts=self.options())
        binding = f"{grafana.READER}-{self.namespace}"
        ClusterRoleBinding(
            binding,
            metadata=self.metadata(binding),
            role_ref=role_ref("ClusterRole", "cluster-monitoring-view"),
            subjects=[account_subject(grafana.READER, self.namespace)],
            opts=self.options(),
        )
        Role(
            grafana.ROTATOR,
            metadata=self.metadata(grafana.ROTATOR, self.namespace),
            rules=grafana.rotator_rules(),
            opts=self.options(),
        )
        RoleBinding(
            grafana.ROTATOR,
            metadata=self.metadata(grafana.ROTATOR, self.namespace),
            role_ref=role_ref("Role", grafana.ROTATOR),
            subjects=[account_subject(grafana.ROTATOR, self.namespace)],
            opts=self.options(),
        )
        ConfigMap(
            grafana.ROTATOR,
            metadata=self.metadata(grafana.ROTATOR, self.namespace),
            data={grafana.SCRIPT_FILE.name: grafana.SCRIPT_FILE.read_text(encoding="utf-8")},
            opts=self.options(),
        )
        CronJob(
            grafana.ROTATOR,
            metadata=self.metadata(grafana.ROTATOR, self.namespace),
            spec=grafana.rotator_spec(self.settings),
            opts=self.options(),
        )
