"""Opens a data folder: checks its format, and backs the catalog up and migrates it if it is older."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import sqlalchemy

from storage.catalog.database.checksums import install, remove_triggers
from storage.catalog.database.connection import Database, back_up, is_empty
from storage.catalog.database.seal import check_seal, refuse_faults
from storage.catalog.errors import CatalogNotReady, NewerFormat
from storage.disk.durable_files import new_file, sync_folder
from storage.paths import DataFolder

FORMAT_VERSION = 38
"""Format of the data folder as a whole: catalog, log frames, Parquet files. Each migration raises it."""
UNSTAMPED = 0
_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSIONS = _MIGRATIONS / "versions"
_CURRENT = sqlalchemy.text("SELECT version_num FROM alembic_version")


def prepare(folder: DataFolder) -> Database:
    """Creates or migrates the data folder and opens its catalog.

    Raises, before anything is changed, NewerFormat where a newer server wrote the folder, and CatalogDamaged.
    """
    _refuse_newer(read_format(folder))
    make_folder(folder)
    with _locked(folder.migrate_lock):
        stamped = read_format(folder)
        _refuse_newer(stamped)
        _make_file(folder.catalog)
        if not check_seal(folder.catalog):
            refuse_faults(folder.catalog)
        database = Database(folder.catalog)
        try:
            if _revision(database) != revisions()[-1]:
                if not is_empty(folder.catalog):
                    back_up(folder.catalog, folder.catalog_backup(stamped))
                _migrate(database)
            if stamped != FORMAT_VERSION:
                _stamp(folder)
            sync_folder(folder.root)
        except BaseException:
            database.close()
            raise
    return database


def open_ready(folder: DataFolder) -> Database:
    """Opens a catalog as it is. Raises CatalogNotReady where it is missing or older, NewerFormat."""
    if not folder.catalog.exists():
        raise CatalogNotReady(f"There is no Acumen data in {folder.root}: start the server on it once.")
    stamped = read_format(folder)
    _refuse_newer(stamped)
    check_seal(folder.catalog)
    database = Database(folder.catalog)
    try:
        if stamped != FORMAT_VERSION or _revision(database) != revisions()[-1]:
            raise CatalogNotReady(
                f"The data in {folder.root} is of an older format ({stamped}, this is {FORMAT_VERSION}): "
                "start the server on it once, which migrates it."
            )
    except BaseException:
        database.close()
        raise
    return database


def read_format(folder: DataFolder) -> int:
    """The stamped format; UNSTAMPED without a stamp. Raises NewerFormat for a stamp that is not a number."""
    try:
        text = folder.format_stamp.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return UNSTAMPED
    if not (text.isascii() and text.isdigit()):
        raise NewerFormat(
            f"{folder.format_stamp} holds {text[:40]!r}, not a format number: another program or a newer "
            "Acumen wrote it."
        )
    return int(text)


def make_folder(folder: DataFolder) -> None:
    """Creates the data folder and its subfolders, accessible to their owner only."""
    folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.root.stat().st_mode & 0o077:
        try:
            folder.root.chmod(0o700)
        except PermissionError:
            # A mounted volume of another owner: the server may use it but cannot change its mode.
            pass
    for path in folder.folders:
        path.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_file(path: Path) -> None:
    """Creates the catalog with mode 0600, which SQLite also gives to the files beside it.

    An existing file is not opened: closing it would drop the locks of this process's connections.
    """
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    elif path.stat().st_mode & 0o077:
        path.chmod(0o600)


def _refuse_newer(stamped: int) -> None:
    if stamped > FORMAT_VERSION:
        raise NewerFormat(
            f"The data folder has format {stamped}; this Acumen reads formats up to {FORMAT_VERSION}. "
            "Start the newer Acumen that wrote it, or one after that."
        )


@lru_cache(maxsize=1)
def revisions() -> tuple[str, ...]:
    """The revisions of all migrations in order; each file's name begins with its revision."""
    return tuple(sorted(path.stem.partition("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py")))


def _revision(database: Database) -> str | None:
    """The catalog's revision; None before the first migration. Raises NewerFormat for an unknown one."""
    with database.reading() as connection:
        if not sqlalchemy.inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.execute(_CURRENT).scalar()
    if revision is not None and revision not in revisions():
        raise NewerFormat(
            f"The catalog has revision {revision}, which this Acumen does not know: a newer Acumen wrote it. "
            "Start that one, or one after it."
        )
    return revision


def _migrate(database: Database) -> None:
    # Imported here, since every process opens a catalog but hardly any migrates it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    # configparser interpolates the value, so a percent sign in the path must be doubled.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with database.writing() as connection:
        config.attributes["connection"] = connection
        remove_triggers(connection)
        command.upgrade(config, "head")
        install(connection)


def _stamp(folder: DataFolder) -> None:
    with new_file(folder.format_stamp, 0o644) as file:
        file.write(f"{FORMAT_VERSION}\n".encode())
