"""Parses formulas between series: ``revenue / visitors``.

Numbers, names, ``+ - * /``, a sign and parentheses. A name of other characters than letters, digits, ``_``
and ``.`` stands in quotes: ``"new users" * 2``. Nothing is evaluated here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from query.errors import InvalidQuery
from query.language.fields import shown

LENGTH_MAX = 1_000
"""Characters of a formula."""
DEPTH_MAX = 50
"""Parentheses and signs within one another."""
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d][\w.]*)"
    r"|(?P<quoted>\"[^\"]+\"|'[^']+'|`[^`]+`)"
    r"|(?P<sign>[-+*/()]))"
)
_END = "end"


@dataclass(frozen=True, slots=True)
class Number:
    value: int | float


@dataclass(frozen=True, slots=True)
class Name:
    label: str
    position: int
    """Where it stands in the formula, counted from 1."""


@dataclass(frozen=True, slots=True)
class Negative:
    operand: Expression


@dataclass(frozen=True, slots=True)
class Calculation:
    """``left sign right``; sign is one of + - * /."""

    sign: str
    left: Expression
    right: Expression


Expression = Number | Name | Negative | Calculation


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def parse_formula(where: str, text: str) -> Expression:
    """The expression that a text is. ``where`` names the formula in errors. Raises InvalidQuery."""
    if len(text) > LENGTH_MAX:
        raise InvalidQuery(f"'{where}' has more than {LENGTH_MAX:,} characters.", "QueryLimitError")
    parser = _Parser(where, list(_tokens(where, text)))
    expression = parser.sum_of(0)
    parser.finish()
    return expression


def names_in(expression: Expression) -> Iterator[str]:
    """The labels that it names, in order; some more than once."""
    return (name.label for name in named(expression))


def named(expression: Expression) -> Iterator[Name]:
    """The names in it, in order."""
    waiting = [expression]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Name):
            yield one
        elif isinstance(one, Negative):
            waiting.append(one.operand)
        elif isinstance(one, Calculation):
            waiting += (one.right, one.left)


def _tokens(where: str, text: str) -> Iterator[_Token]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position:].lstrip()
            at = len(text) - len(rest) + 1
            hint = " Close the quote." if rest[0] in "\"'`" else ""
            raise _wrong(where, f"'{rest[0]}' at position {at} is none of numbers, names, + - * / ( ).{hint}")
        kind = str(match.lastgroup)
        yield _Token(kind, match[kind], match.start(kind) + 1)
        position = match.end()
    yield _Token(_END, "", end + 1)


class _Parser:
    """Recursive descent over the tokens of one formula."""

    def __init__(self, where: str, tokens: list[_Token]) -> None:
        self._where = where
        self._tokens = tokens
        self._at = 0

    def sum_of(self, depth: int) -> Expression:
        left = self._product(depth)
        while self._next.text in ("+", "-") and self._next.kind == "sign":
            sign = self._take().text
            left = Calculation(sign, left, self._product(depth))
        return left

    def finish(self) -> None:
        if self._next.kind != _END:
            raise self._unexpected("an operator (+ - * /) or the end")

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _product(self, depth: int) -> Expression:
        left = self._factor(depth)
        while self._next.text in ("*", "/") and self._next.kind == "sign":
            sign = self._take().text
            left = Calculation(sign, left, self._factor(depth))
        return left

    def _factor(self, depth: int) -> Expression:
        if depth > DEPTH_MAX:
            raise _wrong(self._where, f"more than {DEPTH_MAX} parentheses and signs are within one another.")
        token = self._next
        if token.kind == "number":
            return Number(self._number(self._take()))
        if token.kind in ("name", "quoted"):
            self._take()
            return Name(token.text[1:-1] if token.kind == "quoted" else token.text, token.position)
        if token.text == "-":
            self._take()
            return Negative(self._factor(depth + 1))
        if token.text == "+":
            self._take()
            return self._factor(depth + 1)
        if token.text == "(":
            self._take()
            inner = self.sum_of(depth + 1)
            if self._next.text != ")" or self._next.kind != "sign":
                raise self._unexpected("')'")
            self._take()
            return inner
        raise self._unexpected("a number, a name or '('")

    def _number(self, token: _Token) -> int | float:
        value = float(token.text)
        if token.text.isdigit() and value < math.inf:
            return int(token.text)
        if value == math.inf:
            raise _wrong(self._where, f"the number at position {token.position} is too large.")
        return value

    def _unexpected(self, needed: str) -> InvalidQuery:
        token = self._next
        if token.kind == _END:
            return _wrong(self._where, f"it ends at position {token.position}, where {needed} must stand.")
        return _wrong(
            self._where, f"{needed} must stand at position {token.position}, not '{shown(token.text)}'."
        )


def _wrong(where: str, why: str) -> InvalidQuery:
    return InvalidQuery(f"'{where}' is no formula: {why}")
