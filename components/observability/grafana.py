"""What Grafana gets: dashboards, a folder, a data source, and a token that is never old."""

import json
from pathlib import Path
from typing import Any

from components.models.runtimes.container import security_context
from config.platform import Profile
from config.settings import Settings
from config.versions import SIMULATOR_IMAGE

GRAFANA = "grafana.integreatly.org/v1beta1"
FOLDER = "maas"
"""The GrafanaFolder."""
SOURCE = "maas-prometheus"
"""The GrafanaDatasource, and its uid."""
READER = "maas-grafana-reader"
"""The ServiceAccount that may read metrics, and whose token Grafana has."""
ROTATOR = "maas-token-rotator"
TOKEN = "maas-grafana-token"  # noqa: S105 - a Secret's name
SCRIPT_FILE = Path(__file__).parent / "rotate_token.py"
_DASHBOARDS = Path(__file__).parent.parent.parent / "dashboards"
_TOKEN_SECONDS = 3600
_SCHEDULE = "*/15 * * * *"
_RESYNC = "5m"


def dashboards() -> dict[str, str]:
    """The dashboards' JSON by name, as they are checked in."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(_DASHBOARDS.glob("*.json"))}


def _for_instances(settings: Settings) -> dict[str, Any]:
    return {
        "instanceSelector": {"matchLabels": dict(settings.observability.grafana.selector)},
        # A Grafana of somebody else is in a namespace of its own.
        "allowCrossNamespaceImport": True,
    }


def is_managed(settings: Settings) -> bool:
    """Whether the Grafana is the stack's own."""
    return settings.observability.grafana.managed_with(settings.platform.grafana.install)


def needs_token(settings: Settings) -> bool:
    """Whether the data source has a token that is renewed."""
    own = is_managed(settings)
    return settings.observability.prometheus.token_on(settings.platform.profile, own_grafana=own)


def has_datasource(settings: Settings) -> bool:
    """Whether the data source is ours: Thanos refuses one without a token."""
    return settings.platform.profile is not Profile.OPENSHIFT or needs_token(settings)


def instance_spec() -> dict[str, Any]:
    """Body of the Grafana: the operator makes the administrator's password and keeps it in a Secret."""
    return {
        "config": {
            "analytics": {"reporting_enabled": "false", "check_for_updates": "false"},
            "users": {"allow_sign_up": "false"},
        }
    }


def folder_spec(settings: Settings) -> dict[str, Any]:
    """Body of the GrafanaFolder."""
    return {**_for_instances(settings), "title": settings.observability.grafana.folder}


def dashboard_spec(settings: Settings, text: str) -> dict[str, Any]:
    """Body of a GrafanaDashboard."""
    return {**_for_instances(settings), "folderRef": FOLDER, "json": text, "resyncPeriod": _RESYNC}


def datasource_spec(settings: Settings) -> dict[str, Any]:
    """Body of the GrafanaDatasource: Prometheus, and where it wants to know who asks, with the rotated token.

    OpenShift's CA for Services is in a ConfigMap that it puts into every namespace.
    """
    where, profile = settings.observability.prometheus, settings.platform.profile
    source: dict[str, Any] = {
        "name": "MaaS Prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": where.url_on(profile),
        "isDefault": is_managed(settings),
        "jsonData": {"timeInterval": settings.observability.interval, "httpMethod": "POST"},
    }
    values: list[dict[str, Any]] = []
    if needs_token(settings):
        source["jsonData"]["httpHeaderName1"] = "Authorization"
        source["secureJsonData"] = {"httpHeaderValue1": "Bearer ${token}"}
        values.append(_value("httpHeaderValue1", "secretKeyRef", TOKEN, "token"))
    if profile is Profile.OPENSHIFT and source["url"].startswith("https"):
        source["jsonData"]["tlsAuthWithCACert"] = True
        source.setdefault("secureJsonData", {})["tlsCACert"] = "${service-ca.crt}"
        values.append(_value("tlsCACert", "configMapKeyRef", "openshift-service-ca.crt", "service-ca.crt"))
    # Read again often: a token ends within the hour.
    spec = {**_for_instances(settings), "uid": SOURCE, "datasource": source, "resyncPeriod": _RESYNC}
    return spec | ({"valuesFrom": values} if values else {})


def _value(field: str, kind: str, name: str, key: str) -> dict[str, Any]:
    return {"targetPath": f"secureJsonData.{field}", "valueFrom": {kind: {"name": name, "key": key}}}


def rotator_rules() -> list[dict[str, Any]]:
    """What the CronJob may do: a token for one account, into one Secret."""
    return [
        {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [READER], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [TOKEN], "verbs": ["patch"]},
    ]


def rotator_spec(settings: Settings) -> dict[str, Any]:
    """Body of the CronJob that renews the token four times while it lasts."""
    environment = {
        "MAAS_NAMESPACE": settings.platform.namespace,
        "MAAS_READER": READER,
        "MAAS_SECRET": TOKEN,
        "MAAS_SECONDS": str(_TOKEN_SECONDS),
    }
    container = {
        "name": "rotate",
        "image": settings.mirror.image(SIMULATOR_IMAGE),
        "command": ["python3", f"/script/{SCRIPT_FILE.name}"],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}},
        "securityContext": {**security_context(settings.platform.profile), "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "script", "mountPath": "/script", "readOnly": True}],
    }
    secret = settings.mirror.pull_secret
    pod: dict[str, Any] = {
        "serviceAccountName": ROTATOR,
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "script", "configMap": {"name": ROTATOR}}],
    } | ({"imagePullSecrets": [{"name": secret}]} if secret else {})
    return {
        "schedule": _SCHEDULE,
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {
            "spec": {"backoffLimit": 2, "activeDeadlineSeconds": 300, "template": {"spec": pod}},
        },
    }


def sidecar_data(name: str, text: str) -> dict[str, str]:
    """Data of the ConfigMap that a sidecar takes a dashboard from."""
    return {f"maas-{name}.json": json.dumps(json.loads(text), sort_keys=True)}
