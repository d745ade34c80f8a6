"""The specification's runner, from the shell against a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.spec.run import main
from tests.support.server import Served

SPECIFICATION = """
about: a file of one's own
events:
  visits: [{n: 1}, {n: 2}]
cases:
  - {name: right, ask: {analysis: count, event_collection: visits}, result: 2}
  - {name: wrong, ask: {analysis: sum, event_collection: visits, target_property: n}, result: 4}
  - name: relative
    now: 2026-01-01T00:00:00Z
    ask: {analysis: count, event_collection: visits, timeframe: today}
    result: 0
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with Served() as served:
        yield served


def run(server: Served, *more: str, key: str | None = None) -> int:
    project = server.project
    where = ("--url", server.url, "--project", project.id, "--master-key", key or project.master_key)
    return main([*where, *more])


def test_it_tells_how_many_cases_hold_and_leaves_nothing_behind(
    server: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, "--only", "ordering") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["ordering: 11 of 11 hold", "11 cases hold, 0 do not"]
    listed = f"/3.0/projects/{server.project.id}/events"
    assert server.request("GET", listed, key=server.project.read_key).json == []


def test_a_failure_is_shown_with_what_differs(
    server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.yaml").write_text(SPECIFICATION)

    assert run(server, "--folder", str(tmp_path)) == 1

    told = capsys.readouterr().out
    assert "FAILED own: wrong (by POST)" in told
    assert "FAILED own: wrong (by GET)" in told
    assert '  asked     sum {"event_collection": "visits", "target_property": "n"}' in told
    assert '  expected  {"result": 4}' in told
    assert '  got       200 {"result": 3}' in told
    assert "  differs   result: 3, not 4" in told


def test_what_needs_a_clock_that_can_be_set_is_left_out_and_named(
    server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.yaml").write_text(SPECIFICATION)

    assert run(server, "--folder", str(tmp_path), "--only", "r") == 1

    closing = capsys.readouterr().out.splitlines()[-1]
    assert closing == (
        "1 cases hold, 1 do not; 1 need a clock that can be set, and were left out: own: relative"
    )


def test_a_key_that_may_not_record_cannot_run_it(server: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "--only", "ordering", key=server.project.read_key) == 2
    assert "events were refused" in capsys.readouterr().err


def test_a_file_that_is_not_written_as_it_must_be_is_named(
    server: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.yaml").write_text(SPECIFICATION.replace("result: 4", "results: 4"))

    assert run(server, "--folder", str(tmp_path)) == 2
    assert "own: wrong" in capsys.readouterr().err
