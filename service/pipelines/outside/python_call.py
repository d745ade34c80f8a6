"""Calls a Python operation: what it gets, what it may return, and what is told where it fails."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import traceback
from typing import Any

import pyarrow as pa


def call(work: dict[str, Any], runner: asyncio.Runner) -> None:
    """Read ``in.arrow``, call the operation, write ``out.arrow``. Ends the process where it fails."""
    sys.path.insert(0, work["folder"])
    module, _, name = work["entry"].partition(":")
    try:
        function = getattr(importlib.import_module(module), name, None)
    except Exception as error:
        sys.exit(error_text(error, work["folder"]))
    if not callable(function):
        sys.exit(f"The module '{module}' has no function '{name}'.")
    with pa.memory_map("in.arrow") as file, pa.ipc.open_stream(file) as stream:
        rows = stream.read_all()
    try:
        made = function(_given(rows, work["frame"]))
        if inspect.isawaitable(made):
            made = runner.run(_awaited(made))
    except Exception as error:
        sys.exit(error_text(error, work["folder"]))
    table = _table(made, work["entry"])
    with pa.OSFile("out.arrow", "wb") as out, pa.ipc.new_stream(out, table.schema) as written:
        written.write_table(table)


def error_text(error: Exception, folder: str) -> str:
    """The error as Python prints it, with only the calls from the folder's first on."""
    told = traceback.TracebackException.from_exception(error)
    calls = list(told.stack)
    first = next((n for n, call in enumerate(calls) if call.filename.startswith(folder)), len(calls))
    told.stack = traceback.StackSummary.from_list(calls[first:])
    return "".join(told.format() if calls[first:] else told.format_exception_only()).strip()


async def _awaited(made: Any) -> Any:
    return await made


def _given(rows: pa.Table, frame: str) -> Any:
    if frame == "pandas":
        return rows.to_pandas()
    if frame == "polars":
        return importlib.import_module("polars").from_arrow(rows)
    return rows


def _table(made: Any, entry: str) -> pa.Table:
    if isinstance(made, pa.Table):
        return made
    if isinstance(made, pa.RecordBatch):
        return pa.Table.from_batches([made])
    if hasattr(made, "collect") and not hasattr(made, "to_arrow"):
        made = made.collect()
    if hasattr(made, "to_arrow"):
        return made.to_arrow()
    if type(made).__module__.split(".")[0] == "pandas":
        return pa.Table.from_pandas(made, preserve_index=False)
    sys.exit(
        f"{entry} returned a {type(made).__name__}: return an Arrow table, or a frame of pandas or Polars."
    )
