"""What is put into the cluster for the real operators, and how what they say is read."""

import copy
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.conditions import tables
from sandbox.instance import Sandbox, SandboxError
from sandbox.real.catalogue import PROGRAMS, Addresses
from sandbox.real.manifests import LABEL, adapt
from sandbox.real.places import addresses_of, extension_of, require_sockets
from sandbox.real.report import Report, Running, said_of

Object = dict[str, Any]

ADDRESSES = {
    each.name: Addresses(number * 10 + 1, number * 10 + 2, number * 10 + 3, number * 10 + 4, "/nowhere")
    for number, each in enumerate(PROGRAMS, 1)
}
ISTIOD = ADDRESSES["istiod"]


def adapted(obj: Object) -> Object:
    result = copy.deepcopy(obj)
    adapt(result, ADDRESSES)
    return result


def test_programs_have_names_of_their_own() -> None:
    names = [each.name for each in PROGRAMS]
    assert len(set(names)) == len(names)
    assert {"cert-manager-controller", "cert-manager-cainjector", "cert-manager-webhook"} <= set(names)


def test_no_two_programs_of_a_machine_share_a_port_or_a_socket(tmp_path: Path) -> None:
    sandboxes = [Sandbox.open("real", tmp_path / home) for home in ("one", "other")]
    for sandbox in sandboxes:
        found = [addresses_of(sandbox, each) for each in PROGRAMS]
        ports = [port for each in found for port in (each.metrics, each.health, each.service, each.other)]
        assert len(set(ports)) == len(ports)
        assert [addresses_of(sandbox, each) for each in PROGRAMS] == found, "they are kept"
    assert len({extension_of(each, "telemetry-policy") for each in sandboxes}) == len(sandboxes)


def test_the_profiler_of_authorinos_operator_is_off() -> None:
    (operator,) = (each for each in PROGRAMS if each.tool == "authorino-operator")
    assert "--pprof-bind-address=0" in operator.arguments(ADDRESSES[operator.name], [])


def test_sockets_that_cannot_be_made_are_refused_before_anything_is_started(tmp_path: Path) -> None:
    require_sockets(tmp_path / "ours")
    somebodys = tmp_path / "theirs"
    somebodys.write_text("")
    with pytest.raises(SandboxError, match=f"nothing can be written to {somebodys}"):
        require_sockets(somebodys)


def test_a_webhook_is_asked_where_its_program_listens() -> None:
    service = {"name": "istiod", "namespace": "istio-system", "path": "/validate", "port": 443}
    hook = {"kind": "ValidatingWebhookConfiguration", "webhooks": [{"clientConfig": {"service": service}}]}
    asked = adapted(hook)["webhooks"][0]["clientConfig"]["service"]
    assert asked == service | {"port": ISTIOD.other}, "name and namespace stay: the certificate is for these"


def test_only_services_before_webhooks_lead_to_loopback() -> None:
    ports = [{"name": "https-webhook", "port": 443, "targetPort": 15017}]
    istiod = {"kind": "Service", "metadata": {"name": "istiod"}, "spec": {"ports": ports, "selector": {"app": "x"}}}
    spec = adapted(istiod)["spec"]
    assert (spec["type"], spec["externalName"]) == ("ExternalName", "localhost")
    assert "selector" not in spec
    other = istiod | {"metadata": {"name": "limitador-operator-metrics"}}
    assert adapted(other) == other


def test_pods_that_a_program_stands_in_for_say_so() -> None:
    deployment: Object = {
        "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": "istio-system"},
        "spec": {"template": {"metadata": {}}},
    }
    assert adapted(deployment)["spec"]["template"]["metadata"]["labels"] == {LABEL: "istiod"}
    elsewhere = deployment | {"metadata": {"name": "istiod", "namespace": "elsewhere"}}
    assert adapted(elsewhere) == elsewhere


def test_conditions_are_told_with_what_they_are_about_and_whether_they_are_current() -> None:
    condition = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1}
    route = {
        "kind": "HTTPRoute",
        "metadata": {"name": "a", "namespace": "llm", "generation": 2},
        "status": {"parents": [{"parentRef": {"name": "gateway"}, "conditions": [condition]}]},
    }
    (said,) = said_of(route)
    assert (said.name, said.about, said.type, said.current) == ("llm/a", "parent gateway", "Accepted", False)
    gateway = route | {"status": {"listeners": [{"name": "models", "conditions": [{"type": "X", "status": "False"}]}]}}
    (said,) = said_of(gateway)
    assert (said.about, said.status, said.current) == ("listener models", "False", True)


def test_the_tables_show_what_is_not_well() -> None:
    def red(condition: Object) -> bool:
        obj = {"kind": "Gateway", "metadata": {"name": "a", "generation": 2}, "status": {"conditions": [condition]}}
        console = Console(width=200, force_terminal=True, color_system="standard", record=True)
        report = Report([Running("istiod", "v1", ready=True, starts=1, memory=0, note="")], list(said_of(obj)))
        with console.capture() as shown:
            for table in tables(report):
                console.print(table)
        return "\x1b[31m" in shown.get()

    assert not red({"type": "Programmed", "status": "True"})
    assert red({"type": "Programmed", "status": "False"})
    assert red({"type": "Programmed", "status": "True", "observedGeneration": 1})
    assert not red({"type": "Conflicted", "status": "False"})
    assert red({"type": "Conflicted", "status": "True"})
