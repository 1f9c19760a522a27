"""The cluster layer: the one provider that every object goes through."""

import pulumi
import pulumi_kubernetes as kubernetes

from components.layer import Layer, Site


class Cluster(Layer):
    """The connection to the stack's cluster."""

    provider: kubernetes.Provider
    """Credentials come from KUBECONFIG or ~/.kube/config when the program runs; none are kept in the state."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("cluster", site, opts)
        cluster = site.settings.cluster
        self.provider = kubernetes.Provider(
            "kubernetes",
            context=cluster.context or None,
            # Without it a renewed certificate or a moved API server would mean "replace everything".
            cluster_identifier=cluster.identifier or site.stack,
            # A changed tier or script is an update of the same object, not a new one in its place.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            # After a killed run an object may exist that the state does not know of: it is taken over, not refused.
            upsert_existing_objects=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
