"""Snippets that are run for real: by sh, curl and the OpenAI client, against a gateway on loopback."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.console import Console
from cli.deploy.target import of_stack
from cli.exits import Exit
from cli.service import connect as module
from cli.service.calls import Service, Way, way_of
from cli.service.connect import KEY, SNIPPETS, Connection, Format, Wish, connection, environment, shown
from components.exports import exports
from config.settings import Settings
from tests.misbehaviour.certificates import Certificate, served
from tests.misbehaviour.service import Double, serving
from tests.misbehaviour.stack import DOMAIN, KEYS, objects, recording
from tests.unit.config.bad import GOOD

runner = CliRunner()
OUTPUTS = json.loads(json.dumps(recording().outputs))


@pytest.fixture(scope="module")
def double() -> Generator[Double]:
    with serving(objects()) as made:
        yield made


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Double, Path]]:
    certificate = served(tmp_path_factory.mktemp("tls"), DOMAIN)
    with serving(objects(), tls=certificate.context) as made:
        yield made, certificate.ca


def to(url: str, *, key: str = "", ca: Path | None = None) -> Connection:
    return connection(OUTPUTS, Wish("eve", ca=ca), way_of(OUTPUTS, "simulator", url), key)


def sh(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(  # noqa: S603 - the snippet under test
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=False, timeout=60, env=kept
    )


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here: apt install curl")


@needs_curl
def test_curl_asks_with_the_key_of_the_environment_or_with_the_one_that_is_shown(double: Double) -> None:
    for given, variables in ((to(double.url), {KEY: KEYS["eve"]}), (to(double.url, key=KEYS["eve"]), {})):
        done = sh(SNIPPETS[Format.CURL](given), **variables)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["usage"]["total_tokens"] > 0


@needs_curl
def test_curl_says_what_is_missing_without_a_key_and_fails_with_a_wrong_one(double: Double) -> None:
    without = sh(SNIPPETS[Format.CURL](to(double.url)))
    assert without.returncode != 0
    assert "set it to the key of eve" in without.stderr
    wrong = sh(SNIPPETS[Format.CURL](to(double.url, key="wrong")))
    assert (wrong.returncode, json.loads(wrong.stdout)["error"]["code"]) == (22, "invalid_api_key")


@needs_curl
def test_curl_holds_the_certificate_to_the_models_name_wherever_it_connects(
    secure: tuple[Double, Path], tmp_path: Path
) -> None:
    double, ca = secure
    done = sh(SNIPPETS[Format.CURL](to(double.url, key=KEYS["eve"], ca=ca)))
    assert done.returncode == 0, done.stderr
    other = served(tmp_path, DOMAIN, Certificate.OF_ANOTHER_HOST)
    with serving(objects(), tls=other.context) as wrong:
        refused = sh(SNIPPETS[Format.CURL](to(wrong.url, key=KEYS["eve"], ca=other.ca)))
    assert (refused.returncode, refused.stdout) == (60, "")


def test_python_asks_by_tls_with_an_authority_of_our_own(secure: tuple[Double, Path]) -> None:
    double, ca = secure
    snippet = SNIPPETS[Format.PYTHON](to(double.url, ca=ca))
    done = subprocess.run(  # noqa: S603 - the snippet under test
        [sys.executable, "-c", snippet],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"PATH": os.environ["PATH"], KEY: KEYS["eve"]},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("tokens")


def test_python_has_the_key_in_it_only_when_that_is_shown(double: Double) -> None:
    hidden, plain = (SNIPPETS[Format.PYTHON](to(double.url, key=key)) for key in ("", KEYS["eve"]))
    assert f'os.environ["{KEY}"]' in hidden
    assert KEYS["eve"] in plain
    assert "import os" not in plain
    for each in (hidden, plain):
        compile(each, "snippet", "exec")


def test_the_environment_is_sourced_by_sh_and_leads_to_the_model(double: Double, tmp_path: Path) -> None:
    script = tmp_path / "maas.sh"
    script.write_text(environment(to(double.url, key=KEYS["eve"])), encoding="utf-8")
    lint = Path(sys.executable).with_name("shellcheck")
    checked = subprocess.run([lint, "--shell=sh", script], capture_output=True, text=True, check=False)  # noqa: S603
    assert checked.returncode == 0, checked.stdout
    said = sh(f'. {script}; echo "$OPENAI_BASE_URL|$OPENAI_API_KEY|$MAAS_HOST|$MAAS_MODEL"').stdout.strip()
    base, key, host, model = said.split("|")
    answer = httpx.get(f"{base}/models", headers={"Host": host, "Authorization": f"Bearer {key}"}, trust_env=False)
    assert [each["id"] for each in answer.json()["data"]] == [model]


def test_an_environment_without_the_key_takes_the_one_that_is_set_and_stops_where_there_is_none(double: Double) -> None:
    script = environment(to(double.url))
    assert sh(f'{script}echo "$OPENAI_API_KEY"', **{KEY: "mine"}).stdout.strip() == "mine"
    stopped = sh(f"{script}echo on")
    assert (stopped.returncode != 0, stopped.stdout) == (True, "")


@pytest.mark.parametrize("format_", Format)
def test_no_format_has_the_key_unless_it_is_asked_for(double: Double, format_: Format) -> None:
    assert KEYS["eve"] not in shown(to(double.url), format_)
    assert KEYS["eve"] in shown(to(double.url, key=KEYS["eve"]), format_)
    assert KEYS["eve"] not in repr(to(double.url, key=KEYS["eve"]))


def test_odd_names_stay_one_word_for_the_shell() -> None:
    way = Way("m", "it's; $(rm)", "http://h", "h")
    given = Connection("eve", way, "k'; echo no")
    assert sh(f'{environment(given)}printf %s "$MAAS_MODEL|$OPENAI_API_KEY"').stdout == "it's; $(rm)|k'; echo no"


def test_the_command_needs_no_cluster_and_says_where_the_key_is() -> None:
    done = runner.invoke(app, ["connect", "freeuser1", "--stack", "ocp", "--format", "curl"])
    assert done.exit_code == Exit.OK, done.output
    assert done.stdout.startswith(
        "curl -sS --fail-with-body https://simulator-llm.apps.cluster.example.com/v1/chat/comp"
    )
    assert "./maas keys create freeuser1 --stack ocp" in " ".join(done.stderr.split())


class Reached(Service):
    """A service whose keys are at hand."""

    def key(self, user: str, console: Console) -> str:
        del console
        return KEYS[user]


@pytest.mark.parametrize("words", [["connect", "ada", "--show-key", "-f", "env"], ["sandbox", "env"]])
def test_a_key_that_is_asked_for_is_the_users_own(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    def of(stack: str, sandbox: str) -> Service:
        del stack, sandbox
        return Reached(of_stack("dev"), OUTPUTS)

    monkeypatch.setattr(Service, "of", of)
    done = runner.invoke(app, words)
    assert done.exit_code == Exit.OK, done.output
    assert f"export {KEY}={KEYS['ada']}\n" in done.stdout


def test_outputs_of_a_stack_will_do_in_place_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(OUTPUTS), encoding="utf-8")
    done = runner.invoke(app, ["connect", "eve", "-m", "other", "--outputs", str(file), "--json"])
    made = json.loads(done.stdout)
    assert (made["model"], made["key"]) == ("other", None)
    assert made["baseUrl"] == f"http://other.{DOMAIN}/v1"
    assert set(made["snippets"]) == {"env", "curl", "python"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nobody"], "No user 'nobody' in this stack. It has: ada, bob"),
        (["eve", "--model", "gpt"], "The stack has no such model. It has: costly, other, simulator"),
        (["eve", "--url", "gateway"], "--url gateway: not an address"),
        (["eve", "--url", "http://[1"], "--url http://[1: no address"),
        (["eve", "--show-key"], "Outputs hold no keys"),
        (["eve", "--format", "fortran"], "is none of curl, python, env, all"),
    ],
)
def test_what_there_is_not_is_a_usage_error_that_says_what_there_is(
    words: list[str], says: str, tmp_path: Path
) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(OUTPUTS), encoding="utf-8")
    done = runner.invoke(app, ["connect", *words, "--outputs", str(file)])
    assert done.exit_code == Exit.USAGE
    assert says in " ".join(done.output.replace("│", "").split())


@pytest.mark.parametrize("content", ["{", "[]", '{"endpoints": {}}'])
def test_a_file_that_holds_no_outputs_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "outputs.json"
    file.write_text(content, encoding="utf-8")
    done = runner.invoke(app, ["connect", "eve", "--outputs", str(file)])
    assert (done.exit_code, "Traceback" in done.output) == (Exit.USAGE, False)


def test_a_gateway_that_is_reached_elsewhere_keeps_the_models_path() -> None:
    outputs = {"models": {"m": {"runtime": "vllm", "servedName": "m"}}, "endpoints": {"m": "https://llm.example.com/m"}}
    assert way_of(outputs, "m", "http://127.0.0.1:1/") == Way("m", "m", "http://127.0.0.1:1/m", "llm.example.com")
    assert way_of(outputs, "m") == Way("m", "m", "https://llm.example.com/m", "llm.example.com")


@pytest.mark.parametrize(
    ("platform", "gateway", "secret"),
    [
        ("kubernetes", {"tls": {"mode": "self-signed"}}, "llm/inference-gateway-tls"),
        ("kubernetes", {"tls": {"mode": "self-signed", "secretName": "mine"}}, "llm/mine"),
        ("kubernetes", {"tls": {"mode": "secret", "secretName": "mine"}}, None),
        ("kubernetes", {}, None),
        (
            "openshift",
            {"tls": {"mode": "self-signed"}, "route": {"termination": "passthrough"}},
            "llm/inference-gateway-tls",
        ),
    ],
)
def test_an_authority_of_our_own_is_named_where_callers_see_it(
    platform: str, gateway: dict[str, object], secret: str | None
) -> None:
    settings = Settings.load("test", GOOD | {"platform": {"profile": platform}, "gateway": gateway})
    outputs = exports(settings)
    assert outputs["gateway"].get("caSecret") == secret
    user, model = next(iter(outputs["users"])), next(iter(outputs["models"]))
    made = connection(outputs, Wish(user), way_of(outputs, model))
    assert bool(made.ca) == bool(secret)
    assert any("ca\\.crt" in each for each in made.notes) == bool(secret)


def test_every_format_but_all_has_a_snippet() -> None:
    assert set(module.SNIPPETS) == set(Format) - {Format.ALL}
