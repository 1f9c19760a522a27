import pytest

from config.mirror import Mirror, mirrored

RULES = {
    "docker.io": "mirror.example.com/docker",
    "quay.io": "mirror.example.com/quay/",
    "quay.io/kuadrant": "kuadrant.example.com",
    "registry.example.com:5000": "mirror.example.com/own",
}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("docker.io/vllm/vllm-openai:v0.11.0", "mirror.example.com/docker/vllm/vllm-openai:v0.11.0"),
        ("kserve/agent", "mirror.example.com/docker/kserve/agent"),
        ("python:3.12", "mirror.example.com/docker/library/python:3.12"),
        ("quay.io/brancz/kube-rbac-proxy:v0.18.0", "mirror.example.com/quay/brancz/kube-rbac-proxy:v0.18.0"),
        ("quay.io/kuadrant/wasm-shim:v0.12.1", "kuadrant.example.com/wasm-shim:v0.12.1"),
        ("oci://quay.io/kuadrant/wasm-shim:v0.12.1", "oci://kuadrant.example.com/wasm-shim:v0.12.1"),
        ("quay.io/kuadrantium/tool:1", "mirror.example.com/quay/kuadrantium/tool:1"),
        ("quay.io/a/b@sha256:0123", "mirror.example.com/quay/a/b@sha256:0123"),
        ("registry.example.com:5000/team/image:1", "mirror.example.com/own/team/image:1"),
        ("localhost/image:1", "localhost/image:1"),
        ("ghcr.io/grafana/grafana-operator", "ghcr.io/grafana/grafana-operator"),
    ],
)
def test_an_image_comes_from_the_mirror_of_its_registry(image: str, expected: str) -> None:
    assert mirrored(image, RULES) == expected


def test_without_a_mirror_an_image_stays_as_it_was_written() -> None:
    assert mirrored("kserve/agent", {}) == "kserve/agent"
    assert Mirror().image("python:3.12") == "python:3.12"


def test_a_chart_repository_is_replaced_with_or_without_its_last_slash() -> None:
    mirror = Mirror.model_validate({"charts": {"https://kuadrant.io/helm-charts": "oci://mirror.example.com/charts"}})
    assert mirror.chart_repository("https://kuadrant.io/helm-charts/") == "oci://mirror.example.com/charts"
    assert mirror.chart_repository("https://charts.jetstack.io") == "https://charts.jetstack.io"
