"""Builds every path in the data folder, except those inside a log (``storage.log.segments``).

    FORMAT                  the data-folder format, one number
    catalog.sqlite          the catalog (and its -wal, -shm and -mark)
    migrate.lock, serve.lock, keeper.lock, stream.lock, sources.lock
    embed-budgets           how many answers embed tokens have got, made with the first budget
    log/<log id>/           <base lsn>.seg, position, lock, and damage if some of it cannot be read
    quarantine/log-<id>-<n>/  a damaged log as it was found; not part of the store
    results/                kept results of saved queries, as JSON
    exports/                files of extractions; those that are being written end in .tmp
    imports/                files that were uploaded to be imported, and what was refused of them
    sources/                what sources have read and is not stored yet
    chunks/  spool/  tmp/   the keeper's Arrow chunks; DuckDB's spill; files on their way elsewhere
    partials/<project>/<collection id>/<file id>/  what was kept of a Parquet file: <key>.part
    datasets/<dataset id>/  results computed beforehand: <file id>.results
    events/<project>/<collection>.<collection id>.1/keen.span=<span>/<file id>.parquet

Names are percent-encoded except for ``[A-Za-z0-9_-]``. A dot is therefore always a separator of ours, and no
name can be ``.`` or ``..`` or hold a path separator. The folder name includes the collection's id, so that
``Price`` and ``price`` stay apart on file systems that ignore case; a project's capitals are encoded for the
same reason. The number after the id is reserved: older folders may end in a number other than 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

NAME_LENGTH_MAX = 190
"""Most characters of an encoded name; file systems allow 255 bytes, and the ids need some of them."""
CUT = "~"
"""Suffix of an encoded name that was cut; the collection id then identifies the collection."""
SPAN_KEY = "keen.span"
RESERVED = 1
"""Suffix of a collection's folder name. Folders from before format 21 may end in another number."""

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_PLAIN_LOWER = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")
_SPAN = re.compile(r"\d{4}(-\d{2}(-\d{2})?|-\d{4})?")


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The data folder; ``root`` is absolute."""

    root: Path

    @classmethod
    def at(cls, data: Path) -> DataFolder:
        return cls(data.absolute())

    @property
    def format_stamp(self) -> Path:
        return self.root / "FORMAT"

    @property
    def catalog(self) -> Path:
        return self.root / "catalog.sqlite"

    def catalog_backup(self, format_version: int) -> Path:
        """The copy that is made before a catalog of this format is migrated."""
        return self.root / f"catalog.sqlite.backup-{format_version}"

    def catalog_backups(self) -> list[Path]:
        """The existing catalog backups, unfinished ones included."""
        return list(self.root.glob("catalog.sqlite.backup-*"))

    @property
    def migrate_lock(self) -> Path:
        return self.root / "migrate.lock"

    @property
    def serve_lock(self) -> Path:
        return self.root / "serve.lock"

    @property
    def keeper_lock(self) -> Path:
        return self.root / "keeper.lock"

    @property
    def stream_lock(self) -> Path:
        return self.root / "stream.lock"

    @property
    def workers_lock(self) -> Path:
        """Held, shared, by the processes that execute runs and are no children of a server."""
        return self.root / "workers.lock"

    @property
    def embed_budgets(self) -> Path:
        """How many answers embed tokens have got; see ``service.limits.embed_budgets``."""
        return self.root / "embed-budgets"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine"

    @property
    def chunks(self) -> Path:
        return self.root / "chunks"

    @property
    def events(self) -> Path:
        return self.root / "events"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def partials(self) -> Path:
        return self.root / "partials"

    def dataset(self, dataset_id: int) -> Path:
        return self.datasets / str(dataset_id)

    def dataset_file(self, dataset_id: int, file_id: int) -> Path:
        return self.dataset(dataset_id) / f"{file_id}.results"

    @property
    def references(self) -> Path:
        return self.root / "references"

    @property
    def sources_lock(self) -> Path:
        """Held by a backup, and shared by whoever records what of a source is stored."""
        return self.root / "sources.lock"

    @property
    def sources(self) -> Path:
        """What sources have read and is not stored yet."""
        return self.root / "sources"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def exports(self) -> Path:
        return self.root / "exports"

    @property
    def imports(self) -> Path:
        return self.root / "imports"

    @property
    def runs(self) -> Path:
        """The locks of the runs that execute; see ``service.workflows.run_lock``."""
        return self.root / "runs"

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that every data folder has."""
        return (
            self.logs,
            self.chunks,
            self.events,
            self.results,
            self.exports,
            self.imports,
            self.runs,
            self.sources,
            self.spool,
            self.tmp,
        )

    def log(self, log_id: int) -> Path:
        return self.logs / str(log_id)

    def absolute(self, relative: str) -> Path:
        """The absolute path of a file, from the relative path that the catalog stores."""
        return self.root / relative


def collection_folder(project_id: str, name: str, collection_id: int) -> str:
    """The folder of a collection, relative to the data folder."""
    return f"events/{encode_project(project_id)}/{encode(name)}.{collection_id}.{RESERVED}"


def event_file(project_id: str, name: str, collection_id: int, span: str, file_id: int) -> str:
    """Path of a Parquet file relative to the data folder.

    ``span`` is a UTC day, month, year or range of years: ``2026-11-22``, ``2026-11``, ``2026``,
    ``2020-2029``. Raises ValueError for anything else.
    """
    if not _SPAN.fullmatch(span):
        raise ValueError(f"a span is a day, month or year, not {span!r}")
    folder = collection_folder(project_id, name, collection_id)
    return f"{folder}/{SPAN_KEY}={span}/{file_id}.parquet"


def partials_folder(root: Path, path: str) -> Path:
    """The folder below ``root`` of what is kept of a Parquet file, from the file's path."""
    *_, project, collection, _, file = path.split("/")
    _, _, numbers = collection.partition(".")
    return root / project / (numbers.partition(".")[0] or "0") / file.partition(".")[0]


def partials_of_collection(root: Path, project_id: str, collection_id: int) -> Path:
    """The folder below ``root`` of what is kept of all Parquet files of a collection."""
    return root / encode_project(project_id) / str(collection_id)


def encode(name: str) -> str:
    """Percent-encode all characters but ``[A-Za-z0-9_-]``, and cut the result to ``NAME_LENGTH_MAX``."""
    parts = _escape(name, _PLAIN)
    encoded = "".join(parts)
    if len(encoded) <= NAME_LENGTH_MAX:
        return encoded
    length, kept = len(CUT), []
    for part in parts:
        length += len(part)
        if length > NAME_LENGTH_MAX:
            break
        kept.append(part)
    return "".join(kept) + CUT


def encode_project(project_id: str) -> str:
    """Percent-encode a project id, capitals too, so that ``A`` and ``a`` differ on every file system."""
    return "".join(_escape(project_id, _PLAIN_LOWER))


def _escape(name: str, plain: frozenset[int]) -> list[str]:
    """One string per character, so that a cut never splits an encoded character."""
    return [
        "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in character.encode())
        for character in name
    ]
