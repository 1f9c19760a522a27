"""An identity provider of the stack's own, for development: Keycloak with one realm."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from config.model import Model
from config.problems import RefusalError
from config.values import DnsLabel, Duration, Quantity

KEYCLOAK_PORT = 8080
ISSUER = "keycloak"
"""Its name below `maas:identity.oidc`."""


class KeycloakUser(Model):
    """Somebody who can sign in. The password is random."""

    tier: str
    """Through the group `maas-<tier>`."""
    team: str = ""
    """For reports."""


def _somebody(value: dict[str, KeycloakUser]) -> dict[str, KeycloakUser]:
    if not value:
        raise RefusalError("nobody could sign in", allowed="users by name", fix="{alice: {tier: free}}")
    return value


class Keycloak(Model):
    """Keycloak as one pod that begins anew with its realm each time it starts: for development only."""

    install: Literal["managed"] = "managed"
    """The only way."""
    namespace: DnsLabel = "keycloak"
    """Made by the stack, nobody else's."""
    realm: DnsLabel = "maas"
    """Its name."""
    client: DnsLabel = "maas-cli"
    """The application that asks for tokens: `./maas token`."""
    audience: DnsLabel = "maas"
    """What tokens are for (`aud`)."""
    lifetime: Duration = "5m"
    """Of a token."""
    cpu: Quantity = "500m"
    """Set aside for its pod."""
    memory: Quantity = "1Gi"
    """Set aside for its pod."""
    users: Annotated[dict[DnsLabel, KeycloakUser], AfterValidator(_somebody)]
    """Who can sign in, by name; passwords are random."""

    @property
    def host(self) -> str:
        """Its Service's name and port, which is how tokens name it, wherever it is called from."""
        return f"keycloak.{self.namespace}.svc.cluster.local:{KEYCLOAK_PORT}"

    @property
    def issuer_url(self) -> str:
        """What tokens name in `iss`."""
        return f"http://{self.host}/realms/{self.realm}"

    @property
    def groups(self) -> dict[str, str]:
        """The realm's groups, and the tier of each."""
        return {f"maas-{tier}": tier for tier in sorted({user.tier for user in self.users.values()})}

    def issuer(self) -> dict[str, Any]:
        """How `maas:identity.oidc` would have it."""
        return {
            "issuerUrl": self.issuer_url,
            "audiences": [self.audience],
            "clients": [self.client],
            "claims": {"user": "preferred_username", "groups": "groups", "team": "team"},
            "groups": self.groups,
            # Inside of the cluster, between pods that NetworkPolicies name.
            "allowHttp": True,
        }
