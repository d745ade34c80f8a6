"""Packages that only some of the client needs, imported where they are wanted."""

from __future__ import annotations

import importlib
from typing import Any

from acumen_client.errors import ConfigurationError


def wanted(module: str, extra: str, purpose: str) -> Any:
    """The module; a ConfigurationError names the extra that brings it where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise
        raise ConfigurationError(
            f"{purpose} need the package {package}: pip install 'acumen-client[{extra}]'"
        ) from error
