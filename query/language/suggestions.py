"""The nearest known name to a misspelt one, for error messages and warnings."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import islice

NAME_LENGTH_MAX = 80
"""Longer names are compared in no case: the comparison is quadratic."""
KNOWN_MAX = 2_000
"""Of more names than this the first are looked at."""
COMPARED_MAX = 200
"""Names that are compared in full; those of quite other letters are not."""
LIKENESS_MIN = 0.72
_SEPARATORS = str.maketrans("", "", "_-. ")


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The known name most like ``name``; None where none is like it, or it is one of them."""
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LENGTH_MAX:
        return None
    wanted = _plain(name)
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    best, found, left = LIKENESS_MIN, None, COMPARED_MAX
    for candidate in islice(known, KNOWN_MAX):
        if candidate == name:
            return None
        if len(candidate) > NAME_LENGTH_MAX or not candidate:
            continue
        plain = _plain(candidate)
        if plain == wanted:
            likeness = 1.0 if candidate.casefold() == name.casefold() else 0.999
        else:
            matcher.set_seq1(plain)
            # The two quick ones are upper bounds of the last.
            if matcher.real_quick_ratio() < best or matcher.quick_ratio() < best or not left:
                continue
            left -= 1
            likeness = matcher.ratio() * 0.99
        if likeness > best:
            best, found = likeness, candidate
    return found


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` with a space before it; empty where no known name is like this one."""
    return meant(nearest(name, known))


def meant(name: str | None) -> str:
    """The same for a name that was found in another way."""
    return "" if name is None else f" Did you mean '{name}'?"


def _plain(name: str) -> str:
    return name.casefold().translate(_SEPARATORS) or name
