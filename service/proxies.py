"""Who a request comes from, when it may have come through proxies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence

from service.edge import Scope
from service.settings import Network

_FORWARDED_FOR = re.compile(r'for="?(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.:_-]+)', re.IGNORECASE)


def client_ip_finder(trusted: Sequence[Network]) -> Callable[[Scope], str]:
    """A function from a request's scope to the address of its client, empty where there is none.

    The client is the rightmost address that is no trusted proxy: of the addresses in ``X-Forwarded-For``
    (or ``Forwarded``) followed by the peer itself. Without trusted proxies headers are not looked at.
    """

    def peer_of(scope: Scope) -> str:
        client = scope.get("client")
        return client[0] if client else ""

    def find(scope: Scope) -> str:
        found = peer_of(scope)
        hops = _hops(scope["headers"]) if _trusts(trusted, found) else []
        while hops and _trusts(trusted, found):
            address = hops.pop()
            if _parse(address) is None:
                # "unknown", or nonsense: the last proxy that can be trusted is all that is known.
                break
            found = address
        return found

    return find if trusted else peer_of


def _hops(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The addresses that proxies noted, the nearest last."""
    every = list(headers)
    noted = [value.decode("latin-1") for name, value in every if name == b"x-forwarded-for"]
    if noted:
        return [_bare(part.strip()) for part in ",".join(noted).split(",") if part.strip()]
    forwarded = ",".join(value.decode("latin-1") for name, value in every if name == b"forwarded")
    return [_bare(match[1]) for match in _FORWARDED_FOR.finditer(forwarded)]


def _bare(text: str) -> str:
    """The address without brackets and port."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, colon, port = text.rpartition(":")
    return host if colon and port.isdigit() and ":" not in host else text


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _trusts(trusted: Sequence[Network], text: str) -> bool:
    address = _parse(text)
    return address is not None and any(address in network for network in trusted)
