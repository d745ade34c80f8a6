"""The project preferences that Acumen acts on. Others are stored unchanged and have no effect."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from query.errors import InvalidQuery
from query.language.fields import wrong
from query.language.preferences import KEEN, NAMES
from query.language.suggestions import nearest
from service.errors import InvalidParameter
from service.limits.quotas import PROJECT_NAMES, read_quotas

SCOPED_KEYS = "scoped_keys"
"""Whether the project accepts scoped keys at all."""
SCOPED_KEYS_WITHOUT_FILTERS = "scoped_keys_without_filters"
"""Whether it accepts scoped keys without filters."""
SQL = "sql"
"""Whether the read key, scoped keys and people without the master key may send SQL."""
QUOTAS = "quotas"
"""How much the project may send, query and store."""
SWITCHES = (SCOPED_KEYS, SCOPED_KEYS_WITHOUT_FILTERS, SQL)

KNOWN = (*SWITCHES, QUOTAS, *NAMES)


def is_on(preferences: Mapping[str, Any], switch: str) -> bool:
    return preferences.get(switch) is True


def check_preferences(preferences: Mapping[str, Any]) -> None:
    """Raises InvalidParameter for an invalid value, and for a name that looks like a typo of a known one."""
    try:
        KEEN.narrowed(preferences, "preferences.")
    except InvalidQuery as error:
        raise InvalidParameter(error.message) from None
    for name, value in preferences.items():
        if name == QUOTAS:
            read_quotas(value, f"preferences.{QUOTAS}", PROJECT_NAMES)
        elif name in SWITCHES:
            if not isinstance(value, bool):
                raise InvalidParameter(wrong(f"preferences.{name}", "true or false", value).message)
        elif name not in KNOWN and (meant := nearest(name, KNOWN)) is not None:
            raise InvalidParameter(f"'preferences.{name[:100]}' is unknown. Did you mean '{meant}'?")


def _quoted(name: str, text: str) -> str:
    """How an assignment is written so that the shell leaves the quotes of a text in it."""
    if name in SWITCHES:
        return f"Give --set {name}=true or --set {name}=false."
    assignment = shlex.quote(f"{name[:100]}={json.dumps(text[:100], ensure_ascii=False)}")
    return f"A text needs double quotes that the shell leaves in it: --set {assignment}."


def changed(preferences: Mapping[str, Any], assignments: list[str]) -> dict[str, Any]:
    """The preferences with each assignment ``NAME=JSON`` applied; ``NAME=`` removes one.

    Raises InvalidParameter.
    """
    result = dict(preferences)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not name or not equals:
            raise InvalidParameter(f"'{assignment[:100]}' must be NAME=VALUE, the value as JSON.")
        if not text:
            result.pop(name, None)
            continue
        try:
            result[name] = json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidParameter(
                f"The value of '{name[:100]}' is not JSON: {text[:100]}. {_quoted(name, text)}"
            ) from None
    return result
