"""The runs of pipelines and all buckets of one, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.catalog.runs.records import NewRun
from tests.service.pipelines.test_derived_collections import PIPELINE, derive
from tests.service.whole import Whole

DAYS = ["2026-01-01", "2026-01-02", "2026-01-03"]


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    made = Whole(tmp_path / "data")
    try:
        made.record(
            made.project,
            "purchases",
            [{"price": 2, "keen": {"timestamp": f"{day}T12:00:00Z"}} for day in DAYS],
        )
        made.flush()
        made.told(made.project, "POST", "pipelines/apply", {"file": PIPELINE})
        yield made
    finally:
        made.close()


def test_buckets_that_were_never_derived_are_in_the_timeline(whole: Whole) -> None:
    project = whole.project
    path = "pipelines/doubled/timeline"
    found = whole.told(project, "GET", path)
    assert found["total"] == 3
    assert [one["start"][:10] for one in found["buckets"]] == DAYS[::-1]
    assert {(one["state"], one["cause"], one["running"]) for one in found["buckets"]} == {
        ("stale", "new", False)
    }
    derive(whole)
    assert {one["state"] for one in whole.told(project, "GET", path)["buckets"]} == {"fresh"}
    part = {"since": "2026-01-02T00:00:00Z", "until": "2026-01-03T00:00:00Z"}
    query = "&".join(f"{name}={value}" for name, value in part.items())
    assert whole.told(project, "GET", f"{path}?{query}")["total"] == 1
    changed = whole.told(project, "POST", "pipelines/doubled/buckets", {"state": "frozen", **part})
    assert changed == {"changed": 1}
    whole.record(project, "purchases", [{"price": 3, "keen": {"timestamp": f"{DAYS[0]}T01:00:00Z"}}])
    whole.flush()
    assert [(one["state"], one["cause"]) for one in whole.told(project, "GET", path)["buckets"]] == [
        ("fresh", None),
        ("frozen", None),
        ("stale", "events"),
    ]


def test_runs_are_listed_newest_first_with_what_became_of_them(whole: Whole) -> None:
    project = whole.project
    derive(whole)
    runs = whole.told(project, "GET", "pipelines/doubled/runs")["runs"]
    assert [one["start"][:10] for one in runs] == DAYS
    assert {(one["pipeline"], one["state"], one["attempts"], one["problem"]) for one in runs} == {
        ("doubled", "done", 1, None)
    }
    assert not any(one["delivers"] for one in runs)
    assert all(one["seconds"] >= 0 and one["began"] <= one["ended"] for one in runs)
    second = whole.told(project, "GET", f"runs?before={runs[0]['number']}&limit=1")["runs"]
    assert second == [runs[1]]
    catalog = whole.catalog
    catalog.runs.enqueue(NewRun(project.id, "doubled", "0/86400000000", "new: 1 events", "default"))
    (waiting,) = whole.told(project, "GET", "pipelines/doubled/runs?state=waiting,running")["runs"]
    assert (waiting["began"], waiting["seconds"]) == (None, None)
    assert catalog.runs.claim("somebody") is not None
    (running,) = whole.told(project, "GET", "runs?state=running")["runs"]
    assert (running["id"], running["ended"]) == (waiting["id"], None)
    assert running["seconds"] >= 0


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("runs?state=lost", 400, "'state' must be one or several of waiting, running"),
        ("runs?limit=0", 400, "limit"),
        ("pipelines/none/runs", 404, "none"),
        ("pipelines/none/timeline", 404, "none"),
        ("pipelines/doubled/timeline?since=yesterday", 400, "'since' must be an instant"),
    ],
)
def test_what_is_wrong_is_named(whole: Whole, path: str, status: int, said: str) -> None:
    reply = whole.call(whole.project, "GET", path)
    assert reply.status_code == status
    assert said in reply.json()["message"]
