"""The actors that a static cohort lists: text, numbers and booleans, each once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from query.errors import QueryLimitExceeded
from query.language.fields import encodable, is_number, structured, wrong
from query.language.nodes import Members

CODE = "InvalidCohortError"
TEXT_LENGTH_MAX = 10_000
_INTEGER_BITS_MAX = 14_000
"""Python converts integers of up to 4,300 digits to text."""
_CHECK_EVERY = 1_000


def listed(value: Any, name: str, most: int, check: Callable[[], None] = lambda: None) -> Members:
    """The members of a JSON list, in its order. Raises InvalidQuery, QueryLimitExceeded."""
    return members_of(written(value, name, most, check))


def members_of(texts: Iterable[str]) -> Members:
    """The members that ``written`` encoded."""
    kept = list(texts)
    digest = hashlib.sha256("\n".join(sorted(kept)).encode()).hexdigest()
    return Members(tuple(json.loads(text) for text in kept), digest)


def written(value: Any, name: str, most: int, check: Callable[[], None] = lambda: None) -> list[str]:
    """The JSON of each actor, each once: ``1.0`` and ``1`` are the same.

    Raises InvalidQuery, QueryLimitExceeded.
    """
    value = structured(name, value)
    if not isinstance(value, list):
        raise wrong(name, "a list of actors: text, numbers, true or false", value, CODE)
    texts: dict[str, None] = {}
    for index, actor in enumerate(value):
        if index % _CHECK_EVERY == 0:
            check()
        text = member_of(actor)
        if text is None:
            needs = f"text of 1 to {TEXT_LENGTH_MAX} characters, a number, true or false"
            raise wrong(f"{name}[{index}]", needs, actor, CODE)
        texts[text] = None
    if len(texts) > most:
        raise QueryLimitExceeded(
            f"'{name}' may list at most {most:,} actors (ACUMEN_COHORT_MEMBERS_MAX). A cohort by what actors "
            "did has more."
        )
    return list(texts)


def member_of(actor: Any) -> str | None:
    """The JSON of an actor; None of what cannot be one."""
    fits = isinstance(actor, bool)
    if isinstance(actor, str):
        fits = 0 < len(actor) <= TEXT_LENGTH_MAX and encodable(actor)
    elif isinstance(actor, int):
        fits = fits or actor.bit_length() <= _INTEGER_BITS_MAX
    elif isinstance(actor, float):
        fits = is_number(actor)
        actor = int(actor) if fits and actor.is_integer() else actor
    return json.dumps(actor) if fits else None
