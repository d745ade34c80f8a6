"""Options whose value is JSON."""

from __future__ import annotations

import json
from typing import Any

from service.cli.errors import CannotDo

SHOWN_MAX = 100


def json_of(option: str, text: str, example: str) -> Any:
    """The value of an option. Raises CannotDo, whose text shows ``example`` as it is quoted in a shell."""
    try:
        return json.loads(text)
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = str(error)
    raise CannotDo(
        f"{option} is not JSON: {reason}. You specified: {text[:SHOWN_MAX]}. Names and texts need double "
        f"quotes, and the whole single ones: {option} '{example}'."
    )
