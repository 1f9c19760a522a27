"""Identities that a sandbox's API server believes: client certificates of its own CA."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def client_certificate(pki: Path, name: str, groups: tuple[str, ...] = (), *, days: int = 1) -> dict[str, str]:
    """A kubeconfig's `user`.

    Args:
        pki: The folder with the CA's certificate and key.
        name: The user's name.
        groups: The user's groups.
        days: How long it is valid from now on; with a negative number it has expired so long ago.
    """
    authority = x509.load_pem_x509_certificate((pki / "ca.crt").read_bytes())
    issuer = cast("rsa.RSAPrivateKey", serialization.load_pem_private_key((pki / "ca.key").read_bytes(), None))
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
    end = now + timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, end) - timedelta(days=1))
        .not_valid_after(end)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(issuer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "client-certificate-data": base64.b64encode(certificate.public_bytes(pem)).decode(),
        "client-key-data": base64.b64encode(plain).decode(),
    }
