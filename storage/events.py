"""One event, examined in full: the slow path that every rule about an event is written in.

The strict decoder (``storage.decoder``) passes events of a known shape untouched; what it does not
pass comes here, where it is parsed, checked against the names and limits of the API, completed and
written out again in a normal form (one line, no duplicate keys, numbers with their exact value).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from storage.instants import parse_instant
from storage.schema import LaneKind

EXACT_INTEGER = 2**53
"""Every integer up to this magnitude is a double."""

Wanted = list[tuple[str, LaneKind]]


class InvalidEvent(Exception):
    """An event that can never be stored; ``name`` is Keen's error name, ``description`` for a person."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(description)
        self.name = name
        self.description = description


class InvalidJSON(InvalidEvent):
    """Bytes that are no JSON text."""

    def __init__(self, why: str) -> None:
        super().__init__("InvalidJSONError", f"The event is not valid JSON: {why}.")


@dataclass(frozen=True, slots=True)
class EventLimits:
    """Bounds of one event: lengths in code points, depth in levels (the event itself is level 1)."""

    name_length_max: int = 256
    string_length_max: int = 9_999
    depth_max: int = 100
    token_length_max: int = 64


@dataclass(frozen=True, slots=True)
class Context:
    """What ``${keen.ip}`` and ``${keen.user_agent}`` stand for in one request."""

    ip: str = ""
    user_agent: str = ""


@dataclass(slots=True)
class Examined:
    """An event that may be stored. ``payload`` is one line of JSON, without a line end."""

    payload: bytes
    timestamp_us: int | None
    token: str | None
    wanted: Wanted
    has_null: bool
    has_empty: bool


@dataclass(slots=True)
class _Findings:
    """What a walk over an event collects."""

    wanted: dict[tuple[str, LaneKind], None] = field(default_factory=dict)
    nulls: list[str] = field(default_factory=list)
    empties: list[str] = field(default_factory=list)


def examine(raw: bytes | memoryview, limits: EventLimits, context: Context) -> Examined:
    """Parse, check and complete one event. Raises InvalidEvent (InvalidJSON for what is no JSON)."""
    try:
        return _examine(parse_event(raw), limits, context)
    except RecursionError:
        raise _too_deep(limits) from None
    except UnicodeEncodeError:
        raise InvalidEvent("InvalidPropertyValueError", "Text holds an unpaired surrogate.") from None


def _examine(event: dict[str, Any], limits: EventLimits, context: Context) -> Examined:
    timestamp_us, token = _take_keen(event, limits)
    findings = _Findings()
    _walk_object(event, "", 1, limits, findings)
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if "${keen." in text:
        event = _replace_placeholders(event, context)
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    wanted = list(findings.wanted)
    return Examined(text.encode(), timestamp_us, token, wanted, bool(findings.nulls), bool(findings.empties))


def parse_event(raw: bytes | memoryview) -> dict[str, Any]:
    """The event as Python values: integers exact, the last of duplicate keys. Raises InvalidEvent."""
    try:
        value = json.loads(str(raw, "utf-8"), parse_constant=_refuse_constant, parse_float=_parse_float)
    except UnicodeDecodeError as error:
        raise InvalidJSON(f"it is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise InvalidJSON(f"{error.msg[0].lower()}{error.msg[1:]} at character {error.pos}") from None
    except ValueError as error:
        if isinstance(error, _RefusedNumber):
            raise InvalidJSON(str(error)) from None
        raise InvalidEvent("InvalidPropertyValueError", "An integer has more digits than allowed.") from None
    if not isinstance(value, dict):
        raise InvalidEvent("InvalidEventError", "An event must be a JSON object.")
    return value


class _RefusedNumber(ValueError):
    pass


def _refuse_constant(name: str) -> float:
    raise _RefusedNumber(f"{name} is no JSON number")


def _parse_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _RefusedNumber(f"the number {text[:40]} is out of range")
    return value


def number_kind(value: float) -> LaneKind:
    """The lane of a number, by its value alone, so that equal numbers share a lane."""
    if isinstance(value, float) or -EXACT_INTEGER <= value <= EXACT_INTEGER:
        return LaneKind.NUMBER
    try:
        if int(float(value)) == value:
            return LaneKind.NUMBER
    except OverflowError:
        return LaneKind.LONG
    return LaneKind.INTEGER if -(2**63) <= value < 2**63 else LaneKind.LONG


def kind_of(value: object) -> LaneKind:
    """The lane of a scalar or list. TypeError for an object or null."""
    if isinstance(value, str):
        return LaneKind.STRING
    if isinstance(value, bool):
        return LaneKind.BOOLEAN
    if isinstance(value, (int, float)):
        return number_kind(value)
    if isinstance(value, list):
        return LaneKind.JSON
    raise TypeError(type(value))


def leaves(event: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every (path, value) of an event: scalars, lists, ``None`` and empty objects."""
    for name, value in event.items():
        path = prefix + name
        if isinstance(value, dict) and value:
            yield from leaves(value, path + ".")
        else:
            yield path, value


def _walk_object(value: dict[str, Any], prefix: str, depth: int, limits: EventLimits, out: _Findings) -> None:
    if depth > limits.depth_max:
        raise _too_deep(limits)
    for name, child in value.items():
        _check_name(name, limits)
        path = prefix + name
        if child is None:
            out.nulls.append(path)
            out.wanted[(path, LaneKind.NULL)] = None
        elif isinstance(child, dict):
            if not child:
                out.empties.append(path)
            _walk_object(child, path + ".", depth + 1, limits, out)
        else:
            _check_value(child, path, depth + 1, limits)
            out.wanted[(path, kind_of(child))] = None


def _check_name(name: str, limits: EventLimits) -> None:
    if name and len(name) <= limits.name_length_max and name[0] != "$" and "." not in name:
        return
    raise InvalidEvent(
        "InvalidPropertyNameError",
        f"Property name is invalid. Must be between 1 and {limits.name_length_max} characters, cannot start "
        f"with the '$' symbol, and cannot contain the '.' symbol anywhere. You specified: '{name[:300]}'.",
    )


def _check_value(value: Any, path: str, depth: int, limits: EventLimits) -> None:
    if isinstance(value, str):
        if len(value) > limits.string_length_max:
            raise InvalidEvent(
                "InvalidPropertyValueError",
                f"Property value is invalid. A string must be shorter than {limits.string_length_max + 1} "
                f"characters. Property: '{path[:300]}', length: {len(value)}.",
            )
    elif isinstance(value, (list, dict)):
        if depth > limits.depth_max:
            raise _too_deep(limits)
        for child in value.values() if isinstance(value, dict) else value:
            _check_value(child, path, depth + 1, limits)
        if isinstance(value, dict) and any(len(name) > limits.name_length_max for name in value):
            _check_name(max(value, key=len), limits)


def _too_deep(limits: EventLimits) -> InvalidEvent:
    return InvalidEvent(
        "InvalidPropertyValueError", f"The event is nested deeper than {limits.depth_max} levels."
    )


def _replace_placeholders(value: Any, context: Context) -> Any:
    if isinstance(value, str):
        if value == "${keen.ip}":
            return context.ip
        return context.user_agent if value == "${keen.user_agent}" else value
    if isinstance(value, dict):
        return {name: _replace_placeholders(child, context) for name, child in value.items()}
    return [_replace_placeholders(child, context) for child in value] if isinstance(value, list) else value


def _take_keen(event: dict[str, Any], limits: EventLimits) -> tuple[int | None, str | None]:
    """Check the ``keen`` object; drop from the event what its frame holds. (timestamp µs, token)."""
    if "keen" not in event:
        return None, None
    keen = event["keen"]
    if not isinstance(keen, dict):
        raise InvalidEvent("InvalidKeenNamespaceProperty", "The property 'keen' must be an object.")
    for name in keen:
        if name not in ("timestamp", "location", "uniqueness_token", "addons"):
            raise InvalidEvent(
                "InvalidKeenNamespaceProperty",
                f"The 'keen' namespace is reserved: 'keen.{name[:300]}' can not be set by a client.",
            )
    timestamp_us = _check_timestamp(keen.pop("timestamp")) if "timestamp" in keen else None
    _check_location(keen)
    _check_addons(keen.pop("addons", []))
    token = _check_token(keen, limits)
    if not keen:
        del event["keen"]
    return timestamp_us, token


def _check_timestamp(value: Any) -> int:
    instant = parse_instant(value) if isinstance(value, str) else None
    if instant is None:
        raise InvalidEvent(
            "InvalidPropertyValueError",
            "keen.timestamp must be an ISO 8601 time between the years 1 and 9999, as text. "
            f"You specified: {str(value)[:100]!r}.",
        )
    return instant


def _check_location(keen: dict[str, Any]) -> None:
    if "location" not in keen:
        return
    location = keen["location"]
    coordinates = location.get("coordinates") if isinstance(location, dict) else None
    if not isinstance(location, dict) or set(location) - {"coordinates"}:
        raise InvalidEvent("InvalidKeenNamespaceProperty", "keen.location may hold 'coordinates' only.")
    numbers = isinstance(coordinates, list) and all(
        isinstance(c, (int, float)) and not isinstance(c, bool) for c in coordinates
    )
    if location and not (isinstance(coordinates, list) and len(coordinates) == 2 and numbers):
        raise InvalidEvent(
            "InvalidPropertyValueError", "keen.location.coordinates must be a list: [longitude, latitude]."
        )


def _check_addons(addons: Any) -> None:
    ok = isinstance(addons, list) and all(
        isinstance(a, dict)
        and isinstance(a.get("name"), str)
        and isinstance(a.get("input", {}), dict)
        and isinstance(a.get("output", ""), str)
        for a in addons
    )
    if not ok:
        raise InvalidEvent(
            "InvalidPropertyValueError",
            "keen.addons must be a list of objects that hold 'name', 'input' and 'output'.",
        )


def _check_token(keen: dict[str, Any], limits: EventLimits) -> str | None:
    if "uniqueness_token" not in keen:
        return None
    token = keen["uniqueness_token"]
    if not isinstance(token, str) or not 1 <= len(token) <= limits.token_length_max:
        raise InvalidEvent(
            "InvalidPropertyValueError",
            f"keen.uniqueness_token must be a string of 1 to {limits.token_length_max} characters.",
        )
    return token
