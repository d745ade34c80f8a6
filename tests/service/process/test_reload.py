"""SIGHUP: the certificate and the log level are read anew, and nothing else happens."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from tests.sdk.certificate import make_certificate
from tests.support.server import Served


def until(condition: Callable[[], bool], server: Served) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.05)


def connected(server: Served) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=120))


def shown(server: Served) -> bytes | None:
    with connected(server) as connection:
        return connection.getpeercert(binary_form=True)


def healthy(connection: socket.socket) -> bool:
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    received = b""
    while not received.endswith(b'{"status":"ok"}'):
        part = connection.recv(65_536)
        if not part:
            return False
        received += part
    return received.startswith(b"HTTP/1.1 200")


def test_a_hangup_reads_certificate_and_log_level_anew(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    old, new = make_certificate(tmp_path / "old"), make_certificate(tmp_path / "new")
    level = tmp_path / "level"
    level.write_text("warning\n")
    env = {
        "ACUMEN_TLS_CERT": str(old.certificate),
        "ACUMEN_TLS_KEY": str(old.key),
        "ACUMEN_LOG_LEVEL_FILE": str(level),
    }
    with Served(env=env, scheme="https") as server:
        before, pids = shown(server), server.state()["children"]
        with connected(server) as kept:
            assert healthy(kept)

            shutil.copy(new.key, old.key)
            os.kill(server.pid, signal.SIGHUP)
            until(lambda: "Some settings could not be reloaded" in server.output(), server)
            assert shown(server) == before, "a key without its certificate is not taken"

            shutil.copy(new.certificate, old.certificate)
            level.write_text("info\n")
            os.kill(server.pid, signal.SIGHUP)
            until(lambda: shown(server) != before, server)
            os.kill(server.pid, signal.SIGHUP)
            until(lambda: "SIGHUP: the log level" in server.output(), server)
            for child in ("worker-0", "keeper", "runner"):
                os.kill(server.child_pid(child), signal.SIGHUP)
            assert healthy(kept), "connections stay"
        assert server.state()["children"] == pids
        assert server.stop() == 0
