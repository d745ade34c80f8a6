"""Connections: a name is looked up once, what it leads to is checked, and exactly that is connected to."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Sequence

from service.outbound.errors import Unreachable
from service.outbound.policy import Policy, plain_host

Resolve = Callable[[str, int], Sequence[str]]
"""Host and port → its addresses. Blocks. Raises OSError."""


def look_up(host: str, port: int) -> list[str]:
    """The addresses that the system's resolver knows. Blocks. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def addresses_of(policy: Policy, resolve: Resolve, host: str, port: int) -> list[str]:
    """The checked addresses of a host. Blocks. Raises Unreachable, AddressRefused."""
    plain = plain_host(host)
    try:
        ipaddress.ip_address(plain)
    except ValueError:
        try:
            found = list(resolve(plain, port))
        except (OSError, UnicodeError):
            raise Unreachable(f"There is no address of {plain}.") from None
    else:
        found = [plain]
    return policy.check_addresses(plain, found)


def connected(
    policy: Policy, host: str, port: int, seconds: float, *, usual: int, resolve: Resolve = look_up
) -> socket.socket:
    """A connection for a protocol other than HTTP, which takes no proxy. Blocks.

    ``usual``: the port that an entry of the list of hosts without one means. Raises OutboundError, OSError.
    """
    policy.check_host(host, port, usual)
    last: OSError | None = None
    deadline = time.monotonic() + seconds
    for address in addresses_of(policy, resolve, host, port):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            made = socket.create_connection((address, port), timeout=left)
        except OSError as error:
            last = error
            continue
        made.settimeout(seconds)
        return made
    raise last or TimeoutError("timed out")
