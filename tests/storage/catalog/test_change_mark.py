"""The catalog's marks tell, without a look at the database, that nothing of an area was changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storage.catalog.catalog import Catalog
from storage.catalog.database.versions import Area
from storage.catalog.errors import UnknownOrganisation

WRITE = """
import sys
from pathlib import Path
from storage.catalog.catalog import Catalog
Catalog.open(Path(sys.argv[1])).organisations.create("Other")
"""


def test_reading_leaves_the_marks_and_each_change_moves_that_of_its_area(tmp_path: Path) -> None:
    catalog = Catalog.prepare(tmp_path)
    project, _ = catalog.projects.ensure_first()
    seen = [catalog.mark(Area.TENANTS)]
    others = catalog.mark(Area.DATA, Area.DERIVED)
    catalog.projects.all()
    catalog.versions()
    assert catalog.mark(Area.TENANTS) == seen[0]
    for name in ("A", "B"):
        catalog.organisations.create(name)
        assert catalog.mark(Area.TENANTS) not in seen
        seen.append(catalog.mark(Area.TENANTS))
    assert catalog.mark(Area.DATA, Area.DERIVED) == others
    catalog.collections.ensure(project.id, "c")
    assert catalog.mark(Area.TENANTS) == seen[-1]
    assert catalog.mark(Area.DERIVED) == others[1:]
    assert catalog.mark(Area.DATA) != others[:1]


def test_a_change_of_another_process_moves_the_mark(tmp_path: Path) -> None:
    catalog = Catalog.prepare(tmp_path)
    before = catalog.mark(*Area)
    subprocess.run([sys.executable, "-P", "-c", WRITE, str(tmp_path)], check=True, timeout=60)
    assert catalog.mark(*Area) != before


def test_a_change_that_fails_moves_the_mark_too(tmp_path: Path) -> None:
    catalog = Catalog.prepare(tmp_path)
    before = catalog.mark(*Area)
    with pytest.raises(UnknownOrganisation):
        catalog.organisations.rename("nowhere", "Name")
    assert catalog.mark(*Area) != before
