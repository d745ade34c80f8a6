"""The file of refused events: one line of JSON for each, with the reason and the place in the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import orjson

from service.imports.json_source import Item
from service.ingest.admission import EventRefusal

REFUSED_TEXT_MAX = 20_000
REFUSALS_SHOWN = 5


class RefusedFile:
    """The refused events with reasons. The file is created with the first refused event."""

    def __init__(
        self,
        path: Path,
        *,
        bytes_before: int = 0,
        bytes_max: int | None = None,
        worded: Callable[[str], str] = lambda text: text,
    ) -> None:
        """``bytes_before``: what an earlier part of the same import has written; the rest is cut off.
        ``bytes_max``: beyond it refused events are no longer written. ``worded`` says reasons in other words.
        """
        self.path = path
        self.first: list[str] = []
        """The first refusals, as lines for a person."""
        self.of_rows = False
        """Whether the events are rows of a table, which have numbers and no offsets."""
        self.bytes = bytes_before
        self.is_cut = False
        """Whether refused events were left out."""
        self._bytes_max = bytes_max
        self._worded = worded
        self._file: IO[bytes] | None = None

    def write(self, item: Item, refusal: EventRefusal) -> None:
        text = item.text[:REFUSED_TEXT_MAX].decode("utf-8", "replace")
        description = self._worded(refusal.description)
        record: dict[str, Any] = {"number": item.number}
        if item.line is not None:
            record["line"] = item.line
        if not self.of_rows:
            record["offset"] = item.offset
        record |= {
            "error": {"name": refusal.name, "description": description},
            "event": text,
        }
        self._append(orjson.dumps(record) + b"\n")
        if len(self.first) < REFUSALS_SHOWN:
            kind = "row" if self.of_rows else "event"
            place = f"{kind} {item.number}" if item.line is None else f"line {item.line}"
            self.first.append(f"  {place}: {description}  {' '.join(text[:60].splitlines())}")

    def _append(self, line: bytes) -> None:
        if self._bytes_max is not None and self.bytes + len(line) > self._bytes_max:
            self.is_cut = True
            return
        if self._file is None:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666 if self._bytes_max is None else 0o600)
            self._file = open(handle, "r+b")  # noqa: SIM115
            self._file.truncate(self.bytes)
            self._file.seek(self.bytes)
        self._file.write(line)
        self.bytes += len(line)

    @property
    def written(self) -> bool:
        return self.bytes > 0

    def flush(self) -> None:
        """Make durable what was written."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
