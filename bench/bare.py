"""What the server is compared with: applications on the same uvicorn settings that do next to nothing.

python -m bench.bare --port P              reads the body of each request, and answers as Acumen does
python -m bench.bare --port P --select-one  Starlette: each request runs SELECT 1 in a thread
python -m bench.bare --port P --file PATH   Starlette: GET /file is the static file
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

Message = MutableMapping[str, Any]


async def read_body(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """The bare application."""
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    b"".join(parts)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"16")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"created":true}'})


def select_one() -> Starlette:
    """The least that a query can cost in this HTTP stack."""
    connection = duckdb.connect(":memory:")
    threads = ThreadPoolExecutor(1)

    def run() -> bytes:
        rows = connection.cursor().execute("SELECT 1").fetchall()
        return b'{"result":%d}' % rows[0][0]

    async def answer(_: Request) -> Response:
        body = await asyncio.get_running_loop().run_in_executor(threads, run)
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/one", answer)])


def static(path: str) -> Starlette:
    """A file as this HTTP stack serves one."""

    async def answer(_: Request) -> Response:
        return FileResponse(path, media_type="application/json")

    return Starlette(routes=[Route("/file", answer)])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--select-one", action="store_true")
    parser.add_argument("--file")
    args = parser.parse_args()
    app: Any = select_one() if args.select_one else read_body
    uvicorn.run(
        static(args.file) if args.file else app,
        host="127.0.0.1",
        port=args.port,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=4_096,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
