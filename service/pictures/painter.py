"""Draws pictures in a child process, which is started for the first one and ends after a pause."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import selectors
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from query.errors import QueryLimitExceeded
from service.client_files import client_file, client_file_digest
from service.errors import InvalidParameter, ServiceUnavailable, TimedOut
from service.pictures.options import PictureOptions
from service.queries.byte_bounded_cache import ByteBoundedCache
from service.threads import in_thread

ANSWER_BYTES_MAX = 4 << 20
"""Limit of an answer that is drawn."""
WAITING_MAX = 32
"""Pictures of one worker that may wait to be drawn."""
KEPT_BYTES = 8 << 20
"""Limit of the pictures that a worker keeps."""
_PICTURE = b"+"
_HEAD_BYTES = 5
_FONTS = Path(__file__).parents[1] / "assets" / "fonts"
_log = logging.getLogger("acumen.pictures")


class _ChildFailed(Exception):
    """The child ended, or did not answer in time."""


class _Child:
    """The running process that draws. Used by one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "service.pictures.drawing_process"),
                *(str(client_file("draw.js")), str(_FONTS)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._jobs, self._answers = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._jobs, False)
        os.set_blocking(self._answers, False)

    def draw(self, job: bytes, answer: bytes, seconds: float) -> tuple[bytes, bytes]:
        """The kind and content of the child's answer. Raises _ChildFailed, and TimedOut after ``seconds``."""
        until = time.monotonic() + seconds
        message = b"".join(len(part).to_bytes(4, "big") + part for part in (job, answer))
        self._write(message, until)
        head = self._read(_HEAD_BYTES, until)
        return head[:1], self._read(int.from_bytes(head[1:], "big"), until)

    def _write(self, content: bytes, until: float) -> None:
        left = memoryview(content)
        while left:
            self._wait(self._jobs, selectors.EVENT_WRITE, until)
            try:
                left = left[os.write(self._jobs, left) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise _ChildFailed("it takes no more jobs") from error

    def _read(self, length: int, until: float) -> bytes:
        content = bytearray()
        while len(content) < length:
            self._wait(self._answers, selectors.EVENT_READ, until)
            part = os.read(self._answers, length - len(content))
            if not part:
                raise _ChildFailed(f"it ended with status {self._process.wait()}")
            content += part
        return bytes(content)

    def _wait(self, descriptor: int, event: int, until: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, event)
            if not selector.select(max(0.0, until - time.monotonic())):
                raise TimedOut("The picture took too long to draw. Ask for fewer groups or intervals.")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


class Painter:
    """Draws answers as pictures. Belongs to the event loop of one worker."""

    def __init__(self, seconds_max: float, idle_seconds: float) -> None:
        """``seconds_max``: limit of one picture. The child ends after ``idle_seconds`` without one."""
        self._seconds_max = seconds_max
        self._idle_seconds = idle_seconds
        self._thread = ThreadPoolExecutor(1, "pictures")
        self._child: _Child | None = None
        self._waiting = 0
        self._ending: asyncio.TimerHandle | None = None
        self._kept: ByteBoundedCache[str, bytes] = ByteBoundedCache(KEPT_BYTES)

    @property
    def is_running(self) -> bool:
        """Whether the child runs."""
        return self._child is not None

    async def picture(self, answer: bytes, options: PictureOptions, *, png: bool) -> bytes:
        """The answer of the API, which is JSON, as a picture.

        Raises InvalidParameter where the result has no such chart, QueryLimitExceeded where it is too large,
        TimedOut, and ServiceUnavailable where too many pictures wait.
        """
        name = tag_of(answer, options, png=png)
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        if len(answer) > ANSWER_BYTES_MAX:
            raise QueryLimitExceeded(
                f"The result is too large to be drawn: it has {len(answer):,} bytes, of at most "
                f"{ANSWER_BYTES_MAX:,}. Ask for fewer groups or intervals."
            )
        if self._waiting >= WAITING_MAX:
            raise ServiceUnavailable("Too many pictures are waiting to be drawn. Try again shortly.")
        self._waiting += 1
        try:
            drawn = await in_thread(self._thread, self._draw, answer, options, png)
        finally:
            self._waiting -= 1
            self._end_after_a_pause()
        self._kept.put(name, drawn, len(drawn))
        return drawn

    def _draw(self, answer: bytes, options: PictureOptions, png: bool) -> bytes:
        scale = options.scale if png else None
        job = json.dumps(
            {"describe": options.describing(), "draw": options.drawing(), "scale": scale}
        ).encode()
        kind, content = self._drawn(job, answer)
        if kind != _PICTURE:
            raise InvalidParameter(content.decode())
        return content

    def _drawn(self, job: bytes, answer: bytes) -> tuple[bytes, bytes]:
        """As ``_Child.draw``, by a new child if the last one has ended, as large ones do."""
        for attempt in (1, 2):
            if self._child is None:
                self._child = _Child()
            try:
                return self._child.draw(job, answer, self._seconds_max)
            except _ChildFailed as error:
                self._end()
                if attempt == 2:
                    _log.error(
                        "A picture could not be drawn: the process that draws failed twice, %s.", error
                    )
            except BaseException:
                self._end()
                raise
        raise ServiceUnavailable("The picture could not be drawn. The failure was logged.")

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def _end_after_a_pause(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        loop = asyncio.get_running_loop()
        self._ending = loop.call_later(self._idle_seconds, lambda: self._thread.submit(self._end_if_unused))

    def _end_if_unused(self) -> None:
        if not self._waiting:
            self._end()

    def close(self) -> None:
        """End the child, and wait for it. Blocks."""
        if self._ending is not None:
            self._ending.cancel()
        self._thread.submit(self._end)
        self._thread.shutdown()


def tag_of(answer: bytes, options: PictureOptions, *, png: bool) -> str:
    """Names the picture by all that it depends on."""
    script = client_file_digest("draw.js")
    return hashlib.sha256(b"\0".join((answer, repr((options, png)).encode(), script.encode()))).hexdigest()[
        :32
    ]
