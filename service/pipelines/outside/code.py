"""Runs the steps whose code is not the server's own: Python of the folder, and plugins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from query.engine.engine import Deadline
from query.transforms.checks import JUDGED
from query.transforms.expectations import RULES_MAX
from query.transforms.nodes import (
    EnrichColumns,
    Expect,
    JudgedRows,
    JudgedWhole,
    Operation,
    OutsideRules,
    OutsideStep,
    PluginCall,
    PluginOperation,
    PluginRules,
    Python,
    Rule,
    SchemaRules,
    is_outside,
)
from service.pipelines.outside.python_operation import PythonRunner
from service.plugins.confined import CodeFailed
from service.plugins.installed import PluginKind
from service.plugins.running import PluginRunner, PluginUse


@dataclass(frozen=True, slots=True)
class OutsideCode:
    """Runs steps of one folder. All methods raise CodeFailed, and what the deadline raises."""

    python: PythonRunner
    plugins: PluginRunner

    def made(self, step: OutsideStep, rows: pa.Table, deadline: Deadline) -> pa.Table:
        """The rows that a step makes of others."""
        if isinstance(step, Python):
            return self.python(step, rows, deadline)
        if isinstance(step, PluginOperation):
            return self.plugins.changed_rows(use_of(PluginKind.OPERATION, step.plugin), rows, deadline)
        return self._enriched(step, rows, deadline)

    def _enriched(self, step: EnrichColumns, rows: pa.Table, deadline: Deadline) -> pa.Table:
        for _, column in step.inputs:
            if column not in rows.column_names:
                raise CodeFailed(
                    f"There is no column '{column}': name it in `columns` with its type, if events may "
                    "lack it."
                )
        use = use_of(PluginKind.ENRICHER, step.plugin)
        given = pa.table({name: rows.column(column) for name, column in step.inputs})
        found = self.plugins.changed_rows(use, given, deadline)
        if found.num_rows != rows.num_rows:
            raise CodeFailed(f"{use} gave {found.num_rows:,} rows for {rows.num_rows:,}.")
        for column in found.column_names:
            name = f"{step.output}.{column}"
            if name in rows.column_names:
                rows = rows.drop_columns([name])
            rows = rows.append_column(name, found.column(column))
        return rows

    def judged(self, expect: Expect, rows: pa.Table, deadline: Deadline) -> tuple[Expect, pa.Table]:
        """The expectation with rules of other code judged, and the rows with what each of them breaks."""
        rules: list[Rule] = [rule for rule in expect.rules if not is_outside(rule)]
        kept: dict[int, Any] = {}
        for rule in expect.rules:
            if not is_outside(rule):
                continue
            columns, findings = self._judged_by(rule, rows, deadline)
            if len(rules) + len(columns) + len(findings) > RULES_MAX:
                raise CodeFailed(f"It gave more than {RULES_MAX} rules.")
            rules += (JudgedWhole(name, problem) for name, problem in findings.items())
            for name, column in columns.items():
                kept[len(rules)] = column
                rules.append(JudgedRows(name, len(rules)))
        if kept:
            rows = rows.append_column(JUDGED, _numbers(kept, rows.num_rows))
        return replace(expect, rules=tuple(rules)), rows

    def _judged_by(
        self, rule: OutsideRules, rows: pa.Table, deadline: Deadline
    ) -> tuple[Mapping[str, Any], Mapping[str, str | None]]:
        """Rule → whether each row keeps it, and rule → what is wrong with all rows."""
        if isinstance(rule, SchemaRules):
            kept, findings = self.python.checked_rows(rule, rows, deadline)
        else:
            use = use_of(PluginKind.EXPECTATION, rule.plugin)
            kept, findings = self.plugins.checked_rows(use, rows, deadline)
        return {name: kept.column(name) for name in kept.column_names}, findings


def use_of(kind: PluginKind, call: PluginCall) -> PluginUse:
    return PluginUse(kind, call.name, json.loads(call.settings), call.release)


def calls_of(operations: Sequence[Operation]) -> Iterator[tuple[int, PluginKind, PluginCall]]:
    """The plugins that steps name, with the numbers of the steps."""
    for number, step in enumerate(operations):
        if isinstance(step, PluginOperation):
            yield number, PluginKind.OPERATION, step.plugin
        elif isinstance(step, EnrichColumns):
            yield number, PluginKind.ENRICHER, step.plugin
        elif isinstance(step, Expect):
            for rule in step.rules:
                if isinstance(rule, PluginRules):
                    yield number, PluginKind.EXPECTATION, rule.plugin


def _numbers(kept: Mapping[int, Any], rows: int) -> pa.Array:
    """For each row the numbers of the rules that it does not keep."""
    numbers = np.array(list(kept), dtype=np.int32)
    broken = np.empty((rows, len(numbers)), dtype=bool)
    for index, column in enumerate(kept.values()):
        broken[:, index] = ~pc.fill_null(column, True).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(broken.sum(axis=1))]).astype(np.int32)
    values = np.broadcast_to(numbers, broken.shape)[broken]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.int32()))
