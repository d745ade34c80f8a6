"""Secrets in the settings of a plugin: ``{ secret = "name" }`` stands for the text of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def with_secrets(settings: Any, reveal: Callable[[str], str]) -> Any:
    """The settings with each secret's text in its place. Raises what ``reveal`` raises."""
    if isinstance(settings, Mapping):
        if settings.keys() == {"secret"} and isinstance(settings["secret"], str):
            return reveal(settings["secret"])
        return {key: with_secrets(one, reveal) for key, one in settings.items()}
    if isinstance(settings, list):
        return [with_secrets(one, reveal) for one in settings]
    return settings


def secrets_in(settings: Any) -> list[str]:
    """The names of the secrets in settings."""
    found: list[str] = []

    def noted(name: str) -> str:
        found.append(name)
        return ""

    with_secrets(settings, noted)
    return found
