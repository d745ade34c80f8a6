"""A real server in processes of its own, for tests: started, asked, killed and started again."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Self
from unittest import mock

from service.__main__ import main
from storage.catalog.catalog import Catalog
from tests.support.command import Started, run_acumen, start_acumen

START_SECONDS = 300.0
SESSION_COOKIE = "acumen_session="
"""The beginning of a key that is the cookie of a session."""
"""Waiting ends with the state waited for; this long on a machine that is busy with much else."""
SPARE_PROJECTS = 10
TAKES_SCOPED_KEYS = {"scoped_keys": True, "scoped_keys_without_filters": True}
"""Preferences of a project that honours all keys of this kind."""


@dataclass(frozen=True, slots=True)
class ServedProject:
    """A project and its keys, as ``acumen projects`` prints them."""

    id: str
    name: str
    master_key: str
    write_key: str
    read_key: str
    organization_id: str = ""
    organization_key: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """``acumen serve`` on a free port, with a data folder of its own unless one is given.

    As a context manager it is started, and stopped and its folder removed at the end.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        env: Mapping[str, str] | None = None,
        data: Path | None = None,
        arguments: Sequence[str] = (),
        scheme: str = "http",
        command: Sequence[str] = (),
    ) -> None:
        """``command``: what starts it; by default what ``start_acumen`` says."""
        self._folder = tempfile.TemporaryDirectory(prefix="acumen-test-")
        self.data = data or Path(self._folder.name) / "data"
        self.port = free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.workers = workers
        self._env = {**os.environ, **_quiet(env or {})}
        self._arguments = list(arguments)
        self._command = list(command)
        self._process: Started | None = None
        self.log = Path(self._folder.name) / "log"
        """What the server wrote, standard output and error together, over all its starts."""
        self._said_before = 0
        self._spare: list[ServedProject] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end()
        finally:
            self._folder.cleanup()

    def _end(self) -> None:
        """Where the folder goes as well there is nothing to be drained and flushed for."""
        own = Path(self._folder.name) in self.data.parents
        if own and self._process is not None and self._process.poll() is None and self._is_ready():
            self.kill_all()
        else:
            self.stop()

    # The process

    def start(self, *, wait: bool = True) -> None:
        """Start it and, unless told otherwise, wait until every child of it works and it has said so."""
        arguments = ["serve", "--host", "127.0.0.1", "--port", str(self.port)]
        arguments += ["--data", str(self.data), "--workers", str(self.workers), *self._arguments]
        with self.log.open("ab") as log:
            self._said_before = log.tell()
            if self._command:
                command = [*self._command, *arguments]
                self._process = subprocess.Popen(
                    command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._env, process_group=0
                )
            else:
                self._process = start_acumen(arguments, self._env, log, log)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Return once all children work; fail with what the server said where that takes too long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"the server ended at its start:\n{self.output()}")
            if self._is_ready():
                return
            time.sleep(0.05)
        raise AssertionError(f"the server was not ready after {seconds:g} seconds:\n{self.output()}")

    def _is_ready(self) -> bool:
        state = self.state()
        if state.get("pid") != self.pid:
            return False
        children = state["children"]
        if len(children) != self.workers + 2 or not all(child["ready"] for child in children.values()):
            return False
        # Its children work a little before it says so.
        return b"Acumen answers at" in self.log.read_bytes()[self._said_before :]

    def stop(
        self, number: int = signal.SIGTERM, *, group: bool = False, seconds: float = START_SECONDS
    ) -> int:
        """Send a signal (to the whole process group where told), and the exit status that followed."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            if group:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)
        status = self._process.wait(seconds)
        self._process = None
        return status

    def kill(self, name: str | None = None) -> None:
        """SIGKILL the supervisor, or the child of this name (``worker-0``, ``keeper``, ``runner``)."""
        if name is not None:
            os.kill(self.child_pid(name), signal.SIGKILL)
            return
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def kill_all(self) -> None:
        """SIGKILL every process of the server at once, as a power cut would end them."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        for child in self.state()["children"].values():
            try:
                os.kill(child["pid"], signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.kill()

    def restart(self) -> None:
        """Stop it cleanly and start it again, on the same port and data."""
        status = self.stop()
        assert status == 0, self.output()
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def child_pid(self, name: str) -> int:
        pid: int = self.state()["children"][name]["pid"]
        return pid

    def state(self) -> dict[str, Any]:
        """``run/server.json``; empty where there is none."""
        try:
            state: dict[str, Any] = json.loads((self.data / "run" / "server.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return state

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    # Projects

    @property
    def project(self) -> ServedProject:
        """The project of the first start."""
        return self.projects()[0]

    def projects(self) -> list[ServedProject]:
        """As ``acumen projects list`` prints them."""
        listed = json.loads(self.told("projects", "list").stdout)
        return [ServedProject(**{k: v for k, v in one.items() if k != "preferences"}) for one in listed]

    def new_project(self, name: str = "Test", **options: Any) -> ServedProject:
        """A project made beside the running server, as the command line makes it; known to it on return.

        ``options``: ``id``, ``master_key``, ``write_key``, ``read_key``, ``preferences``. Of those without
        any, some are made at once, and kept for the next calls: a server hears of them after a moment.
        """
        if name != "Test" or options or self._process is None:
            return self._made(name, 1, options)[0]
        if not self._spare:
            self._spare = self._made(name, SPARE_PROJECTS, options)
        return self._spare.pop()

    def _made(self, name: str, count: int, options: Mapping[str, Any]) -> list[ServedProject]:
        catalog = Catalog.prepare(self.data) if self._process is None else Catalog.open(self.data)
        try:
            found = [catalog.projects.create(name, **options) for _ in range(count)]
        finally:
            catalog.close()
        made = [ServedProject(one.id, one.name, one.master_key, one.write_key, one.read_key) for one in found]
        if self._process is not None:
            # The newest: who knows it knows the others.
            self.await_project(made[-1])
        return made

    def await_project(self, project: ServedProject, seconds: float = START_SECONDS) -> None:
        path = f"/3.0/projects/{project.id}?api_key={project.master_key}"
        deadline = time.monotonic() + seconds
        while self.request("GET", path).status != 200:
            assert time.monotonic() < deadline, "the server does not know the new project"
            time.sleep(0.05)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """An ``acumen`` command on this data folder."""
        done = run_acumen([*arguments, "--data", str(self.data)], self._env)
        assert not check or done.returncode == 0, done.stderr
        return done

    def told(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """An ``acumen`` command that ends at once, as ``run`` but in this process: no other is started."""
        out, problems = io.StringIO(), io.StringIO()
        command = [*arguments, "--data", str(self.data)]
        with (
            redirect_stdout(out),
            redirect_stderr(problems),
            mock.patch.dict(os.environ, self._env, clear=True),
        ):
            status = main(command)
        return subprocess.CompletedProcess(command, status, out.getvalue(), problems.getvalue())

    # Requests

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = START_SECONDS,
    ) -> Reply:
        """One request on a connection of its own; a body that is no bytes is sent as JSON.

        A key that is a cookie is a session. Of server-sent events, which have no end, the reply's body is the
        first message."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = dict(headers or {})
        if key is not None and key.startswith(SESSION_COOKIE):
            sent |= {"Authorization": "session", "Cookie": key}
        elif key is not None:
            sent["Authorization"] = key
        request = urllib.request.Request(self.url + path, data=data, headers=sent, method=method)
        try:
            with _OPENER.open(request, timeout=seconds) as answer:
                if answer.headers.get_content_type() == "text/event-stream":
                    found = b"".join(takewhile(lambda line: bytes(line).strip(), answer))
                else:
                    found = answer.read()
                return Reply(answer.status, _lower(answer.headers.items()), found)
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, _lower(error.headers.items()), error.read())

    def record(self, project: ServedProject, collection: str, *events: Mapping[str, Any]) -> None:
        """Send events in one batch; all must be taken."""
        reply = self.request(
            "POST", f"/3.0/projects/{project.id}/events", {collection: events}, key=project.write_key
        )
        assert reply.status == 200, reply.body
        assert all(verdict["success"] for verdict in reply.json[collection]), reply.body

    def ask(self, project: ServedProject, analysis: str, **params: Any) -> Any:
        """The ``result`` of a query, sent by POST with the read key."""
        path = f"/3.0/projects/{project.id}/queries/{analysis}"
        reply = self.request("POST", path, params, key=project.read_key)
        assert reply.status == 200, reply.body
        return reply.json["result"]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_LOG_INS = {"ACUMEN_LOGIN_FAILURES_PER_ADDRESS": "1000000"}
"""Tests of one server all come from one address."""
_OUTBOUND = {"ACUMEN_OUTBOUND_HOSTS": "hooks.example.com"}
"""The host that the examples of the API's document name."""
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _quiet(env: Mapping[str, str]) -> dict[str, str]:
    """Small limits that suit many servers on one machine; a test's own come first."""
    return {
        "ACUMEN_MEMORY_BYTES": str(512 << 20),
        "ACUMEN_UNREADY_SECONDS": "0",
        **_LOG_INS,
        **_OUTBOUND,
        **env,
    }


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


__all__ = ["Reply", "Served", "ServedProject", "free_port"]
