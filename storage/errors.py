"""The errors of storage; every one that a caller may meet derives from ``StorageError``.

StorageError
└── LogError                  drawn out in ``storage.log.errors``
"""

from __future__ import annotations


class StorageError(Exception):
    """The base of all errors of this package."""
