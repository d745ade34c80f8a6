"""Exact sums of doubles: how values are split for the engine, and how the sums of the parts are combined.

The engine adds doubles with a rounding at each step, in an order that depends on threads and files. Values
are therefore split into parts whose sums need no rounding, because every partial sum is a multiple of one
power of two and below 2^53 times that. There are two ways:

- *two parts*: the high part as above, and the small remainder of each value. The sum of the remainders is
  rounded, but by so little that the rounded total is nearly always certain; where it is not, ``Uncertain``
  is raised.
- *bands*: each value's bits in as many parts as necessary. Always exact, and slower.

For sums that are kept and merged later there is a third: a *coarse* part, a multiple of one power of two, and
the *fine* rest as an integer count of a smaller one. Both add up exactly, whatever they are merged with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

EXACT_DOUBLES = 2.0**53
"""Sums of integers as doubles are exact while every partial sum stays below this."""
SPLIT_MAX = 2.0**900
"""Above this, the constant that splits values would overflow a double."""
_MANTISSA_BITS = 53
_LOWEST_BIT = -1074
"""Exponent of the smallest positive double."""


class Uncertain(Exception):
    """Two parts do not determine how a total is rounded: the query must be run again with bands."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Known bounds of the values of a number column."""

    low: float = math.inf
    high: float = -math.inf
    """Every value is in ``low .. high``; low exceeds high where there are no values."""
    least: float = math.inf
    """Lower bound of the non-zero magnitudes."""
    integral: bool = True

    def joined(self, other: Extent) -> Extent:
        return Extent(
            min(self.low, other.low),
            max(self.high, other.high),
            min(self.least, other.least),
            self.integral and other.integral,
        )

    @property
    def greatest(self) -> float:
        """Upper bound of the magnitudes."""
        return max(-self.low, self.high, 0.0)

    @property
    def offset(self) -> float:
        """The middle of values that are far from 0 and near each other; otherwise 0."""
        if self.high - self.low >= max(self.low, -self.high):
            return 0.0
        return self.low / 2 + self.high / 2 if self.low <= self.high else 0.0


@dataclass(frozen=True, slots=True)
class BitRange:
    """The bits of a value from 2^low up to 2^(low + bits)."""

    low: int
    bits: int


def splitter(bound: float) -> float:
    """The constant that, added to a value and subtracted again, leaves its high part.

    ``bound`` is an upper bound of the sum of magnitudes, below ``SPLIT_MAX``.
    """
    return 1.5 * 2.0 ** (math.frexp(bound)[1] + 1)


def bands(extent: Extent, rows: int) -> tuple[BitRange, ...]:
    """Bands that together cover all bits of the values, lowest first; each has an exact sum over ``rows``."""
    if not extent.greatest:
        return ()
    low = max(math.frexp(extent.least)[1] - _MANTISSA_BITS, _LOWEST_BIT)
    low = max(low, 0) if extent.integral else low
    high = math.frexp(extent.greatest)[1]
    bits = max(1, _MANTISSA_BITS - 1 - max(rows, 1).bit_length())
    return tuple(BitRange(at, bits) for at in range(low, high, bits))


FINE_BITS = 60
"""Bits of a fine part: some below those of a 64-bit integer, for rounding."""
_FINE_GRID = 16
"""The unit of fine parts is 2 to a multiple of this, so that most files of a column have the same."""


def fine_band(extent: Extent) -> BitRange:
    """The bits of the fine parts: from a bit that no value has any below, to where coarse parts begin."""
    low = max(math.frexp(extent.least)[1] - _MANTISSA_BITS, _LOWEST_BIT) if extent.least < math.inf else 0
    low = max(low, 0) if extent.integral else low
    return BitRange(low // _FINE_GRID * _FINE_GRID, FINE_BITS)


def coarse_splitter(band: BitRange, bound: float) -> float:
    """The constant that, added to a value and subtracted again, leaves its coarse part.

    ``bound`` is an upper bound of the sum of magnitudes. 0 where sums of coarse parts would be rounded.
    """
    first = band.low + band.bits
    if first < _LOWEST_BIT or first + _MANTISSA_BITS >= 1023 or bound >= math.ldexp(1.0, first + 51):
        return 0.0
    return math.ldexp(1.5, first + 52)


def exact_rows(extent: Extent, split: float) -> float:
    """How many low parts can be added without rounding, being multiples of the values' lowest bit."""
    greatest = _greatest_low(split)
    if not (greatest and 0.0 < extent.least < math.inf):
        return 0.0
    lowest = max(math.frexp(extent.least)[1] - _MANTISSA_BITS, _LOWEST_BIT)
    return math.ldexp(EXACT_DOUBLES, lowest) / greatest


def rounded(high: float, low: float, rows: int, split: float, exact: float = 0.0) -> float:
    """The total of a high and a low part over ``rows`` rows, correctly rounded.

    Raises Uncertain, also where the total may be an integer with more digits than a double holds.
    """
    error = error_of(low, rows, split, exact)
    result = high + (low - error)
    if result != high + (low + error) or abs(result) >= EXACT_DOUBLES:
        raise Uncertain
    return result


def rounded_mean(high: float, low: float, rows: int, split: float, exact: float = 0.0) -> float:
    """As ``rounded``, divided by the number of rows. Raises Uncertain."""
    parts = [value.as_integer_ratio() for value in (high, low, error_of(low, rows, split, exact))]
    common = max(denominator for _, denominator in parts)
    # All denominators are powers of two.
    first, second, error = (numerator * (common // denominator) for numerator, denominator in parts)
    total, divisor = first + second, common * rows
    # Division of integers is correctly rounded.
    result = (total - error) / divisor
    if result != (total + error) / divisor or abs(result) >= EXACT_DOUBLES:
        raise Uncertain
    return result


def error_factors(split: float) -> tuple[float, float]:
    """The factors of a low sum's error: for the square of the rows, and for the magnitude of the sum."""
    greatest_low = _greatest_low(split)
    # Slightly more than the rounding error, and the error added by subtracting it from the low part.
    return greatest_low * 2.0**-53 * 1.0625, 2.0**-52


def _greatest_low(split: float) -> float:
    return split / 1.5 * 2.0**-53


def error_of(low: float, rows: int, split: float, exact: float = 0.0) -> float:
    """An upper bound of the error in the sum of ``rows`` low parts; 0 for up to ``exact`` rows."""
    if rows <= exact:
        return 0.0
    rows_factor, low_factor = error_factors(split)
    return float(rows) * rows * rows_factor + abs(low) * low_factor


def powers(exponent: int) -> Iterator[float]:
    """Powers of two whose product is 2^exponent, which one double may not hold beyond ±1000."""
    while abs(exponent) > 1000:
        step = 1000 if exponent > 0 else -1000
        yield 2.0**step
        exponent -= step
    yield 2.0**exponent
