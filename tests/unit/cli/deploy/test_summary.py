from typing import Any

from rich.console import Console

from cli.deploy.summary import closing

OUTPUTS: dict[str, dict[str, Any]] = {
    "models": {"by-host": {}, "by-path": {}},
    "endpoints": {"by-host": "http://m.maas.localhost", "by-path": "https://models.maas.localhost/by-path"},
}


def shown(port: int | None) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(closing(OUTPUTS, [], port=port))
    return captured.get()


def test_a_sandboxs_endpoints_have_the_port_at_which_its_gateway_answers() -> None:
    words = shown(31152).split()
    assert {"http://m.maas.localhost:31152", "http://models.maas.localhost:31152/by-path"} <= set(words)


def test_a_clusters_endpoints_are_those_of_the_stack() -> None:
    assert set(OUTPUTS["endpoints"].values()) <= set(shown(None).split())
