"""``acumen simulate``: golden files first, then the newest bucket of the project's events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from query.engine.engine import CancelToken
from query.errors import QueryError
from service.cli.pipelines import texts
from service.pipelines import simulation
from service.pipelines.definition import PipelineDefinition, PipelineFolder
from service.pipelines.execution import DerivationFailed, Deriver
from service.pipelines.inputs import events_of
from service.pipelines.references import FolderReferences
from service.pipelines.toolbox import Toolbox
from service.plugins.confined import CodeFailed
from storage.columns.shredder import Shredder
from storage.errors import StorageError
from storage.files.derived_buckets import DerivedRows


def simulate_all(
    tools: Toolbox,
    project_id: str,
    folder: PipelineFolder,
    chosen: Sequence[PipelineDefinition],
    now_us: int,
    say: texts.Say,
) -> int:
    """The exit status: 1 where a run failed or golden rows differ."""
    deriver = tools.deriver(folder.path, FolderReferences(folder.references))
    shredder = Shredder(tools.catalog.folder.spool / "simulation")
    failed = 0
    try:
        for definition in chosen:
            say(f"{definition.name}")
            try:
                failed += not _golden(folder, definition, deriver, shredder, say)
                _newest(tools, project_id, definition, deriver, now_us, say)
            except (DerivationFailed, CodeFailed, QueryError, StorageError, OSError) as error:
                failed += 1
                say(f"  failed: {error}")
                if isinstance(error, DerivationFailed):
                    for line in texts.findings(error.reports):
                        say(f"  {line}")
    finally:
        shredder.close()
    return 1 if failed else 0


def _golden(
    folder: PipelineFolder,
    definition: PipelineDefinition,
    deriver: Deriver,
    shredder: Shredder,
    say: texts.Say,
) -> bool:
    if not simulation.has_golden(folder.path, definition):
        return True
    found = simulation.run_golden(folder.path, definition, deriver, shredder)
    verdict = "as expected" if found.equal else "NOT as expected"
    aside = f", {found.set_aside:,} set aside" if definition.quarantine else ""
    say(f"  golden: {found.rows_in:,} rows in, {found.rows_out:,} out{aside}, {verdict}")
    for label, rows in (("missing   ", found.missing), ("unexpected", found.unexpected)):
        for row in simulation.first(rows):
            say(f"    {label} {row}")
    return found.equal


def _newest(
    tools: Toolbox,
    project_id: str,
    definition: PipelineDefinition,
    deriver: Deriver,
    now_us: int,
    say: texts.Say,
) -> None:
    inputs = tools.reader.inputs(project_id, definition, now_us)
    if not inputs.buckets:
        say(f"  {', '.join(definition.sources)}: no events in files yet")
        return
    bucket = max(inputs.buckets, key=lambda one: one.start_us)
    found = deriver.derive(project_id, definition, inputs.sources, bucket, CancelToken())
    events = events_of(inputs.of(bucket))
    aside = f", {found.set_aside:,} set aside" if definition.quarantine else ""
    counts = f"{events:,} rows in, {len(found.rows.times):,} out{aside}"
    say(f"  bucket of {texts.instant(bucket.start_us)}: {counts}")
    for row in simulation.shown_rows(found.rows, simulation.SHOWN_MAX):
        say(f"    {_json(row)}")
    for line in texts.findings(found.reports):
        say(f"  {line}")
    if found.quarantined is not None:
        _show_aside(found.quarantined, say)


def _show_aside(rows: DerivedRows, say: texts.Say) -> None:
    say("  set aside:")
    for one in simulation.shown_rows(rows, simulation.SHOWN_MAX):
        row = {name[4:]: value for name, value in one.items() if name.startswith(("row.", "row_"))}
        say(f"    {one['expectation']}: {'; '.join(one['rules'])}")
        say(f"      {_json(row)}")


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)[:300]
