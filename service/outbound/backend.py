"""How HTTP connects: to addresses that the policy lets through, directly or by a proxy."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import unquote, urlsplit

import httpcore

from service.outbound.connecting import Resolve, addresses_of
from service.outbound.errors import OutboundError, TooSlow, Unreachable
from service.outbound.policy import Policy

_PROXY_ANSWER_BYTES_MAX = 16_384
_SOCKET_OPTION = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """How httpcore connects: to addresses that the policy lets through, each looked up once.

    With a proxy, the proxy is told the address, and not the name.
    """

    def __init__(self, policy: Policy, resolve: Resolve) -> None:
        self._policy = policy
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises AddressRefused, Unreachable, TooSlow."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await _aside(addresses_of, self._policy, self._resolve, host, port)
                return await self._first(addresses, host, port)
        except TimeoutError:
            raise TooSlow(f"{host}:{port} could not be connected to within {timeout:g} seconds.") from None

    async def _first(self, addresses: Sequence[str], host: str, port: int) -> httpcore.AsyncNetworkStream:
        for address in addresses:
            try:
                if self._policy.proxy:
                    return await self._through_proxy(address, port)
                return await self._inner.connect_tcp(address, port)
            except (httpcore.ConnectError, httpcore.ReadError, httpcore.WriteError):
                continue
        raise Unreachable(f"{host}:{port} cannot be connected to.")

    async def _through_proxy(self, address: str, port: int) -> httpcore.AsyncNetworkStream:
        """A tunnel to this address (RFC 9110 §9.3.6)."""
        proxy = urlsplit(self._policy.proxy)
        assert proxy.hostname is not None
        stream = await self._inner.connect_tcp(proxy.hostname, proxy.port or 80)
        try:
            where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
            if proxy.username is not None:
                pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
                lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
            await stream.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
            answer = b""
            while b"\r\n\r\n" not in answer:
                # A tunnel's other end says nothing before it is asked, so no byte of it is read here.
                part = await stream.read(_PROXY_ANSWER_BYTES_MAX)
                answer += part
                if not part or len(answer) > _PROXY_ANSWER_BYTES_MAX:
                    raise Unreachable("The proxy of ACUMEN_OUTBOUND_PROXY does not answer as one.")
            words = answer.split(b"\r\n", 1)[0].split()
            if len(words) < 2 or not words[1].startswith(b"2"):
                said = words[1].decode("latin-1")[:3] if len(words) > 1 else "nothing"
                raise Unreachable(f"The proxy of ACUMEN_OUTBOUND_PROXY refuses the connection ({said}).")
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _aside(work: Callable[..., list[str]], *given: object) -> list[str]:
    """The result of work on a thread of its own, which nobody waits for once the wait is cancelled:
    a resolver may hang far longer than a request may take."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[list[str]] = loop.create_future()

    def settle(value: list[str] | None, error: Exception | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value or [])

    def run() -> None:
        value, error = None, None
        try:
            value = work(*given)
        except (OutboundError, OSError, ValueError) as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            return  # The loop has ended meanwhile.

    threading.Thread(target=run, name="look up", daemon=True).start()
    return await result
