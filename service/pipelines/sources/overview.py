"""How sources do, and reading one out of turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.pipelines.sources.definition import SourceDefinition, WatchedFiles, stored_source
from service.pipelines.sources.files import ProjectFiles, SourceFolderMissing
from service.pipelines.sources.run import TARGET, run_of
from service.settings import Settings
from storage.catalog.catalog import Catalog
from storage.catalog.runs.records import RunState
from storage.catalog.sources.records import FileStatus, SourceFile, StoredSource

ASKED = "asked for"


class SourceHealth(StrEnum):
    NEW = "new"
    """It was never read to its end."""
    READING = "reading"
    CURRENT = "current"
    FAILING = "failing"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class SourceOverview:
    """What people want to know of a source."""

    definition: SourceDefinition
    health: SourceHealth
    problem: str | None
    files: Mapping[FileStatus, int]
    """How many are in each state."""
    newest_files: Sequence[SourceFile]
    """First those that are not read, then those that changed last."""


def overview_of_source(catalog: Catalog, stored: StoredSource) -> SourceOverview:
    definition = stored_source(stored.name, stored.definition)
    files = list(catalog.sources.files(stored.id).values())
    files.sort(key=lambda one: (one.state is FileStatus.READ, -one.changed_us, one.path))
    counts = {state: sum(one.state is state for one in files) for state in FileStatus}
    running = catalog.runs.listed(
        stored.project_id, pipeline=stored.runs_as, target=TARGET, states=[RunState.RUNNING], limit=1
    )
    health = SourceHealth.NEW if stored.looked_us is None else SourceHealth.CURRENT
    if stored.problem is not None:
        health = SourceHealth.FAILING
    elif running:
        health = SourceHealth.READING
    elif stored.paused:
        health = SourceHealth.PAUSED
    return SourceOverview(
        definition,
        health,
        stored.problem,
        {state: number for state, number in counts.items() if number},
        files,
    )


def found_of(settings: Settings, project_id: str, definition: SourceDefinition) -> str:
    """What a source would read now, as a part of a sentence; empty where nobody can tell."""
    if not isinstance(definition.reads, WatchedFiles):
        return ""
    try:
        found = ProjectFiles(settings.source_folder, project_id).found(definition.reads)
    except (SourceFolderMissing, OSError):
        return ""
    size = sum(one.size for one in found)
    return f", {len(found):,} {'file' if len(found) == 1 else 'files'} of {size:,} bytes now"


def read_now(catalog: Catalog, stored: StoredSource) -> None:
    """Have a source read at once, with the files that were not read for their content. Raises
    InvalidPipeline, UnknownProject."""
    definition = stored_source(stored.name, stored.definition)
    catalog.sources.look_again(stored, run_of(stored, definition, ASKED))
