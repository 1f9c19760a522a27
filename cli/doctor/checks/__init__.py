"""The checks. Each is a function of the case alone; a new one is written beside its like and listed here."""

from collections.abc import Callable, Iterable

from cli.doctor.case import Case
from cli.doctor.checks import (
    cluster,
    drift,
    gateway,
    gpus,
    keys,
    kserve,
    kuadrant,
    models,
    monitoring,
    operators,
    security,
)
from cli.doctor.findings import Finding

Check = Callable[[Case], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    cluster.version,
    cluster.permissions,
    drift.deployed,
    cluster.namespaces,
    cluster.kinds,
    operators.deployments,
    operators.already_there,
    operators.versions,
    operators.olm,
    operators.subscriptions,
    operators.meshes,
    operators.webhooks,
    kserve.settings,
    kserve.weights,
    kserve.controller,
    gateway.gateway_class,
    gateway.issued,
    gateway.gateways,
    gateway.routes,
    kuadrant.instance,
    kuadrant.redis,
    kuadrant.components,
    kuadrant.policies,
    kuadrant.rivals,
    keys.secrets,
    keys.existing,
    keys.users,
    keys.duplicates,
    keys.strangers,
    gpus.gpus,
    models.models,
    monitoring.user_workload,
    security.accounts,
    security.sidecars,
    security.keys_from_anywhere,
    security.plain_text,
    drift.objects,
)
"""In the order in which they are shown: what others stand on comes first."""
