"""What an event's ``keen.addons`` asks for, checked before any of it is run.

    {"name": "keen:ua_parser", "input": {"ua_string": "path"}, "output": "path"}

Inputs are paths of properties, ``output`` the path of the object that the result is merged into. What else
an add-on or its input holds is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from storage.events.validation import InvalidEvent

ADDONS_MAX = 20
"""Add-ons of one event: each may write as much as its input is long."""
PATH_NAMES_MAX = 50
NAME_LENGTH_MAX = 256

Path = tuple[str, ...]

GEO = "keen:ip_to_geo"
LOCATION = ("keen", "location")


KINDS = {
    GEO: ("ip",),
    "keen:ua_parser": ("ua_string",),
    "keen:url_parser": ("url",),
    "keen:referrer_parser": ("referrer_url", "page_url"),
    "keen:date_time_parser": ("date_time",),
}
"""The add-ons and the names of their inputs, of which the first is needed."""


@dataclass(frozen=True, slots=True)
class Addon:
    """One add-on to run. ``inputs`` are in the order of its kind; None where an optional one is not given."""

    name: str
    inputs: tuple[Path | None, ...]
    output: Path
    removes_input: bool = False

    @property
    def source(self) -> Path:
        """The path of the input that must be there."""
        assert self.inputs[0] is not None
        return self.inputs[0]


def read_addons(given: Iterable[Any]) -> list[Addon]:
    """The add-ons in their order. Raises InvalidEvent for a definition that cannot be meant."""
    addons = [_read(definition, f"keen.addons[{index}]") for index, definition in enumerate(given)]
    if len(addons) > ADDONS_MAX:
        raise _invalid(f"keen.addons may hold at most {ADDONS_MAX} add-ons; there are {len(addons)}.")
    return addons


def _read(definition: Any, where: str) -> Addon:
    if not isinstance(definition, dict):
        raise _invalid(f"{where} must be an object that holds 'name', 'input' and 'output'.")
    name = definition.get("name")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(name, str):
        raise _invalid(f"{where}.name must be one of {', '.join(KINDS)}. You specified: {str(name)[:100]!r}.")
    given = definition.get("input")
    if not isinstance(given, dict):
        raise _invalid(f"{where}.input must be an object, such as {{'{kind[0]}': 'a.property'}}.")
    inputs = tuple(
        _path(given.get(key), f"{where}.input.{key}") if key in given or not optional else None
        for optional, key in enumerate(kind)
    )
    removes = given.get("remove_ip_property", False) if name == GEO else False
    if not isinstance(removes, bool):
        raise _invalid(f"{where}.input.remove_ip_property must be true or false.")
    return Addon(name, inputs, _output(definition.get("output"), name, f"{where}.output"), removes)


def _output(given: Any, name: str, where: str) -> Path:
    path = _path(given, where)
    if path[0] != "keen" or (name == GEO and path == LOCATION):
        return path
    raise _invalid(
        f"{where} must not be in 'keen', but for {GEO}, which may have 'keen.location'. "
        f"You specified: {given[:300]!r}."
    )


def _path(given: Any, where: str) -> Path:
    """A property's path as its names. Raises InvalidEvent."""
    if isinstance(given, str) and given:
        names = tuple(given.split("."))
        good = all(name and name[0] != "$" and len(name) <= NAME_LENGTH_MAX for name in names)
        if good and len(names) <= PATH_NAMES_MAX:
            return names
    raise _invalid(f"{where} must be the path of a property, as text. You specified: {str(given)[:300]!r}.")


def _invalid(description: str) -> InvalidEvent:
    return InvalidEvent("InvalidPropertyValueError", description)
