"""Whether a passphrase is the one that a state was encrypted with.

The engine keeps a proof beside what it encrypts: `v1:<salt>:v1:<nonce>:<the word "pulumi", encrypted>`; the key is
PBKDF2 of the passphrase (pulumi/pulumi, sdk/go/common/resource/config/crypt.go and pkg/secrets/passphrase).
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VARIABLE, _FILE_VARIABLE = "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"
_ITERATIONS, _KEY_BYTES = 1_000_000, 32
_PROOF = b"pulumi"
_PARTS = 5


def fits(passphrase: str, salt: str) -> bool:
    """Whether a passphrase is the one of a proof; takes a quarter of a second.

    Raises:
        ValueError: It is no proof of a version that is known here.
    """
    parts = salt.split(":")
    if len(parts) != _PARTS or (parts[0], parts[2]) != ("v1", "v1"):
        raise ValueError("not a proof of a passphrase as the engine writes it")
    drops, nonce, sealed = (base64.b64decode(parts[number]) for number in (1, 3, 4))
    key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), drops, _ITERATIONS, _KEY_BYTES)
    try:
        return AESGCM(key).decrypt(nonce, sealed, None) == _PROOF
    except InvalidTag:
        return False


def given(environment: Mapping[str, str]) -> str | None:
    """The passphrase that the engine would take; None where there is none, or its file is missing.

    Args:
        environment: What the engine gets beside our own environment.
    """
    seen = {**os.environ, **environment}
    if seen.get(_VARIABLE) is not None:
        return seen[_VARIABLE]
    named = seen.get(_FILE_VARIABLE)
    try:
        return Path(named).read_text(encoding="utf-8").strip() if named else None
    except OSError:
        return None
