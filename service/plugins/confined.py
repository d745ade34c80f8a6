"""Runs code that is not the server's own in a process with limits of memory and time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from query.engine.engine import Deadline
from query.errors import QueryTimeout

_SAID_MAX = 4_000
_POLL_SECONDS = 0.05
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
"""All that the code sees of an environment: the server's own may hold secrets."""


class CodeFailed(Exception):
    """The text is for whoever answers for the code, or for the pipeline."""


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What a process may take."""

    memory_bytes: int
    seconds: float
    setting: str = "ACUMEN_PIPELINE_TIMEOUT_SECONDS"
    """What sets the time."""
    lifeline: int | None = None
    """A descriptor that the process keeps open (``service.workflows.context.RunContext``)."""


def run_child(
    name: str,
    call: str,
    work: Mapping[str, Any],
    scratch: Path,
    limits: ChildLimits,
    deadline: Deadline,
    *,
    network: bool = False,
) -> str:
    """Run the ``call`` of a module of ours on the work; what was printed. ``name``: what errors call the
    code; ``scratch``: the folder that it runs in. Raises CodeFailed, and what the deadline raises."""
    given = {
        **work,
        "call": call,
        "network": network,
        "memory_bytes": limits.memory_bytes,
        "seconds": limits.seconds,
        "path": sys.path,
    }
    said = scratch / "said"
    root = Path(__file__).resolve().parents[2]
    with open(said, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "service.plugins.process"],
            cwd=scratch,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**_ENVIRONMENT, "HOME": str(scratch), "PYTHONPATH": str(root)},
            start_new_session=True,
            pass_fds=() if limits.lifeline is None else (limits.lifeline,),
        )
        try:
            _give(process, given)
            status = _waited(process, limits, deadline)
        finally:
            _end(process)
    if status != 0:
        raise CodeFailed(_explained(name, status, said, limits))
    return _text(said)


def write_rows(path: Path, rows: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, rows.schema) as stream:
        stream.write_table(rows)


def read_rows(path: Path, name: str, said: str) -> pa.Table:
    """The rows that the code gave. Raises CodeFailed."""
    if not path.exists():
        raise CodeFailed(
            f"{name} ended its process before it returned rows: let it return them, "
            f"without sys.exit or os._exit. {said[-500:]}".strip()
        )
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            return stream.read_all()
    except (OSError, pa.ArrowException) as error:
        raise CodeFailed(f"{name} gave no table that can be read: {error}") from None


def _give(process: subprocess.Popen[bytes], work: Mapping[str, Any]) -> None:
    """By standard input: the arguments of a process may be read by others."""
    assert process.stdin is not None
    try:
        with process.stdin as file:
            file.write(json.dumps(work).encode())
    except BrokenPipeError:
        # It has ended, and its status says why.
        pass


def _waited(process: subprocess.Popen[bytes], limits: ChildLimits, deadline: Deadline) -> int:
    while True:
        try:
            return process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            try:
                deadline.check()
            except QueryTimeout:
                raise CodeFailed(
                    f"It took longer than {deadline.seconds:g} seconds, the limit of {limits.setting}."
                ) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and those that it started."""
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass
    process.wait()


def _text(said: Path) -> str:
    return said.read_bytes()[-_SAID_MAX:].decode("utf-8", "replace").strip()


def _explained(name: str, status: int, said: Path, limits: ChildLimits) -> str:
    text = _text(said)
    if status == -9 or re.search(r"(Arrow)?Memory[E]rror", text):
        return (
            f"{name} needs more than the {limits.memory_bytes:,} bytes of "
            f"ACUMEN_PIPELINE_MEMORY_BYTES, or was ended by the system. {text[-500:]}".strip()
        )
    if status < 0:
        return f"{name} was ended by signal {-status}. {text[-500:]}".strip()
    return f"{name} failed:\n{text}"
