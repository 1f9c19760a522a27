"""The identity layer: a Secret for each API key, from the stack or by way of the External Secrets operator."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi

from components.layer import PREFIX, STACK_LABEL, Layer, Site, short_hash, wait_for
from components.objects import CustomResource, Secret
from config.identity import ApiKeySource, KeyBackend, User
from config.settings import Settings

GROUPS_ANNOTATION = "kuadrant.io/groups"
"""Kuadrant's own name for the groups of a key's owner; here, the tier."""
USER_ANNOTATION = "secret.kuadrant.io/user-id"
TEAM_ANNOTATION = f"{PREFIX}/team"
COST_CENTRE_ANNOTATION = f"{PREFIX}/cost-centre"
MODELS_ANNOTATION = f"{PREFIX}/models"
"""Names of the models that the owner may call, with commas between; empty for all that the tier allows."""
EXPIRES_ANNOTATION = f"{PREFIX}/expires"
"""When the key ends, RFC 3339 in UTC; empty for never."""
USER_LABEL = f"{PREFIX}/user"
KIND_LABEL = f"{PREFIX}/user-kind"
KEY_PROPERTY = "api_key"
"""Where in a Secret Authorino looks for the key."""
AUTHORINO_LABEL = {"authorino.kuadrant.io/managed-by": "authorino"}
"""Without it Authorino would notice neither new nor deleted keys."""
_CREDENTIAL_LABEL = f"{PREFIX}/credential"
_SLOTS = ("", "previous")
"""What the names of a user's first and second key have more."""


def key_labels(stack: str) -> dict[str, str]:
    """The labels by which Authorino finds this stack's keys, and only them."""
    return {_CREDENTIAL_LABEL: "api-key", STACK_LABEL: stack}


def key_selector(source: ApiKeySource, stack: str) -> dict[str, str]:
    """The labels of the Secrets that hold API keys, whoever makes them: what the AuthPolicy has to look for."""
    return dict(source.selector) if source.backend is KeyBackend.EXISTING else key_labels(stack)


def key_annotations(name: str, user: User, expires: str | None) -> dict[str, str]:
    """What a key says of its owner. Every annotation is always there, so that no expression misses one."""
    return {
        USER_ANNOTATION: name,
        GROUPS_ANNOTATION: user.tier,
        TEAM_ANNOTATION: user.team,
        COST_CENTRE_ANNOTATION: user.cost_centre,
        MODELS_ANNOTATION: ",".join(user.models or ()),
        EXPIRES_ANNOTATION: expires or "",
    }


def key_secret_name(name: str, annotations: Mapping[str, str], slot: int = 0) -> str:
    """Name of the Secret that holds a user's key: another one when what it says of its owner is another.

    Authorino (0.25, `AddK8sSecretBasedIdentity`) keeps what it first read of a Secret until the key in it is another,
    so a new tier or expiry would not be noticed. A Secret of another name is. Users' names have no dots, so that no two
    Secrets get one name.
    """
    mark = short_hash(json.dumps(dict(annotations), sort_keys=True))[:8]
    return ".".join(part for part in (f"maas-key-{name}", _SLOTS[slot], mark) if part)


def key_names(settings: Settings, name: str) -> list[str]:
    """Names of the Secrets with a user's keys, as far as the stack makes them; the current key's first."""
    user = settings.users[name]
    match settings.identity.api_keys.backend:
        case KeyBackend.STACK:
            ends = [key.ends(user) for key in settings.api_keys.get(name, ())]
        case KeyBackend.EXTERNAL_SECRETS:
            ends = [user.expires]
        case KeyBackend.EXISTING:
            ends = []
    return [key_secret_name(name, key_annotations(name, user, end), slot) for slot, end in enumerate(ends)]


def key_secret_labels(name: str, user: User, selector: Mapping[str, str]) -> dict[str, str]:
    """The labels of a key's Secret: those by which Authorino finds it (`key_selector`), and whose it is."""
    return {
        **user.labels,
        **AUTHORINO_LABEL,
        USER_LABEL: name,
        KIND_LABEL: user.kind.value,
        **selector,
    }


def external_secret_spec(
    source: ApiKeySource, user: str, name: str, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> dict[str, Any]:
    """Body of the ExternalSecret (external-secrets.io/v1) that makes the Secret of a user's key out of a store.

    Args:
        source: which store, and which entry in it.
        user: whose key it is.
        name: name of the Secret.
        labels: of the Secret.
        annotations: of the Secret.
    """
    if source.store is None:
        raise ValueError("no store: the configuration lets this through only with another backend")
    remote = {"key": source.entry(user)} | ({"property": source.remote_property} if source.remote_property else {})
    return {
        "refreshInterval": source.refresh,
        "secretStoreRef": {"name": source.store.name, "kind": source.store.kind},
        "target": {
            "name": name,
            # The Secret goes with this object: a user that is taken out cannot call any longer.
            "creationPolicy": "Owner",
            "deletionPolicy": "Delete",
            "template": {
                "type": "Opaque",
                "metadata": {"labels": dict(labels), "annotations": dict(annotations)},
            },
        },
        "data": [{"secretKey": KEY_PROPERTY, "remoteRef": remote}],
    }


class Identity(Layer):
    """The users' API keys in Kuadrant's namespace: Authorino reads them there, and no other namespace can add one.

    When what a key says of its owner changes, its Secret is replaced, and the old one deleted first. With both at once,
    an Authorino that starts meanwhile may have read the old one last, and would drop the key for good when that goes.
    So the user gets 401 for a moment.
    """

    def __init__(self, site: Site, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("identity", site, opts)
        self._where = site.settings.platform.kuadrant.namespace
        match site.settings.identity.api_keys.backend:
            case KeyBackend.STACK:
                self._secrets()
            case KeyBackend.EXTERNAL_SECRETS:
                self._external_secrets()
            case KeyBackend.EXISTING:
                pass
        self.register_outputs({})

    def _secrets(self) -> None:
        for name, keys in sorted(self.settings.api_keys.items()):
            user = self.settings.users[name]
            older: list[pulumi.Resource] = []
            for slot, key in reversed(list(enumerate(keys))):
                annotations = key_annotations(name, user, key.ends(user))
                secret = Secret(
                    ".".join(part for part in (f"key-{name}", _SLOTS[slot]) if part),
                    metadata=self.metadata(
                        key_secret_name(name, annotations, slot),
                        self._where,
                        labels_too=self._labels(name, user),
                        annotations=annotations,
                    ),
                    type="Opaque",
                    string_data=pulumi.Output.secret({KEY_PROPERTY: key.key.get_secret_value()}),
                    opts=self.options(depends_on=older, delete_before_replace=True),
                )
                # In a rotation, the key gets a Secret as the previous one before its own is given the new key.
                older = [secret]

    def _external_secrets(self) -> None:
        source = self.settings.identity.api_keys
        for name, user in sorted(self.settings.users.items()):
            annotations = key_annotations(name, user, user.expires)
            secret = key_secret_name(name, annotations)
            CustomResource(
                f"key-{name}",
                api_version="external-secrets.io/v1",
                kind="ExternalSecret",
                metadata=self.metadata(secret, self._where, annotations=wait_for("condition=Ready")),
                spec=external_secret_spec(source, name, secret, self._labels(name, user), annotations),
                opts=self.options(delete_before_replace=True, ready_within=self.settings.timeouts.external_secret),
            )

    def _labels(self, name: str, user: User) -> dict[str, str]:
        return key_secret_labels(name, user, key_labels(self.site.stack))
