"""Removes properties that came only with events which were not stored in the end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from storage.catalog.catalog import Catalog
from storage.catalog.errors import UnknownCollection
from storage.columns.arrow_chunks import ChunkStore
from storage.files.pruning import columns_of, nulls_in
from storage.paths import DataFolder

HOUR_SECONDS = 3_600
COLLECTIONS_AT_ONCE = 500
"""Collections whose properties are checked after one flush."""


class LanePruner:
    """Selects collections once an hour, and checks some of them whenever it is called.

    To be called after a flush, when almost all logged events are in files. ``changed`` is called with each
    collection whose schema changed.
    """

    def __init__(
        self, folder: DataFolder, catalog: Catalog, chunks: ChunkStore, changed: Callable[[int], None]
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._chunks = chunks
        self._changed = changed
        self._checked: dict[int, int] = {}
        """Collections whose lanes were checked, and the schema version then."""
        self._due: list[tuple[int, int]] = []
        self._hour = -1

    def step(self, now: float) -> None:
        """Check the collections that are due next."""
        if int(now // HOUR_SECONDS) != self._hour:
            self._hour = int(now // HOUR_SECONDS)
            versions = self._catalog.collections.lanes_versions()
            self._due = [item for item in versions.items() if self._checked.get(item[0]) != item[1]]
        for collection_id, _ in self._due[-COLLECTIONS_AT_ONCE:]:
            del self._due[-1]
            with suppress(UnknownCollection):
                self.prune(collection_id)

    def prune(self, collection_id: int) -> None:
        """Remove the collection's lanes that no event has. Raises UnknownCollection."""
        schema = self._catalog.collections.by_id(collection_id).schema
        files, tables = self._catalog.files.kept(collection_id), self._chunks.tables(collection_id)
        nulls = nulls_in(self._folder, schema, files, tables)
        removable, _ = schema.unheld(columns_of(tables).union(*(file.columns for file in files)), nulls)
        if removable:
            schema = self._catalog.collections.prune_lanes(collection_id, columns_of(tables), nulls).schema
            self._changed(collection_id)
        self._checked[collection_id] = schema.version

    def forget(self, collection_id: int) -> None:
        """Forget a collection that was removed."""
        self._checked.pop(collection_id, None)
