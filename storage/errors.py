"""The base class of the storage errors that callers may see.

StorageError
└── LogError                  see ``storage.log.errors``
"""

from __future__ import annotations


class StorageError(Exception):
    """Base class of the errors of this package."""
