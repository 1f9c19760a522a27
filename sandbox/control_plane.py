"""Starts, repairs and stops one sandbox's control plane: etcd and the Kubernetes programs, as processes, by kwokctl."""

import base64
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import psutil
import yaml

from sandbox import processes
from sandbox.instance import LOOPBACK, Sandbox, SandboxError, port_is_free
from sandbox.kubeconfig import Connection, KubeconfigError
from sandbox.progress import Step
from sandbox.tools.files import last_lines, write_whole

TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "kwokctl", "kubectl")
"""What has to be found before a control plane can be started."""
SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.244.0.1/16"
"""Addresses of services and pods, apart from one another (kwokctl's defaults overlap). They exist in objects only: a
request to one would leave this machine by its default route, so nothing here ever sends one."""

GATEWAY = ("sandbox.gateway", "sandbox.gateway.simulators")
"""Modules that run beside the control plane; they outlive a restart of it."""
_COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller")
_POLL_SECONDS = 0.1
_REQUEST_SECONDS = 2.0
_LOG_LINES = 8
_ATTEND_SECONDS = 0.5


def running(sandbox: Sandbox) -> bool:
    """Whether all parts of the control plane are alive and the API server says that it is ready."""
    return not _missing(processes.owned_by(sandbox.folder)) and _ready(sandbox)


def identity_of_kwok(sandbox: Sandbox) -> str:
    """Tells one run of the sandbox's kwok from the next; empty when none is running."""
    for process in processes.owned_by(sandbox.folder):
        if processes.name_of(process) == "kwok-controller":
            return f"{process.pid}-{process.create_time():.2f}"
    return ""


def start(sandbox: Sandbox, tools: Mapping[str, Path], step: Step, *, timeout_seconds: float = 60.0) -> Sandbox:
    """Bring the control plane up from whatever state it is in.

    A cluster that was stopped, lost some of its processes or survived a reboot is started again with its data. One that
    was half created, is of another version, or does not become ready is made anew, on other ports when one of its own
    has been taken.

    Returns:
        The sandbox with its ports.

    Raises:
        SandboxError: It does not become ready; the message has what the programs logged last.
    """
    _end_strays(sandbox)
    wanted = _configuration(sandbox, tools)
    if _complete(sandbox) and _written(sandbox) == wanted and _start_again(sandbox, tools, step, timeout_seconds):
        return sandbox
    stop(sandbox, keep_state=False)
    if not all(port_is_free(port) for port in sandbox.ports.all()):
        sandbox = sandbox.with_new_ports()
    step.update("creating the cluster")
    sandbox.kwok_folder.mkdir(mode=0o700, parents=True)
    write_whole(_configuration_file(sandbox), _configuration(sandbox, tools).encode())
    command = ["create", "cluster", "--config", str(_configuration_file(sandbox)), "--kubeconfig", ""]
    _kwokctl(sandbox, tools, command, timeout_seconds)
    _write_kubeconfig(sandbox)
    _wait_until_ready(sandbox, timeout_seconds, step)
    return sandbox


def _start_again(sandbox: Sandbox, tools: Mapping[str, Path], step: Step, timeout_seconds: float) -> bool:
    """Start what is not running of an existing cluster; False when that does not help.

    Twice, because a process that was about to end when we looked is seen to be missing only then.
    """
    for attempt in ("starting the existing cluster", "starting it once more"):
        step.update(attempt)
        try:
            _refuse_taken_ports(sandbox)
            _forget_dead(sandbox)
            _kwokctl(sandbox, tools, ["start", "cluster"], timeout_seconds)
            _wait_until_ready(sandbox, timeout_seconds, step)
        except SandboxError as error:
            step.update(f"the existing cluster does not start: {error}")
        else:
            return True
    return False


def stop(sandbox: Sandbox, *, keep_state: bool) -> None:
    """End every process of the sandbox, and remove the cluster's data unless `keep_state`.

    The programs that keep nothing are ended first and at once, etcd after them and with time to close its files.
    """
    alive = processes.owned_by(sandbox.folder)
    stateless = [process for process in alive if processes.name_of(process) != "etcd"]
    processes.end(stateless, grace_seconds=1.0 if keep_state else 0.0)
    processes.end(processes.owned_by(sandbox.folder), grace_seconds=5.0 if keep_state else 0.5)
    if not keep_state:
        shutil.rmtree(sandbox.kwok_folder, ignore_errors=True)
        sandbox.kubeconfig.unlink(missing_ok=True)


def _configuration(sandbox: Sandbox, tools: Mapping[str, Path]) -> str:
    """The configuration of kwokctl: every program and port given, so that it neither downloads nor guesses."""
    ports = sandbox.ports
    options = {
        "runtime": "binary",
        "bindAddress": LOOPBACK,
        "etcdBinary": str(tools["etcd"]),
        "kubeApiserverBinary": str(tools["kube-apiserver"]),
        "kubeControllerManagerBinary": str(tools["kube-controller-manager"]),
        "kubeSchedulerBinary": str(tools["kube-scheduler"]),
        "kwokControllerBinary": str(tools["kwok"]),
        "kubectlBinary": str(tools["kubectl"]),
        "etcdPort": ports.etcd,
        "etcdPeerPort": ports.etcd_peer,
        "kubeApiserverPort": ports.api_server,
        "kubeControllerManagerPort": ports.controller_manager,
        "kubeSchedulerPort": ports.scheduler,
        "kwokControllerPort": ports.kwok,
        "disableQPSLimits": True,
        "enableCRDs": ["Stage"],  # the stages are objects in the cluster; this switches kwok's own ones off
    }
    arguments = {
        "etcd": {
            "unsafe-no-fsync": "true",  # survives a kill, not a power cut: then the sandbox is made anew
            "auto-compaction-retention": "1",
        },
        "kube-apiserver": {
            "service-cluster-ip-range": SERVICE_RANGE,
            # The service `kubernetes` gets no endpoint: there is only loopback to name, which Kubernetes refuses.
            "endpoint-reconciler-type": "none",
            "advertise-address": LOOPBACK,
        },
        "kwok-controller": {
            "cidr": POD_RANGE,
            "node-ip": LOOPBACK,  # `kubectl logs` asks the node, which is kwok itself
            # No leases: each kwok has a name of its own, so that one that was killed would hold its nodes against the
            # next one until they run out, for 200 s. Pods there would neither start nor go.
            "node-lease-duration-seconds": "0",
        },
    }
    variables = {
        # Halves the processor time that the CRDs cost, for memory that the API server takes in the long run anyway.
        "kube-apiserver": {"GOGC": "400", "GOMEMLIMIT": "1200MiB"},
    }
    configuration = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokctlConfiguration",
        "options": options,
        "componentsPatches": [
            {
                "name": name,
                "extraArgs": [{"key": key, "value": value} for key, value in arguments.get(name, {}).items()],
                "extraEnvs": [{"name": key, "value": value} for key, value in variables.get(name, {}).items()],
            }
            for name in arguments
        ],
    }
    return yaml.safe_dump(configuration, sort_keys=False)


def _configuration_file(sandbox: Sandbox) -> Path:
    return sandbox.kwok_folder / "kwokctl.yaml"


def _written(sandbox: Sandbox) -> str | None:
    try:
        return _configuration_file(sandbox).read_text(encoding="utf-8")
    except OSError:
        return None


def _complete(sandbox: Sandbox) -> bool:
    """Whether kwokctl finished installing the cluster: it writes its own configuration once before and once after."""
    try:
        documents = yaml.safe_load_all((sandbox.cluster_folder / "kwok.yaml").read_text(encoding="utf-8"))
        names = {
            component["name"] for document in documents if document for component in document.get("components", ())
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return False
    return names.issuperset(_COMPONENTS) and sandbox.kubeconfig.exists()


def _kwokctl(sandbox: Sandbox, tools: Mapping[str, Path], command: Sequence[str], timeout_seconds: float) -> None:
    wait = ["--wait", f"{timeout_seconds:.0f}s", "--timeout", f"{timeout_seconds:.0f}s"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KWOK_", "KUBECONFIG"))}
    environment |= processes.environment_of(sandbox.folder) | {"KWOK_WORKDIR": str(sandbox.kwok_folder)}
    # kwokctl takes kubectl from PATH before it looks at its configuration.
    environment["PATH"] = f"{tools['kubectl'].parent}{os.pathsep}{environment.get('PATH', '')}"
    process = subprocess.Popen(  # noqa: S603  (our own arguments)
        [str(tools["kwokctl"]), "--name", sandbox.cluster, *command, *wait],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C in a terminal must not end the cluster that it starts
    )
    try:
        said = _attend(sandbox, process, command[0], timeout_seconds)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode:
        last = "\n".join(said.strip().splitlines()[-_LOG_LINES:])
        raise SandboxError(_report(sandbox, f"kwokctl {command[0]} failed: {last}"))


def _attend(sandbox: Sandbox, kwokctl: subprocess.Popen[str], doing: str, timeout_seconds: float) -> str:
    """Wait for kwokctl and return what it said. It would wait for the API server even when that, or etcd, has died."""
    deadline = time.monotonic() + timeout_seconds + 15
    suspects: set[str] = set()
    while True:
        try:
            said, _ = kwokctl.communicate(timeout=_ATTEND_SECONDS)
        except subprocess.TimeoutExpired:
            dead = _died(sandbox)
            if dead & suspects:  # twice in a row: it was not just being started
                raise SandboxError(_report(sandbox, f"{', '.join(sorted(dead))} ended right after its start")) from None
            if time.monotonic() > deadline:
                raise SandboxError(_report(sandbox, f"kwokctl {doing} does not end")) from None
            suspects = dead
        else:
            return said


def _died(sandbox: Sandbox) -> set[str]:
    """Which of the two programs that all others need were started and are not there any more."""
    alive = {processes.name_of(process) for process in processes.owned_by(sandbox.folder)}
    notes = {note.stem for note in (sandbox.cluster_folder / "pids").glob("*.pid")}
    return (notes & {"etcd", "kube-apiserver"}) - alive


def _end_strays(sandbox: Sandbox) -> None:
    """End a kwokctl that outlived the run that started it. Nobody waits for it: the caller holds the lock."""
    known = (*_COMPONENTS, *GATEWAY)
    strays = [p for p in processes.owned_by(sandbox.folder) if processes.name_of(p) not in known]
    processes.end(strays, grace_seconds=0.0)


def _forget_dead(sandbox: Sandbox) -> None:
    """Remove kwokctl's notes of processes that are gone: it would take whoever has the number for its own."""
    alive = {process.pid for process in processes.owned_by(sandbox.folder)}
    for note in (sandbox.cluster_folder / "pids").glob("*.pid"):
        text = note.read_text(encoding="utf-8").strip()
        if not text.isdigit() or int(text) not in alive:
            note.unlink()


def _refuse_taken_ports(sandbox: Sandbox) -> None:
    ours = {port for _, port in processes.listening(processes.owned_by(sandbox.folder))}
    taken = [str(port) for port in sandbox.ports.all() if port not in ours and not port_is_free(port)]
    if taken:
        raise SandboxError(
            f"sandbox {sandbox.name}: something else listens on {LOOPBACK}:{', '.join(taken)} (`ss -ltnp` shows what); "
            "end it and try again, or take the sandbox down and up: it gets other ports"
        )


def _missing(alive: Sequence[psutil.Process]) -> list[str]:
    names = {processes.name_of(process) for process in alive}
    return [name for name in _COMPONENTS if name not in names]


def _ready(sandbox: Sandbox) -> bool:
    try:
        connection = Connection.read(sandbox.kubeconfig)
        answer = httpx.get(
            f"{connection.server}/readyz", verify=connection.tls, timeout=_REQUEST_SECONDS, trust_env=False
        )
    except (KubeconfigError, httpx.HTTPError, OSError):
        return False
    return answer.is_success


def _wait_until_ready(sandbox: Sandbox, timeout_seconds: float, step: Step) -> None:
    """Look for ourselves: that its own wait gave up, kwokctl says in its log only."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        missing = _missing(processes.owned_by(sandbox.folder))
        if missing:  # kwokctl has started all of them: one that is not there has died
            raise SandboxError(_report(sandbox, f"{', '.join(missing)} ended right after the start"))
        if _ready(sandbox):
            return
        if time.monotonic() > deadline:
            raise SandboxError(_report(sandbox, f"the API server is not ready after {timeout_seconds:.0f} s"))
        step.update("waiting for the API server")
        time.sleep(_POLL_SECONDS)


def _write_kubeconfig(sandbox: Sandbox) -> None:
    """Write a kubeconfig that holds its certificates, so that it can be copied anywhere (kwokctl's own names files)."""
    pki = sandbox.cluster_folder / "pki"

    def encoded(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    name = sandbox.cluster
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {"name": name, "cluster": {"server": sandbox.server, "certificate-authority-data": encoded("ca.crt")}}
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [
            {
                "name": name,
                "user": {"client-certificate-data": encoded("admin.crt"), "client-key-data": encoded("admin.key")},
            }
        ],
    }
    write_whole(sandbox.kubeconfig, yaml.safe_dump(kubeconfig, sort_keys=False).encode(), mode=0o600)


def _report(sandbox: Sandbox, what: str) -> str:
    """One error with the end of each program's log."""
    lines = [f"sandbox {sandbox.name}: {what}"]
    for log in sorted((sandbox.cluster_folder / "logs").glob("*.log")):
        lines += [f"  {log}:", *(f"    {line}" for line in last_lines(log, _LOG_LINES))]
    return "\n".join(lines)
