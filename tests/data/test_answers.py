"""Three sets of real events give every answer that was computed for them without a database.

They are sent in every way there is, and asked before a flush, after one, and after a restart, with one
worker and with three.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from storage.catalog.catalog import Catalog
from tests.data.comparison import same
from tests.data.conftest import DATA
from tests.support.scale import part
from tests.support.server import Served, ServedProject

NEVER = {"ACUMEN_FLUSH_SECONDS": "1000000", "ACUMEN_FLUSH_EVENTS": "100000000"}
SOON = {"ACUMEN_FLUSH_SECONDS": "0.5"}
EVENTS = 148_673
SINGLE_EVENTS = 500


def questions() -> list[dict[str, Any]]:
    """Every question, and ordered funnels."""
    sets = json.loads((DATA / "answers.json").read_bytes())["datasets"]
    asked = [question for each in sets for question in each["questions"]]
    asked = [retention(one) if one["query"]["analysis"] == "retention" else one for one in asked]
    return [*asked, *(ordered for question in asked for ordered in ordered_funnels(question))]


def retention(question: dict[str, Any]) -> dict[str, Any]:
    """The question in our words: cohorts are calendar months, and its ``active`` are the actors retained."""
    query = dict(question["query"])
    query["starting_event"] = {"event_collection": query.pop("event_collection")}
    expected = [(row["size"], row["active"]) for row in question["expected"]["result"]]
    return {**question, "query": {**query, "interval": "monthly"}, "expected": {"result": expected}}


def ordered_funnels(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same funnel where each step must come later than the one before, or at the same time as well."""
    for name, equal_times in (("ordered_strict", "apart"), ("ordered_allow_equal", "in_order")):
        if name in question["expected"]:
            query = {**question["query"], "order": "ordered", "equal_times": equal_times}
            expected = {"result": question["expected"][name]}
            yield {"id": f"{question['id']}, {name}", "query": query, "expected": expected}


def lines(name: str) -> list[bytes]:
    with gzip.open(DATA / f"{name}.ndjson.gz") as file:
        return file.read().splitlines()


class Asker:
    """One project on one server, over one connection."""

    def __init__(self, served: Served, project: ServedProject) -> None:
        self.served, self.project = served, project
        self.url = f"{served.url}/3.0/projects/{project.id}"
        self.client = httpx.Client(timeout=60)

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def post(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        headers["Authorization"] = self.project.write_key
        return self.client.post(self.url + path, content=body, headers=headers)

    def wrong_answers(self) -> list[str]:
        """The ids of the questions that are not answered as expected."""
        wrong = []
        headers = {"Authorization": self.project.read_key}
        for question in questions():
            query = dict(question["query"])
            analysis = query.pop("analysis")
            reply = self.client.post(f"{self.url}/queries/{analysis}", json=query, headers=headers)
            if reply.status_code != 200 or not same(question["query"], question["expected"], reply.json()):
                wrong.append(f"{question['id']}: {reply.text[:200]}")
        return wrong

    def load(self) -> None:
        """Single events and lists, compressed bodies, and a file through ``acumen import``."""
        web = lines("web_requests")
        for line in web[:SINGLE_EVENTS]:
            assert self.post("/events/web_requests", line).status_code == 201
        for start in range(SINGLE_EVENTS, len(web), 1_000):
            self._post_list("web_requests", web[start : start + 1_000])
        wiki = lines("wiki_edits")
        for start in range(0, len(wiki), 5_000):
            self._post_list("wiki_edits", wiki[start : start + 5_000], packed=True)
        rails = str(DATA / "rails_commits.ndjson.gz")
        self.served.run("import", rails, "--project", self.project.id, "--collection", "rails_commits")

    def _post_list(self, name: str, events: list[bytes], *, packed: bool = False) -> None:
        body = b'{"%s":[%s]}' % (name.encode(), b",".join(events))
        if packed:
            reply = self.post("/events", gzip.compress(body, 1), **{"Content-Encoding": "gzip"})
        else:
            reply = self.post("/events", body)
        assert reply.status_code == 200
        assert reply.json() == {name: [{"success": True}] * len(events)}


def wait_for_files(data: Path, seconds: float = 120.0) -> None:
    """Return once every event stands in a file."""
    catalog = Catalog.open(data)
    try:
        deadline = time.monotonic() + seconds
        while sum(file.rows for file in catalog.files.live()) < EVENTS:
            assert time.monotonic() < deadline, "the events were not flushed"
            time.sleep(0.1)
    finally:
        catalog.close()


@pytest.fixture(params=part([3, 1], 1), ids=lambda count: f"{count} workers")
def workers(request: pytest.FixtureRequest) -> Iterator[int]:
    yield request.param


def test_every_answer_is_right_before_a_flush_after_it_and_after_a_restart(
    tmp_path: Path, workers: int
) -> None:
    data = tmp_path / "data"
    with Served(workers=workers, data=data, env=NEVER) as served:
        project = served.project
        with Asker(served, project) as asker:
            asker.load()
            assert asker.wrong_answers() == []
        served.kill_all()

    with Served(workers=workers, data=data, env=SOON) as served:
        wait_for_files(data)
        with Asker(served, project) as asker:
            assert asker.wrong_answers() == []
        served.restart()
        with Asker(served, project) as asker:
            assert asker.wrong_answers() == []
        assert "No faults" in served.told("check").stdout
