"""Requests of SQL: checks all but the statement itself, which the process that runs it judges."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.fields import missing, wrong
from query.language.parameters import check_keys
from query.language.suggestions import did_you_mean
from query.language.zones import names as zone_names
from query.language.zones import zone
from query.limits import SqlLimits
from query.untrusted.answer import SqlQuery
from query.untrusted.messages import Format

FIELDS = ("sql", "parameters", "timezone", "format", "limit", "explain")
PARAMETERS_MAX = 1_000
PARAMETER_VALUES_MAX = 100_000
"""Values in the lists of all parameters together."""
_INTEGERS = 1 << 127
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_SCALARS = "null, true or false, a number, a text, or a list of these"


def read_request(body: Any, limits: SqlLimits, accepted: Format) -> SqlQuery:
    """The statement that a body asks for. ``accepted``: the format where the body names none.

    Raises InvalidQuery, MissingField, QueryLimitExceeded.
    """
    if not isinstance(body, dict):
        raise InvalidQuery("The body must be a JSON object with 'sql'.")
    check_keys(body, FIELDS, "a request of SQL")
    sql = body.get("sql")
    if sql is None:
        raise missing("sql")
    if not isinstance(sql, str) or not sql.strip():
        raise wrong("sql", "the text of one SELECT", sql)
    if len(sql) > limits.length_max:
        raise QueryLimitExceeded(
            f"'sql' has {len(sql):,} characters, more than the {limits.length_max:,} of "
            "ACUMEN_SQL_LENGTH_MAX. Send long lists of values as a parameter."
        )
    if "\0" in sql or not _is_encodable(sql):
        raise InvalidQuery("'sql' holds a character that no text of SQL can have: NUL, or half of a pair.")
    form = _format(body.get("format"), accepted)
    explain = body.get("explain")
    if not isinstance(explain, bool | None):
        raise wrong("explain", "true or false", explain)
    if explain and form is not Format.JSON:
        raise InvalidQuery("'explain' stands beside the rows of the format 'json' alone.")
    return SqlQuery(
        sql,
        _parameters(body.get("parameters")),
        _timezone(body.get("timezone")),
        form,
        _limit(body.get("limit"), limits),
        explain is True,
    )


def _format(value: Any, accepted: Format) -> Format:
    if value is None:
        return accepted
    if not isinstance(value, str) or value not in tuple(Format):
        hint = did_you_mean(value, list(Format))
        raise wrong("format", "'json', 'csv' or 'arrow'", value, hint=hint)
    return Format(value)


def _limit(value: Any, limits: SqlLimits) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise wrong("limit", "a whole number from 0", value)
    if value > limits.rows_max:
        raise QueryLimitExceeded(
            f"'limit' must be at most {limits.rows_max:,}, the limit of ACUMEN_SQL_ROWS_MAX. You specified: "
            f"{value}."
        )
    return value


def _timezone(value: Any) -> str:
    if value is None:
        return "UTC"
    if isinstance(value, int) and not isinstance(value, bool):
        hours, rest = divmod(value, 3_600)
        if rest or not -12 <= hours <= 14:
            raise wrong("timezone", "the name of a time zone, or an offset of whole hours in seconds", value)
        # The names of these zones have the opposite sign.
        return f"Etc/GMT{-hours:+d}" if hours else "UTC"
    found = zone(value) if isinstance(value, str) else None
    if found is None or found.key is None:
        hint = did_you_mean(value, zone_names())
        raise wrong("timezone", "the name of a time zone, as 'Europe/Berlin'", value, hint=hint)
    return found.key


def _parameters(value: Any) -> list[Any] | dict[str, Any]:
    if value is None:
        return []
    if not isinstance(value, list | dict):
        raise wrong("parameters", "a list for ? and $1, or an object for $name", value)
    if len(value) > PARAMETERS_MAX:
        raise QueryLimitExceeded(f"'parameters' may hold at most {PARAMETERS_MAX:,} values.")
    named = value if isinstance(value, dict) else {str(place): one for place, one in enumerate(value, 1)}
    left = PARAMETER_VALUES_MAX
    for name, one in named.items():
        if isinstance(value, dict) and not _NAME.fullmatch(name):
            raise InvalidQuery(
                f"'parameters.{name[:100]}' has a name that cannot stand behind $: letters, digits and _, at "
                "most 64, and no digit first."
            )
        left -= len(one) if isinstance(one, list) else 1
        if left < 0:
            raise QueryLimitExceeded(f"'parameters' may hold at most {PARAMETER_VALUES_MAX:,} values.")
        _check_value(f"parameters.{name}", one)
    return value


def _check_value(name: str, value: Any) -> None:
    if isinstance(value, list):
        kinds = {_kind(one) for one in value} - {None}
        if not all(map(_is_scalar, value)):
            raise wrong(name, _SCALARS, value)
        if len(kinds) > 1:
            raise wrong(name, "a list of values of one type", value)
    elif not _is_scalar(value):
        raise wrong(name, _SCALARS, value)


def _kind(value: Any) -> type | None:
    if value is None:
        return None
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" not in value and _is_encodable(value)
    if isinstance(value, int):
        return -_INTEGERS <= value < _INTEGERS
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def format_of(weights: Mapping[str, float]) -> Format:
    """The format that a header ``Accept`` prefers, by the weight of each media type that it names."""
    kinds = {"text/csv": Format.CSV, MEDIA_TYPES[Format.ARROW]: Format.ARROW, "application/json": Format.JSON}
    given = [(weights.get(kind, 0.0), form) for kind, form in kinds.items()]
    best, form = max(given, key=lambda one: one[0])
    return form if best > weights.get("application/json", 0.0) else Format.JSON


MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8",
    Format.ARROW: "application/vnd.apache.arrow.stream",
}
