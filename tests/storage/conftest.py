"""A fresh catalog, its clock, and one collection in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import Collection
from tests.support.catalogs import Clock, migrated


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalog(tmp_path: Path, clock: Clock) -> Iterator[Catalog]:
    catalog = Catalog.prepare(migrated(tmp_path / "data"), clock)
    yield catalog
    catalog.close()


@pytest.fixture
def collection(catalog: Catalog) -> Collection:
    project, _ = catalog.projects.ensure_first()
    return catalog.collections.ensure(project.id, "purchases")
