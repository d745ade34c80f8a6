"""Dashboards of Keen's dashboard creator: each is a JSON document, with metadata that lists show.

Keys that see all of a project's answers see all its dashboards. Any other key sees only those that were
shared with it: ``isPublic``, with the key as ``publicAccessKey``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from typing import Any

from service.answerable import check_answerable
from service.auth.embed_conditions import EmbedGrant
from service.auth.principal import Caller
from service.auth.shown_tiles import ShownTiles, tile_ids
from service.bodies.json_body import json_of
from service.errors import InvalidJSON, InvalidParameter, PreconditionFailed
from storage.catalog.catalog import Catalog
from storage.catalog.derived.records import Dashboard
from storage.catalog.keyring import public_id

DOCUMENT_BYTES_MAX = 1_000_000
METADATA_BYTES_MAX = 16_384
DASHBOARDS_MAX = 1_000
"""Dashboards of one project."""
LIST = "metadata"
"""The name that no dashboard can have: its address is that of the list."""
_NAME = re.compile(r"[^\x00-\x1f\x7f/]{1,256}")
_KEY = "publicAccessKey"
_KNOWN = ("title", "widgets", "queries", "tags", "lastModificationDate", "isPublic", _KEY)
"""Known fields of the metadata; ``service.http.models.dashboards`` has their types."""

_DRAWN = ("version", "title", "theme", "layout")
_DRAWN_OF_WIDGET = ("id", "type", "title", "subtitle", "position", "layout")
_DRAWN_OF_SETTINGS = (
    "visualizationType",
    "chartSettings",
    "widgetSettings",
    "componentSettings",
    "title",
    "subtitle",
    "name",
    "content",
    "textAlignment",
    "link",
    "widgets",
)
"""What a viewer's browser needs of a dashboard, of a widget and of its settings. Embed tokens see no other
field: a document may hold anything."""

Json = dict[str, Any]


def read_name(name: str) -> str:
    """The id of a dashboard. Raises InvalidParameter for an invalid one."""
    if name == LIST or not _NAME.fullmatch(name):
        raise InvalidParameter(
            f"A dashboard's id must be 1 to 256 characters, none of them a control character or a slash, "
            f"and not '{LIST}'. You specified: {name[:256]}."
        )
    return name


def read_header(raw: bytes) -> Any:
    """The metadata in a header's JSON. Raises InvalidJSON."""
    try:
        return json_of(raw)
    except InvalidJSON:
        # Browsers send non-ASCII characters that scripts put into headers as Latin-1.
        return json_of(raw.decode("latin-1").encode())


def check_metadata(given: Json) -> Json:
    """The metadata, whose known fields have valid types. Raises InvalidParameter where it may not be kept."""
    check_answerable(given, "metadata")
    if len(json.dumps(given)) > METADATA_BYTES_MAX:
        raise InvalidParameter(f"A dashboard's metadata may have at most {METADATA_BYTES_MAX} bytes.")
    return given


def check_document(document: Any) -> None:
    """Raises InvalidParameter for a dashboard that may not be stored."""
    if not isinstance(document, dict):
        raise InvalidParameter("A dashboard must be a JSON object.")
    check_answerable(document, "dashboard")


def made(name: str, document: Json, given: Json | None, old: Dashboard | None, now_ms: int) -> Dashboard:
    """The dashboard to store. ``given``: the metadata sent with it; None keeps the old metadata."""
    counted = _counted(document) | {"lastModificationDate": now_ms}
    if given is None:
        return stored(name, _metadata_of(old) | counted)
    return stored(name, counted | {key: value for key, value in given.items() if value is not None})


def entity_tag(text: bytes) -> str:
    """The ``ETag`` of a document."""
    return f'"{hashlib.sha256(text).hexdigest()[:32]}"'


def read_condition(headers: Iterable[str]) -> frozenset[str] | None:
    """The tags in headers ``If-Match``; None where there is none. A proxy that compresses may have marked a
    tag as weak."""
    tags = [tag.strip().removeprefix("W/") for header in headers for tag in header.split(",")]
    return frozenset(tags) if tags else None


def store(
    catalog: Catalog,
    project_id: str,
    name: str,
    document: Json,
    given: Json | None,
    now_us: int,
    expected: frozenset[str] | None = None,
) -> tuple[bytes, bool]:
    """Store a checked dashboard: its document as JSON, and whether it is new. ``given`` is as in ``made``.

    ``expected``: tags of documents that may be replaced, or ``*``. Blocks. Raises InvalidParameter where the
    project has as many as it may have, PreconditionFailed where the document is none of those expected.
    """

    def check(stored: str | None) -> None:
        if expected is None:
            return
        if stored is None or ("*" not in expected and entity_tag(stored.encode()) not in expected):
            gone = "has been deleted" if stored is None else "was changed by somebody else"
            raise PreconditionFailed(
                f"The dashboard {gone} since it was read: it has not the ETag that 'If-Match' names. Read it "
                "again, or send the request without 'If-Match' to replace it whatever it is."
            )

    text = json.dumps(document, separators=(",", ":"))
    old = catalog.dashboards.find(project_id, name)
    if old is None and len(catalog.dashboards.of_project(project_id)) >= DASHBOARDS_MAX:
        raise InvalidParameter(f"A project may have {DASHBOARDS_MAX:,} dashboards: delete one first.")
    dashboard = made(name, document, given, old, now_us // 1_000)
    return text.encode(), catalog.dashboards.put(project_id, dashboard, text, check)


def stored(name: str, metadata: Json) -> Dashboard:
    """The dashboard with this metadata. Its ``id`` field is ignored, and the key is stored separately.

    In known fields null means the same as no value.
    """
    nothing = {name for name in _KNOWN if metadata.get(name) is None}
    kept = {name: value for name, value in metadata.items() if name not in nothing | {"id", _KEY}}
    return Dashboard(name, json.dumps(kept), metadata.get(_KEY))


def described(dashboard: Dashboard) -> Json:
    """The metadata as the API shows it: all fields sent, and those that the dashboard creator reads."""
    known: Json = {
        "title": None,
        "widgets": 0,
        "queries": 0,
        "tags": [],
        "lastModificationDate": None,
        "isPublic": False,
    }
    sent: Json = json.loads(dashboard.metadata)
    return {"id": dashboard.name} | known | sent | {_KEY: dashboard.public_key}


def visible(caller: Caller, key: str, dashboard: Dashboard) -> bool:
    """Whether the caller, whose key is ``key``, may read the dashboard."""
    if caller.embed is not None:
        return _visible_to_token(caller.embed, dashboard)
    if caller.sees_all_answers:
        return True
    shared = _shared_with(dashboard)
    if shared is None:
        return False
    return hmac.compare_digest(shared.encode("utf-8", "surrogatepass"), key.encode("utf-8", "surrogatepass"))


def _visible_to_token(grant: EmbedGrant, dashboard: Dashboard) -> bool:
    """Whether the token's access key may read the dashboard, and the token leaves it that."""
    if grant.dashboards is not None and dashboard.name not in grant.dashboards:
        return False
    if grant.key_sees_dashboards:
        return True
    shared = _shared_with(dashboard)
    return shared is not None and hmac.compare_digest(public_id(shared), grant.key_public_id)


def _shared_with(dashboard: Dashboard) -> str | None:
    """The key that the dashboard is shared with; None where it is not shared."""
    shared = dashboard.public_key
    if shared is None or json.loads(dashboard.metadata).get("isPublic") is not True:
        return None
    return shared


def described_for_token(dashboard: Dashboard) -> Json:
    """The metadata as embed tokens see it: no more than a title and counts, in the shape that all get."""
    whole = described(dashboard)
    nothing: Json = {"tags": [], "lastModificationDate": None, "isPublic": False, _KEY: None}
    return {name: whole[name] for name in ("id", "title", "widgets", "queries")} | nothing


def document_for_token(document: str, grant: EmbedGrant) -> bytes:
    """What embed tokens see of a dashboard: layout, titles, and the names of its saved queries.

    The token of a share is also told by which id the result of a tile with a question of its own is to be
    asked for, and has the controls that the share allows.
    """
    whole = json.loads(document)
    shown = _picked(whole, _DRAWN)
    widgets = whole.get("widgets")
    if isinstance(widgets, list):
        widgets = [one for one in widgets if isinstance(one, dict)]
        questions = ShownTiles.of(whole).questions if grant.share_id else {}
        shown["widgets"] = [
            _drawn_widget(one) | ({"tile": tile} if tile in questions else {})
            for one, tile in zip(widgets, tile_ids(widgets), strict=True)
        ]
    if grant.share_id:
        layout, may = shown.get("layout"), grant.changeable
        layout = layout if isinstance(layout, dict) else {}
        said = layout.get("controls")
        start = _picked(said, ("start",)) if isinstance(said, dict) else {}
        controls = {"timeframe": may.timeframe, "interval": may.interval, "filters": sorted(may.filters)}
        shown["layout"] = {**layout, "controls": controls | start}
    return json.dumps(shown, separators=(",", ":")).encode()


def _drawn_widget(widget: Json) -> Json:
    shown = _picked(widget, _DRAWN_OF_WIDGET)
    query = widget.get("query")
    # A query that is not a name is a definition.
    shown["query"] = query if isinstance(query, str) else None
    settings = widget.get("settings")
    if isinstance(settings, dict):
        shown["settings"] = _picked(settings, _DRAWN_OF_SETTINGS)
    return shown


def _picked(whole: Json, names: Iterable[str]) -> Json:
    return {name: whole[name] for name in names if name in whole}


def _metadata_of(dashboard: Dashboard | None) -> Json:
    if dashboard is None:
        return {}
    metadata: Json = json.loads(dashboard.metadata)
    return metadata | {_KEY: dashboard.public_key}


def _counted(document: Json) -> Json:
    widgets = document.get("widgets")
    listed = widgets if isinstance(widgets, list) else []
    queries = sum(isinstance(one, dict) and one.get("query") is not None for one in listed)
    return {"widgets": len(listed), "queries": queries}
