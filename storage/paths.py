"""Every path in the data folder, built and parsed here only.

    FORMAT                  the data-folder format, one number
    catalog.sqlite          the catalog (and its -wal, -shm and -mark)
    migrate.lock, serve.lock, keeper.lock
    log/<log id>/           <base lsn>.seg, position, lock, and damage where some of it can not be read
    quarantine/log-<id>/    a damaged log as it was found; no part of the store
    results/                kept results of saved queries, as JSON
    exports/                files of extractions; those that are being written end in .tmp
    chunks/  spool/  tmp/   the keeper's Arrow chunks; DuckDB's spill; files on their way elsewhere
    datasets/<dataset id>/  results computed beforehand: <file id>.results
    events/<project>/<collection>.<collection id>.1/keen.span=<span>/<file id>.parquet

Names are percent-encoded but for ``[A-Za-z0-9_-]``; a dot is therefore always ours, and no name can
be ``.``, ``..`` or hold a separator. A collection's id stands in its folder, so that ``Price`` and
``price`` stay apart on disks that ignore case, and a project's capitals are encoded for the same end. The
number behind it is reserved: older folders may end in another than 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

NAME_LENGTH_MAX = 190
"""Characters of an encoded name; file systems take 255 bytes, and the ids need their share."""
CUT = "~"
"""Ends an encoded name that was cut; the collection id then says which one it is."""
SPAN_KEY = "keen.span"
RESERVED = 1
"""Ends the name of a collection's folder. Folders of before format 21 may end in another number."""

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_PLAIN_LOWER = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")
_SPAN = re.compile(r"\d{4}(-\d{2}(-\d{2})?|-\d{4})?")
_EVENT_FILE = re.compile(
    r"events/(?P<project>[^/.]+)/(?P<name>[^/.]*)\.(?P<collection_id>\d+)\.\d+"
    r"/keen\.span=(?P<span>\d{4}(?:-\d{2}(?:-\d{2})?|-\d{4})?)/(?P<file_id>\d+)\.parquet"
)
_SEGMENT = re.compile(r"(\d{20})\.seg")


@dataclass(frozen=True, slots=True)
class EventFile:
    """What the path of a Parquet file says. ``name`` is None where the folder holds only part of it."""

    project_id: str
    name: str | None
    collection_id: int
    span: str
    file_id: int


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
        """The copy made before a catalog of this format was migrated."""
        return self.root / f"catalog.sqlite.backup-{format_version}"

    def catalog_backups(self) -> list[Path]:
        """Those that are there, unfinished ones too."""
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

    def dataset(self, dataset_id: int) -> Path:
        return self.datasets / str(dataset_id)

    def dataset_file(self, dataset_id: int, file_id: int) -> Path:
        return self.dataset(dataset_id) / f"{file_id}.results"

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
    def folders(self) -> tuple[Path, ...]:
        """The folders that stand in every data folder."""
        return (self.logs, self.chunks, self.events, self.results, self.exports, self.spool, self.tmp)

    def log(self, log_id: int) -> Path:
        return self.logs / str(log_id)

    def segment(self, log_id: int, base_lsn: int) -> Path:
        return self.log(log_id) / segment_name(base_lsn)

    def collection(self, project_id: str, name: str, collection_id: int) -> Path:
        return self.root / collection_folder(project_id, name, collection_id)

    def absolute(self, relative: str) -> Path:
        """The file behind a path as the catalog holds it."""
        return self.root / relative

    def find_event_files(
        self, project_id: str, name: str, collection_id: int, file_id: int
    ) -> Iterator[Path]:
        """Files of this id under any span: there is one at most, or none where it was never written."""
        folder = self.collection(project_id, name, collection_id)
        return folder.glob(f"{SPAN_KEY}=*/{file_id}.parquet")


def collection_folder(project_id: str, name: str, collection_id: int) -> str:
    """The folder of a collection, relative to the data folder."""
    return f"events/{encode_project(project_id)}/{encode(name)}.{collection_id}.{RESERVED}"


def event_file(project_id: str, name: str, collection_id: int, span: str, file_id: int) -> str:
    """Path of a Parquet file relative to the data folder.

    ``span`` is a UTC day, month, year or range of years: ``2026-11-22``, ``2026-11``, ``2026``,
    ``2020-2029``; ValueError if not.
    """
    if not _SPAN.fullmatch(span):
        raise ValueError(f"a span is a day, month or year, not {span!r}")
    folder = collection_folder(project_id, name, collection_id)
    return f"{folder}/{SPAN_KEY}={span}/{file_id}.parquet"


def parse_event_file(relative: str) -> EventFile | None:
    """What the path says; None where it is not one that ``event_file`` makes."""
    match = _EVENT_FILE.fullmatch(relative)
    if match is None:
        return None
    try:
        project_id, name = decode(match["project"]), decode(match["name"])
    except UnicodeDecodeError:
        return None
    if project_id is None:
        return None
    return EventFile(
        project_id,
        name,
        int(match["collection_id"]),
        match["span"],
        int(match["file_id"]),
    )


def segment_name(base_lsn: int) -> str:
    return f"{base_lsn:020d}.seg"


def parse_segment(file_name: str) -> int | None:
    """The base LSN of a segment's file name; None where it is no segment."""
    match = _SEGMENT.fullmatch(file_name)
    return int(match[1]) if match else None


def encode(name: str) -> str:
    """The name with all but ``[A-Za-z0-9_-]`` percent-encoded, cut where a file system would refuse it."""
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
    """The project id with capitals encoded too: ``A`` and ``a`` differ on every disk."""
    return "".join(_escape(project_id, _PLAIN_LOWER))


def decode(encoded: str) -> str | None:
    """The name behind an encoded one; None where it was cut."""
    if encoded.endswith(CUT):
        return None
    return unquote_to_bytes(encoded).decode()


def _escape(name: str, plain: frozenset[int]) -> list[str]:
    """One string for each character, so that a cut never splits one."""
    return [
        "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in character.encode())
        for character in name
    ]
