"""Who a request comes from, when it may have come through proxies."""

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
"""The grammar of ``Forwarded`` (RFC 7239 section 4): elements by commas, pairs by semicolons, values as
tokens or in quotes, within which both are text."""


def client_ip_finder(trusted: Sequence[Network]) -> Callable[[Scope], str]:
    """A function from a request's scope to the address of its client, empty where there is none.

    The client is the rightmost address that is no trusted proxy: of the addresses in ``X-Forwarded-For``
    (or ``Forwarded``) followed by the peer itself. Without trusted proxies headers are not looked at.
    """

    def peer_of(scope: Scope) -> str:
        client = scope.get("client")
        return _plain(client[0]) if client else ""

    def find(scope: Scope) -> str:
        found = peer_of(scope)
        hops = _hops(scope["headers"]) if is_trusted(trusted, found) else []
        while hops and is_trusted(trusted, found):
            address = hops.pop()
            if _parse(address) is None:
                # "unknown", or nonsense: the last proxy that can be trusted is all that is known.
                break
            found = _plain(address)
        return found

    return find if trusted else peer_of


def _hops(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The addresses that proxies noted, the nearest last."""
    every = list(headers)
    noted = [value.decode("latin-1") for name, value in every if name == b"x-forwarded-for"]
    if noted:
        return [_bare(part.strip()) for part in ",".join(noted).split(",") if part.strip()]
    forwarded = ",".join(value.decode("latin-1") for name, value in every if name == b"forwarded")
    return [_bare(address) for address in _forwarded_for(forwarded)]


def _forwarded_for(text: str) -> list[str]:
    """What each element says after ``for``, empty where it says nothing; nothing of elements that are
    malformed, and of those before."""
    found: list[str] = []
    at = 0
    while at < len(text):
        element = _ELEMENT.match(text, at)
        if element is None:
            # Where elements end cannot be told, so only what a nearer proxy noted after it counts.
            at = text.find(",", at) + 1 or len(text)
            found = [""]
            continue
        at = element.end()
        pairs = {name.lower(): value for name, value in _ONE_PAIR.findall(element[1])}
        if pairs:
            found.append(_unquoted(pairs.get("for", "")))
    return found


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _plain(address: str) -> str:
    """An IPv4 address that is written as an IPv6 one as itself, so that one client has one address."""
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
    """Whether an address is one of these networks'."""
    address = _parse(text)
    return address is not None and any(address in network for network in trusted)
