"""Splits a bulk body by its brackets and quotation marks alone, for bodies on which the parsers fail.

Two kinds of event are valid JSON by the grammar and still stop a parser: those nested deeper than a parser
follows, and those with an unpaired surrogate, as JavaScript writes where it cuts a text within an emoji.
Such an event must not cause the rest of its batch to be refused. Each event's content is checked later.

No objects are built from the text that is skipped, and both steps and parts are limited. For threads: one
step holds the interpreter only for a moment, but there may be many steps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from msgspec import Raw

STEPS_MAX = 2_000_000
"""Brackets, long strings and strings with escapes that may be skipped: about a second's work."""

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_BLANKS_AT_ONCE = 65_536
_BLANKS = re.compile(rb"[ \t\r\n]{0,%d}+" % _BLANKS_AT_ONCE)
_SCALAR = re.compile(rb"[-+.0-9A-Za-z]++")
_FLAT = re.compile(rb'(?:[^"\[\]{}\\]{1,4096}+|"[^"\\]{0,4096}+"){0,64}+')
_BRACKETS = re.compile(rb"([\[{]{1,65536}+)|[\]}]{1,65536}+")
_TEXT = re.compile(rb'(?:[^"\\]{1,4096}+|\\.){0,4096}+', re.DOTALL)


class NotSplit(ValueError):
    """The text is not JSON of the expected shape."""


class TooMany(Exception):
    """The text has more parts than allowed."""


class TooLong(Exception):
    """Finding the parts takes more steps than allowed."""


def may_hold_half(text: bytes) -> bool:
    """Whether an escape in the text may be an unpaired surrogate."""
    return _HALF.search(text) is not None


def members(text: bytes, parts_max: int, steps_max: int = STEPS_MAX) -> dict[str, Raw]:
    """The members of a JSON object. Raises NotSplit, TooMany, TooLong."""
    parts: dict[str, Raw] = {}
    split = _Split(text, parts_max, steps_max)
    for start in split.parts(b"{", b"}"):
        end = split.text_end(start)
        name = _name(text[start:end])
        start = split.past(end, b":")
        split.at = split.value_end(start)
        parts[name] = Raw(text[start : split.at])
    return parts


def elements(text: bytes, parts_max: int, steps_max: int = STEPS_MAX) -> list[Raw]:
    """The elements of a JSON list. Raises NotSplit, TooMany, TooLong."""
    parts: list[Raw] = []
    split = _Split(text, parts_max, steps_max)
    for start in split.parts(b"[", b"]"):
        split.at = split.value_end(start)
        parts.append(Raw(text[start : split.at]))
    return parts


def _name(text: bytes) -> str:
    try:
        name = json.loads(str(text, "utf-8"))
        name.encode()
    except ValueError:
        raise NotSplit(text[:40]) from None
    assert isinstance(name, str)
    return name


class _Split:
    """A position in a text that is being split. ``at`` is the end of the last part found."""

    def __init__(self, text: bytes, parts_max: int, steps_max: int) -> None:
        self._text = text
        self._parts_left = parts_max
        self._steps_left = steps_max
        self.at = 0

    def parts(self, opening: bytes, closing: bytes) -> Iterator[int]:
        """The start of each part. The caller sets ``at`` to its end before it requests the next."""
        self.at = self.past(0, opening)
        mark = b""
        if self._mark(self.at) == closing:
            mark, self.at = closing, self.past(self.at, closing)
        while mark != closing:
            if not self._parts_left:
                raise TooMany
            self._parts_left -= 1
            yield self.at
            self.at = self._blank(self.at)
            mark = self._mark(self.at)
            self.at = self.past(self.at, mark if mark == b"," else closing)
        if self.at != len(self._text):
            raise NotSplit(self._mark(self.at))

    def past(self, at: int, mark: bytes) -> int:
        """The position after this mark and the whitespace around it. Raises NotSplit if it is missing."""
        at = self._blank(at)
        if self._mark(at) != mark:
            raise NotSplit(self._mark(at))
        return self._blank(at + 1)

    def value_end(self, at: int) -> int:
        if self._mark(at) == b'"':
            return self.text_end(at)
        if self._mark(at) in (b"[", b"{"):
            return self._nested_end(at)
        scalar = _SCALAR.match(self._text, at)
        if scalar is None:
            raise NotSplit(self._mark(at))
        return scalar.end()

    def text_end(self, at: int) -> int:
        """The end of the string, in quotation marks, that begins at ``at``."""
        if self._mark(at) != b'"':
            raise NotSplit(self._mark(at))
        at += 1
        while self._mark(at) != b'"':
            end = self._end_of(_TEXT, at)
            if end == at:
                raise NotSplit("a text without an end")
            at = end
        return at + 1

    def _nested_end(self, at: int) -> int:
        """The end of the list or object that begins at ``at``."""
        depth = 0
        while True:
            flat = self._end_of(_FLAT, at)
            brackets = _BRACKETS.match(self._text, flat)
            if brackets is not None:
                count = brackets.end() - flat
                if brackets[1] is None and count >= depth:
                    return flat + depth
                depth += -count if brackets[1] is None else count
                at = brackets.end()
            elif self._mark(flat) == b'"':
                at = self.text_end(flat)
            elif flat == at:
                raise NotSplit(self._mark(at))
            else:
                at = flat

    def _blank(self, at: int) -> int:
        end = self._end_of(_BLANKS, at)
        while end - at == _BLANKS_AT_ONCE:
            at, end = end, self._end_of(_BLANKS, end)
        return end

    def _mark(self, at: int) -> bytes:
        return self._text[at : at + 1]

    def _end_of(self, pattern: re.Pattern[bytes], at: int) -> int:
        if not self._steps_left:
            raise TooLong
        self._steps_left -= 1
        match = pattern.match(self._text, at)
        return at if match is None else match.end()
