"""Work that nobody waits for, done on one thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Queue

WAITING_MAX = 256
"""Pieces of work that may wait; further ones are not done."""

_log = logging.getLogger("acumen.engine")


class LaterWork:
    """Does one piece of work after the other. Thread-safe; the thread begins with the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Queue[tuple[str, Callable[[], None]] | None] = Queue()
        self._named: set[str] = set()
        """The names of the work that waits or is done now."""
        self._thread: threading.Thread | None = None
        self.closing = threading.Event()

    def add(self, name: str, work: Callable[[], None]) -> None:
        """Do the work later, unless work of this name or much other work waits already."""
        with self._lock:
            if name in self._named or len(self._named) >= WAITING_MAX or self.closing.is_set():
                return
            self._named.add(name)
            if self._thread is None:
                self._thread = threading.Thread(target=self._do_all, name="later", daemon=True)
                self._thread.start()
        self._waiting.put((name, work))

    def settle(self) -> None:
        """Return once everything that waited is done."""
        self._waiting.join()

    def close(self) -> None:
        """End the thread; what waits is not done. The work of the moment should watch ``closing``."""
        self.closing.set()
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def _do_all(self) -> None:
        while (item := self._waiting.get()) is not None:
            name, work = item
            try:
                if not self.closing.is_set():
                    work()
            except Exception:
                _log.exception("work that nobody waits for failed")
            finally:
                with self._lock:
                    self._named.discard(name)
                self._waiting.task_done()
        self._waiting.task_done()
