"""What all ways of installing have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.layer import PART_OF, Site, labels, object_metadata

LAYER = "operators"


class Installation(pulumi.ComponentResource):
    """An operator's own objects. Its class is the way of installing: maas:operators:HelmRelease."""

    def __init__(self, name: str, site: Site, opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(f"{PART_OF}:{LAYER}:{type(self).__name__}", name, None, opts)
        self.site = site

    def metadata(
        self, name: pulumi.Input[str], namespace: str | None = None, annotations: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Metadata with explicit name and namespace (None: the object is cluster-scoped) and the labels of ours."""
        return object_metadata(name, namespace, labels(LAYER, self.site.stack), annotations)

    def options(
        self, depends_on: Sequence[pulumi.Resource] = (), *, retain_on_delete: bool = False
    ) -> pulumi.ResourceOptions:
        """Options of an object of this installation, ready within the stack's time limit for operators."""
        timeouts = self.site.settings.timeouts
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=list(depends_on),
            custom_timeouts=pulumi.CustomTimeouts(
                create=timeouts.operator, update=timeouts.operator, delete=timeouts.delete
            ),
            retain_on_delete=retain_on_delete,
        )
