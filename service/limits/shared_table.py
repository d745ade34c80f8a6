"""A table of cells in a mapped file, in which all workers count under one lock."""

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
"""Cells that one name may have, before it is counted in one that it may share with others."""


def digest_of(name: str) -> int:
    """What stands for a name in a cell; never 0, which marks a cell without one."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") or 1


class SharedTable:
    """So many cells, each packed as ``cell`` says; all are zeros in a new file.

    While a ``with`` block of it runs, no other process is in one.
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
        """The values of a cell."""
        return self._cell.unpack_from(self._table, at * self._cell.size)

    def read_probes(self, first: int, cells: int, digest: int) -> list[tuple[int, ...]]:
        """The values of the cells that a name may have in a part of the table, a ring of so many cells."""
        at, size = digest % cells, self._cell.size
        before = min(PROBES, cells - at)
        found = self._table[(first + at) * size : (first + at + before) * size]
        found += self._table[first * size : (first + PROBES - before) * size]
        return list(self._cell.iter_unpack(found))

    def write(self, at: int, *values: int) -> None:
        self._cell.pack_into(self._table, at * self._cell.size, *values)

    def clear(self, first: int, cells: int) -> None:
        """Make zeros of these cells."""
        size = self._cell.size
        self._table[first * size : (first + cells) * size] = bytes(cells * size)

    def close(self) -> None:
        self._table.close()
        os.close(self._file)
