"""Finds the known name nearest to a misspelt one, for error messages and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
_CALLED_ELSEWHERE: Mapping[str, Sequence[str]] = {
    "breakdown": ("group_by",),
    "breakdowns": ("group_by",),
    "collection": ("event_collection",),
    "conversionwindow": ("window",),
    "datefrom": ("timeframe",),
    "daterange": ("timeframe",),
    "dateto": ("timeframe",),
    "distinctid": ("actor_property",),
    "event": ("event_collection",),
    "eventname": ("event_collection",),
    "exclude": ("exclusions",),
    "fromdate": ("timeframe",),
    "funnelordertype": ("order",),
    "funnelwindow": ("window",),
    "gap": ("session_gap",),
    "granularity": ("interval",),
    "holdingconstant": ("hold",),
    "metrics": ("measures", "series", "analyses"),
    "property": ("target_property", "property_name"),
    "segment": ("group_by",),
    "sessiongap": ("gap",),
    "sessiontimeout": ("gap", "session_gap"),
    "sort": ("order_by",),
    "todate": ("timeframe",),
    "tz": ("timezone",),
    "unit": ("interval",),
    "userid": ("actor_property",),
    "value": ("property_value",),
    "where": ("filters",),
    "windowdays": ("window",),
}
"""What parameters are called in other services and by other analyses, without separators."""


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


def called_here(name: object, known: Iterable[str]) -> str | None:
    """The known parameter that another service calls ``name``; None where none is known."""
    names = set(known)
    wanted = _CALLED_ELSEWHERE.get(_plain(name), ()) if isinstance(name, str) else ()
    return next((one for one in wanted if one in names), None)


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
