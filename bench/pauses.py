"""The longest pause of a worker's event loop, and its memory, under the worst bodies at production limits.

Each body is small as sent: it is what a client with a public key can send. A second connection asks for
``/health`` again and again; the longest wait for an answer bounds how long the event loop was held.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import zstandard

from bench import accounting
from bench.memory import MIB, bounds
from bench.report import Report
from bench.serving import Acumen

INFLATED_BYTES = 24_900_000
PAUSE_SECONDS = 0.25
"""The longest pause that is wanted, as a client of a busy machine sees it."""
_POLL_SECONDS = 0.002


def filled(head: bytes, item: bytes, tail: bytes, size: int = INFLATED_BYTES) -> bytes:
    """JSON of about so many bytes, of the same item again and again."""
    return head + item * ((size - len(head) - len(tail)) // len(item)) + tail


def _numbered(form: bytes, size: int) -> bytes:
    return b"{" + b",".join(form % number for number in range(size // (len(form) + 5))) + b"}"


WRITES: dict[str, Callable[[], bytes]] = {
    "empty events": lambda: filled(b'{"a":[', b"{},", b"{}]}"),
    "small events": lambda: filled(b'{"a":[', b'{"n":1},', b"{}]}"),
    "empty lists": lambda: filled(b'{"a":[', b"[],", b"[]]}"),
    "numbers for events": lambda: filled(b'{"a":[', b"1,", b"1]}"),
    "names without events": lambda: _numbered(b'"%d":[]', 40_000_000),
    "one event of empty objects": lambda: filled(b'{"a":[{"b":[', b"{},", b"{}]}]}"),
    "half a character, empty events": lambda: filled(rb'{"a":[{"s":"\ud800"},', b"{},", b"{}]}"),
    "half a character, one event": lambda: filled(rb'{"a":[{"s":"\ud800","b":[', b"{},", b"{}]}]}"),
    "half a character, blanks": lambda: filled(rb'{"a":[{"s":"\ud800"},', b" ", b"{}]}"),
    "nested lists": lambda: b'{"a":[' + b"[" * 12_400_000 + b"]" * 12_400_000 + b"]}",
    "nested, then empty events": lambda: filled(
        b'{"a":[' + b"[" * 9_000 + b"]" * 9_000 + b",", b"{},", b"{}]}"
    ),
    "escapes": lambda: filled(b'{"a":[{"s":"', rb"\n", b'"}]}'),
    "escaped halves": lambda: filled(b'{"a":[{"s":"', rb"\ud800", b'"}]}'),
    "many long events": lambda: filled(b'{"a":[', b'{"b":[%b0]},' % (b"{}," * 290_000), b"{}]}"),
    "events of many properties": lambda: filled(b'{"a":[', _numbered(b'"%d":0', 800_000) + b",", b"{}]}"),
    "a long number": lambda: filled(b'{"a":[{"n":', b"1", b"}]}"),
    "refused events": lambda: filled(b'{"a":[', b'{"$%b":1},' % (b"n" * 280), b"{}]}", 14_000_000),
    "blanks": lambda: filled(b'{"a":[', b" ", b"]}"),
}
SENDGRID: dict[str, Callable[[], bytes]] = {
    "SendGrid: empty events": lambda: filled(b"[", b"{},", b"{}]"),
    "SendGrid: one long event": lambda: filled(b'[{"b":[', b"{},", b"{}]}]"),
}
QUESTIONS: dict[str, Callable[[], bytes]] = {
    "question: empty objects": lambda: filled(b'{"filters":[', b"{},", b"{}]}", 9_900_000),
    "question: small objects": lambda: filled(b'{"filters":[', b'{"a":1},', b"{}]}", 1_900_000),
    "question: a long text": lambda: filled(b'{"event_collection":"', rb"\n", b'"}', 9_900_000),
}
SINGLE: dict[str, Callable[[], bytes]] = {
    "one event: empty objects": lambda: filled(b'{"b":[', b"{},", b"{}]}", 890_000),
    "one event: many properties": lambda: _numbered(b'"p%d":0', 780_000),
    "one event: nested": lambda: b'{"a":' + b"[" * 400_000 + b"]" * 400_000 + b"}",
}


@dataclass
class _Seen:
    pause: float = 0.0
    memory: int = 0
    _done: threading.Event = field(default_factory=threading.Event)


def run(report: Report) -> None:
    report.title("Worst bodies at production limits: longest wait for /health (s), the worker's memory (MiB)")
    with Acumen() as server:
        project = f"/3.0/projects/{server.project_id}"
        paths = (
            (f"{project}/events", server.write_key, WRITES),
            (f"{project}/partners/sendgrid/versions/v3", server.write_key, SENDGRID),
            (f"{project}/queries/count", server.read_key, QUESTIONS),
            (f"{project}/events/one", server.write_key, SINGLE),
        )
        longest, most = 0.0, 0
        for path, key, bodies in paths:
            for name, make in bodies.items():
                report.progress(name)
                seen = _measure(report, server, name, path, key, make())
                longest, most = max(longest, seen.pause), max(most, seen.memory)
    report.figure("longest pause, seconds", longest, "of all bodies", limit=PAUSE_SECONDS)
    report.figure("worker's memory, share of its bound", most / bounds()["worker-0"], "", limit=1.0)


def _measure(report: Report, server: Acumen, name: str, path: str, key: str, body: bytes) -> _Seen:
    packed = zstandard.compress(body)
    headers = {"Authorization": key, "Content-Encoding": "zstd"}
    connection = server.connect()
    with _watching(server) as seen:
        began = time.perf_counter()
        connection.request("POST", path, packed, headers)
        answer = connection.getresponse()
        text = answer.read()
        seconds = time.perf_counter() - began
    connection.close()
    what = (
        f"{seen.pause:6.3f} {seen.memory // MIB:6,}   {seconds:6.2f} s, {answer.status}, {len(text):,} bytes"
    )
    report.note(f"{name:<34} {len(packed):>9,} bytes sent: {what}")
    return seen


@contextmanager
def _watching(server: Acumen) -> Iterator[_Seen]:
    seen = _Seen()
    watcher = threading.Thread(target=_watch, args=(seen, server.port, server.processes()["worker-0"]))
    watcher.start()
    try:
        yield seen
    finally:
        seen._done.set()
        watcher.join()


def _watch(seen: _Seen, port: int, pid: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while not seen._done.is_set():
        began = time.perf_counter()
        connection.request("GET", "/health")
        connection.getresponse().read()
        seen.pause = max(seen.pause, time.perf_counter() - began)
        seen.memory = max(seen.memory, accounting.memory(pid).anonymous)
        seen._done.wait(_POLL_SECONDS)
    connection.close()
