"""Middleware for WSGI and ASGI applications that records each request as an event.

>>> app = WSGIMiddleware(app, client.sender(), "requests")
>>> app.add_middleware(ASGIMiddleware, sender=client.sender(), collection="requests")     # Starlette, FastAPI

An event has ``method``, ``path``, ``route`` (where the framework says which pattern matched), ``status``,
``duration_ms``, ``bytes`` of the answer and, where the application failed, ``error``, the exception's type.
Query strings, bodies, headers and addresses are not recorded. ``extra`` adds properties of your own.

The middleware never makes the application wait, and a failure of its own never becomes the application's:
what cannot be recorded is counted in ``lost``, and the first such failure of each minute is logged.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from acumen_client.sender import AsyncSender, Sender

Environ = dict[str, Any]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]
WSGIApplication = Callable[..., Iterable[bytes]]

TEXT_LENGTH_MAX = 2_000
LOG_SECONDS = 60.0

_log = logging.getLogger("acumen_client")


class _Recorder:
    """Records events for a middleware, whatever goes wrong."""

    def __init__(
        self,
        sender: Sender | AsyncSender,
        collection: str,
        extra: Callable[[Any], Mapping[str, Any]] | None,
    ) -> None:
        self.lost = 0
        self._sender = sender.sender if isinstance(sender, AsyncSender) else sender
        self._collection = collection
        self._extra = extra
        self._logged = -LOG_SECONDS

    def record(self, event: dict[str, Any], request: Any) -> None:
        try:
            if self._extra is not None:
                event |= self._extra(request)
            if not self._sender.offer(self._collection, event):
                self.lost += 1
        except Exception:
            self.lost += 1
            now = time.monotonic()
            if now - self._logged >= LOG_SECONDS:
                self._logged = now
                _log.warning("A request could not be recorded.", exc_info=True)


class WSGIMiddleware:
    """Records the requests of a WSGI application; ``extra`` is called with a request's environ at its end."""

    def __init__(
        self,
        app: WSGIApplication,
        sender: Sender,
        collection: str = "requests",
        *,
        extra: Callable[[Environ], Mapping[str, Any]] | None = None,
    ) -> None:
        self.app = app
        self._recorder = _Recorder(sender, collection, extra)

    @property
    def lost(self) -> int:
        """Requests that could not be recorded."""
        return self._recorder.lost

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = _WSGIRequest(self._recorder, environ)

        def started(status: str, headers: Any, *rest: Any) -> Any:
            request.status = int(status.split(" ", 1)[0]) if status[:3].isdigit() else 0
            return start_response(status, headers, *rest)

        try:
            return _WSGIBody(self.app(environ, started), request)
        except BaseException as error:
            request.finish(error)
            raise


class _WSGIRequest:
    def __init__(self, recorder: _Recorder, environ: Environ) -> None:
        self.status = 0
        self.sent = 0
        self._recorder = recorder
        self._environ = environ
        self._began = time.perf_counter()
        self._finished = False

    def finish(self, error: BaseException | None = None) -> None:
        if self._finished:
            return
        self._finished = True
        environ = self._environ
        path = str(environ.get("SCRIPT_NAME", "")) + str(environ.get("PATH_INFO", ""))
        event = _event(
            str(environ.get("REQUEST_METHOD", "")), _decoded(path), self.status, self._began, error
        )
        event["bytes"] = self.sent
        if (route := _wsgi_route(environ)) is not None:
            event["route"] = route[:TEXT_LENGTH_MAX]
        self._recorder.record(event, environ)


class _WSGIBody:
    """The body of an answer; the request ends when the server closes it."""

    def __init__(self, body: Iterable[bytes], request: _WSGIRequest) -> None:
        self._body = body
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self._body:
                self._request.sent += len(part)
                yield part
        except BaseException as error:
            # A client that went away ends the iteration, and is no failure of the application.
            self._request.finish(None if isinstance(error, GeneratorExit) else error)
            raise

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._request.finish()


class ASGIMiddleware:
    """Records the HTTP requests of an ASGI application. ``extra`` is called with the scope at its end."""

    def __init__(
        self,
        app: ASGIApplication,
        sender: Sender | AsyncSender,
        collection: str = "requests",
        *,
        extra: Callable[[Scope], Mapping[str, Any]] | None = None,
    ) -> None:
        self.app = app
        self._recorder = _Recorder(sender, collection, extra)

    @property
    def lost(self) -> int:
        """Requests that could not be recorded."""
        return self._recorder.lost

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # Taken now: what is mounted in an application may change them.
        method, path = str(scope["method"]), str(scope["path"])
        began = time.perf_counter()
        status = sent = 0
        failure: BaseException | None = None

        async def sending(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except BaseException as error:
            failure = error
            raise
        finally:
            event = _event(method, path, status, began, failure)
            event["bytes"] = sent
            if (route := _asgi_route(scope)) is not None:
                event["route"] = route[:TEXT_LENGTH_MAX]
            self._recorder.record(event, scope)


def _event(method: str, path: str, status: int, began: float, error: BaseException | None) -> dict[str, Any]:
    event: dict[str, Any] = {
        "method": method,
        "path": path[:TEXT_LENGTH_MAX],
        # An application that fails before it answers is answered for by its server.
        "status": status or (500 if error is not None else 0),
        "duration_ms": round((time.perf_counter() - began) * 1000, 3),
    }
    if error is not None:
        event["error"] = type(error).__name__
    return event


def _decoded(path: str) -> str:
    """The path as text: WSGI gives its bytes as characters of Latin-1."""
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


def _wsgi_route(environ: Environ) -> str | None:
    """The pattern that matched, as Flask, Bottle, Django or Werkzeug leave it in the environ."""
    request = environ.get("werkzeug.request")
    rule = getattr(request, "url_rule", None)
    if rule is not None:
        return str(rule)
    route = environ.get("bottle.route")
    if route is not None:
        return str(getattr(route, "rule", route))
    found = environ.get("acumen.route")
    return None if found is None else str(found)


def _asgi_route(scope: Scope) -> str | None:
    """The pattern that matched, as Starlette, FastAPI or others leave it in the scope."""
    route = scope.get("route")
    pattern = getattr(route, "path", None) or getattr(route, "path_format", None) or scope.get("acumen.route")
    return None if pattern is None else str(pattern)
