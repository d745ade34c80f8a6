"""Verbs for tests of the log: one log in one folder, written, read, damaged and adopted."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from struct import pack

from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.log.format import SEGMENT_HEADER_SIZE, decode_segment_header, encode_frame
from storage.log.segments import list_segments, log_directory
from storage.log.writer import Batch, Frame, LogPosition, LogReader, LogWriter, Section, adopt

LOG_ID = 7
PATIENCE_SECONDS = 30.0


class UnsyncedFileSystem(LocalFileSystem):
    """For tests that cut no power: saves the time of real syncs."""

    def datasync(self, fd: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


class GatedFileSystem(UnsyncedFileSystem):
    """Syncs wait at a gate; ``at_gate`` is set while one does."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.at_gate = threading.Event()

    def datasync(self, fd: int) -> None:
        self.at_gate.set()
        assert self.gate.wait(PATIENCE_SECONDS)


def batch_of(*texts: str, collection_id: int = 1) -> Batch:
    """One event per text."""
    payload = "".join(text + "\n" for text in texts).encode()
    return Batch(
        0,
        [Section(collection_id, 1, len(texts), 0, 0, pack(f"<{len(texts)}q", *range(len(texts))), payload)],
    )


def texts_of(frame: Frame) -> list[str]:
    return [line for section in frame.sections for line in bytes(section.payload).decode().splitlines()]


class Told:
    """What waiters were told, group by group."""

    def __init__(self) -> None:
        self.groups: list[tuple[list[object], Exception | None]] = []
        self.outcome: dict[object, Exception | None] = {}
        self._changed = threading.Condition()

    def __call__(self, waiters: list[object], error: Exception | None) -> None:
        with self._changed:
            self.groups.append((waiters, error))
            for waiter in waiters:
                assert waiter not in self.outcome, "a waiter was told twice"
                self.outcome[waiter] = error
            self._changed.notify_all()

    def wait(self, waiter: object) -> Exception | None:
        with self._changed:
            assert self._changed.wait_for(lambda: waiter in self.outcome, PATIENCE_SECONDS)
            return self.outcome[waiter]


@dataclass
class Log:
    """One log under ``root`` with its owner; texts stand for events, and for their own waiters."""

    fs: FileSystem
    root: Path
    segment_bytes_max: int = 64 << 20
    queue_bytes_max: int = 64 << 20

    def __post_init__(self) -> None:
        self.told = Told()
        self.writer = LogWriter.create(
            self.fs,
            self.root,
            LOG_ID,
            on_synced=self.told,
            segment_bytes_max=self.segment_bytes_max,
            queue_bytes_max=self.queue_bytes_max,
        )
        self.reader = LogReader(self.fs, self.root, LOG_ID)

    def write(self, *texts: str) -> int:
        """Append each text as a batch of its own, each after the one before is synced; the last ordinal."""
        for text in texts:
            ordinal = self.writer.append(batch_of(text), text)
            error = self.told.wait(text)
            if error:
                raise error
        return ordinal

    def claim(self, text: str) -> int:
        """Write one text with a claimed ordinal."""
        ordinal = self.writer.reserve(1)
        self.writer.append_claimed(batch_of(text), text, ordinal)
        error = self.told.wait(text)
        if error:
            raise error
        return ordinal

    def read(self, from_lsn: int = 0, to_lsn: int | None = None) -> list[str]:
        """The texts up to the published position."""
        end = self.reader.synced().lsn if to_lsn is None else to_lsn
        return [text for frame in self.reader.read(from_lsn, end) for text in texts_of(frame)]

    def crash(self) -> None:
        """Let the owner go. What it appended was synced, or it would not say so."""
        self.writer.close()

    def adopt(self) -> LogPosition:
        return adopt(self.fs, self.root, LOG_ID)

    @property
    def directory(self) -> Path:
        return log_directory(self.root, LOG_ID)

    def segments(self) -> list[Path]:
        return [segment.path for segment in list_segments(self.fs, self.directory)]

    def frame(self, text: str, ordinal: int, synced_lsn: int = 0) -> bytes:
        """As the owner would write it."""
        key = decode_segment_header(self.segments()[-1].read_bytes()).key
        return encode_frame(batch_of(text), LOG_ID, ordinal, synced_lsn, key)

    def shrink(self, by: int, segment: int = -1) -> None:
        path = self.segments()[segment]
        path.write_bytes(path.read_bytes()[:-by])

    def add(self, data: bytes, segment: int = -1) -> None:
        path = self.segments()[segment]
        path.write_bytes(path.read_bytes() + data)

    def flip(self, offset: int, segment: int = -1) -> None:
        """Damage the byte at ``offset`` past the segment's header."""
        path = self.segments()[segment]
        data = bytearray(path.read_bytes())
        data[SEGMENT_HEADER_SIZE + offset] ^= 0x10
        path.write_bytes(bytes(data))

    def forget_position(self, content: bytes = b"") -> None:
        """As a power cut may leave the position file."""
        (self.directory / "position").write_bytes(content)
