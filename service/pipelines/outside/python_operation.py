"""Runs a Python operation of the folder in a process of its own.

The process imports the operation from the pipelines' folder. It gets the rows as an Arrow stream and answers
with another; what it prints goes to the error text.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from query.engine.engine import Deadline
from query.transforms.nodes import Python
from service.plugins.confined import ChildLimits, read_rows, run_child, write_rows

_CALL = "service.pipelines.outside.python_call"


@dataclass(frozen=True, slots=True)
class PythonRunner:
    """Runs operations of one folder."""

    folder: Path
    limits: ChildLimits

    def __call__(self, operation: Python, rows: pa.Table, deadline: Deadline) -> pa.Table:
        """The operation's rows. Raises CodeFailed, and what the deadline raises."""
        work = {"folder": str(self.folder), "entry": operation.entry, "frame": operation.frame}
        with tempfile.TemporaryDirectory(prefix="acumen-operation-") as scratch:
            place = Path(scratch)
            write_rows(place / "in.arrow", rows)
            said = run_child(operation.entry, _CALL, work, place, self.limits, deadline)
            return read_rows(place / "out.arrow", operation.entry, said)
