"""Keeps the store of partial answers within its bytes, and free of what is of no file any more."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

from storage.catalog.catalog import Catalog
from storage.files.partials import kept_files
from storage.paths import DataFolder

EVERY_SECONDS = 60.0
TEMPORARY_SECONDS = 600.0
"""A file that is still being written after this was left by a process that died."""
_FILES = "*/*/*"

_log = logging.getLogger("acumen.keeper")


class PartialsKeeper:
    """Partials go with the bytes of their files; this removes those that a process wrote in that moment and
    died, and the least useful where all together take too much."""

    def __init__(self, folder: DataFolder, catalog: Catalog, bytes_max: int) -> None:
        self._root = folder.partials
        self._catalog = catalog
        self._bytes_max = bytes_max
        self._looked: float | None = None

    def step(self, now: float) -> None:
        """Look through the store once a minute."""
        if self._looked is not None and 0 <= now - self._looked < EVERY_SECONDS:
            return
        self._looked = now
        self._remove_unknown()
        held = sorted(kept_files(self._root, time.time()), key=lambda one: one.worth)
        excess = sum(one.bytes for one in held) - self._bytes_max
        for one in held:
            if excess <= 0:
                break
            with suppress(OSError):
                one.path.unlink(missing_ok=True)
                excess -= one.bytes

    def _remove_unknown(self) -> None:
        """Remove the folders of files that are not in the catalog, and files that were never finished."""
        folders = [path for path in self._root.glob(_FILES) if path.name.isdecimal()]
        known = self._catalog.files.known(int(path.name) for path in folders) if folders else set()
        for folder in folders:
            if int(folder.name) not in known:
                _removed(folder)
                continue
            for path in folder.glob("*.tmp"):
                with suppress(OSError):
                    if time.time() - path.stat().st_mtime > TEMPORARY_SECONDS:
                        path.unlink()


def _removed(folder: Path) -> None:
    rmtree(folder, ignore_errors=True)
    for parent in (folder.parent, folder.parent.parent):
        with suppress(OSError):
            parent.rmdir()
