"""The identity layer: one Secret for each API key."""

import pulumi
from pulumi_kubernetes.core.v1 import Secret

from components.layer import PREFIX, STACK_LABEL, Layer, Site
from config.identity import User

GROUPS_ANNOTATION = "kuadrant.io/groups"
"""Kuadrant's own name for the groups of a key's owner; here, the tier."""
USER_ANNOTATION = "secret.kuadrant.io/user-id"
TEAM_ANNOTATION = f"{PREFIX}/team"
COST_CENTRE_ANNOTATION = f"{PREFIX}/cost-centre"
_CREDENTIAL_LABEL = f"{PREFIX}/credential"


def key_labels(stack: str) -> dict[str, str]:
    """The labels by which Authorino finds this stack's keys, and only them."""
    return {_CREDENTIAL_LABEL: "api-key", STACK_LABEL: stack}


def key_annotations(name: str, user: User) -> dict[str, str]:
    """What a key says of its owner. Every annotation is always there, so that no expression misses one."""
    return {
        USER_ANNOTATION: name,
        GROUPS_ANNOTATION: user.tier,
        TEAM_ANNOTATION: user.team,
        COST_CENTRE_ANNOTATION: user.cost_centre,
    }


def key_secret_name(user: str) -> str:
    """Name of the Secret that holds a user's key."""
    return f"maas-key-{user}"


class Identity(Layer):
    """The users' API keys in Kuadrant's namespace: Authorino reads them there, and no other namespace can add one."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("identity", site, opts)
        namespace = site.settings.platform.kuadrant.namespace
        for name, key in sorted(site.settings.api_keys.items()):
            Secret(
                f"key-{name}",
                metadata=self.metadata(
                    key_secret_name(name),
                    namespace,
                    # Without Authorino's own label it would notice neither new nor deleted keys.
                    labels_too={"authorino.kuadrant.io/managed-by": "authorino", **key_labels(site.stack)},
                    annotations=key_annotations(name, site.settings.users[name]),
                ),
                type="Opaque",
                string_data=pulumi.Output.secret({"api_key": key.get_secret_value()}),
                opts=self.options(),
            )
        self.register_outputs({})
