"""The version of Acumen."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The installed package's version; "unknown" if Acumen is run without being installed."""
    try:
        return metadata.version("acumen-server")
    except metadata.PackageNotFoundError:
        return "unknown"
