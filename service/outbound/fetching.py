"""Requests over HTTP under the policy: bounded in size and time, with redirects that are checked one by one.

Nothing of the process's environment is heeded but ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import httpcore
import httpx

from service.bodies.inflating import EncodingBroken, EncodingUnknown, MembersTooMany, open_encoding
from service.outbound.backend import CheckedBackend
from service.outbound.connecting import Resolve, look_up
from service.outbound.errors import (
    AnswerRefused,
    BadAddress,
    OutboundRefused,
    RedirectRefused,
    TooSlow,
    Unreachable,
)
from service.outbound.policy import Policy
from service.outbound.urls import Destination, destination_of, origin_of
from service.settings import Settings
from service.version import version

USER_AGENT = f"Acumen/{version()}"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GO_ALONG = frozenset({"accept", "accept-language", "content-type", "user-agent"})
"""Header fields that are sent to another origin too."""
_OF_BODIES = frozenset({"content-type", "content-encoding", "content-language", "content-length"})
_MEMBERS_MAX = 100


@dataclass(frozen=True, slots=True)
class Bounds:
    """``sent_bytes``: of a body as it comes; ``bytes``: of the same once it is inflated. ``seconds`` is the
    limit of a request with all its redirects."""

    connect_seconds: float = 5.0
    read_seconds: float = 10.0
    seconds: float = 30.0
    header_bytes: int = 65_536
    sent_bytes: int = 10_000_000
    bytes: int = 50_000_000
    redirects: int = 5

    def without_redirects(self) -> Bounds:
        return replace(self, redirects=0)


@dataclass(frozen=True, slots=True)
class Asking:
    """A request. Its text shows neither URL, header fields nor body."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    wants_body: bool = True
    """Whether the body of the answer is read."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer of any status. ``body`` is inflated; ``origin`` is whose answer it is, after redirects."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    origin: str


def bounds_of(settings: Settings) -> Bounds:
    """The bounds that the settings describe."""
    return Bounds(
        settings.outbound_connect_seconds,
        settings.outbound_read_seconds,
        settings.outbound_seconds,
        settings.outbound_header_bytes_max,
        settings.outbound_bytes_max,
        settings.outbound_inflated_bytes_max,
        settings.outbound_redirects_max,
    )


class Fetcher:
    """Asks others under one policy. For any event loop, and by ``fetch_now`` for threads without one."""

    def __init__(
        self,
        policy: Policy,
        bounds: Bounds,
        *,
        resolve: Resolve = look_up,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls``: whose certificates are believed; None: those that the system's settings name."""
        self.policy = policy
        self._bounds = bounds
        self._resolve = resolve
        self._tls = tls

    async def fetch(self, asking: Asking) -> Fetched:
        """The answer, whatever its status. With bounds of no redirects, a redirect is an answer like others.

        Raises OutboundError.
        """
        target = destination_of(self.policy, asking.url)
        try:
            async with asyncio.timeout(self._bounds.seconds):
                if self._tls is None:
                    self._tls = await asyncio.to_thread(httpx.create_ssl_context)
                return await self._followed(asking, target)
        except TimeoutError:
            raise TooSlow(
                f"{target.shown} did not answer in full within {self._bounds.seconds:g} seconds."
            ) from None

    @property
    def seconds(self) -> float:
        """The limit of a request."""
        return self._bounds.seconds

    def fetch_now(self, asking: Asking) -> Fetched:
        """As ``fetch``, for a thread that has no event loop. Blocks."""
        return asyncio.run(self.fetch(asking))

    async def _followed(self, asking: Asking, target: Destination) -> Fetched:
        for left in range(self._bounds.redirects, -1, -1):
            answer = await self._one(asking, target)
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or location is None or not self._bounds.redirects:
                return answer
            if not left:
                break
            asking, target = self._next(asking, target, answer.status, location)
        raise RedirectRefused(f"{target.shown} redirects more than {self._bounds.redirects} times.")

    def _next(
        self, asking: Asking, target: Destination, status: int, location: str
    ) -> tuple[Asking, Destination]:
        """What to ask after a redirect. Raises RedirectRefused."""
        try:
            url = target.url.join(location)
            # A name and password in a redirect would be the other server's to choose.
            url = url.copy_with(username=None, password=None, fragment=None)
            onward = destination_of(self.policy, str(url))
        except OutboundRefused as error:
            raise RedirectRefused(f"{target.shown} redirects to where this may not go. {error}") from None
        except (httpx.InvalidURL, ValueError):
            raise RedirectRefused(f"{target.shown} redirects to what is no URL.") from None
        if target.url.scheme == "https" and onward.url.scheme == "http":
            raise RedirectRefused(f"{target.shown} redirects to an address without TLS.")
        headers = {name.lower(): value for name, value in asking.headers.items()}
        method, body = asking.method, asking.body
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, body = "GET", b""
            headers = {name: value for name, value in headers.items() if name not in _OF_BODIES}
        if onward.shown != target.shown:
            if body:
                raise RedirectRefused(f"{target.shown} redirects what was sent to another origin.")
            headers = {name: value for name, value in headers.items() if name in _GO_ALONG}
        return replace(asking, method=method, url=str(url), headers=headers, body=body), onward

    async def _one(self, asking: Asking, target: Destination) -> Fetched:
        transport = _CheckedTransport(CheckedBackend(self.policy, self._resolve), self._tls)
        try:
            request = httpx.Request(
                asking.method,
                target.url.copy_with(username=None, password=None, fragment=None),
                headers=_headers(asking, target),
                content=asking.body or None,
                extensions={
                    "timeout": {
                        "connect": self._bounds.connect_seconds,
                        "read": self._bounds.read_seconds,
                        "write": self._bounds.read_seconds,
                        "pool": self._bounds.connect_seconds,
                    }
                },
            )
            async with transport:
                response = await transport.handle_async_request(request)
                self._check_headers(response, target)
                has_body = asking.wants_body and asking.method != "HEAD"
                body = await self._body(response, target) if has_body else b""
                return Fetched(response.status_code, response.headers, body, target.shown)
        except httpcore.TimeoutException:
            raise TooSlow(f"{target.shown} kept this server waiting longer than it waits.") from None
        except (httpcore.UnsupportedProtocol, httpcore.LocalProtocolError, UnicodeError, TypeError):
            raise BadAddress(f"The request to {target.shown} cannot be written as HTTP.") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise Unreachable(f"The connection to {target.shown} failed ({_reason(error)}).") from None

    def _check_headers(self, response: httpx.Response, target: Destination) -> None:
        """Raises AnswerRefused."""
        size = sum(len(name) + len(value) + 4 for name, value in response.headers.raw)
        if size > self._bounds.header_bytes:
            raise AnswerRefused(
                f"{target.shown} answered with more than {self._bounds.header_bytes:,} bytes of headers "
                "(ACUMEN_OUTBOUND_HEADER_BYTES_MAX)."
            )

    async def _body(self, response: httpx.Response, target: Destination) -> bytes:
        """Raises AnswerRefused."""
        body = bytearray()
        async for part in cast("AsyncIterable[bytes]", response.stream):
            body += part
            if len(body) > self._bounds.sent_bytes:
                raise AnswerRefused(
                    f"{target.shown} answered with more than {self._bounds.sent_bytes:,} bytes "
                    "(ACUMEN_OUTBOUND_BYTES_MAX)."
                )
        if not body:
            return b""
        return self._inflated(bytes(body), response.headers.get("content-encoding", ""), target)

    def _inflated(self, body: bytes, encoding: str, target: Destination) -> bytes:
        """Raises AnswerRefused."""
        whole = bytearray()
        try:
            for piece in open_encoding(body, encoding.encode("latin-1", "replace"), _MEMBERS_MAX):
                whole += piece
                if len(whole) > self._bounds.bytes:
                    raise AnswerRefused(
                        f"{target.shown} answered with more than {self._bounds.bytes:,} bytes once inflated "
                        "(ACUMEN_OUTBOUND_INFLATED_BYTES_MAX)."
                    )
        except (EncodingUnknown, EncodingBroken, MembersTooMany):
            raise AnswerRefused(f"{target.shown} answered in an encoding that cannot be read.") from None
        return bytes(whole)


def _headers(asking: Asking, target: Destination) -> list[tuple[str, str]]:
    headers = httpx.Headers({"accept": "*/*", "user-agent": USER_AGENT, "accept-encoding": "gzip, deflate"})
    headers["connection"] = "close"
    headers.update(dict(asking.headers))
    if target.url.userinfo and "authorization" not in headers:
        basic = httpx.BasicAuth(target.url.username, target.url.password)
        request = next(basic.auth_flow(httpx.Request("GET", origin_of(target.url))))
        headers["authorization"] = request.headers["authorization"]
    return headers.multi_items()


def _reason(error: Exception) -> str:
    """The kind of failure, without what the other side said."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate cannot be verified"
        if isinstance(cause, ssl.SSLError):
            return "no TLS with it"
        cause = cause.__cause__ or cause.__context__
    return "it broke off" if isinstance(error, httpcore.NetworkError | OSError) else "it does not speak HTTP"


class _CheckedTransport(httpx.AsyncBaseTransport):
    """One request over a connection of its own: no connection made under another policy is ever used."""

    def __init__(self, backend: CheckedBackend, tls: ssl.SSLContext | None) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls, max_connections=1, max_keepalive_connections=0, network_backend=backend
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_AnswerBytes(answer))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _AnswerBytes(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in cast("AsyncIterable[bytes]", self._answer.stream):
            yield part

    async def aclose(self) -> None:
        await self._answer.aclose()
