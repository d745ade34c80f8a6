"""Conditions of alerts: which earlier values they need, and whether they are fulfilled. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from query.language.fields import is_number, whole, wrong
from query.language.parameters import check_keys
from service.alerts.buckets import Interval, Intervals
from storage.catalog.derived.records import AlertState

Number = int | float
KINDS = ("above", "below", "change", "anomaly", "no_data")
HISTORY_MIN = 4
HISTORY_MAX = 52
K = 4.0
HISTORY = 8
MAD_TO_DEVIATION = 1.4826
"""Times the median absolute deviation: the standard deviation, of values that are distributed normally."""
SPREAD_SHARE_MIN = 0.01
"""The least deviation that is reckoned with, as a share of the median: equal values have none."""
_MEMBERS = {
    "change": ("from", "above", "below", "in"),
    "anomaly": ("k", "history", "direction"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reference`` is what the value was compared with, as it is shown."""

    state: AlertState
    message: str
    reference: Mapping[str, Any] | None = None


def read_condition(value: Any) -> dict[str, Any]:
    """The condition in a definition, with all defaults written out. Raises InvalidQuery."""
    needs = 'an object such as {"above": 100}, {"change": …}, {"anomaly": {}} or {"no_data": true}'
    if not isinstance(value, Mapping) or not value:
        raise wrong("condition", needs, value)
    check_keys(value, KINDS, "a condition")
    given = {name: one for name, one in value.items() if one is not None}
    kinds = {"threshold" if name in ("above", "below") else name for name in given}
    if len(kinds) != 1:
        raise wrong("condition", f"{needs}, of one kind", value)
    kind = kinds.pop()
    if kind == "threshold":
        return dict(_bounds(given, "condition"))
    if kind == "no_data":
        if given["no_data"] is not True:
            raise wrong("condition.no_data", "true", given["no_data"])
        return {"no_data": True}
    inner, where = given[kind], f"condition.{kind}"
    if not isinstance(inner, Mapping):
        raise wrong(where, "an object", inner)
    check_keys(inner, _MEMBERS[kind], f"'{where}'")
    inner = {name: one for name, one in inner.items() if one is not None}
    return {kind: _change(inner, where) if kind == "change" else _anomaly(inner, where)}


def earlier(condition: Mapping[str, Any], clock: Intervals, bucket: Interval) -> list[Interval]:
    """The intervals whose values the condition needs beside the bucket's own."""
    if "change" in condition:
        weekday = condition["change"]["from"] == "same_weekday"
        return [clock.same_weekday(bucket, 1) if weekday else clock.before(bucket)]
    if "anomaly" in condition:
        return list(clock.history(bucket, condition["anomaly"]["history"]))
    return []


def judged(condition: Mapping[str, Any], value: Number | None, before: Sequence[Number | None]) -> Verdict:
    """``before``: the values of the ``earlier`` intervals; None is the value of an interval without any."""
    if "no_data" in condition:
        empty = value is None or value == 0
        return Verdict(
            AlertState.NO_DATA if empty else AlertState.OK,
            "There are no events." if empty else f"The value is {shown(value)}.",
        )
    if value is None:
        return Verdict(AlertState.NO_DATA, "There is no value.")
    if "change" in condition:
        return _judged_change(condition["change"], value, before[0])
    if "anomaly" in condition:
        return _judged_anomaly(condition["anomaly"], value, [one for one in before if one is not None])
    beyond = _beyond(condition, value)
    return Verdict(
        AlertState.FIRING if beyond else AlertState.OK, f"The value is {shown(value)}{beyond or ''}."
    )


def shown(value: Number | None) -> str:
    """A number for people: six digits behind the point at most."""
    if value is None:
        return "nothing"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6f}".rstrip("0").rstrip(".")


def _judged_change(change: Mapping[str, Any], value: Number, before: Number | None) -> Verdict:
    than = "a week earlier" if change["from"] == "same_weekday" else "before"
    if before is None:
        return Verdict(AlertState.NO_DATA, f"There was no value {than} to compare with.", {"value": None})
    difference: Number = value - before
    unit = ""
    if change["in"] == "percent":
        if before == 0:
            told = f"The value was 0 {than}, so there is no change in percent."
            return Verdict(AlertState.NO_DATA, told, {"value": before})
        difference, unit = difference / abs(before) * 100, " %"
    beyond = _beyond(change, difference, unit)
    told = (
        f"The value is {shown(value)}, and was {shown(before)} {than}: a change of {shown(difference)}{unit}"
    )
    state = AlertState.FIRING if beyond else AlertState.OK
    return Verdict(state, f"{told}{beyond or ''}.", {"value": before, "change": difference})


def _judged_anomaly(anomaly: Mapping[str, Any], value: Number, before: Sequence[Number]) -> Verdict:
    if len(before) < HISTORY_MIN:
        told = f"There are {len(before)} earlier values, and {HISTORY_MIN} are needed to judge."
        return Verdict(AlertState.OK, told, {"values": len(before)})
    centre = median(before)
    spread = MAD_TO_DEVIATION * median(abs(one - centre) for one in before)
    spread = max(spread, SPREAD_SHARE_MIN * abs(centre))
    low, high = centre - anomaly["k"] * spread, centre + anomaly["k"] * spread
    direction = anomaly["direction"]
    beyond = (value > high and direction != "below") or (value < low and direction != "above")
    where = "outside" if beyond else "within"
    expected = f"{shown(low)} to {shown(high)}, expected of {len(before)} values"
    told = f"The value is {shown(value)}, {where} {expected}."
    reference = {"median": centre, "low": low, "high": high, "values": len(before)}
    return Verdict(AlertState.FIRING if beyond else AlertState.OK, told, reference)


def _beyond(bounds: Mapping[str, Any], value: Number, unit: str = "") -> str:
    """Which bound the value is beyond, in words; empty if none."""
    above, below = bounds.get("above"), bounds.get("below")
    if above is not None and value > above:
        return f", above {shown(above)}{unit}"
    if below is not None and value < below:
        return f", below {shown(below)}{unit}"
    return ""


def _bounds(given: Mapping[str, Any], where: str) -> Iterator[tuple[str, Number]]:
    for name in ("above", "below"):
        if name in given:
            if not is_number(given[name]):
                raise wrong(f"{where}.{name}", "a number", given[name])
            yield name, given[name]


def _change(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    bounds = dict(_bounds(given, where))
    if not bounds:
        raise wrong(where, "with 'above' or 'below', the change that is too large", given)
    against, unit = given.get("from", "previous"), given.get("in", "percent")
    if against not in ("previous", "same_weekday"):
        raise wrong(f"{where}.from", "'previous' or 'same_weekday'", against)
    if unit not in ("percent", "absolute"):
        raise wrong(f"{where}.in", "'percent' or 'absolute'", unit)
    return {"from": against, "in": unit, **bounds}


def _anomaly(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    k, direction = given.get("k", K), given.get("direction", "both")
    if not is_number(k) or not 0 < k <= 1_000:
        raise wrong(f"{where}.k", "a number above 0, up to 1,000", k)
    history = whole(f"{where}.history", given.get("history", HISTORY), HISTORY_MIN)
    if history > HISTORY_MAX:
        raise wrong(f"{where}.history", f"a whole number from {HISTORY_MIN} to {HISTORY_MAX}", history)
    if direction not in ("both", "above", "below"):
        raise wrong(f"{where}.direction", "'both', 'above' or 'below'", direction)
    return {"k": k, "history": history, "direction": direction}
