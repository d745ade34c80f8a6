"""A store and the task that derives, by hand, at a time of the test's own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from query.engine.engine import Engine
from service.background.task_runner import Cancels, Tools
from service.pipelines import applying
from service.pipelines.definition import CheckContext, read_folder
from service.pipelines.planner_task import PipelinePlanner
from service.pipelines.run import BucketRuns
from service.pipelines.toolbox import Toolbox
from service.process.filter_matcher import FilterMatcher
from service.settings import load
from service.telemetry.metrics import Metrics
from service.workflows.run_worker import RunWorker
from storage.catalog.derived.pipeline_records import DerivedBucket, StoredPipeline
from storage.catalog.stored.records import ErasureKind, ErasureState
from storage.files.compaction import Compactor
from storage.files.parquet import read_table
from storage.keeper.keeper import Keeper
from storage.schema import CREATED_AT, EVENT_ID, TIMESTAMP
from tests.storage.store import ALWAYS, Store

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US


class PipelineBench:
    """A data folder with its keeper, and a folder of pipelines."""

    def __init__(self, base: Path, **given: Any) -> None:
        data = base / "data"
        self.store = Store(data)
        self.settings = load(data=data, **given)
        self.engine = Engine(
            self.store.folder.root,
            memory_limit_bytes=256 << 20,
            threads=1,
            temp_folder=data / "tmp" / "spill",
            temp_bytes_max=1 << 30,
        )
        self.tools = Tools(
            self.settings,
            self.store.catalog,
            self.store.reader,
            self.engine,
            Metrics(data / "metrics", 0, 1),
            threading.Event(),
            Cancels(),
        )
        self.around = CheckContext(self.settings.query_limits, self.engine.check_regex)
        self.planner = PipelinePlanner(self.tools)
        self.toolbox = Toolbox(self.settings, self.store.catalog, self.engine, self.store.reader.verify)
        self.runs = BucketRuns(self.toolbox)
        self.worker = RunWorker(self.store.catalog, self.runs.execute, threading.Event())
        self.store.keeper.close()
        matcher = FilterMatcher(self.settings, self.store.folder)
        self.store.keeper = Keeper(
            self.store.folder, self.store.catalog, ALWAYS, fs=self.store.fs, matcher=matcher
        )
        self.store.keeper.begin()
        self.folder = base / "pipelines"
        self.folder.mkdir(exist_ok=True)
        self.now_us = 1_790_000_000 * SECOND_US

    def close(self) -> None:
        self.toolbox.close()
        self.engine.close()
        self.store.close()

    def write(self, text: str, **files: str) -> None:
        """Write ``pipelines.toml``, and other files by name, with ``_`` for the dot."""
        (self.folder / "pipelines.toml").write_text(text)
        for name, content in files.items():
            (self.folder / name.replace("_", ".")).write_text(content)

    def apply(self, *, remove: bool = False) -> list[applying.Difference]:
        folder = read_folder(self.folder, self.around)
        return applying.apply(
            self.store.catalog, self.store.project, folder, remove=remove, collections_max=100
        )

    def send(self, collection: str, events: Sequence[dict[str, Any]], *, flush: bool = True) -> None:
        lines = [json.dumps(event).encode() for event in events]
        self.store.send(collection, lines, time_us=self.now_us)
        if flush:
            self.store.keeper.step()
            self.store.keeper.flush()

    def change(self, collection: str, kind: ErasureKind, parameters: dict[str, Any]) -> None:
        """Delete or change events, as the keeper does for a client."""
        catalog = self.store.catalog
        (found,) = catalog.collections.named(self.store.project, [collection])
        number = catalog.erasures.request(found.id, kind, parameters)
        while (one := catalog.erasures.find(number)) is None or one.state is ErasureState.WAITING:
            self.store.keeper.step()
        assert one.state is ErasureState.DONE, one.problem

    def merge(self) -> None:
        """Merge files as far as they can be."""
        store = self.store
        while Compactor(store.folder, store.catalog, store.fs, lambda: time.time() + 1e9).step():
            pass

    def derive(self) -> int:
        """Queue and execute runs until nothing is due; how many there were."""
        runs = 0
        while True:
            self.planner.run_due(self.now_us)
            if not self.worker.execute_next():
                return runs
            while self.worker.execute_next():
                runs += 1
            runs += 1
            assert runs < 1_000

    def rows(self, collection: str) -> list[dict[str, Any]]:
        """The stored rows as sorted JSON values, without ids and times of storing."""
        (found,) = self.store.catalog.collections.named(self.store.project, [collection])
        # Which kind of value a column without a suffix has depends on which was stored first.
        paths = {lane.column: lane.path for lane in found.schema.lanes}
        rows: list[dict[str, Any]] = []
        for file in self.store.catalog.files.live(found.id):
            table = read_table(str(self.store.folder.absolute(file.path)))
            kept = [name for name in table.column_names if name not in (CREATED_AT, EVENT_ID)]
            for row in table.select(kept).to_pylist():
                row[TIMESTAMP] = str(row[TIMESTAMP])
                rows.append({paths.get(key, key): value for key, value in row.items() if value is not None})
        return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))

    def pipeline(self, name: str) -> StoredPipeline:
        found = self.store.catalog.pipelines.find(self.store.project, name)
        assert found is not None
        return found

    def buckets(self, name: str) -> list[DerivedBucket]:
        return self.store.catalog.pipelines.buckets(self.pipeline(name).id)
