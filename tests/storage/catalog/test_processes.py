"""Several processes at one catalog: each race has one winner, and all hear who it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from storage.catalog.catalog import Catalog
from storage.catalog.database.connection import Database
from storage.catalog.errors import CatalogBusy, CatalogError

RIVAL = Path(__file__).parent / "catalog_rival.py"
ROOT = Path(__file__).parents[3]
RIVALS = 4
ROUNDS = 8


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each rival says; the data folder does not exist when they set off."""
    data = tmp_path_factory.mktemp("rivals") / "data"
    rivals = [
        subprocess.Popen(
            [sys.executable, "-P", str(RIVAL), str(data), str(number), str(ROUNDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for number in range(RIVALS)
    ]
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    outputs = [rival.communicate()[0] for rival in rivals]
    assert [rival.returncode for rival in rivals] == [0] * RIVALS
    return [json.loads(output) | {"data": str(data)} for output in outputs]


def test_one_process_makes_the_first_project(answers: list[dict[str, Any]]) -> None:
    assert [answer["created"] for answer in answers].count(True) == 1
    assert len({(answer["project"], answer["collection"]) for answer in answers}) == 1


def test_each_process_has_a_log_of_its_own(answers: list[dict[str, Any]]) -> None:
    assert len({answer["log"] for answer in answers}) == RIVALS


def test_every_token_has_one_winner_and_all_hear_of_the_same(answers: list[dict[str, Any]]) -> None:
    assert len(answers[0]["won"]) == ROUNDS * 20
    assert all(answer["won"] == answers[0]["won"] for answer in answers)
    winners = [tuple(winner) for winner in answers[0]["won"].values()]
    assert len(set(winners)) == len(winners)


def test_lanes_are_only_ever_appended(answers: list[dict[str, Any]]) -> None:
    """Whatever schema any process saw is the beginning of the final one."""
    catalog = Catalog.open(Path(answers[0]["data"]))
    lanes = catalog.collections.by_id(answers[0]["collection"]).schema.lanes
    catalog.close()
    final = [f"{lane.path}|{lane.kind}|{lane.column}" for lane in lanes]
    for answer in answers:
        for schema in answer["schemas"]:
            assert final[: len(schema)] == schema
    assert len(final) == len(set(final)) == 2 * (2 * ROUNDS + RIVALS * ROUNDS)
    assert len({lane.column.lower() for lane in lanes}) == len(lanes)


def test_a_writer_does_not_wait_for_ever(tmp_path: Path) -> None:
    Catalog.prepare(tmp_path).close()
    path = tmp_path / "catalog.sqlite"
    holder, waiter = Database(path), Database(path, busy_seconds=0.05)
    with holder.writing(), pytest.raises(CatalogBusy, match="locked"), waiter.writing():
        pass
    with waiter.writing():
        pass
    holder.close()
    waiter.close()


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    Catalog.prepare(tmp_path).close()
    catalog = Catalog.open(tmp_path)
    version = catalog.versions()
    other = Database(tmp_path / "catalog.sqlite")
    with other.writing():
        assert catalog.versions() == version
        assert catalog.projects.all() == []
    other.close()
    catalog.close()


def test_a_forked_child_is_told_to_open_its_own(tmp_path: Path) -> None:
    catalog = Catalog.prepare(tmp_path)
    child = os.fork()
    if child == 0:
        try:
            catalog.versions()
        except CatalogError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    catalog.close()
