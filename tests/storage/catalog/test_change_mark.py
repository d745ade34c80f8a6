"""The catalog's mark tells, without a look at the database, that nothing was written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storage.catalog.catalog import Catalog
from storage.catalog.errors import UnknownOrganisation

WRITE = """
import sys
from pathlib import Path
from storage.catalog.catalog import Catalog
Catalog.open(Path(sys.argv[1])).create_organisation("Other")
"""


def test_reading_leaves_the_mark_and_each_write_changes_it(tmp_path: Path) -> None:
    catalog = Catalog.prepare(tmp_path)
    seen = [catalog.mark()]
    catalog.projects.all()
    catalog.version()
    assert catalog.mark() == seen[0]
    for name in ("A", "B"):
        catalog.organisations.create(name)
        assert catalog.mark() not in seen
        seen.append(catalog.mark())


def test_a_write_of_another_process_changes_the_mark(tmp_path: Path) -> None:
    catalog = Catalog.prepare(tmp_path)
    before = catalog.mark()
    subprocess.run([sys.executable, "-P", "-c", WRITE, str(tmp_path)], check=True, timeout=60)
    assert catalog.mark() != before


def test_a_write_that_fails_changes_the_mark_too(tmp_path: Path) -> None:
    catalog = Catalog.prepare(tmp_path)
    before = catalog.mark()
    with pytest.raises(UnknownOrganisation):
        catalog.organisations.rename("nowhere", "Name")
    assert catalog.mark() != before
