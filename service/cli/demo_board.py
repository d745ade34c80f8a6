"""The saved queries and dashboards of the demo shop, stored as the API stores them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from query.language.filters import conservative_regex_check
from query.language.parse import parse
from query.limits import Limits
from service.auth.access_keys import checked, new_access_key
from service.auth.embed_tokens import NONCE_SIZE, made_token
from service.cli.demo_shop import SALE_CAMPAIGN
from service.queries import dashboards
from service.saved_queries import definition as saved
from storage.catalog.catalog import Catalog, system_clock

Json = dict[str, Any]

_PAST = "this_90_days"
_LATELY = "this_30_days"


def _question(analysis: str, collection: str, timeframe: str = _LATELY, **more: Any) -> Json:
    return {"analysis_type": analysis, "event_collection": collection, "timeframe": timeframe, **more}


def _shown(name: str, type: str, **more: Any) -> Json:
    return {"display_name": name, "visualization": {"type": type, **more}}


_FUNNEL = {
    "analysis_type": "funnel",
    "steps": [
        {"event_collection": name, "actor_property": "session.id", "timeframe": _LATELY}
        for name in ("page_views", "carts", "checkouts", "purchases")
    ],
}
_STEP_NAMES = {"page_views": "Visits", "carts": "Carts", "checkouts": "Checkouts", "purchases": "Orders"}
_TOTAL = {"target_property": "order.total"}
_SESSIONS = {"target_property": "session.id"}

SAVED_QUERIES: dict[str, tuple[Json, Json]] = {
    "revenue": (
        _question("sum", "purchases", **_TOTAL, interval="daily"),
        _shown("Revenue", "metric", format="EUR", value="total"),
    ),
    "revenue-by-day": (
        _question("sum", "purchases", _PAST, **_TOTAL, interval="daily"),
        _shown("Revenue by day", "line", format="EUR"),
    ),
    "average-order": (
        _question("average", "purchases", **_TOTAL),
        _shown("Average order", "gauge", format="EUR", target=50, max=80),
    ),
    "orders-by-country": (
        _question("count", "purchases", group_by="geo.country"),
        _shown("Orders by country", "bar", limit=8),
    ),
    "payment-methods": (
        _question("count", "purchases", group_by="payment.method"),
        _shown("Payment methods", "pie"),
    ),
    "visit-to-order": (_FUNNEL, _shown("From visit to order", "funnel", names=_STEP_NAMES)),
    "visitors": (
        _question("count_unique", "page_views", target_property="user.id"),
        _shown("Visitors", "metric"),
    ),
    "sessions-by-device": (
        _question("count_unique", "page_views", _PAST, **_SESSIONS, interval="daily", group_by="device.type"),
        _shown("Visits by device", "area"),
    ),
    "sources": (
        _question("count_unique", "page_views", **_SESSIONS, group_by="referrer.source"),
        _shown("Where visits come from", "bar", names={"null": "direct"}),
    ),
    "sign-ups": (
        _question("count", "signups", _PAST, interval="weekly", group_by="signup.method"),
        _shown("Sign-ups", "stacked"),
    ),
    "busy-hours": (
        _question("count", "page_views", "previous_7_days", interval="hourly"),
        _shown("When people come", "heatmap"),
    ),
    "sale-orders": (
        _question(
            "multi_analysis",
            "purchases",
            _PAST,
            group_by="geo.country",
            filters=[
                {"property_name": "referrer.campaign", "operator": "eq", "property_value": SALE_CAMPAIGN}
            ],
            analyses={
                "orders": {"analysis_type": "count"},
                "revenue": {"analysis_type": "sum", **_TOTAL},
                "average": {"analysis_type": "average", **_TOTAL},
            },
        ),
        _shown("Orders by the sale's campaign", "table"),
    ),
    "favourite-products": (
        _question("count", "carts", group_by=["product.name", "product.category"]),
        _shown("What goes into carts", "stacked", limit=10, orientation="horizontal"),
    ),
    "search-terms": (
        _question("count", "searches", group_by="search.term"),
        _shown("What people search for", "bar", limit=10),
    ),
    "load-times": (
        _question("percentile", "page_views", target_property="load_ms", percentile=95, group_by="page.type"),
        _shown("Slowest pages", "bar", format={"style": "duration", "unit": "ms"}),
    ),
}
"""Name of a saved query → its question and metadata."""


def _widget(query: str, width: int, height: int | None = None) -> Json:
    return {"query": query, "layout": {"width": width} | ({} if height is None else {"height": height})}


def _board(title: str, filters: list[str], widgets: list[Json]) -> Json:
    controls = {"timeframe": True, "interval": True, "filters": filters}
    return {"title": title, "layout": {"controls": controls}, "widgets": widgets}


DASHBOARDS: dict[str, Json] = {
    "sales": _board(
        "Sales",
        ["geo.country"],
        [
            _widget("revenue", 4, 190),
            _widget("average-order", 4, 190),
            _widget("payment-methods", 4, 190),
            _widget("revenue-by-day", 8),
            _widget("orders-by-country", 4),
            _widget("visit-to-order", 6),
            _widget("sale-orders", 6),
        ],
    ),
    "audience": _board(
        "Audience",
        ["geo.country", "device.type"],
        [
            _widget("visitors", 4, 190),
            _widget("sources", 8, 190),
            _widget("sessions-by-device", 12),
            _widget("sign-ups", 6),
            _widget("busy-hours", 6),
        ],
    ),
    "product": _board(
        "Product",
        ["geo.country", "device.type"],
        [_widget("favourite-products", 12), _widget("search-terms", 6), _widget("load-times", 6)],
    ),
}
"""Id of a dashboard → its document."""


def store_board(catalog: Catalog, project_id: str, limits: Limits) -> None:
    """Store the saved queries and the dashboards. Blocks."""

    def judge(analysis: str, params: Mapping[str, Any]) -> None:
        parse(
            analysis,
            params,
            now_us=system_clock(),
            limits=limits,
            check_regex=conservative_regex_check,
        )

    for name, (query, metadata) in SAVED_QUERIES.items():
        read = saved.read(name, {"query": query, "metadata": metadata}, judge)
        catalog.saved_queries.put(
            project_id,
            name,
            read.name,
            query=read.query,
            metadata=read.metadata,
            refresh_rate=read.refresh_rate,
        )
    for name, document in DASHBOARDS.items():
        dashboards.check_document(document)
        metadata = dashboards.check_metadata({"title": document["title"], "tags": ["demo"]})
        dashboards.store(catalog, project_id, dashboards.read_name(name), document, metadata, system_clock())


def make_viewer_key(catalog: Catalog, project_id: str) -> str:
    """Make and store the access key that shows the dashboards and nothing else; returns the key."""
    body = {"name": "Demo dashboards", "permitted": ["queries", "saved_queries", "cached_queries"]}
    key, record = new_access_key(
        catalog.keyring, project_id, checked(body, conservative_regex_check), system_clock()
    )
    catalog.access_keys.create(record)
    return key


def dashboard_tokens(access_key: str, names: Iterable[str]) -> dict[str, str]:
    """Id of a dashboard → an embed token that shows it, and lets its viewer change what its controls do."""
    tokens = {}
    for name in names:
        viewer = DASHBOARDS[name]["layout"]["controls"]
        queries = [widget["query"] for widget in DASHBOARDS[name]["widgets"]]
        conditions = {"dashboards": [name], "saved_queries": queries, "viewer": viewer}
        tokens[name] = made_token(access_key, json.dumps(conditions).encode(), os.urandom(NONCE_SIZE))
    return tokens
