"""A served Acumen's sources: listed, read, paused and resumed."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from acumen_client import Acumen, AsyncAcumen, EventSource, NotFoundError
from tests.clients.python.conftest import options_for
from tests.support.server import Served, ServedProject

SOURCES = """
[sources.orders]
owner = "data@shop.example"
files = "*.csv"
into = "orders"
time = "at"
"""
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def incoming(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("incoming")


@pytest.fixture(scope="module")
def served(incoming: Path) -> Iterator[Served]:
    with Served(env={"ACUMEN_SOURCE_FOLDER": str(incoming)}) as server:
        yield server


@pytest.fixture
def project(served: Served) -> ServedProject:
    return served.new_project()


def put(incoming: Path, project: ServedProject, name: str, total: int) -> None:
    """A file that was left alone for long."""
    folder = incoming / project.id
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.csv.tmp"
    path.write_text(f"at,total\n2026-11-01T10:00:00Z,{total}\n")
    os.utime(path, (time.time() - 60, time.time() - 60))
    path.rename(folder / f"{name}.csv")


def when_it_has(client: Acumen, events: int) -> EventSource:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := client.sources.get("orders")).events < events:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_a_source_is_listed_read_and_paused(
    served: Served, project: ServedProject, incoming: Path, tmp_path: Path
) -> None:
    (tmp_path / "pipelines.toml").write_text(SOURCES)
    put(incoming, project, "1", 5)
    with Acumen(**options_for(served, project)) as client:
        client.pipelines.apply(tmp_path)
        client.sources.run("orders")
        found = when_it_has(client, 1)
        assert (found.collection, found.owner, found.refused, found.files) == (
            "orders",
            "data@shop.example",
            0,
            {"read": 1},
        )
        assert found.definition is not None and "*.csv" in str(found.definition)
        [listed] = client.sources.list()
        assert (listed.name, listed.definition) == ("orders", None)
        paused = client.sources.pause("orders")
        assert (paused.paused, paused.problem) == (True, None)
        put(incoming, project, "2", 7)
        client.sources.run("orders")
        resumed = client.sources.resume("orders")
        assert not resumed.paused
        assert when_it_has(client, 2).files == {"read": 2}
        assert client.sum("orders", "total", timeframe="this_30_years").value == 12
        with pytest.raises(NotFoundError):
            client.sources.pause("none")


def test_the_same_for_coroutines(served: Served, project: ServedProject, tmp_path: Path) -> None:
    (tmp_path / "pipelines.toml").write_text(SOURCES)

    async def use() -> None:
        async with AsyncAcumen(**options_for(served, project)) as client:
            await client.pipelines.apply(tmp_path)
            assert (await client.sources.pause("orders")).paused
            assert [one.health for one in await client.sources.list()] == ["paused"]
            assert not (await client.sources.resume("orders")).paused
            assert (await client.sources.get("orders")).events == 0
            assert (await client.sources.run("orders")).name == "orders"

    asyncio.run(use())
