"""Every image, chart, catalog and version that this project chooses by itself, in one place."""

# renovate: datasource=docker depName=vllm/vllm-openai
VLLM_IMAGE = "docker.io/vllm/vllm-openai:v0.11.0"

# renovate: datasource=docker depName=public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo
VLLM_CPU_IMAGE = "public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.11.0"

# AMD's own build of the release after: vLLM published none for ROCm at 0.11.0. Raised by hand: tags have no order.
VLLM_ROCM_IMAGE = "docker.io/rocm/vllm:rocm7.0.0_vllm_0.11.1_20251103"

# renovate: datasource=docker depName=ghcr.io/llm-d/llm-d-inference-sim
LLM_D_SIMULATOR_IMAGE = "ghcr.io/llm-d/llm-d-inference-sim:v0.8.2"

# renovate: datasource=docker depName=python
SIMULATOR_IMAGE = "docker.io/library/python:3.12.11-slim-bookworm"

HOUSEKEEPING_IMAGE = SIMULATOR_IMAGE
"""What runs the steps of components/housekeeping: any image with Python 3.11 or newer."""

# Valkey, the Redis that stayed under the BSD licence; the protocol is the same.
# renovate: datasource=docker depName=valkey/valkey
REDIS_IMAGE = "docker.io/valkey/valkey:8.0.2-alpine"

# renovate: datasource=docker depName=quay.io/keycloak/keycloak
KEYCLOAK_IMAGE = "quay.io/keycloak/keycloak:26.3.5"

# renovate: datasource=github-releases depName=kubernetes-sigs/gateway-api
GATEWAY_API_VERSION = "v1.3.0"
GATEWAY_API_MANIFEST = (
    "https://github.com/kubernetes-sigs/gateway-api/releases/download/{version}/standard-install.yaml"
)

# renovate: datasource=helm depName=cert-manager registryUrl=https://charts.jetstack.io
CERT_MANAGER_VERSION = "v1.18.2"
CERT_MANAGER_CHARTS = "https://charts.jetstack.io"

# renovate: datasource=helm depName=istiod registryUrl=https://istio-release.storage.googleapis.com/charts
ISTIO_VERSION = "1.26.2"
ISTIO_CHARTS = "oci://gcr.io/istio-release/charts"
ISTIO_HUB = "gcr.io/istio-release"

# renovate: datasource=docker depName=ghcr.io/kserve/charts/kserve
KSERVE_VERSION = "v0.15.2"
KSERVE_CHARTS = "oci://ghcr.io/kserve/charts"
# What the chart of that release takes by default; named only for a mirror.
# renovate: datasource=docker depName=quay.io/brancz/kube-rbac-proxy
KUBE_RBAC_PROXY_IMAGE = "quay.io/brancz/kube-rbac-proxy:v0.18.0"

# 1.4 still loads its filter as an image that the gateway verifies (WasmPlugin). From 1.5 on the gateway fetches it from
# the operator over plain HTTP, which crashes some releases of Envoy. 1.4.2 is the newest of the line that is a chart
# and a catalog alike, and the first that takes the caller's key off before the model sees it.
# renovate: datasource=helm depName=kuadrant-operator registryUrl=https://kuadrant.io/helm-charts/
KUADRANT_VERSION = "1.4.2"
KUADRANT_CHARTS = "https://kuadrant.io/helm-charts/"
KUADRANT_CATALOG = "quay.io/kuadrant/kuadrant-operator-catalog"
KUADRANT_CHANNEL = "stable"
RHCL_CHANNEL = "stable"
WASM_SHIM_IMAGES = {"1.4.2": "quay.io/kuadrant/wasm-shim:v0.12.1"}
"""The filter that a release of Kuadrant brings; needed to put it back after another one, and to mirror it."""

# renovate: datasource=helm depName=kube-prometheus-stack registryUrl=https://prometheus-community.github.io/helm-charts
PROMETHEUS_STACK_VERSION = "75.15.0"
PROMETHEUS_STACK_CHARTS = "https://prometheus-community.github.io/helm-charts"

# renovate: datasource=docker depName=ghcr.io/grafana/helm-charts/grafana-operator
GRAFANA_OPERATOR_VERSION = "5.24.0"
GRAFANA_OPERATOR_CHARTS = "oci://ghcr.io/grafana/helm-charts"
GRAFANA_OPERATOR_CHANNEL = "v5"

OPENSHIFT_CERT_MANAGER_CHANNEL = "stable-v1"
CERT_MANAGER_CHANNEL = "stable"
