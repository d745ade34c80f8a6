"""Results of tiles that ask a question of their own, for those who see no question: the viewers of a share.

/projects/P/dashboards/D/tiles/T/result, and the same below /3.0
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from starlette.responses import Response

from query.errors import InvalidQuery
from query.language.parameter_table import EXTRACTION
from service.auth.principal import Permission
from service.auth.shown_tiles import ShownTiles
from service.errors import Forbidden, NotFound
from service.http.authorization import needs
from service.http.models.saved_queries import SavedResult, ViewerResult
from service.http.models.shared import Json
from service.http.openapi.operation import DocumentedAnswer, Example
from service.http.request import (
    check_parameters,
    json_answer,
    pairs_of,
    warning_headers,
)
from service.http.routes.dashboards.documents import DASHBOARDS, VERSION, segment_below, visible_dashboard
from service.http.routes.saved_queries import CHANGES, request_context
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.saved_queries import definition
from service.saved_queries.viewer_changes import PARAMETERS, error_for_viewer, read_changes
from storage.catalog.derived.records import SavedQuery

_RESULT = f"{DASHBOARDS}/{{dashboard_id}}/tiles/{{tile_id}}/result"
_RESULTS = needs(Permission.QUERIES, Permission.SAVED_QUERIES, Permission.CACHED_QUERIES)
_ANSWER = {200: DocumentedAnswer("What a saved query's result is.", SavedResult | ViewerResult)}
_COUNT: Json = {"analysis_type": "count", "event_collection": "purchases", "timeframe": "this_7_days"}
_ORDERS = {"dashboard_id": "orders", "tile_id": "a"}
_TILE = "tile"

area = RouteArea(
    "tiles",
    "Results of the tiles of a dashboard that have a question of their own.",
    [("PUT", "/projects/{project_id}/dashboards/orders", {"widgets": [{"id": "a", "query": _COUNT}]})],
)


@area.get(
    _RESULT,
    _RESULTS,
    "The result of a tile",
    _ANSWER,
    parameters=CHANGES,
    errors=(504,),
    examples=(
        Example(_ORDERS, key="read"),
        Example(_ORDERS, query={"timeframe": "this_2_days"}, key="read"),
        Example({**_ORDERS, "tile_id": "b"}, key="read", status=404),
    ),
)
async def result(call: OfProject) -> Response:
    """Of a tile with a question of its own, which is no saved query. It is computed when it is asked for. Of
    embed tokens only those of shares may ask, and are told no more than of a saved query."""
    parts, _, caller = call
    grant = caller.embed
    if grant is None:
        caller.require(Permission.QUERIES)
    elif not grant.share_id:
        raise Forbidden(
            "This embed token does not show tiles with questions of their own: save the question, or share "
            "the dashboard."
        )
    pairs, query_service = pairs_of(call.request.scope), parts.query_service
    check_parameters(pairs, PARAMETERS, "the result of a tile")
    changes = read_changes(pairs, query_service.limits, query_service.check_regex)
    dashboard = await visible_dashboard(call, segment_below(call, 4))
    try:
        query = await parts.in_thread(_question, call, dashboard.name, segment_below(call, 6))
        if grant is None and definition.analysis_type(query) == EXTRACTION:
            caller.require(Permission.EXTRACTIONS)
        response = await parts.saved.result_of_tile(caller, query, request_context(call), changes)
    except InvalidQuery as error:
        raise error if grant is None else error_for_viewer(error) from None
    return json_answer(response.body, headers=warning_headers(response.warnings))


area.get(
    f"{VERSION}{_RESULT}",
    _RESULTS,
    "The result of a tile (address with the version)",
    _ANSWER,
    parameters=CHANGES,
    errors=(504,),
    examples=(Example(_ORDERS, key="read"),),
)(result)


def _question(call: ProjectCall, dashboard: str, tile: str) -> SavedQuery:
    """The tile's question, as if it were saved. Blocks. Raises NotFound, InvalidQuery."""
    parts, _, caller = call
    document = parts.catalog.dashboards.document(caller.project.id, dashboard)
    question: Any = None if document is None else ShownTiles.of(json.loads(document)).questions.get(tile)
    if question is None:
        raise NotFound.named("tile", tile)
    strict, project = parts.query_service.strict, caller.project
    judge = partial(parts.query_service.judge, project)
    read = definition.read(_TILE, {"query": question}, judge, strict=strict)
    # A name that no saved query can have, by which its answers are known in memory.
    return SavedQuery(-1, project.id, f"{dashboard}/{tile}", read.query, "null", 0, 0, 0, 0)
