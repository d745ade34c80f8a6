"""Answers of every shape, made up at random, and how to draw them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]

ZONES = [
    "UTC",
    "Europe/Warsaw",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "US/Pacific",
    None,
]
LOCALES = ["en-US", "en-GB", "de-DE", "pl-PL", "fr-FR", "ja-JP", "ar-EG", "hi-IN", "xx-nonsense!"]
INTERVALS = {
    "minutely": timedelta(minutes=1), "hourly": timedelta(hours=1), "daily": timedelta(days=1),
    "weekly": timedelta(days=7), "monthly": timedelta(days=30), "every_3_hours": timedelta(hours=3),
    "yearly": timedelta(days=365), "every_10_days": timedelta(days=10),
}  # fmt: skip
TYPES = ["metric", "line", "area", "bar", "stacked", "table", "funnel", "heatmap", "pie", "gauge", "sankey"]
NAMES = [
    "country",
    "geo.country",
    "user.plan",
    "a",
    "żółć",
    "Größe",
    "日本",
    "<b>&\"'</b>",
    "x" * 300,
    "plan",
    "__proto__",
]
TEXTS = [
    "Poland", "Germany", "", "Bosnia and Herzegovina", "日本語のとても長い名前",
    "</svg><script>alert(1)</script>",
    "Côte d’Ivoire", "🇵🇱🏳️‍🌈", "\x00\x1b\ufffe", "шляхта", "a" * 500, "עברית",
    "e\u0301" * 40, "\ud800", "]]>",
    "one two three four five six seven", "1", "true", "null", "constructor", "url(#a)",
]  # fmt: skip


def _text(rng: Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(TEXTS)
    alphabet = rng.choice(["abcdefghij", "ABCDEFG 0123456789", "żółćąęабвгдαβγδ", "<>&'\"\\/\n\t "])
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(0, 40)))


def _scalar(rng: Random) -> Any:
    return rng.choice(
        [_text(rng), _text(rng), rng.randint(-50, 50), rng.random() < 0.5, None, rng.random() * 100]
    )


def _numbers(rng: Random) -> Callable[[], Any]:
    """A source of numbers of one kind, with or without gaps."""
    gaps = rng.choice([0, 0, 0.2, 0.9])
    kinds: list[Callable[[], Any]] = [
        lambda: rng.randint(0, 10_000),
        lambda: rng.randint(0, 9),
        lambda: rng.randint(-(10**6), 10**9),
        lambda: 0,
        lambda: rng.random(),
        lambda: rng.uniform(-1, 1) * 10 ** rng.randint(-320, 308),
        lambda: 1e6 + rng.random() * 1e-6,
        lambda: -rng.random(),
        lambda: 10 ** rng.randint(0, 300),
    ]
    kind = rng.choice(kinds)
    return lambda: None if rng.random() < gaps else kind()


def _count(rng: Random, most: int) -> int:
    return rng.choice([0, 1, 2, 3, rng.randint(0, most), rng.randint(0, most)])


def timeframes(rng: Random, most: int) -> tuple[str, list[Json]]:
    """An interval and its parts, in the calendar of a zone."""
    interval = rng.choice(sorted(INTERVALS))
    zone = ZoneInfo(rng.choice([zone for zone in ZONES if zone]))
    first = datetime(2026, rng.randint(1, 12), rng.randint(1, 28), tzinfo=zone)
    step = INTERVALS[interval]
    begin = first if step >= timedelta(days=1) else first.astimezone(UTC)
    edges = [(begin + step * index).astimezone(UTC) for index in range(max(1, _count(rng, most)) + 1)]
    shown = [edge.strftime("%Y-%m-%dT%H:%M:%S.000Z") for edge in edges]
    return interval, [{"start": a, "end": b} for a, b in pairwise(shown)]


def _keys(rng: Random, taken: list[str]) -> list[Json]:
    groups = rng.sample([name for name in NAMES if name not in taken], rng.choice([1, 1, 2, 3]))
    pool = {name: [_scalar(rng) for _ in range(rng.choice([2, 5, 30]))] for name in groups}
    rows = [{name: rng.choice(pool[name]) for name in groups} for _ in range(_count(rng, 40))]
    return list({repr(list(row.values())): row for row in rows}.values())


def _funnel(rng: Random) -> Json:
    echo = [
        {"event_collection": _text(rng), "optional": rng.random() < 0.2, "inverted": rng.random() < 0.2}
        for _ in range(rng.randint(1, 12))
    ]
    result = [rng.choice([None, rng.randint(0, 100_000), 0]) for _ in echo]
    whole = {"result": result, "steps": echo, "actors": None}
    return {"result": whole} if rng.random() < 0.5 else {"result": result, "steps": echo}


def _events(rng: Random) -> Json:
    def event() -> Json:
        own = {
            rng.choice(NAMES): rng.choice([_scalar(rng), {"deep": {"er": _scalar(rng)}}, [1, "a"]])
            for _ in range(6)
        }
        return {
            **own,
            "keen": {
                "timestamp": "2026-01-01T00:00:00.000Z",
                "created_at": "2026-01-01T00:00:00.000Z",
                "id": "1",
            },
        }

    return {"result": [event() for _ in range(_count(rng, 40))]}


def _values(rng: Random, kind: str, measures: list[str]) -> Callable[[], Json]:
    """A row's values, by measure."""
    if kind == "select_unique":
        return lambda: {"result": [_scalar(rng) for _ in range(_count(rng, 6))]}
    sources = {name: _numbers(rng) for name in measures}
    return lambda: {name: source() for name, source in sources.items()}


PLAIN = ("count", "sum", "average", "multi_analysis", "select_unique", "funnel", "extraction")


def _sized(rng: Random, periods: int) -> Json:
    size = rng.choice([0, rng.randint(1, 10**6)])
    retained = [rng.choice([None, rng.randint(0, size)]) for _ in range(rng.randint(0, periods))]
    rates = [None if one is None or not size else one / size for one in retained]
    return {
        "size": size,
        "retained": retained,
        "rates": rates,
        "unfinished": [rng.random() < 0.2 for _ in rates],
    }


def _retention(rng: Random) -> tuple[Json, Json]:
    interval, frames = timeframes(rng, 60)
    rows = [{"timeframe": frame, **_sized(rng, 60 - at)} for at, frame in enumerate(frames[:60])]
    query: Json = {"analysis_type": "retention", "interval": interval, "timezone": rng.choice(ZONES)}
    if rng.random() < 0.5:
        one = _sized(rng, 60)
        return {"result": rows, "summary": {**one, "sizes": [one["size"] for _ in one["rates"]]}}, query
    groups = [_scalar(rng) for _ in range(_count(rng, 30))]
    rows = [{"geo.country": group, **row} for group in groups for row in rows[:3]]
    return {"result": rows, "summary": [{"geo.country": group, **_sized(rng, 12)} for group in groups]}, query


def _paths(rng: Random) -> tuple[Json, Json]:
    back, wide = rng.random() < 0.5, rng.choice([1, 3, 12, 60])
    nodes: list[Json] = []
    for step in range(_count(rng, 12)):
        for _ in range(rng.randint(1, wide)):
            node = {
                "id": len(nodes),
                "step": -step if back else step,
                "name": _scalar(rng),
                "paths": rng.randint(1, 10**5),
            }
            node["began" if back else "ended"] = rng.randint(0, node["paths"])
            nodes.append({**node, **({"names": 3, "name": "other"} if rng.random() < 0.2 else {})})
    pairs = [(a, b) for a in nodes for b in nodes if a["step"] + 1 == b["step"]]
    edges = [
        {"source": a["id"], "target": b["id"], "step": a["step"], "paths": rng.randint(1, a["paths"])}
        for a, b in rng.sample(pairs, min(len(pairs), 1000))
    ]
    left = {"edges": rng.choice([0, 7]), "paths": 9}
    return {"result": {"paths": 9, "nodes": nodes, "edges": edges, "left_out": left}}, {
        "analysis_type": "paths"
    }


def _measured(rng: Random, analysis: str, measures: list[str]) -> tuple[Json, Json]:
    """One row of measures, or one for each group, interval, or both."""
    sources = {name: _numbers(rng) for name in measures}
    query: Json = {"analysis_type": analysis}
    keys = _keys(rng, measures) if rng.random() < 0.5 else []
    if keys:
        query["group_by"] = list(keys[0])

    def part() -> Any:
        values = [{**key, **{name: source() for name, source in sources.items()}} for key in keys or [{}]]
        return values if keys else values[0]

    if analysis == "sessions" and rng.random() < 0.5:
        return {"result": part()}, query
    query["interval"], frames = timeframes(rng, 40)
    return {"result": [{"value": part(), "timeframe": frame} for frame in frames]}, query


def _series(rng: Random) -> tuple[Json, Json]:
    made, query = _measured(rng, "series", rng.sample(NAMES, rng.randint(1, 4)))
    compared = [{**row, "compare": {"timeframe": None, "value": row["value"]}} for row in made["result"]]
    return {"result": compared, "compare": {"unmatched": []}}, query


def _timed_funnel(rng: Random) -> tuple[Json, Json]:
    steps = [{"event_collection": _text(rng)} for _ in range(rng.randint(1, 9))]
    counts = [rng.randint(0, 10**6) for _ in steps]
    times = [None, *({"median": rng.choice([None, 0, rng.random() * 1e7])} for _ in steps[1:])]
    query = {"analysis_type": "funnel"}
    if rng.random() < 0.5:
        return {"result": counts, "steps": steps, "times": {"steps": times}}, query
    rows: list[Json] = [{"geo.country": _scalar(rng), "result": counts} for _ in range(_count(rng, 9))]
    if rng.random() < 0.5:
        frames = timeframes(rng, 9)[1]
        rows = [{"timeframe": frame, "value": rng.choice([counts, rows])} for frame in frames]
    return {"result": rows, "steps": steps}, query


DAYS = ["dau", "wau", "mau", "dau_wau", "dau_mau", "wau_mau"]
OF_SESSIONS = ["sessions", "actors", "events", "events_per_session", "bounce_rate", "duration_average"]
ACTORS: dict[str, Callable[[Random], tuple[Json, Json]]] = {
    "retention": _retention,
    "paths": _paths,
    "lifecycle": lambda rng: _measured(rng, "lifecycle", ["new", "returning", "resurrected", "dormant"]),
    "stickiness": lambda rng: _measured(rng, "stickiness", DAYS),
    "sessions": lambda rng: _measured(rng, "sessions", OF_SESSIONS),
    "series": _series,
    "timed funnel": _timed_funnel,
}


def answer(rng: Random) -> Json:
    """An answer as a result endpoint gives it, with or without its question."""
    kind = rng.choice([*PLAIN, *ACTORS])
    if kind == "funnel":
        return _dressed(rng, _funnel(rng), {"analysis_type": "funnel"})
    if kind == "extraction":
        return _dressed(rng, _events(rng), {"analysis_type": "extraction"})
    if kind in ACTORS:
        return _dressed(rng, *ACTORS[kind](rng))
    measures = rng.sample(NAMES, rng.randint(1, 6)) if kind == "multi_analysis" else ["result"]
    values = _values(rng, kind, measures)
    plain: Callable[[], Any] = values if kind == "multi_analysis" else lambda: values()["result"]
    query: Json = {"analysis_type": kind}
    shape = rng.choice(["number", "groups", "intervals", "both"])
    keys = _keys(rng, measures) if shape in ("groups", "both") else []
    if keys:
        query["group_by"] = list(keys[0])
    result: Any = plain() if shape == "number" else [{**key, **values()} for key in keys]
    if shape in ("intervals", "both"):
        query["interval"], frames = timeframes(rng, 400 if shape == "intervals" else 50)
        query["timezone"] = rng.choice([*ZONES, 3600, "-28800", "Not/AZone"])
        part = (
            (lambda: [{**key, **values()} for key in keys if rng.random() < 0.9])
            if shape == "both"
            else plain
        )
        result = [{"value": part(), "timeframe": frame} for frame in frames]
    return _dressed(rng, {"result": result}, query)


def _dressed(rng: Random, found: Json, query: Json) -> Json:
    if rng.random() < 0.5:
        found["query"] = query
    if rng.random() < 0.2:
        found["complete"] = False
    if rng.random() < 0.4:
        kind = rng.choice([*TYPES, "choropleth", "horizontal-bar", ""])
        found["metadata"] = {"display_name": _text(rng), "visualization": {"chart_type": kind}}
    return found


FORMATS = [
    "percent",
    "EUR",
    "duration",
    "bytes",
    "nonsense",
    {"currency": "x"},
    {"currency": "JPY", "decimals": 30},
    {"style": "percent", "of": 100},
]


def _some(rng: Random, choices: dict[str, list[Any]], share: float) -> Json:
    return {name: rng.choice(values) for name, values in choices.items() if rng.random() < share}


def options(rng: Random) -> Json:
    return _some(rng, {
        "format": FORMATS, "now": ["2026-06-15T12:00:00Z", 0, None, "never"], "limit": [0, 1, 3, 50, 1000],
        "orientation": ["horizontal", "vertical", "askew"], "target": [0, 50, -3],
        "curve": ["smooth", "step"],
        "value": ["latest", "total", "finished"], "previous": [{"result": 5}, {"result": []}],
        "annotations": [[{"at": "2026-06-01T00:00:00Z", "label": "Release"}, {"value": 10, "label": "Goal"}]],
        "colors": [["#ff0000", "url(x)"], {"Poland": "rgb(1, 2, 3)"}], "min": [0, 100, -5], "max": [0, 10],
    }, 0.2)  # fmt: skip


def drawing(rng: Random) -> Json:
    how = _some(rng, {
        "theme": ["light", "dark", {"accent": "#7a1f5c", "font": "Georgia"}, {"text": "url(//x)"}, "none"],
        "locale": LOCALES, "resolve": [True], "interactive": [True], "title": [_text(rng), _text(rng), False],
        "timezone": ["Asia/Tokyo", 7200],
    }, 0.5)  # fmt: skip
    return {
        "width": rng.choice([rng.randint(200, 1400), 360]),
        "height": rng.choice([rng.randint(100, 900), 300]),
        **how,
    }
