"""Files on a disk that fails when told to, and forgets what was not synced when its power is cut.

Real files lie beneath, so that readers and memory maps work as ever. Beside them the disk's own state is
modelled: what each file held at its last sync, and which entries each directory held at its own.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from storage.disk.file_system import LocalFileSystem


@dataclass(eq=False)
class _File:
    """One file, by whatever names it goes."""

    durable: bytes = b""
    forgotten: bool = False
    """A sync failed: the system takes the pages for clean, and a further sync would not write them."""


@dataclass(eq=False)
class _Directory:
    entries: dict[str, _File | _Directory] = field(default_factory=dict)
    durable: dict[str, _File | _Directory] = field(default_factory=dict)


class FaultyFileSystem(LocalFileSystem):
    """``LocalFileSystem`` under ``root``, which exists and is empty when this is made.

    ``operations`` counts what changes the disk. From number ``fail_from`` on (the first is 1), ``failures``
    of them raise ``error``; an append that fails leaves the first half of its bytes, a sync that fails leaves
    its pages unwritten and clean. ``reads`` counts what only looks at the disk, and ``fail_reads`` lets such
    fail: opening, reading, mapping, listing, and asking for a size or a status.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.operations = 0
        self.journal: list[str] = []
        self.fail_from = 0
        self.failures = 0
        self.error = 5
        self.reads = 0
        self.read_journal: list[str] = []
        self.read_fail_from = 0
        self.read_failures = 0
        self.read_error = 5
        self._tree = _Directory()
        self._open: dict[int, _File] = {}

    def fail(self, at: int, error: int, failures: int = 1) -> None:
        """Let ``failures`` operations fail, starting with number ``at``."""
        self.fail_from, self.error, self.failures = at, error, failures

    def fail_reads(self, at: int, error: int = 5, failures: int = 1) -> None:
        """Let ``failures`` reads fail, starting with number ``at`` from now on (the first is 1)."""
        self.reads = 0
        self.read_journal = []
        self.read_fail_from, self.read_error, self.read_failures = at, error, failures

    @property
    def open_descriptors(self) -> int:
        """How many were opened and not closed."""
        return len(self._open)

    def power_loss(self, random: Random | None = None) -> None:
        """Leave on the disk only what was synced; with ``random``, also some of what was not.

        Every descriptor and map is dead after it: let their owners go first.
        """
        self._rewrite(self.root, self._tree, random)

    def make_directory(self, path: Path) -> None:
        self._step(f"mkdir {path.name}")
        super().make_directory(path)
        self._directory(path.parent).entries[path.name] = _Directory()

    def remove_directory(self, path: Path) -> None:
        self._step(f"rmdir {path.name}")
        super().remove_directory(path)
        del self._directory(path.parent).entries[path.name]

    def sync_directory(self, path: Path) -> None:
        self._step(f"sync {path.name}/")
        directory = self._directory(path)
        directory.durable = dict(directory.entries)

    def create(self, path: Path) -> int:
        self._step(f"create {path.name}")
        # Readable too, for what ``datasync`` must remember.
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        return self._opened(fd, path)

    def open_write(self, path: Path) -> int:
        return self._opened(super().open_write(path), path)

    def open_read(self, path: Path) -> int:
        self._look(f"open {path.name}")
        return self._opened(super().open_read(path), path)

    def names(self, path: Path) -> list[str]:
        self._look(f"list {path.name}/")
        return super().names(path)

    def read_at(self, fd: int, size: int, offset: int) -> bytes:
        self._look(f"read {size} at {offset}")
        return super().read_at(fd, size, offset)

    def size(self, fd: int) -> int:
        self._look("size")
        return super().size(fd)

    def status(self, path: Path) -> os.stat_result:
        self._look(f"status {path.name}")
        return super().status(path)

    def read_file(self, path: Path) -> bytes:
        self._look(f"read {path.name}")
        return super().read_file(path)

    def close(self, fd: int) -> None:
        self._open.pop(fd, None)
        super().close(fd)

    def append(self, fd: int, data: bytes) -> None:
        self._step(
            f"append {len(data)}", lambda: super(FaultyFileSystem, self).append(fd, data[: len(data) // 2])
        )
        super().append(fd, data)

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        self._step(f"write {len(data)}")
        super().write_at(fd, data, offset)
        if data and fd in self._open:
            self._open[fd].forgotten = False

    def truncate(self, fd: int, size: int) -> None:
        self._step(f"truncate {size}")
        super().truncate(fd, size)

    def datasync(self, fd: int) -> None:
        file = self._open[fd]
        self._step("datasync", lambda: setattr(file, "forgotten", True))
        if not file.forgotten:
            file.durable = os.pread(fd, os.fstat(fd).st_size, 0)

    def rename(self, old: Path, new: Path) -> None:
        self._step(f"rename {old.name} {new.name}")
        super().rename(old, new)
        entries = self._directory(old.parent).entries
        entries[new.name] = entries.pop(old.name)

    def remove(self, path: Path) -> None:
        if path.exists():
            self._step(f"remove {path.name}")
        super().remove(path)
        del self._directory(path.parent).entries[path.name]

    def map(self, path: Path, size: int, *, writable: bool) -> mmap.mmap:
        if not writable:
            self._look(f"map {path.name}")
            return super().map(path, size, writable=False)
        self._step(f"map {path.name}")
        try:
            return super().map(path, size, writable=True)
        finally:
            if path.exists():
                self._file(path)

    def lock(self, path: Path) -> int:
        self._step(f"lock {path.name}")
        return self._opened(super().lock(path), path)

    def _step(self, what: str, half: Callable[[], None] | None = None) -> None:
        self.operations += 1
        self.journal.append(what)
        if self.fail_from <= self.operations < self.fail_from + self.failures:
            if half is not None:
                half()
            raise OSError(self.error, os.strerror(self.error), what)

    def _look(self, what: str) -> None:
        self.reads += 1
        self.read_journal.append(what)
        if self.read_fail_from <= self.reads < self.read_fail_from + self.read_failures:
            raise OSError(self.read_error, os.strerror(self.read_error), what)

    def _opened(self, fd: int, path: Path) -> int:
        self._open[fd] = self._file(path)
        return fd

    def _directory(self, path: Path) -> _Directory:
        node = self._tree
        for name in path.relative_to(self.root).parts:
            child = node.entries[name]
            assert isinstance(child, _Directory)
            node = child
        return node

    def _file(self, path: Path) -> _File:
        file = self._directory(path.parent).entries.setdefault(path.name, _File())
        assert isinstance(file, _File)
        return file

    def _rewrite(self, path: Path, directory: _Directory, random: Random | None) -> None:
        live = {
            file: (path / name).read_bytes()
            for name, file in directory.entries.items()
            if isinstance(file, _File)
        }
        kept = dict(directory.durable)
        for name in sorted(directory.entries.keys() | directory.durable.keys()):
            if random and random.random() < 0.5:
                _bring(name, directory.entries, kept)
        for name, child in directory.entries.items():
            if name not in kept or kept[name] is not child:
                _erase(path / name, child)
        for name, child in kept.items():
            if isinstance(child, _Directory):
                (path / name).mkdir(exist_ok=True)
                self._rewrite(path / name, child, random)
            else:
                child.durable = _survivor(child.durable, live.get(child, child.durable), random)
                child.forgotten = False
                (path / name).unlink(missing_ok=True)
                (path / name).write_bytes(child.durable)
        directory.entries, directory.durable = dict(kept), dict(kept)


def _bring(name: str, entries: dict[str, _File | _Directory], kept: dict[str, _File | _Directory]) -> None:
    """An entry reaches the disk though its directory was not synced. A rename moves both its names."""
    if name not in entries:
        kept.pop(name, None)
        return
    for other in [other for other, child in kept.items() if child is entries[name]]:
        del kept[other]
    kept[name] = entries[name]


def _erase(path: Path, child: _File | _Directory) -> None:
    if isinstance(child, _File):
        path.unlink()
        return
    for name, grandchild in child.entries.items():
        _erase(path / name, grandchild)
    path.rmdir()


def _survivor(durable: bytes, live: bytes, random: Random | None) -> bytes:
    """What a file may hold after the cut, given what was synced and what was not."""
    if random is None or live == durable:
        return durable
    if not live.startswith(durable):
        return random.choice([durable, live, random.randbytes(len(live)), bytes(len(live))])
    rest = live[len(durable) :]
    cut = random.randrange(len(rest) + 1)
    hole = random.randrange(len(rest) + 1)
    kept = [b"", rest, rest[:cut], bytes(cut), random.randbytes(cut), bytes(hole) + rest[hole:]]
    return durable + random.choice(kept)
