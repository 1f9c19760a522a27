"""Made-up states, as the engine writes them."""

from typing import Any

PASSPHRASE = "only-a-test"  # noqa: S105 - of nothing
# Written by the engine for that passphrase.
SALT = "v1:mcJPU3EIKck=:v1:wNBzaHBv2uatOush:q0qU2vN4Tsez+3ZyR8iQCFmdrj2afQ=="


def urn(name: str, kind: str = "kubernetes:core/v1:ConfigMap") -> str:
    return f"urn:pulumi:dev::maas::{kind}::{name}"


STACK = {"urn": urn("maas-dev", "pulumi:pulumi:Stack"), "type": "pulumi:pulumi:Stack"}
PROVIDER = {"urn": urn("k", "pulumi:providers:kubernetes"), "type": "pulumi:providers:kubernetes", "id": "1"}


def resource(name: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a resource has
    own = {"urn": urn(name), "type": "kubernetes:core/v1:ConfigMap", "parent": STACK["urn"]}
    return {**own, "provider": f"{PROVIDER['urn']}::1", **fields}


def export(*names: str, time: str = "2026-01-01T00:00:00Z", salt: str = SALT) -> dict[str, Any]:
    resources = [{**STACK}, {**PROVIDER}, *(resource(name) for name in names)]
    sealing = {"type": "passphrase", "state": {"salt": salt}}
    return {
        "version": 3,
        "deployment": {"manifest": {"time": time}, "secrets_providers": sealing, "resources": resources},
    }
