"""The base class of the catalog's repositories."""

from __future__ import annotations

from collections.abc import Callable

from storage.catalog.database.connection import Database


class Repository:
    """Access to some tables of the catalog. Each method is one transaction unless it says otherwise.

    Functions that take a connection run in the caller's open transaction.
    """

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        """``clock`` returns µs since 1970 UTC."""
        self._database = database
        self._clock = clock
