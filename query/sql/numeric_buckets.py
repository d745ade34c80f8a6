"""SQL for numeric buckets of ``group_by``: lower bounds, exact in decimals and for integers of any length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from query.plan.columns import Column, ColumnKind
from query.plan.exact_sums import EXACT_DOUBLES
from query.plan.keys import GroupKey
from query.sql.statement import Statement, col, double, joined, sql, whole

DOUBLE_DIGITS = 15
"""Every integer of this many decimal digits is exact as a double."""
DOUBLE_MAX_DIGITS = 308
"""An integer of more digits may be beyond the greatest double."""
DOUBLE_TENS_MAX = 22
"""Powers of ten up to this exponent are exact as doubles."""

_PLACES_MAX = 18
_MORE_PLACES = 3
"""A double of 2^52 / 10^places or more prints fewer decimals than this beyond the ``places`` of the size."""


def bucket_parts(key: GroupKey, size: float) -> list[Statement]:
    """The lower bound of a row's numeric bucket: as a double, and as text for an integer too long for one.

    Values and size are taken as the decimals that they print as.
    """
    steps = _Steps.of(size)
    doubles = [col(column) for column in key.columns if column.kind is ColumnKind.NUMBER]
    value = doubles[0] if doubles else Statement("CAST(NULL AS DOUBLE)")
    if not key.beyond_doubles:
        return [_bucket_of_double(value, steps, key.greatest)]
    digits = _all_digits(key.columns)
    scaled = _scaled_bucket(digits, steps)
    zeros = Statement("'" + "0" * steps.places + "'")
    whole_part = sql("left({}, length({}) - {})", scaled, scaled, whole(steps.places))
    integral = sql("ends_with({}, {})", scaled, zeros) if steps.places else Statement("TRUE")
    length = sql("length(ltrim({}, '-'))", whole_part)
    beyond = sql("{} > {}", length, whole(DOUBLE_MAX_DIGITS))
    big = sql("(({} AND {} > {}) OR {})", integral, length, whole(DOUBLE_DIGITS), beyond)
    # Of integers too long for any double: the least that the bucket may hold, where its bound has decimals.
    one_more = sql("CAST(CAST({} AS BIGNUM) + CAST('1' AS BIGNUM) AS VARCHAR)", whole_part)
    is_bound = sql("({} OR starts_with({}, '-'))", integral, scaled)
    least = sql("(CASE WHEN {} THEN {} ELSE {} END)", is_bound, whole_part, one_more)
    as_double = _scaled_down(scaled, steps)
    # Every value of a bucket must take the same branch, so the bucket's lower bound decides.
    of_digits = sql("(CASE WHEN NOT {} THEN {} END)", big, as_double)
    of_double = _bucket_of_double(value, steps, min(key.greatest, EXACT_DOUBLES))
    return [
        sql("(CASE WHEN {} IS NULL THEN {} ELSE {} END)", digits, of_double, of_digits),
        sql("(CASE WHEN {} IS NOT NULL AND {} THEN {} END)", digits, big, least),
    ]


@dataclass(frozen=True, slots=True)
class _Steps:
    """A bucket's size, ``units`` / 10 ^ ``places``, and the double nearest to it."""

    size: float
    units: int
    places: int

    @classmethod
    def of(cls, size: float) -> _Steps:
        _, digits, exponent = Decimal(repr(size)).normalize().as_tuple()
        units = int("".join(map(str, digits)))
        assert isinstance(exponent, int)
        return cls(size, units * 10 ** max(exponent, 0), max(-exponent, 0))

    @property
    def quick_below(self) -> float:
        """Below this magnitude, bounds are quotients of two integers that are exact as doubles."""
        if self.places > DOUBLE_TENS_MAX or self.units >= 2**50:
            return 0.0
        return 2.0**52 / self.units * self.size

    @property
    def fits_decimal(self) -> bool:
        """Whether the engine's 38 digits hold doubles below 2^53 with the places of ``_exact_bound``."""
        return self.places <= _PLACES_MAX and self.units < 10**30


def _bucket_of_double(value: Statement, steps: _Steps, greatest: float) -> Statement:
    ratio = sql("floor({} / {})", value, Statement(repr(steps.size)))
    if greatest < steps.quick_below:
        return _quick_bound(value, ratio, steps)
    if steps.fits_decimal:
        slow = _exact_bound(value, steps)
    else:
        exact = _nearest_bound(value, ratio, lambda number: _decimal(number, steps))
        # Where steps are finer than the spacing of doubles, each double is its own bound.
        slow = sql("(CASE WHEN abs({}) < {} THEN {} ELSE {} END)", ratio, _EXACT, exact, value)
    if steps.quick_below == 0.0:
        return slow
    quick = _quick_bound(value, ratio, steps)
    return sql("(CASE WHEN abs({}) < {} THEN {} ELSE {} END)", value, double(steps.quick_below), quick, slow)


def _quick_bound(value: Statement, ratio: Statement, steps: _Steps) -> Statement:
    if steps.places == 0:
        # With an integral size and exact bounds, rounding never moves the quotient to the next integer.
        return _quotient(ratio, steps)
    return _nearest_bound(value, ratio, lambda number: _quotient(number, steps))


def _nearest_bound(
    value: Statement, ratio: Statement, bound_of: Callable[[Statement], Statement]
) -> Statement:
    """The bound of ``ratio`` steps, corrected by one step where the ratio was rounded to another integer."""
    above = sql("CAST({} >= {} AS INTEGER)", value, bound_of(sql("({} + 1)", ratio)))
    below = sql("CAST({} < {} AS INTEGER)", value, bound_of(ratio))
    return bound_of(sql("({} + {} - {})", ratio, above, below))


def _exact_bound(value: Statement, steps: _Steps) -> Statement:
    """The bound by arithmetic of integers, from the value's digits with more places than the size has."""
    decimal = sql("CAST(CAST({} AS VARCHAR) AS DECIMAL(38, {}))", value, whole(steps.places + _MORE_PLACES))
    digits = sql("CAST(replace(CAST({} AS VARCHAR), '.', '') AS HUGEINT)", decimal)
    step = Statement(f"CAST({steps.units * 10**_MORE_PLACES} AS HUGEINT)")
    remainder = sql("(({} % {} + {}) % {})", digits, step, step, step)
    bound = sql("(({} - {}) // {})", digits, remainder, whole(10**_MORE_PLACES))
    return _scaled_down(bound, steps)


def _quotient(number: Statement, steps: _Steps) -> Statement:
    """The bound of ``number`` steps; it is rounded only once, since both operands are exact integers."""
    product = number if steps.units == 1 else sql("({} * {})", number, double(float(steps.units)))
    return sql("({} / {})", product, double(10.0**steps.places)) if steps.places else product


def _decimal(number: Statement, steps: _Steps) -> Statement:
    product = sql("(CAST({} AS HUGEINT) * {})", number, whole(steps.units))
    return _scaled_down(product, steps)


def _scaled_down(number: Statement, steps: _Steps) -> Statement:
    """An integer divided by 10 ^ places, as the nearest double; null for null, of which ``concat`` would make
    the exponent alone."""
    return sql("CAST(CAST({} AS VARCHAR) || {} AS DOUBLE)", number, Statement(f"'e-{steps.places}'"))


_EXACT = double(EXACT_DOUBLES)


def _all_digits(columns: Sequence[Column]) -> Statement:
    """The decimal digits of an integer of magnitude 2^53 or more, otherwise null."""
    terms = []
    for column in columns:
        value = col(column)
        if column.kind is ColumnKind.NUMBER:
            digits = sql("CAST(CAST({} AS BIGNUM) AS VARCHAR)", value)
            terms.append(sql("(CASE WHEN abs({}) >= {} THEN {} END)", value, _EXACT, digits))
        else:
            terms.append(sql("CAST({} AS VARCHAR)", value))
    return terms[0] if len(terms) == 1 else sql("coalesce({})", joined(", ", terms))


def _scaled_bucket(digits: Statement, steps: _Steps) -> Statement:
    """The lower bound of an integer's bucket times 10 ^ places, as text."""
    text = sql("concat({}, {})", digits, Statement("'" + "0" * steps.places + "'"))
    rest = _remainder(sql("ltrim({}, '-')", text), steps.units)
    units = whole(steps.units)
    up = sql(
        "(CASE WHEN starts_with({}, '-') THEN ({} - {}) % {} ELSE {} END)", text, units, rest, units, rest
    )
    difference = sql("CAST({} AS BIGNUM) - CAST(CAST({} AS VARCHAR) AS BIGNUM)", text, up)
    return sql("CAST({} AS VARCHAR)", difference)


def _remainder(digits: Statement, divisor: int) -> Statement:
    """The remainder of a number of any length, given by its digits, by long division."""
    return sql(
        "list_reduce(list_transform(string_split(regexp_replace({}, '([0-9])', '\\1,', 'g'), ','),"
        " lambda digit: CAST(coalesce(TRY_CAST(digit AS INTEGER), -1) AS HUGEINT)),"
        " lambda rest, digit: CASE WHEN digit < 0 THEN rest ELSE (rest * 10 + digit) % {} END,"
        " CAST(0 AS HUGEINT))",
        digits,
        whole(divisor),
    )
