"""Lists of actors in answers, each sorted by value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from query.answers.values import part_value
from query.engine.memory_budget import Reservation
from query.engine.sorting import in_order
from query.errors import QueryLimitExceeded
from query.json_encoding import STEP_VALUES, Written, array, dumps, in_parts
from query.plan.keys import KeyPart

Actor = tuple[tuple[int, Any], bytes, int]
"""An actor's sort key, its JSON, and the lists that it is in as bits."""
ACTOR_BYTES = 300
"""Bytes that an actor takes in Python in addition to its text."""
CHECK_EVERY = 4_096


def actor_of(parts: Sequence[KeyPart], cells: Iterable[Any], mask: int) -> Actor:
    """An actor by the cells of its parts, of which one is not null."""
    value, order = next(
        part_value(part, cell) for part, cell in zip(parts, cells, strict=False) if cell is not None
    )
    # The bytes that orjson returns keep its buffer of some kilobytes; a slice is a copy without it.
    return order, dumps([value])[1:-1], mask


def lists_of(
    actors: list[Actor],
    masks: Sequence[frozenset[int] | None],
    bytes_max: int,
    check: Callable[[], None],
    reservation: Reservation,
) -> list[Written | None]:
    """A list of actors for each of ``masks``: those whose mask is in it; None for None.

    Raises QueryLimitExceeded where the lists take more than ``bytes_max`` bytes.
    """
    check()
    actors = in_order(actors, key=lambda actor: actor[0])
    lists: list[Written | None] = []
    text_bytes = 0
    for counted in masks:
        if counted is None:
            lists.append(None)
            continue
        check()
        size = sum(len(text) + 1 for _, text, mask in actors if mask in counted)
        reservation.reserve(2 * size)
        parts = list(in_parts((text for _, text, mask in actors if mask in counted), STEP_VALUES))
        text_bytes += sum(map(len, parts))
        if text_bytes > bytes_max:
            raise QueryLimitExceeded(
                f"The funnel's actors take more than {bytes_max:,} bytes. "
                "Ask for them at fewer steps, for a shorter timeframe, or filter."
            )
        lists.append(Written(array(parts)))
    # The actors are freed after this; only their JSON stays reserved.
    reservation.reduce_to(2 * text_bytes)
    return lists
