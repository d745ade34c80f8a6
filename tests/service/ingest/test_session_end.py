"""The end of a worker's session on its log, while checks of it still run."""

from __future__ import annotations

import asyncio
import mmap
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

from service.ingest.log_session import LogSession, keep_looking_after
from storage.catalog.catalog import Catalog
from storage.disk.file_system import LocalFileSystem
from tests.service.intake import THREADS, run
from tests.support.catalogs import migrated


class SlowDisk(LocalFileSystem):
    """A disk that maps a log's position for readers only when it may ``go_on``."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.mapped: list[mmap.mmap] = []

    def map(self, path: Path, size: int, *, writable: bool) -> mmap.mmap:
        if not writable:
            self.asked.set()
            self.go_on.wait(30)
        found = super().map(path, size, writable=writable)
        if not writable:
            self.mapped.append(found)
        return found


def test_a_session_closes_after_the_check_that_still_runs(tmp_path: Path) -> None:
    """Cancelling the task that checks does not stop its thread, which may open a file then."""
    disk, catalog = SlowDisk(), Catalog.prepare(migrated(tmp_path / "data"))

    async def scenario() -> None:
        with ThreadPoolExecutor(THREADS) as executor:
            opened = AsyncExitStack()
            session = await opened.enter_async_context(LogSession.opened(catalog, executor, fs=disk))
            watch = asyncio.ensure_future(keep_looking_after(session))
            assert await asyncio.to_thread(disk.asked.wait, 30)
            watch.cancel()
            await asyncio.wait([watch])
            closing = asyncio.ensure_future(opened.aclose())
            ended, _ = await asyncio.wait([closing], timeout=0.2)
            assert not ended, "closed while its thread was about to open a file"
            disk.go_on.set()
            await closing

    run(scenario())
    catalog.close()
    assert disk.mapped
    assert all(one.closed for one in disk.mapped)
