"""What a project's pipelines, saved queries, datasets, cohorts, dashboards, alerts and reports read.

Everything comes from the catalog, and what is read follows from the definitions alone: no event is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.api_paths import url_of
from service.auth.shown_tiles import ShownTiles
from service.lineage.references import Asset, AssetKind, read_by
from storage.catalog.catalog import Catalog

_SEGMENTS: Mapping[AssetKind, tuple[str, ...]] = {
    AssetKind.PIPELINE: ("pipelines",),
    AssetKind.SAVED_QUERY: ("queries", "saved"),
    AssetKind.DATASET: ("datasets",),
    AssetKind.COHORT: ("cohorts",),
    AssetKind.DASHBOARD: ("dashboards",),
    AssetKind.ALERT: ("alerts",),
    AssetKind.REPORT: ("reports",),
}
"""Kind → what comes before its name in its address. Collections, which read nothing, are not here."""


@dataclass(frozen=True, slots=True)
class AssetReader:
    """Something that reads others."""

    asset: Asset
    reads: tuple[Asset, ...]
    title: str | None = None
    owner: str | None = None
    output: str | None = None
    """The collection that a pipeline fills."""


@dataclass(frozen=True, slots=True)
class FilledBy:
    """Who fills a collection, beside clients."""

    pipeline: str | None
    sources: Sequence[str]


@dataclass(frozen=True, slots=True)
class Lineage:
    """The readers of a project, by kind and name, and the sources that bring events to its collections."""

    readers: tuple[AssetReader, ...]
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Collection → the names of its sources, in order."""

    def of(self, collection: str) -> Lineage:
        """Those that read a collection, directly or by way of others."""
        readers: dict[Asset, list[AssetReader]] = {}
        for one in self.readers:
            for asset in one.reads:
                readers.setdefault(asset, []).append(one)
        reached, waiting = set[Asset](), [Asset(AssetKind.COLLECTION, collection)]
        while waiting:
            for one in readers.get(waiting.pop(), ()):
                if one.asset not in reached:
                    reached.add(one.asset)
                    waiting.append(one.asset)
                    if one.output is not None:
                        waiting.append(Asset(AssetKind.COLLECTION, one.output))
        readers_of = tuple(one for one in self.readers if one.asset in reached)
        named = {read.name for one in readers_of for read in one.reads if read.kind is AssetKind.COLLECTION}
        shown = named | {collection}
        return Lineage(readers_of, {name: names for name, names in self.sources.items() if name in shown})

    def collections(self) -> dict[str, FilledBy]:
        """The collections that are read or filled, in order, and who fills each."""
        found: dict[str, str | None] = dict.fromkeys(self.sources)
        for one in self.readers:
            for kind, name in one.reads:
                if kind is AssetKind.COLLECTION:
                    found.setdefault(name, None)
            if one.output is not None:
                found[one.output] = one.asset.name
        return {name: FilledBy(found[name], self.sources.get(name, ())) for name in sorted(found)}


def address_of(project_id: str, reader: Asset) -> str:
    """Where the API has a reader."""
    address = url_of(project_id, *_SEGMENTS[reader.kind], reader.name)
    # Addresses of dashboards begin without a version, as Keen's do.
    return address.removeprefix("/3.0") if reader.kind is AssetKind.DASHBOARD else address


def lineage_of(catalog: Catalog, project_id: str, kinds: Collection[AssetKind]) -> Lineage:
    """The readers of these kinds that read anything; sources where pipelines are among them. Blocks."""
    found = (one for kind, read in _READ.items() if kind in kinds for one in read(catalog, project_id))
    sources = _sources(catalog, project_id) if AssetKind.PIPELINE in kinds else {}
    return Lineage(tuple(one for one in found if one.reads), sources)


def _sources(catalog: Catalog, project_id: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in catalog.sources.of_project(project_id):
        found.setdefault(json.loads(one.definition)["source"]["into"], []).append(one.name)
    return found


def _reader(
    kind: AssetKind, name: str, reads: Iterable[Asset], title: Any = None, **more: str | None
) -> AssetReader:
    shown = title if isinstance(title, str) and title else None
    return AssetReader(Asset(kind, name), tuple(dict.fromkeys(reads)), shown, **more)


def _pipelines(catalog: Catalog, project_id: str) -> Iterator[AssetReader]:
    for one in catalog.pipelines.of_project(project_id):
        pipeline = json.loads(one.definition)["pipeline"]
        sources = [pipeline["from"]] if isinstance(pipeline["from"], str) else pipeline["from"]
        reads = (Asset(AssetKind.COLLECTION, name) for name in sources)
        yield _reader(
            AssetKind.PIPELINE,
            one.name,
            reads,
            pipeline.get("description"),
            owner=one.owner,
            output=pipeline["into"],
        )


def _saved_queries(catalog: Catalog, project_id: str) -> Iterator[AssetReader]:
    for one in catalog.saved_queries.of_project(project_id):
        title = _named(json.loads(one.metadata), "display_name")
        yield _reader(AssetKind.SAVED_QUERY, one.name, read_by(json.loads(one.query)), title)


def _datasets(catalog: Catalog, project_id: str) -> Iterator[AssetReader]:
    for one in catalog.datasets.of_project(project_id):
        definition = json.loads(one.definition)
        yield _reader(AssetKind.DATASET, one.name, read_by(definition), _named(definition, "display_name"))


def _cohorts(catalog: Catalog, project_id: str) -> Iterator[AssetReader]:
    for one in catalog.cohorts.of_project(project_id):
        definition = json.loads(one.definition)
        yield _reader(AssetKind.COHORT, one.name, read_by(definition), _named(definition, "display_name"))


def _dashboards(catalog: Catalog, project_id: str) -> Iterator[AssetReader]:
    for one in catalog.dashboards.of_project(project_id):
        text = catalog.dashboards.document(project_id, one.name)
        # It may have been deleted since.
        if text is not None:
            document = json.loads(text)
            shown = ShownTiles.of(document)
            reads = [Asset(AssetKind.SAVED_QUERY, name) for name in sorted(shown.saved_queries)]
            reads += read_by(list(shown.questions.values()))
            title = _named(json.loads(one.metadata), "title") or _named(document, "title")
            yield _reader(AssetKind.DASHBOARD, one.name, reads, title)


def _alerts(catalog: Catalog, project_id: str) -> Iterator[AssetReader]:
    for one in catalog.alerts.of_project(project_id):
        definition = json.loads(one.definition)
        reads = list(read_by(definition.get("query")))
        if isinstance(definition.get("saved_query"), str):
            reads.append(Asset(AssetKind.SAVED_QUERY, definition["saved_query"]))
        yield _reader(AssetKind.ALERT, one.name, reads, _named(definition, "display_name"))


def _reports(catalog: Catalog, project_id: str) -> Iterator[AssetReader]:
    for one in catalog.reports.of_project(project_id):
        definition = json.loads(one.definition)
        reads = [Asset(AssetKind.DASHBOARD, definition["dashboard"])]
        yield _reader(AssetKind.REPORT, one.name, reads, _named(definition, "display_name"))


def _named(document: Any, field: str) -> Any:
    return document.get(field) if isinstance(document, dict) else None


_READ: Mapping[AssetKind, Callable[[Catalog, str], Iterator[AssetReader]]] = {
    AssetKind.PIPELINE: _pipelines,
    AssetKind.SAVED_QUERY: _saved_queries,
    AssetKind.DATASET: _datasets,
    AssetKind.COHORT: _cohorts,
    AssetKind.DASHBOARD: _dashboards,
    AssetKind.ALERT: _alerts,
    AssetKind.REPORT: _reports,
}
