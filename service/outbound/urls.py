"""URLs that this server is to ask: read, and judged by the policy."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from service.outbound.errors import BadAddress, SchemeRefused
from service.outbound.policy import Policy, plain_host

PORTS = {"http": 80, "https": 443}
"""Scheme → the port of a URL that names none."""
URL_LENGTH_MAX = 2_048
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Destination:
    """Whom a request goes to. ``shown`` is the origin, all of a URL that may be told."""

    url: httpx.URL
    host: str
    port: int

    @property
    def shown(self) -> str:
        return origin_of(self.url)


def destination_of(policy: Policy, text: str) -> Destination:
    """Whom a URL leads to. Raises BadAddress, SchemeRefused, HostRefused."""
    url = _parsed(text)
    host = plain_host(url.raw_host.decode("ascii"))
    if url.scheme == "http" and not (policy.http or host in policy.named):
        raise SchemeRefused(
            f"{origin_of(url)} is not sent to without TLS: use https://, or the operator sets "
            "ACUMEN_OUTBOUND_HTTP."
        )
    port = url.port or PORTS[url.scheme]
    policy.check_host(host, port, PORTS[url.scheme])
    return Destination(url, host, port)


def origin_of(url: httpx.URL) -> str:
    """Scheme, host and port: paths, parameters and user names may be secrets."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    port = "" if url.port is None else f":{url.port}"
    return f"{url.scheme}://{host}{port}"


def _parsed(text: str) -> httpx.URL:
    """Raises BadAddress."""
    if len(text) > URL_LENGTH_MAX:
        raise BadAddress(f"A URL may have {URL_LENGTH_MAX:,} characters at most.")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise BadAddress("This is no URL that can be asked.") from None
    if url.scheme not in PORTS:
        raise BadAddress("Only https:// and http:// can be asked.")
    host = url.host
    is_address = ":" in host
    if url.port is not None and not 0 < url.port < 65_536:
        raise BadAddress("The URL names a port that does not exist.")
    if not host or not (is_address or _NAME.fullmatch(url.raw_host.decode("ascii", "replace"))):
        raise BadAddress("The URL names no host.")
    return url
