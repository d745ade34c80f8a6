"""The difference between the sources of a folder and those that a project has, and making it so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from query.transforms.fields import InvalidPipeline
from service.pipelines.connections.checking import check_connection, check_secrets
from service.pipelines.sources.definition import PluginRows, SourceDefinition, WatchedFiles
from service.pipelines.sources.portions import sweep
from service.plugins.secret_settings import secrets_in
from service.settings import Settings
from storage.catalog.catalog import Catalog
from storage.catalog.errors import OutputTaken, SourceChanged
from storage.catalog.sources.records import StoredSource


class SourceVerb(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    """It goes on where it is, by its new definition."""
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class SourceStep:
    """One difference."""

    verb: SourceVerb
    name: str
    definition: SourceDefinition | None
    stored: StoredSource | None


class SourceNotApplied(Exception):
    """The text says why, and what would help."""


def source_steps(wanted: Iterable[SourceDefinition], stored: Sequence[StoredSource]) -> list[SourceStep]:
    """What must change, ordered by name. Raises InvalidPipeline where one is another source than before."""
    old = {one.name: one for one in stored}
    steps: list[SourceStep] = []
    for definition in wanted:
        before = old.pop(definition.name, None)
        if before is None:
            steps.append(SourceStep(SourceVerb.CREATE, definition.name, definition, None))
        elif before.identity != definition.identity:
            raise InvalidPipeline(
                f"sources.{definition.name}",
                "cannot go on where it is with another 'into', 'cursor' or kind: give it another name, which "
                "reads all from its start, and remove this one.",
            )
        elif before.definition != definition.text:
            steps.append(SourceStep(SourceVerb.CHANGE, definition.name, definition, before))
    steps += (SourceStep(SourceVerb.REMOVE, one.name, None, one) for one in old.values())
    return sorted(steps, key=lambda step: step.name)


def check_sources(
    catalog: Catalog, project_id: str, settings: Settings, wanted: Iterable[SourceDefinition]
) -> None:
    """Raises InvalidPipeline where one cannot be read on this server."""
    for one in wanted:
        place = f"sources.{one.name}"
        if isinstance(one.reads, PluginRows):
            check_secrets(catalog, project_id, place, secrets_in(json.loads(one.reads.settings)))
        elif not isinstance(one.reads, WatchedFiles):
            check_connection(catalog, project_id, settings, place, one.reads.connection)
        elif settings.source_folder is None:
            raise InvalidPipeline(
                f"sources.{one.name}.files", "cannot be read: the server's ACUMEN_SOURCE_FOLDER is not set."
            )


def apply_sources(
    catalog: Catalog, project_id: str, steps: Iterable[SourceStep], revision: str | None, collections_max: int
) -> None:
    """Take the steps. Raises SourceNotApplied."""
    for step in steps:
        if step.definition is None:
            gone = catalog.sources.remove(project_id, step.name)
            if gone is not None:
                sweep(catalog.folder.sources, gone.id, None)
            continue
        try:
            catalog.sources.put(
                project_id,
                step.name,
                definition=step.definition.text,
                identity=step.definition.identity,
                owner=step.definition.owner,
                revision=revision,
                collection=step.definition.collection,
                collections_max=collections_max,
            )
        except OutputTaken as error:
            raise SourceNotApplied(f"sources.{step.name}.into: {error}") from None
        except SourceChanged:
            raise SourceNotApplied(f"sources.{step.name}: was changed meanwhile. Apply it again.") from None
