"""File locks that say which runs execute: the kernel lets go of one when the last process that holds it ends.

So it is known at once, and for sure, that a run was left by a killed process, and a process that is only slow
or paused keeps its run. The locks hold between the processes of one machine.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class RunLock:
    """A lock that this process holds. Child processes that get ``descriptor`` hold it too."""

    name: str
    path: Path
    descriptor: int

    def release(self) -> None:
        """Let go of it. Where a child process has it, that one still holds it."""
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)


class RunLocks:
    """The locks in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> RunLock:
        """A new lock, held by this process. Raises OSError."""
        while True:
            name = secrets.token_hex(8)
            path = self._folder / name
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Another process may have swept it away before it was locked.
            if path.exists():
                return RunLock(name, path, descriptor)
            os.close(descriptor)

    def is_held(self, name: str) -> bool:
        """Whether any process holds the lock of this name. Raises OSError."""
        try:
            descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def sweep(self) -> None:
        """Remove the files of locks that nobody holds."""
        for path in self._folder.iterdir():
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink(missing_ok=True)
                finally:
                    os.close(descriptor)
