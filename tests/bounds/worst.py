"""Worst cases: for each row of the table of bounds, what asks for more than the bound allows.

A case is a function that gets a new folder and a ``Watch``, sends its worst at lowered limits within
``with watch:``, and returns the answers, every one of which must be the error of its row:

    @worst_case("Events in one bulk body", peak_bytes=2 * MIB, slice_bytes=64 * KIB)
    def many_events(data: Path, watch: Watch) -> list[httpx.Response]: ...

Put it into a module of this folder that is named in ``MODULES``.
"""

from __future__ import annotations

import gc
import re
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import httpx

KIB, MIB = 1 << 10, 1 << 20

MODULES = ("bodies", "connections", "names", "results", "tails", "tokens")
"""Modules of this folder that hold cases."""

DECODERS = frozenset({"msgspec", "json", "_json", "orjson", "isal", "zlib", "zstandard", "re"})
"""Libraries whose one call may hold the event loop for as long as the text that it is given is long."""


@dataclass(slots=True)
class Watch:
    """Measures what happens within ``with watch:`` in the thread that enters it, the event loop's.

    ``peak_bytes``: what Python and its extensions allocated at most, over what stood before. Python's
    collector of cycles rests meanwhile: what it would free at some moment or other counts.
    ``slice_bytes``: the longest text that one call of a decoder worked through on the event loop.
    ``calls``: the most function calls that the event loop made in one turn.
    """

    peak_bytes: int = 0
    slice_bytes: int = 0
    calls: int = 0
    _turn: int = field(default=0, init=False)

    def __enter__(self) -> Watch:
        gc.disable()
        tracemalloc.start()
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        self.peak_bytes = max(self.peak_bytes, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        gc.enable()

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            new_turn = frame.f_code.co_name == "_run" and frame.f_code.co_filename.endswith("events.py")
            self._turn = 0 if new_turn else self._turn + 1
            self.calls = max(self.calls, self._turn)
        elif event == "c_call":
            self._turn += 1
            self.calls = max(self.calls, self._turn)
            if _library(argument) in DECODERS:
                self.slice_bytes = max(self.slice_bytes, _longest_text(frame))


def _library(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    named = function if owner is None or isinstance(owner, ModuleType) else type(owner)
    return (getattr(named, "__module__", None) or "").split(".")[0]


def _longest_text(frame: FrameType) -> int:
    """The longest text among what the caller of a decoder has at hand."""
    texts = (value for value in frame.f_locals.values() if isinstance(value, (bytes, bytearray, str)))
    return max(map(len, texts), default=0)


Send = Callable[[Path, Watch], list[httpx.Response]]


@dataclass(frozen=True, slots=True)
class Case:
    send: Send
    peak_bytes: int
    slice_bytes: int
    calls: int


CASES: dict[str, list[Case]] = {}


def worst_case(
    resource: str, *, peak_bytes: int, slice_bytes: int = 64 * KIB, calls: int = 50_000
) -> Callable[[Send], Send]:
    """Register a case of this row of the table; a row may have several."""

    def register(send: Send) -> Send:
        CASES.setdefault(resource, []).append(Case(send, peak_bytes, slice_bytes, calls))
        return send

    return register


def case_id(value: object) -> str | None:
    return re.sub(r"\W+", "-", value.send.__name__) if isinstance(value, Case) else None
