"""Under which rights and filters alerts and reports are asked: an access key's, or the project's own."""

from __future__ import annotations

from query.language.nodes import Filter
from service.auth.principal import Caller, Permission, caller_by_access_key
from storage.catalog.catalog import Catalog
from storage.catalog.derived.records import SavedQuery


class Unanswerable(Exception):
    """It cannot be asked: what is named is gone, or may not be asked any more."""


def caller_of(catalog: Catalog, project_id: str, public_id: str | None) -> Caller | None:
    """Who asks; None: the project itself. Blocks. Raises Unanswerable."""
    if public_id is None:
        return None
    key = catalog.access_keys.find_public(project_id, public_id)
    if key is None or not key.is_active:
        raise Unanswerable("The access key is gone, or revoked.")
    return caller_by_access_key(catalog.projects.get(project_id), key)


def filters_of_questions(caller: Caller | None) -> tuple[Filter, ...]:
    """The filters on questions. Raises Unanswerable where the caller may ask none."""
    if caller is None:
        return ()
    if Permission.QUERIES not in caller.permissions:
        raise Unanswerable("The access key may not ask questions any more.")
    return caller.filters_for(Permission.QUERIES)


def filters_of_saved(caller: Caller | None, query: SavedQuery) -> tuple[Filter, ...]:
    """The filters on a saved query. Raises Unanswerable where the caller may not read it."""
    if caller is None:
        return ()
    is_cached = bool(query.refresh_rate)
    kind = Permission.CACHED_QUERIES if is_cached else Permission.SAVED_QUERIES
    if kind not in caller.permissions or not caller.admits_saved(query.name, cached=is_cached):
        raise Unanswerable("The access key may not read the saved query any more.")
    return caller.filters_for(kind)
