"""Which version of Acumen this is."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The installed package's version; "unknown" where it is run without being installed."""
    try:
        return metadata.version("acumen-server")
    except metadata.PackageNotFoundError:
        return "unknown"
