"""Parses filters: a JSON list of conditions, all of which must hold, becomes ``Condition`` and ``AnyOf``.

Operands are checked for their type and never coerced: ``"true"`` is not a boolean and ``"1"`` is not a
number, here as in the events.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.fields import encodable, is_number, shown, structured, text, wrong
from query.language.grouping import CohortOf, SessionOf, group_of, no_session
from query.language.nodes import (
    ActorCohort,
    AnyOf,
    Circle,
    Condition,
    Filter,
    Operator,
    Row,
    SessionDefinition,
)
from query.language.suggestions import meant, nearest
from query.limits import Limits
from query.regex_cost import OPTIONAL, UNICODE_CLASS, written_out

CODE = "InvalidFilterError"
GEO_PROPERTY = "keen.location.coordinates"

CheckRegex = Callable[[str], str | None]
"""Returns the error in a pattern, or None where it is valid RE2."""
Check = Callable[[], None]
"""Called at intervals during parsing; may raise to stop it."""


def no_cohorts(value: Any, name: str, code: str) -> ActorCohort:
    """For filters that stand outside questions. Raises InvalidQuery."""
    raise InvalidQuery(
        f"'{name}' cannot be a cohort here: cohorts can be used in questions and in definitions of saved "
        "queries, not in filters of keys and tokens or that viewers add, in deletions, in the live tail or "
        "in cached datasets.",
        code,
    )


class RegexSizes:
    """Sums the sizes of the regular expressions of one query."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._size = 0

    def add(self, pattern: str) -> None:
        """Adds the pattern's size. Raises QueryLimitExceeded where the sum exceeds the limit."""
        self._size += written_out(pattern)
        if self._size > self._size_max:
            raise QueryLimitExceeded(
                f"The regular expressions of one query may have at most {self._size_max:,} characters with "
                r"their repetitions written out, where a class such as \p{L} counts as "
                f"{UNICODE_CLASS} and a repetition of no fixed number as {OPTIONAL} more."
            )


_OPERATORS = {operator.value: operator for operator in Operator}
_OTHER_NAMES = {
    other: name
    for name, others in {
        "eq": "= == === is equal equals equal_to",
        "ne": "!= !== <> is_not neq not not_eq not_equal not_equals not_equal_to",
        "lt": "< before below less lesser less_than lesser_than",
        "lte": "<= le at_most less_equal less_or_equal less_than_equal less_than_or_equal "
        "less_than_or_equal_to",
        "gt": "> above after greater greater_than",
        "gte": ">= ge at_least greater_equal greater_or_equal greater_than_equal greater_than_or_equal "
        "greater_than_or_equal_to",
        "exists": "defined is_set not_null",
        "in": "one_of any_of",
        "contains": "has includes like",
        "not_contains": "not_like not_includes",
        "regex": "~ =~ match matches regexp",
        "within": "near",
        "in_group": "group of_group group_is",
        "in_cohort": "cohort of_cohort in_segment segment",
        "not_in_cohort": "outside_cohort not_in_segment",
        "or": "|| any",
    }.items()
    for other in others.split()
}
"""Names that other systems use for operators, in lower case, with words separated by ``_``."""
_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])|[ -]")
_OPERATOR_LENGTH_MAX = 40
_NOT_RE2 = re.compile(
    r"""\\[1-9]                                   # a back reference
      | \(\?(?:<?[=!] | > | \( | \# | P[=>])      # look-around, atomic, conditional, comment
      | (?:[*+?}])\+                              # possessive
    """,
    re.VERBOSE,
)
_OF_GROUPS = ("buckets", "ranges", "cohort")
_COHORT_OPERATORS = (Operator.IN_COHORT, Operator.NOT_IN_COHORT)
_REPEAT_MAX = 1000
_INTEGER_BITS_MAX = 14_000
"""Python converts integers of up to 4,300 digits to text."""


def parse_filters(
    value: Any,
    limits: Limits,
    check_regex: CheckRegex,
    name: str = "filters",
    *,
    check: Check = lambda: None,
    sizes: RegexSizes | None = None,
    cohort_of: CohortOf = no_cohorts,
    session_of: SessionOf = no_session,
) -> tuple[Filter, ...]:
    """Parses the filters of a JSON list or its text; None is no filter.

    ``sizes`` sums the regular expressions, including those parsed before. ``cohort_of`` finds the cohorts
    that are named, ``session_of`` the properties of sessions.

    Raises InvalidQuery (InvalidFilterError, InvalidPropertyNameForGeoFilter), QueryLimitExceeded.
    """
    if isinstance(value, str):
        value = structured(name, value)
    if value is None:
        return ()
    sizes = sizes or RegexSizes(limits.regexes_size_max)
    return _Reader(limits, check_regex, check, sizes, cohort_of, session_of).read_list(value, name, 0)


def is_geo(item: Filter) -> bool:
    """Whether the filter or one nested in it uses ``within``."""
    if isinstance(item, AnyOf):
        return any(is_geo(operand) for operand in item.operands)
    return item.operator is Operator.WITHIN


def conservative_regex_check(pattern: str) -> str | None:
    """Refuses every pattern that RE2 refuses, and some that it accepts; for use without an engine."""
    bare = re.sub(r"\\[^1-9]", "_", pattern, flags=re.DOTALL)
    if _NOT_RE2.search(re.sub(r"\[\]?[^\]]*\]", "_", bare)):
        return "it uses a construct that RE2 does not support"
    if any(int(count) > _REPEAT_MAX for count in re.findall(r"[{,](\d{1,9})(?=[,}])", bare)):
        return f"it repeats something more than {_REPEAT_MAX} times"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except re.error as error:
        return str(error)
    except (RecursionError, OverflowError):
        return "it is nested too deeply"
    return None


def _operator_meant(name: object) -> str | None:
    """The operator that a misspelt name, or a name used by another system, probably means."""
    if not isinstance(name, str) or len(name) > _OPERATOR_LENGTH_MAX:
        return None
    plain = _WORD_START.sub("_", name.strip().lstrip("$")).lower()
    known = [*_OPERATORS, "or"]
    return plain if plain in known else _OTHER_NAMES.get(plain) or nearest(plain, known)


class _Reader:
    """Parses one list of filters and counts them over all levels."""

    def __init__(
        self,
        limits: Limits,
        check_regex: CheckRegex,
        check: Check,
        sizes: RegexSizes,
        cohort_of: CohortOf,
        session_of: SessionOf,
    ) -> None:
        self._cohort_of = cohort_of
        self._session_of = session_of
        self._limits = limits
        self._check_regex = check_regex
        self._check = check
        self._sizes = sizes
        self._count = 0

    def read_list(self, value: Any, name: str, depth: int) -> tuple[Filter, ...]:
        if not isinstance(value, list):
            raise wrong(name, "a list of filters", value, CODE)
        if depth > self._limits.filter_depth_max:
            raise QueryLimitExceeded(
                f"'{name.split('[')[0]}' is nested more than {self._limits.filter_depth_max} levels deep."
            )
        self._count += len(value)
        if self._count > self._limits.filters_max:
            raise QueryLimitExceeded(
                f"A query may have at most {self._limits.filters_max} filters. "
                "Use the operator 'in' in place of many 'eq'."
            )
        return tuple(self._read(item, f"{name}[{index}]", depth) for index, item in enumerate(value))

    def _read(self, item: Any, name: str, depth: int) -> Filter:
        self._check()
        if not isinstance(item, dict):
            raise wrong(name, "an object with property_name, operator and property_value", item, CODE)
        operator = item.get("operator")
        if operator == "or":
            operands = self.read_list(item.get("operands"), f"{name}.operands", depth + 1)
            if not operands:
                raise wrong(f"{name}.operands", "a list of at least one filter", [], CODE)
            return AnyOf(operands)
        parsed_operator = _OPERATORS.get(operator) if isinstance(operator, str) else None
        if parsed_operator is None:
            hint = meant(_operator_meant(operator))
            raise wrong(f"{name}.operator", f"one of {', '.join(_OPERATORS)} and or", operator, CODE, hint)
        path, session = item.get("property_name"), None
        if item.get("session") is not None:
            path, session = self._of_session(item, name)
        if parsed_operator is Operator.WITHIN and path != GEO_PROPERTY:
            raise InvalidQuery(
                f"You specified a geo filter on a property other than {GEO_PROPERTY}, which is not allowed. "
                f"You specified: '{shown(path)}'.",
                "InvalidPropertyNameForGeoFilter",
            )
        if parsed_operator in _COHORT_OPERATORS:
            return self._membership(parsed_operator, item, name)
        of_cohort = parsed_operator is Operator.IN_GROUP and item.get("cohort") is not None
        if not of_cohort or path is not None:
            path = text(f"{name}.property_name", path, self._limits.name_length_max, CODE)
        if "property_value" not in item:
            raise InvalidQuery(f"'{name}' needs a 'property_value'.", CODE)
        if parsed_operator is Operator.IN_GROUP:
            row = self._row(item, name)
            return Condition(row.group.property_name, parsed_operator, row, session)
        assert path is not None
        for key in _OF_GROUPS:
            if item.get(key) is not None:
                raise InvalidQuery(f"'{name}.{key}' belongs to the operator 'in_group' alone.", CODE)
        operand = self._operand(parsed_operator, item["property_value"])
        return Condition(path, parsed_operator, operand, session)

    def _of_session(self, item: dict[str, Any], name: str) -> tuple[str, SessionDefinition]:
        if item.get("property_name") is not None:
            raise InvalidQuery(f"'{name}' takes either 'property_name' or 'session', not both.", CODE)
        found, definition = self._session_of(item["session"], f"{name}.session", CODE)
        return found.path, definition

    def _membership(self, operator: Operator, item: dict[str, Any], name: str) -> Condition:
        """``in_cohort`` and ``not_in_cohort``, whose property is that of the cohort if none is named."""
        value = item.get("property_value")
        if value is None:
            raise InvalidQuery(f"'{name}' needs a 'property_value': the name of a cohort.", CODE)
        path = item.get("property_name")
        if path is not None:
            path = text(f"{name}.property_name", path, self._limits.name_length_max, CODE)
        cohort = self._cohort_of(value, f"{name}.property_value", CODE)
        return Condition(path or cohort.actor, operator, cohort)

    def _row(self, item: dict[str, Any], name: str) -> Row:
        group = group_of(item, self._limits, name, CODE, self._cohort_of, session_of=self._session_of)
        value = item["property_value"]
        fits = _is_scalar(value)
        if group.cohort is not None:
            fits = value is None or isinstance(value, bool)
        elif group.size is not None:
            fits = value is None or is_number(value)
        elif group.ranges is not None:
            fits = value is None or any(one.label == value for one in group.ranges)
        if not fits:
            raise _mismatch(Operator.IN_GROUP, value)
        return Row(group, value)

    def _operand(self, operator: Operator, value: Any) -> Any:
        if operator in (Operator.EQ, Operator.NE):
            fits = _is_scalar(value) or (isinstance(value, list) and self._are_scalars(value))
        elif operator is Operator.EXISTS:
            fits = isinstance(value, bool)
        elif operator is Operator.IN:
            fits = isinstance(value, list) and self._are_scalars(value)
        elif operator is Operator.WITHIN:
            return _circle(value)
        elif operator is Operator.REGEX:
            fits = isinstance(value, str) and encodable(value)
        elif operator in (Operator.CONTAINS, Operator.NOT_CONTAINS):
            fits = _is_scalar(value) and value is not None
        else:
            fits = _is_scalar(value) and value is not None and not isinstance(value, bool)
        if not fits:
            raise _mismatch(operator, value)
        if operator is Operator.REGEX:
            self._check_pattern(value)
        return value

    def _check_pattern(self, pattern: str) -> None:
        if len(pattern) > self._limits.regex_length_max:
            raise QueryLimitExceeded(
                f"A regular expression may have at most {self._limits.regex_length_max} characters."
            )
        self._sizes.add(pattern)
        problem = self._check_regex(pattern)
        if problem is not None:
            raise InvalidQuery(
                f"The regular expression is not valid RE2 syntax: {shown(problem)}. "
                f"You specified: {shown(pattern)}.",
                CODE,
            )

    def _are_scalars(self, values: list[Any]) -> bool:
        if len(values) > self._limits.filter_values_max:
            raise QueryLimitExceeded(
                f"The list of one filter may have at most {self._limits.filter_values_max} values."
            )
        return all(_is_scalar(value) for value in values)


def _is_scalar(value: Any) -> bool:
    """True for a JSON string, finite number, boolean or null; integers only if Python can print them."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, float):
        return is_number(value)
    if isinstance(value, int):
        return value.bit_length() <= _INTEGER_BITS_MAX
    return value is None


def _circle(value: Any) -> Circle:
    """Parses ``{"coordinates": [longitude, latitude], "max_distance_miles": number}``."""
    if isinstance(value, dict):
        coordinates, miles = value.get("coordinates"), value.get("max_distance_miles")
        if isinstance(coordinates, list) and len(coordinates) == 2 and all(map(is_number, coordinates)):
            longitude, latitude = coordinates
            on_earth = -180 <= longitude <= 180 and -90 <= latitude <= 90
            if on_earth and is_number(miles) and isinstance(miles, (int, float)) and miles >= 0:
                return Circle(float(longitude), float(latitude), float(miles))
    raise _mismatch(Operator.WITHIN, value)


def _mismatch(operator: Operator, value: Any) -> InvalidQuery:
    return InvalidQuery(
        "The specified value is invalid for the given operator. "
        f"Operator: {operator.value}. Value: {shown(value)}",
        CODE,
    )
