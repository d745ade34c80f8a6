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
from query.transforms.nodes import Python, SchemaRules
from service.plugins.calls import IN
from service.plugins.confined import ChildLimits, read_rows, run_child, write_rows
from service.plugins.running import read_findings

_CALL = "service.pipelines.outside.python_call"
_SCHEMA_CALL = "service.pipelines.outside.schema_call"


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

    def checked_rows(
        self, rules: SchemaRules, rows: pa.Table, deadline: Deadline
    ) -> tuple[pa.Table, dict[str, str | None]]:
        """What a schema finds, as ``PluginRunner.checked_rows`` gives it. Raises as calling this does."""
        work = {"folder": str(self.folder), "entry": rules.entry}
        with tempfile.TemporaryDirectory(prefix="acumen-schema-") as scratch:
            place = Path(scratch)
            write_rows(place / IN, rows)
            said = run_child(rules.entry, _SCHEMA_CALL, work, place, self.limits, deadline)
            return read_findings(place, rules.entry, said)
