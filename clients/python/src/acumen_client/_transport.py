"""Requests to one project of one server: keys, JSON, errors, and what is sent again when no answer comes.

``Transport`` and ``AsyncTransport`` have the same methods. Everything else in this package asks the server
through them, so that keys are never in a URL, and every failure is an exception of ``acumen_client.errors``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

import httpx

from acumen_client import _json
from acumen_client._version import __version__
from acumen_client.errors import (
    AcumenError,
    AnswerTimeoutError,
    ApiError,
    ConfigurationError,
    ConnectionFailedError,
    UnreadableAnswerError,
    error_class,
)
from acumen_client.retries import Retries, retry_after_seconds

KeyKind = Literal["write", "read", "master", "organization", "none"]

ANSWER_SECONDS = 310.0
"""A little more than a question may run on the server."""
CONNECT_SECONDS = 10.0
_ENOUGH_TO_QUOTE = 200
_WARNING = re.compile(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"')
_REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT"})


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys a client was given; an access key stands in place of any of the first three."""

    write: str | None = None
    read: str | None = None
    master: str | None = None
    organization: str | None = None

    def key(self, kind: KeyKind) -> str | None:
        """The key for a call of this kind: the one for it, or the master key. Raises ConfigurationError."""
        if kind == "none":
            return None
        found: str | None = getattr(self, kind)
        if found is None and kind != "organization":
            found = self.master
        if found is None:
            raise ConfigurationError(f"This call needs the {kind} key: give {kind}_key to the client.")
        return found

    def __repr__(self) -> str:
        given = [name for name in ("write", "read", "master", "organization") if getattr(self, name)]
        return f"Keys({', '.join(given)})"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a client's requests go, and with what."""

    url: str
    project_id: str | None
    keys: Keys
    retries: Retries = field(default_factory=Retries)
    timeout: httpx.Timeout = field(
        default_factory=lambda: httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    )

    def project_path(self, *segments: str) -> str:
        """``/3.0/projects/P/…``, each segment percent-encoded.

        Raises ConfigurationError without a project.
        """
        if not self.project_id:
            raise ConfigurationError("This call needs a project: give project_id to the client.")
        return "/".join(["/3.0/projects", quote(self.project_id, safe=""), *(_segment(s) for s in segments)])


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer."""

    status: int
    headers: httpx.Headers
    content: bytes

    def json(self) -> Any:
        """The body as JSON; None where it is empty. Raises UnreadableAnswerError."""
        if not self.content:
            return None
        try:
            return _json.loads(self.content)
        except ValueError as error:
            raise UnreadableAnswerError(
                f"the server's answer is not JSON: {_quoted(self.content)}",
                status=self.status,
                request_id=self.request_id,
            ) from error

    @property
    def request_id(self) -> str | None:
        found: str | None = self.headers.get("x-request-id")
        return found

    @property
    def warnings(self) -> tuple[str, ...]:
        """The texts of the ``Warning`` headers. Those of a question stand in the body, under ``warnings``."""
        return _header_warnings(self.headers)


Accept = Callable[[Answer], object]
"""Looks at an answer that is a success, and raises UnreadableAnswerError where it is none of a server's."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it is sent, any number of times."""

    method: str
    path: str
    headers: dict[str, str]
    params: Mapping[str, Any] | None
    content: bytes | None
    timeout: httpx.Timeout
    repeatable: bool


class _Shared:
    """What both kinds of transport have in common: everything but the input and output."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def project_path(self, *segments: str) -> str:
        """The path of something in the client's project, each segment percent-encoded."""
        return self.target.project_path(*segments)

    def _request(
        self,
        method: str,
        path: str,
        *,
        key: KeyKind = "read",
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | httpx.Timeout | None = None,
        repeatable: bool | None = None,
    ) -> Request:
        sent = dict(headers or {})
        given = self.target.keys.key(key)
        if given is not None:
            sent["Authorization"] = given
        if json is not None:
            try:
                content = _json.dumps(json)
            except (TypeError, ValueError) as error:
                raise ConfigurationError(f"what is to be sent has no JSON: {error}") from error
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        limit = self.target.timeout if timeout is None else _timeout(timeout)
        again = method in _REPEATABLE_METHODS if repeatable is None else repeatable
        return Request(method, path, sent, params, content, limit, again)


class Transport(_Shared):
    """Requests from one thread or many. A forked child makes connections of its own."""

    def __init__(self, target: Target, *, http: httpx.BaseTransport | None = None) -> None:
        """``http`` replaces the network, as in ``httpx.Client(transport=…)``."""
        super().__init__(target)
        self.given = http
        self._pid = -1
        self._client: httpx.Client | None = None
        self._after_fork()
        _transports.add(self)

    def _after_fork(self) -> None:
        # Another thread of the parent may hold the lock for ever.
        self._lock = threading.Lock()

    def request(self, method: str, path: str, *, accept: Accept | None = None, **options: Any) -> Answer:
        """Send a request and return its answer; see ``_Shared._request`` for the options.

        ``accept`` is called with the answer, and may raise UnreadableAnswerError. Raises ApiError for an
        answer that is an error, ConnectionFailedError and UnreadableAnswerError where there was none. What
        may be sent again is, as the client's ``Retries`` say.
        """
        request = self._request(method, path, **options)
        retries = self.target.retries
        attempt = 1
        while True:
            try:
                answer = self.send_once(request)
                if accept is not None:
                    accept(answer)
                return answer
            except AcumenError as error:
                pause = retries.next_pause(attempt, error, repeatable=request.repeatable)
                if pause is None:
                    raise
            time.sleep(pause)
            attempt += 1

    def prepare(self, method: str, path: str, **options: Any) -> Request:
        """The request that ``request`` would send with these options, for ``send_once``."""
        return self._request(method, path, **options)

    def send_once(self, request: Request) -> Answer:
        """Send it one time."""
        with _failures():
            response = self._http().request(
                request.method,
                request.path,
                params=request.params,
                content=request.content,
                headers=request.headers,
                timeout=request.timeout,
            )
        return judged(response)

    @contextlib.contextmanager
    def stream(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """An answer whose body is read piece by piece; an error is raised before the block begins.

        Failures while the body is read come as exceptions of this package too. Nothing is sent again.
        """
        request = self._request(method, path, **options)
        with (
            _failures(),
            self._http().stream(
                request.method,
                request.path,
                params=request.params,
                content=request.content,
                headers=request.headers,
                timeout=request.timeout,
            ) as response,
        ):
            if not response.is_success:
                response.read()
                judged(response)
            yield response

    def close(self) -> None:
        """Close all connections; a request after that opens new ones."""
        with self._lock:
            if self._client is not None and self._pid == os.getpid():
                self._client.close()
            self._client = None

    def _http(self) -> httpx.Client:
        if network.replaced is not None:
            return network.replaced(self.target)
        client = self._client
        if client is not None and self._pid == os.getpid():
            return client
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                if self._client is not None:
                    # The parent's sockets: closing them here would end its conversations.
                    _of_parents.append(self._client)
                self._client = httpx.Client(
                    base_url=self.target.url, headers=_default_headers(), transport=self.given
                )
                self._pid = os.getpid()
            return self._client


_ClientsOfLoops: TypeAlias = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient]


class AsyncTransport(_Shared):
    """Requests from coroutines. Each event loop has connections of its own."""

    def __init__(self, target: Target, *, http: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(target)
        self.given = http
        self._pid = os.getpid()
        self._clients: _ClientsOfLoops = weakref.WeakKeyDictionary()

    async def request(
        self, method: str, path: str, *, accept: Accept | None = None, **options: Any
    ) -> Answer:
        """As ``Transport.request``."""
        request = self._request(method, path, **options)
        retries = self.target.retries
        attempt = 1
        while True:
            try:
                answer = await self.send_once(request)
                if accept is not None:
                    accept(answer)
                return answer
            except AcumenError as error:
                pause = retries.next_pause(attempt, error, repeatable=request.repeatable)
                if pause is None:
                    raise
            await asyncio.sleep(pause)
            attempt += 1

    def prepare(self, method: str, path: str, **options: Any) -> Request:
        """The request that ``request`` would send with these options, for ``send_once``."""
        return self._request(method, path, **options)

    async def send_once(self, request: Request) -> Answer:
        """Send it one time."""
        if network.replaced is not None:
            # What replaces the network answers from memory: nothing is waited for.
            return Transport(self.target).send_once(request)
        with _failures():
            response = await self._http().request(
                request.method,
                request.path,
                params=request.params,
                content=request.content,
                headers=request.headers,
                timeout=request.timeout,
            )
        return judged(response)

    @contextlib.asynccontextmanager
    async def stream(self, method: str, path: str, **options: Any) -> AsyncIterator[httpx.Response]:
        """As ``Transport.stream``."""
        request = self._request(method, path, **options)
        with _failures():
            async with self._http().stream(
                request.method,
                request.path,
                params=request.params,
                content=request.content,
                headers=request.headers,
                timeout=request.timeout,
            ) as response:
                if not response.is_success:
                    await response.aread()
                    judged(response)
                yield response

    async def aclose(self) -> None:
        """Close the connections of this event loop; a request after that opens new ones."""
        client = self._of_this_process().pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _http(self) -> httpx.AsyncClient:
        clients, loop = self._of_this_process(), asyncio.get_running_loop()
        client = clients.get(loop)
        if client is None:
            client = clients[loop] = httpx.AsyncClient(
                base_url=self.target.url, headers=_default_headers(), transport=self.given
            )
        return client

    def _of_this_process(self) -> _ClientsOfLoops:
        """The clients; in a forked child none of those that its parent made."""
        if self._pid != os.getpid():
            _of_parents.append(self._clients)
            self._clients, self._pid = weakref.WeakKeyDictionary(), os.getpid()
        return self._clients


_transports: weakref.WeakSet[Transport] = weakref.WeakSet()


def _renew_locks() -> None:
    for transport in list(_transports):
        transport._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


class _Network:
    """What all transports of this process send through instead of the network; None: the network."""

    replaced: Callable[[Target], httpx.Client] | None = None


network = _Network()

_of_parents: list[Any] = []
"""Clients that a forked child inherited; kept, so that they are not finalised here."""


def judged(response: httpx.Response) -> Answer:
    """The answer, if it is a success; raises the ApiError of its status otherwise."""
    headers = response.headers
    if response.is_success:
        return Answer(response.status_code, headers, response.content)
    message, code, warnings = _said(response)
    raise error_class(response.status_code)(
        message,
        status=response.status_code,
        code=code,
        warnings=(*_header_warnings(headers), *warnings),
        request_id=headers.get("x-request-id"),
        retry_after=retry_after_seconds(headers.get("retry-after")),
    )


def _said(response: httpx.Response) -> tuple[str, str, tuple[str, ...]]:
    """Message, code and warnings of an answer that is an error."""
    try:
        body = _json.loads(response.content)
    except ValueError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        warnings = body.get("warnings")
        texts = tuple(str(one) for one in warnings) if isinstance(warnings, list) else ()
        return body["message"], str(body.get("error_code", "")), texts
    if response.is_redirect:
        return f"the address has moved to {response.headers.get('location')}", "", ()
    quoted = _quoted(response.content)
    return f"{response.reason_phrase or 'an error'}: {quoted}" if quoted else response.reason_phrase, "", ()


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Turns what httpx raises where no answer came into an exception of this package."""
    try:
        yield
    except ApiError:
        raise
    except httpx.TimeoutException as error:
        raise _failed(AnswerTimeoutError, error) from error
    except (httpx.RequestError, httpx.StreamError) as error:
        raise _failed(ConnectionFailedError, error) from error
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"the client's URL is not valid: {error}") from error


def _failed(kind: type[ConnectionFailedError], error: Exception) -> ConnectionFailedError:
    failed = kind(f"no answer: {str(error) or type(error).__name__}")
    before = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    failed.before_sending = before
    return failed


def _segment(text: str) -> str:
    # A dot alone would be taken for a folder, and clients remove those.
    return quote(text, safe="").replace(".", "%2E") if text.strip(".") == "" else quote(text, safe="")


def _timeout(value: float | httpx.Timeout) -> httpx.Timeout:
    if isinstance(value, httpx.Timeout):
        return value
    return httpx.Timeout(value, connect=min(value, CONNECT_SECONDS))


def _default_headers() -> dict[str, str]:
    below = f"Python/{platform.python_version()} httpx/{httpx.__version__}"
    return {
        "User-Agent": f"acumen-client/{__version__} {below}",
        "Accept": "application/json",
    }


def _header_warnings(headers: httpx.Headers) -> tuple[str, ...]:
    texts = []
    for value in headers.get_list("warning"):
        texts += [re.sub(r"\\(.)", r"\1", text) for text in _WARNING.findall(value)]
    return tuple(texts)


def _quoted(content: bytes) -> str:
    text = content[: _ENOUGH_TO_QUOTE * 4].decode("utf-8", "replace").strip()
    return text if len(text) <= _ENOUGH_TO_QUOTE else text[: _ENOUGH_TO_QUOTE - 1] + "…"
