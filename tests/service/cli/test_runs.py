"""``acumen runs``: listing, cancelling, replaying and limiting, on a data folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.__main__ import main
from storage.catalog.catalog import Catalog
from storage.catalog.runs.records import NewRun


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with closing(Catalog.prepare(tmp_path / "data")) as catalog:
        project, _ = catalog.projects.ensure_first()
        for target in ("monday", "tuesday"):
            catalog.runs.enqueue(NewRun(project.id, "revenue", target, "by hand", "nightly"))
        run = catalog.runs.claim("c")
        assert run is not None
        catalog.runs.bury(run, "There is no table.", 2_500_000, 300)
    return tmp_path / "data"


@pytest.fixture
def acumen(data: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run(*words: str) -> Any:
        status = main(["runs", *words, "--data", str(data)])
        said = capsys.readouterr()
        return json.loads(said.out) if status == 0 else said.err

    return run


def test_runs_are_listed_with_what_a_person_asks_of_them(acumen: Callable[..., Any]) -> None:
    assert [run["target"] for run in acumen("list")] == ["tuesday", "monday"]
    [dead] = acumen("list", "--state", "dead", "--pipeline", "revenue")
    told = {name: dead[name] for name in ("state", "message", "processor_seconds", "bytes", "attempts")}
    assert told == {
        "state": "dead",
        "message": "There is no table.",
        "processor_seconds": 2.5,
        "bytes": 300,
        "attempts": 1,
    }
    assert dead["started"].endswith("Z")


def test_a_dead_run_is_replayed_and_a_waiting_one_cancelled(acumen: Callable[..., Any], data: Path) -> None:
    [dead] = acumen("list", "--state", "dead")
    fresh = acumen("replay", dead["id"])
    assert (fresh["state"], fresh["replays"]) == ("waiting", dead["id"])
    assert acumen("replay", dead["id"]) == f"acumen: There is no dead run {dead['id']}.\n"
    assert acumen("cancel", fresh["id"])["state"] == "cancelled"
    assert acumen("cancel", "nothing") == "acumen: There is no run nothing.\n"
    with closing(Catalog.open(data)) as catalog:
        actions = [entry.action for entry in catalog.audit.page(catalog.organisations.all()[0].id)]
    assert set(actions) == {"acumen runs replay", "acumen runs cancel"}


def test_limits_and_usage(acumen: Callable[..., Any], data: Path) -> None:
    with closing(Catalog.open(data)) as catalog:
        project, _ = catalog.projects.ensure_first()
    told = acumen("limit", "pool", "nightly", "--concurrency", "2", "--seconds-per-day", "60")
    assert told["limits"] == [
        {
            "scope": "pool",
            "name": "nightly",
            "project": "",
            "concurrency": 2,
            "seconds_per_day": 60.0,
            "bytes_per_day": None,
            "priority": 0,
        }
    ]
    [used] = told["used_today"]
    assert (used["pool"], used["processor_seconds"], used["bytes"], used["runs"]) == ("nightly", 2.5, 300, 1)
    assert len(acumen("limit", "project", "--project", project.id, "--bytes-per-day", "1")["limits"]) == 2
    assert len(acumen("limit", "project", "--project", project.id)["limits"]) == 1, "without limits again"
    for wrong in (
        ("limit", "pool", "--concurrency", "1"),
        ("limit", "pipeline", "revenue"),
        ("limit", "project", "--project", "nothing", "--concurrency", "1"),
    ):
        assert acumen(*wrong).startswith("acumen: ")
