"""The runner's task that repeatedly reads all stored files, slowly, and compares them with their digests.

It finds damage in files that no query reads, or that workers remember as verified, and reinstates files that
match their digests again. The catalog records for each file when it was verified.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from service.background.task_runner import Tools
from storage.catalog.database.versions import Area
from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.files.verification import Verifier, fault_of

BACK_SECONDS = 15.0
"""Pause between two checks of the files that are set aside: the operator may have restored them."""
_DAY_US = 86_400_000_000

_log = logging.getLogger("acumen.verify")


class Stopped(Exception):
    """The server is stopping."""


class Scrubber:
    """See ``service.background.task_runner.Task``."""

    name = "scrub"
    areas = frozenset({Area.DATA})

    def __init__(self, tools: Tools, fs: FileSystem | None = None) -> None:
        self._tools = tools
        self._catalog = tools.catalog
        self._root = tools.catalog.folder.root
        self._fs = fs or LocalFileSystem()
        self._verifier = Verifier(tools.catalog.folder, tools.catalog, self._fs)
        self._pace = tools.settings.scrub_bytes_per_second
        self._every_us = int(tools.settings.scrub_days * _DAY_US)
        self._damaged = tools.metrics.counter("acumen_files_damaged")
        self._version = -1
        self._checked_at = float("-inf")

    def run_due(self, now_us: int) -> bool:
        try:
            self._reinstate()
            return self._verify_next(now_us)
        except Stopped:
            return False

    def _verify_next(self, now_us: int) -> bool:
        if not self._every_us:
            return False
        row = self._catalog.files.oldest_unverified(now_us - self._every_us)
        if row is None:
            return False
        file = row.data_file(self._root)
        started = time.monotonic()
        fault = fault_of(file, self._fs, self._paced(started))
        if fault is None:
            self._catalog.files.mark_verified(file.id)
        else:
            self._verifier.set_aside(file, fault)
        return True

    def _paced(self, started: float) -> Callable[[int], None]:
        """A function to call with the size of each piece read: sleeps to keep to the pace. Raises Stopped."""
        read = 0

        def pause(size: int) -> None:
            nonlocal read
            read += size
            ahead = started + read / self._pace - time.monotonic()
            if self._tools.stop.wait(max(0.0, ahead)):
                raise Stopped

        return pause

    def _reinstate(self) -> None:
        """Reinstate files that were set aside and match their digests again."""
        version, now = self._catalog.versions().data, time.monotonic()
        if version == self._version and now - self._checked_at < BACK_SECONDS:
            return
        self._version, self._checked_at = version, now
        damaged = self._catalog.files.damaged()
        for row in damaged:
            file = row.data_file(self._root)
            sound = fault_of(file, self._fs, self._paced(time.monotonic())) is None
            if sound and self._catalog.files.set_aside(file.id, None):
                _log.warning("%s is sound again and used again", file.path)
                damaged = [one for one in damaged if one.id != row.id]
        self._damaged.set(sum(not row.is_past for row in damaged))
