"""Puts a fresh, short-lived token of a ServiceAccount into a Secret. Runs in the cluster, from a CronJob.

Needs nothing but Python. Its own ServiceAccount may do these two things, for those two names, and no other.
"""

import base64
import json
import os
import ssl
import urllib.request
from pathlib import Path
from typing import Any

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SECONDS = 20


def call(method: str, path: str, body: dict[str, Any], content_type: str = "application/json") -> dict[str, Any]:
    """One request to the API server."""
    server = os.environ.get("MAAS_API_SERVER") or "https://kubernetes.default.svc"
    account = Path(os.environ.get("MAAS_ACCOUNT") or _ACCOUNT)
    request = urllib.request.Request(  # noqa: S310 - the API server's own address
        server + path,
        data=json.dumps(body).encode(),
        method=method,
        headers={
            "Authorization": "Bearer " + (account / "token").read_text(encoding="utf-8").strip(),
            "Content-Type": content_type,
        },
    )
    context = ssl.create_default_context(cafile=str(account / "ca.crt"))
    with urllib.request.urlopen(request, timeout=_SECONDS, context=context) as answer:  # noqa: S310
        return json.load(answer)


def rotate(namespace: str, account: str, secret: str, seconds: int) -> str:
    """Make the token and store it; returns when it ends."""
    spec = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
    made = call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", spec)["status"]
    data = {"data": {"token": base64.b64encode(made["token"].encode()).decode()}}
    call("PATCH", f"/api/v1/namespaces/{namespace}/secrets/{secret}", data, "application/merge-patch+json")
    return made["expirationTimestamp"]


if __name__ == "__main__":
    ends = rotate(
        os.environ["MAAS_NAMESPACE"],
        os.environ["MAAS_READER"],
        os.environ["MAAS_SECRET"],
        int(os.environ["MAAS_SECONDS"]),
    )
    print(f"A token until {ends}.")  # noqa: T201 - the pod's log
