"""A shop's project: a month of purchases and visits, saved queries of every shape, and a dashboard."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from tests.support.embed import embed_token
from tests.support.server import Served, ServedProject

COUNTRIES = {"Poland": 9, "Germany": 6, "France": 4, "Italy": 3, "Czechia": 2, "Côte d'Ivoire <b>": 1}
PLANS = {"free": 5, "pro": 3, "team": 1}
DAYS = 29
"""All of them lie in `this_30_days`, at whatever hour it is here and in ``ZONE``."""
ZONE = "Europe/Warsaw"

Json = dict[str, Any]


def _span(**more: Any) -> Json:
    return {"event_collection": "purchases", "timeframe": "this_30_days", "timezone": ZONE, **more}


def _sum(**more: Any) -> Json:
    return _span(analysis_type="sum", target_property="price", **more)


def _steps() -> list[Json]:
    span = {"timeframe": "this_30_days", "timezone": ZONE, "actor_property": "user"}
    return [{"event_collection": name, **span} for name in ("visits", "carts", "purchases")]


SAVED: dict[str, tuple[Json, Json]] = {
    "revenue": (_sum(), {"display_name": "Revenue", "visualization": {"type": "metric", "format": "EUR"}}),
    "revenue-daily": (_sum(interval="daily"), {"display_name": "Revenue by day"}),
    "revenue-kpi": (
        _sum(interval="daily"),
        {"display_name": "Revenue yesterday", "visualization": {"type": "metric", "format": "EUR"}},
    ),
    "by-country": (_span(analysis_type="count", group_by="country"), {"display_name": "Orders by country"}),
    "country-plan": (
        _span(analysis_type="count", group_by=["country", "plan"]),
        {"display_name": "Orders by country and plan", "visualization": {"type": "stacked"}},
    ),
    "countries-daily": (
        _sum(interval="daily", group_by="country"),
        {"display_name": "Revenue of countries"},
    ),
    "plans-daily": (
        _span(analysis_type="count", interval="daily", group_by="plan"),
        {"display_name": "Orders of plans", "visualization": {"type": "area"}},
    ),
    "plans": (
        _span(analysis_type="count", group_by="plan"),
        {"display_name": "Plans", "visualization": {"type": "pie"}},
    ),
    "funnel": ({"analysis_type": "funnel", "steps": _steps()}, {"display_name": "From visit to purchase"}),
    "hours": (
        _span(analysis_type="count", interval="hourly", timeframe="this_7_days"),
        {"display_name": "When people buy", "visualization": {"type": "heatmap"}},
    ),
    "share": (
        _span(analysis_type="percentile", target_property="price", percentile=90),
        {"display_name": "90th percentile", "visualization": {"type": "gauge", "target": 40}},
    ),
    "recent": (
        _span(analysis_type="extraction", latest=50, property_names=["keen.timestamp", "country", "price"]),
        {"display_name": "Last orders"},
    ),
    "nothing": (_sum(interval="daily", event_collection="refunds"), {"display_name": "Refunds"}),
}

DASHBOARD: Json = {
    "title": "Sales",
    "layout": {"controls": {"timeframe": True, "interval": True, "filters": ["country", "plan"]}},
    "widgets": [
        {"query": "revenue", "layout": {"width": 4, "height": 190}},
        {"query": "revenue-kpi", "layout": {"width": 4, "height": 190}},
        {"query": "share", "title": "Large orders", "layout": {"width": 4, "height": 190}},
        {"query": "revenue-daily", "type": "area", "layout": {"width": 8}},
        {"query": "plans", "layout": {"width": 4}},
        {"query": "by-country", "layout": {"width": 6}},
        {"query": "funnel", "layout": {"width": 6}},
        {
            "type": "text",
            "title": "About",
            "settings": {"content": "All sums are <gross>."},
            "layout": {"width": 12},
        },
    ],
}

CREATORS: Json = {
    "version": "1.1.0",
    "widgets": [
        {
            "id": "widget/1",
            "type": "visualization",
            "query": "country-plan",
            "position": {"x": 0, "y": 0, "w": 7, "h": 12},
            "settings": {
                "visualizationType": "bar",
                "chartSettings": {"layout": "vertical", "groupMode": "stacked"},
                "widgetSettings": {"title": {"content": "Orders"}},
            },
        },
        {
            "id": "widget/2",
            "type": "visualization",
            "query": "by-country",
            "position": {"x": 7, "y": 0, "w": 5, "h": 12},
            "settings": {"visualizationType": "choropleth", "chartSettings": {}, "widgetSettings": {}},
        },
        {
            "id": "widget/3",
            "type": "text",
            "position": {"x": 0, "y": 12, "w": 12, "h": 2},
            "settings": {"content": {"blocks": [{"text": "lorem ipsum"}], "entityMap": {}}},
        },
        {
            "id": "widget/4",
            "type": "date-picker",
            "position": {"x": 0, "y": 14, "w": 4, "h": 2},
            "settings": {"widgets": ["widget/1"]},
        },
    ],
}


def _chosen(luck: random.Random, weights: dict[str, int]) -> str:
    return luck.choices(list(weights), list(weights.values()))[0]


def _events(now: datetime) -> dict[str, list[Json]]:
    luck = random.Random(11)
    found: dict[str, list[Json]] = {"visits": [], "carts": [], "purchases": []}
    for back in range(DAYS):
        for _ in range(30 - back // 2 + luck.randrange(8)):
            at = now - timedelta(days=back, minutes=luck.triangular(0, 1439, 400))
            user = f"u{luck.randrange(400)}"
            place = {"country": _chosen(luck, COUNTRIES), "plan": _chosen(luck, PLANS)}
            base = {"user": user, **place, "keen": {"timestamp": at.isoformat()}}
            found["visits"].append(base)
            if luck.random() < 0.6:
                found["carts"].append(base)
                if luck.random() < 0.6:
                    found["purchases"].append({**base, "price": round(luck.lognormvariate(3, 0.6), 2)})
    return found


@dataclass(frozen=True, slots=True)
class Shop:
    served: Served
    project: ServedProject
    access_key: str
    events: dict[str, list[Json]]

    @property
    def url(self) -> str:
        return self.served.url

    def token(self, **conditions: Any) -> str:
        return embed_token(self.access_key, conditions)

    def put(self, name: str, query: Json, metadata: Json | None = None) -> None:
        body = {"query": query, "metadata": metadata or {}}
        path = f"/3.0/projects/{self.project.id}/queries/saved/{name}"
        reply = self.served.request("PUT", path, body, key=self.project.master_key)
        assert reply.status in (200, 201), reply.body

    def put_dashboard(self, name: str, document: Json) -> None:
        path = f"/projects/{self.project.id}/dashboards/{quote(name)}"
        reply = self.served.request("PUT", path, document, key=self.project.master_key)
        assert reply.status in (200, 201), reply.body


def open_shop(served: Served, origins: list[str]) -> Shop:
    """A new project of this server, filled, with an access key whose tokens may be used on these origins."""
    project = served.new_project("Shop")
    now = datetime.now(UTC)
    events = _events(now)
    for collection, list_ in events.items():
        for start in range(0, len(list_), 500):
            served.record(project, collection, *list_[start : start + 500])
    key = {
        "name": "Embedding",
        "permitted": ["queries", "saved_queries", "cached_queries", "schema"],
        "options": {"embed": {"origins": origins}},
    }
    path = f"/3.0/projects/{project.id}/keys"
    made = served.request("POST", path, key, key=project.master_key).json["key"]
    shop = Shop(served, project, made, events)
    for name, (query, metadata) in SAVED.items():
        shop.put(name, query, metadata)
    shop.put_dashboard("sales", DASHBOARD)
    shop.put_dashboard("creators", CREATORS)
    return shop
