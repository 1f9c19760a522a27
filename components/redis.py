"""Redis for the limiter's counters, where the stack brings its own: one pod with a volume, for development.

Production takes a Redis that somebody runs as one (`limiter.redisSecret`): this has no replica, no backup and no TLS.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import pulumi

from components.layer import Layer
from components.models.runtimes.container import security_context
from components.objects import Secret, Service, ServiceAccount, StatefulSet
from config.limiter import ManagedRedis
from config.mirror import Mirror
from config.platform import Profile
from config.values import amount
from config.versions import REDIS_IMAGE

REDIS = "maas-redis"
REDIS_PORT = 6379
URL = "URL"
"""Where in a Secret Limitador looks for the address, password and all."""
PODS = {"app.kubernetes.io/name": REDIS}
_PASSWORD_BYTES = 32
_CONFIG_FILE, _CONFIG_FOLDER, _DATA_FOLDER = "redis.conf", "/etc/redis", "/data"
_COUNTERS_SHARE = 0.75
"""Of its memory: the rest is for what it writes to disk meanwhile."""


def redis_settings(redis: ManagedRedis) -> list[str]:
    """What Redis is told on its command line: each second on disk, and errors rather than forgotten counters."""
    options = {
        "dir": _DATA_FOLDER,
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": str(int(amount(redis.memory) * _COUNTERS_SHARE)),
        "maxmemory-policy": "noeviction",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def redis_secret_data(password: str) -> dict[str, str]:
    """What the Secret holds. `URL` is what Limitador, in the same namespace, looks for."""
    return {
        URL: f"redis://:{password}@{REDIS}:{REDIS_PORT}",
        "password": password,
        _CONFIG_FILE: f"requirepass {password}\n",
    }


def redis_spec(redis: ManagedRedis, profile: Profile, mirror: Mirror) -> dict[str, Any]:
    """Body of the StatefulSet (apps/v1)."""
    amounts = {"cpu": redis.cpu, "memory": redis.memory}
    password = {"secretKeyRef": {"name": REDIS, "key": "password"}}
    probe = {"exec": {"command": ["sh", "-c", "valkey-cli ping | grep -q PONG"]}, "timeoutSeconds": 5}
    security = security_context(profile)
    container = {
        "name": "redis",
        "image": mirror.image(REDIS_IMAGE),
        "command": ["valkey-server", f"{_CONFIG_FOLDER}/{_CONFIG_FILE}"],
        "args": redis_settings(redis),
        # The client's own name for it: no probe has the password on a command line.
        "env": [{"name": "REDISCLI_AUTH", "valueFrom": password}],
        "ports": [{"containerPort": REDIS_PORT, "name": "redis", "protocol": "TCP"}],
        "resources": {"requests": amounts, "limits": {"memory": redis.memory}},
        "securityContext": {**security, "readOnlyRootFilesystem": True},
        "readinessProbe": {**probe, "periodSeconds": 10},
        "livenessProbe": {**probe, "periodSeconds": 30},
        "volumeMounts": [
            {"name": "data", "mountPath": _DATA_FOLDER},
            {"name": "config", "mountPath": _CONFIG_FOLDER, "readOnly": True},
        ],
    }
    claim: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": redis.size}},
    }
    if redis.storage_class is not None:
        claim["storageClassName"] = redis.storage_class
    pod: dict[str, Any] = {
        "serviceAccountName": REDIS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        "volumes": [{"name": "config", "secret": {"secretName": REDIS, "items": [_item(_CONFIG_FILE)]}}],
    }
    if "runAsUser" in security:  # OpenShift gives each namespace a user and a group of its own
        pod["securityContext"] = {"fsGroup": security["runAsUser"]}
    if mirror.pull_secret:
        pod["imagePullSecrets"] = [{"name": mirror.pull_secret}]
    return {
        "replicas": 1,
        "serviceName": REDIS,
        "selector": {"matchLabels": dict(PODS)},
        "template": {
            "metadata": {"labels": dict(PODS)},
            "spec": pod,
        },
        "volumeClaimTemplates": [{"metadata": {"name": "data", "labels": dict(PODS)}, "spec": claim}],
        # Counters go with the stack, and stay when it is only scaled.
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
    }


def redis_service_spec() -> dict[str, Any]:
    """Body of the Service."""
    port = {"name": "redis", "port": REDIS_PORT, "targetPort": REDIS_PORT, "protocol": "TCP"}
    return {"selector": dict(PODS), "ports": [port]}


def _item(key: str) -> Mapping[str, str]:
    return {"key": key, "path": key}


def managed_redis(layer: Layer, redis: ManagedRedis) -> StatefulSet:
    """Redis in Kuadrant's namespace, ready.

    Its password is random at the first deployment. The state keeps it, encrypted: later runs take what is there.
    """
    settings, where = layer.settings, layer.settings.platform.kuadrant.namespace
    account = ServiceAccount(
        REDIS,
        metadata=layer.metadata(REDIS, where),
        automount_service_account_token=False,
        opts=layer.options(),
    )
    data = redis_secret_data(secrets.token_urlsafe(_PASSWORD_BYTES))
    secret = Secret(
        REDIS,
        metadata=layer.metadata(REDIS, where),
        type="Opaque",
        string_data=pulumi.Output.secret(data),
        opts=layer.options(keeps=["stringData"]),
    )
    service = Service(
        REDIS,
        metadata=layer.metadata(REDIS, where),
        spec=redis_service_spec(),
        opts=layer.options(),
    )
    spec = redis_spec(redis, settings.platform.profile, settings.mirror)
    return StatefulSet(
        REDIS,
        metadata=layer.metadata(REDIS, where),
        spec=spec,
        opts=layer.options(depends_on=[account, secret, service], ready_within=settings.timeouts.kuadrant),
    )
