"""Extractions of any size: as a stream in constant memory, and as files."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from acumen_client import (
    Acumen,
    AsyncAcumen,
    ExtractionFailedError,
    ForbiddenError,
    NotFoundError,
    P,
    Query,
    Retries,
    extracting,
)
from acumen_client._progress import Line, Silent, progress_for
from tests.clients.python.conftest import options_for
from tests.clients.python.faulty_proxy import FaultyProxy, half_answer, lose_answer
from tests.support.server import Served, ServedProject

SIZE = 3000
WIDE = {"note": "x" * 200}


@pytest.fixture(scope="module")
def visits(served: Served) -> ServedProject:
    """Events over five years, one of them in 1969 and one in 2101."""
    project = served.new_project("Visits")
    events = [
        {
            "n": n,
            **WIDE,
            "keen": {"timestamp": f"{2022 + n % 5}-0{1 + n % 9}-{1 + n % 28:02}T{n % 24:02}:00:00Z"},
        }
        for n in range(SIZE - 2)
    ]
    events += [{"n": SIZE - 2, **WIDE, "keen": {"timestamp": "1969-07-20T20:17:00Z"}}]
    events += [{"n": SIZE - 1, **WIDE, "keen": {"timestamp": "2101-01-01T00:00:00Z"}}]
    served.record(project, "visits", *events)
    return project


@pytest.fixture
def reader(served: Served, visits: ServedProject) -> Iterator[Acumen]:
    with Acumen(served.url, project_id=visits.id, read_key=visits.read_key) as client:
        yield client


@pytest.fixture
def by_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything comes by files, however few events there are."""
    monkeypatch.setattr(extracting, "EVENTS_AT_ONCE", -1)


def numbers(events: Any) -> list[int]:
    return sorted(event["n"] for event in events)


@pytest.mark.parametrize("way", ["at once", "one file", "many files"])
def test_every_event_comes_once(reader: Acumen, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way != "at once":
        monkeypatch.setattr(extracting, "EVENTS_AT_ONCE", -1)
    per_file = 1000 if way == "many files" else 5_000_000
    stream = reader.extract("visits", events_per_file=per_file)
    events = list(stream)
    assert numbers(events) == list(range(SIZE))
    assert stream.total == SIZE
    times = [event["keen"]["timestamp"] for event in events]
    assert times == sorted(times, reverse=True)
    assert times[0] == datetime(2101, 1, 1, tzinfo=UTC)
    assert reader.extractions.list() == []


@pytest.mark.parametrize(
    "timeframe",
    [
        None,
        "this_9_years",
        ("2023-01-01T00:00:00Z", "2025-06-01T00:00:00Z"),
        ("2023-01-01T00:00:00Z", None),
        (None, "2023-06-01T00:00:00Z"),
        (None, "1970-06-01T00:00:00Z"),
        ("2099-06-01T00:00:00Z", None),
    ],
    ids=str,
)
@pytest.mark.parametrize("per_file", [1, 40, 700])
def test_portions_are_the_whole(reader: Acumen, timeframe: Any, per_file: int) -> None:
    """Whatever the timeframe is divided into, each event is in one portion and none is left out."""
    from acumen_client._calls import run_flow
    from acumen_client.query import parameters_as_json

    asked = {"event_collection": "visits", "timeframe": timeframe}
    parameters = parameters_as_json({**asked, "filters": P("n") < (60 if per_file == 1 else SIZE)})
    whole = numbers(reader.extraction(**parameters))
    parts = run_flow(reader.transport, extracting.portions(parameters, per_file))
    found = [numbers(reader.extraction(**part.parameters)) for part in parts]
    assert sorted(n for part in found for n in part) == whole
    assert [len(part) for part in found] == [part.events for part in parts]
    # Events of the same minute cannot be told apart by time.
    assert all(part.events <= max(per_file, 5) for part in parts)


@pytest.mark.usefixtures("by_file")
def test_awaited_it_is_the_same(served: Served, visits: ServedProject) -> None:
    async def extract() -> tuple[list[int], int, int]:
        async with AsyncAcumen(served.url, project_id=visits.id, read_key=visits.read_key) as client:
            found = numbers([event async for event in client.extract("visits", events_per_file=1000)])
            sizes = [len(batch) async for batch in client.extract("visits").batches(1000)]
            table = await client.extract("visits", filters=P("n") < 10).to_polars()
            left = await client.extractions.list()
            assert left == []
            return found, sum(sizes), table.height

    assert asyncio.run(extract()) == (list(range(SIZE)), SIZE, 10)


def test_a_built_question_and_plain_parameters(reader: Acumen) -> None:
    built = Query.extraction("visits").where(P("n") < 100).only("n")
    assert numbers(reader.extract(built)) == list(range(100))
    assert set(next(reader.extract(built))) == {"n"}
    assert numbers(reader.extract(built, filters=P("n") < 50)) == list(range(50))
    plain = reader.extract("visits", filters=P("n") < 100, property_names=["n", "keen.timestamp"])
    assert {frozenset(event) for event in plain} == {frozenset({"n", "keen"})}
    assert [event["n"] for event in reader.extract("visits", latest=1)] == [SIZE - 1]


def test_instants_are_in_the_zone(reader: Acumen) -> None:
    first = next(reader.extract("visits", timezone="Asia/Tokyo", filters=P("n") == SIZE - 2))
    assert first["keen"]["timestamp"].isoformat() == "1969-07-21T05:17:00+09:00"


@pytest.mark.usefixtures("by_file")
def test_it_can_be_ended_before_the_end(reader: Acumen) -> None:
    with reader.extract("visits") as stream:
        next(stream)
    assert list(stream) == []
    assert reader.extractions.list() == []
    other = reader.extract("visits")
    next(other)
    other.close()
    assert reader.extractions.list() == []


def test_batches_and_tables(reader: Acumen) -> None:
    assert [len(batch) for batch in reader.extract("visits").batches(1300)] == [1300, 1300, 400]
    frame = reader.extract("visits").to_pandas()
    assert frame.shape == (SIZE, 5)
    assert str(frame["keen.timestamp"].dtype) == "datetime64[us, UTC]"
    assert reader.extract("visits").to_arrow().num_rows == SIZE


@pytest.mark.usefixtures("by_file")
def test_memory_does_not_grow_with_the_number_of_events(client: Acumen) -> None:
    """Of 40,000 events, some 20 MB of JSON, a part is held at a time, also where it packs well."""
    for part in range(4):
        client.record_many("many", ({"n": part * 10_000 + n, "note": "x" * 400} for n in range(10_000)))
    stream = client.extract("many", property_names=["n", "note"])
    next(stream)
    tracemalloc.start()
    try:
        rest = sum(1 for _ in stream)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rest == 39_999
    assert peak < 6_000_000


@pytest.mark.usefixtures("by_file")
@pytest.mark.parametrize("fault", [half_answer, lose_answer], ids=lambda fault: fault.__name__)
def test_a_download_that_breaks_off_goes_on(served: Served, visits: ServedProject, fault: Any) -> None:
    def file_broken(exchange: Any) -> None:
        if "/file" in exchange.path and not broken:
            broken.append(exchange.path)
            fault(exchange)
        else:
            exchange.give(*exchange.forward())

    broken: list[str] = []
    with FaultyProxy(served.port) as proxy:
        proxy.always = file_broken
        options = {**options_for(served, visits), "url": proxy.url}
        with Acumen(**options, retries=Retries(first_seconds=0.01)) as client:
            assert numbers(client.extract("visits")) == list(range(SIZE))
    assert broken


def test_a_key_that_may_not_is_told(client: Acumen, served: Served, project: ServedProject) -> None:
    made = client.access_keys.create("x", ["queries"], options={"queries": {"extraction": False}})
    other = Acumen(served.url, project_id=project.id, read_key=made.key)
    with pytest.raises(ForbiddenError, match="extraction"):
        next(other.extract("visits"))


def test_a_file_that_can_not_be_made_is_told(client: Acumen, tmp_path: Path) -> None:
    client.record("visits", {"n": 1})
    job = client.extractions.start(Query.extraction("visits"))
    client.collections.delete("visits")
    with pytest.raises(NotFoundError):
        client.extractions.delete(job.id)
        client.extractions.get(job.id)
    with pytest.raises(ValueError, match="ends with none of"):
        client.export("visits", tmp_path / "visits.xlsx")
    assert issubclass(ExtractionFailedError, Exception)


# Files


@pytest.mark.parametrize("name", ["v.csv", "v.csv.gz", "v.ndjson", "v.jsonl.gz", "v.parquet"])
def test_a_file_is_what_its_name_says(reader: Acumen, tmp_path: Path, name: str) -> None:
    path = reader.export("visits", tmp_path / name, property_names=["n"])
    assert path == tmp_path / name
    assert [one.name for one in tmp_path.iterdir()] == [name]
    content = path.read_bytes()
    if name.endswith(".gz"):
        content = gzip.decompress(content)
    if ".csv" in name:
        header, *lines = content.decode().splitlines()
        assert header == "n"
        found = sorted(map(int, lines))
    elif "json" in name:
        found = numbers(map(json.loads, content.decode().splitlines()))
    else:
        found = sorted(pyarrow.parquet.read_table(io.BytesIO(content))["n"].to_pylist())
    assert found == list(range(SIZE))
    assert reader.extractions.list() == []


def test_a_file_awaited(served: Served, visits: ServedProject, tmp_path: Path) -> None:
    async def export() -> Path:
        async with AsyncAcumen(served.url, project_id=visits.id, read_key=visits.read_key) as client:
            return await client.export("visits", tmp_path / "v.parquet", filters=P("n") < 7)

    assert pyarrow.parquet.read_table(asyncio.run(export())).num_rows == 7


# How far it is


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("by_file")
def test_a_bar_on_a_terminal_only(reader: Acumen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    assert len(list(reader.extract("visits"))) == SIZE
    *_, last = screen.getvalue().rstrip("\n").split("\r")
    assert "visits [########################] 3,000 of 3,000 events" in last
    assert screen.getvalue().endswith("\n")
    quiet = io.StringIO()
    monkeypatch.setattr("sys.stderr", quiet)
    assert len(list(reader.extract("visits"))) == SIZE
    assert quiet.getvalue() == ""
    assert isinstance(progress_for("x", True), Line)
    monkeypatch.setattr("sys.stderr", Terminal())
    assert isinstance(progress_for("x", False), Silent)
