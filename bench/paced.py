"""Requests at a steady rate over one connection, in a process of its own.

    python -m bench.paced PORT FILE SECONDS

The requests of ``FILE``, as ``bench.load`` has them, are sent once every ``SECONDS``. Prints, as JSON, when
each was answered, in seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

from bench.load import read_requests
from bench.report import Wrong


def begin(port: int, path: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "bench.paced", str(port), str(path), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answered(process: subprocess.Popen[str]) -> list[float]:
    """When each request was answered. Raises Wrong."""
    output, errors = process.communicate()
    if process.returncode != 0:
        raise Wrong(errors)
    found: list[float] = json.loads(output)
    return found


def _send(connection: socket.socket, request: bytes) -> None:
    connection.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r")[0])
    while len(body) < length:
        body += _more(connection)
    if not head.startswith(b"HTTP/1.1 20") or b'"success":false' in body:
        raise Wrong(f"A request failed: {head[:200]!r} {body[:500]!r}")


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(1 << 16)
    if not received:
        raise Wrong("The server closed the connection.")
    return received


def main() -> None:
    port, path, seconds = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    times = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        due = time.monotonic()
        for request in read_requests(path):
            time.sleep(max(0.0, due - time.monotonic()))
            _send(connection, request)
            times.append(time.monotonic())
            due += seconds
    print(json.dumps(times))


if __name__ == "__main__":
    main()
