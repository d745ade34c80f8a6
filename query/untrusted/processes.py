"""Starts the processes that run statements of analysts, and speaks with them.

One process runs one statement. The next is started beforehand, since that takes a quarter of a second, and
ends unused after a pause.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from query.untrusted.messages import Channel

_ENVIRONMENT = {
    # Threads that start before a process is confined would stay free.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Arrow's own allocator takes a gibibyte of address space at once, which counts against the limit.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "PYTHONUTF8": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""All that a process knows of the environment: the server's own may hold secrets."""
_SAID = "stderr"
_SAID_MAX = 1_000


@dataclass(eq=False, slots=True)
class SqlProcess:
    """A process that waits for its statement. Used by one thread."""

    process: subprocess.Popen[bytes]
    scratch: str
    """The folder for spilling."""

    def channel(self, check: Callable[[], None]) -> Channel:
        """``check`` is called again and again while the process works; it may raise."""
        assert self.process.stdin is not None and self.process.stdout is not None
        return Channel(self.process.stdout.fileno(), self.process.stdin.fileno(), check)

    def said(self) -> str:
        """The end of what the process wrote about its failure."""
        try:
            return Path(self.scratch, _SAID).read_bytes()[-_SAID_MAX:].decode("utf-8", "replace")
        except OSError:
            return ""

    def end(self) -> int:
        """Kill the process and remove what it wrote. Returns its status."""
        self.process.kill()
        status = self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        shutil.rmtree(self.scratch, ignore_errors=True)
        return status


class SqlProcesses:
    """The processes of one worker. Used from many threads."""

    def __init__(self, folder: Path, idle_seconds: float) -> None:
        """They spill below ``folder``. One that waits for a statement ends after ``idle_seconds``."""
        self._folder = folder
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._spare: SqlProcess | None = None
        self._timer: threading.Timer | None = None
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[SqlProcess]:
        """A process, which ends with the block; another is started for the next statement."""
        child = self._taken() or self._started()
        try:
            self._prepare()
            yield child
        finally:
            child.end()

    @property
    def spare(self) -> SqlProcess | None:
        """The process that waits for a statement."""
        return self._spare

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._end_spare()

    def _taken(self) -> SqlProcess | None:
        with self._lock:
            child, self._spare = self._spare, None
        if child is not None and child.process.poll() is not None:
            child.end()
            return None
        return child

    def _prepare(self) -> None:
        """Start the next process, unless one waits."""
        with self._lock:
            if self._spare is None and not self._closed:
                self._spare = self._started()
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(self._idle_seconds, self._end_spare)
            self._timer.daemon = True
            self._timer.start()

    def _end_spare(self) -> None:
        with self._lock:
            child, self._spare = self._spare, None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        if child is not None:
            child.end()

    def _started(self) -> SqlProcess:
        self._folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.mkdtemp(prefix="sql-", dir=self._folder)
        root = Path(__file__).resolve().parents[2]
        with open(Path(scratch, _SAID), "wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "query.untrusted.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                bufsize=0,
                env={**_ENVIRONMENT, "PYTHONPATH": str(root)},
                start_new_session=True,
            )
        return SqlProcess(process, scratch)
