"""``acumen mcp``: the MCP server of a project on standard input and output.

It passes each message to ``POST /3.0/projects/P/mcp`` of a running server, and its answer back: one message a
line. It imports little, since a client keeps one such process for as long as it runs.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import ssl
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any, BinaryIO
from urllib.parse import SplitResult, quote, urlsplit

from service.cli.errors import CannotDo
from service.cli.secret_options import STANDARD_INPUT, BadSecret, read_secret

Json = dict[str, Any]

LINE_BYTES_MAX = 16 << 20
"""Limit of one message; the server's own limit is lower unless it was raised."""
TOGETHER_MAX = 8
"""Requests that are under way at one time; others wait."""
PATIENCE_SECONDS = 600.0
END_SECONDS = 10.0
"""How long the answers under way may take after the end of the input."""
_NOT_JSON, _NO_MESSAGE, _INTERNAL = -32700, -32600, -32603
_VERSION = "io.modelcontextprotocol/protocolVersion"
_NAMED = {"tools/call": "name", "resources/read": "uri", "prompts/get": "name"}


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--url", required=True, metavar="URL", help="the server, such as http://127.0.0.1:8000"
    )
    command.add_argument("--project", required=True, metavar="ID")
    command.add_argument(
        "--key-file", metavar="FILE", help="file with the key (default: the variable ACUMEN_ACCESS_KEY)"
    )


def run(args: argparse.Namespace) -> int:
    """Raises CannotDo."""
    address = urlsplit(args.url)
    if address.scheme not in ("http", "https") or not address.hostname or address.query or address.fragment:
        raise CannotDo(f"--url: {args.url} is not the address of a server, such as http://127.0.0.1:8000.")
    server = _Server(address, args.project, _key_of(args))
    _Bridge(server, sys.stdout.buffer).run(sys.stdin.buffer)
    return 0


def _key_of(args: argparse.Namespace) -> str:
    if args.key_file == STANDARD_INPUT:
        raise CannotDo("--key-file: standard input is for messages: give a file.")
    if args.key_file is not None:
        try:
            return read_secret("--key-file", args.key_file)
        except BadSecret as error:
            raise CannotDo(str(error)) from None
    # It imports much, which a process with a file need not hold.
    from service.settings import key_of_environment

    key = key_of_environment("access")
    if not key:
        raise CannotDo("Which key? Give --key-file FILE, or set ACUMEN_ACCESS_KEY.")
    return key


class _Server:
    """The address of the MCP server and the key for it."""

    def __init__(self, address: SplitResult, project: str, key: str) -> None:
        self._address = address
        self._path = f"{address.path.rstrip('/')}/3.0/projects/{quote(project, safe='')}/mcp"
        self._key = key
        self._context = ssl.create_default_context() if address.scheme == "https" else None

    @property
    def shown(self) -> str:
        return f"{self._address.scheme}://{self._address.netloc.rpartition('@')[2]}"

    def connection(self) -> http.client.HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        if self._context is not None:
            return http.client.HTTPSConnection(host, port, timeout=PATIENCE_SECONDS, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)

    def post(self, connection: http.client.HTTPConnection, line: bytes, message: Any) -> tuple[int, bytes]:
        """The status and body of the answer. Raises OSError, HTTPException."""
        headers = {
            "authorization": self._key,
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            **_headers_of(message),
        }
        connection.request("POST", self._path, line, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


class _Bridge:
    """Passes messages on, several at a time, and their answers back as they come."""

    def __init__(self, server: _Server, out: BinaryIO) -> None:
        self._server = server
        self._out = out
        self._lock = threading.Lock()
        self._under_way: dict[Any, http.client.HTTPConnection] = {}
        self._cancelled: set[Any] = set()
        self._pool = ThreadPoolExecutor(TOGETHER_MAX, "mcp")

    def run(self, lines: BinaryIO) -> None:
        """Until the input ends."""
        waiting: set[Future[None]] = set()
        while line := lines.readline(LINE_BYTES_MAX + 1):
            if len(line) > LINE_BYTES_MAX:
                while not line.endswith(b"\n") and (line := lines.readline(LINE_BYTES_MAX)):
                    pass
                self._fail(None, _NO_MESSAGE, f"A message may have {LINE_BYTES_MAX:,} bytes at most.")
            elif line.strip():
                waiting = {one for one in waiting if not one.done()}
                self._take(line.strip(), waiting)
        wait(waiting, END_SECONDS)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _take(self, line: bytes, waiting: set[Future[None]]) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._fail(None, _NOT_JSON, "The line is not valid JSON: each message is one line.")
            return
        if isinstance(message, dict) and message.get("method") == "notifications/cancelled":
            self._cancel(message.get("params"))
            return
        waiting.add(self._pool.submit(self._pass_on, line, message))

    def _pass_on(self, line: bytes, message: Any) -> None:
        known = message.get("id") if isinstance(message, dict) else None
        known = known if isinstance(known, str | int) else None
        expects = not isinstance(message, dict) or "id" in message
        connection = self._server.connection()
        with self._lock:
            if known in self._cancelled:
                self._cancelled.discard(known)
                return
            if known is not None:
                self._under_way[known] = connection
        try:
            status, body = self._server.post(connection, line, message)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            self._answer(known, expects, _error(f"{self._server.shown} does not answer: {reason}."))
        else:
            self._answer(known, expects, _answer_of(status, body))
        finally:
            connection.close()

    def _answer(self, known: Any, expects: bool, answer: bytes | Json | None) -> None:
        """Write an answer, unless the request was cancelled or is a notification."""
        with self._lock:
            self._under_way.pop(known, None)
            if known in self._cancelled:
                self._cancelled.discard(known)
                return
        if isinstance(answer, bytes):
            self._write(answer)
        elif answer is not None and expects:
            self._fail(known, **answer)
        elif answer is not None:
            sys.stderr.write(f"acumen: {answer['text']}\n")

    def _cancel(self, params: Any) -> None:
        """End a request; its query ends with its connection."""
        known = params.get("requestId") if isinstance(params, dict) else None
        if not isinstance(known, str | int):
            return
        with self._lock:
            connection = self._under_way.get(known)
            if connection is None:
                return
            self._cancelled.add(known)
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(2)

    def _fail(self, known: Any, code: int, text: str, data: Json | None = None) -> None:
        error: Json = {"code": code, "message": text, **({"data": data} if data else {})}
        named = {} if known is None else {"id": known}
        self._write(json.dumps({"jsonrpc": "2.0", **named, "error": error}).encode())

    def _write(self, message: bytes) -> None:
        with self._lock:
            self._out.write(message + b"\n")
            self._out.flush()


def _headers_of(message: Any) -> dict[str, str]:
    """The headers in which a request of a newer revision repeats what it says."""
    params = message.get("params") if isinstance(message, dict) else None
    meta = params.get("_meta") if isinstance(params, dict) else None
    named = meta.get(_VERSION) if isinstance(meta, dict) else None
    if not isinstance(params, dict) or not isinstance(named, str):
        return {}
    method = str(message.get("method"))
    name = params.get(_NAMED.get(method, ""))
    headers = {"mcp-protocol-version": named, "mcp-method": method}
    if isinstance(name, str):
        headers["mcp-name"] = name
    return {header: _encoded(value) for header, value in headers.items()}


def _encoded(value: str) -> str:
    """A text as the value of a header, in the protocol's form where it cannot stand there as it is."""
    plain = value.isascii() and value.isprintable() and value == value.strip()
    if plain and not value.startswith("=?base64?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode('utf-8', 'replace')).decode()}?="


def _answer_of(status: int, body: bytes) -> bytes | Json | None:
    """The server's message; an error made of another answer; None where it has none."""
    if status == 202:
        return None
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if isinstance(told, dict) and told.get("jsonrpc") == "2.0":
        return body
    if not isinstance(told, dict) or "message" not in told:
        return _error(f"The address answers with status {status}, and not as an Acumen server does.")
    code = _INTERNAL if status >= 500 or status == 429 else _NO_MESSAGE
    return _error(str(told["message"]), code, {**told, "status": status})


def _error(text: str, code: int = _INTERNAL, data: Json | None = None) -> Json:
    return {"code": code, "text": text, "data": data}
