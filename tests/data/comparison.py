"""When an answer equals the expected one: the conventions of ``answers.json``."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

EMPTY = (0, None)


def same(query: dict[str, Any], expected: dict[str, Any], body: dict[str, Any]) -> bool:
    """Does the body of an answer say what is expected of this question?"""
    found, wanted = body["result"], expected["result"]
    if query["analysis"] == "retention":
        return bool([(row["size"], row["retained"]) for row in found] == wanted)
    if query["analysis"] == "extraction":
        return _same_events(found, wanted)
    if not (isinstance(wanted, list) and wanted and isinstance(wanted[0], dict)):
        return close(found, wanted)
    if "timeframe" in wanted[0]:
        return len(found) == len(wanted) and all(map(_same_interval, found, wanted))
    if "order_by" in query:
        return close([row["result"] for row in found], [row["result"] for row in wanted])
    return close(_by_group(found), _by_group(wanted))


def close(found: Any, wanted: Any) -> bool:
    """Equal; floats to a relative 1e-9, integers exactly."""
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(close, found, wanted))
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(close(found[key], wanted[key]) for key in wanted)
    if isinstance(found, float) or isinstance(wanted, float):
        return found is not None and wanted is not None and math.isclose(found, wanted, rel_tol=1e-9)
    return bool(found == wanted)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _same_interval(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    for end in ("start", "end"):
        if _instant(found["timeframe"][end]) != _instant(wanted["timeframe"][end]):
            return False
    value = wanted["value"]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return close(_without_empty(found["value"]), _without_empty(value))
    return close(found["value"], value)


def _by_group(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Group values → result: the order of rows is free."""
    return {
        json.dumps({key: value for key, value in row.items() if key != "result"}, sort_keys=True): row[
            "result"
        ]
        for row in rows
    }


def _without_empty(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {group: result for group, result in _by_group(rows).items() if result not in EMPTY}


def _flat(event: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in event.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _same_events(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> bool:
    """Newest first; among equal times any order."""

    def key(event: dict[str, Any]) -> tuple[datetime, str]:
        rest = {name: value for name, value in event.items() if name != "keen.timestamp"}
        return _instant(event["keen.timestamp"]), json.dumps(rest, sort_keys=True)

    flat = [_flat(event) for event in found]
    times = [_instant(event["keen.timestamp"]) for event in flat]
    return times == sorted(times, reverse=True) and sorted(map(key, flat)) == sorted(map(key, wanted))
