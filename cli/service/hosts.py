"""Names for a gateway that DNS does not know: lines for a hosts file, or a domain that carries its address."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from cli.exits import Exit, MaasError

LOOPBACK = "127.0.0.1"


def checked_address(text: str) -> str:
    """The address in its usual spelling.

    Raises:
        MaasError: It is none; a hosts file cannot name a host by another name.
    """
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise MaasError(
            f"{text} is no IP address, and a hosts file needs one. A load balancer that has a name only wants a DNS "
            f"record instead (CNAME *.<domain> to {text}), or look its address up: getent hosts {text}",
            code=Exit.USAGE,
        ) from None


def hosts_lines(address: str, endpoints: Iterable[str]) -> list[str]:
    """What to put into /etc/hosts, a line for each host; `endpoints` are URLs."""
    return [f"{address} {host}" for host in sorted({urlsplit(url).hostname or "" for url in endpoints} - {""})]


def wildcard_domain(address: str) -> str:
    """A public domain whose every name below it resolves to the address; empty for IPv6, which it cannot spell.

    nip.io answers for `<anything>.203-0-113-7.nip.io` with 203.0.113.7. It needs a resolver that is allowed to say
    private addresses: some routers keep them back (protection against DNS rebinding).
    """
    return f"{address.replace('.', '-')}.nip.io" if ipaddress.ip_address(address).version == 4 else ""  # noqa: PLR2004


def advice(domain_hosts: Iterable[str], address: str) -> list[str]:
    """What else there is to know about the names."""
    notes: list[str] = []
    if all(host.endswith(".localhost") for host in domain_hosts):
        notes.append("Names below .localhost are this machine: curl and browsers know that without these lines.")
    if domain := wildcard_domain(address):
        notes.append(f"Or without a hosts file: pulumi config set maas:domain {domain}")
    return notes
