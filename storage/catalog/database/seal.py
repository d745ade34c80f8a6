"""The digest of a catalog at rest: stored when the server stops, checked when it starts, and removed before
the first write.

SQLite's pages have no checksums, so a flipped byte may read as valid data.
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
    """Store the digest. The catalog must be closed and its write-ahead log empty. Raises OSError."""
    digest = sha256_of(catalog)
    with new_file(seal_path(catalog)) as file:
        file.write(f"{digest}\n".encode())


def break_seal(catalog: Path) -> None:
    """Remove the digest, before anything is written."""
    seal_path(catalog).unlink(missing_ok=True)


def check_seal(catalog: Path) -> bool:
    """Compare the catalog with its digest. False without a digest. Raises CatalogDamaged if they differ."""
    path = seal_path(catalog)
    try:
        sealed = path.read_bytes().strip()
        current = sha256_of(catalog)
    except FileNotFoundError:
        return False
    if sealed != current.encode() and path.exists():
        raise CatalogDamaged(
            f"{catalog} is not as the server left it when it stopped (SHA-256 differs). Put it back from a "
            f"backup. If another program changed it, remove {path.name}, run 'acumen check', and start again."
        )
    return True


def refuse_faults(catalog: Path) -> None:
    """Check a catalog without a digest, whose server ended without stopping properly. Raises
    CatalogDamaged."""
    fault = wal_fault(catalog) or next(_page_faults(catalog), None)
    if fault is not None:
        raise CatalogDamaged(
            f"{catalog} is damaged: {fault}. Put it back from a backup; 'acumen check' names all that is "
            "wrong, and docs/operating.md says more."
        )


def integrity_faults(catalog: Path) -> Iterator[str]:
    """Descriptions of faults in the catalog's pages, indexes, rows and foreign keys."""
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
            # One consistent view, since a server may write meanwhile.
            connection.execute("BEGIN")
            for (line,) in connection.execute(f"PRAGMA integrity_check({FAULTS_MAX})"):
                if line != "ok":
                    yield str(line)
            yield from islice(row_faults(connection), FAULTS_MAX)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            yield str(error)
