"""Formulas are read and computed as arithmetic is, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.answers.series.arithmetic import values_of
from query.errors import InvalidQuery
from query.language.series.formulas import LENGTH_MAX, parse_formula

VALUES: dict[str, Any] = {
    "a": 7,
    "b": 2,
    "none": None,
    "zero": 0,
    "new users": 10,
    "big": 10**300,
    "é.x": 0.5,
}


def computed(text: str, values: dict[str, Any] | None = None) -> Any:
    known = VALUES if values is None else values
    (value,) = values_of(parse_formula("formulas.f", text), {name: [one] for name, one in known.items()}, 1)
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("16 / 4 / 2", 2),
        ("a / b", 3.5),
        ("-a - -b", -5),
        ("+ - + 2", -2),
        ("-(a + b) * 2", -18),
        ('"new users" / 4', 2.5),
        ("'new users' * `new users`", 100),
        ("é.x*1e1", 5),
        (".5 + 1.", 1.5),
        ("a/zero", None),
        ("zero/zero + 1", None),
        ("none * 0", None),
        ("- none", None),
        ("big * big", None),
        ("big / (1/big)", None),
        ("big + 0.5", 1e300),
        ("9007199254740993 + 0", 9007199254740993),
        ("0.1 + 0.2", 0.30000000000000004),
    ],
)
def test_arithmetic(text: str, value: Any) -> None:
    found = computed(text)
    assert found == value
    assert type(found) is type(value) or abs(value) == 1e300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it ends at position 1, where a number, a name or '(' must stand"),
        ("a +", "it ends at position 4"),
        ("a b", "an operator (+ - * /) or the end must stand at position 3, not 'b'"),
        ("(a", "it ends at position 3, where ')' must stand"),
        ("a)", "must stand at position 2, not ')'"),
        ("a ** 2", "a number, a name or '(' must stand at position 4, not '*'"),
        ("a % 2", "'%' at position 3 is none of"),
        ('"a', "Close the quote."),
        ("a.__class__()", "must stand at position 12, not '('"),
        ("1e999", "the number at position 1 is too large"),
        ("9" * 400, "the number at position 1 is too large"),
        ("(" * 60 + "1" + ")" * 60, "within one another"),
        ("-" * 60 + "1", "within one another"),
        ("1" + "+1" * LENGTH_MAX, "more than 1,000 characters"),
    ],
)
def test_what_is_no_formula_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse_formula("formulas.f", text)
    assert "'formulas.f'" in caught.value.message
    assert message in caught.value.message


numbers = st.one_of(st.integers(-50, 50), st.sampled_from([0.5, 2.25, -1.5]))
expressions = st.recursive(
    numbers.map(lambda value: f"({value})"),
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda parts: f"({' '.join(parts)})")
        | inner.map(lambda one: f"-{one}")
    ),
    max_leaves=8,
)


@given(text=expressions)
def test_it_is_what_python_computes(text: str) -> None:
    try:
        expected = eval(text)
    except ZeroDivisionError:
        expected = None
    found = computed(text, {})
    if expected is None or found is None:
        # What divides by zero somewhere is null, even where Python does not get to it.
        assert found is None and expected is None
    else:
        assert found == expected


@given(text=st.text(alphabet="ab01.+-*/()\"' e", max_size=20))
def test_any_text_is_a_formula_or_is_refused(text: str) -> None:
    try:
        parse_formula("formulas.f", text)
    except InvalidQuery as error:
        assert "'formulas.f'" in error.message
