"""New catalogs, and what tests put into them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import Claim, Collection, Counts, FileRow, FlushCommit
from storage.paths import DataFolder, event_file

HOUR_US = 3_600_000_000


class Clock:
    """Moves only when told to."""

    def __init__(self) -> None:
        self.now_us = 1_000_000

    def __call__(self) -> int:
        return self.now_us


def migrated(data: Path) -> Path:
    """The same folder: where it holds no catalog, with the one that ``Catalog.prepare`` makes of nothing. All
    migrations take it a tenth of a second."""
    path = DataFolder.at(data).catalog
    if not path.exists():
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(_empty())
        path.chmod(0o600)
    return data


@cache
def _empty() -> bytes:
    with TemporaryDirectory() as folder:
        Catalog.prepare(Path(folder)).close()
        return DataFolder.at(Path(folder)).catalog.read_bytes()


def file_row(collection: Collection, file_id: int, rows: int = 10) -> FileRow:
    return FileRow(
        id=file_id,
        collection_id=collection.id,
        span="2026-11-22",
        path=event_file(collection.project_id, collection.name, collection.id, "2026-11-22", file_id),
        rows=rows,
        bytes=1_000,
        sha256="ab" * 32,
        min_us=-5,
        max_us=7,
        columns={"keen.timestamp": None, "price": 1.7976931348623157e308, "Ünï": None},
        created_us=3,
    )


def flush(catalog: Catalog, collection: Collection, rows: int = 10) -> FileRow:
    """One flush with one file."""
    [file_id] = catalog.files.reserve(collection.id, 1)
    file = file_row(collection, file_id, rows)
    number = catalog.files.flushed_number() + 1
    catalog.files.commit_flush(FlushCommit(number, {}, [file], {collection.id: Counts(rows, rows)}))
    return file


def claim_of(token: str, ordinal: int, *, log_id: int = 1, scope: str = "c1", at_us: int = 0) -> Claim:
    return Claim(scope, token, log_id, ordinal, b"digest", b"response", at_us)
