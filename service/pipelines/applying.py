"""The difference between a folder of pipelines and those that a project has, and making it so."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from query.transforms.fields import InvalidPipeline
from service.pipelines.definition import PipelineDefinition, PipelineFolder
from service.pipelines.references import ReferenceStore
from service.pipelines.sources.applying import (
    SourceNotApplied,
    SourceStep,
    SourceVerb,
    apply_sources,
    source_steps,
)
from storage.catalog.catalog import Catalog
from storage.catalog.derived.pipeline_records import BucketState, StoredPipeline
from storage.catalog.errors import OutputTaken

GIT_SECONDS = 10.0


class Verb(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    """Its rows are derived again."""
    RELABEL = "relabel"
    """Only what changes no row: its owner, pool, priority or description."""
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference."""

    verb: Verb
    name: str
    definition: PipelineDefinition | None
    stored: StoredPipeline | None


class NotApplied(Exception):
    """The folder cannot be applied; the text says why, and what would help."""


def differences(folder: PipelineFolder, stored: Sequence[StoredPipeline]) -> list[Difference]:
    """What must change, ordered by name."""
    old = {one.name: one for one in stored}
    steps: list[Difference] = []
    for definition in folder.pipelines:
        before = old.pop(definition.name, None)
        if before is None:
            steps.append(Difference(Verb.CREATE, definition.name, definition, None))
        elif before.digest != definition.digest:
            steps.append(Difference(Verb.CHANGE, definition.name, definition, before))
        elif before.definition != definition_text(folder, definition):
            steps.append(Difference(Verb.RELABEL, definition.name, definition, before))
    steps += (Difference(Verb.REMOVE, one.name, None, one) for one in old.values())
    return sorted(steps, key=lambda step: step.name)


def apply(
    catalog: Catalog,
    project_id: str,
    folder: PipelineFolder,
    *,
    remove: bool,
    collections_max: int,
    revision: str | None = None,
) -> list[Difference]:
    """Makes a project's pipelines those of the folder; the steps that were taken.

    A pipeline that the folder lacks is only removed with ``remove``; the rows that it derived stay.
    ``revision``: the commit that is recorded; by default that of the folder. Raises NotApplied, with nothing
    changed, or with the steps before it taken.
    """
    steps = differences(folder, catalog.pipelines.of_project(project_id))
    of_sources = source_differences(catalog, project_id, folder)
    gone = [step.name for step in steps if step.verb is Verb.REMOVE]
    gone += [f"the source {step.name}" for step in of_sources if step.verb is SourceVerb.REMOVE]
    if gone and not remove:
        raise NotApplied(
            f"The file lacks {', '.join(gone)}, which the project has. To remove what is lacking say so, by "
            "--remove or 'remove': what it derived stays, and is no longer kept fresh."
        )
    used = {name for one in folder.pipelines for name in one.references}
    store = ReferenceStore(catalog.folder.references)
    for name in sorted(used):
        store.keep(folder.references[name])
    revision = revision or revision_of(folder.path)
    # Removed first: another may take over the output.
    for step in sorted(steps, key=lambda one: one.verb is not Verb.REMOVE):
        if step.definition is None:
            catalog.pipelines.remove(project_id, step.name)
            continue
        _put(catalog, project_id, folder, step.definition, revision, collections_max)
    try:
        apply_sources(catalog, project_id, of_sources, revision, collections_max)
    except SourceNotApplied as error:
        raise NotApplied(str(error)) from None
    _try_again(catalog, project_id)
    return steps


def source_differences(catalog: Catalog, project_id: str, folder: PipelineFolder) -> list[SourceStep]:
    """What must change of the sources, ordered by name. Raises InvalidPipeline."""
    return source_steps(folder.sources, catalog.sources.of_project(project_id))


def _put(
    catalog: Catalog,
    project_id: str,
    folder: PipelineFolder,
    definition: PipelineDefinition,
    revision: str | None,
    collections_max: int,
) -> None:
    try:
        catalog.pipelines.put(
            project_id,
            definition.name,
            definition=definition_text(folder, definition),
            digest=definition.digest,
            owner=definition.owner,
            revision=revision,
            output=definition.output,
            quarantine=definition.quarantine,
            collections_max=collections_max,
        )
    except OutputTaken as error:
        raise NotApplied(f"pipelines.{definition.name}.into: {error}") from None


def _try_again(catalog: Catalog, project_id: str) -> None:
    """Have buckets that failed derived again: what they failed for may be mended."""
    for stored in catalog.pipelines.of_project(project_id):
        failed = [
            (one.start_us, one.end_us)
            for one in catalog.pipelines.buckets(stored.id)
            if one.state is BucketState.FAILED
        ]
        if failed:
            catalog.pipelines.set_states(stored.id, failed, BucketState.STALE)


def definition_text(folder: PipelineFolder, definition: PipelineDefinition) -> str:
    """What is stored of a definition: its part of the file, and where its Python files are."""
    document = json.loads(definition.text)
    document["folder"] = str(folder.path.resolve()) if definition.runs_python else ""
    document["code"] = folder.code if definition.runs_python else ""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def revision_of(folder: Path) -> str | None:
    """The commit of the folder, with a mark if it has other content; None without git."""
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+changes" if changed else head


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        capture_output=True,
        check=True,
        timeout=GIT_SECONDS,
        encoding="utf-8",
    )
    return done.stdout.strip()


def find(folder: PipelineFolder, name: str) -> PipelineDefinition:
    """Raises InvalidPipeline."""
    for one in folder.pipelines:
        if one.name == name:
            return one
    raise InvalidPipeline(f"pipelines.{name}", "is not in the folder.")
