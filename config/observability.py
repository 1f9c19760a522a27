"""What is measured, and how often."""

from pydantic import Field

from config.model import Model
from config.values import Duration


class TelemetryLabels(Model):
    """Labels on Limitador's counters. Each one off makes fewer time series."""

    user: bool = True
    tier: bool = True
    model: bool = True
    team: bool = False
    cost_centre: bool = False


class Observability(Model):
    """Collection of metrics by a Prometheus operator."""

    monitors: bool = True
    """Create ServiceMonitors and PodMonitors; needs the Prometheus operator's CRDs on the cluster."""
    interval: Duration = "30s"
    """How often each target is scraped."""
    monitor_labels: dict[str, str] = Field(default_factory=dict)
    """Labels that the cluster's Prometheus selects monitors by, such as `release: kube-prometheus-stack`."""
    telemetry_labels: TelemetryLabels = TelemetryLabels()


class Timeouts(Model):
    """How long the deployment waits for each kind of thing to become ready."""

    gateway: Duration = "5m"
    certificate: Duration = "10m"
    """ACME by DNS-01 waits until the record is seen."""
    operator: Duration = "10m"
    """An operator's images are pulled, its webhooks get certificates; an InstallPlan may wait for approval."""
    kserve: Duration = "5m"
    kuadrant: Duration = "5m"
    model: Duration = "30m"
    """A GPU model pulls an image of gigabytes, then its weights."""
    route: Duration = "2m"
    external_secret: Duration = "2m"  # noqa: S105 - a time limit
    """The External Secrets operator asks the store."""
    policy: Duration = "3m"
    delete: Duration = "10m"
