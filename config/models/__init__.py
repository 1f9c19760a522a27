"""The model catalogue, in modules by subject; this is what the rest of the project reads of it."""

from config.models.catalogue import Model, Models, Resources, host_label
from config.models.gpu import Gpu, Toleration
from config.models.profiles import PROFILES
from config.models.runtimes import Runtime

__all__ = ["PROFILES", "Gpu", "Model", "Models", "Resources", "Runtime", "Toleration", "host_label"]
