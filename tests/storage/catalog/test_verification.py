"""Statements that are made anew for each call are verified as those that are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from storage.catalog.catalog import Catalog
from storage.catalog.database.connection import connect
from storage.catalog.errors import CatalogDamaged
from storage.catalog.runs.records import NewRun
from storage.catalog.tables import runs
from tests.support.catalogs import migrated


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with closing(Catalog.prepare(migrated(tmp_path))) as catalog:
        project = catalog.projects.ensure_first()[0].id
        for name in ("one", "two", "three"):
            catalog.runs.enqueue(NewRun(project, name, "0/1", "new", "default", 0))
        yield catalog


def damage(catalog: Catalog, name: str) -> None:
    with closing(connect(catalog.folder.root / "catalog.sqlite")) as connection:
        found = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'runs'"
        )
        for (trigger,) in found.fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("UPDATE runs SET cause = 'other' WHERE pipeline = ?", [name])


def test_each_of_one_shape_finds_the_damage_of_its_own_rows(catalog: Catalog) -> None:
    for name in ("one", "two", "three"):
        assert [run.cause for run in catalog.runs.listed(pipeline=name)] == ["new"]
    damage(catalog, "two")
    assert len(catalog.runs.listed(pipeline="one")) == 1
    with pytest.raises(CatalogDamaged):
        catalog.runs.listed(pipeline="two")
    assert len(catalog.runs.listed(pipeline="three")) == 1


def test_each_alias_is_verified(catalog: Catalog) -> None:
    def found(name: str) -> list[str]:
        other = runs.alias()
        query = select(other.c.cause).where(other.c.pipeline == name)
        with catalog._database.reading() as connection:
            return [row.cause for row in connection.execute(query)]

    assert found("one") == found("two") == ["new"]
    damage(catalog, "two")
    assert found("one") == ["new"]
    with pytest.raises(CatalogDamaged):
        found("two")


def test_both_sides_of_a_join_are_verified(catalog: Catalog) -> None:
    def found(name: str) -> list[str]:
        other = runs.alias("other")
        query = select(runs.c.cause, other.c.pipeline).join(other, other.c.project_id == runs.c.project_id)
        with catalog._database.reading() as connection:
            rows = connection.execute(query.where(runs.c.pipeline == "one", other.c.pipeline == name))
            return [row.pipeline for row in rows]

    assert [found(name) for name in ("one", "two")] == [["one"], ["two"]]
    damage(catalog, "two")
    assert found("three") == ["three"]
    with pytest.raises(CatalogDamaged):
        found("two")
