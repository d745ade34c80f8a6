"""Retention as what charts can draw: a heat map of rates, a row for each cohort or group."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

from query.language.parameter_table import RETENTION
from query.language.timeframe import bucket_zone

_NAME = b'"retention"'
_GIVEN = ("timeframe", "size", "sizes", "retained", "rates", "unfinished")
_PERIOD, _COHORT = "period", "cohort"


def drawable(answer: bytes) -> bytes:
    """The answer to a saved query; that of a retention as the rates of groups."""
    if _NAME not in answer:
        return answer
    sent = json.loads(answer)
    query = sent.get("query")
    if not isinstance(query, dict) or query.get("analysis_type") != RETENTION:
        return answer
    metadata = sent.get("metadata") or {}
    look = {"type": "heatmap", "format": "percent", **(metadata.get("visualization") or {})}
    grouped = isinstance(sent.get("summary"), list)
    rows = list(_groups(sent["summary"], query) if grouped else _cohorts(sent, query))
    made = {
        **sent,
        "result": rows,
        "query": {"analysis_type": "average", "group_by": [_PERIOD, _COHORT]},
        "metadata": {**metadata, "visualization": look},
    }
    return json.dumps(made).encode()


def _cohorts(sent: Mapping[str, Any], query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    zone = bucket_zone(query.get("timeframe"), query.get("timezone"))
    names = _PeriodNames(query)
    for row in sent["result"]:
        start = _shown(row["timeframe"]["start"], zone, str(query.get("interval")))
        for number, rate in enumerate(row["rates"]):
            yield {_PERIOD: names[number], _COHORT: f"{start} ({row['size']:,})", "result": rate}


def _groups(summary: list[Mapping[str, Any]], query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    names = _PeriodNames(query)
    for row in summary:
        group = next((value for name, value in row.items() if name not in _GIVEN), None)
        for number, rate in enumerate(row["rates"]):
            yield {_PERIOD: names[number], _COHORT: group, "result": rate}


class _PeriodNames:
    """What periods are called: by their numbers, or by those of their brackets."""

    def __init__(self, query: Mapping[str, Any]) -> None:
        self._brackets = query.get("brackets")

    def __getitem__(self, number: int) -> str:
        if not self._brackets:
            return str(number)
        first, last = self._brackets[number]
        return str(first) if first == last else f"{first}–{last}"


def _shown(start: str, zone: tzinfo, interval: str) -> str:
    """When a cohort began, as exactly as its interval says."""
    local = datetime.fromisoformat(start).astimezone(zone)
    unit = interval.removesuffix("s").rpartition("_")[2]
    if unit in ("year", "yearly"):
        return f"{local:%Y}"
    if unit in ("month", "monthly") and local.day == 1:
        return f"{local:%Y-%m}"
    if unit in ("minute", "minutely", "hour", "hourly"):
        return f"{local:%Y-%m-%d %H:%M}"
    return f"{local:%Y-%m-%d}"
