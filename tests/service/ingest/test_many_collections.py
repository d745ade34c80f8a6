"""Many collections: named in one body, or one after the other over a server's life."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service.ingest import collection_cache
from tests.service.intake import intake, run


def test_thousands_of_new_collections_in_one_body_need_few_transactions(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with intake(tmp_path / "data") as one:
            before = one.catalog.versions().data
            body = {f"c{number}": [{"n": number, f"p{number}": "x"}] for number in range(2_000)}
            answer = await one.http.post(one.events, json=body)
            assert answer.json() == {name: [{"success": True}] for name in body}
            assert one.catalog.versions().data - before == 1
            assert len(one.catalog.collections.of_project(one.project.id)) == 2_000
            assert one.catalog.collections.get(one.project.id, "c7").schema.by_path.keys() == {"n", "p7"}
            assert len(one.lines()) == 2_000
            before = one.catalog.versions().data
            assert (await one.http.post(one.events, json=body)).json() == answer.json()
            assert one.catalog.versions().data == before

    run(scenario())


def test_other_requests_go_on_while_they_are_made(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with intake(tmp_path / "data") as one:
            single = f"{one.events}/known"
            assert (await one.http.post(single, json={"n": 0})).status_code == 201
            body = {f"c{number}": [{f"p{i}": i for i in range(10)}] for number in range(1_000)}
            many = asyncio.ensure_future(one.http.post(one.events, json=body))
            answered = 0
            while not many.done():
                assert (await one.http.post(single, json={"n": answered})).status_code == 201
                answered += 1
            assert (await many).status_code == 200
            assert answered > 10

    run(scenario())


def test_new_collections_with_too_many_properties_are_refused_event_by_event(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with intake(tmp_path / "data") as one:
            wide = {f"p{number}": 1 for number in range(1_001)}
            answer = await one.http.post(one.events, json={"a": [wide, {"n": 1}], "b": [wide], "c": [{}]})
            verdicts = {name: [one["success"] for one in each] for name, each in answer.json().items()}
            assert verdicts == {"a": [False, True], "b": [False], "c": [True]}
            assert [found.name for found in one.catalog.collections.of_project(one.project.id)] == ["a", "c"]

    run(scenario())


def test_collections_that_are_not_used_are_let_go_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_cache.CollectionCache.__init__, "__defaults__", (20,))

    async def scenario() -> None:
        async with intake(tmp_path / "data") as one:
            handles = one.session.ingestor.handles
            for number in range(100):
                for name in ("busy", f"c{number}"):
                    answer = await one.http.post(f"{one.events}/{name}", json={"n": number})
                    assert answer.status_code == 201
                assert len(handles._handles) <= 20
            assert handles.known(one.project.id, "busy") is not None
            assert handles.known(one.project.id, "c0") is None
            body = {f"c{number}": [{"n": 1}] for number in range(100)}
            assert (await one.http.post(one.events, json=body)).json() == {
                name: [{"success": True}] for name in body
            }
            assert len(handles._handles) <= 20
            assert len(one.catalog.collections.of_project(one.project.id)) == 101
            await handles.refresh()
            assert len(one.lines()) == 300

    run(scenario())
