"""Programs that record with the client in processes of their own, to be killed, forked and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.clients.python.stored import PATIENCE_SECONDS, until
from tests.support.server import ServedProject

PREAMBLE = """
import json, logging, os, sys, threading, time
from acumen_client import *
client = Acumen.from_environment()
quick = {"backoff": Retries(first_seconds=0.02, most_seconds=0.1), "linger_seconds": 0.02}

def taken(n):
    os.write(1, b"%d\\n" % n)
"""


class Program:
    """A running program; the numbers of events that it was told are taken it calls ``taken`` with."""

    def __init__(self, code: str, url: str, project: ServedProject, folder: Path, *arguments: object) -> None:
        number = len(list(folder.glob("*.numbers")))
        self._out = folder / f"{number}.numbers"
        self._problems = folder / f"{number}.problems"
        keys = {"ACUMEN_URL": url, "ACUMEN_PROJECT": project.id, "ACUMEN_WRITE_KEY": project.write_key}
        with self._out.open("wb") as out, self._problems.open("wb") as problems:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=problems,
                env={**os.environ, **keys},
            )

    def await_first(self) -> None:
        """Wait until an event was taken."""
        until(lambda: self._out.stat().st_size > 0 or self.process.poll() is not None, "it begins")

    def ended(self, status: int = 0) -> list[int]:
        """Let it end, with this status; the numbers of the events that were taken."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        found = self.process.wait(PATIENCE_SECONDS)
        assert found == status, self.problems()
        # A kill may cut the last line.
        return [int(line) for line in self._out.read_text().split("\n")[:-1]]

    def problems(self) -> str:
        return self._problems.read_text()
