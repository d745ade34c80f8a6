"""What the repositories of the catalog have in common."""

from __future__ import annotations

from collections.abc import Callable

from storage.catalog.database.connection import Database


class Repository:
    """Some tables of the catalog. Each of its methods is one transaction, or several where it says so.

    Functions that take a connection are for callers whose transaction is already open.
    """

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        """``clock``: µs since 1970 UTC."""
        self._database = database
        self._clock = clock
