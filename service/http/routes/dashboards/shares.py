"""Shares of dashboards: links and frames that show one dashboard to whoever has them, until revoked.

/projects/P/dashboards/D/shares[/ID], and the same below /3.0
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from html import escape

from starlette.responses import Response

from service.api_paths import url_of
from service.auth.shared_boards import SHARES_MAX, key_of_share, read_share, seal_context, token_of
from service.errors import InvalidParameter, NotFound
from service.http.authorization import EDITS
from service.http.models.dashboards import DashboardShare, DashboardShareSent
from service.http.models.shared import Json
from service.http.openapi.operation import DocumentedAnswer, Example, gone, ok
from service.http.request import audit_details, empty_answer, json_answer
from service.http.routes.dashboards.documents import DASHBOARDS, VERSION, segment_below
from service.http.routing import OfProject, ProjectCall, RouteArea, who_calls
from service.queries import dashboards
from storage.catalog.derived import records
from storage.catalog.keyring import public_id
from storage.catalog.tenants.names import new_id

_SHARES = f"{DASHBOARDS}/{{dashboard_id}}/shares"
_ONE = f"{_SHARES}/{{share_id}}"
_SALES = {"dashboard_id": "sales"}
_SENT: Json = {
    "name": "Our partners",
    "origins": ["https://partner.example"],
    "viewer": {"timeframe": True, "filters": ["country"]},
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

area = RouteArea(
    "shares",
    "Links and frames that show one dashboard, without log-in, until they are revoked.",
    [("PUT", "/projects/{project_id}/dashboards/sales", {"widgets": []})],
)


@area.post(
    _SHARES,
    EDITS,
    "Share a dashboard",
    {201: DocumentedAnswer("The share.", DashboardShare)},
    examples=(
        Example(_SALES, body=_SENT, status=201, keep={"share": "id"}),
        Example(_SALES, body={"name": "x", "expires_at": 1}, status=400),
        Example({"dashboard_id": "none"}, body={"name": "x"}, status=404),
        Example(_SALES, body=_SENT, key="read", status=401),
    ),
)
async def create(call: OfProject, sent: DashboardShareSent) -> Response:
    """Whoever has `link`, or is shown the page with `iframe`, sees the dashboard as it is whenever they look,
    and nothing else of the project. `viewer` says what they may change; without it, what the dashboard's own
    controls say. `filters` hold for all that is shown. `origins`: pages that may show the frame; without it
    any may. `expires_at` is in Unix seconds."""
    parts, request, caller = call
    name = _dashboard(call)
    sent.refuse_unknown("a share")
    said = sent.sent()
    if sent.viewer is not None:
        sent.viewer.refuse_unknown("'viewer'")
        said["viewer"] = sent.viewer.sent()
    conditions = read_share(said, parts.clock())
    made_by = (await who_calls(call)).name
    share_id, key = new_id(), secrets.token_hex(32)
    share = records.DashboardShare(
        share_id,
        public_id(key),
        parts.keyring.seal(key, seal_context(caller.project.id, share_id)),
        sent.name,
        conditions,
        made_by,
        parts.clock(),
    )
    dashboard = await _found(call, name)
    made = await parts.in_thread(parts.catalog.shares.create, caller.project.id, name, share, SHARES_MAX)
    if not made:
        await _found(call, name)
        raise InvalidParameter(f"A dashboard may have {SHARES_MAX} shares: revoke one first.")
    audit_details(request, share=share_id, name=sent.name)
    return json_answer(_shown(call, dashboard, share), 201)


@area.get(
    _SHARES,
    EDITS,
    "The shares of a dashboard, oldest first",
    ok(list[DashboardShare], "The shares."),
    examples=(Example(_SALES), Example(_SALES, key="read", status=401)),
)
async def list_shares(call: OfProject) -> Response:
    parts, name = call.parts, _dashboard(call)
    dashboard = await _found(call, name)
    shares = await parts.in_thread(parts.catalog.shares.of_dashboard, call.caller.project.id, name)
    return json_answer([_shown(call, dashboard, one) for one in shares])


@area.delete(
    _ONE,
    EDITS,
    "Revoke a share",
    gone(),
    examples=(
        Example({**_SALES, "share_id": "{share}"}, status=204),
        Example({**_SALES, "share_id": "{share}"}, status=404),
    ),
)
async def revoke(call: OfProject) -> Response:
    """Its link and its frames are refused from the next request on, on every worker."""
    parts, name, share_id = call.parts, _dashboard(call), segment_below(call, 6)
    share = await parts.in_thread(parts.catalog.shares.remove, call.caller.project.id, name, share_id)
    if share is None:
        raise NotFound.named("share", share_id)
    audit_details(call.request, name=share.name)
    return empty_answer()


area.post(
    f"{VERSION}{_SHARES}",
    EDITS,
    "Share a dashboard (address with the version)",
    {201: DocumentedAnswer("The share.", DashboardShare)},
    examples=(Example(_SALES, body={"name": "Everybody"}, status=201, keep={"share": "id"}),),
)(create)
area.get(
    f"{VERSION}{_SHARES}",
    EDITS,
    "The shares of a dashboard (address with the version)",
    ok(list[DashboardShare], "The shares."),
    examples=(Example(_SALES),),
)(list_shares)
area.delete(
    f"{VERSION}{_ONE}",
    EDITS,
    "Revoke a share (address with the version)",
    gone(),
    examples=(Example({**_SALES, "share_id": "{share}"}, status=204),),
)(revoke)


def _dashboard(call: ProjectCall) -> str:
    return segment_below(call, 4)


async def _found(call: ProjectCall, name: str) -> records.Dashboard:
    """Raises NotFound."""
    dashboard = await call.parts.in_thread(call.parts.catalog.dashboards.find, call.caller.project.id, name)
    if dashboard is None:
        raise NotFound.named("dashboard", name)
    return dashboard


def _shown(call: ProjectCall, dashboard: records.Dashboard, share: records.DashboardShare) -> Json:
    """The share, with its link where the key of its token can be had."""
    parts, project_id = call.parts, call.caller.project.id
    key = key_of_share(parts.keyring, project_id, share)
    token = None if key is None else token_of(key)
    base = parts.settings.public_url or str(call.request.base_url).rstrip("/")
    page = f"{base}{url_of(project_id, 'dashboards', dashboard.name, 'embed')}"
    link = None if token is None else f"{page}?api_key={token}"
    title = dashboards.described(dashboard)["title"] or dashboard.name
    conditions = json.loads(share.conditions)
    return {
        "id": share.id,
        "name": share.name,
        "dashboard_id": dashboard.name,
        "token": token,
        "link": link,
        "iframe": None if link is None else _frame(link, str(title)),
        "made_by": share.made_by,
        "created_date": datetime.fromtimestamp(share.created_us / 1_000_000, UTC).isoformat(),
        "last_used_on": None if share.used_us is None else _day(share.used_us),
        "expires_at": conditions.get("expires_at"),
        "origins": conditions.get("origins"),
        "viewer": conditions.get("viewer"),
        "filters": conditions.get("filters"),
    }


def _frame(link: str, title: str) -> str:
    return (
        f'<iframe src="{escape(link)}" title="{escape(title)}" width="100%" height="600" loading="lazy" '
        'style="border: 0"></iframe>'
    )


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).date().isoformat()
