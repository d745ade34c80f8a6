"""The ``acumen`` command, as the tests run it: started by itself, or below full length as a fork."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from tempfile import TemporaryFile
from typing import IO

from tests.support import fork_server
from tests.support.fork_server import Forked

Started = subprocess.Popen[bytes] | Forked


def acumen_command() -> list[str]:
    """How it is started by itself: the installed package's module, on this interpreter."""
    return [sys.executable, "-P", "-m", "service"]


def start_acumen(
    arguments: Sequence[str], env: Mapping[str, str], out: IO[bytes], problems: IO[bytes]
) -> Started:
    """With nothing to read, in a process group of its own; ``out`` and ``problems`` take what it says."""
    if fork_server.USED:
        return fork_server.start(arguments, env, out.fileno(), problems.fileno())
    return subprocess.Popen(
        [*acumen_command(), *arguments],
        stdout=out,
        stderr=problems,
        stdin=subprocess.DEVNULL,
        env=env,
        process_group=0,
    )


def run_acumen(
    arguments: Sequence[str], env: Mapping[str, str], *, seconds: float = 600.0
) -> subprocess.CompletedProcess[str]:
    """Until it has ended."""
    with TemporaryFile() as out, TemporaryFile() as problems:
        process = start_acumen(arguments, env, out, problems)
        try:
            status = process.wait(seconds)
        finally:
            process.kill()
        said = []
        for file in (out, problems):
            file.seek(0)
            said.append(file.read().decode())
        return subprocess.CompletedProcess(["acumen", *arguments], status, *said)
