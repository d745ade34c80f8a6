"""Full validation of one event: the slow path, which implements every rule about an event.

The strict decoder (``storage.events.strict_decoder``) passes events of a known shape unchanged. All others
are parsed here, checked against the names and limits of the API, completed and written again in a normal form
(one line, no duplicate keys, numbers with their exact value).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Protocol

from storage.instants import parse_instant
from storage.schema import LaneKind

EXACT_INTEGER = 2**53
"""A double represents every integer up to this magnitude exactly."""

SETTABLE = ("timestamp", "location", "uniqueness_token", "addons")
"""Properties of ``keen`` that a client may set."""
COMPARED_MAX = 80
"""Characters of a name that are compared with the known names: the comparison is quadratic."""
PLACE_TEXTS = ("city", "province", "country", "continent", "postal_code")
"""Properties that ``keen.location`` may have besides its coordinates."""

Wanted = list[tuple[str, LaneKind]]


class InvalidEvent(Exception):
    """The event can never be stored; ``name`` is Keen's error name, ``description`` a readable text."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(description)
        self.name = name
        self.description = description


class InvalidEventJSON(InvalidEvent):
    """The event is not valid JSON."""

    def __init__(self, why: str) -> None:
        super().__init__("InvalidJSONError", f"The event is not valid JSON: {why}.")


@dataclass(frozen=True, slots=True)
class EventLimits:
    """Limits of one event: lengths in code points, depth in levels (the event itself is level 1)."""

    name_length_max: int = 256
    string_length_max: int = 9_999
    depth_max: int = 100
    token_length_max: int = 64


@dataclass(frozen=True, slots=True)
class Received:
    """When an event was received (µs), and the text of its ``keen.timestamp`` if it has one."""

    received_us: int
    timestamp: str | None


class Enrich(Protocol):
    """Runs the add-ons of an event, changing it in place. Returns whether it was changed.

    Raises InvalidEvent for an invalid definition of an add-on. Without ``outputs`` nothing is added: only
    what add-ons are to remove is removed.
    """

    def __call__(
        self, event: dict[str, Any], addons: list[Any], received: Received, *, outputs: bool = True
    ) -> bool: ...


@dataclass(frozen=True, slots=True)
class Context:
    """Per-request values: the replacements of ``${keen.ip}`` and ``${keen.user_agent}``, the time of receipt,
    and the function that runs add-ons. Without that function, add-ons are only checked."""

    ip: str = ""
    user_agent: str = ""
    received_us: int = 0
    enrich: Enrich | None = None


@dataclass(slots=True)
class ValidatedEvent:
    """A valid event. ``payload`` is one line of JSON without a line end; ``enriched``: add-ons changed it."""

    payload: bytes
    timestamp_us: int | None
    token: str | None
    wanted: Wanted
    has_null: bool
    has_empty: bool
    enriched: bool = False


@dataclass(slots=True)
class _Keen:
    """The parts of an event's ``keen`` object that are not stored with its properties."""

    timestamp_us: int | None = None
    timestamp: str | None = None
    token: str | None = None
    addons: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class _Findings:
    """The results of a walk over an event."""

    wanted: dict[tuple[str, LaneKind], None] = field(default_factory=dict)
    nulls: list[str] = field(default_factory=list)
    empties: list[str] = field(default_factory=list)


def examine(
    raw: bytes | memoryview, limits: EventLimits, context: Context, *, outputs: bool = True
) -> ValidatedEvent:
    """Parse, check and complete one event. Raises InvalidEvent (InvalidEventJSON where it is not JSON).

    Without ``outputs`` its add-ons add nothing: for an event that would be too large with their outputs.
    """
    try:
        return _examine(parse_event(raw), limits, context, outputs)
    except RecursionError:
        raise _too_deep(limits) from None
    except UnicodeEncodeError:
        raise InvalidEvent(
            "InvalidPropertyValueError",
            "A string contains an unpaired surrogate, which is not valid Unicode.",
        ) from None


def _examine(event: dict[str, Any], limits: EventLimits, context: Context, outputs: bool) -> ValidatedEvent:
    keen = _take_keen(event, limits)
    findings = _walk(event, limits)
    text = _dump(event)
    if "${keen." in text:
        event = _replace_placeholders(event, context, limits)
        text = _dump(event)
    enriched = False
    if keen.addons and context.enrich is not None:
        received = Received(context.received_us, keen.timestamp)
        enriched = context.enrich(event, keen.addons, received, outputs=outputs)
        if enriched:
            findings = _walk(event, limits)
            text = _dump(event)
    return ValidatedEvent(
        text.encode(),
        keen.timestamp_us,
        keen.token,
        list(findings.wanted),
        bool(findings.nulls),
        bool(findings.empties),
        enriched,
    )


def _walk(event: dict[str, Any], limits: EventLimits) -> _Findings:
    findings = _Findings()
    _walk_object(event, "", 1, limits, findings)
    return findings


def _dump(event: dict[str, Any]) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def parse_event(raw: bytes | memoryview) -> dict[str, Any]:
    """Parse an event: integers stay exact, and the last of duplicate keys counts. Raises InvalidEvent."""
    try:
        value = json.loads(str(raw, "utf-8"), parse_constant=_refuse_constant, parse_float=_parse_float)
    except UnicodeDecodeError as error:
        raise InvalidEventJSON(f"it is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        what = f"{error.msg[0].lower()}{error.msg[1:]}".removesuffix(" at")
        raise InvalidEventJSON(f"{what} at character {error.pos}") from None
    except ValueError as error:
        if isinstance(error, _RefusedNumber):
            raise InvalidEventJSON(str(error)) from None
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
    """The lane kind of a number. It depends on the value alone, so that equal numbers share a lane."""
    if isinstance(value, float) or -EXACT_INTEGER <= value <= EXACT_INTEGER:
        return LaneKind.NUMBER
    try:
        if int(float(value)) == value:
            return LaneKind.NUMBER
    except OverflowError:
        return LaneKind.LONG
    return LaneKind.INTEGER if -(2**63) <= value < 2**63 else LaneKind.LONG


def kind_of(value: object) -> LaneKind:
    """The lane kind of a scalar or list. Raises TypeError for an object or null."""
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
    """The (path, value) pairs of an event whose values are scalars, lists, ``None`` or empty objects."""
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


def _replace_placeholders(value: Any, context: Context, limits: EventLimits) -> Any:
    if isinstance(value, str):
        if value == "${keen.ip}":
            return context.ip
        # A header may be longer than the limit of a property.
        return context.user_agent[: limits.string_length_max] if value == "${keen.user_agent}" else value
    if isinstance(value, dict):
        return {name: _replace_placeholders(child, context, limits) for name, child in value.items()}
    if isinstance(value, list):
        return [_replace_placeholders(child, context, limits) for child in value]
    return value


def _take_keen(event: dict[str, Any], limits: EventLimits) -> _Keen:
    """Check the ``keen`` object, and remove from the event the parts that are stored in its frame."""
    if "keen" not in event:
        return _Keen()
    keen = event["keen"]
    if not isinstance(keen, dict):
        raise InvalidEvent("InvalidKeenNamespaceProperty", "The property 'keen' must be an object.")
    for name in keen:
        if name not in SETTABLE:
            raise InvalidEvent(
                "InvalidKeenNamespaceProperty",
                f"The 'keen' namespace is reserved: 'keen.{name[:300]}' cannot be set by a client."
                f"{_meant(name, SETTABLE, 'keen.')}",
            )
    parts = _Keen()
    if "timestamp" in keen:
        parts.timestamp = keen.pop("timestamp")
        parts.timestamp_us = _check_timestamp(parts.timestamp)
    _check_location(keen)
    parts.addons = _check_addons(keen.pop("addons", []))
    parts.token = _check_token(keen, limits)
    if not keen:
        del event["keen"]
    return parts


def _meant(name: str, known: Sequence[str], where: str) -> str:
    """The text `` Did you mean 'keen.x'?`` with the nearest known name, or an empty text."""
    near = get_close_matches(name[:COMPARED_MAX].lower(), known, 1)
    return f" Did you mean '{where}{near[0]}'?" if near else ""


def _check_timestamp(value: Any) -> int:
    instant = parse_instant(value) if isinstance(value, str) else None
    if instant is None:
        raise InvalidEvent(
            "InvalidPropertyValueError",
            "keen.timestamp must be an ISO 8601 time between the years 1 and 9999, as text, like "
            f"'2026-01-31T12:00:00Z'; seconds since 1970 are not accepted. You specified: {_shown(value)}.",
        )
    return instant


def _shown(value: Any) -> str:
    """The value as the client sent it: a number without quotes."""
    is_plain = isinstance(value, (bool, int, float)) or value is None
    return json.dumps(value)[:100] if is_plain else repr(str(value)[:100])


def _check_location(keen: dict[str, Any]) -> None:
    """Check ``keen.location``. It may hold what an add-on writes there, so that an extracted event can be
    sent again."""
    location = keen.get("location", {})
    known = ("coordinates", *PLACE_TEXTS)
    unknown = [name for name in location if name not in known] if isinstance(location, dict) else []
    if not isinstance(location, dict) or unknown:
        raise InvalidEvent(
            "InvalidKeenNamespaceProperty",
            f"keen.location may hold 'coordinates' and {', '.join(PLACE_TEXTS)} only."
            f"{_meant(unknown[0] if unknown else '', known, 'keen.location.')}",
        )
    if not all(isinstance(location.get(name, ""), str) for name in PLACE_TEXTS):
        raise InvalidEvent(
            "InvalidPropertyValueError", f"keen.location: {', '.join(PLACE_TEXTS)} must be strings."
        )
    coordinates = location.get("coordinates", [0, 0])
    numbers = isinstance(coordinates, list) and all(
        isinstance(c, (int, float)) and not isinstance(c, bool) for c in coordinates
    )
    if not (numbers and len(coordinates) == 2):
        raise InvalidEvent(
            "InvalidPropertyValueError", "keen.location.coordinates must be a list: [longitude, latitude]."
        )


def _check_addons(addons: Any) -> list[Any]:
    """Check that add-ons are a list of objects. Their content is checked by the code that runs them."""
    if isinstance(addons, list) and all(isinstance(addon, dict) for addon in addons):
        return addons
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
