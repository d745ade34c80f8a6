"""Servers to measure: ``acumen serve`` on a folder of its own, and the applications it is compared with."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from bench import accounting
from bench.report import Wrong
from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import Collection, FileRow
from storage.catalog.tenants.records import Project
from storage.files.compaction import plan_merge

START_SECONDS = 60.0
COLLECTION = "purchases"


class Process:
    """A server in a process of its own, on a free port."""

    def __init__(self, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self.port = free_port()

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="acumen-bench-")
        self.folder = Path(self._folder.name)
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", *self._command, *self.arguments()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                process_group=0,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Wrong(f"The server did not start:\n{self.output()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(120)
        self._folder.cleanup()

    def arguments(self) -> list[str]:
        return ["--port", str(self.port)]

    def ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def processes(self) -> dict[str, int]:
        """Name → process id."""
        return {"server": self._process.pid}

    def cpu_seconds(self) -> float:
        """What all of its processes have used since they were started."""
        return accounting.cpu_seconds(self.processes().values())

    def get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200:
            raise Wrong(f"GET {path} was answered {answer.status}: {body[:300]!r}")
        return body


class Acumen(Process):
    """``acumen serve``, with one project."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        quiet = {"ACUMEN_UNREADY_SECONDS": "0", "ACUMEN_HOST": "127.0.0.1"}
        super().__init__(["service", "serve"], {**quiet, **(environment or {})})

    def __enter__(self) -> Self:
        super().__enter__()
        self._catalog = Catalog.open(self.data)
        self._use(self._catalog.projects.all()[0])
        return self

    def _use(self, project: Project) -> None:
        self.project_id = project.id
        self.write_key, self.read_key = project.write_key, project.read_key
        self.master_key = project.master_key

    def use_newest_project(self) -> None:
        """From now on all goes to the project that was made last, which the server knows on return."""
        self._use(max(self._catalog.projects.all(), key=lambda one: one.created_us))
        self._await_project()

    def begin_project(self, name: str) -> None:
        """From now on all goes to a new project, which the server knows on return. Raises Wrong."""
        self._use(self._catalog.projects.create(name))
        self._await_project()

    def _await_project(self) -> None:
        path = f"/3.0/projects/{self.project_id}"
        deadline = time.monotonic() + START_SECONDS
        connection = self.connect()
        status = 0
        while status != 200:
            if time.monotonic() > deadline:
                raise Wrong(f"The server does not know its new project:\n{self.output()[-2000:]}")
            connection.request("GET", path, headers={"Authorization": self.master_key})
            answer = connection.getresponse()
            answer.read()
            status = answer.status
            time.sleep(0.05)
        connection.close()

    def __exit__(self, *_: object) -> None:
        self._catalog.close()
        super().__exit__()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def arguments(self) -> list[str]:
        return ["--port", str(self.port), "--data", str(self.data)]

    def ready(self) -> bool:
        children = self._state().get("children", {})
        return len(children) > 1 and all(child["ready"] for child in children.values())

    def processes(self) -> dict[str, int]:
        children = {name: child["pid"] for name, child in self._state()["children"].items()}
        return {"supervisor": self._process.pid, **children}

    def _state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self.data / "run" / "server.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return state

    # What it holds

    def collection(self) -> Collection:
        return self._catalog.collections.get(self.project_id, COLLECTION)

    def files(self) -> list[FileRow]:
        """The live Parquet files, oldest events first."""
        return sorted(self._catalog.files.live(self.collection().id), key=lambda file: (file.min_us, file.id))

    def paths(self) -> list[str]:
        return [str(self.data.resolve() / file.path) for file in self.files()]

    def await_rows(self, rows: int, *, merged: bool = True, seconds: float = 120.0) -> None:
        """Until Parquet files hold this many events and, where wanted, nothing is left to be merged.

        Raises Wrong where more are stored, or none came for so many seconds.
        """
        before, deadline = -1, 0.0
        while True:
            files = self.files()
            stored = sum(file.rows for file in files)
            if stored == rows and not (merged and plan_merge(files, datetime.now(UTC))):
                return
            if stored != before:
                before, deadline = stored, time.monotonic() + seconds
            if stored > rows or time.monotonic() > deadline:
                raise Wrong(f"{rows} events were sent, and {stored} are stored:\n{self.output()[-2000:]}")
            time.sleep(0.05)

    # Requests

    def post_request(self, body: bytes, *, bulk: bool) -> bytes:
        """A whole POST as it goes over the wire."""
        path = f"/3.0/projects/{self.project_id}/events" + ("" if bulk else f"/{COLLECTION}")
        return post(path, body, self.write_key)

    def ask(self, analysis: str, connection: http.client.HTTPConnection, **params: Any) -> Any:
        """The ``result`` of a question, computed for it. Raises Wrong where it is refused."""
        path = f"/3.0/projects/{self.project_id}/queries/{analysis}"
        body = json.dumps({"event_collection": COLLECTION, "max_age": 0, **params}).encode()
        connection.request("POST", path, body, {"Authorization": self.read_key})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise Wrong(f"{analysis} was answered {answer.status}: {text[:500]!r}")
        return json.loads(text)["result"]

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)


def post(path: str, body: bytes, key: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def bulk_body(lines: list[bytes], collection: str = COLLECTION) -> bytes:
    return b'{"' + collection.encode() + b'":[' + b",".join(lines) + b"]}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
