"""A note in a log's folder that durable bytes of it can not be read, for every process until it is mended.

Whoever finds the damage leaves it, for not everybody can: after a power cut a log's position may say nothing
of the stretch that is damaged, and only who reads the whole log knows that something is missing.
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
    """On a disk that takes no file there is no note: whoever reads the damaged bytes finds them anew."""
    with contextlib.suppress(OSError):
        _path(folder, log_id).write_text(why, encoding="utf-8")


def clear(folder: DataFolder, log_id: int) -> None:
    """The log could be read after all."""
    with contextlib.suppress(OSError):
        _path(folder, log_id).unlink(missing_ok=True)


def noted(folder: DataFolder, log_id: int, fs: FileSystem) -> str | None:
    """What is wrong with the log; None where nothing is known to be.

    Raises OSError where a note can not be read: what it says must not be passed over.
    """
    try:
        return fs.read_file(_path(folder, log_id)).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def noted_logs(folder: DataFolder, log_ids: Iterable[int]) -> tuple[int, ...]:
    return tuple(log_id for log_id in log_ids if _path(folder, log_id).exists())


def noted_within(folder: DataFolder, log_id: int, seconds: float) -> bool:
    """Whether the note is so young, or the clock was set back since."""
    try:
        age = time.time() - _path(folder, log_id).stat().st_mtime
    except OSError:
        return False
    return 0 <= age < seconds


@lru_cache(maxsize=256)
def _path(folder: DataFolder, log_id: int) -> Path:
    return folder.log(log_id) / NAME
