"""The parameters of a picture: its size, looks and language."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from query.language.suggestions import did_you_mean
from service.errors import InvalidParameter

T = TypeVar("T")

PARAMETERS = ("width", "height", "scale", "theme", "title", "type", "locale")
"""Beside ``timezone``, which a picture shares with the question."""
THEMES = ("light", "dark")
TYPES = ("metric", "line", "area", "bar", "stacked", "table", "funnel", "heatmap", "pie", "gauge", "sankey")
SIZE_MIN = 40
SIZE_MAX = 2_000
SCALE_MAX = 4.0
PIXELS_MAX = 16_000_000
TITLE_LENGTH_MAX = 300
_INTERVAL = re.compile(
    rb'"timeframe":\{"start":"([0-9-]{10}T[0-9:.]{8,15}[0-9Z:+-]{1,6})",'
    rb'"end":"([0-9-]{10}T[0-9:.]{8,15}[0-9Z:+-]{1,6})"\}'
)
_LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """How a result is drawn.

    ``width`` and ``height`` are pixels of the SVG; a PNG has ``scale`` times as many.
    """

    width: int = 640
    height: int = 360
    scale: float = 2.0
    theme: str = "light"
    title: str | None = None
    """None: the display name of the saved query; empty: no title."""
    type: str | None = None
    """None: what the saved query's metadata say, otherwise what suits the result."""
    locale: str = "en-US"
    now_ms: int | None = None
    """The present, in Unix milliseconds, as of which intervals have ended; see ``last_boundary``."""

    def describing(self) -> dict[str, Any]:
        """The options of ``AcumenDraw.describe``."""
        given = {"type": self.type, "now": self.now_ms}
        return {name: value for name, value in given.items() if value is not None}

    def drawing(self) -> dict[str, Any]:
        """The options of ``AcumenDraw.draw``."""
        title = {} if self.title is None else {"title": self.title}
        size = {"width": self.width, "height": self.height}
        return {**size, "theme": self.theme, "locale": self.locale, "resolve": True, **title}


def last_boundary(answer: bytes, now_ms: int) -> int | None:
    """A moment as good as the present for telling which of the answer's intervals are over; None if it has no
    intervals. Until the next of them begins or ends it is the same, and so are the pictures and their tags.
    """
    texts = {text for pair in _INTERVAL.findall(answer) for text in pair}
    edges = [edge for edge in map(_milliseconds, texts) if edge is not None]
    # An interval that begins or ends at an edge has done so just after it.
    return max((edge + 1 for edge in edges if edge <= now_ms), default=0) if edges else None


def _milliseconds(text: bytes) -> int | None:
    """The Unix time of an instant; None for a text of a client that looks like one."""
    try:
        return round(datetime.fromisoformat(text.decode()).timestamp() * 1_000)
    except (ValueError, OverflowError):
        return None


def read_options(pairs: Sequence[tuple[str, str]]) -> PictureOptions:
    """The options in a query string's parameters. Raises InvalidParameter, which names the parameter."""
    given = {name: value for name, value in pairs if name in PARAMETERS}
    usual = PictureOptions()

    def read(name: str, reader: Callable[[str, str], T], default: T) -> T:
        # An empty title says that there is to be none; other empty parameters are as good as absent.
        return (
            reader(name, given[name]) if given.get(name) or (name == "title" and name in given) else default
        )

    options = PictureOptions(
        width=read("width", _size, usual.width),
        height=read("height", _size, usual.height),
        scale=read("scale", _scale, usual.scale),
        theme=read("theme", lambda name, text: one_of(name, text, THEMES), usual.theme),
        title=read("title", _title, usual.title),
        type=read("type", lambda name, text: one_of(name, text, TYPES), usual.type),
        locale=read("locale", language_tag, usual.locale),
    )
    if options.width * options.height * options.scale**2 > PIXELS_MAX:
        raise InvalidParameter(
            f"A picture of {options.width} × {options.height} at 'scale' {options.scale:g} has too many "
            f"pixels: {PIXELS_MAX:,} at most. Ask for a smaller 'width', 'height' or 'scale'."
        )
    return options


def _size(name: str, text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) and SIZE_MIN <= int(text) <= SIZE_MAX:
        return int(text)
    raise InvalidParameter(
        f"'{name}' must be a whole number of pixels, {SIZE_MIN} to {SIZE_MAX}: {text[:50]!r}."
    )


def _scale(name: str, text: str) -> float:
    if re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", text, re.ASCII) and 0.5 <= float(text) <= SCALE_MAX:
        return float(text)
    raise InvalidParameter(f"'{name}' must be a number from 0.5 to {SCALE_MAX:g}: {text[:50]!r}.")


def one_of(name: str, text: str, known: Sequence[str]) -> str:
    """Raises InvalidParameter for a text that is none of the known ones."""
    if text in known:
        return text
    hint = did_you_mean(text, known)
    raise InvalidParameter(f"'{name}' must be one of {', '.join(known)}: {text[:50]!r}.{hint}")


def _title(name: str, text: str) -> str:
    if len(text) <= TITLE_LENGTH_MAX:
        return text
    raise InvalidParameter(f"'{name}' may have {TITLE_LENGTH_MAX} characters at most; it has {len(text)}.")


def language_tag(name: str, text: str) -> str:
    """Raises InvalidParameter for a text that is no language tag."""
    if _LOCALE.fullmatch(text):
        return text
    raise InvalidParameter(f"'{name}' must be a language tag, such as 'en-US' or 'de': {text[:50]!r}.")
