"""The whole of Acumen in this process, over one data folder: application, keeper and the runner's tasks.

Time is the test's own: ``now_us`` is what questions, refreshes and retention are relative to. The keeper and
the tasks are stepped by hand, but for requests that wait for the keeper.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx

from query.engine.engine import Engine
from service.background.task_runner import Cancels, Tools
from service.datasets.refresh_task import DatasetRefresher
from service.exports.export_task import Exporter
from service.imports.import_task import Importer
from service.maintenance.scrub_task import Scrubber
from service.process.filter_matcher import FilterMatcher
from service.process.worker import composed
from service.queries.arrival_finder import TailView
from service.queries.live_tails import Tail
from service.saved_queries.refresh_task import Refresher
from service.settings import Settings, load
from service.telemetry.metrics import Metrics
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.tenants.records import Project
from storage.disk.file_system import LocalFileSystem
from storage.files.compaction import Compactor
from storage.keeper.keeper import Keeper, KeeperSettings
from storage.read.snapshot_reader import Reader
from tests.support.catalogs import migrated

T = TypeVar("T")
WAITING = {"PUT": ("events",), "DELETE": ("events", "identities")}
"""Requests that the keeper must do something for: method → what follows the project in the path."""


class Whole:
    def __init__(self, data: Path, now_us: int | None = None, **given: Any) -> None:
        self.now_us = system_clock() if now_us is None else now_us
        self.settings = load(data=data, workers=1, memory_bytes=768 << 20, **given)
        Catalog.prepare(migrated(data), secret=self.settings.secret_key).close()
        self._loop = asyncio.Runner()
        self._composed = composed(self.settings, 0, lambda: self.now_us)
        app, self.parts = self._loop.run(self._composed.__aenter__())
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
        self.catalog = self.parts.catalog
        self.folder = self.catalog.folder
        self.project = self.catalog.projects.ensure_first()[0]
        self.fs = LocalFileSystem()
        self.keeper = self._new_keeper()
        self.keeper.begin()
        self._tools = self._new_tools(data)
        self._refresher, self._datasets = Refresher(self._tools), DatasetRefresher(self._tools)

    def _new_keeper(self) -> Keeper:
        settings = KeeperSettings(
            shred_seconds=0.0, housekeeping_seconds=0.0, clock_hold_seconds=0.0, compaction=False
        )
        matcher = FilterMatcher(self.settings, self.folder)
        return Keeper(
            self.folder, self.catalog, settings, clock=lambda: self.now_us / 1_000_000, matcher=matcher
        )

    def _new_tools(self, data: Path) -> Tools:
        engine = Engine(
            self.folder.root,
            memory_limit_bytes=256 << 20,
            threads=1,
            temp_folder=data / "tmp" / "spill-runner",
            temp_bytes_max=1 << 30,
        )
        reader = Reader(self.folder, self.catalog, self.fs)
        return Tools(self.settings, self.catalog, reader, engine, Metrics(), threading.Event(), Cancels())

    @property
    def tools(self) -> Tools:
        """Those of the runner's tasks."""
        return self._tools

    def tools_with(self, settings: Settings) -> Tools:
        """The same under other settings."""
        return replace(self._tools, settings=settings)

    def close(self) -> None:
        self._tools.reader.close()
        self._tools.engine.close()
        self.keeper.close()
        self._loop.run(self._http.aclose())
        self._loop.run(self._composed.__aexit__(None, None, None))
        self._loop.close()

    def new_project(self) -> Project:
        """One that the application knows."""
        made = self.catalog.projects.create("Another")
        while self.parts.tenants.find(made.id) is None:
            time.sleep(0.02)
        return made

    # Requests

    def call(
        self,
        project: Project,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> httpx.Response:
        """A request below the project, with its master key unless told otherwise; bytes go as they are."""
        text = urlencode({k: v if isinstance(v, str) else json.dumps(v) for k, v in query.items()})
        address = f"/3.0/projects/{project.id}/{path}" + (f"?{text}" if text else "")
        sent = self._http.request(
            method,
            address,
            content=body if body is None or isinstance(body, bytes) else json.dumps(body),
            headers={"authorization": key or project.master_key, **(headers or {})},
        )
        waits = path.split("/")[0] in WAITING.get(method, ())
        return self._loop.run(self._with_keeper(sent) if waits else _awaited(sent))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of work on the application's event loop."""
        return self._loop.run(work)

    async def sending(self, project: Project, method: str, path: str, body: Any) -> httpx.Response:
        """The answer to one request with the master key, for work on the application's loop."""
        address = f"/3.0/projects/{project.id}/{path}"
        headers = {"authorization": project.master_key}
        return await self._http.request(method, address, json=body, headers=headers)

    def together(
        self, project: Project, method: str, path: str, bodies: Iterable[Any]
    ) -> list[httpx.Response]:
        """The answers to requests that are sent at one time, with the master key."""

        async def sent() -> list[httpx.Response]:
            return await asyncio.gather(*(self.sending(project, method, path, body) for body in bodies))

        return self._loop.run(sent())

    def get(self, address: str, *, key: str) -> httpx.Response:
        """A request that belongs to no project."""
        return self._loop.run(_awaited(self._http.get(address, headers={"authorization": key})))

    def send(
        self, method: str, address: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """A request as it is told, with no key and no cookie of its own; bytes go as they are, and so do
        parts of a body that come one by one."""
        content = body if body is None or isinstance(body, bytes | AsyncIterator) else json.dumps(body)
        sent = self._http.request(method, address, content=content, headers=headers)
        try:
            return self._loop.run(_awaited(sent))
        finally:
            self._http.cookies.clear()

    def told(self, project: Project, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The JSON of an answer that must be a good one."""
        reply = self.call(project, method, path, body, **more)
        assert reply.status_code in (200, 201, 204), (method, path, body, reply.text)
        return reply.json() if reply.content else None

    def record(self, project: Project, collection: str, events: Iterable[Mapping[str, Any]]) -> None:
        """Sends the events in one batch; all must be taken."""
        sent = list(events)
        if sent:
            verdicts = self.told(project, "POST", "events", {collection: sent})[collection]
            assert all(one["success"] for one in verdicts), verdicts

    async def _with_keeper(self, sent: Any) -> httpx.Response:
        asked = asyncio.ensure_future(sent)
        while not asked.done():
            await asyncio.to_thread(self.keeper.step)
            await asyncio.sleep(0.001)
        return await _awaited(asked)

    def open_tail(self, view: TailView) -> Tail:
        """A live tail that nobody reads."""
        return self._loop.run(self.parts.tails.open(view, held=False))

    # What runs beside it

    def flush(self) -> None:
        """All that was sent into files."""
        self.keeper.step()
        self.keeper.flush()

    def merge(self) -> None:
        """Every small file into larger ones, as far as they go."""
        self.flush()
        compactor = Compactor(self.folder, self.catalog, self.fs)
        while compactor.step():
            pass

    def scrub(self) -> None:
        """Compare every stored file with its digest, and take back what is sound again."""
        scrubber = Scrubber(self._tools)
        while scrubber.run_due(self.now_us):
            pass

    def export(self) -> None:
        """Make the files of all extractions that were asked for."""
        exporter = Exporter(self._tools)
        while exporter.run_due(self.now_us):
            pass

    def import_files(self) -> None:
        """Import all files whose import was started."""
        importer = Importer(self._tools)
        while importer.run_due(system_clock()):
            pass

    def refresh(self) -> None:
        """Do all that the runner has to do now."""
        for task in (self._refresher, self._datasets):
            while task.run_due(self.now_us):
                pass


async def _awaited(sent: Any) -> httpx.Response:
    found: httpx.Response = await sent
    return found
