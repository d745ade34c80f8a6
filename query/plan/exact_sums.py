"""Exact sums of doubles: how they are split for the engine, and how the parts make a result.

The engine adds doubles with a rounding at each step, in an order that depends on threads and files. So it is
given parts whose sums need none, because every partial sum is a multiple of one power of two and below 2^53
times that. There are two ways:

- *two parts*: the high one as above, and what is left of each value, which is small. Its sum is rounded, but
  by so little that the rounded total is nearly always certain; where it is not, ``Uncertain`` is raised.
- *bands*: each value's bits in as many parts as it takes. Always exact, and slower.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

EXACT_DOUBLES = 2.0**53
"""Sums of integers as doubles are exact while every partial sum stays below this."""
SPLIT_MAX = 2.0**900
"""Above this, what parts values would go beyond a double."""
_MANTISSA_BITS = 53
_LOWEST_BIT = -1074
"""Of the smallest double."""


class Uncertain(Exception):
    """Two parts do not tell how a total is rounded: ask again for bands."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What is known of a number column's values: bounds that hold for each of them."""

    low: float = math.inf
    high: float = -math.inf
    """Every value is in ``low .. high``; the other way round where there is none."""
    least: float = math.inf
    """No magnitude is smaller, but for zero."""
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
        """No magnitude is greater."""
        return max(-self.low, self.high, 0.0)

    @property
    def centre(self) -> float:
        """A value in the middle; 0 where there is none."""
        return self.low / 2 + self.high / 2 if self.low <= self.high else 0.0


@dataclass(frozen=True, slots=True)
class BitRange:
    """The bits of a value from 2^low up to 2^(low + bits)."""

    low: int
    bits: int


def splitter(bound: float) -> float:
    """What, added to a value and taken away again, leaves its high part; ``bound``: of the sum of magnitudes,
    which is below ``SPLIT_MAX``."""
    return 1.5 * 2.0 ** (math.frexp(bound)[1] + 1)


def bands(extent: Extent, rows: int) -> tuple[BitRange, ...]:
    """That together hold every bit of the values, each band's sum exact over so many rows; lowest first."""
    if not extent.greatest:
        return ()
    low = max(math.frexp(extent.least)[1] - _MANTISSA_BITS, _LOWEST_BIT)
    low = max(low, 0) if extent.integral else low
    high = math.frexp(extent.greatest)[1]
    bits = max(1, _MANTISSA_BITS - 1 - max(rows, 1).bit_length())
    return tuple(BitRange(at, bits) for at in range(low, high, bits))


def exact_rows(extent: Extent, split: float) -> float:
    """So many low parts add up without rounding: they are multiples of the values' lowest bit."""
    greatest = _greatest_low(split)
    if not (greatest and 0.0 < extent.least < math.inf):
        return 0.0
    lowest = max(math.frexp(extent.least)[1] - _MANTISSA_BITS, _LOWEST_BIT)
    return math.ldexp(EXACT_DOUBLES, lowest) / greatest


def rounded(high: float, low: float, rows: int, split: float, exact: float = 0.0) -> float:
    """The total of two parts of so many rows, correctly rounded.

    Raises Uncertain, also where it may be an integer of which a double does not hold all digits.
    """
    error = error_of(low, rows, split, exact)
    result = high + (low - error)
    if result != high + (low + error) or abs(result) >= EXACT_DOUBLES:
        raise Uncertain
    return result


def rounded_mean(high: float, low: float, rows: int, split: float, exact: float = 0.0) -> float:
    """The same, divided by the number of rows. Raises Uncertain."""
    parts = [one.as_integer_ratio() for one in (high, low, error_of(low, rows, split, exact))]
    of_all = max(denominator for _, denominator in parts)
    # All denominators are powers of two.
    first, second, error = (numerator * (of_all // denominator) for numerator, denominator in parts)
    total, divisor = first + second, of_all * rows
    # Division of integers is correctly rounded.
    result = (total - error) / divisor
    if result != (total + error) / divisor or abs(result) >= EXACT_DOUBLES:
        raise Uncertain
    return result


def error_factors(split: float) -> tuple[float, float]:
    """What the square of the number of rows, and the magnitude of the low part's sum, make of its error."""
    greatest_low = _greatest_low(split)
    # A little more than rounding can come to, and what taking the error from the low part can add to that.
    return greatest_low * 2.0**-53 * 1.0625, 2.0**-52


def _greatest_low(split: float) -> float:
    return split / 1.5 * 2.0**-53


def error_of(low: float, rows: int, split: float, exact: float = 0.0) -> float:
    """That the sum of a low part of so many rows may have, and more; none for up to ``exact`` rows."""
    if rows <= exact:
        return 0.0
    of_rows, of_low = error_factors(split)
    return float(rows) * rows * of_rows + abs(low) * of_low


def powers(exponent: int) -> Iterator[float]:
    """Powers of two whose product is 2^exponent: beyond ±1000 one double does not hold it."""
    while abs(exponent) > 1000:
        step = 1000 if exponent > 0 else -1000
        yield 2.0**step
        exponent -= step
    yield 2.0**exponent
