"""Starts a child process of the supervisor, by a fork where that is sound and anew elsewhere.

A forked child has everything imported already, and shares that memory with its siblings. The supervisor has
one thread of Python and no connection to a database while it forks. The system libraries of macOS do not
survive a fork, so there each child is an interpreter of its own.
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

from service.process import child_process
from service.process.child_process import ChildContext
from service.settings import as_environment, load

FORKS = sys.platform == "linux"
"""Are children forked on this system?"""


class Process(Protocol):
    """A child that runs, or ran: the part of ``subprocess.Popen`` that the supervisor uses."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""

    def kill(self) -> None:
        """End it at once, if it runs."""


@dataclass(slots=True)
class Forked:
    """A child made by a fork."""

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
    """Import what children will use, so that all of them share it. Before the first fork."""
    for module in modules:
        importlib.import_module(module)
    # A collector that looks at an object writes to its page, which is then shared no more.
    gc.collect()
    gc.freeze()


def fork(module: str, given: ChildContext) -> Process:
    """A child that runs ``module`` in a copy of this process. Raises OSError where there can be none."""
    pid = os.fork()
    if pid == 0:
        _become(module, given)
    return Forked(pid)


def _become(module: str, given: ChildContext) -> NoReturn:
    """In the child: let go of what is the supervisor's, and work. Never returns to the supervisor's code."""
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        _keep_open({0, 1, 2, *given.descriptors})
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        child_process.run(module, given)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _keep_open(kept: set[int]) -> None:
    """Close the others: a pipe of a sibling would not end while this process had it open as well."""
    for name in [entry.name for entry in Path("/proc/self/fd").iterdir()]:
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                # The one by which the folder was read.
                pass


def spawn(module: str, given: ChildContext) -> Process:
    """A child that runs ``module`` in a new interpreter. Raises OSError where there can be none."""
    arguments = [module, given.name, given.number, given.commands, given.ready, given.lock]
    if given.listener is not None:
        arguments.append(given.listener)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        pass_fds=given.descriptors,
        process_group=0,
        env=as_environment(given.settings),
    )


def _main() -> NoReturn:
    """The other side of ``spawn``."""
    parser = argparse.ArgumentParser(description="A child process, started by 'acumen serve'.")
    parser.add_argument("module")
    parser.add_argument("name")
    for name in ("number", "commands", "ready", "lock"):
        parser.add_argument(name, type=int)
    parser.add_argument("listener", type=int, nargs="?")
    found = vars(parser.parse_args())
    child_process.run(found.pop("module"), ChildContext(load(), **found))


if __name__ == "__main__":
    _main()
