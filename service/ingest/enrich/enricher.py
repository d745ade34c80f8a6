"""Runs the add-ons of events: reads their inputs, merges in what they find, and counts what became of each.

An add-on never makes an event fail. Where its input is missing or of no use, or nothing is known of it, the
event goes on without its output.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from service.ingest.enrich import referrers, times, urls
from service.ingest.enrich.agents import Agents
from service.ingest.enrich.definitions import GEO, KINDS, Addon, read_addons
from service.ingest.enrich.geo import Places, read_address
from service.telemetry.metrics import ADDON_OUTCOMES, Metrics
from storage.events.validation import Enrich, EventLimits, Received
from storage.instants import format_instant

Output = Mapping[str, Any]
_LIMITS = EventLimits()
AGENT = "keen:ua_parser"
T = TypeVar("T")


class Unusable(Exception):
    """An input that is no such thing as the add-on reads."""


class Enricher:
    """One for a process. ``ready`` and calls belong to one thread, ``prepare`` to any."""

    def __init__(self, geoip_database: Path | None = None, metrics: Metrics | None = None) -> None:
        metrics = metrics or Metrics()
        self._agents = Agents()
        self._places = Places(geoip_database)
        self._preparing = threading.Lock()
        self._counts = {
            (name, outcome): metrics.counter("acumen_addons_total", name.partition(":")[2], outcome)
            for name in KINDS
            for outcome in ADDON_OUTCOMES
        }
        self._run: dict[str, Callable[[str, list[str | None]], Output | None]] = {
            GEO: self._find_place,
            AGENT: lambda text, _: self._agents.parse(text),
            "keen:url_parser": lambda text, _: usable(urls.parse_url(text)),
            "keen:referrer_parser": lambda text, others: usable(referrers.parse_referrer(text, others[0])),
            "keen:date_time_parser": lambda text, _: usable(times.parse_time(text)),
        }

    def must_prepare(self, text: bytes) -> bool:
        """Whether events in this text may ask for an add-on that is not ready: call ``prepare`` first."""
        return (not self._agents.ready and _names(text, AGENT)) or (
            not self._places.ready and _names(text, GEO)
        )

    def prepare(self, text: bytes) -> None:
        """Make what the add-ons in the text need: up to a second, off the event loop."""
        with self._preparing:
            if _names(text, AGENT):
                self._agents.prepare()
            if _names(text, GEO):
                self.prepare_places()

    def prepare_places(self) -> None:
        """Read the database of places."""
        self._places.prepare()

    def __call__(
        self, event: dict[str, Any], addons: list[Any], received: Received, *, outputs: bool = True
    ) -> bool:
        """Run the add-ons on an event, in its place; whether that changed it. Raises InvalidEvent for a
        definition that cannot be meant.

        Without ``outputs`` they only take away what they were told to: for an event that has no room.
        """
        wanted = read_addons(addons)
        changed = False
        for addon in wanted:
            found = self._find(addon, event, received) if outputs else None
            if found is not None:
                put(event, addon.output, found)
                changed = True
            elif not outputs:
                self._count(addon, "dropped")
        for addon in wanted:
            if addon.removes_input and isinstance(value_at(event, addon.source), str):
                remove(event, addon.source)
                changed = True
        return changed

    def _find(self, addon: Addon, event: dict[str, Any], received: Received) -> Output | None:
        texts = [None if path is None else _input(event, path, received) for path in addon.inputs]
        first = texts[0]
        if not first:
            self._count(addon, "missing")
            return None
        try:
            found = self._run[addon.name](first, texts[1:])
        except Unusable:
            self._count(addon, "unusable")
            return None
        found = None if found is None else _fitting(found)
        if addon.output[0] == "keen" and found is not None and "coordinates" not in found:
            found = None
        self._count(addon, "unknown" if found is None else "enriched")
        return found

    def _count(self, addon: Addon, outcome: str) -> None:
        self._counts[addon.name, outcome].add()

    def _find_place(self, text: str, _: list[str | None]) -> Output | None:
        address = read_address(text)
        if address is None:
            raise Unusable
        return self._places.find(address)


def _names(text: bytes, addon: str) -> bool:
    """Whether JSON may name the add-on; with escapes it may without showing it."""
    return addon.encode() in text or b"\\u" in text


def keeping(enrich: Enrich, autofill: Output) -> Enrich:
    """The same for events of a key with an autofill, which add-ons leave as it is: they neither write over it
    nor take it away. Where the autofill asks for add-ons itself they are its own, and may."""
    keen = autofill.get("keen", {})
    if not isinstance(keen, dict) or "addons" in keen:
        return enrich
    mask = {name: value for name, value in autofill.items() if name != "keen"}
    if "location" in keen:
        mask["keen"] = {"location": keen["location"]}

    def run(event: dict[str, Any], addons: list[Any], received: Received, *, outputs: bool = True) -> bool:
        kept = picked(event, mask)
        changed = enrich(event, addons, received, outputs=outputs)
        if changed:
            merge(event, kept)
        return changed

    return run


def picked(event: Output, mask: Output) -> dict[str, Any]:
    """What an event holds where the mask does."""
    return {
        name: picked(event[name], value) if isinstance(value, dict) and value else copy.deepcopy(event[name])
        for name, value in mask.items()
        if name in event
    }


def _fitting(output: Output) -> Output | None:
    """What was found, without texts that are longer than an event may hold; None where nothing is left."""
    kept: dict[str, Any] = {}
    for name, value in output.items():
        part = _fitting(value) if isinstance(value, dict) else value
        if part is not None and not (isinstance(part, str) and len(part) > _LIMITS.string_length_max):
            kept[name] = part
    return kept or None


def usable(value: T | None) -> T:
    if value is None:
        raise Unusable
    return value


def _input(event: dict[str, Any], path: tuple[str, ...], received: Received) -> str | None:
    """The text at a path. The times of an event are not in it: they are what it will be stored with."""
    if path == ("keen", "timestamp"):
        return received.timestamp or format_instant(received.received_us)
    if path == ("keen", "created_at"):
        return format_instant(received.received_us)
    value = value_at(event, path)
    return value if isinstance(value, str) else None


def value_at(event: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """What stands at a path; None where nothing does."""
    value: Any = event
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def put(event: dict[str, Any], path: tuple[str, ...], output: Output) -> None:
    """Merge an object into the one at a path: objects deeply, all else is replaced."""
    nested: Output = output
    for name in reversed(path):
        nested = {name: nested}
    merge(event, nested)


def merge(into: dict[str, Any], value: Output) -> None:
    """Nothing of ``value`` is shared with the result."""
    for name, child in value.items():
        if not isinstance(child, dict):
            into[name] = list(child) if isinstance(child, list) else child
            continue
        if not isinstance(into.get(name), dict):
            into[name] = {}
        merge(into[name], child)


def remove(event: dict[str, Any], path: tuple[str, ...]) -> None:
    """Take away what stands at a path that is there."""
    for name in path[:-1]:
        event = event[name]
    del event[path[-1]]
