"""Long ordered lists of regular expressions, of which the first that matches a text is wanted.

The matcher is that of ua-parser (Rust): one pass over the text for the whole list, in time proportional to
the text. It has no lookaround. Rules that use it are matched without, and where that finds one, the rule
itself decides, within a bound of time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import regex
from ua_parser_rs import DeviceExtractor

CHECK_SECONDS = 0.02
"""The longest that one rule with lookaround may take; beyond, it does not match."""

_LOOKAROUND = re.compile(r"\(\?(?:[=!]|<[=!])")


class RuleList:
    """Rules by their place in the list. Case does not count."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Raises ValueError for patterns that the matcher cannot read."""
        plain = [_entry(index, pattern) for index, pattern in enumerate(patterns) if not _looks(pattern)]
        checked = [(index, pattern) for index, pattern in enumerate(patterns) if _looks(pattern)]
        self._plain = DeviceExtractor(plain)
        self._loose = DeviceExtractor([_entry(at, _loosened(rule)) for at, (_, rule) in enumerate(checked)])
        self._checked = checked
        self._compiled: dict[int, regex.Pattern[str]] = {}

    def first(self, text: str) -> int | None:
        """The place of the first rule that matches somewhere in the text."""
        found = self._plain.extract(text)
        best = None if found is None else int(found.family)
        loose = self._loose.extract(text)
        if loose is None:
            return best
        for at in range(int(loose.family), len(self._checked)):
            index = self._checked[at][0]
            if best is not None and index > best:
                break
            if self._matches(at, text):
                return index
        return best

    def _matches(self, at: int, text: str) -> bool:
        rule = self._compiled.get(at)
        if rule is None:
            rule = self._compiled[at] = regex.compile(self._checked[at][1], regex.IGNORECASE)
        try:
            return rule.search(text, timeout=CHECK_SECONDS) is not None
        except TimeoutError:
            return False


def _entry(index: int, pattern: str) -> tuple[str, Literal["i"], str | None, str | None, str | None]:
    return pattern, "i", str(index), None, None


def _looks(pattern: str) -> bool:
    return _LOOKAROUND.search(pattern) is not None


def _loosened(pattern: str) -> str:
    """The pattern without its lookaround, which matches wherever the pattern itself does."""
    while (begin := _LOOKAROUND.search(pattern)) is not None:
        pattern = pattern[: begin.start()] + pattern[_end_of_group(pattern, begin.start()) :]
    return pattern


def _end_of_group(pattern: str, start: int) -> int:
    depth, at, in_class = 0, start, False
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            at += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return at
