"""Who may be addressed from this server: hosts by a list, addresses by their kind. Nothing is looked up."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from service.outbound.errors import AddressRefused, HostRefused
from service.settings import Network, Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_TUNNELS = tuple(map(ipaddress.IPv6Network, ("2001::/32", "2002::/16", "64:ff9b:1::/48")))
"""IPv6 networks that lead to IPv4 addresses by way of somebody else: Teredo, 6to4, local translation."""
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")
_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
"""Where machines of a cloud learn of their credentials, besides the link-local addresses."""


@dataclass(frozen=True, slots=True)
class HostPattern:
    """An entry of the list of hosts. ``host``: a name or address, ``*.`` and a name for all below it, or
    ``*`` for all. ``port``: None for that of the scheme, 0 for any."""

    host: str
    port: int | None = None

    def covers(self, host: str, port: int, usual: int) -> bool:
        if self.port != 0 and port != (usual if self.port is None else self.port):
            return False
        if self.host == "*":
            return True
        return host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host


@dataclass(frozen=True, slots=True)
class Policy:
    """``named`` are hosts that the operator named in another setting: they may be asked at any port, without
    TLS, and may have addresses of a private network. ``proxy``: URL of the proxy for HTTP; empty: none."""

    hosts: tuple[HostPattern, ...] = ()
    networks: tuple[Network, ...] = ()
    http: bool = False
    proxy: str = ""
    named: frozenset[str] = frozenset()

    def naming(self, host: str) -> Policy:
        """This policy with a host that the operator named elsewhere."""
        return replace(self, named=self.named | {plain_host(host)})

    def open_to_all(self) -> Policy:
        """This policy for every public host: for addresses that come from a host the operator named."""
        return replace(self, hosts=(*self.hosts, HostPattern("*", 0)))

    def check_host(self, host: str, port: int, usual: int) -> None:
        """``usual``: the port that an entry without one means. Raises HostRefused."""
        host = plain_host(host)
        if host in self.named or any(one.covers(host, port, usual) for one in self.hosts):
            return
        raise HostRefused(
            f"{host}:{port} is not among the hosts that this server may address: its operator names them in "
            "ACUMEN_OUTBOUND_HOSTS."
        )

    def check_addresses(self, host: str, addresses: Iterable[str]) -> list[str]:
        """Those to connect to, in their order. One that is refused refuses them all: whoever answers for the
        name could choose among them. Raises AddressRefused."""
        checked = []
        for text in addresses:
            address = ipaddress.ip_address(text)
            kind = self._refused(plain_host(host), address)
            if kind:
                raise AddressRefused(
                    f"{plain_host(host)} has {kind}, to which this server sends nothing unless its "
                    "operator names it in ACUMEN_OUTBOUND_NETWORKS."
                )
            checked.append(text)
        if not checked:
            raise AddressRefused(f"{plain_host(host)} has no address.")
        return checked

    def _refused(self, host: str, address: Address) -> str:
        """What kind of address this is, if it may not be addressed; empty if it may."""
        inner = unwrapped(address)
        if any(inner in network for network in self.networks if network.version == inner.version):
            return ""
        kind, is_local = kind_of(inner)
        literal = host in self.named and host == str(address)
        return "" if literal or (is_local and host in self.named) else kind


def policy_of(settings: Settings) -> Policy:
    """The policy that the settings describe."""
    return Policy(
        tuple(pattern_of(text) for text in settings.outbound_hosts),
        settings.outbound_networks,
        settings.outbound_http,
        settings.outbound_proxy,
    )


def pattern_of(text: str) -> HostPattern:
    """An entry such as ``hooks.example.com``, ``*.example.com:8443``, ``[::1]:8000`` or ``*``."""
    match = re.fullmatch(r"(\[[^\]]+\]|[^:]+)(?::(\d+|\*))?", text)
    host, port = (match[1], match[2]) if match else (text, None)
    number = None if port is None else 0 if port == "*" else int(port)
    return HostPattern(host if host == "*" or host.startswith("*.") else plain_host(host), number)


def plain_host(host: str) -> str:
    """A host as it is compared: small letters of ASCII, no dot at the end, addresses in their short form."""
    host = host.strip("[]").lower().rstrip(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            return host
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def kind_of(address: Address) -> tuple[str, bool]:
    """Why an address is not public, empty if it is; and whether it is one of an own network."""
    if address in _METADATA or address.is_link_local:
        return "a link-local address, or one of a cloud's metadata", False
    if address.is_multicast:
        return "a multicast address", False
    if address.is_unspecified:
        return "the address of no host", False
    if address.is_loopback:
        return "an address of this machine", True
    if isinstance(address, ipaddress.IPv4Address) and address in _SHARED:
        return "an address that providers share (CGNAT)", True
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_site_local:
            return "an address of a private network", True
        if any(address in tunnel for tunnel in _TUNNELS):
            return "an address of a tunnel", False
    if address.is_reserved or not address.is_global:
        local = any(address in network for network in _PRIVATE if network.version == address.version)
        return ("an address of a private network" if local else "a reserved address"), local
    return "", False


_PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
