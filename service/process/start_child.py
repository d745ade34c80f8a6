"""Starts a child process of the supervisor: by a fork where that is safe, elsewhere as a new interpreter.

A forked child has all modules imported already and shares their memory with its siblings. While it forks,
the supervisor has one Python thread and no database connection. The system libraries of macOS do not survive
a fork, so there each child is a new interpreter.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from service.process import child_process, code_pages
from service.process.child_process import ChildContext
from service.settings import as_environment, load

FORKS = sys.platform == "linux"
"""Whether children are forked on this system."""


class Process(Protocol):
    """A running or ended child: the part of ``subprocess.Popen`` that the supervisor uses."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""

    def kill(self) -> None:
        """Kill the child if it is running."""


@dataclass(slots=True)
class Forked:
    """A forked child."""

    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def prepare(modules: Iterable[str]) -> None:
    """Import the children's modules, so that all children share them. Call before the first fork."""
    for module in modules:
        importlib.import_module(module)
    freeze()
    code_pages.release()


def freeze() -> None:
    """Exclude all objects that exist now from garbage collections, since imported ones live as long as the
    process. The collector writes to objects that it inspects, which would end the sharing of their pages."""
    gc.collect()
    gc.freeze()


def fork(module: str, context: ChildContext) -> Process:
    """Start a child that runs ``module`` in a copy of this process. Raises OSError if that fails."""
    pid = os.fork()
    if pid == 0:
        _run_forked(module, context)
    return Forked(pid)


def _run_forked(module: str, context: ChildContext) -> NoReturn:
    """In the forked child: release the supervisor's resources and run. Never returns to its caller."""
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        _close_others({0, 1, 2, *context.descriptors})
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        child_process.run(module, context)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _close_others(to_keep: set[int]) -> None:
    """Close all other descriptors: a sibling's pipe would not reach its end while it is open here too."""
    for name in [entry.name for entry in Path("/proc/self/fd").iterdir()]:
        if int(name) not in to_keep:
            try:
                os.close(int(name))
            except OSError:
                # The descriptor through which the folder was read.
                pass


def spawn(module: str, context: ChildContext) -> Process:
    """Start a child that runs ``module`` in a new interpreter. Raises OSError if that fails."""
    arguments = [module, context.name, context.number, context.commands, context.ready, context.lock]
    if context.listener is not None:
        arguments.append(context.listener)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        pass_fds=context.descriptors,
        process_group=0,
        env=as_environment(context.settings),
    )


def _main() -> NoReturn:
    """Entry point of a child started by ``spawn``."""
    parser = argparse.ArgumentParser(description="A child process, started by 'acumen serve'.")
    parser.add_argument("module")
    parser.add_argument("name")
    for name in ("number", "commands", "ready", "lock"):
        parser.add_argument(name, type=int)
    parser.add_argument("listener", type=int, nargs="?")
    options = vars(parser.parse_args())
    module = options.pop("module")
    importlib.import_module(module)
    freeze()
    child_process.run(module, ChildContext(load(), **options))


if __name__ == "__main__":
    _main()
