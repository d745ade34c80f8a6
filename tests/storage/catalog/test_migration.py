"""Opening data folders: fresh, older, newer, and not ours."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from storage.catalog import migration, migrations
from storage.catalog.catalog import Catalog
from storage.catalog.database.checksums import install
from storage.catalog.database.connection import Database
from storage.catalog.errors import CatalogNotReady, NewerFormat
from storage.catalog.keyring import Keyring, public_id
from storage.catalog.migration import FORMAT_VERSION, revisions
from storage.catalog.stored.records import event_scope, shared_scope
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


def made_at(folder: DataFolder, revision: str, rows: Mapping[str, Sequence[Mapping[str, object]]]) -> None:
    """A catalog as of a revision, with these rows by table."""
    migration.make_folder(folder)
    database = Database(folder.catalog)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for table, some in rows.items():
            for row in some:
                names = ", ".join(row)
                values = ", ".join(f":{name}" for name in row)
                connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), [dict(row)])
        install(connection)
    database.close()


def collection_of(number: int, name: str, generation: int) -> dict[str, object]:
    row = {"id": number, "project_id": "p", "name": name, "generation": generation, "erase_version": 1}
    return {**row, "lanes_version": 0, "data_version": 0, "created_us": 0}


def export_of(number: int, collection: str, generation: int) -> dict[str, object]:
    row = {"number": number, "id": str(number), "project_id": "p", "collection": collection}
    row |= {"generation": generation, "erase_version": 1, "state": "done", "question": "{}", "key_id": "k"}
    row |= {"audience": "", "format": "csv", "gzip": False, "attempts": 1, "events": 0, "mail_attempts": 0}
    return {**row, "created_us": 0}


def test_what_was_computed_names_its_collections_by_their_ids(folder: DataFolder) -> None:
    """And those of a collection that had the name before are of none that is there."""
    question = json.dumps({"query": {"event_collection": "again"}})
    covers = json.dumps({"collections": {"again": [4, 1], "first": [2, 1], "never": [1, 0]}, "counts": [1]})
    query = {"id": 1, "project_id": "p", "name": "q", "query": "{}", "metadata": "{}", "refresh_rate": 0}
    run = {"query_id": 1, "audience": "", "version": 1, "run_us": 0, "duration_us": 0, "failures": 0}
    dataset = {"id": 1, "project_id": "p", "name": "d", "definition": question, "created_us": 0}
    claim = {"token": "t", "log_id": 1, "ordinal": 1, "digest": b"", "response": b"", "claimed_us": 0}
    scopes = ("event:2:4", "event:2:4:autofill", "event:1:1", "request:p")
    rows = {
        "organisations": [{"id": "o", "name": "O", "key": "sealed:", "created_us": 0}],
        "projects": [{"id": "p", "name": "P", "organisation_id": "o", "created_us": 0}],
        "collections": [collection_of(1, "first", 1), collection_of(2, "again", 4)],
        "exports": [export_of(1, "again", 4), export_of(2, "again", 1), export_of(3, "first", 1)],
        "datasets": [{**dataset, "status": "OK", "run": 1, "generation": 4, "erase_version": 1}],
        "saved_queries": [{**query, "version": 1, "created_us": 0, "modified_us": 0}],
        "saved_runs": [{**run, "covers": covers}],
        "claims": [{**claim, "scope": scope} for scope in scopes],
    }
    made_at(folder, "0019", rows)
    with closing(Catalog.prepare(folder.root)) as catalog:
        assert [one.collection_id for one in catalog.exports.of_project("p")] == [1, -1, 2]
        assert [one.number for one in catalog.exports.outdated()] == [2]
        assert catalog.datasets.get("p", "d").moment == (2, 1)
        assert catalog.claims.kept("p") == 4
        again = catalog.collections.get("p", "again")
        assert catalog.claims.find([(event_scope(again.id), "t"), (shared_scope(again.id), "t")])
    [(text_of_run,)] = execute(folder.catalog, "SELECT covers FROM saved_runs")
    assert json.loads(str(text_of_run))["collections"] == {"again": [2, 1], "first": [-1, 1], "never": [0, 0]}


def access_key_of(keyring: Keyring, key: str) -> dict[str, object]:
    digest = keyring.digest("p", key)
    row = {"project_id": "p", "digest": digest, "sealed": keyring.seal(key, f"p/{digest}"), "name": "k"}
    return {**row, "is_active": True, "permitted": '["queries"]', "options": "{}", "created_us": 0}


def test_access_keys_get_their_public_ids_and_lose_nothing(folder: DataFolder) -> None:
    """But for those that another secret sealed, which get theirs once that is back."""
    mine, other = Keyring("a"), Keyring("b")
    keys = [access_key_of(mine, "A" * 64), access_key_of(mine, "B" * 64), access_key_of(other, "C" * 64)]
    rows = {
        "organisations": [{"id": "o", "name": "O", "key": "sealed:", "created_us": 0}],
        "projects": [{"id": "p", "name": "P", "organisation_id": "o", "created_us": 0}],
        "access_keys": keys,
    }
    made_at(folder, "0021", rows)
    for secret, found in (("a", "AB"), ("a", "AB"), ("b", "ABC")):
        with closing(Catalog.prepare(folder.root, secret=secret)) as catalog:
            for letter in "ABC":
                key = catalog.access_keys.find_public("p", public_id(letter * 64))
                assert (key is not None) == (letter in found)
            kept = catalog.access_keys.of_project("p")
            assert [one.sealed for one in kept] == [row["sealed"] for row in keys]
            assert [one.digest for one in kept] == [row["digest"] for row in keys]
            assert catalog.access_keys.find_public("q", public_id("A" * 64)) is None


def test_versions_go_on_from_the_one_that_stood_for_all(folder: DataFolder) -> None:
    made_at(folder, "0019", {"meta": [{"name": "tenants_version", "value": "5"}]})
    with closing(Catalog.prepare(folder.root)) as catalog:
        assert catalog.versions() == (5, 1, 1, 0, 0)
        assert catalog.meta.get("tenants_version") is None


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
