"""Dashboards as Keen's dashboard creator keeps them: a JSON document each, and metadata that lists show.

Keys that see all of a project's answers see all its dashboards. Any other sees those alone that were shared
with it: ``isPublic``, with the key as ``publicAccessKey``.
"""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import replace
from typing import Any

from service.answerable import check_answerable
from service.auth.access_keys import NO_OPTIONS
from service.auth.principal import Caller, Permission
from service.bodies.json_body import json_of
from service.errors import InvalidJSON, InvalidParameter
from storage.catalog.derived.records import Dashboard

DOCUMENT_BYTES_MAX = 1_000_000
METADATA_BYTES_MAX = 16_384
DASHBOARDS_MAX = 1_000
"""Of a project."""
LIST = "metadata"
"""The name that no dashboard can have: at its address stands the list."""
_NAME = re.compile(r"[^\x00-\x1f\x7f/]{1,256}")
_KEY = "publicAccessKey"
_KNOWN = ("title", "widgets", "queries", "tags", "lastModificationDate", "isPublic", _KEY)
"""Of the metadata; their types are those of ``service.http.models.dashboards``."""

Json = dict[str, Any]


def read_name(name: str) -> str:
    """Raises InvalidParameter."""
    if name == LIST or not _NAME.fullmatch(name):
        raise InvalidParameter(
            f"A dashboard's id must be 1 to 256 characters, none of them a control character or a slash, "
            f"and not '{LIST}'. You specified: {name[:256]}."
        )
    return name


def read_header(raw: bytes) -> Any:
    """The JSON of the metadata that comes in a header. Raises InvalidJSON."""
    try:
        return json_of(raw)
    except InvalidJSON:
        # What browsers let scripts put into headers beyond ASCII goes out as Latin-1.
        return json_of(raw.decode("latin-1").encode())


def check_metadata(given: Json) -> Json:
    """Metadata whose known fields are of their types. Raises InvalidParameter where it may not be kept."""
    check_answerable(given, "metadata")
    if len(json.dumps(given)) > METADATA_BYTES_MAX:
        raise InvalidParameter(f"A dashboard's metadata may have {METADATA_BYTES_MAX} bytes at most.")
    return given


def check_document(document: Any) -> None:
    """Raises InvalidParameter."""
    if not isinstance(document, dict):
        raise InvalidParameter("A dashboard must be a JSON object.")
    check_answerable(document, "dashboard")


def made(name: str, document: Json, given: Json | None, old: Dashboard | None, now_ms: int) -> Dashboard:
    """``given``: the metadata sent with the document; without any, what was said of it stands."""
    counted = _counted(document) | {"lastModificationDate": now_ms}
    if given is None:
        return stored(name, _metadata_of(old) | counted)
    return stored(name, counted | {key: value for key, value in given.items() if value is not None})


def stored(name: str, metadata: Json) -> Dashboard:
    """The id is the path's, whatever the metadata says; the key is kept apart. Of what is known, null is
    the same as nothing."""
    nothing = {name for name in _KNOWN if metadata.get(name) is None}
    kept = {name: value for name, value in metadata.items() if name not in nothing | {"id", _KEY}}
    return Dashboard(name, json.dumps(kept), metadata.get(_KEY))


def described(dashboard: Dashboard) -> Json:
    """The metadata as it is told: all that was sent, and what the dashboard creator reads."""
    known: Json = {
        "title": None,
        "widgets": 0,
        "queries": 0,
        "tags": [],
        "lastModificationDate": None,
        "isPublic": False,
    }
    said: Json = json.loads(dashboard.metadata)
    return {"id": dashboard.name} | known | said | {_KEY: dashboard.public_key}


def visible(caller: Caller, key: str, dashboard: Dashboard) -> bool:
    if sees_all(caller):
        return True
    shared = dashboard.public_key
    if shared is None or json.loads(dashboard.metadata).get("isPublic") is not True:
        return False
    return hmac.compare_digest(shared.encode("utf-8", "surrogatepass"), key.encode("utf-8", "surrogatepass"))


def sees_all(caller: Caller) -> bool:
    """Whether nothing narrows what this caller may ask."""
    narrowed = caller.forced_filters or replace(caller.options, autofill=None, quotas={}) != NO_OPTIONS
    return Permission.QUERIES in caller.permissions and not narrowed


def _metadata_of(dashboard: Dashboard | None) -> Json:
    if dashboard is None:
        return {}
    metadata: Json = json.loads(dashboard.metadata)
    return metadata | {_KEY: dashboard.public_key}


def _counted(document: Json) -> Json:
    widgets = document.get("widgets")
    of = widgets if isinstance(widgets, list) else []
    query_service = sum(isinstance(one, dict) and one.get("query") is not None for one in of)
    return {"widgets": len(of), "queries": query_service}
