"""docs/internals/catalog.md says what the catalog is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from storage.catalog.migration import FORMAT_VERSION
from storage.catalog.stored.records import FileState, LogState
from storage.catalog.tables import metadata
from storage.catalog.tenants.records import KeyKind
from storage.paths import NAME_LENGTH_MAX, DataFolder
from storage.schema import LaneKind

TEXT = (Path(__file__).parents[3] / "docs" / "internals" / "catalog.md").read_text(encoding="utf-8")
ROWS = {match[1]: match[0] for match in re.finditer(r"^\| `(\w+)` \|.*$", TEXT, re.MULTILINE)}


def test_every_table_is_described() -> None:
    assert set(ROWS) == set(metadata.tables)


@pytest.mark.parametrize("table", list(metadata.tables))
def test_every_column_is_described(table: str) -> None:
    named = set(re.findall(r"`(\w+)`", ROWS[table]))
    assert {column.name for column in metadata.tables[table].columns} <= named


def test_every_value_of_an_enumeration_is_described() -> None:
    for table, kinds in {
        "project_keys": KeyKind,
        "lanes": LaneKind,
        "files": FileState,
        "logs": LogState,
    }.items():
        assert ": " + ", ".join(kind.value for kind in kinds) in ROWS[table]


def test_the_numbers_and_names_of_the_folder_are_those_of_the_code() -> None:
    assert f"Format {FORMAT_VERSION}." in TEXT
    assert f"longer than {NAME_LENGTH_MAX} characters" in TEXT
    folder = DataFolder(Path("/d"))
    files = (folder.format_stamp, folder.catalog, folder.migrate_lock, folder.serve_lock, folder.keeper_lock)
    assert all(path.name in TEXT for path in files)
    assert all(f"{path.name}/" in TEXT for path in folder.folders)
