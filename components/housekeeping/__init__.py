"""The housekeeping layer: changes that are made once to what belongs to the cluster or to others, if the stack wants.

Each step is a Job that runs cluster_steps.py with a ServiceAccount that may touch nothing but the objects of the step.
The Job's name carries a hash of all that it depends on: it runs when that changes, and only then. What a step has done
stays when the stack goes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from components.housekeeping import cluster_steps
from components.layer import PREFIX, Layer, Site, short_hash
from components.models.runtimes.container import security_context
from components.objects import (
    ClusterRole,
    ClusterRoleBinding,
    ConfigMap,
    Job,
    Role,
    RoleBinding,
    ServiceAccount,
    account_subject,
    role_ref,
)
from config.settings import Settings
from config.values import window_seconds
from config.versions import HOUSEKEEPING_IMAGE

LAYER = "housekeeping"
SCRIPT = Path(cluster_steps.__file__)
NAME = "maas-housekeeping"
"""ConfigMap with the script; the objects of a step are called after it and the step."""
_FOLDER = "/housekeeping"
_ATTEMPTS = 3

Rule = dict[str, list[str]]


@dataclass(frozen=True)
class Step:
    """One change, and the rights that it takes."""

    name: str
    arguments: tuple[str, ...]
    rights: tuple[tuple[str | None, tuple[Rule, ...]], ...]
    """By namespace; None for rights on what is cluster-scoped."""


def _rule(group: str, resource: str, verbs: Sequence[str], *names: str) -> Rule:
    only = {"resourceNames": list(names)} if names else {}
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs), **only}


def user_workload_monitoring_step() -> Step:
    """Merge one key into the configuration of OpenShift's monitoring. Rights to create cannot be limited by name."""
    rules = (
        _rule("", "configmaps", ("get", "patch"), cluster_steps.MONITORING_CONFIG),
        _rule("", "configmaps", ("create",)),
    )
    name = "user-workload-monitoring"
    return Step(name, (name,), ((cluster_steps.MONITORING_NAMESPACE, rules),))


def odh_webhook_step() -> Step:
    """Remove OpenDataHub's webhook."""
    group, resource = "admissionregistration.k8s.io", "mutatingwebhookconfigurations"
    rules = (_rule(group, resource, ("delete",), cluster_steps.ODH_WEBHOOK),)
    return Step("odh-webhook", ("odh-webhook",), ((None, rules),))


def sail_operator_step(settings: Settings) -> Step:
    """Remove a stray Sail operator, and what its Istio left with our gateway."""
    platform = settings.platform
    namespace, ours, gateway = platform.clean_up.sail_namespace, platform.namespace, settings.gateway.name
    # Istio names the Deployment after the Gateway and its class.
    deployment = f"{gateway}-{settings.gateway.class_on(platform.profile)}"
    mark = f"{PREFIX}/sail-operator-removed=from-{namespace}"
    theirs = (
        _rule("operators.coreos.com", "subscriptions", ("delete",), cluster_steps.SAIL_SUBSCRIPTION),
        _rule("operators.coreos.com", "clusterserviceversions", ("list", "delete")),
        _rule("apps", "deployments", ("delete",), *cluster_steps.SAIL_DEPLOYMENTS),
    )
    own = (
        _rule("", "configmaps", ("delete",), cluster_steps.ROOT_CERTIFICATE),
        _rule("apps", "replicasets", ("list", "delete")),
        _rule("apps", "deployments", ("get", "patch"), deployment),
    )
    options = {"namespace": namespace, "ours": ours, "gateway": gateway, "deployment": deployment, "mark": mark}
    arguments = ("sail-operator", *(f"--{name}={value}" for name, value in options.items()))
    return Step("sail-operator", arguments, ((namespace, theirs), (ours, own)))


def job_spec(step: Step, settings: Settings) -> dict[str, Any]:
    """Body of the Job of a step. It is never tidied away: that would look as if it had to be run again."""
    mirror = settings.mirror
    return {
        "backoffLimit": _ATTEMPTS,
        "activeDeadlineSeconds": window_seconds(settings.timeouts.operator),
        "template": {
            "spec": {
                "serviceAccountName": f"{NAME}-{step.name}",
                "restartPolicy": "Never",
                **({"imagePullSecrets": [{"name": mirror.pull_secret}]} if mirror.pull_secret else {}),
                "containers": [
                    {
                        "name": "step",
                        "image": mirror.image(HOUSEKEEPING_IMAGE),
                        "command": ["python3", f"{_FOLDER}/{SCRIPT.name}"],
                        "args": list(step.arguments),
                        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
                        "resources": {
                            "requests": {"cpu": "50m", "memory": "64Mi"},
                            "limits": {"memory": "128Mi"},
                        },
                        "securityContext": {
                            **security_context(settings.platform.profile),
                            "readOnlyRootFilesystem": True,
                        },
                        # Why it failed is in the pod's status, and so in Pulumi's error.
                        "terminationMessagePolicy": "FallbackToLogsOnError",
                        "volumeMounts": [{"name": "script", "mountPath": _FOLDER, "readOnly": True}],
                    }
                ],
                "volumes": [{"name": "script", "configMap": {"name": NAME}}],
            }
        },
    }


def job_name(step: Step, spec: dict[str, Any], script: str) -> str:
    """Changes when, and only when, the script, its rights or the Job does; a Job itself cannot be changed."""
    return f"{NAME}-{step.name}-{short_hash(json.dumps([spec, step.rights, script], sort_keys=True))[:8]}"


class Housekeeping(Layer):
    """The steps that the stack wants, each by its Job. What is not wanted has no objects."""

    mesh: list[pulumi.Resource]
    """Before the mesh: a second one is gone."""
    kserve: list[pulumi.Resource]
    """Before models: no other product's webhook is in their way."""
    monitoring: list[pulumi.Resource]
    """Before monitors: there is a Prometheus that reads them."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(LAYER, site, opts)
        platform = site.settings.platform
        self._script = SCRIPT.read_text(encoding="utf-8")
        self._files: list[pulumi.Resource] = []
        self.mesh = self._run(sail_operator_step(site.settings)) if platform.clean_up.sail_operator else []
        self.kserve = self._run(odh_webhook_step()) if platform.clean_up.odh_webhook else []
        wanted = platform.monitoring.user_workload == "managed" and site.settings.observability.monitors
        self.monitoring = self._run(user_workload_monitoring_step()) if wanted else []
        self.register_outputs({})

    def _run(self, step: Step) -> list[pulumi.Resource]:
        name = f"{NAME}-{step.name}"
        spec = job_spec(step, self.settings)
        # The account, then what it may do, then the work.
        account = ServiceAccount(
            name,
            metadata=self.metadata(name, self.namespace),
            automount_service_account_token=True,
            opts=self.options(),
        )
        rights = [self._right(name, namespace, rules, account) for namespace, rules in step.rights]
        job = job_name(step, spec, self._script)
        return [
            Job(
                job,
                # One that has failed cannot be run again: the next `up` makes another in its place.
                metadata=self.metadata(job, self.namespace, annotations={"pulumi.com/replaceUnready": "true"}),
                spec=spec,
                opts=self.options(
                    depends_on=[*self._with_script(), *rights], ready_within=self.settings.timeouts.operator
                ),
            )
        ]

    def _with_script(self) -> list[pulumi.Resource]:
        if not self._files:
            metadata = self.metadata(NAME, self.namespace)
            self._files = [ConfigMap(NAME, metadata=metadata, data={SCRIPT.name: self._script}, opts=self.options())]
        return self._files

    def _right(
        self, name: str, namespace: str | None, rules: Sequence[Rule], account: ServiceAccount
    ) -> pulumi.Resource:
        subject = account_subject(name, self.namespace)
        given = list(rules)
        if namespace is None:
            # Two stacks on one cluster have an account each.
            unique = f"{self.namespace}-{name}"
            role = ClusterRole(unique, metadata=self.metadata(unique), rules=given, opts=self.options())
            return ClusterRoleBinding(
                unique,
                metadata=self.metadata(unique),
                role_ref=role_ref("ClusterRole", unique),
                subjects=[subject],
                opts=self.options(depends_on=[role, account]),
            )
        unique = name if namespace == self.namespace else f"{self.namespace}-{name}"
        logical = f"{unique}-in-{namespace}"
        own = Role(logical, metadata=self.metadata(unique, namespace), rules=given, opts=self.options())
        return RoleBinding(
            logical,
            metadata=self.metadata(unique, namespace),
            role_ref=role_ref("Role", unique),
            subjects=[subject],
            opts=self.options(depends_on=[own, account]),
        )
