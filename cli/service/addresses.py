"""What a command line says of where to connect, and whom to trust there."""

import ssl
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from cli.exits import Exit, MaasError


def address(option: str, url: str) -> SplitResult:
    """The parts of an address.

    Args:
        option: Where it was said.
        url: Such as `https://203.0.113.7:8443`.

    Raises:
        MaasError: It is none.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise MaasError(f"{option} {url}: no address ({error})", code=Exit.USAGE) from error
    if not good:
        raise MaasError(f"{option} {url}: not an address that begins with http:// or https://", code=Exit.USAGE)
    return parts


def trusting(option: str, authority: Path) -> ssl.SSLContext:
    """TLS that trusts an authority.

    Args:
        option: Where it was said.
        authority: PEM file.

    Raises:
        MaasError: It cannot be read, or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=str(authority))
    except OSError as error:  # what OpenSSL says of a file is one, too
        why = "no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise MaasError(f"{option} {authority}: {why}", code=Exit.USAGE) from error
