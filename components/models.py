"""The models layer: serving runtimes, InferenceServices and the routes that lead to them."""

from pathlib import Path
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ConfigMap

from components.gateway import GATEWAY_API, parent_ref
from components.layer import PREFIX, Layer, Site, short_hash, wait_for
from components.platform import MODEL_ACCOUNT
from components.routes import ACCEPTED, RESOLVED, model_route_spec
from config.mirror import Mirror
from config.models import Model, Runtime
from config.platform import Profile
from config.versions import SIMULATOR_IMAGE, VLLM_IMAGE

SIMULATOR_FILE = Path(__file__).parent.parent / "simulator" / "maas_simulator.py"
SIMULATOR_SCRIPT = "maas-simulator"
"""ConfigMap with the simulator's one file."""
PORT = 8080
PORT_NAME = "http"
_SERVICE_PORT = 80  # the port of the Service that KServe makes for a predictor

_SERVING = "serving.kserve.io"
_USER_ID = 1000
_PROBE: dict[str, Any] = {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 10, "timeoutSeconds": 5}


def runtime_name(runtime: Runtime) -> str:
    """Name of the ServingRuntime for a runtime."""
    return f"maas-{runtime.value}"


def security_context(profile: Profile) -> dict[str, Any]:
    """What the pod security standard `restricted` asks for.

    Both images start as root unless told otherwise. OpenShift gives each namespace its own user ids and refuses others.
    """
    user = {} if profile is Profile.OPENSHIFT else {"runAsUser": _USER_ID}
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        **user,
    }


def serving_runtime_spec(runtime: Runtime, profile: Profile, script_hash: str) -> dict[str, Any]:
    """Body of a ServingRuntime (serving.kserve.io/v1alpha1)."""
    security = security_context(profile)
    spec = _vllm_runtime(security) if runtime is Runtime.VLLM else _simulator_runtime(security, script_hash)
    spec["supportedModelFormats"] = [{"name": runtime.value, "version": "1"}]
    return spec


def pulled(spec: dict[str, Any], mirror: Mirror) -> dict[str, Any]:
    """A ServingRuntime's body with images and pull secret as the cluster's mirror wants them."""
    containers = [{**each, "image": mirror.image(each["image"])} for each in spec["containers"]]
    secrets = {"imagePullSecrets": [{"name": mirror.pull_secret}]} if mirror.pull_secret else {}
    return {**spec, "containers": containers, **secrets}


def _vllm_runtime(security: dict[str, Any]) -> dict[str, Any]:
    return {
        "containers": [
            {
                "name": "kserve-container",
                "image": VLLM_IMAGE,
                "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
                # Streamed answers carry usage only when forced to; without it, streamed tokens are not counted.
                "args": ["--model=/mnt/models", f"--port={PORT}", "--enable-force-include-usage"],
                "env": [
                    # The image's home is not writable for every user id, and one without a name has no getpwuid().
                    {"name": "USER", "value": "vllm"},
                    *(
                        {"name": name, "value": f"/tmp/{folder}"}  # noqa: S108 - inside the container
                        for name, folder in (
                            ("HOME", "home"),
                            ("HF_HOME", "hf"),
                            ("XDG_CACHE_HOME", "cache"),
                            ("TRITON_CACHE_DIR", "triton"),
                            ("TORCHINDUCTOR_CACHE_DIR", "inductor"),
                            ("VLLM_CACHE_ROOT", "vllm"),
                        )
                    ),
                ],
                "ports": [{"containerPort": PORT, "name": PORT_NAME, "protocol": "TCP"}],
                "securityContext": security,
                "startupProbe": {**_PROBE, "failureThreshold": 180},  # half an hour to load the weights
                "readinessProbe": _PROBE,
                "livenessProbe": {**_PROBE, "periodSeconds": 30, "failureThreshold": 5},
                "volumeMounts": [
                    {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - inside the container
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - inside the container
                ],
            }
        ],
        "volumes": [
            # Tensor parallel workers talk through shared memory; the container default of 64 MiB is too little.
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _simulator_runtime(security: dict[str, Any], script_hash: str) -> dict[str, Any]:
    return {
        # A changed script is a new hash, which rolls the pods.
        "annotations": {f"{PREFIX}/script-hash": script_hash},
        "containers": [
            {
                "name": "kserve-container",
                "image": SIMULATOR_IMAGE,
                "command": ["python3", "/simulator/maas_simulator.py"],
                "args": ["--host=0.0.0.0", f"--port={PORT}", "--enable-force-include-usage"],
                "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
                "ports": [{"containerPort": PORT, "name": PORT_NAME, "protocol": "TCP"}],
                "securityContext": {**security, "readOnlyRootFilesystem": True},
                "readinessProbe": _PROBE,
                "livenessProbe": {**_PROBE, "periodSeconds": 30},
                "volumeMounts": [{"name": "simulator", "mountPath": "/simulator", "readOnly": True}],
            }
        ],
        "volumes": [{"name": "simulator", "configMap": {"name": SIMULATOR_SCRIPT}}],
    }


def inference_service_spec(model: Model, served_name: str, mirror: Mirror = Mirror()) -> dict[str, Any]:  # noqa: B008 - frozen
    """Body of an InferenceService (serving.kserve.io/v1beta1)."""
    amounts: dict[str, str] = {"cpu": model.resources.cpu, "memory": model.resources.memory}
    if model.gpu is not None:
        amounts[model.gpu.resource] = str(model.gpu.count)
    serving: dict[str, Any] = {
        "modelFormat": {"name": model.runtime.value, "version": "1"},
        "runtime": runtime_name(model.runtime),
        "args": model_args(model, served_name),
        "resources": {"requests": amounts, "limits": amounts},
    }
    if model.source is not None:
        serving["storageUri"] = model.source
    if model.image is not None:
        serving["image"] = mirror.image(model.image)
    predictor: dict[str, Any] = {
        "minReplicas": model.replicas,
        "maxReplicas": model.replicas,
        "serviceAccountName": MODEL_ACCOUNT,
        "automountServiceAccountToken": False,
        "model": serving,
    }
    if model.gpu is not None:
        predictor["nodeSelector"] = dict(model.gpu.node_selector)
        predictor["tolerations"] = [each.model_dump(exclude_none=True) for each in model.gpu.tolerations]
    return {"predictor": predictor}


def model_args(model: Model, served_name: str) -> list[str]:
    """The runtime's arguments for one model; the user's own come last, so that they win."""
    args = [f"--served-model-name={served_name}"]
    if model.max_length is not None:
        args.append(f"--max-model-len={model.max_length}")
    if model.memory_utilisation is not None:
        args.append(f"--gpu-memory-utilization={model.memory_utilisation}")
    if model.max_sequences is not None:
        args.append(f"--max-num-seqs={model.max_sequences}")
    if model.gpu is not None and model.gpu.count > 1:
        args.append(f"--tensor-parallel-size={model.gpu.count}")
    return [*args, *model.args]


def predictor_service(model: str) -> str:
    """Name of the Service that KServe makes for a model in raw deployment mode."""
    return f"{model}-predictor"


class Models(Layer):
    """Every model of the catalogue, ready, and then routed."""

    def __init__(
        self, site: Site, *, routes_after: pulumi.Resource, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Create the models.

        Args:
            site: the stack.
            routes_after: what must hold before callers can reach a model: the policies.
            opts: options of the layer.
        """
        super().__init__("models", site, opts)
        self._routes_after = routes_after
        script = SIMULATOR_FILE.read_text(encoding="utf-8")
        script_hash = short_hash(script)
        profile = site.settings.platform.profile
        runtimes: dict[Runtime, CustomResource] = {}
        for runtime in sorted({model.runtime for model in site.settings.models.values()}):
            files = [self._script(script)] if runtime is Runtime.SIMULATOR else []
            spec = pulled(serving_runtime_spec(runtime, profile, script_hash), site.settings.mirror)
            runtimes[runtime] = self._runtime(runtime, spec, files)
        for name, model in sorted(site.settings.models.items()):
            self._route(name, self._service(name, model, runtimes[model.runtime]))
        self.register_outputs({})

    def _script(self, script: str) -> ConfigMap:
        return ConfigMap(
            SIMULATOR_SCRIPT,
            metadata=self.metadata(SIMULATOR_SCRIPT, self.namespace),
            data={SIMULATOR_FILE.name: script},
            opts=self.options(),
        )

    def _runtime(self, runtime: Runtime, spec: dict[str, Any], files: list[ConfigMap]) -> CustomResource:
        return CustomResource(
            f"runtime-{runtime.value}",
            api_version=f"{_SERVING}/v1alpha1",
            kind="ServingRuntime",
            metadata=self.metadata(runtime_name(runtime), self.namespace),
            spec=spec,
            opts=self.options(depends_on=files),
        )

    def _service(self, name: str, model: Model, runtime: CustomResource) -> CustomResource:
        return CustomResource(
            f"model-{name}",
            api_version=f"{_SERVING}/v1beta1",
            kind="InferenceService",
            metadata=self.metadata(
                name,
                self.namespace,
                # KServe makes no route of its own: that would be a way around our hosts and paths.
                labels_too={"networking.kserve.io/visibility": "cluster-local"},
                annotations={f"{_SERVING}/deploymentMode": "RawDeployment", **wait_for("condition=Ready")},
            ),
            spec=inference_service_spec(model, self.settings.served_name(name), self.settings.mirror),
            opts=self.options(depends_on=[runtime], ready_within=self.settings.timeouts.model),
        )

    def _route(self, name: str, service: CustomResource) -> None:
        CustomResource(
            f"route-{name}",
            api_version=GATEWAY_API,
            kind="HTTPRoute",
            metadata=self.metadata(name, self.namespace, annotations=wait_for(ACCEPTED, RESOLVED)),
            spec=model_route_spec(
                parent_ref(self.settings), self.settings.host(name), predictor_service(name), _SERVICE_PORT
            ),
            # The Service behind the route exists once the model is ready.
            opts=self.options(depends_on=[service, self._routes_after], ready_within=self.settings.timeouts.route),
        )
