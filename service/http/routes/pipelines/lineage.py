"""Lineage: what reads each collection, and what reads that.

/3.0/projects/P/lineage
"""

from __future__ import annotations

from starlette.responses import Response

from service.api_paths import PROJECTS
from service.auth.principal import Caller, Permission
from service.http.authorization import needs
from service.http.models.pipelines.lineage import LineageAnswer
from service.http.models.shared import Json
from service.http.openapi.operation import STRING, Example, in_query, ok
from service.http.request import check_parameters, json_answer, pairs_of, parameter
from service.http.routes.pipelines.finding import APPLIED
from service.http.routing import OfProject, RouteArea
from service.lineage.graph import AssetReader, address_of, lineage_of
from service.lineage.references import AssetKind

_NEEDED = {
    AssetKind.PIPELINE: Permission.EDITS,
    AssetKind.SAVED_QUERY: Permission.DEFINITIONS,
    AssetKind.DATASET: Permission.DATASETS,
    AssetKind.COHORT: Permission.QUERIES,
    AssetKind.DASHBOARD: Permission.QUERIES,
    AssetKind.ALERT: Permission.QUERIES,
    AssetKind.REPORT: Permission.EDITS,
}
"""What a caller needs to see each kind, as at its own address."""

area = RouteArea(
    "lineage",
    "What reads a collection, and what reads that.",
    [APPLIED],
)


@area.get(
    f"{PROJECTS}/{{project_id}}/lineage",
    needs(Permission.DEFINITIONS),
    "What reads what",
    ok(LineageAnswer, "Collections, and all that reads them."),
    parameters=(
        in_query("event_collection", STRING, "Only what reads this one, directly or by way of others."),
    ),
    examples=(
        Example(),
        Example(query={"event_collection": "purchases"}, summary="What a change of one collection may touch"),
        Example(key="read", status=401),
    ),
    name="lineage",
)
async def lineage(call: OfProject) -> Response:
    """Pipelines and what they fill, saved queries, datasets, cohorts, dashboards, alerts and reports, each
    with what it names in its definition. Who may not edit is shown neither
    pipelines, sources nor reports."""
    pairs = pairs_of(call.request.scope)
    check_parameters(pairs, ("event_collection",), "lineage")
    collection = parameter(pairs, "event_collection")

    def found() -> Json:
        kinds = _visible(call.caller)
        lineage = lineage_of(call.parts.catalog, call.caller.project.id, kinds)
        if collection is not None:
            lineage = lineage.of(collection)
        collections = [
            {"name": name, "derived_by": filled.pipeline, "sources": filled.sources}
            for name, filled in lineage.collections().items()
        ]
        return {
            "collections": collections,
            "readers": [_shown(call.caller.project.id, one) for one in lineage.readers],
        }

    return json_answer(await call.parts.in_thread(found))


def _visible(caller: Caller) -> frozenset[AssetKind]:
    return frozenset(kind for kind, needed in _NEEDED.items() if needed in caller.permissions)


def _shown(project_id: str, one: AssetReader) -> Json:
    kind, name = one.asset
    return {
        "kind": kind,
        "name": name,
        "title": one.title,
        "owner": one.owner,
        "reads": [{"kind": read.kind, "name": read.name} for read in one.reads],
        "into": one.output,
        "url": address_of(project_id, one.asset),
    }
