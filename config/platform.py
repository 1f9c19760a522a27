"""The cluster: what kind it is, where things live on it, and how each operator got there."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator

from config.model import Model
from config.problems import RefusalError
from config.values import DnsLabel


class Profile(StrEnum):
    """The kind of cluster; it picks defaults, each of which can be overridden."""

    KUBERNETES = "kubernetes"
    OPENSHIFT = "openshift"


class Install(StrEnum):
    """How an operator gets onto the cluster."""

    HELM = "helm"
    OLM = "olm"
    PREINSTALLED = "preinstalled"


AVAILABLE_INSTALLS = frozenset({Install.PREINSTALLED})
"""What the operators layer can do so far. A way of installing joins here when components/operators.py has it."""


def _available(install: Install) -> Install:
    if install not in AVAILABLE_INSTALLS:
        raise RefusalError(
            "this version does not install operators by itself: install it first",
            allowed=", ".join(sorted(AVAILABLE_INSTALLS)),
            fix=Install.PREINSTALLED.value,
        )
    return install


class Operator(Model):
    """An operator that the service stands on."""

    install: Annotated[Install, AfterValidator(_available)] = Install.PREINSTALLED


class KServeOperator(Operator):
    """KServe, which turns InferenceServices into Deployments and Services."""

    namespace: DnsLabel = "kserve"
    """Where its controller runs."""
    configure: bool = True
    """Set the keys `deploy` and `ingress` of its ConfigMap to raw deployments behind our Gateway, and restart the
    controller when they change. Off: the cluster's owner has done so."""


class KuadrantOperator(Operator):
    """Kuadrant, which enforces authentication and limits at the gateway."""

    namespace: DnsLabel = "kuadrant-system"
    """Where the Kuadrant object, Limitador and Authorino live, and the API keys with them."""
    instance: Literal["managed", "existing"] = "managed"
    """`managed`: the Kuadrant object is ours, and goes when the stack goes. `existing`: somebody else's is used."""


class Platform(Model):
    """Where the service runs."""

    profile: Profile = Profile.KUBERNETES
    namespace: DnsLabel = "llm"
    """Holds the gateway, the models and the policies."""
    cert_manager: Operator = Operator()
    service_mesh: Operator = Operator()
    kserve: KServeOperator = KServeOperator()
    kuadrant: KuadrantOperator = KuadrantOperator()
    monitoring: Operator = Operator()
    grafana: Operator = Operator()


class Cluster(Model):
    """Which cluster the stack is for. Credentials stay outside: they come from KUBECONFIG or ~/.kube/config."""

    context: str = ""
    """Context of the kubeconfig; empty means the current one."""
    identifier: str = ""
    """Changing it means another cluster: everything is created anew there. Empty means the stack's name."""
