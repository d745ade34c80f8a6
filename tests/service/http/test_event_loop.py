"""The catalog is read in threads: a slow disk under it, or many projects, must not hold up the event loop."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.auth.principal import Tenants
from service.http.app import ROUTES
from storage.catalog.database.connection import Database
from storage.catalog.database.versions import Versions
from storage.schema import LaneKind
from tests.service.intake import intake, run
from tests.service.rule_table import WRITE_ROUTES
from tests.service.whole import Whole
from tests.support.scale import examples

PROJECTS = max(200, examples(2_000))
QUERY = {"query": {"analysis_type": "count", "event_collection": "c", "timeframe": "this_14_days"}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    made = Whole(tmp_path_factory.mktemp("whole"))
    made.record(made.project, "c", [{"n": 1}, {"n": 2}])
    yield made
    made.close()


@pytest.fixture
def on_loop() -> Iterator[list[str]]:
    """Where the catalog was used by a thread that runs an event loop."""
    found: list[str] = []

    def look() -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        found.append("".join(traceback.format_stack(limit=8)))

    Database.on_use = look
    yield found
    Database.on_use = None


def test_the_hook_sees_a_read_on_the_event_loop(whole: Whole, on_loop: list[str]) -> None:
    async def read() -> Versions:
        return whole.catalog.versions()

    asyncio.run(read())
    assert len(on_loop) == 1


def test_no_route_reads_the_catalog_on_the_event_loop(whole: Whole, on_loop: list[str]) -> None:
    """Each with a good key, a wrong one and none; what is kept in memory is asked for twice."""
    project = whole.project
    whole.told(project, "PUT", "queries/saved/kept", {**QUERY, "refresh_rate": 14_400})
    for _ in range(2):
        whole.told(project, "GET", "queries/saved/kept/result")
        whole.told(project, "GET", "queries/count", event_collection="c", timeframe="this_14_days")
    routes = [(method, route.path) for route in ROUTES for method in sorted(route.methods or ())]
    for method, path in [*routes, *WRITE_ROUTES]:
        below = path.removeprefix("/3.0/projects/{project_id}").lstrip("/")
        below = re.sub(r"\{query_name\}", "kept", re.sub(r"\{collection\}", "c", below))
        below = re.sub(r"\{[^}]+\}", "x", below)
        body: object = {} if method in ("POST", "PUT", "PATCH") else None
        # A tail has no end, but for filters that are none.
        query: dict[str, Any] = {"filters": "none"} if below.endswith("/tail") else {}
        for key in (None, None, project.read_key, "wrong"):
            whole.call(project, method, below, body, key=key, **query)
    assert on_loop == []


def test_many_projects_cost_the_event_loop_nothing(whole: Whole, on_loop: list[str]) -> None:
    for number in range(PROJECTS):
        whole.catalog.projects.create(f"Project {number}")
    for _ in range(3):
        assert whole.get("/3.0/projects", key="wrong").status_code == 401
        assert whole.call(whole.project, "GET", "").status_code in (200, 404)
    assert [one["id"] for one in whole.get("/3.0/projects", key=whole.project.master_key).json()] == [
        whole.project.id
    ]
    assert on_loop == []


def test_nor_does_what_a_worker_looks_after(tmp_path: Path, on_loop: list[str]) -> None:
    """Changes by others of collections, projects and keys, which it hears of without being asked anything."""

    async def scenario() -> None:
        async with intake(tmp_path / "data") as one:
            tenants = Tenants(one.catalog.tenants, one.catalog.access_keys, one.catalog.keyring)
            watch = asyncio.ensure_future(tenants.keep_fresh())
            on_loop.clear()
            assert (await one.http.post(f"{one.events}/c", json={"n": 1})).status_code == 201
            collection = await asyncio.to_thread(one.catalog.collections.get, one.project.id, "c")
            await asyncio.to_thread(
                one.catalog.collections.add_lanes, collection.id, [("m", LaneKind.NUMBER)], 9
            )
            await asyncio.to_thread(one.catalog.projects.update, one.project.id, name="Renamed")
            await one.session.look_after()
            handle = one.session.ingestor.handles.known(one.project.id, "c")
            assert handle is not None and "m" in handle.checker.schema.by_path
            while (known := tenants.known(one.project.id)) is None or known.name != "Renamed":
                await asyncio.sleep(0.01)
            watch.cancel()
            assert on_loop == []

    run(scenario())
