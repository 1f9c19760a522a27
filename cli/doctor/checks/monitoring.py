"""Whether somebody reads the stack's monitors."""

from collections.abc import Iterator
from typing import cast

import yaml

from cli.doctor.case import Case, dig, user_workload_matters
from cli.doctor.findings import Finding, Level
from components.housekeeping.cluster_steps import KEY, MONITORING_CONFIG, MONITORING_NAMESPACE, MONITORING_TEXT
from sandbox.kube import reference

_CONFIG_MAP = ("v1", "ConfigMap")


def user_workload(case: Case) -> Iterator[Finding]:
    """OpenShift reads monitors of users' namespaces only when it was told to."""
    if not user_workload_matters(case.settings) or _CONFIG_MAP in case.cluster.denied:
        return
    found = case.cluster.get(*_CONFIG_MAP, MONITORING_CONFIG, MONITORING_NAMESPACE)
    what = reference("ConfigMap", MONITORING_CONFIG, MONITORING_NAMESPACE)
    if _is_on(str(dig(found, "data", MONITORING_TEXT) or "")):
        yield Finding("monitoring", Level.OK, what, "user-workload monitoring is on")
        return
    managed = case.settings.platform.monitoring.user_workload == "managed"
    if managed and not case.deployed:
        yield Finding("monitoring", Level.OK, what, "user-workload monitoring is off; `up` turns it on")
        return
    message = f"has no `{KEY}: true`: nobody reads the stack's monitors"
    fix = f"add `{KEY}: true` to {MONITORING_TEXT}, beside what is there" + (
        "" if managed else "; or set maas:platform.monitoring.userWorkload to managed"
    )
    yield Finding("monitoring", Level.PROBLEM, what, message, fix)


def _is_on(text: str) -> bool:
    try:
        config: object = yaml.safe_load(text)
    except yaml.YAMLError:
        return False
    return isinstance(config, dict) and cast("dict[str, object]", config).get(KEY) is True
