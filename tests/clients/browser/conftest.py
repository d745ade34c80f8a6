"""A site whose pages record events with a server on another origin."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import FLAGS, PATIENCE_SECONDS, SITE, Launch
from tests.support.server import Served, ServedProject

ROOT = Path(__file__).resolve().parents[3]
DISTS = (ROOT / "clients/js/dist", ROOT / "clients/charts/dist")


class Site:
    """Pages of a site, beside the built scripts under /dist/."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.reports: queue.SimpleQueue[Any] = queue.SimpleQueue()
        """What pages posted to /report."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, self))
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.insecure_url = f"http://{SITE}:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Pages(SimpleHTTPRequestHandler):
    def __init__(self, site: Site, *args: Any) -> None:
        self._site = site
        super().__init__(*args)

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        kind = "text/javascript" if path.endswith(".js") else "text/html; charset=utf-8"
        if path.startswith("/dist/"):
            name = path.removeprefix("/dist/")
            body = next(dist / name for dist in DISTS if (dist / name).exists()).read_bytes()
        elif path in self._site.pages:
            body = self._site.pages[path].encode()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self._site.reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


class Recorded:
    """What the server has of a project's events."""

    def __init__(self, served: Served, project: ServedProject) -> None:
        self.served, self.project = served, project

    def events(self, collection: str = "seen") -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = self.served.ask(
            self.project, "extraction", event_collection=collection
        )
        return sorted(events, key=lambda event: (event["keen"]["timestamp"], event["keen"]["id"]))

    def numbers(self, collection: str = "seen") -> list[int]:
        """The property `n` of each event, sorted, as often as it is there."""
        return sorted(event["n"] for event in self.events(collection))

    def wait_for(self, count: int, collection: str = "seen") -> list[dict[str, Any]]:
        """Wait until there are so many."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(found := self.events(collection)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} events of {collection}"
            time.sleep(0.05)
        return found


@pytest.fixture
def recorded(served: Served, project: ServedProject) -> Recorded:
    return Recorded(served, project)


__all__ = [
    "DISTS",
    "FLAGS",
    "PATIENCE_SECONDS",
    "ROOT",
    "SITE",
    "Launch",
    "Recorded",
    "Site",
    "recorded",
    "site",
]
