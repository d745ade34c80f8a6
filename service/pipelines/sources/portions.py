"""Portions: what was read from elsewhere, as batches of events in a file of the data folder.

The file is durable before any of its events is sent, and does not change. So what is sent again, after a
kill, are the same batches under the same keys, whatever has become of the place that they were read from.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

from service.imports.json_source import BATCH_BYTES_MAX, BATCH_EVENTS_MAX
from service.workflows.errors import RunRefused
from storage.catalog.sources.records import Portion
from storage.disk.durable_files import new_file

FAULTS_NAMED = 5
FAULTS_MAX = 1_000
"""Faulty rows after which a file, page or query is given up, where none may be left out."""
_LENGTH = struct.Struct(">I")


class PortionTooLarge(Exception):
    """More was read than a portion may have."""


@dataclass
class Faults:
    """Rows that cannot become events."""

    number: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, place: str, why: str) -> None:
        self.number += 1
        if len(self.first) < FAULTS_NAMED:
            self.first.append(f"{place}: {why}")

    def text(self) -> str:
        """What is said of them; empty where there are none."""
        if not self.number:
            return ""
        more = self.number - len(self.first)
        rest = f" And {more:,} more." if more else ""
        return (
            f"{self.number:,} {'row' if self.number == 1 else 'rows'} at fault. {' '.join(self.first)}{rest}"
        )


class PortionWriter:
    """Writes a portion; nothing of it is left unless ``done`` was called."""

    def __init__(self, folder: Path, source_id: int, bytes_max: int) -> None:
        """``folder``: that of sources, in the data folder."""
        self._path = folder / f"{source_id}.{secrets.token_hex(8)}.events"
        self._bytes_max = bytes_max
        self._opened = new_file(self._path)
        self._digest = hashlib.sha256()
        self._batch: list[bytes] = []
        self._batch_bytes = self._bytes = 0
        self.events = self.batches = 0

    def __enter__(self) -> Self:
        self._file: BinaryIO = self._opened.__enter__()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._opened.__exit__(kind, error, trace)

    def add(self, event: bytes) -> None:
        """Raises PortionTooLarge, OSError."""
        self._batch.append(event)
        self._batch_bytes += len(event) + 1
        self.events += 1
        if len(self._batch) >= BATCH_EVENTS_MAX or self._batch_bytes >= BATCH_BYTES_MAX:
            self._write()

    def end(
        self,
        position: Mapping[str, Any],
        *,
        refused: int = 0,
        of: Mapping[str, Any] | None = None,
        problem: str | None = None,
    ) -> Portion:
        """The portion, durable once the writer is left."""
        if self._batch:
            self._write()
        digest = self._digest.hexdigest()
        return Portion(
            self._path.name, digest, self.events, refused, self.batches, position, of, problem or None
        )

    def _write(self) -> None:
        data = b"[" + b",".join(self._batch) + b"]"
        self._bytes += len(data)
        if self._bytes > self._bytes_max:
            raise PortionTooLarge
        for part in (_LENGTH.pack(len(data)), data):
            self._digest.update(part)
            self._file.write(part)
        self._batch, self._batch_bytes = [], 0
        self.batches += 1


def batches_of(folder: Path, portion: Portion) -> Iterator[bytes]:
    """The batches of a portion, each a JSON array. Raises RunRefused where the file was damaged."""
    try:
        with open(folder / portion.file, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != portion.digest:
                raise RunRefused(f"The file {portion.file} of what was read is damaged.")
            file.seek(0)
            for _ in range(portion.batches):
                (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
                yield file.read(length)
    except FileNotFoundError:
        raise RunRefused(
            f"The file {portion.file}, of events that were read and are not stored in full, is gone."
        ) from None


def remove_portion(folder: Path, portion: Portion) -> None:
    (folder / portion.file).unlink(missing_ok=True)


def sweep(folder: Path, source_id: int, kept: Portion | None) -> None:
    """Remove what killed processes left of a source, which nobody else reads now."""
    for pattern in (f"{source_id}.*", f".{source_id}.*"):
        for path in folder.glob(pattern):
            if kept is None or path.name != kept.file:
                with suppress(FileNotFoundError):
                    path.unlink()
