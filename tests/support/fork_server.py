"""Starts ``acumen`` commands by a fork of one process that has imported all of it: a start else takes seconds
of processor time, most of it to import.

Only below full length (``ACUMEN_TEST_SCALE``), and where the server forks its own children too.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

from service.process import start_child
from tests.support.scale import SCALE

USED = SCALE < 1 and start_child.FORKS
_LENGTH, _NUMBER = struct.Struct("<I"), struct.Struct("<i")
_one_at_a_time = threading.Lock()
_PARTS = ("service.process.supervisor", "service.process.worker", "service.process.keeper",
          "service.process.runner", "service.__main__", "alembic.command", "alembic.config")  # fmt: skip


class Forked:
    """A command that was started: what the tests use of ``subprocess.Popen``."""

    def __init__(self, outcome: int) -> None:
        """``outcome``: a pipe from which its id is read, and its exit status once it has ended."""
        self._outcome = outcome
        self.pid = self._read()
        self.returncode: int | None = None

    def _read(self) -> int:
        read = os.read(self._outcome, _NUMBER.size)
        if not read:
            raise ChildProcessError("the process that starts the servers has ended")
        number: int = _NUMBER.unpack(read)[0]
        return number

    def poll(self) -> int | None:
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return status

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._outcome], [], [], timeout)[0]:
            self.returncode = self._read()
            os.close(self._outcome)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(arguments: Sequence[str], env: Mapping[str, str], out: int, problems: int) -> Forked:
    """The ``acumen`` command with these arguments, in a process group of its own, with these descriptors as
    its standard output and error."""
    asked = json.dumps([list(arguments), dict(env), str(Path.cwd())]).encode()
    ours, theirs = os.pipe()
    try:
        with _one_at_a_time:
            connection = _connection()
            socket.send_fds(connection, [_LENGTH.pack(len(asked))], [out, problems, theirs])
            connection.sendall(asked)
    finally:
        os.close(theirs)
    return Forked(ours)


@cache
def _connection() -> socket.socket:
    """To the process that forks; it ends when this one does."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", __name__, str(theirs.fileno())]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], process_group=0)
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait(60)

    atexit.register(end)
    return ours


# In the process that forks


def _serve(connection: socket.socket) -> None:
    """Fork for each request, and tell of each child that it has ended, until the connection is closed."""
    start_child.prepare(_PARTS)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    outcomes: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([connection.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell(outcomes)
        if connection.fileno() in ready:
            head, fds, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
            if not head:
                return
            out, problems, outcome = fds
            asked = connection.recv(_LENGTH.unpack(head)[0], socket.MSG_WAITALL)
            arguments, env, folder = json.loads(asked)
            pid = os.fork()
            if pid == 0:
                _become(arguments, env, folder, out, problems)
            os.close(out)
            os.close(problems)
            outcomes[pid] = outcome
            os.write(outcome, _NUMBER.pack(pid))


def _tell(outcomes: dict[int, int]) -> None:
    while outcomes:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        outcome = outcomes.pop(pid)
        try:
            os.write(outcome, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
        except BrokenPipeError:
            # Whoever asked for it did not wait for its end.
            pass
        os.close(outcome)


def _become(arguments: list[str], env: dict[str, str], folder: str, out: int, problems: int) -> NoReturn:
    """In the forked child: be the command, as if started by itself."""
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, out), (2, problems)):
            os.dup2(source, descriptor)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.environ.clear()
        os.environ.update(env)
        os.chdir(folder)
        sys.argv = ["acumen", *arguments]
        from service.__main__ import command

        command()
    finally:
        os._exit(1)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        _serve(given)
    os._exit(0)
