"""Finds the known name nearest to a misspelt one, for error messages and warnings."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import islice

NAME_LENGTH_MAX = 80
"""Longer names are never compared: the comparison is quadratic."""
KNOWN_MAX = 2_000
"""Only this many of the known names are considered, the first ones."""
COMPARED_MAX = 200
"""Names that are compared in full, after a quick test has excluded very different ones."""
LIKENESS_MIN = 0.72
_SEPARATORS = str.maketrans("", "", "_-. ")


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The known name most similar to ``name``; None where none is similar, or where it is itself known."""
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LENGTH_MAX:
        return None
    target = _plain(name)
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(target)
    best, nearest_name, comparisons_left = LIKENESS_MIN, None, COMPARED_MAX
    for candidate in islice(known, KNOWN_MAX):
        if candidate == name:
            return None
        if len(candidate) > NAME_LENGTH_MAX or not candidate:
            continue
        plain = _plain(candidate)
        if plain == target:
            likeness = 1.0 if candidate.casefold() == name.casefold() else 0.999
        else:
            matcher.set_seq1(plain)
            # The two quick ratios are upper bounds of the exact one.
            if matcher.real_quick_ratio() < best or matcher.quick_ratio() < best or not comparisons_left:
                continue
            comparisons_left -= 1
            likeness = matcher.ratio() * 0.99
        if likeness > best:
            best, nearest_name = likeness, candidate
    return nearest_name


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The text `` Did you mean 'x'?``, with a leading space; empty where no known name is similar."""
    return meant(nearest(name, known))


def meant(name: str | None) -> str:
    """As ``did_you_mean``, for a suggestion that was already found."""
    return "" if name is None else f" Did you mean '{name}'?"


def _plain(name: str) -> str:
    plain = name.casefold().translate(_SEPARATORS) or name
    # By letters alone, "query" is too unlike "queries".
    return f"{plain[:-3]}y" if len(plain) > 4 and plain.endswith("ies") else plain
