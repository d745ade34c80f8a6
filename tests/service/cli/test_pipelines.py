"""The commands about pipelines, on a data folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.__main__ import main
from tests.service.pipelines.bench import PipelineBench

PIPELINE = """
[pipelines.dear]
owner = "data@shop.example"
from = "purchases"
into = "dear"
steps = [{ where = "price > 10" }]
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[PipelineBench]:
    made = PipelineBench(tmp_path)
    try:
        made.send("purchases", [{"price": 20}, {"price": 5}])
        yield made
    finally:
        made.close()


def acumen(bench: PipelineBench, *words: str) -> int:
    return main([*words, "--data", str(bench.store.folder.root)])


def test_plan_says_what_would_change_and_apply_does_it(
    bench: PipelineBench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.write(PIPELINE)
    assert acumen(bench, "plan", str(bench.folder)) == 0
    planned = capsys.readouterr().out
    assert planned.startswith("create     dear  (purchases → dear)")
    assert "derives 1 day bucket of 2 events" in planned
    assert acumen(bench, "status") == 0
    assert "has no pipelines" in capsys.readouterr().out
    assert acumen(bench, "apply", str(bench.folder)) == 0
    assert capsys.readouterr().out.startswith("create     dear")
    assert acumen(bench, "plan", str(bench.folder)) == 0
    assert "Everything is as the folder says." in capsys.readouterr().out
    assert acumen(bench, "status") == 0
    assert capsys.readouterr().out.startswith("stale    dear")
    bench.derive()
    assert acumen(bench, "status", "dear") == 0
    assert "1 row in 1 fresh bucket" in capsys.readouterr().out


def test_plan_says_which_steps_would_fail(bench: PipelineBench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.write(PIPELINE.replace("price >", "prize >"))
    assert acumen(bench, "plan", str(bench.folder)) == 1
    assert (
        'would fail: steps[0]: Binder Error: Referenced column "prize" not found' in capsys.readouterr().out
    )


def test_a_pipeline_that_the_folder_lacks_is_removed_only_if_told(
    bench: PipelineBench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.write(PIPELINE)
    assert acumen(bench, "apply", str(bench.folder)) == 0
    bench.write("")
    assert acumen(bench, "apply", str(bench.folder)) == 1
    assert "To remove what is lacking say so, by --remove" in capsys.readouterr().err
    assert acumen(bench, "apply", str(bench.folder), "--remove") == 0
    assert capsys.readouterr().out.startswith("remove     dear")


def test_buckets_are_frozen_and_derived_again_over_a_time(
    bench: PipelineBench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.write(PIPELINE)
    acumen(bench, "apply", str(bench.folder))
    bench.derive()
    assert acumen(bench, "run", "dear", "--state", "frozen") == 0
    bench.send("purchases", [{"price": 30}])
    assert bench.derive() == 0
    capsys.readouterr()
    assert acumen(bench, "run", "dear", "--since", "2026-01-01") == 0
    assert "1 bucket of dear" in capsys.readouterr().out
    bench.derive()
    assert [row["price"] for row in bench.rows("dear")] == [20.0, 30.0]
    assert acumen(bench, "run", "dear", "--until", "1999-01-01") == 1
    assert acumen(bench, "run", "cheap") == 1
    assert "There is no pipeline 'cheap'. The project has: dear." in capsys.readouterr().err


def test_a_paused_pipeline_begins_no_run_until_it_is_resumed(
    bench: PipelineBench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.write(PIPELINE)
    acumen(bench, "apply", str(bench.folder))
    bench.planner.run_due(bench.now_us)
    runs = bench.store.catalog.runs
    (queued,) = runs.listed()
    capsys.readouterr()
    assert acumen(bench, "pause", "dear") == 0
    assert "dear is paused: it begins no run until 'acumen resume dear'." in capsys.readouterr().out
    assert not bench.worker.execute_next()
    assert (runs.next_due_us(), runs.ready(10)) == (None, 0)
    bench.send("purchases", [{"price": 30}])
    assert bench.derive() == 0
    assert [one.id for one in runs.listed()] == [queued.id]
    assert acumen(bench, "pause", "dear") == 0
    assert acumen(bench, "status") == 0
    said = capsys.readouterr().out.splitlines()
    assert (said[0], said[1][:15]) == ("dear is paused already.", "paused   dear  ")
    assert acumen(bench, "resume", "dear") == 0
    assert bench.derive() == 1
    assert [row["price"] for row in bench.rows("dear")] == [20.0, 30.0]
    assert acumen(bench, "resume", "cheap") == 1


def test_status_says_how_often_a_bucket_has_failed(
    bench: PipelineBench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.write(PIPELINE.replace("price >", "prize >"))
    acumen(bench, "apply", str(bench.folder))
    bench.derive()
    bench.send("purchases", [{"price": 30}])
    bench.derive()
    assert acumen(bench, "status", "dear") == 1
    assert "failed 2 times  steps[0]" in capsys.readouterr().out


def test_plan_shows_the_sinks_and_refuses_those_that_are_not_there(
    bench: PipelineBench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench.write(PIPELINE + 'sinks = [{ folder = "{period:%Y_%m_%d}" }]\n')
    for command in ("plan", "apply"):
        assert acumen(bench, command, str(bench.folder)) == 1
        said = capsys.readouterr().err
        assert "pipelines.dear.sinks[0].folder: cannot be delivered to: the server's ACUMEN_SINK" in said
    target = tmp_path / "delivered"
    target.mkdir()
    monkeypatch.setenv("ACUMEN_SINK_FOLDER", str(target))
    assert acumen(bench, "plan", str(bench.folder)) == 0
    assert "           delivers to folder {period:%Y_%m_%d}.parquet\n" in capsys.readouterr().out
    assert acumen(bench, "apply", str(bench.folder)) == 0
    bench.write(PIPELINE + 'sinks = [{ webhook = "chat" }]\n')
    assert acumen(bench, "plan", str(bench.folder)) == 1
    assert "there is no webhook 'chat'. The project has: none." in capsys.readouterr().err
