"""Which plugins are installed: the entry points of packages, without importing any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import EntryPoint, entry_points


class PluginKind(StrEnum):
    """What a plugin is for."""

    SOURCE = "source"
    OPERATION = "operation"
    SINK = "sink"
    ENRICHER = "enricher"
    EXPECTATION = "expectation"
    ALERT_CHANNEL = "alert_channel"

    @property
    def group(self) -> str:
        """The group of its entry points."""
        return f"acumen.{self.value}s"

    @property
    def words(self) -> str:
        return self.value.replace("_", " ")


CONNECTED = frozenset({PluginKind.SOURCE, PluginKind.SINK, PluginKind.ALERT_CHANNEL})
"""Kinds whose code may open connections."""


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """An entry point."""

    kind: PluginKind
    name: str
    package: str
    version: str
    target: str
    """``module:class``."""
    also: str | None = None
    """Another package that has a plugin of this kind and name: neither can be used."""

    @property
    def release(self) -> str:
        """The package and its version, which tell whether its results may be others."""
        return f"{self.package} {self.version}"

    @property
    def problem(self) -> str | None:
        """Why it cannot be used, as far as is known without importing it."""
        if self.also is None:
            return None
        return f"'{self.package}' and '{self.also}' both have one of this name: uninstall one of them."


def found_plugins() -> Mapping[tuple[PluginKind, str], InstalledPlugin]:
    """Reads what the packages say of themselves."""
    found: dict[tuple[PluginKind, str], InstalledPlugin] = {}
    every = entry_points()
    for kind in PluginKind:
        for entry in every.select(group=kind.group):
            one = _read(kind, entry)
            other = found.get((kind, entry.name))
            if other is None:
                found[kind, entry.name] = one
            elif other.package != one.package:
                found[kind, entry.name] = InstalledPlugin(
                    kind, one.name, other.package, other.version, other.target, one.package
                )
    return found


@cache
def installed_plugins() -> Mapping[tuple[PluginKind, str], InstalledPlugin]:
    """Those that were installed when this process first asked."""
    return found_plugins()


def _read(kind: PluginKind, entry: EntryPoint) -> InstalledPlugin:
    package, version = ("?", "?") if entry.dist is None else (entry.dist.name, entry.dist.version)
    return InstalledPlugin(kind, entry.name, package or "?", version or "?", entry.value)
