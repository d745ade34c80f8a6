"""In the process of a schema of pandera: what it says of rows, as rules that each keeps or breaks.

Failures that pandera tells of with a row are rules of rows, named by column and check; others, such as a
column that is missing or of another type, are rules about all rows.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from service.pipelines.outside.python_call import error_text
from service.plugins.calls import IN, OUT, TOLD

EXAMPLES_MAX = 3
"""Values that are named of a failure about all rows."""
INSTALL = (
    "It needs pandera, which is not installed beside the server: 'pip install pandera[pandas]', or "
    "'pandera[polars]', brings it."
)


def call(work: dict[str, Any], runner: asyncio.Runner) -> None:
    """Validate the rows; give a column of booleans for each rule of rows, and tell of the other rules. Ends
    the process where the schema fails."""
    sys.path.insert(0, work["folder"])
    try:
        schema = _schema(work["entry"])
        with pa.memory_map(IN) as file, pa.ipc.open_stream(file) as stream:
            rows = stream.read_all()
        failures = _failures(schema, rows)
    except ModuleNotFoundError as error:
        is_pandera = (error.name or "").split(".")[0] == "pandera"
        sys.exit(INSTALL if is_pandera else error_text(error, work["folder"]))
    except Exception as error:
        sys.exit(error_text(error, work["folder"]))
    kept, findings = _rules(failures, rows.num_rows)
    if not kept and not findings:
        findings = {f"schema: {work['entry']}": None}
    table = pa.table({name: pa.array(values) for name, values in kept.items()})
    with pa.OSFile(OUT, "wb") as out, pa.ipc.new_stream(out, table.schema) as written:
        written.write_table(table)
    Path(TOLD).write_bytes(msgspec.json.encode(findings))


def _schema(entry: str) -> Any:
    module, _, name = entry.partition(":")
    found: Any = getattr(importlib.import_module(module), name, None)
    # A model is a class that makes its schema.
    schema = found.to_schema() if hasattr(found, "to_schema") else found
    if not type(schema).__module__.startswith("pandera.") or not hasattr(schema, "validate"):
        sys.exit(f"The module '{module}' has no DataFrameModel or DataFrameSchema '{name}'.")
    return schema


def _failures(schema: Any, rows: pa.Table) -> list[Mapping[str, Any]]:
    """What is wrong, as pandera tells it."""
    is_polars = "polars" in type(schema).__module__
    # Of a LazyFrame of Polars it would check names and types alone.
    frame = importlib.import_module("polars").from_arrow(rows) if is_polars else rows.to_pandas()
    errors = importlib.import_module("pandera.errors")
    try:
        schema.validate(frame, lazy=True)
    except errors.SchemaErrors as error:
        cases = error.failure_cases
        return list(cases.to_dicts() if is_polars else cases.to_dict("records"))
    return []


def _rules(
    failures: Iterable[Mapping[str, Any]], rows: int
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str | None]]:
    kept: dict[str, np.ndarray[Any, Any]] = {}
    whole: dict[str, list[str]] = defaultdict(list)
    for one in failures:
        is_of_frame = one["schema_context"] == "DataFrameSchema"
        rule = str(one["check"]) if is_of_frame else f"{one['column']}: {one['check']}"
        index = one["index"]
        if index is None or index != index:
            whole[rule].append(str(one["failure_case"]))
        else:
            kept.setdefault(rule, np.ones(rows, dtype=bool))[int(index)] = False
    return kept, {rule: ", ".join(values[:EXAMPLES_MAX]) for rule, values in whole.items()}
