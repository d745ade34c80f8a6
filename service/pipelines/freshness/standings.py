"""How all pipelines of a project stand, each remembered until something that it follows from has changed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.pipelines.definition import PipelineDefinition
from service.pipelines.freshness.overview import Overview, overview_of
from service.pipelines.inputs import InputKey, Inputs, PipelineReader, expired_before
from service.pipelines.planning import Plan, compared, kept_from
from storage.catalog.derived.pipeline_records import StoredPipeline
from storage.catalog.runs.bucket_states import BucketStanding

KEPT_MAX = 5_000
"""Pipelines that are remembered: some kilobytes each."""


class ReadPipeline(NamedTuple):
    """A pipeline as it was applied, and its definition."""

    stored: StoredPipeline
    definition: PipelineDefinition


class ComparedPipeline(NamedTuple):
    """A pipeline, how its buckets stand against its inputs, and what is to be done."""

    read: ReadPipeline
    inputs: Inputs
    standing: BucketStanding
    plan: Plan


@dataclass(frozen=True, slots=True)
class _Witness:
    """What an overview follows from."""

    stored: StoredPipeline
    versions: tuple[object, ...]
    """Those of its inputs."""
    expired_us: int | None


@dataclass(frozen=True, slots=True)
class _Kept:
    definition: PipelineDefinition
    stored: StoredPipeline
    seen: _Witness | None = None
    overview: Overview | None = None


def by_inputs(found: Iterable[ReadPipeline]) -> dict[InputKey, list[ReadPipeline]]:
    """Pipelines by what they read, which is then read once for all of them."""
    groups: dict[InputKey, list[ReadPipeline]] = {}
    for one in found:
        groups.setdefault(InputKey.of(one.stored.project_id, one.definition), []).append(one)
    return groups


def compared_group(
    reader: PipelineReader, group: Sequence[ReadPipeline], now_us: int
) -> Iterator[ComparedPipeline]:
    """What is to be done for pipelines that have the same inputs. Raises OSError, StorageError."""
    inputs: Inputs = reader.inputs(group[0].stored.project_id, group[0].definition, now_us)
    standings = reader.catalog.bucket_states.compared(
        [one.stored.id for one in group], inputs.texts(), kept_from(group[0].definition, inputs)
    )
    for one in group:
        standing = standings[one.stored.id]
        yield ComparedPipeline(one, inputs, standing, compared(one.definition, inputs, standing))


class PipelineStandings:
    """Overviews of pipelines. Safe to use from several threads; all blocks."""

    def __init__(self, reader: PipelineReader) -> None:
        self.reader = reader
        self._lock = threading.Lock()
        self._kept: dict[int, _Kept] = {}

    def overviews(
        self, project_id: str, pipelines: Sequence[StoredPipeline], now_us: int
    ) -> list[tuple[ReadPipeline, Overview]]:
        """How these pipelines of a project stand, in their order. Raises InvalidPipeline."""
        found = [ReadPipeline(stored, self.definition(stored)) for stored in pipelines]
        # Versions before what they are of: what changes in between is looked at again the next time.
        seen = self._seen(project_id, found, now_us)
        overviews: dict[int, Overview] = {}
        changed: list[ReadPipeline] = []
        for one in found:
            kept = self._kept.get(one.stored.id)
            if kept is not None and kept.overview is not None and kept.seen == seen[one.stored.id]:
                overviews[one.stored.id] = kept.overview
            else:
                changed.append(one)
        for group in by_inputs(changed).values():
            for one, _, standing, plan in compared_group(self.reader, group, now_us):
                overview = overview_of(one.stored, standing, plan)
                overviews[one.stored.id] = overview
                self._keep(_Kept(one.definition, one.stored, seen[one.stored.id], overview))
        return [(one, overviews[one.stored.id]) for one in found]

    def definition(self, stored: StoredPipeline) -> PipelineDefinition:
        """Raises InvalidPipeline."""
        kept = self._kept.get(stored.id)
        if kept is not None and kept.stored.version == stored.version:
            return kept.definition
        definition = self.reader.definition(stored)
        self._keep(_Kept(definition, stored))
        return definition

    def _keep(self, kept: _Kept) -> None:
        with self._lock:
            if len(self._kept) >= KEPT_MAX and kept.stored.id not in self._kept:
                self._kept.clear()
            self._kept[kept.stored.id] = kept

    def witnesses(self, found: Sequence[ReadPipeline], now_us: int) -> dict[int, object]:
        """Pipeline → what its standing follows from; while it is equal, nothing has changed."""
        days = self.reader.catalog.retention.days()
        versions = self.reader.catalog.pipelines.input_versions()
        return dict(_witnesses(found, versions, days, now_us))

    def _seen(self, project_id: str, found: Sequence[ReadPipeline], now_us: int) -> dict[int, _Witness]:
        versions = self.reader.catalog.pipelines.input_versions(project_id)
        return _witnesses(found, versions, self.reader.catalog.retention.days(), now_us)


def _witnesses(
    found: Sequence[ReadPipeline],
    versions: Mapping[tuple[str, str], tuple[int, int, int]],
    days: Mapping[int, int],
    now_us: int,
) -> dict[int, _Witness]:
    seen: dict[int, _Witness] = {}
    for stored, definition in found:
        of = tuple(versions.get((stored.project_id, name)) for name in definition.sources)
        expired_us = expired_before(days, [one[0] for one in of if one is not None], now_us)
        seen[stored.id] = _Witness(stored, of, expired_us)
    return seen
