"""Certificates for a double that speaks TLS: a good one, and some that a caller must not take."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Certificate(Enum):
    """What it is, in a few words."""

    GOOD = "signed by the authority, for the domain and for loopback"
    EXPIRED = "ended yesterday"
    OF_ANOTHER_HOST = "for another domain"
    OF_ANOTHER_AUTHORITY = "signed by somebody else"


@dataclass(frozen=True)
class Served:
    """A certificate in use."""

    context: ssl.SSLContext
    """For the server."""
    ca: Path
    """PEM of the authority that callers trust."""


def served(folder: Path, domain: str, kind: Certificate = Certificate.GOOD) -> Served:
    """A certificate for `*.<domain>` with its authority, written to a folder."""
    trusted, key = _authority("Test authority")
    signer = (trusted, key) if kind is not Certificate.OF_ANOTHER_AUTHORITY else _authority("Other authority")
    host = "*.elsewhere.example" if kind is Certificate.OF_ANOTHER_HOST else f"*.{domain}"
    names: list[x509.GeneralName] = [x509.DNSName(host)]
    if kind is not Certificate.OF_ANOTHER_HOST:
        names.append(x509.IPAddress(IPv4Address("127.0.0.1")))
    ends = timedelta(days=-1) if kind is Certificate.EXPIRED else timedelta(days=1)
    own = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        _builder("Test gateway", signer[0].subject, own.public_key(), ends)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(signer[1], SHA256())
    )
    ca, chain = folder / "ca.pem", folder / "server.pem"
    ca.write_bytes(trusted.public_bytes(Encoding.PEM))
    private = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain.write_bytes(private + leaf.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return Served(context, ca)


def _authority(name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    made = _builder(name, _name(name), key.public_key(), timedelta(days=2)).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    return made.sign(key, SHA256()), key


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, ends: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(issuer).public_key(key)
    times = builder.not_valid_before(now - timedelta(days=3)).not_valid_after(now + ends)
    return times.serial_number(x509.random_serial_number())


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
