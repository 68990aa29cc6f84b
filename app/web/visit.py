"""How a request reached us: from which address, for which host, over which scheme.

A proxy's headers count only where the peer is a proxy that was named (FFGRID_TRUSTED_PROXIES). X-Forwarded-Host never
does: a page can set it on requests to its own name, and would talk its way past the list of hosts.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from starlette.requests import HTTPConnection

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True)
class Visit:
    """A request's way here. `host` is the Host header in small letters, or "" where there is not exactly one."""

    address: str
    host: str
    scheme: str

    @property
    def name(self) -> str:
        """The host without its port, or "" where it is none."""
        found = _HOST.fullmatch(self.host)
        return found[1].strip("[]") if found else ""

    @property
    def counted(self) -> str:
        """The address that tries of passwords are counted by: an IPv6 site has 2**64 of them."""
        parsed = _address(self.address)
        if isinstance(parsed, IPv6Address):
            return str(ipaddress.ip_network((parsed, 64), strict=False))
        return str(parsed or "unknown")

    def is_at(self, origin: str) -> bool:
        """Whether an Origin header names this very host and port. A proxy may have taken the TLS off."""
        scheme, _, place = origin.lower().partition("://")
        default = _DEFAULT_PORTS.get(scheme)
        if default is None or not self.name:
            return False
        return place.removesuffix(default) == self.host.removesuffix(default)


class Reception:
    """Which hosts' names are ours, and which proxies are believed."""

    def __init__(self, hosts: Iterable[str] = (), proxies: Iterable[str] = ()) -> None:
        """Names of hosts, and addresses or networks of proxies. Raises ValueError for a network that is none."""
        self._names = {"localhost", *_own_names(), *(host.lower() for host in hosts)}
        self._proxies = [ipaddress.ip_network(proxy) for proxy in proxies]

    def visit(self, connection: HTTPConnection) -> Visit:
        """The request's way here."""
        peer = connection.client.host if connection.client else ""
        hosts = connection.headers.getlist("host")
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if not self.is_proxy(peer):
            return Visit(peer, host, connection.scope["scheme"])
        told = connection.headers.getlist("x-forwarded-proto")
        scheme = told[-1].rpartition(",")[2].strip().lower() if told else connection.scope["scheme"]
        return Visit(self._behind(peer, connection.headers.getlist("x-forwarded-for")), host, scheme)

    def knows(self, visit: Visit) -> bool:
        """Whether the host is ours: a private address, this host's name, or one of the list.

        A page of somebody else's, whose name has been pointed at us (DNS rebinding), asks for that name.
        """
        parsed = _address(visit.name)
        if parsed and (parsed.is_private or parsed.is_loopback or parsed.is_link_local):
            return not parsed.is_unspecified
        return visit.name != "" and visit.name in self._names

    def is_proxy(self, address: str) -> bool:
        """Whether it is one that was named."""
        parsed = _address(address)
        return parsed is not None and any(parsed in network for network in self._proxies)

    def _behind(self, peer: str, forwarded: list[str]) -> str:
        """The last address that is no proxy of ours; what stands before it, anybody can have written."""
        address = peer
        for told in reversed([one.strip() for line in forwarded for one in line.split(",")]):
            if _address(told) is None:
                break
            address = told
            if not self.is_proxy(told):
                break
        return address


def _own_names() -> set[str]:
    full = socket.gethostname().lower()
    short = full.partition(".")[0]
    return {full, short, f"{short}.local"}


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address, IPv4 also where it came inside IPv6."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
