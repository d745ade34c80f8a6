"""A child process of the supervisor: how it is told to stop, and notices that its parent is gone.

Commands come over standard input, a pipe: the lines ``reload`` and ``stop``, or its end where the supervisor
died. The supervisor gives each child a process group of its own, so a signal to the group of
``acumen serve`` never reaches it; a SIGTERM or SIGINT sent to the child itself is one more way to say stop,
however often, and a SIGHUP one to say reload.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from service.settings import Settings, load
from service.telemetry import json_logging

READY = b"ready\n"
STOP = b"stop\n"
RELOAD = b"reload\n"
_log = logging.getLogger("acumen.child")


class Why(Enum):
    """Why a child is to stop."""

    TOLD = "told"
    ORPHANED = "orphaned"


@dataclass(frozen=True, slots=True)
class Begun:
    """A child that does one thing until ``stop`` is set; ``ready`` is for ``say_ready``."""

    settings: Settings
    number: int
    ready: int
    stop: threading.Event


def begin(name: str, description: str) -> Begun:
    """Read what the supervisor gave, log under this name, and end when told: at once where the supervisor is
    gone, so that a successor has the folder. What was begun is begun again from the logs and the catalog."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--ready", type=int, required=True)
    args = parser.parse_args()
    settings = load()
    json_logging.set_up(settings.current_log_level(), name)
    stop = threading.Event()

    def end(why: Why) -> None:
        if why is Why.ORPHANED:
            leave(1)
        stop.set()

    on_stop(end, lambda: json_logging.set_level(settings.current_log_level()))
    return Begun(settings, args.number, args.ready, stop)


def on_stop(call: Callable[[Why], None], reload: Callable[[], None]) -> None:
    """Call ``call`` once, on a thread of its own, when this process is to stop, and ``reload`` whenever it is
    to read its log level and certificate anew. For the main thread."""
    lock = threading.Lock()
    called: list[Why] = []

    def stop(why: Why) -> None:
        with lock:
            if called:
                return
            called.append(why)
        call(why)

    def from_signal(*_: object) -> None:
        # The handler runs on the main thread between any two instructions, locks held or not.
        threading.Thread(target=stop, args=(Why.TOLD,), daemon=True).start()

    def watch() -> None:
        # Not through sys.stdin: a thread in its buffer makes the interpreter's shutdown fail.
        rest = b""
        while said := os.read(0, 4_096):
            *lines, rest = (rest + said).split(b"\n")
            for line in lines:
                if line + b"\n" == STOP:
                    stop(Why.TOLD)
                    return
                if line + b"\n" == RELOAD:
                    reload_safely()
        stop(Why.ORPHANED)

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


def say_ready(descriptor: int) -> None:
    """Tell the supervisor that this child does its work now."""
    os.write(descriptor, READY)
    os.close(descriptor)
