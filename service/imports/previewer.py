"""Looks into uploaded files, each in a process of its own (``service.imports.preview``)."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from service.errors import InvalidParameter, NotFound, RateLimited, ServiceUnavailable
from service.imports.jobs import UNPACKED_TIMES
from service.imports.options import GivenOptions, frozen_options
from service.settings import Settings
from service.threads import in_thread

Json = dict[str, Any]

AT_ONCE = 2
WAITING_MAX = 8
"""Previews of one worker that run or wait."""
OF_KEY_MAX = WAITING_MAX // 2
"""Those of one key or person, so that one alone keeps nobody waiting for long."""
_RETRY_SECONDS = 5
GRACE_SECONDS = 10.0
"""Time beyond that for reading, in which the process starts and describes what it has found."""
NOT_SOUND = (
    "The file cannot be looked into: it is not a sound file of its format, or a part of it takes too much "
    "memory once it is unpacked."
)
_log = logging.getLogger("acumen.imports")


class Previewer:
    """Belongs to the event loop of one worker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(AT_ONCE, "previews")
        self._waiting: Counter[str] = Counter()

    async def preview(self, path: Path, given: GivenOptions, key_id: str) -> Json:
        """What the file is, by options that were checked; ``key_id``: of the key or person that asks.

        Raises InvalidParameter for a file that cannot be imported, NotFound for one that is gone,
        RateLimited where too many of the key wait, and ServiceUnavailable where too many of all do.
        """
        if self._waiting[key_id] >= OF_KEY_MAX:
            raise RateLimited(
                f"{OF_KEY_MAX} files of this key, or person, are being looked into. Try again once one of "
                "them is done.",
                _RETRY_SECONDS,
            )
        if self._waiting.total() >= WAITING_MAX:
            raise ServiceUnavailable("Too many files are being looked into. Try again shortly.")
        self._waiting[key_id] += 1
        try:
            return await in_thread(self._threads, self._preview, path, given)
        finally:
            self._waiting[key_id] -= 1
            if not self._waiting[key_id]:
                del self._waiting[key_id]

    def _preview(self, path: Path, given: GivenOptions) -> Json:
        if not path.exists():
            raise NotFound("Resource not found: the uploaded file is gone.")
        look = {
            "path": str(path),
            "options": json.dumps(frozen_options(given)),
            "seconds": self._settings.import_preview_seconds,
            "unpacked_bytes_max": UNPACKED_TIMES * self._settings.import_bytes,
        }
        seconds = self._settings.import_preview_seconds + GRACE_SECONDS
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "service.imports.preview"],
                input=json.dumps(look).encode(),
                capture_output=True,
                timeout=seconds,
                check=True,
            )
        except subprocess.TimeoutExpired:
            raise InvalidParameter(f"The file cannot be looked into within {seconds:g} seconds.") from None
        except subprocess.CalledProcessError as error:
            _log.warning(
                "A file could not be looked into: the process ended with status %s.",
                error.returncode,
                extra={"fields": {"said": error.stderr[-1_000:].decode("utf-8", "replace")}},
            )
            raise InvalidParameter(NOT_SOUND) from None
        answer: Json = json.loads(done.stdout)
        if "fault" in answer:
            raise InvalidParameter(answer["fault"])
        found: Json = answer["preview"]
        return found

    def close(self) -> None:
        """Wait for what runs. Blocks."""
        self._threads.shutdown(cancel_futures=True)
