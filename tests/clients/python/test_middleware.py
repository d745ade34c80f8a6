"""Requests of WSGI and ASGI applications as events, and the application never notices whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from acumen_client import Acumen, ASGIMiddleware, Sender, WSGIMiddleware
from tests.clients.python.faulty_proxy import FaultyProxy, overloaded
from tests.clients.python.stored import events_of
from tests.support.server import Served, ServedProject


@pytest.fixture
def sender(client: Acumen) -> Iterator[Sender]:
    with client.sender(linger_seconds=0.02) as made:
        yield made


@pytest.fixture
def requests(served: Served, project: ServedProject, sender: Sender) -> Callable[[], list[dict[str, Any]]]:
    """The recorded requests, in their order."""

    def found() -> list[dict[str, Any]]:
        assert sender.flush(60)
        assert sender.dead_letters() == []
        rows = events_of(served, project, "requests")
        rows.sort(key=lambda row: row["keen"]["id"])
        for row in rows:
            del row["keen"]
            assert row.pop("duration_ms") >= 0
        return rows

    return found


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/fails":
        raise KeyError("no")
    start_response("404 Not Found" if path == "/none" else "200 OK", [("Content-Type", "text/plain")])
    if path == "/late":
        return late()
    environ["acumen.route"] = "/<name>"
    return [b"hello, ", b"world"]


def late() -> Iterator[bytes]:
    yield b"some"
    raise OSError("gone")


def ask(app: WSGIMiddleware, path: str, **more: Any) -> bytes:
    """A request as a server makes it."""
    environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": "token=secret", **more}
    setup_testing_defaults(environ)
    body = app(environ, lambda *_: None)
    try:
        return b"".join(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()


def test_requests_of_wsgi(sender: Sender, requests: Callable[[], list[dict[str, Any]]]) -> None:
    app = WSGIMiddleware(application, sender)
    assert ask(app, "/x", SCRIPT_NAME="/shop") == b"hello, world"
    assert ask(app, "/none", REQUEST_METHOD="POST") == b"hello, world"
    assert ask(app, "/Zoë".encode().decode("latin-1")) == b"hello, world"
    with pytest.raises(KeyError):
        ask(app, "/fails")
    with pytest.raises(OSError, match="gone"):
        ask(app, "/late")
    route = {"route": "/<name>", "bytes": 12}
    assert requests() == [
        {"method": "GET", "path": "/shop/x", "status": 200, **route},
        {"method": "POST", "path": "/none", "status": 404, **route},
        {"method": "GET", "path": "/Zoë", "status": 200, **route},
        {"method": "GET", "path": "/fails", "status": 500, "bytes": 0, "error": "KeyError"},
        {"method": "GET", "path": "/late", "status": 200, "bytes": 4, "error": "OSError"},
    ]


def test_a_client_that_goes_away_is_no_error(
    sender: Sender, requests: Callable[[], list[dict[str, Any]]]
) -> None:
    environ: dict[str, Any] = {"PATH_INFO": "/x"}
    setup_testing_defaults(environ)
    body = WSGIMiddleware(application, sender)(environ, lambda *_: None)
    next(iter(body))
    body.close()  # type: ignore[attr-defined]
    (row,) = requests()
    assert "error" not in row


async def plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def failing(request: Request) -> PlainTextResponse:
    raise KeyError("no")


async def streamed(request: Request) -> StreamingResponse:
    async def parts() -> Any:
        for _ in range(3):
            yield b"abc"

    return StreamingResponse(parts())


def asked(app: Any, *paths: str, method: str = "GET") -> list[int]:
    async def run() -> list[int]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            return [(await http.request(method, path)).status_code for path in paths]

    return asyncio.run(run())


def test_requests_of_asgi(sender: Sender, requests: Callable[[], list[dict[str, Any]]]) -> None:
    inner = Mount("/inner", routes=[Route("/streamed", streamed)])
    app = Starlette(routes=[Route("/plain", plain), Route("/fails", failing), inner])
    wrapped = ASGIMiddleware(app, sender)
    paths = ("/plain?token=secret", "/none", "/fails", "/inner/streamed", "/Zo%C3%AB")
    assert asked(wrapped, *paths) == [200, 404, 500, 200, 404]
    rows = requests()
    assert [(row["path"], row["status"], row["bytes"], row.get("error")) for row in rows] == [
        ("/plain", 200, 5, None),
        ("/none", 404, 9, None),
        ("/fails", 500, 21, "KeyError"),
        ("/inner/streamed", 200, 9, None),
        ("/Zoë", 404, 9, None),
    ]
    assert "secret" not in str(rows)


def test_the_route_of_fastapi(sender: Sender, requests: Callable[[], list[dict[str, Any]]]) -> None:
    app = FastAPI()
    app.add_middleware(ASGIMiddleware, sender=sender, extra=lambda scope: {"kind": scope["type"]})

    @app.get("/items/{item}")
    def item(item: int) -> int:
        if item == 7:
            raise HTTPException(418)
        return item

    assert asked(app, "/items/1", "/items/7", "/items/x") == [200, 418, 422]
    rows = requests()
    assert [(row["route"], row["status"], row["kind"]) for row in rows] == [
        ("/items/{item}", 200, "http"),
        ("/items/{item}", 418, "http"),
        ("/items/{item}", 422, "http"),
    ]


def test_other_scopes_pass(sender: Sender, requests: Callable[[], list[dict[str, Any]]]) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        return None

    call: Awaitable[None] = ASGIMiddleware(app, sender)({"type": "lifespan"}, nothing, nothing)
    asyncio.run(_awaited(call))
    assert seen == ["lifespan"]
    assert requests() == []


async def _awaited(call: Awaitable[None]) -> None:
    await call


def test_the_application_never_notices(project: ServedProject, caplog: pytest.LogCaptureFixture) -> None:
    """A full queue, a closed sender, an ``extra`` that fails or gives what has no JSON."""

    def fails(_: object) -> dict[str, Any]:
        raise RuntimeError("no")

    with FaultyProxy(0) as proxy:
        proxy.always = overloaded()
        client = Acumen(proxy.url, project_id=project.id, write_key=project.write_key)
        sender = client.sender(events_max=1)
        for extra in (None, fails, lambda _: {"x": object()}):
            wsgi = WSGIMiddleware(application, sender, extra=extra)
            asgi = ASGIMiddleware(Starlette(routes=[Route("/plain", plain)]), sender, extra=extra)
            assert ask(wsgi, "/x") == ask(wsgi, "/x") == b"hello, world"
            assert asked(asgi, "/plain", "/plain") == [200, 200]
            assert wsgi.lost + asgi.lost == (3 if extra is None else 4)
        sender.close(0)
        assert ask(wsgi, "/x") == b"hello, world"
        assert (wsgi.lost, asgi.lost) == (3, 2)
    assert sum("could not be recorded" in record.getMessage() for record in caplog.records) == 4
