"""Where weights are kept between starts."""

from typing import Literal, Self

from pydantic import model_validator

from config.model import Model
from config.problems import RefusalError
from config.values import DnsLabel, DnsName, Quantity


class Cache(Model):
    """A volume that the weights of a Hugging Face model are downloaded to, by vLLM itself."""

    claim: DnsLabel | None = None
    """An existing PersistentVolumeClaim in the platform's namespace."""
    size: Quantity | None = None
    """Of a volume of its own, which goes with the model."""
    storage_class: DnsName | None = None
    """Of that volume; default: the cluster's own."""
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    """Of that volume; several replicas on several nodes need `ReadWriteMany`."""
    ephemeral: bool = False
    """Space of the node (emptyDir) of that size, in place of a volume: it ends with the pod."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.claim is None) == (self.size is None):
            why = "either an existing claim or the size of a new one"
            raise RefusalError(why, allowed="claim: <name>, or size: <quantity>", fix="size: 50Gi")
        if self.claim is not None and (self.ephemeral or self.storage_class):
            why = "an existing claim is as it is"
            raise RefusalError(why, allowed="claim alone, with accessMode", fix="claim alone")
        return self
