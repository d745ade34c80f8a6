"""The client address of a request that may have come through proxies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence

from service.http.middleware import Scope
from service.settings import Network

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PAIR = rf"{_TOKEN}=(?:{_TOKEN}|{_QUOTED})"
_ELEMENT = re.compile(rf"[ \t]*((?:{_PAIR})?(?:[ \t]*;[ \t]*(?:{_PAIR})?)*)[ \t]*(?:,|$)")
_ONE_PAIR = re.compile(rf"({_TOKEN})=({_TOKEN}|{_QUOTED})")
"""The grammar of ``Forwarded`` (RFC 7239 section 4): elements are separated by commas, pairs by semicolons;
a value is a token or a quoted string, in which both separators are plain text."""


def client_ip_finder(trusted: Sequence[Network]) -> Callable[[Scope], str]:
    """A function from a request's scope to the client's address, empty where there is none.

    The addresses in ``X-Forwarded-For`` (or ``Forwarded``), followed by the peer's own, are searched from the
    right for the first that is no trusted proxy. Without trusted proxies the headers are ignored.
    """

    def peer_of(scope: Scope) -> str:
        client = scope.get("client")
        return _plain(client[0]) if client else ""

    def find(scope: Scope) -> str:
        client = peer_of(scope)
        hops = _hops(scope["headers"]) if is_trusted(trusted, client) else []
        while hops and is_trusted(trusted, client):
            address = hops.pop()
            if _parse(address) is None:
                # "unknown" or invalid: the last trusted proxy is all that is known.
                break
            client = _plain(address)
        return client

    return find if trusted else peer_of


def _hops(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The addresses that proxies added to the headers, the nearest proxy's last."""
    fields = list(headers)
    noted = [value.decode("latin-1") for name, value in fields if name == b"x-forwarded-for"]
    if noted:
        return [_bare(part.strip()) for part in ",".join(noted).split(",") if part.strip()]
    forwarded = ",".join(value.decode("latin-1") for name, value in fields if name == b"forwarded")
    return [_bare(address) for address in _forwarded_for(forwarded)]


def _forwarded_for(text: str) -> list[str]:
    """The ``for`` value of each element, empty where it has none.

    A malformed element, and all before it, count as one without a value.
    """
    addresses: list[str] = []
    at = 0
    while at < len(text):
        element = _ELEMENT.match(text, at)
        if element is None:
            # The end of the element is uncertain, so only elements that nearer proxies added after it count.
            at = text.find(",", at) + 1 or len(text)
            addresses = [""]
            continue
        at = element.end()
        pairs = {name.lower(): value for name, value in _ONE_PAIR.findall(element[1])}
        if pairs:
            addresses.append(_unquoted(pairs.get("for", "")))
    return addresses


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _plain(address: str) -> str:
    """The address, with IPv4-mapped IPv6 addresses unwrapped, so that one client has one address."""
    return str(_parse(address) or address) if address[:7].lower() == "::ffff:" else address


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


def is_trusted(trusted: Sequence[Network], text: str) -> bool:
    """Whether an address lies in one of these networks."""
    address = _parse(text)
    return address is not None and any(address in network for network in trusted)
