"""Watched files: which are to be read, and what one of them brings.

A file is known by its content: where the first bytes of a file were read, they are not read again, whatever
its name is. It is copied before it is read, so that what happens to it meanwhile does no harm.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from service.imports.formats import ImportFormat
from service.imports.json_source import BadSource
from service.imports.opening import OpenedSource, open_source
from service.imports.sending import EVENT_BYTES_MAX
from service.imports.tables import TableSource
from service.ingest.log_session import admission_limits
from service.pipelines.sources.definition import FileChanges, RowFaults, SourceDefinition, WatchedFiles
from service.pipelines.sources.portions import FAULTS_MAX, Faults, PortionTooLarge, PortionWriter
from service.pipelines.sources.rows import RowMaker
from service.settings import Settings
from storage.catalog.sources.records import FileStatus, Portion, SourceFile, StoredSource
from storage.paths import encode

FILES_MAX = 100_000
SETTLED_NS = 2_000_000_000
"""A file is read once it was left alone for so long: whoever writes it may not be done."""
PROBLEM_MAX = 2_000
UNPACKED_TIMES = 10
UNFINISHED = (".tmp", ".part", ".partial", ".crdownload")
"""Ends of the names of files that others are writing."""
_LINES = (ImportFormat.NDJSON, ImportFormat.CSV, ImportFormat.TSV)
_CHUNK = 1 << 20


class SourceFolderMissing(Exception):
    """The folder of the setting is not there; the text says which."""


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file of a folder as it is now."""

    path: str
    size: int
    modified_ns: int


class ProjectFiles:
    """The files of a project below the operator's root."""

    def __init__(self, root: Path | None, project_id: str) -> None:
        self._root = root
        self._own = None if root is None else root / encode(project_id)

    def found(self, reads: WatchedFiles) -> list[SeenFile]:
        """The files that match, by path. Raises SourceFolderMissing, OSError."""
        if self._root is None or self._own is None:
            raise SourceFolderMissing("The server's ACUMEN_SOURCE_FOLDER is not set.")
        if not self._root.is_dir():
            raise SourceFolderMissing(f"The folder {self._root} of ACUMEN_SOURCE_FOLDER does not exist.")
        own = self._own.resolve()
        seen: dict[str, SeenFile] = {}
        for pattern in reads.patterns:
            for path in self._own.glob(pattern):
                if len(seen) >= FILES_MAX:
                    raise SourceFolderMissing(f"More than {FILES_MAX:,} files match {pattern}.")
                found = _seen(path, str(PurePosixPath(path.relative_to(self._own))), own)
                if found is not None:
                    seen[found.path] = found
        return sorted(seen.values(), key=lambda one: one.path)

    @contextmanager
    def opened(self, path: str) -> Iterator[BinaryIO]:
        """Raises OSError, also where the name no longer leads to a file below the folder."""
        assert self._own is not None
        whole = (self._own / path).resolve()
        if not whole.is_relative_to(self._own.resolve()):
            raise OSError(f"{path} leads out of the folder.")
        descriptor = os.open(whole, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(f"{path} is no regular file.")
            yield file


def due_files(found: list[SeenFile], known: Mapping[str, SourceFile], now_ns: int) -> list[SeenFile]:
    """Those that are to be looked into: new or changed ones that were left alone for a while."""
    return [
        one
        for one in found
        if not 0 <= now_ns - one.modified_ns < SETTLED_NS
        and (one.path not in known or _stamp(known[one.path]) != (one.size, one.modified_ns))
    ]


def _stamp(file: SourceFile) -> tuple[int, int]:
    return file.size, file.modified_ns


def _seen(path: Path, name: str, own: Path) -> SeenFile | None:
    """The file; None for what is none, hidden, being written, or out of the folder by a link."""
    if any(part.startswith(".") for part in PurePosixPath(name).parts) or name.endswith(UNFINISHED):
        return None
    try:
        if not path.resolve().is_relative_to(own):
            return None
        found = path.stat()
    except OSError:
        return None
    return SeenFile(name, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


@dataclass(frozen=True, slots=True)
class LookResult:
    """What looking into a file gave: events, or what is to be known of it; neither: it is looked at later."""

    portion: Portion | None = None
    file: SourceFile | None = None


class FileReading:
    """Reads the files of one source in one run."""

    def __init__(
        self,
        settings: Settings,
        spool: Path,
        definition: SourceDefinition,
        changes: FileChanges,
        files: ProjectFiles,
        check: Callable[[], None],
    ) -> None:
        self._settings, self._spool, self._definition = settings, spool, definition
        self._changes, self._files, self._check = changes, files, check
        self._maker = RowMaker(definition.rows, admission_limits(settings))
        self._digests: dict[str, str] | None = None
        self.bytes = 0
        """What was read so far."""

    def look(self, source: StoredSource, seen: SeenFile, known: Mapping[str, SourceFile]) -> LookResult:
        """Raises OSError and what ``check`` raises."""
        own = known.get(seen.path)
        record = SourceFile(seen.path, seen.size, seen.modified_ns, FileStatus.READ)
        if own is not None:
            record = replace(
                own, size=seen.size, modified_ns=seen.modified_ns, state=FileStatus.READ, problem=None
            )
        copy = self._spool / f"{source.id}.copy"
        try:
            try:
                copied = self._copied(seen, copy, own)
            except FileNotFoundError:
                return LookResult()
            except PermissionError:
                raise BadSource("The server may not read the file.") from None
            if copied is None:
                return LookResult()
            return self._judged(source, record, copied, copy, known)
        except BadSource as error:
            return LookResult(file=_refused(record, str(error)))
        finally:
            copy.unlink(missing_ok=True)

    def _read_before(self, known: Mapping[str, SourceFile]) -> dict[str, str]:
        """Digest → path of the files that were read."""
        if self._digests is None:
            self._digests = {one.digest: path for path, one in known.items() if one.state is FileStatus.READ}
        return self._digests

    def _copied(self, seen: SeenFile, copy: Path, own: SourceFile | None) -> _Copied | None:
        """Copy a file; None if it changes meanwhile. Raises BadSource, OSError."""
        limit = self._settings.source_bytes
        if seen.size > limit:
            raise BadSource(f"The file has more than {limit:,} bytes (ACUMEN_SOURCE_BYTES).")
        whole, first = hashlib.sha256(), ""
        before = 0 if own is None else own.read_bytes
        size, last_line = 0, 0
        with self._files.opened(seen.path) as file, open(copy, "wb") as target:
            while size < seen.size and (part := file.read(min(_CHUNK, seen.size - size))):
                self._check()
                if size < before <= size + len(part):
                    start = whole.copy()
                    start.update(part[: before - size])
                    first = start.hexdigest()
                end = part.rfind(b"\n")
                last_line = size + end + 1 if end >= 0 else last_line
                whole.update(part)
                target.write(part)
                size += len(part)
            now = os.fstat(file.fileno())
        self.bytes += size
        if (now.st_size, now.st_mtime_ns, size) != (seen.size, seen.modified_ns, seen.size):
            return None
        return _Copied(size, whole.hexdigest(), first, last_line)

    def _judged(
        self,
        source: StoredSource,
        record: SourceFile,
        copied: _Copied,
        copy: Path,
        known: Mapping[str, SourceFile],
    ) -> LookResult:
        changes = self._changes
        if record.digest == copied.digest:
            return LookResult(file=record)
        if record.read_bytes:
            if changes is FileChanges.APPEND and copied.begins_with == record.digest:
                return self._grown(source, record, copied, copy)
            if changes is not FileChanges.AGAIN:
                return LookResult(file=_changed(record, copied, changes))
        other = self._read_before(known).get(copied.digest, record.path)
        if other != record.path:
            said = f"It has the content of {other}, which was read."
            return LookResult(file=replace(record, state=FileStatus.SAME, problem=said))
        if changes is FileChanges.APPEND:
            return self._grown(source, replace(record, read_bytes=0), copied, copy)
        read = replace(record, read_bytes=copied.size, digest=copied.digest)
        return self._read(source, read, copy, line_before=0)

    def _grown(self, source: StoredSource, record: SourceFile, copied: _Copied, copy: Path) -> LookResult:
        """The whole lines behind those that were read."""
        end, begin = copied.last_line, record.read_bytes
        with open(copy, "rb") as file:
            if _is_gzip(file.read(2)):
                raise BadSource("A file that grows at its end cannot be compressed.")
            header, lines = b"", 0
            if begin and not self._definition.rows.options.tables.columns and self._is_table(copy):
                file.seek(0)
                header = file.readline()
            if begin:
                file.seek(0)
                lines = _lines_in(file, begin)
            digest = _digest_of_first(file, end)
        if end <= begin:
            return LookResult(file=record)
        part = copy.with_suffix(".part")
        try:
            with open(copy, "rb") as file, open(part, "wb") as target:
                target.write(header)
                file.seek(begin)
                _copy_bytes(file, target, end - begin)
            read = replace(record, read_bytes=end, digest=digest)
            return self._read(source, read, part, line_before=lines - (1 if header else 0))
        finally:
            part.unlink(missing_ok=True)

    def _is_table(self, path: Path) -> bool:
        with ExitStack() as stack:
            opened = self._open(path)
            stack.callback(opened.close)
            if opened.sniffed.format not in _LINES:
                raise BadSource(
                    f"Only NDJSON, CSV and TSV can grow at their end; this is {opened.sniffed.format}."
                )
            return isinstance(opened.source, TableSource)

    def _open(self, path: Path) -> OpenedSource:
        return open_source(
            str(path),
            self._definition.rows.options,
            EVENT_BYTES_MAX,
            shown="The file",
            unpacked_bytes_max=UNPACKED_TIMES * self._settings.source_bytes,
            check=self._check,
        )

    def _read(self, source: StoredSource, record: SourceFile, path: Path, *, line_before: int) -> LookResult:
        """The events of a file; ``line_before``: lines of the file that are not in this part of it."""
        faults = Faults()
        bytes_max = UNPACKED_TIMES * self._settings.source_bytes
        opened = self._open(path)
        try:
            if self._changes is FileChanges.APPEND and opened.sniffed.format not in _LINES:
                raise BadSource(
                    f"Only NDJSON, CSV and TSV can grow at their end; this is {opened.sniffed.format}."
                )
            with PortionWriter(self._spool, source.id, bytes_max) as writer:
                self._add_events(opened, writer, faults, line_before)
                if faults.number and self._definition.rows.faults is RowFaults.FAIL:
                    raise BadSource(faults.text())
                record = replace(
                    record,
                    events=record.events + writer.events,
                    refused=record.refused + faults.number,
                    problem=faults.text()[:PROBLEM_MAX] or None,
                )
                if self._digests is not None:
                    self._digests[record.digest] = record.path
                portion = writer.end(
                    source.position, refused=faults.number, of=asdict(record), problem=record.problem
                )
        except PortionTooLarge:
            raise BadSource(
                f"Its events have more than {bytes_max:,} bytes, ten times ACUMEN_SOURCE_BYTES."
            ) from None
        finally:
            opened.close()
        return LookResult(portion=portion)

    def _add_events(
        self, opened: OpenedSource, writer: PortionWriter, faults: Faults, line_before: int
    ) -> None:
        table = isinstance(opened.source, TableSource)
        for batch in opened.source.batches():
            self._check()
            faulty = []
            for item in batch.items:
                try:
                    if item.problem is not None:
                        raise ValueError(item.problem)
                    event = self._maker.event(item.text, table=table, drops_stamps=opened.drops_stamps)
                    writer.add(event)
                except ValueError as error:
                    faulty.append(replace(item, problem=str(error)))
            if isinstance(opened.source, TableSource):
                faulty += opened.source.broken_rows
                opened.source.broken_rows.clear()
            places = opened.source.as_in_file(faulty)
            for item, place in sorted(zip(faulty, places, strict=True), key=lambda pair: pair[0].number):
                line = place.line
                where = f"row {item.number}" if line is None else f"line {line + line_before}"
                faults.add(where, item.problem or "")
            if faults.number >= FAULTS_MAX and self._definition.rows.faults is RowFaults.FAIL:
                return
        if isinstance(opened.source, TableSource):
            for item in opened.source.as_in_file(list(opened.source.broken_rows)):
                last = "row" if item.line is None else f"line {item.line + line_before}"
                faults.add(last, item.problem or "")


@dataclass(frozen=True, slots=True)
class _Copied:
    """A copied file: ``begins_with`` is the digest of as many bytes as were read of it before, empty if it
    has fewer; ``last_line`` is where its last whole line ends."""

    size: int
    digest: str
    begins_with: str
    last_line: int


def _changed(record: SourceFile, copied: _Copied, changes: FileChanges) -> SourceFile:
    """What is known of a file that is not what it was."""
    if copied.size < record.read_bytes:
        what = (
            f"It was cut: it had {record.read_bytes:,} bytes when it was read, and has {copied.size:,} now."
        )
    elif copied.begins_with == record.digest:
        what = f"It has grown from {record.read_bytes:,} to {copied.size:,} bytes since it was read."
    else:
        what = "Its content is another than when it was read."
    help_ = " 'changes' says what such a file means." if changes is FileChanges.REFUSE else ""
    said = f"{what} What was stored stays, and what it holds now is not read.{help_}"
    return replace(record, state=FileStatus.CHANGED, problem=said)


def _refused(record: SourceFile, problem: str) -> SourceFile:
    problem = problem[:1].upper() + problem[1:PROBLEM_MAX]
    # What was read of it before stays known.
    state = FileStatus.CHANGED if record.read_bytes else FileStatus.FAILED
    return replace(record, state=state, problem=problem)


def _lines_in(file: BinaryIO, size: int) -> int:
    lines = 0
    while size > 0 and (part := file.read(min(_CHUNK, size))):
        lines += part.count(b"\n")
        size -= len(part)
    return lines


def _digest_of_first(file: BinaryIO, size: int) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while size > 0 and (part := file.read(min(_CHUNK, size))):
        digest.update(part)
        size -= len(part)
    return digest.hexdigest()


def _copy_bytes(file: BinaryIO, target: BinaryIO, size: int) -> None:
    while size > 0 and (part := file.read(min(_CHUNK, size))):
        target.write(part)
        size -= len(part)


def _is_gzip(start: bytes) -> bool:
    return start == b"\x1f\x8b"


def problem_of(found: list[SeenFile], known: Mapping[str, SourceFile]) -> str | None:
    """What is said of the files that are there and are not read; None where all are."""
    bad = [
        known[one.path]
        for one in found
        if one.path in known and known[one.path].state in (FileStatus.FAILED, FileStatus.CHANGED)
    ]
    if not bad:
        return None
    number = f"{len(bad):,} {'file is' if len(bad) == 1 else 'files are'} not read"
    return f"{number}, the first {bad[0].path}: {bad[0].problem}"
