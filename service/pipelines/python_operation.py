"""Runs a Python operation in a process of its own, with limits of memory and time.

The process imports the operation from the pipelines' folder. It gets the rows as an Arrow stream and answers
with another; what it prints goes to the error text.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from query.engine.engine import Deadline
from query.errors import QueryTimeout
from query.transforms.nodes import Python

_SAID_MAX = 4_000
_POLL_SECONDS = 0.05
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
"""All that an operation sees of an environment: the server's own may hold secrets."""


class OperationFailed(Exception):
    """The text is for the pipeline's owner."""


@dataclass(frozen=True, slots=True)
class PythonRunner:
    """Runs operations of one folder."""

    folder: Path
    memory_bytes: int
    seconds: float
    lifeline: int | None = None
    """A descriptor that the process keeps open (``service.workflows.context.RunContext``)."""

    def __call__(self, operation: Python, rows: pa.Table, deadline: Deadline) -> pa.Table:
        """The operation's rows. Raises OperationFailed, and what the deadline raises."""
        with tempfile.TemporaryDirectory(prefix="acumen-operation-") as scratch:
            given, made = Path(scratch, "in.arrow"), Path(scratch, "out.arrow")
            _write(given, rows)
            said = self._run(operation, Path(scratch), deadline)
            if not made.exists():
                raise OperationFailed(
                    f"{operation.entry} ended its process before it returned rows: let it return them, "
                    f"without sys.exit or os._exit. {said[-500:]}".strip()
                )
            try:
                with pa.memory_map(str(made)) as file, pa.ipc.open_stream(file) as stream:
                    return stream.read_all()
            except (OSError, pa.ArrowException) as error:
                raise OperationFailed(f"{operation.entry} gave no table that can be read: {error}") from None

    def _run(self, operation: Python, scratch: Path, deadline: Deadline) -> str:
        """What it printed. Raises OperationFailed."""
        work = {
            "folder": str(self.folder),
            "entry": operation.entry,
            "frame": operation.frame,
            "memory_bytes": self.memory_bytes,
            "seconds": self.seconds,
        }
        said = scratch / "said"
        root = Path(__file__).resolve().parents[2]
        with open(said, "wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "service.pipelines.python_process", json.dumps(work)],
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**_ENVIRONMENT, "HOME": str(scratch), "PYTHONPATH": str(root)},
                start_new_session=True,
                pass_fds=() if self.lifeline is None else (self.lifeline,),
            )
            try:
                status = _waited(process, deadline)
            finally:
                _end(process)
        if status != 0:
            raise OperationFailed(_explained(operation, status, said, self))
        return _text(said)


def _write(path: Path, rows: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, rows.schema) as stream:
        stream.write_table(rows)


def _waited(process: subprocess.Popen[bytes], deadline: Deadline) -> int:
    while True:
        try:
            return process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            try:
                deadline.check()
            except QueryTimeout:
                raise OperationFailed(
                    f"It took longer than {deadline.seconds:g} seconds, the limit of "
                    "ACUMEN_PIPELINE_TIMEOUT_SECONDS."
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


def _explained(operation: Python, status: int, said: Path, runner: PythonRunner) -> str:
    text = _text(said)
    if status == -9 or re.search(r"(Arrow)?Memory[E]rror", text):
        return (
            f"{operation.entry} needs more than the {runner.memory_bytes:,} bytes of "
            f"ACUMEN_PIPELINE_MEMORY_BYTES, or was ended by the system. {text[-500:]}".strip()
        )
    if status < 0:
        return f"{operation.entry} was ended by signal {-status}. {text[-500:]}".strip()
    return f"{operation.entry} failed:\n{text}"
