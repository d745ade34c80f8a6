"""Parses ``group_by``, ``order_by`` and ``limit``: how an answer is grouped, sorted and limited."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.json_encoding import dumps
from query.language.fields import is_number, structured, text, wrong
from query.language.nodes import (
    ActorCohort,
    Group,
    Order,
    SessionDefinition,
    SessionProperty,
    ValueRange,
)
from query.language.parameter_table import value_of
from query.language.suggestions import nearest
from query.limits import Limits

CODE = "InvalidGroupByError"
ORDER_CODE = "InvalidOrderByError"
LIMIT_CODE = "InvalidLimitError"

_LIMIT_MAX = 2**31 - 1
SessionOf = Callable[[Any, str, str], tuple[SessionProperty, SessionDefinition]]
"""Returns the property of sessions that a value names. Its parameter's name and error code follow.

Raises InvalidQuery."""
BUCKET_SIZE_MAX = 1e22
"""With sizes up to this, a bound of fewer than 2^53 steps fits a 128-bit integer."""


CohortOf = Callable[[Any, str, str], ActorCohort]
"""Returns the cohort that a value names or defines; the name and the error code are those of its parameter.

Raises InvalidQuery."""


def no_session(value: Any, name: str, code: str) -> tuple[SessionProperty, SessionDefinition]:
    """For filters and groups that stand outside questions. Raises InvalidQuery."""
    raise InvalidQuery(
        f"'{name}' cannot be used here: properties of sessions have a place in questions, not in the filters "
        "of keys and tokens, of the events that sessions are made of, in deletions or in the live tail.",
        code,
    )


def parse_groups(
    value: Any,
    limits: Limits,
    check: Callable[[], None] = lambda: None,
    name: str = "group_by",
    cohort_of: CohortOf | None = None,
    *,
    session_of: SessionOf = no_session,
) -> tuple[Group, ...]:
    """Parses ``group_by``: a path, an object, a list of both, or the JSON text of these; None is no grouping.

    ``check`` is called between the entries, each of which may have many ranges, and may raise. Errors
    call the parameter ``name``. ``cohort_of`` finds the cohorts that are named, ``session_of`` the properties
    of sessions.

    Raises InvalidQuery (InvalidGroupByError), QueryLimitExceeded.
    """
    value = structured(name, value)
    if value is None:
        return ()
    entries = value if isinstance(value, list) else [value]
    if len(entries) > limits.group_by_max:
        raise QueryLimitExceeded(f"'{name}' may have at most {limits.group_by_max} entries.")
    groups = tuple(
        group_of(
            entry,
            limits,
            f"{name}[{index}]" if _of_cohort(entry) else name,
            CODE,
            cohort_of,
            session_of=session_of,
        )
        for index, entry in enumerate(_checked(entries, check))
    )
    if len({group.path for group in groups}) < len(groups):
        raise wrong(name, "a list that names each property once", value, CODE)
    return groups


def _checked(entries: Sequence[Any], check: Callable[[], None]) -> Iterator[Any]:
    for entry in entries:
        check()
        yield entry


def parse_order(value: Any, groups: Sequence[Group], labels: Sequence[str]) -> tuple[Order, ...]:
    """Parses ``order_by``; besides the groups, an answer may be ordered by any of ``labels``.

    Raises InvalidQuery (InvalidOrderByError).
    """
    value = structured("order_by", value)
    if value is None or value == []:
        return ()
    if not groups:
        raise InvalidQuery("'order_by' needs a 'group_by'.", ORDER_CODE)
    known = [*labels, *(group.path for group in groups)]
    entries = value if isinstance(value, list) else [value]
    if len(entries) > len(known):
        raise wrong("order_by", "a list that names each property once", value, ORDER_CODE)
    return tuple(_order(entry, known) for entry in entries)


def parse_limit(params: Mapping[str, Any], order: Sequence[Order]) -> int | None:
    """Parses ``limit``, which is at least 1 and needs an order. Raises InvalidQuery (InvalidLimitError)."""
    limit: int | None = value_of(params, "limit", LIMIT_CODE)
    if limit is None:
        return None
    if not order:
        raise InvalidQuery("'limit' needs an 'order_by', and so a 'group_by'.", LIMIT_CODE)
    return min(limit, _LIMIT_MAX)


def group_of(
    entry: Any,
    limits: Limits,
    name: str = "group_by",
    code: str = CODE,
    cohort_of: CohortOf | None = None,
    *,
    session_of: SessionOf = no_session,
) -> Group:
    """Parses one entry; ``name`` and ``code`` are those of what it stands in.

    Raises InvalidQuery, QueryLimitExceeded.
    """
    if not isinstance(entry, dict):
        return Group(text(name, entry, limits.name_length_max, code))
    if _of_cohort(entry):
        return _cohort_group(entry, limits, name, code, cohort_of)
    if entry.get("alias") is not None:
        raise InvalidQuery(f"'{name}.alias' belongs to groups by 'cohort' alone.", code)
    path, session = entry.get("property_name"), None
    if entry.get("session") is not None:
        if path is not None:
            raise InvalidQuery(f"'{name}' takes either 'property_name' or 'session', not both.", code)
        found, session = session_of(entry["session"], f"{name}.session", code)
        path = found.path
    path = text(f"{name}.property_name", path, limits.name_length_max, code)
    buckets, ranges = entry.get("buckets"), entry.get("ranges")
    if buckets is not None and ranges is not None:
        raise InvalidQuery(f"'{name}' takes either 'buckets' or 'ranges', not both.", code)
    if buckets is not None:
        return Group(path, size=_bucket_size(buckets, f"{name}.buckets", code), session=session)
    if ranges is not None:
        return Group(path, ranges=_ranges(ranges, limits, f"{name}.ranges", code), session=session)
    return Group(path, session=session)


def _of_cohort(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("cohort") is not None


def _cohort_group(
    entry: dict[str, Any], limits: Limits, name: str, code: str, cohort_of: CohortOf | None
) -> Group:
    """The group of those in a cohort and those outside it, called by its ``alias`` or the cohort's name."""
    for other in ("buckets", "ranges"):
        if entry.get(other) is not None:
            raise InvalidQuery(f"'{name}' takes either 'cohort' or '{other}', not both.", code)
    called = text(f"{name}.cohort", entry["cohort"], limits.name_length_max, code)
    if cohort_of is None:
        raise InvalidQuery(f"'{name}.cohort' cannot be used here: this cannot be grouped by a cohort.", code)
    cohort = cohort_of(called, f"{name}.cohort", code)
    path, alias = entry.get("property_name"), entry.get("alias")
    if path is not None:
        path = text(f"{name}.property_name", path, limits.name_length_max, code)
    alias = called if alias is None else text(f"{name}.alias", alias, limits.name_length_max, code)
    return Group(alias, cohort=cohort, actor=path or cohort.actor)


def _bucket_size(buckets: Any, name: str, code: str) -> float:
    size = buckets.get("size") if isinstance(buckets, dict) else None
    if not is_number(size) or not isinstance(size, (int, float)) or not 0 < size <= BUCKET_SIZE_MAX:
        raise wrong(name, 'an object such as {"size": 10}, with a size above 0 and up to 1e22', buckets, code)
    return float(size)


def _ranges(value: Any, limits: Limits, name: str, code: str) -> tuple[ValueRange, ...]:
    if not isinstance(value, list) or not value:
        raise wrong(name, "a list of at least one range", value, code)
    if len(value) > limits.ranges_max:
        raise QueryLimitExceeded(f"'{name}' may have at most {limits.ranges_max} entries.")
    ranges = tuple(_range(entry, limits, name, code) for entry in value)
    if len({one.label for one in ranges}) < len(ranges):
        raise wrong(name, "a list of ranges with different labels", value, code)
    for lower, upper in pairwise(sorted(ranges, key=_low)):
        if lower.high is None or lower.high > _low(upper):
            raise wrong(name, "a list of ranges that do not overlap", value, code)
    return ranges


def _range(entry: Any, limits: Limits, name: str, code: str) -> ValueRange:
    if not isinstance(entry, dict):
        raise wrong(name, 'a list of objects such as {"from": 0, "to": 18}', entry, code)
    low, high = entry.get("from"), entry.get("to")
    if not all(end is None or is_number(end) for end in (low, high)):
        raise wrong(name, "a list of ranges whose 'from' and 'to' are numbers", entry, code)
    if low is not None and high is not None and low >= high:
        raise wrong(name, "a list of ranges whose 'from' is below their 'to'", entry, code)
    label = entry.get("label")
    if label is None:
        label = f"{_end_text(low)}..{_end_text(high)}"
    label = text(f"{name}.label", label, limits.name_length_max, code)
    return ValueRange(low, high, label)


def _low(one: ValueRange) -> float:
    return float("-inf") if one.low is None else one.low


def _end_text(end: float | None) -> str:
    if end is None:
        return ""
    return str(int(end)) if float(end).is_integer() and abs(end) < 1e15 else str(end)


def _order(entry: Any, known: Sequence[str]) -> Order:
    by, direction = entry, None
    if isinstance(entry, dict):
        by, direction = entry.get("property_name"), entry.get("direction")
    if not isinstance(by, str) or by not in known:
        raise _unordered(by, known)
    if direction is None:
        return Order(by)
    if not isinstance(direction, str) or direction.upper() not in ("ASC", "DESC"):
        hint = ' To sort in descending order: {"property_name": "result", "direction": "DESC"}.'
        raise wrong("order_by.direction", "ASC or DESC", direction, ORDER_CODE, hint)
    return Order(by, direction.upper() == "DESC")


def _unordered(by: Any, known: Sequence[str]) -> InvalidQuery:
    """An error whose hint shows how to sort descending, often written ``-result`` or ``result desc``."""
    name, down = by, False
    if isinstance(by, str):
        words = re.fullmatch(
            r"([-+]?)(.*?)(?:[\s:,]+(asc|desc)(?:ending)?)?", by[:1_000], re.IGNORECASE | re.DOTALL
        )
        assert words is not None
        name, down = words[2], words[1] == "-" or (words[3] or "").lower() == "desc"
    meant = name if name in known else nearest(name, known)
    hint = f" Did you mean '{meant}'?" if meant is not None else ""
    if meant is None or down:
        as_text = dumps({"property_name": meant or known[0], "direction": "DESC"}).decode()
        hint = (
            f" Did you mean {as_text}?" if meant is not None else f" To sort in descending order: {as_text}."
        )
    return wrong("order_by", f"one of {', '.join(known)}", by, ORDER_CODE, hint)
