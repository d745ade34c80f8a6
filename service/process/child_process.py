"""A child process of the supervisor: what it is given, how it is stopped, and what it does when orphaned.

Commands come over a pipe: the lines ``reload`` and ``stop``, or its end where the supervisor died. Each child
has a process group of its own, so a signal to the group of ``acumen serve`` never reaches it; a SIGTERM or
SIGINT sent to the child itself stops it as well, however often, and a SIGHUP reloads.
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
    """Why a child is to stop."""

    TOLD = "told"
    ORPHANED = "orphaned"


@dataclass(frozen=True, slots=True)
class ChildContext:
    """What the supervisor gives a child. ``lock`` is only kept open: it marks the data folder as in use."""

    settings: Settings
    name: str
    number: int
    commands: int
    ready: int
    lock: int
    listener: int | None = None

    @property
    def descriptors(self) -> list[int]:
        """Everything that stays open in the child besides the standard streams."""
        return [one for one in (self.commands, self.ready, self.lock, self.listener) if one is not None]

    def say_ready(self) -> None:
        """Tell the supervisor that this child does its work now."""
        os.write(self.ready, READY)
        os.close(self.ready)


def run(module: str, given: ChildContext) -> NoReturn:
    """Do the work of a child, ``main(given)`` of a module, in this process, and end it."""
    json_logging.set_up(given.settings.current_log_level(), given.name)
    _show_name(given.name)
    try:
        importlib.import_module(module).main(given)
    except BaseException:
        _log.critical("This process ends by an error.", exc_info=True)
        leave(1)
    leave(0)


def _show_name(name: str) -> None:
    """In ``ps`` and ``top``, where the system has a place for it."""
    try:
        Path("/proc/self/comm").write_text(f"acumen-{name}", encoding="utf-8")
    except OSError:
        pass


def stopped(given: ChildContext) -> threading.Event:
    """What is set when this child is to stop: at once where the supervisor is gone, so that a successor has
    the folder. What was begun is begun again from the logs and the catalog."""
    stop = threading.Event()

    def end(why: StopReason) -> None:
        if why is StopReason.ORPHANED:
            leave(1)
        stop.set()

    on_stop(given, end, lambda: json_logging.set_level(given.settings.current_log_level()))
    return stop


def on_stop(given: ChildContext, call: Callable[[StopReason], None], reload: Callable[[], None]) -> None:
    """Call ``call`` once, on a thread of its own, when this process is to stop, and ``reload`` whenever it is
    to read its log level and certificate anew. For the main thread."""
    lock = threading.Lock()
    called: list[StopReason] = []

    def stop(why: StopReason) -> None:
        with lock:
            if called:
                return
            called.append(why)
        call(why)

    def from_signal(*_: object) -> None:
        # The handler runs on the main thread between any two instructions, locks held or not.
        threading.Thread(target=stop, args=(StopReason.TOLD,), daemon=True).start()

    def watch() -> None:
        rest = b""
        while said := os.read(given.commands, 4_096):
            *lines, rest = (rest + said).split(b"\n")
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
            _log.error("Not all could be read anew; the rest stays as it was.", extra={"fields": fields})

    def hang_up(*_: object) -> None:
        threading.Thread(target=reload_safely, daemon=True).start()

    signal.signal(signal.SIGHUP, hang_up)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, from_signal)
    threading.Thread(target=watch, name="supervisor-pipe", daemon=True).start()


def leave(status: int) -> NoReturn:
    """End this process, its work being closed and synced, without taking the interpreter apart.

    That takes long, and libraries that were imported complain about what is still referred to.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)
