"""Validates single parameters: JSON values of any type in, checked Python values out.

Every function accepts any JSON value and raises ``InvalidQuery`` naming the parameter. Numbers and booleans
are also accepted as text, since a query string has nothing else.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from query.errors import InvalidQuery, MissingField

SHOWN_CHARACTERS = 200
_WHOLE = re.compile(r"[+-]?\d{1,30}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})", re.ASCII)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def shown(value: object) -> str:
    """Formats the value for a message: JSON, shortened, and always encodable as UTF-8."""
    if isinstance(value, str):
        text = value[: SHOWN_CHARACTERS + 1]
    else:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            text = type(value).__name__
    if len(text) > SHOWN_CHARACTERS:
        text = text[:SHOWN_CHARACTERS] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")


def missing(name: str, because: str = "") -> MissingField:
    """An error for a required field that was not sent; ``because`` names what makes it required."""
    reason = f", because of '{because}'" if because else ""
    message = f"Your request is missing a required field. Field: '{name}'{reason}."
    return MissingField(message, name, because)


@contextmanager
def within(where: str) -> Iterator[None]:
    """Names a missing field that is reported meanwhile by its path: ``query.interval`` in ``query``."""
    try:
        yield
    except MissingField as error:
        because = f"{where}.{error.because}" if error.because else ""
        raise missing(f"{where}.{error.field}", because) from None


def wrong(
    name: str, needs: str, value: object, code: str = "InvalidParameterError", hint: str = ""
) -> InvalidQuery:
    """An error for a value of the wrong type or range. ``hint`` is appended and begins with a space."""
    return InvalidQuery(f"'{name}' must be {needs}. You specified: {shown(value)}.{hint}", code)


def decode_json(name: str, text: str) -> Any:
    """Decodes the JSON in ``text``. Raises InvalidQuery, code InvalidJSONError, where it is malformed."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        message = f"'{name}' is not valid JSON. You specified: {shown(text)}."
        raise InvalidQuery(message, "InvalidJSONError") from None


def structured(name: str, value: Any) -> Any:
    """The value, decoded where it is JSON text of a list, object or string."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{", '"'):
        return decode_json(name, value)
    return value


def text(name: str, value: Any, length_max: int, code: str = "InvalidParameterError") -> str:
    """A string of 1 to ``length_max`` characters that can be encoded as UTF-8."""
    if not isinstance(value, str):
        raise wrong(name, "a string", value, code)
    if not value or len(value) > length_max or not encodable(value):
        raise wrong(name, f"a string of 1 to {length_max} characters", value, code)
    return value


def is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects are nested more than ``levels`` deep."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [item for item in layer if isinstance(item, (dict, list))]
        if not layer:
            return False
        layer = [part for item in layer for part in (item.values() if isinstance(item, dict) else item)]
    return True


def encodable(value: str) -> bool:
    """False for text with lone surrogates, which JSON escapes can express and UTF-8 cannot."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def required_text(params: Mapping[str, Any], name: str, length_max: int, where: str = "") -> str:
    value = params.get(name)
    if value is None or value == "":
        raise missing(where + name)
    return text(where + name, value, length_max)


def flag(params: Mapping[str, Any], name: str, default: bool, where: str = "") -> bool:
    """A boolean, or one of the texts true, false, 1 and 0; absent, null and "" give the default."""
    value = params.get(name)
    if value is None or value == "":
        return default
    if isinstance(value, bool):
        return value
    parsed = _FLAGS.get(value.lower()) if isinstance(value, str) else None
    if parsed is None:
        raise wrong(where + name, "true or false", value)
    return parsed


def whole(name: str, value: Any, low: int, code: str = "InvalidParameterError") -> int:
    """An integer of at least ``low``, also given as text or as an integral float such as 5.0."""
    number = value
    spelled = isinstance(value, str) and _WHOLE.fullmatch(value)
    if spelled or (isinstance(value, float) and value.is_integer()):
        number = int(value)
    if not is_number(number) or not isinstance(number, int) or number < low:
        raise wrong(name, f"an integer of at least {low}", value, code)
    return number


def real(name: str, value: Any, code: str = "InvalidParameterError") -> float:
    """A finite number, also given as decimal text."""
    number = value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        number = float(value)
    if not is_number(number):
        raise wrong(name, "a number", value, code)
    return float(number)


def is_number(value: object) -> bool:
    """True for an int or float, not a bool, that is finite as a double."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
