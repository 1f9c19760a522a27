import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.app import app
from cli.exits import Exit, MaasError
from cli.service.hosts import advice, checked_address, hosts_lines, wildcard_domain
from config.settings import Settings
from tests.unit.config.bad import GOOD

runner = CliRunner()


def test_each_host_gets_one_line_without_scheme_and_port() -> None:
    endpoints = ["https://qwen3.maas.example.com:8443", "https://a.maas.example.com", "http://a.maas.example.com"]
    assert hosts_lines("203.0.113.7", endpoints) == [
        "203.0.113.7 a.maas.example.com",
        "203.0.113.7 qwen3.maas.example.com",
    ]


def test_the_command_prints_lines_on_stdout_and_nothing_else_there() -> None:
    done = runner.invoke(app, ["hosts", "--stack", "dev", "--address", "203.0.113.7"])
    assert done.exit_code == Exit.OK, done.output
    assert done.stdout == "203.0.113.7 simulator.maas.example.com\n", "so that it can go to /etc/hosts by a pipe"
    assert "203-0-113-7.nip.io" in done.stderr


def test_the_original_hosts_on_openshift() -> None:
    done = runner.invoke(app, ["hosts", "--stack", "ocp", "--address", "2001:db8::1", "--json"])
    assert json.loads(done.stdout)["hosts"] == [
        "2001:db8::1 qwen3-llm.apps.cluster.example.com",
        "2001:db8::1 simulator-llm.apps.cluster.example.com",
    ]


def test_a_load_balancers_name_is_no_address() -> None:
    done = runner.invoke(app, ["hosts", "--address", "lb.example.com"])
    assert done.exit_code == Exit.USAGE
    assert "CNAME" in done.output


@given(st.ip_addresses(v=4))
def test_the_domain_that_carries_an_address_is_one_that_the_settings_take(address: object) -> None:
    domain = wildcard_domain(checked_address(str(address)))
    assert Settings.load("dev", GOOD | {"domain": domain}).host("qwen3") == f"qwen3.{domain}"


def test_no_domain_is_offered_for_what_it_cannot_spell() -> None:
    assert wildcard_domain("2001:db8::1") == ""
    with pytest.raises(MaasError):
        checked_address("300.1.1.1")


def test_names_below_localhost_need_nothing() -> None:
    assert any("curl and browsers" in note for note in advice(["a.maas.localhost"], "127.0.0.1"))
    assert not any("curl and browsers" in note for note in advice(["a.maas.example.com"], "127.0.0.1"))
