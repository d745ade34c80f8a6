"""A child process of the supervisor: its context, how it is stopped, and what it does when orphaned.

Commands arrive over a pipe: the lines ``reload`` and ``stop``, or end of file if the supervisor died. Each
child has a process group of its own, so a signal to the group of ``acumen serve`` does not reach it. SIGTERM
or SIGINT sent to the child itself also stops it; repeats have no effect. SIGHUP reloads.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NoReturn

from service.settings import Settings
from service.telemetry import json_logging

READY = b"ready\n"
STOP = b"stop\n"
RELOAD = b"reload\n"
_log = logging.getLogger("acumen.child")


class StopReason(Enum):
    """Why a child stops: by a command or signal, or because its supervisor died."""

    TOLD = "told"
    ORPHANED = "orphaned"


@dataclass(frozen=True, slots=True)
class ChildContext:
    """What the supervisor passes to a child: its settings, name, number and file descriptors.

    ``lock`` is only kept open, which marks the data folder as in use.
    """

    settings: Settings
    name: str
    number: int
    commands: int
    ready: int
    lock: int
    listener: int | None = None

    @property
    def descriptors(self) -> list[int]:
        """The descriptors that stay open in the child besides the standard streams."""
        return [one for one in (self.commands, self.ready, self.lock, self.listener) if one is not None]

    def say_ready(self) -> None:
        """Report to the supervisor that this child is ready."""
        os.write(self.ready, READY)
        os.close(self.ready)


def run(module: str, context: ChildContext) -> NoReturn:
    """Run ``main(context)`` of a child's module in this process, then exit."""
    json_logging.set_up(context.settings.current_log_level(), context.name)
    _show_name(context.name)
    try:
        importlib.import_module(module).main(context)
    except BaseException:
        _log.critical("This process ends because of an error.", exc_info=True)
        leave(1)
    leave(0)


def _show_name(name: str) -> None:
    """Set the process name shown by ``ps`` and ``top``, where the system allows it."""
    try:
        Path("/proc/self/comm").write_text(f"acumen-{name}", encoding="utf-8")
    except OSError:
        pass


def stopped(context: ChildContext) -> threading.Event:
    """An event that is set when this child is to stop.

    If the supervisor died, the process exits at once instead, so that a successor can lock the folder.
    Unfinished work is redone from the logs and the catalog.
    """
    stop = threading.Event()

    def end(reason: StopReason) -> None:
        if reason is StopReason.ORPHANED:
            leave(1)
        stop.set()

    on_stop(context, end, lambda: json_logging.set_level(context.settings.current_log_level()))
    return stop


def on_stop(context: ChildContext, call: Callable[[StopReason], None], reload: Callable[[], None]) -> None:
    """Call ``call`` once, on its own thread, when this process is to stop, and ``reload`` whenever it is to
    reload its log level and certificate. For the main thread."""
    lock = threading.Lock()
    called: list[StopReason] = []

    def stop(reason: StopReason) -> None:
        with lock:
            if called:
                return
            called.append(reason)
        call(reason)

    def from_signal(*_: object) -> None:
        # The handler runs on the main thread between any two instructions, possibly while it holds a lock.
        threading.Thread(target=stop, args=(StopReason.TOLD,), daemon=True).start()

    def watch() -> None:
        rest = b""
        while data := os.read(context.commands, 4_096):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line + b"\n" == STOP:
                    stop(StopReason.TOLD)
                    return
                if line + b"\n" == RELOAD:
                    reload_safely()
        stop(StopReason.ORPHANED)

    def reload_safely() -> None:
        try:
            reload()
        except Exception as error:
            fields = {"error": str(error)}
            _log.error(
                "Some settings could not be reloaded and remain as they were.", extra={"fields": fields}
            )

    def hang_up(*_: object) -> None:
        threading.Thread(target=reload_safely, daemon=True).start()

    signal.signal(signal.SIGHUP, hang_up)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, from_signal)
    threading.Thread(target=watch, name="supervisor-pipe", daemon=True).start()


def leave(status: int) -> NoReturn:
    """End this process, whose work is closed and synced, without finalising the interpreter.

    Finalisation is slow, and imported libraries complain about objects that are still in use.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)
