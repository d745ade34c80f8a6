"""Finds the sessions in parsed questions."""

from __future__ import annotations

from collections.abc import Iterable

from query.errors import InvalidQuery
from query.language.nodes import AnyOf, Filter, Query, SessionDefinition, found_in


def session_of(query: Query) -> SessionDefinition | None:
    """The sessions that the filters and groups of a question name; None where they name none."""
    return next(found_in(query, SessionDefinition), None)


def without_sessions(filters: Iterable[Filter]) -> tuple[Filter, ...]:
    """The filters that name no property of sessions."""
    return tuple(item for item in filters if not _names_one(item))


def refuse_sessions(query: Query, where: str) -> None:
    """Raises InvalidQuery where a question names a property of sessions; ``where`` it cannot."""
    if session_of(query) is not None:
        raise InvalidQuery(f"A property of sessions cannot be used in {where}.")


def _names_one(item: Filter) -> bool:
    if isinstance(item, AnyOf):
        return any(map(_names_one, item.operands))
    return item.session is not None
