"""Data versions: which events an answer was computed from, as a text that a later question can name.

A version names the catalog's data version, whose files it has, and how far each log went that had events in
no file yet. ``v`` versions are of a moment at which a question was asked, and are exact. ``t`` versions are
of an instant in the past: the files as of then, and all events that were received until then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from storage.errors import StorageError
from storage.log.format import CLAIMED_BIT

_TEXT = re.compile(
    r"([vt])([0-9]{1,15})\.([0-9]{1,17})((?:\.[0-9]{1,9}-[0-9]{1,18}(?:-[0-9]{1,18})?){0,100})"
)
TEXT_LENGTH_MAX = 2_000

Ends = tuple[int, int]


class PastUnavailable(StorageError):
    """An earlier version cannot be read; the text is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the stored events. ``instant_us`` is what a question takes as now."""

    data: int
    instant_us: int
    ends: Mapping[int, Ends] = field(default_factory=dict)
    """Log id → the ends of its plain and claimed ordinals, for logs with events in no file at ``data``."""
    by_arrival: bool = False
    """Whether it has, in place of ``ends``, all events that were received until the instant."""

    def __str__(self) -> str:
        parts = [f"{'t' if self.by_arrival else 'v'}{self.data}", str(self.instant_us)]
        for log_id, (plain, claimed) in sorted(self.ends.items()):
            parts.append(f"{log_id}-{plain}" + (f"-{claimed ^ CLAIMED_BIT}" if claimed else ""))
        return ".".join(parts)


def read_version(text: str) -> Version | None:
    """The version that a text names; None where it names none."""
    match = _TEXT.fullmatch(text) if len(text) <= TEXT_LENGTH_MAX else None
    if match is None:
        return None
    kind, data, instant, logs = match.groups()
    ends: dict[int, Ends] = {}
    for part in logs.split(".")[1:]:
        log_id, plain, *claimed = (int(number) for number in part.split("-"))
        ends[log_id] = plain, claimed[0] | CLAIMED_BIT if claimed else 0
    if kind == "t" and ends:
        return None
    return Version(int(data), int(instant), ends, kind == "t")
