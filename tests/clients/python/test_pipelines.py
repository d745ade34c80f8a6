"""A served Acumen's pipelines: a folder is applied, waited for, derived again; frames as tables."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from acumen_client import (
    Acumen,
    AsyncAcumen,
    BadRequestError,
    ConflictError,
    FrameError,
    NotFoundError,
    NotFreshError,
    PipelineFailedError,
    write_reference,
)
from query.transforms.fields import Fields
from service.pipelines.references import read_reference
from tests.clients.python.conftest import options_for
from tests.support.server import Served

FAST = {"ACUMEN_FLUSH_SECONDS": "0.3", "ACUMEN_RUN_IDLE_SECONDS": "600"}
PIPELINES = """
owner = "data@shop.example"

[pipelines.named]
from = "purchases"
into = "named"
steps = [{ lookup = "countries", on = { country = "code" }, take = ["name"] }]

[pipelines.daily]
from = "named"
into = "daily"

[[pipelines.daily.steps]]
aggregate.by = ["name"]
aggregate.values = { revenue = { sum = "price" } }
"""
FIRST, SECOND = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
COUNTRIES = pd.DataFrame({"code": ["DE", "FR"], "name": ["Germany", "France"]})


@pytest.fixture(scope="module")
def fast() -> Iterator[Served]:
    """A server that writes files at once, since pipelines read files alone."""
    with Served(env=FAST) as server:
        yield server


@pytest.fixture
def client(fast: Served) -> Iterator[Acumen]:
    with Acumen(**options_for(fast, fast.new_project())) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipelines.toml").write_text(PIPELINES)
    write_reference(tmp_path, "countries", COUNTRIES, unique=["code"])
    return tmp_path


def purchase(country: str, price: int, at: datetime) -> dict[str, Any]:
    return {"country": country, "price": price, "keen": {"timestamp": at.isoformat()}}


def test_a_folder_is_planned_applied_and_waited_for(client: Acumen, folder: Path) -> None:
    client.record_many("purchases", [purchase("DE", 7, FIRST), purchase("FR", 9, SECOND)])
    assert [(one.action, one.name) for one in client.pipelines.plan(folder)] == [
        ("create", "daily"),
        ("create", "named"),
    ]
    assert client.pipelines.list() == []
    assert len(client.pipelines.apply(folder, revision="4f2a9c1")) == 2
    assert client.pipelines.apply(folder) == []
    for name in ("named", "daily"):
        assert client.pipelines.wait_until_fresh(name).health == "fresh"
    revenue = client.count("daily", group_by=["name"], timeframe="this_30_years").to_pandas()
    assert dict(zip(revenue["name"], revenue["result"], strict=True)) == {"Germany": 1, "France": 1}
    named, daily = client.pipelines.get("named"), client.pipelines.list()[0]
    assert (named.sources, named.output, named.rows, named.raw["revision"]) == (
        ("purchases",),
        "named",
        2,
        "4f2a9c1",
    )
    assert named.definition is not None and named.definition["pipeline"]["from"] == "purchases"
    assert (daily.name, daily.definition, daily.derived_until) == ("daily", None, SECOND + timedelta(days=1))
    # What is sent later is waited for too, although nothing was due before it was in a file.
    for price in (1, 2):
        client.record("purchases", purchase("DE", price, SECOND))
        client.pipelines.wait_until_fresh("named", SECOND + timedelta(hours=1), poll=0.05)
        assert client.count("named", timeframe="this_30_years").value == 2 + price


def test_buckets_are_pages_of_one_table(
    client: Acumen, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acumen_client.pipelines.PAGE", 2)
    days = [FIRST + timedelta(days=number) for number in range(5)]
    client.record_many("purchases", [purchase("DE", 7, day) for day in days])
    client.pipelines.apply(folder)
    client.pipelines.wait_until_fresh("named")
    buckets = client.pipelines.buckets("named")
    assert [one["start"] for one in buckets] == days[::-1]
    assert [one["start"] for one in client.pipelines.buckets("named", limit=3, before=days[4])] == days[1:4][
        ::-1
    ]
    table = buckets.to_pandas()
    assert list(table["rows_out"]) == [1] * 5
    assert str(table["start"].dtype) == "datetime64[us, UTC]"
    assert buckets.to_polars().height == buckets.to_arrow().num_rows == 5
    assert client.pipelines.freeze("named", since=days[1], until=days[3]) == 2
    assert client.pipelines.skip("named", until=days[1]) == 1
    frozen = client.pipelines.buckets("named", state="frozen")
    assert [one["start"] for one in frozen] == [days[2], days[1]]
    assert client.pipelines.rebuild("named") == 5
    client.pipelines.wait_until_fresh("named")
    assert client.pipelines.get("named").buckets == {
        "fresh": 5,
        "stale": 0,
        "failed": 0,
        "frozen": 0,
        "skipped": 0,
    }
    assert client.pipelines.buckets("named", state="failed").to_pandas().empty


def test_a_paused_pipeline_is_waited_for_until_it_is_resumed(client: Acumen, folder: Path) -> None:
    client.record("purchases", purchase("DE", 7, FIRST))
    client.pipelines.apply(folder)
    assert client.pipelines.pause("named").paused
    with pytest.raises(NotFreshError, match=r"named was not fresh after 0.5 seconds. It is paused."):
        client.pipelines.wait_until_fresh("named", timeout=0.5, poll=0.1)
    # Buckets after the instant are not waited for.
    assert client.pipelines.wait_until_fresh("named", FIRST).paused
    later = threading.Timer(0.3, client.pipelines.resume, ["named"])
    later.start()
    assert client.pipelines.wait_until_fresh("named").rows == 1
    later.join()


def test_what_fails_ends_the_wait(client: Acumen, folder: Path) -> None:
    text = PIPELINES.replace("steps = [", 'steps = [{ where = "prize > 1" }, ')
    (folder / "pipelines.toml").write_text(text)
    write_reference(folder, "countries", COUNTRIES)
    client.record("purchases", purchase("DE", 7, FIRST))
    client.pipelines.apply(folder)
    with pytest.raises(PipelineFailedError, match=r'named: steps.*"prize" not found'):
        client.pipelines.wait_until_fresh("named")
    assert client.pipelines.wait_until_fresh("named", FIRST).health == "failed"


CHECKED = """
[pipelines.checked]
owner = "data@shop.example"
from = "purchases"
into = "checked"
columns = { price = "number" }

[[pipelines.checked.steps]]
expect = "a price"
required = ["price"]
severity = "quarantine"
"""


def test_what_expectations_set_aside_is_a_frame_and_is_accepted(client: Acumen, tmp_path: Path) -> None:
    (tmp_path / "pipelines.toml").write_text(CHECKED)
    bad = {"country": "FR", "keen": {"timestamp": FIRST.isoformat()}}
    client.record_many("purchases", [purchase("DE", 7, FIRST), bad])
    client.pipelines.apply(tmp_path)
    client.pipelines.wait_until_fresh("checked")
    found = client.pipelines.expectations("checked")
    assert (found.quarantine, found.set_aside, found.accepted) == ("checked_quarantine", 1, ())
    [one] = found.found
    assert (one.name, one.severity, one.rows, one.faulty) == ("a price", "quarantine", 2, 1)
    assert client.pipelines.expectations("checked", since=SECOND).found == ()
    frame = client.extraction(found.quarantine or "", timeframe="this_30_years").to_pandas()
    assert list(frame["row.country"]) == ["FR"]
    accepted = client.pipelines.accept("checked", frame["digest"])
    assert accepted.accepted == tuple(frame["digest"])
    client.pipelines.wait_until_fresh("checked")
    assert client.pipelines.expectations("checked").set_aside == 0
    assert client.count("checked", timeframe="this_30_years").value == 2
    assert client.pipelines.withdraw("checked", frame["digest"]).accepted == ()
    client.pipelines.wait_until_fresh("checked")
    assert client.pipelines.expectations("checked").set_aside == 1


def test_what_the_server_refuses(client: Acumen, folder: Path) -> None:
    client.pipelines.apply(folder)
    (folder / "pipelines.toml").write_text(PIPELINES.replace("lookup", "look"))
    with pytest.raises(BadRequestError, match="Did you mean 'lookup'"):
        client.pipelines.plan(folder)
    (folder / "pipelines.toml").write_text("")
    with pytest.raises(ConflictError, match="lacks daily, named"):
        client.pipelines.apply(folder)
    assert [one.action for one in client.pipelines.apply(folder, remove=True)] == ["remove", "remove"]
    with pytest.raises(NotFoundError):
        client.pipelines.pause("named")
    with pytest.raises(ValueError, match="has no time zone"):
        client.pipelines.rebuild("named", since=datetime(2026, 1, 1))
    (folder / "pipelines.toml").write_text('[references.a]\nfile = "a.parquet"\n')
    with pytest.raises(ValueError, match="by 'acumen apply'"):
        client.pipelines.plan(folder)


def test_the_same_for_coroutines(fast: Served, folder: Path) -> None:
    project = fast.new_project()

    async def use() -> None:
        async with AsyncAcumen(**options_for(fast, project)) as client:
            await client.record("purchases", purchase("DE", 7, FIRST))
            assert len(await client.pipelines.apply(folder)) == 2
            assert (await client.pipelines.wait_until_fresh("named")).rows == 1
            assert len(await client.pipelines.buckets("named")) == 1
            assert (await client.pipelines.pause("named")).paused

    asyncio.run(use())


ROWS: dict[str, list[Any]] = {
    "code": ["007", "DE", None],
    "name": ['Two\nlines, "quoted"', "é", "x"],
    "people": [1, None, 2**53 + 1],
    "share": [0.1, 2.0, None],
    "open": [True, False, None],
    "since": [datetime(2026, 1, 1, 12, 0, 0, 250, tzinfo=UTC), None, datetime(1969, 1, 1, tzinfo=UTC)],
    "day": [date(2026, 1, 31), None, date(1, 1, 1)],
}
TYPES = ["string", "string", "integer", "number", "boolean", "datetime", "date"]
ARROW = pa.table(
    {
        **{name: pa.array(values) for name, values in ROWS.items()},
        "since": pa.array(ROWS["since"], pa.timestamp("us", "UTC")),
    }
)


def frames_of_rows() -> list[Any]:
    frame = pd.DataFrame(
        {
            **ROWS,
            "people": pd.array(ROWS["people"], "Int64"),
            "since": pd.array(ROWS["since"], "datetime64[us, UTC]"),
        }
    )
    return [frame, pl.DataFrame(ROWS), ARROW]


@pytest.mark.parametrize("number", range(3), ids=["pandas", "polars", "arrow"])
def test_a_frame_is_a_reference_table_with_its_types(tmp_path: Path, number: int) -> None:
    write_reference(tmp_path, "places", frames_of_rows()[number], unique=["name"])
    import tomllib

    described = tomllib.loads((tmp_path / "pipelines.toml").read_text())["references"]["places"]
    assert list(described["types"].values()) == TYPES
    read = read_reference(tmp_path, Fields.of("references.places", described)).rows
    assert read.to_pylist() == ARROW.to_pylist()


def test_a_table_is_written_again_as_long_as_it_is_described_so(tmp_path: Path) -> None:
    (tmp_path / "pipelines.toml").write_text("# pipelines of the shop")
    path = write_reference(tmp_path, "countries", COUNTRIES)
    described = (tmp_path / "pipelines.toml").read_text()
    assert described == (
        '# pipelines of the shop\n\n[references.countries]\nfile = "countries.csv"\n'
        'types = { code = "string", name = "string" }\n'
    )
    write_reference(tmp_path, "countries", COUNTRIES[:1])
    assert path.read_text() == "code,name\nDE,Germany\n"
    with pytest.raises(ValueError, match=r'It must say:\n(.*\n)*types = { code = "integer" }'):
        write_reference(tmp_path, "countries", pd.DataFrame({"code": [1]}))
    assert path.read_text() == "code,name\nDE,Germany\n"
    assert (tmp_path / "pipelines.toml").read_text() == described
    for wrong, why in (
        ({"a": [[1], [2]]}, "holds no column of list"),
        ({"a": [1, "b"]}, "holds no column of int, str"),
        ({"a": [2**70]}, "beyond 64 bits"),
    ):
        with pytest.raises(FrameError, match=why):
            write_reference(
                tmp_path, "wrong", pd.DataFrame({k: pd.Series(v, dtype=object) for k, v in wrong.items()})
            )
