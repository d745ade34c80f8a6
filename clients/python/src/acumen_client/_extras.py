"""Packages that only some of the client needs, imported where they are wanted."""

from __future__ import annotations

import importlib
from typing import Any


class MissingExtraError(ImportError):
    """A package is wanted that is not installed; the message says how to install it."""


def wanted(module: str, extra: str, purpose: str) -> Any:
    """The module; MissingExtraError names the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise
        raise MissingExtraError(
            f"{purpose} need the package {package}: pip install 'acumen-client[{extra}]'", name=package
        ) from error
