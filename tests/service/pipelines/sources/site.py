"""An Acumen with a folder for sources, the task that queues their runs, and what executes these."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from service.pipelines.sources.planner_task import SourcePlanner
from service.process.run_process import executor
from service.workflows.run_worker import RunWorker
from storage.catalog.sources.records import StoredSource
from tests.service.whole import Whole

SETTLED_SECONDS = 60.0
"""How old the files are that a test writes, unless it says otherwise."""


class SourceSite:
    """Its time begins with the machine's, by which files and the claims of batches are dated."""

    def __init__(self, base: Path, **given: Any) -> None:
        self.root = base / "incoming"
        self.root.mkdir(exist_ok=True)
        self.whole = Whole(base / "data", **{"source_folder": self.root, **given})
        self.folder = self.root / self.whole.project.id
        self.planner = SourcePlanner(self.whole.tools)
        self.execute = executor(self.whole.tools)
        self.worker = RunWorker(
            self.whole.catalog, self.execute, threading.Event(), clock=lambda: self.whole.now_us
        )

    def close(self) -> None:
        self.whole.close()

    def told(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        return self.whole.told(self.whole.project, method, path, body, **query)

    def apply(self, text: str, *, remove: bool = False) -> Any:
        body = {"file": f'owner = "data@shop.example"\n{text}', "remove": remove}
        return self.told("POST", "pipelines/apply", body)["sources"]

    def refused(self, text: str, status: int = 400) -> str:
        """What is said of a file that cannot be applied."""
        body = {"file": f'owner = "data@shop.example"\n{text}'}
        reply = self.whole.call(self.whole.project, "POST", "pipelines/apply", body)
        assert reply.status_code == status, reply.text
        return str(reply.json()["message"])

    def write(self, path: str, content: str | bytes, *, age: float = SETTLED_SECONDS) -> Path:
        whole = self.folder / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_bytes(content.encode() if isinstance(content, str) else content)
        at = time.time() - age
        os.utime(whole, (at, at))
        return whole

    def read(self) -> int:
        """Let all that is due be read; how many runs there were."""
        runs = 0
        self.whole.now_us += 3_600_000_000
        self.planner.run_due(self.whole.now_us)
        while self.worker.execute_next():
            runs += 1
        return runs

    def count(self, collection: str = "orders") -> Any:
        return self.asked("count", collection)

    def asked(self, analysis: str, collection: str = "orders", **query: Any) -> Any:
        timeframe = {"start": "2000-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}
        return self.told(
            "GET", f"queries/{analysis}", event_collection=collection, timeframe=timeframe, **query
        )["result"]

    def rows(self, collection: str = "orders") -> list[dict[str, Any]]:
        """The events, oldest first, without what the server adds."""
        events = self.asked("extraction", collection)
        for event in events:
            event["keen"] = {key: value for key, value in event["keen"].items() if key == "timestamp"}
        return sorted(events, key=lambda event: (event["keen"]["timestamp"], str(event)))

    def source(self, name: str = "orders") -> Any:
        return self.told("GET", f"sources/{name}")

    def stored(self, name: str = "orders") -> StoredSource:
        found = self.whole.catalog.sources.find(self.whole.project.id, name)
        assert found is not None
        return found
