"""The time zones of the ``tzdata`` package by IANA name, which are the same on every machine.

The machine's own zone files are never read: the meaning of ``localtime`` or ``posixrules`` differs between
machines, and so may the age of the rules.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

NAME_LENGTH_MAX = 64
_NO_ZONE = "Factory"
"""An entry of the list that means a clock without a configured zone."""


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo | None:
    """The zone of this name, ignoring case; None where there is none."""
    known = _by_lower_case().get(name.lower()) if len(name) <= NAME_LENGTH_MAX else None
    if known is None:
        return None
    with files("tzdata").joinpath("zoneinfo", *known.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=known)


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """The names of all zones, sorted."""
    listed = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return tuple(sorted(name for name in listed if name != _NO_ZONE))


@lru_cache(maxsize=1)
def _by_lower_case() -> dict[str, str]:
    return {name.lower(): name for name in names()}
