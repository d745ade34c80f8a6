"""Opening data folders: fresh, older, newer, and not ours."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from storage.catalog import migrations
from storage.catalog.catalog import Catalog
from storage.catalog.database.connection import Database
from storage.catalog.errors import CatalogNotReady, NewerFormat
from storage.catalog.migration import FORMAT_VERSION, revisions
from storage.catalog.tables import metadata
from storage.paths import DataFolder


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def execute(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "50%s" / "data")


@pytest.fixture
def older(folder: DataFolder) -> DataFolder:
    """A folder as of before the first revision, with something in it that must not be lost."""
    folder.root.mkdir(parents=True)
    execute(folder.catalog, "PRAGMA journal_mode=WAL")
    execute(folder.catalog, "CREATE TABLE notes AS SELECT 'kept' AS note")
    return folder


def test_a_fresh_folder_is_its_owners_alone_and_stamped(folder: DataFolder) -> None:
    Catalog.prepare(folder.root).close()
    assert mode(folder.root) == 0o700
    assert mode(folder.catalog) == 0o600
    assert folder.format_stamp.read_text() == f"{FORMAT_VERSION}\n"
    assert all(path.is_dir() and mode(path) == 0o700 for path in folder.folders)
    assert not list(folder.root.glob("*backup*"))


def test_files_beside_the_catalog_are_as_private(folder: DataFolder) -> None:
    catalog = Catalog.prepare(folder.root)
    catalog.projects.ensure_first()
    beside = list(folder.root.glob("catalog.sqlite-*"))
    assert {path.name for path in beside} == {f"catalog.sqlite-{name}" for name in ("wal", "shm", "mark")}
    assert all(mode(path) == 0o600 for path in beside)
    catalog.close()


def test_a_folder_made_with_a_wide_mode_is_narrowed(folder: DataFolder) -> None:
    folder.root.mkdir(parents=True, mode=0o755)
    folder.catalog.touch(0o644)
    Catalog.prepare(folder.root).close()
    assert mode(folder.root) == 0o700
    assert mode(folder.catalog) == 0o600


def test_a_prepared_folder_opens_again_with_what_it_held(folder: DataFolder) -> None:
    catalog = Catalog.prepare(folder.root)
    project, _ = catalog.projects.ensure_first()
    catalog.close()
    for make in (Catalog.prepare, Catalog.open):
        catalog = make(folder.root)
        assert catalog.projects.all() == [project]
        catalog.close()
    assert not list(folder.root.glob("*backup*"))


def test_the_migrations_end_in_the_tables_that_the_code_uses(folder: DataFolder) -> None:
    Catalog.prepare(folder.root).close()
    database = Database(folder.catalog)
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_ids_are_never_reused(folder: DataFolder) -> None:
    Catalog.prepare(folder.root).close()
    made = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"
    assert {"collections", "files", "logs"} <= {str(name) for (name,) in execute(folder.catalog, made)}


def test_an_older_catalog_is_copied_and_then_migrated(older: DataFolder) -> None:
    with pytest.raises(CatalogNotReady, match="older format"):
        Catalog.open(older.root)
    catalog = Catalog.prepare(older.root)
    catalog.projects.ensure_first()
    catalog.close()
    backup = older.catalog_backup(0)
    assert mode(backup) == 0o600
    assert execute(backup, "SELECT name FROM sqlite_master") == [("notes",)]
    assert execute(backup, "SELECT note FROM notes") == [("kept",)]
    assert execute(older.catalog, "SELECT note FROM notes") == [("kept",)]
    assert older.format_stamp.read_text() == f"{FORMAT_VERSION}\n"
    assert not list(older.root.glob("*.unfinished*"))


def test_a_migration_that_fails_leaves_the_catalog_as_it_was(older: DataFolder) -> None:
    execute(older.catalog, "CREATE TABLE files (mine)")
    with pytest.raises(Exception, match="files"):
        Catalog.prepare(older.root)
    assert execute(older.catalog, "SELECT name FROM sqlite_master ORDER BY 1") == [("files",), ("notes",)]
    assert not older.format_stamp.exists()
    execute(older.catalog, "DROP TABLE files")
    Catalog.prepare(older.root).close()
    assert execute(older.catalog_backup(0), "SELECT name FROM sqlite_master") == [("notes",)]


def test_a_newer_format_is_refused_untouched(folder: DataFolder) -> None:
    Catalog.prepare(folder.root).close()
    folder.format_stamp.write_text(f"{FORMAT_VERSION + 1}\n")
    before = folder.catalog.read_bytes()
    for make in (Catalog.prepare, Catalog.open):
        with pytest.raises(NewerFormat, match=f"format {FORMAT_VERSION + 1}"):
            make(folder.root)
    assert folder.catalog.read_bytes() == before


def test_the_names_of_the_migrations_tell_their_order() -> None:
    """So that only a migration has to import alembic."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert list(revisions()) == [script.revision for script in scripts][::-1]


def test_an_unknown_revision_is_refused(folder: DataFolder) -> None:
    Catalog.prepare(folder.root).close()
    execute(folder.catalog, "UPDATE alembic_version SET version_num = '9999'")
    for make in (Catalog.prepare, Catalog.open):
        with pytest.raises(NewerFormat, match="9999"):
            make(folder.root)


def test_a_stamp_that_is_no_number_is_refused(folder: DataFolder) -> None:
    folder.root.mkdir(parents=True)
    folder.format_stamp.write_text("parquet 2")
    with pytest.raises(NewerFormat, match="parquet 2"):
        Catalog.prepare(folder.root)
    assert [path.name for path in folder.root.iterdir()] == ["FORMAT"]


def test_opening_nothing_is_no_way_to_make_it(folder: DataFolder) -> None:
    with pytest.raises(CatalogNotReady, match="no Acumen data"):
        Catalog.open(folder.root)
    assert not folder.root.exists()


def test_every_connection_is_durable_and_checks_references(folder: DataFolder) -> None:
    Catalog.prepare(folder.root).close()
    database = Database(folder.catalog)
    for transaction in (database.reading, database.writing):
        with transaction() as connection:
            settings = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            }
        assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.close()
