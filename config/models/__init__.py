"""The model catalogue, in modules by subject; this is what the rest of the project reads of it."""

from config.models.catalogue import Model, Models, Resources, host_label
from config.models.gpu import Gpu, Toleration, Vendor
from config.models.profiles import PROFILES
from config.models.runtimes import Api, Runtime
from config.models.scaling import Autoscaling, Rollout
from config.models.sources import Scheme
from config.models.storage import Cache

__all__ = [
    "PROFILES",
    "Api",
    "Autoscaling",
    "Cache",
    "Gpu",
    "Model",
    "Models",
    "Resources",
    "Rollout",
    "Runtime",
    "Scheme",
    "Toleration",
    "Vendor",
    "host_label",
]
