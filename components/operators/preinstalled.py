"""An operator that is there already."""

import pulumi

from components.layer import Site
from components.operators.catalogue import Declaration
from components.operators.installation import Installation


class Preinstalled(Installation):
    """An operator that the cluster's owner has installed: nothing to create, nothing to delete."""

    def __init__(self, declaration: Declaration, site: Site, opts: pulumi.ResourceOptions) -> None:
        super().__init__(declaration.name, site, opts)
        self.register_outputs({})
