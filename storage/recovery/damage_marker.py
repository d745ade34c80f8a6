"""A marker file in a log's folder: durable bytes of the log cannot be read, until it is repaired.

The process that finds the damage writes the marker, since others may be unable to find it: after a power cut
the log's position may not cover the damaged part, and only reading the whole log shows that something is
missing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from storage.disk.file_system import FileSystem
from storage.paths import DataFolder

NAME = "damage"


def note(folder: DataFolder, log_id: int, why: str) -> None:
    """Write the marker. If the disk fails there is none; then each reader of the bytes finds the damage."""
    with contextlib.suppress(OSError):
        _path(folder, log_id).write_text(why, encoding="utf-8")


def clear(folder: DataFolder, log_id: int) -> None:
    """Remove the marker of a log that could be read after all."""
    with contextlib.suppress(OSError):
        _path(folder, log_id).unlink(missing_ok=True)


def noted(folder: DataFolder, log_id: int, fs: FileSystem) -> str | None:
    """What is wrong with the log; None without a marker.

    Raises OSError where a marker cannot be read, since it must not be ignored.
    """
    try:
        return fs.read_file(_path(folder, log_id)).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def noted_logs(folder: DataFolder, log_ids: Iterable[int]) -> tuple[int, ...]:
    """Those of the logs that have a marker."""
    return tuple(log_id for log_id in log_ids if _path(folder, log_id).exists())


def noted_within(folder: DataFolder, log_id: int, seconds: float) -> bool:
    """Whether there is a marker younger than ``seconds``. False where its time is in the future."""
    try:
        age = time.time() - _path(folder, log_id).stat().st_mtime
    except OSError:
        return False
    return 0 <= age < seconds


@lru_cache(maxsize=256)
def _path(folder: DataFolder, log_id: int) -> Path:
    return folder.log(log_id) / NAME
