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
TYPES = ["metric", "line", "area", "bar", "stacked", "table", "funnel", "heatmap", "pie", "gauge"]
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


def answer(rng: Random) -> Json:
    """An answer as a result endpoint gives it, with or without its question."""
    kind = rng.choice(["count", "sum", "average", "multi_analysis", "select_unique", "funnel", "extraction"])
    if kind == "funnel":
        return _dressed(rng, _funnel(rng), {"analysis_type": "funnel"})
    if kind == "extraction":
        return _dressed(rng, _events(rng), {"analysis_type": "extraction"})
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
