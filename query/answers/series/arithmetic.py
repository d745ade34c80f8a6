"""Computes formulas: what divides by zero, or has a null in it, is null.

Integers are computed with all their digits, other numbers as doubles; what no double holds is null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from query.answers.values import number
from query.language.series.formulas import Calculation, Expression, Name, Negative, Number

Value = int | float | None
_DIGITS_MAX = 10**308


def values_of(expression: Expression, values: Mapping[str, Sequence[Value]], count: int) -> list[Value]:
    """The formula's value for each of ``count`` places, from the values of its names there."""
    steps = _steps(expression)
    return [_value(steps, values, place) for place in range(count)]


def change(value: Value, base: Value) -> Value:
    return _subtracted(value, base)


def change_percent(value: Value, base: Value) -> Value:
    """The change in per cent of the base's magnitude; null where the base is 0 or null."""
    return percent(_subtracted(value, base), None if base is None else abs(base))


def percent(value: Value, total: Value) -> Value:
    """The value in per cent of the total. Divided last, a third is 33.333333333333336, the nearest double."""
    hundredfold = _multiplied(100, value)
    if hundredfold is None:
        return _multiplied(100, _divided(value, total))
    return _divided(hundredfold, total)


def _steps(expression: Expression) -> list[Expression]:
    """The expression in postfix order: each operation after its operands."""
    steps: list[Expression] = []
    waiting = [expression]
    while waiting:
        one = waiting.pop()
        steps.append(one)
        if isinstance(one, Negative):
            waiting.append(one.operand)
        elif isinstance(one, Calculation):
            waiting += (one.left, one.right)
    steps.reverse()
    return steps


def _value(steps: Sequence[Expression], values: Mapping[str, Sequence[Value]], place: int) -> Value:
    stack: list[Value] = []
    for step in steps:
        if isinstance(step, Number):
            stack.append(step.value)
        elif isinstance(step, Name):
            stack.append(values[step.label][place])
        elif isinstance(step, Negative):
            operand = stack.pop()
            stack.append(None if operand is None else -operand)
        else:
            right, left = stack.pop(), stack.pop()
            stack.append(_OPERATIONS[step.sign](left, right))
    return stack[0]


def _finite(compute: Callable[[Any, Any], Any]) -> Callable[[Value, Value], Value]:
    """The operation, whose result is null where an operand is, and where no double holds it."""

    def computed(left: Value, right: Value) -> Value:
        if left is None or right is None:
            return None
        try:
            value = compute(left, right)
        except (OverflowError, ZeroDivisionError):
            return None
        return None if abs(value) >= _DIGITS_MAX else number(value)

    return computed


_added = _finite(lambda left, right: left + right)
_subtracted = _finite(lambda left, right: left - right)
_multiplied = _finite(lambda left, right: left * right)
_divided = _finite(lambda left, right: left / right)
_OPERATIONS = {"+": _added, "-": _subtracted, "*": _multiplied, "/": _divided}
