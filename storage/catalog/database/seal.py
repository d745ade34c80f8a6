"""The digest of a catalog at rest: made when the server stops, compared when it starts, and gone with
the first write.

SQLite's pages have no checksums, and a changed byte of one may read as well as the right one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from storage.catalog.database.checksums import row_faults
from storage.catalog.database.wal import wal_fault
from storage.catalog.errors import CatalogDamaged
from storage.disk.durable_files import new_file, sha256_of

FAULTS_MAX = 20


def seal_path(catalog: Path) -> Path:
    return catalog.with_name(catalog.name + ".sha256")


def seal(catalog: Path) -> None:
    """Enter the digest. Nobody may have the catalog open, whose write-ahead log is empty. Raises OSError."""
    digest = sha256_of(catalog)
    with new_file(seal_path(catalog)) as file:
        file.write(f"{digest}\n".encode())


def break_seal(catalog: Path) -> None:
    """Before anything is written."""
    seal_path(catalog).unlink(missing_ok=True)


def check_seal(catalog: Path) -> bool:
    """False where it is not sealed. Raises CatalogDamaged where it is, and is not as it was then."""
    path = seal_path(catalog)
    try:
        sealed = path.read_bytes().strip()
        found = sha256_of(catalog)
    except FileNotFoundError:
        return False
    if sealed != found.encode() and path.exists():
        raise CatalogDamaged(
            f"{catalog} is not as the server left it when it stopped (SHA-256 differs). Put it back from a "
            f"backup. If another program changed it, remove {path.name}, run 'acumen check', and start again."
        )
    return True


def refuse_faults(catalog: Path) -> None:
    """What a catalog without a digest must pass, its server having ended with no stop. Raises
    CatalogDamaged."""
    fault = wal_fault(catalog) or next(_page_faults(catalog), None)
    if fault is not None:
        raise CatalogDamaged(
            f"{catalog} is damaged: {fault}. Put it back from a backup; 'acumen check' names all that is "
            "wrong, and docs/operating.md says more."
        )


def integrity_faults(catalog: Path) -> Iterator[str]:
    """What is wrong with the catalog's pages, indexes, rows and references."""
    yield from _page_faults(catalog)
    with closing(sqlite3.connect(catalog)) as connection:
        try:
            for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(FAULTS_MAX):
                yield f"row {row} of {table} refers to nothing in {parent}"
        except sqlite3.DatabaseError as error:
            yield str(error)


def _page_faults(catalog: Path) -> Iterator[str]:
    with closing(sqlite3.connect(catalog)) as connection:
        try:
            # One view of all: a server may write meanwhile.
            connection.execute("BEGIN")
            for (line,) in connection.execute(f"PRAGMA integrity_check({FAULTS_MAX})"):
                if line != "ok":
                    yield str(line)
            yield from islice(row_faults(connection), FAULTS_MAX)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            yield str(error)
