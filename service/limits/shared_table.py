"""A table of cells in a mapped file, where all workers count under one lock."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
from pathlib import Path
from typing import Self

from service.machine import allocate

PROBES = 32
"""Cells tried for a name before it is counted in a shared cell."""


def digest_of(name: str) -> int:
    """The digest that identifies a name in a cell; never 0, which marks a cell without a name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") or 1


class SharedTable:
    """``cells`` cells in the format ``cell``, zeroed in a new file.

    A ``with`` block holds an exclusive lock against other processes.
    """

    def __init__(self, path: Path, cells: int, cell: struct.Struct) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._cell = cell
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        allocate(self._file, cells * cell.size)
        self._table = mmap.mmap(self._file, cells * cell.size)

    def __enter__(self) -> Self:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def read(self, at: int) -> tuple[int, ...]:
        """Return the values of a cell."""
        return self._cell.unpack_from(self._table, at * self._cell.size)

    def read_probes(self, first: int, cells: int, digest: int) -> list[tuple[int, ...]]:
        """Return the values of the cells to probe for a name, within a ring of ``cells`` cells from ``first``
        on."""
        at, size = digest % cells, self._cell.size
        before = min(PROBES, cells - at)
        content = self._table[(first + at) * size : (first + at + before) * size]
        content += self._table[first * size : (first + PROBES - before) * size]
        return list(self._cell.iter_unpack(content))

    def write(self, at: int, *values: int) -> None:
        self._cell.pack_into(self._table, at * self._cell.size, *values)

    def clear(self, first: int, cells: int) -> None:
        """Zero these cells."""
        size = self._cell.size
        self._table[first * size : (first + cells) * size] = bytes(cells * size)

    def close(self) -> None:
        self._table.close()
        os.close(self._file)
