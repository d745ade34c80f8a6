"""How far a long call is, on standard error: with tqdm where it is installed, else a line of its own."""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from typing import Any, Protocol, TextIO

BAR_CHARACTERS = 24
_REDRAW_SECONDS = 0.1


class Progress(Protocol):
    """Told how many are done, of how many; None where that is not known."""

    def update(self, done: int, total: int | None) -> None: ...
    def close(self) -> None: ...


class Silent:
    """Shows nothing."""

    def update(self, done: int, total: int | None) -> None: ...
    def close(self) -> None: ...


class Line:
    """A bar that is drawn over and over on one line of a terminal."""

    def __init__(self, title: str, out: TextIO) -> None:
        self._title = title
        self._out = out
        self._begun = time.monotonic()
        self._drawn = 0.0
        self._last: tuple[int, int | None] = (0, None)

    def update(self, done: int, total: int | None) -> None:
        self._last = (done, total)
        if time.monotonic() - self._drawn >= _REDRAW_SECONDS:
            self._draw()

    def close(self) -> None:
        self._draw()
        self._out.write("\n")
        self._out.flush()

    def _draw(self) -> None:
        done, total = self._last
        self._drawn = time.monotonic()
        rate = done / max(self._drawn - self._begun, 1e-9)
        if total:
            full = min(BAR_CHARACTERS, BAR_CHARACTERS * done // total)
            bar = f"[{'#' * full}{'.' * (BAR_CHARACTERS - full)}] {done:,} of {total:,} events"
        else:
            bar = f"{done:,} events"
        self._out.write(f"\r\x1b[K{self._title} {bar}, {rate:,.0f}/s")
        self._out.flush()


class Tqdm:
    """A bar of tqdm, which also knows notebooks."""

    def __init__(self, title: str, tqdm: Any) -> None:
        self._bar = tqdm(desc=title, unit=" events", unit_scale=True, leave=True)

    def update(self, done: int, total: int | None) -> None:
        if total is not None and self._bar.total != total:
            self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()


def progress_for(title: str, wanted: bool | None) -> Progress:
    """A bar where one is wanted; where nothing is said, if standard error is a terminal or a notebook."""
    notebook = "ipykernel" in sys.modules
    if wanted is None:
        wanted = notebook or (sys.stderr is not None and sys.stderr.isatty())
    if not wanted:
        return Silent()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tqdm, where a notebook lacks a widget for it
            tqdm = importlib.import_module("tqdm.auto").tqdm
    except ImportError:
        return Line(title, sys.stderr)
    return Tqdm(title, tqdm)
