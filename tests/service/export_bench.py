"""The application and the runner's tasks for extractions, in this process, over one data folder."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from query.engine.engine import Engine
from service.background.task_runner import Cancels, Tools
from service.exports.export_task import Exporter
from service.process.worker import composed
from service.settings import load
from service.telemetry.metrics import Metrics
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.derived.records import ExportJob
from storage.catalog.tenants.records import Project
from storage.disk.file_system import LocalFileSystem
from storage.read.snapshot_reader import Reader

BASE = "http://test.example"


class Bench:
    """One worker, and tasks stepped by hand."""

    def __init__(self, data: Path, **given: Any) -> None:
        Catalog.prepare(data).close()
        self.settings = load(data=data, **given)
        self._loop = asyncio.Runner()
        self._composed = composed(self.settings, 0)
        app, parts = self._loop.run(self._composed.__aenter__())
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE)
        self.parts = parts
        self.catalog = parts.catalog
        self.project = self.catalog.projects.ensure_first()[0]
        self.folder = self.catalog.folder.exports
        self.engine = Engine(
            self.catalog.folder.root,
            memory_limit_bytes=256 << 20,
            threads=1,
            temp_folder=data / "tmp" / "spill",
            temp_bytes_max=1 << 30,
        )
        self.reader = Reader(self.catalog.folder, self.catalog, LocalFileSystem())
        self.tools = self.new_tools()
        self.exporter = Exporter(self.tools)

    def new_tools(self) -> Tools:
        return Tools(
            self.settings, self.catalog, self.reader, self.engine, Metrics(), threading.Event(), Cancels()
        )

    def close(self) -> None:
        self.reader.close()
        self.engine.close()
        self._loop.run(self.http.aclose())
        self._loop.run(self._composed.__aexit__(None, None, None))
        self._loop.close()

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> httpx.Response:
        """A request to the project; a path that begins with a slash, or an address, is taken as it is."""
        address = urlsplit(path)
        if not path.startswith("/") and not address.netloc:
            path = f"/3.0/projects/{self.project.id}/{path}"
        sent = {"authorization": self.project.master_key if key is None else key, **headers}
        content = None if body is None else json.dumps(body)
        return self._loop.run(self.http.request(method, path, content=content, headers=sent))

    def together(self, times: int, params: dict[str, Any]) -> list[int]:
        """What so many extractions that are asked for at once are answered with, in order of the codes."""
        path, key = f"/3.0/projects/{self.project.id}/queries/extraction", self.project.master_key

        async def ask() -> list[httpx.Response]:
            headers = {"authorization": key}
            return await asyncio.gather(
                *(self.http.post(path, json=params, headers=headers) for _ in range(times))
            )

        return sorted(reply.status_code for reply in self._loop.run(ask()))

    def new_project(self) -> Project:
        """One that the application knows."""
        made = self.catalog.projects.create("Another")
        deadline = time.monotonic() + 120
        while self.parts.tenants.find(made.id) is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return made

    def record(self, collection: str, *events: dict[str, Any], project: Project | None = None) -> None:
        path = f"/3.0/projects/{(project or self.project).id}/events"
        reply = self.call("POST", path, {collection: events}, key=(project or self.project).master_key)
        assert reply.status_code == 200, reply.text

    def ask(self, key: str | None = None, **params: Any) -> dict[str, Any]:
        """The job of an extraction by link unless told otherwise, asked for and not begun."""
        asked = {"event_collection": "c", **({} if "email" in params else {"delivery": "link"}), **params}
        reply = self.call("POST", "queries/extraction", asked, key=key)
        assert reply.status_code == 200, reply.text
        job: dict[str, Any] = reply.json()["job"]
        return job

    def work(self) -> None:
        """Do all that is due."""
        while self.exporter.run_due(system_clock()):
            pass

    def shown(self, job: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        reply = self.call("GET", job["url"], key=key)
        assert reply.status_code == 200, reply.text
        told: dict[str, Any] = reply.json()
        return told

    def made(self, key: str | None = None, **params: Any) -> dict[str, Any]:
        """A job, done."""
        job = self.ask(key, **params)
        self.work()
        done = self.shown(job, key)
        assert done["state"] == "done", done
        return done

    def kept(self, job: dict[str, Any]) -> ExportJob:
        """As the catalog has it."""
        found = self.catalog.exports.find(self.project.id, job["id"])
        assert found is not None
        return found[0]

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())
