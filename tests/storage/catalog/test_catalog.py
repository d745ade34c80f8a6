"""The catalog: tenants, collections, logs, and the version that tells of their changes."""

from __future__ import annotations

import gc
import re
from typing import Any

import pytest

from storage.catalog.catalog import Catalog
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import Dashboard
from storage.catalog.errors import (
    DuplicateProject,
    InvalidName,
    LogConflict,
    TooManyProperties,
    UnknownCollection,
    UnknownLog,
    UnknownOrganisation,
    UnknownProject,
)
from storage.catalog.stored.records import Collection, Counts, ErasureKind, FlushCommit, LogRow, LogState
from storage.schema import LaneKind, Schema
from tests.support.catalogs import flush


class TestTenants:
    def test_the_first_project_is_made_once(self, catalog: Catalog) -> None:
        project, created = catalog.projects.ensure_first()
        assert created
        assert catalog.projects.ensure_first() == (project, False)
        assert [organisation.id for organisation in catalog.organisations.all()] == [project.organisation_id]
        assert catalog.projects.all() == [project]
        assert catalog.projects.get(project.id) == project

    def test_made_up_ids_and_keys_have_the_forms_that_clients_expect(self, catalog: Catalog) -> None:
        project = catalog.projects.create("shop")
        assert re.fullmatch("[0-9a-f]{24}", project.id)
        assert re.fullmatch("[0-9A-F]{64}", project.master_key)
        assert re.fullmatch("[0-9A-F]{64,}", project.write_key)
        assert re.fullmatch("[0-9A-F]{64,}", project.read_key)

    def test_given_ids_and_keys_are_kept(self, catalog: Catalog) -> None:
        organisation = catalog.organisations.create("Shop AG")
        project = catalog.projects.create(
            "shop",
            id="Shop1",
            organisation_id=organisation.id,
            master_key="M" * 32,
            write_key="W" * 32,
            read_key="R" * 32,
        )
        assert catalog.projects.get("Shop1") == project
        assert (project.master_key, project.write_key, project.read_key) == ("M" * 32, "W" * 32, "R" * 32)
        assert project.organisation_id == organisation.id
        assert catalog.organisations.all() == [organisation]

    def test_a_project_id_is_taken_once_and_its_case_counts(self, catalog: Catalog) -> None:
        catalog.projects.create("shop", id="shop")
        catalog.projects.create("shop", id="SHOP")
        with pytest.raises(DuplicateProject):
            catalog.projects.create("other", id="shop")
        assert [project.id for project in catalog.projects.all()] == ["shop", "SHOP"]

    @pytest.mark.parametrize(
        "given",
        [
            {"id": ""},
            {"id": "a" * 65},
            {"id": "../x"},
            {"id": "a\n"},
            {"id": "é"},
            {"master_key": "short"},
            {"write_key": "W" * 257},
            {"read_key": "with space in it"},
            {"write_key": "A" * 32, "read_key": "A" * 32},
        ],
    )
    def test_ids_and_keys_are_letters_and_digits_of_sane_length(
        self, catalog: Catalog, given: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidName) as refused:
            catalog.projects.create("shop", **given)
        assert not any(len(value) > 5 and value in str(refused.value) for value in given.values())
        assert catalog.projects.all() == []

    @pytest.mark.parametrize("name", ["", "  ", "x" * 257, "\ud800"])
    def test_a_project_has_a_name(self, catalog: Catalog, name: str) -> None:
        with pytest.raises(InvalidName):
            catalog.projects.create(name)

    def test_what_does_not_exist_is_said_so(self, catalog: Catalog) -> None:
        with pytest.raises(UnknownProject):
            catalog.projects.get("none")
        with pytest.raises(UnknownOrganisation):
            catalog.projects.create("shop", organisation_id="none")


class TestCollections:
    def test_names_differ_by_case(self, catalog: Catalog) -> None:
        project, _ = catalog.projects.ensure_first()
        names = ["Purchases", "purchases", "..", "a/b", "it's; DROP TABLE lanes", "é", "nul\0byte"]
        made = {name: catalog.collections.ensure(project.id, name) for name in names}
        assert len({collection.id for collection in made.values()}) == len(names)
        assert {c.name: c for c in catalog.collections.of_project(project.id)} == made
        assert all(catalog.collections.ensure(project.id, name) == made[name] for name in names)
        assert catalog.collections.of_project("none") == []

    def test_a_collection_needs_a_project_and_a_name(self, catalog: Catalog) -> None:
        project, _ = catalog.projects.ensure_first()
        with pytest.raises(UnknownProject):
            catalog.collections.ensure("none", "purchases")
        for name in ("", "\ud800"):
            with pytest.raises(InvalidName):
                catalog.collections.ensure(project.id, name)
        with pytest.raises(UnknownCollection):
            catalog.collections.get(project.id, "purchases")
        with pytest.raises(UnknownCollection):
            catalog.collections.by_id(99)

    def test_lanes_are_appended_and_named_apart(self, catalog: Catalog, collection: Collection) -> None:
        first = catalog.collections.add_lanes(collection.id, [("price", LaneKind.NUMBER)], 10)
        wanted = [
            ("Price", LaneKind.NUMBER),
            ("price", LaneKind.STRING),
            ("price", LaneKind.NUMBER),
            ("keen.timestamp", LaneKind.STRING),
        ]
        second = catalog.collections.add_lanes(collection.id, wanted, 10)
        assert second.schema.lanes[:1] == first.schema.lanes
        assert {(lane.path, lane.kind) for lane in second.schema.lanes} == set(wanted)
        folded = [lane.column.casefold() for lane in second.schema.lanes]
        assert len({*folded, "keen.timestamp"}) == len(wanted) + 1
        assert catalog.collections.by_id(collection.id) == second
        assert catalog.collections.of_project(collection.project_id) == [second]

    def test_the_limit_counts_paths_and_takes_all_or_nothing(
        self, catalog: Catalog, collection: Collection
    ) -> None:
        catalog.collections.add_lanes(collection.id, [("a", LaneKind.NUMBER), ("b", LaneKind.NUMBER)], 2)
        catalog.collections.add_lanes(collection.id, [("a", LaneKind.STRING)], 2)
        with pytest.raises(TooManyProperties, match="at most 2"):
            catalog.collections.add_lanes(collection.id, [("b", LaneKind.STRING), ("c", LaneKind.NUMBER)], 2)
        assert catalog.collections.by_id(collection.id).schema.version == 3

    def test_a_limit_lowered_later_still_takes_new_kinds_of_known_paths(
        self, catalog: Catalog, collection: Collection
    ) -> None:
        catalog.collections.add_lanes(collection.id, [("a", LaneKind.NUMBER), ("b", LaneKind.NUMBER)], 2)
        assert catalog.collections.add_lanes(collection.id, [("a", LaneKind.JSON)], 1).schema.version == 3

    def test_schemas_of_the_past_are_not_kept(self, catalog: Catalog) -> None:
        project, _ = catalog.projects.ensure_first()
        collection = catalog.collections.ensure(project.id, "c")
        before = schemas()
        for number in range(50):
            added = catalog.collections.add_lanes(collection.id, [(f"p{number}", LaneKind.NUMBER)], 100)
            assert catalog.collections.by_id(collection.id) == added
        assert schemas() - before < 5

    def test_known_lanes_cost_no_write(self, catalog: Catalog, collection: Collection) -> None:
        made = catalog.collections.add_lanes(collection.id, [("a", LaneKind.NUMBER)], 2)
        version = catalog.versions()
        assert catalog.collections.add_lanes(collection.id, [("a", LaneKind.NUMBER)], 2) == made
        assert catalog.collections.ensure(collection.project_id, collection.name) == made
        assert catalog.versions() == version


class TestLogs:
    def test_a_log_lives_from_open_to_flushed(self, catalog: Catalog) -> None:
        log_id = catalog.logs.create()
        assert catalog.logs.all() == [LogRow(log_id, LogState.OPEN, 0, None)]
        catalog.files.commit_flush(FlushCommit(1, {log_id: 100}))
        catalog.logs.seal(log_id, 150, None)
        catalog.logs.seal(log_id, 150, None)
        assert catalog.logs.all() == [LogRow(log_id, LogState.SEALED, 100, 150)]
        with pytest.raises(LogConflict, match="not flushed"):
            catalog.logs.remove(log_id)
        catalog.files.commit_flush(FlushCommit(2, {log_id: 150}))
        catalog.logs.remove(log_id)
        assert catalog.logs.all() == []
        assert catalog.logs.create() > log_id

    def test_an_open_log_is_not_removed(self, catalog: Catalog) -> None:
        log_id = catalog.logs.create()
        with pytest.raises(LogConflict):
            catalog.logs.remove(log_id)

    def test_a_log_has_one_end_and_not_before_what_is_flushed(self, catalog: Catalog) -> None:
        log_id = catalog.logs.create()
        catalog.files.commit_flush(FlushCommit(1, {log_id: 100}))
        with pytest.raises(LogConflict):
            catalog.logs.seal(log_id, 99, None)
        catalog.logs.seal(log_id, 100, None)
        with pytest.raises(LogConflict):
            catalog.logs.seal(log_id, 101, None)

    def test_a_position_moves_neither_back_nor_past_the_end(self, catalog: Catalog) -> None:
        log_id = catalog.logs.create()
        catalog.files.commit_flush(FlushCommit(1, {log_id: 100}))
        with pytest.raises(LogConflict):
            catalog.files.commit_flush(FlushCommit(2, {log_id: 99}))
        catalog.logs.seal(log_id, 150, None)
        with pytest.raises(LogConflict):
            catalog.files.commit_flush(FlushCommit(2, {log_id: 151}))
        with pytest.raises(UnknownLog):
            catalog.files.commit_flush(FlushCommit(2, {log_id + 1: 1}))
        assert catalog.logs.all() == [LogRow(log_id, LogState.SEALED, 100, 150)]
        assert catalog.files.flushed_number() == 1


class TestVersions:
    def test_a_change_moves_the_version_of_its_area_alone(self, catalog: Catalog) -> None:
        seen = [catalog.versions()]

        def moved() -> set[Area]:
            seen.append(catalog.versions())
            pairs = zip(Area, *seen[-2:], strict=True)
            assert all(later >= before for _, before, later in pairs)
            return {area for area, before, later in zip(Area, *seen[-2:], strict=True) if later > before}

        project, _ = catalog.projects.ensure_first()
        assert moved() == {Area.TENANTS}
        organisation = catalog.organisations.create("other")
        assert moved() == {Area.TENANTS}
        catalog.organisations.rename(organisation.id, "another")
        assert moved() == {Area.TENANTS}
        catalog.projects.create("other")
        assert moved() == {Area.TENANTS}
        catalog.projects.update(project.id, preferences={"round": 2})
        assert moved() == {Area.TENANTS}
        collection = catalog.collections.ensure(project.id, "purchases")
        assert moved() == {Area.DATA}
        catalog.collections.add_lanes(collection.id, [("a", LaneKind.NUMBER)], 9)
        assert moved() == {Area.DATA}
        log_id = catalog.logs.create()
        assert moved() == {Area.DATA}
        file = flush(catalog, collection)
        assert moved() == {Area.DATA}
        catalog.files.swap(collection.id, [file.id], [], Counts(stored=-10, erased=10))
        assert moved() == {Area.DATA}
        catalog.logs.seal(log_id, 0, None)
        assert moved() == {Area.DATA}
        catalog.logs.remove(log_id)
        assert moved() == {Area.DATA}
        catalog.erasures.request(collection.id, ErasureKind.EVENTS, {})
        assert moved() == {Area.DATA}
        catalog.retention.put(collection.id, 30)
        assert moved() == {Area.DATA}
        catalog.saved_queries.put(project.id, "q", "q", query="{}", metadata="{}", refresh_rate=0)
        assert moved() == {Area.DERIVED}
        catalog.datasets.create(project.id, "d", "{}")
        assert moved() == {Area.DERIVED}
        catalog.dashboards.put(project.id, Dashboard("b", "{}"), "{}")
        assert moved() == {Area.DERIVED}

    def test_what_prunes_nothing_moves_nothing(self, catalog: Catalog, collection: Collection) -> None:
        versions = catalog.versions()
        catalog.collections.prune_lanes(collection.id, frozenset(), frozenset())
        assert catalog.versions() == versions

    def test_small_values_are_kept_and_do_not_move_it(self, catalog: Catalog) -> None:
        version = catalog.versions()
        assert catalog.meta.get("import.offset") is None
        catalog.meta.put("import.offset", "1")
        catalog.meta.put("import.offset", "2")
        assert catalog.meta.get("import.offset") == "2"
        assert catalog.versions() == version


def schemas() -> int:
    """How many there are in this process."""
    gc.collect()
    return sum(isinstance(found, Schema) for found in gc.get_objects())
