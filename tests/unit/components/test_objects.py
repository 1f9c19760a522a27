"""Our classes for objects register what the SDK's classes of the same names do."""

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from cli.program.recorder import record
from components import objects

BUILT_IN = sorted(each.__name__ for each in objects.BuiltIn.__subclasses__())
PODS = {"matchLabels": {"app": "a"}}
FIELDS: dict[str, dict[str, Any]] = {
    "ClusterRole": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "ClusterRoleBinding": {
        "role_ref": objects.role_ref("ClusterRole", "view"),
        "subjects": [objects.account_subject("a", "b")],
    },
    "ConfigMap": {"data": {"a_b": "c"}},
    "ConfigMapPatch": {"data": {"a_b": "c"}},
    "CronJob": {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"parallelism": 1}}}},
    "Deployment": {"spec": {"replicas": 1, "selector": PODS}},
    "DeploymentPatch": {"spec": {"template": {"metadata": {"annotations": {"a_b": "c"}}}}},
    "Job": {"spec": {"parallelism": 1}},
    "Namespace": {},
    "NetworkPolicy": {"spec": {"podSelector": PODS, "ingress": [{"ports": [{"port": 80}, {"port": "http"}]}]}},
    "PersistentVolumeClaim": {"spec": {"accessModes": ["ReadWriteOnce"]}},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": 1, "selector": PODS}},
    "Role": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "RoleBinding": {"role_ref": objects.role_ref("Role", "a"), "subjects": [objects.account_subject("a", "b")]},
    "Secret": {"type": "Opaque", "string_data": {"a_b": "hush"}, "data": {"c": "aHVzaA=="}},
    "Service": {"spec": {"selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": "http"}]}},
    "ServiceAccount": {"automount_service_account_token": False},
    "StatefulSet": {"spec": {"replicas": 1, "serviceName": "a", "selector": PODS}},
}
PROGRAM = """
import pulumi
from {module} import {kind}

{kind}(
    "logical",
    {more}
    metadata={{"name": "n", "namespace": "s", "labels": {{"a.b/c_d": "e"}}}},
    opts=pulumi.ResourceOptions(ignore_changes=["spec"], custom_timeouts=pulumi.CustomTimeouts(create="5m")),
    {fields}
)
"""


def registered(tmp_path: Path, module: str, kind: str, fields: dict[str, Any], more: str = "") -> dict[str, Any]:
    """What the engine would be asked for, but for the place in the source and earlier versions of the kind."""
    program = tmp_path / f"{module}.py"
    content = "".join(f"{key}={value!r},\n" for key, value in fields.items())
    program.write_text(PROGRAM.format(module=module, kind=kind, more=more, fields=content), encoding="utf-8")
    [resource] = record("dev", {}, (), program).resources
    request: dict[str, Any] = json_format.MessageToDict(resource.request)
    return {key: request[key] for key in request if key not in {"sourcePosition", "stackTrace", "aliases"}}


@pytest.mark.parametrize("kind", BUILT_IN)
def test_an_object_of_kubernetes_is_registered_as_the_sdk_does_it(tmp_path: Path, kind: str) -> None:
    group, _, version = getattr(objects, kind).api.partition("/")
    module = f"pulumi_kubernetes.{group.partition('.')[0]}.{version}"
    ours, theirs = (registered(tmp_path, each, kind, FIELDS[kind]) for each in ("components.objects", module))
    assert ours == theirs


@pytest.mark.parametrize("kind", ["CustomResource", "CustomResourcePatch"])
def test_a_custom_resource_is_registered_as_the_sdk_does_it(tmp_path: Path, kind: str) -> None:
    more = 'api_version="kuadrant.io/v1", kind="AuthPolicy",'
    modules = ("components.objects", "pulumi_kubernetes.apiextensions")
    ours, theirs = (registered(tmp_path, each, kind, {"spec": {"a_b": {"c_d": 1}}}, more) for each in modules)
    assert ours == theirs
    assert ours["object"]["spec"] == {"a_b": {"c_d": 1}}, "keys within a spec are left as they are"


def test_the_values_of_a_secret_are_secret_whether_they_were_marked_or_not(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    content = PROGRAM.format(module="components.objects", kind="Secret", more="", fields='string_data={"a": "hush"}')
    program.write_text(content, encoding="utf-8")
    [secret] = record("dev", {}, (), program).resources
    assert secret.secrets == {"stringData"}
