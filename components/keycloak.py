"""The Keycloak layer: an identity provider for development, made by realm import. Off unless the stack asks for it.

It keeps nothing: each start of its pod imports the realm anew, so the realm is what the stack says. Passwords are drawn
by the program and kept by the state (docs/architecture.md); the realm names them by variables of the pod's environment.
"""

import json
import secrets
from typing import Any

import pulumi

from components.isolation import keycloak_policy
from components.layer import PREFIX, Layer, Site, short_hash
from components.models.runtimes.container import security_context
from components.objects import ConfigMap, Deployment, Namespace, NetworkPolicy, Secret, Service, ServiceAccount
from config.keycloak import KEYCLOAK_PORT, Keycloak
from config.mirror import Mirror
from config.platform import Profile
from config.values import window_seconds
from config.versions import KEYCLOAK_IMAGE

KEYCLOAK = "keycloak"
PODS = {"app.kubernetes.io/name": KEYCLOAK}
PASSWORD = "password"  # noqa: S105 - the name of a key
_ADMIN = "maas-keycloak-admin"
_REALM_FILE, _REALM_FOLDER = "realm.json", "/opt/keycloak/data/import"
_MANAGEMENT_PORT = 9000
_PASSWORD_BYTES = 24


def user_secret(user: str) -> str:
    """Name of the Secret with a user's password."""
    return f"maas-keycloak-user-{user}"


def password_variable(user: str) -> str:
    """The variable that the realm takes a user's password from."""
    return "MAAS_PASSWORD_" + user.upper().replace("-", "_")


def realm(keycloak: Keycloak) -> dict[str, Any]:
    """The realm as Keycloak imports it: a group per tier, users in them, one application that may ask for tokens.

    Passwords are placeholders for variables, which Keycloak fills in when it imports.
    """
    mappers = [
        _mapper("audience", "oidc-audience-mapper", {"included.custom.audience": keycloak.audience}),
        _mapper("groups", "oidc-group-membership-mapper", {"claim.name": "groups", "full.path": "false"}),
        _mapper(
            "team",
            "oidc-usermodel-attribute-mapper",
            {"user.attribute": "team", "claim.name": "team", "jsonType.label": "String"},
        ),
    ]
    client = {
        "clientId": keycloak.client,
        "enabled": True,
        "protocol": "openid-connect",
        "publicClient": True,
        "standardFlowEnabled": False,
        "directAccessGrantsEnabled": True,
        "fullScopeAllowed": False,
        "attributes": {"oauth2.device.authorization.grant.enabled": "true"},
        "protocolMappers": mappers,
    }
    return {
        "realm": keycloak.realm,
        "enabled": True,
        "sslRequired": "none",
        "registrationAllowed": False,
        "bruteForceProtected": True,
        "accessTokenLifespan": window_seconds(keycloak.lifetime),
        "groups": [{"name": name} for name in keycloak.groups],
        "clients": [client],
        "users": [_user(name, user.tier, user.team) for name, user in sorted(keycloak.users.items())],
        # Without it Keycloak drops attributes that its own profile of a user does not know.
        "components": {
            "org.keycloak.userprofile.UserProfileProvider": [
                {
                    "providerId": "declarative-user-profile",
                    "subComponents": {},
                    "config": {"kc.user.profile.config": [json.dumps(_PROFILE)]},
                }
            ]
        },
    }


_PROFILE = {
    "attributes": [{"name": name} for name in ("username", "email", "firstName", "lastName")],
    "unmanagedAttributePolicy": "ADMIN_EDIT",
}


def _mapper(name: str, kind: str, config: dict[str, str]) -> dict[str, Any]:
    everywhere = {"access.token.claim": "true", "id.token.claim": "false", "userinfo.token.claim": "false"}
    return {
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": kind,
        "config": {**everywhere, **config},
    }


def _user(name: str, tier: str, team: str) -> dict[str, Any]:
    return {
        "username": name,
        "enabled": True,
        # A user without these has to fill them in at the first sign-in, which a password alone cannot.
        "email": f"{name}@example.com",
        "emailVerified": True,
        "firstName": name,
        "lastName": name,
        "groups": [f"/maas-{tier}"],
        "attributes": {"team": [team]} if team else {},
        "credentials": [{"type": "password", "value": f"${{{password_variable(name)}}}", "temporary": False}],
    }


def keycloak_spec(keycloak: Keycloak, profile: Profile, mirror: Mirror, realm_hash: str) -> dict[str, Any]:
    """Body of the Deployment (apps/v1)."""
    probe = {"port": _MANAGEMENT_PORT}
    plain = {
        # Tokens name the issuer so, whichever way a caller came.
        "KC_HOSTNAME": f"http://{keycloak.host}",
        "KC_HTTP_PORT": str(KEYCLOAK_PORT),
        "KC_HEALTH_ENABLED": "true",
        "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
    }
    drawn = {"KC_BOOTSTRAP_ADMIN_PASSWORD": _ADMIN} | {
        password_variable(user): user_secret(user) for user in sorted(keycloak.users)
    }
    container = {
        "name": KEYCLOAK,
        "image": mirror.image(KEYCLOAK_IMAGE),
        "args": ["start-dev", "--import-realm"],
        "env": [
            *({"name": name, "value": value} for name, value in plain.items()),
            *(
                {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": PASSWORD}}}
                for name, secret in drawn.items()
            ),
        ],
        "ports": [{"containerPort": KEYCLOAK_PORT, "name": "http", "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": keycloak.cpu, "memory": keycloak.memory},
            "limits": {"memory": keycloak.memory},
        },
        "securityContext": security_context(profile),
        "startupProbe": {"httpGet": {"path": "/health/started", **probe}, "periodSeconds": 5, "failureThreshold": 60},
        "readinessProbe": {"httpGet": {"path": "/health/ready", **probe}, "periodSeconds": 10},
        "livenessProbe": {"httpGet": {"path": "/health/live", **probe}, "periodSeconds": 30},
        "volumeMounts": [{"name": "realm", "mountPath": _REALM_FOLDER, "readOnly": True}],
    }
    pod: dict[str, Any] = {
        "serviceAccountName": KEYCLOAK,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        "volumes": [{"name": "realm", "configMap": {"name": KEYCLOAK}}],
    }
    if mirror.pull_secret:
        pod["imagePullSecrets"] = [{"name": mirror.pull_secret}]
    return {
        "replicas": 1,
        # Two at once would have two sets of signing keys.
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": dict(PODS)},
        "template": {
            "metadata": {"labels": dict(PODS), "annotations": {f"{PREFIX}/realm-hash": realm_hash}},
            "spec": pod,
        },
    }


def keycloak_service_spec() -> dict[str, Any]:
    """Body of the Service."""
    port = {"name": "http", "port": KEYCLOAK_PORT, "targetPort": KEYCLOAK_PORT, "protocol": "TCP"}
    return {"selector": dict(PODS), "ports": [port]}


class KeycloakServer(Layer):
    """Keycloak in a namespace of its own, ready."""

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("keycloak", site, opts)
        keycloak = site.settings.identity.keycloak
        if keycloak is not None:
            self._server(keycloak)
        self.register_outputs({})

    def _server(self, keycloak: Keycloak) -> None:
        settings, where = self.settings, keycloak.namespace
        levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
        namespace = Namespace(where, metadata=self.metadata(where, labels_too=levels), opts=self.options())
        inside = self.options(depends_on=[namespace])
        needed: list[pulumi.Resource] = [
            ServiceAccount(
                KEYCLOAK,
                metadata=self.metadata(KEYCLOAK, where),
                automount_service_account_token=False,
                opts=inside,
            ),
            *(
                self._password(name, where, namespace)
                for name in (_ADMIN, *(user_secret(user) for user in sorted(keycloak.users)))
            ),
        ]
        content = json.dumps(realm(keycloak), indent=2, sort_keys=True)
        needed += [
            ConfigMap(KEYCLOAK, metadata=self.metadata(KEYCLOAK, where), data={_REALM_FILE: content}, opts=inside),
            Service(
                KEYCLOAK,
                metadata=self.metadata(KEYCLOAK, where),
                spec=keycloak_service_spec(),
                opts=inside,
            ),
        ]
        if settings.platform.network_policies.enabled:
            needed.append(
                NetworkPolicy(
                    "maas-keycloak",
                    metadata=self.metadata("maas-keycloak", where),
                    spec=keycloak_policy(settings, PODS, KEYCLOAK_PORT),
                    opts=inside,
                )
            )
        spec = keycloak_spec(keycloak, settings.platform.profile, settings.mirror, short_hash(content))
        Deployment(
            KEYCLOAK,
            metadata=self.metadata(KEYCLOAK, where),
            spec=spec,
            opts=self.options(depends_on=needed, ready_within=settings.timeouts.operator),
        )

    def _password(self, name: str, where: str, namespace: Namespace) -> Secret:
        return Secret(
            name,
            metadata=self.metadata(name, where),
            type="Opaque",
            string_data=pulumi.Output.secret({PASSWORD: secrets.token_urlsafe(_PASSWORD_BYTES)}),
            opts=self.options(depends_on=[namespace], keeps=["stringData"]),
        )
