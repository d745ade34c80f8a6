"""A stored file whose bytes are not what was written: never a wrong answer, and a way back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from query.answers.pipeline import answer
from query.engine.engine import Engine
from query.language.parse import parse
from query.limits import Limits
from storage.columns.arrow_chunks import ChunksDamaged
from storage.read.snapshot_reader import Reader, SnapshotUnstable
from tests.service.whole import Whole
from tests.storage.test_store_faults import faulty_store

DAYS = ("2024-03-01", "2024-03-02", "2024-03-03")
EVENTS_A_DAY = 50
TOTAL = sum(range(EVENTS_A_DAY * len(DAYS)))
FIRST_DAY = {"start": "2024-03-01T00:00:00Z", "end": "2024-03-02T00:00:00Z"}
OTHER_DAYS = {"start": "2024-03-02T00:00:00Z", "end": "2024-03-04T00:00:00Z"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    whole = Whole(tmp_path_factory.mktemp("damaged") / "data")
    yield whole
    whole.close()


@dataclass
class Stored:
    """A collection of its own for each test, of three days in three files."""

    whole: Whole
    name: str

    def record(self, *days: int) -> None:
        for day in days:
            events = ({"n": day * EVENTS_A_DAY + n, "even": n % 2 == 0} for n in range(EVENTS_A_DAY))
            at = {"keen": {"timestamp": f"{DAYS[day]}T12:00:00Z"}}
            self.whole.record(self.whole.project, self.name, (event | at for event in events))
            self.whole.flush()

    def first_file(self) -> Path:
        """That of the first day."""
        found = self.whole.folder.events.rglob(f"{self.name}.*/*/*.parquet")
        return min(found, key=lambda path: int(path.stem))

    def told(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return self.whole.told(self.whole.project, method, path, body, **more)

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.whole.call(self.whole.project, method, path, **more)

    def ask(self, analysis: str = "sum", **more: Any) -> Any:
        target = {} if analysis in ("count", "extraction") else {"target_property": "n"}
        return self.told("GET", f"queries/{analysis}", event_collection=self.name, **target, **more)

    def name_of(self, path: Path) -> str:
        return str(path.relative_to(self.whole.folder.root))


@pytest.fixture
def stored(served: Whole) -> Stored:
    made = Stored(served, f"c{len(served.catalog.collections.all())}")
    made.record(0, 1, 2)
    return made


def flip(path: Path, at: float = 0.5) -> None:
    """One bit, at this part of the file; its times and inode stay as they were."""
    content, status = bytearray(path.read_bytes()), path.stat()
    content[int(len(content) * at)] ^= 4
    with path.open("rb+") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_an_answer_without_a_damaged_file_says_so_and_names_it(stored: Stored) -> None:
    assert stored.ask() == {"result": TOTAL}
    path = stored.first_file()
    flip(path)
    lost = sum(range(EVENTS_A_DAY))
    for _ in range(2):
        assert stored.ask() == {
            "result": TOTAL - lost,
            "complete": False,
            "damaged_files": [stored.name_of(path)],
        }
    assert stored.ask(timeframe=FIRST_DAY)["complete"] is False
    # Whoever asks for other days is not concerned.
    assert stored.ask(timeframe=OTHER_DAYS) == {"result": TOTAL - lost}
    counted = stored.ask("count")
    assert (counted["result"], counted["complete"]) == (EVENTS_A_DAY * 2, False)


@pytest.mark.parametrize("at", [0.0, 0.1, 0.5, 0.9, 0.9999])
def test_damage_at_any_place_is_seen_by_the_first_question(stored: Stored, at: float) -> None:
    flip(stored.first_file(), at)
    for analysis in ("sum", "select_unique", "extraction", "median"):
        assert stored.ask(analysis)["complete"] is False


@pytest.mark.parametrize("asked", [True, False], ids=["read before", "never read"])
@pytest.mark.parametrize("how", ["missing", "cut", "longer"])
def test_a_file_that_is_missing_or_of_another_size_is_set_aside(
    stored: Stored, how: str, *, asked: bool
) -> None:
    if asked:
        assert stored.ask() == {"result": TOTAL}
    path = stored.first_file()
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-10] if how == "cut" else content + b"x")
    assert stored.ask()["complete"] is False


def test_a_filtered_key_learns_that_something_is_missing_and_no_name(stored: Stored) -> None:
    filters = [{"property_name": "even", "operator": "eq", "property_value": True}]
    key = stored.told(
        "POST",
        "keys",
        {
            "name": "even",
            "is_active": True,
            "permitted": ["queries"],
            "options": {"queries": {"filters": filters}},
        },
    )["key"]
    flip(stored.first_file())
    answer = stored.ask("count", key=key)
    assert answer == {"result": EVENTS_A_DAY, "complete": False}


def test_a_filtered_key_hears_of_no_missing_collection_while_its_events_cannot_be_read(
    stored: Stored,
) -> None:
    first = {"property_name": "keen.timestamp", "operator": "lt", "property_value": OTHER_DAYS["start"]}
    body = {"name": "first", "is_active": True, "permitted": ["queries", "schema"]}
    key = stored.told("POST", "keys", {**body, "options": {"queries": {"filters": [first]}}})["key"]
    flip(stored.first_file())
    assert stored.ask("count", key=key) == {"result": 0, "complete": False}


def test_an_incomplete_answer_is_not_kept(stored: Stored) -> None:
    path = stored.first_file()
    content = path.read_bytes()
    flip(path)
    assert stored.ask(max_age=600)["complete"] is False
    path.write_bytes(content)
    stored.whole.scrub()
    assert stored.ask(max_age=600) == {"result": TOTAL}


def test_a_saved_query_keeps_its_last_complete_result(stored: Stored) -> None:
    query = {"analysis_type": "sum", "event_collection": stored.name, "target_property": "n"}
    for name, rate in (("kept", 14_400), ("plain", 0)):
        stored.told("PUT", f"queries/saved/{name}", {"query": query, "refresh_rate": rate})
    assert stored.told("GET", "queries/saved/kept/result")["result"] == TOTAL
    flip(stored.first_file())
    assert stored.ask()["complete"] is False
    assert stored.told("GET", "queries/saved/kept/result")["result"] == TOTAL
    refused = stored.call("GET", "queries/saved/plain/result")
    assert (refused.status_code, refused.json()["error_code"]) == (503, "DataDamagedError")
    assert refused.headers["retry-after"]


def test_what_can_not_be_erased_says_so_and_all_can_be(stored: Stored) -> None:
    flip(stored.first_file())
    even = [{"property_name": "even", "operator": "eq", "property_value": True}]
    refused = stored.call("DELETE", f"events/{stored.name}", filters=even)
    assert (refused.status_code, refused.json()["error_code"]) == (503, "DataDamagedError")
    assert refused.json()["message"].count("Nothing was changed") == 1
    assert stored.ask("count", timeframe=OTHER_DAYS) == {"result": EVENTS_A_DAY * 2}
    # Days that lie in sound files are erased as ever, and a file that goes whole need not be read.
    assert stored.call("DELETE", f"events/{stored.name}", timeframe=OTHER_DAYS).status_code == 204
    assert stored.call("DELETE", f"events/{stored.name}", timeframe=FIRST_DAY).status_code == 204
    assert "complete" not in stored.ask("count")


def test_a_damaged_file_is_not_merged_into_a_sound_one(stored: Stored) -> None:
    stored.record(0, 0, 0, 0)
    path = stored.first_file()
    flip(path)
    stored.whole.merge()
    assert stored.name_of(path) in {file.path for file in stored.whole.catalog.files.live()}
    assert stored.ask()["damaged_files"] == [stored.name_of(path)]


def test_a_file_put_back_from_a_copy_counts_again(stored: Stored) -> None:
    path = stored.first_file()
    content = path.read_bytes()
    flip(path)
    assert stored.ask()["complete"] is False
    stored.whole.scrub()
    assert stored.ask()["complete"] is False
    path.unlink()
    path.write_bytes(content)
    stored.whole.scrub()
    assert stored.ask() == {"result": TOTAL}


def test_a_damaged_chunk_or_manifest_is_passed_over_and_the_logs_are_read(stored: Stored) -> None:
    whole = stored.whole
    # More than a chunk that the keeper holds in its memory.
    whole.record(whole.project, stored.name, ({"n": n, "text": "x" * 200} for n in range(1_000)))
    whole.keeper.step()
    right = {"result": TOTAL + sum(range(1_000))}
    assert stored.ask() == right
    chunk = max(whole.folder.chunks.glob("*.arrow"), key=lambda path: path.stat().st_mtime_ns)
    for path in (chunk, whole.folder.chunks / "manifest.json"):
        for at in (0.1, 0.5, 0.9):
            flip(path, at)
            assert stored.ask() == right
    # What is mapped by the keeper is not flushed either.
    with pytest.raises(ChunksDamaged):
        whole.keeper.flush()
    whole.keeper.begin()
    whole.flush()
    assert stored.ask() == right


def test_a_read_that_fails_once_changes_no_answer(tmp_path: Path) -> None:
    """Every read of a question fails in turn, of logs, chunks and files."""
    store, fs = faulty_store(tmp_path / "data")
    for n in range(3):
        store.send("c", [b'{"n":%d}' % n])
        store.keeper.step()
        store.keeper.flush()
    store.send("c", [b'{"n":3}'])
    engine = Engine(
        store.folder.root,
        memory_limit_bytes=256 << 20,
        threads=1,
        temp_folder=tmp_path / "spill",
        temp_bytes_max=1 << 20,
    )
    request = parse("sum", {"event_collection": "c", "target_property": "n"}, now_us=0, limits=Limits())

    def ask() -> int | None:
        reader = Reader(store.folder, store.catalog, fs)
        try:
            found = answer(request, lambda name: reader.source(store.project, name), engine, limits=Limits())
            assert found.complete
            return int(found.body["result"])
        except SnapshotUnstable:
            return None
        finally:
            reader.close()

    fs.fail_reads(0, failures=0)
    assert ask() == 6
    for at in range(1, fs.reads + 1):
        fs.fail_reads(at)
        assert ask() in (6, None)
        fs.fail_reads(0, failures=0)
        assert ask() == 6
    engine.close()
