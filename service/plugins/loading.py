"""In the process of a plugin: imports it, checks what it says of itself, and makes it with its settings."""

from __future__ import annotations

import dataclasses
import importlib
import re
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from service.plugins.contract import API
from service.plugins.installed import InstalledPlugin, PluginKind, found_plugins

METHODS = {
    PluginKind.SOURCE: "read",
    PluginKind.OPERATION: "run",
    PluginKind.SINK: "deliver",
    PluginKind.ENRICHER: "enrich",
    PluginKind.EXPECTATION: "check",
    PluginKind.ALERT_CHANNEL: "send",
}


class BadPlugin(Exception):
    """A plugin that cannot be used; the text says why."""


class RefusedSettings(Exception):
    """Settings that a plugin does not take; the text begins with the field."""


def found_class(kind: PluginKind, name: str, release: str | None) -> Any:
    """The class of a plugin. ``release``: that of its package with which its use was applied; None: any.
    Raises BadPlugin."""
    plugin = found_plugins().get((kind, name))
    if plugin is None:
        raise BadPlugin(f"There is no {kind.words} plugin '{name}': install its package beside the server.")
    if plugin.problem is not None:
        raise BadPlugin(plugin.problem)
    if release is not None and release != plugin.release:
        raise BadPlugin(
            f"Its package is '{plugin.release}' now, and '{release}' was applied: run 'acumen apply' on the "
            "folder."
        )
    return _checked(plugin, _imported(plugin))


def _imported(plugin: InstalledPlugin) -> Any:
    module, _, name = plugin.target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in filter(None, name.split(".")):
            found = getattr(found, part)
    except Exception as error:
        raise BadPlugin(
            f"It cannot be imported: {''.join(traceback.format_exception_only(error)).strip()}"
        ) from None
    return found


def _checked(plugin: InstalledPlugin, found: Any) -> Any:
    if not isinstance(found, type):
        raise BadPlugin(f"{plugin.target} is no class.")
    api = getattr(found, "api", None)
    if api != API:
        stated = "states no 'api'" if api is None else f"is written for version {api!r} of the contract"
        raise BadPlugin(f"{plugin.target} {stated}: this server has version {API}.")
    method = METHODS[plugin.kind]
    if not callable(getattr(found, method, None)):
        raise BadPlugin(f"{plugin.target} has no method '{method}', which {plugin.kind.words} plugins need.")
    return found


def made(found: Any, settings: Mapping[str, Any], *, strict: bool = True) -> Any:
    """The plugin with its settings, of which texts may stand for numbers unless ``strict``. Raises
    RefusedSettings, and what the plugin raises."""
    kind = getattr(found, "Settings", None)
    if kind is None:
        for key in settings:
            raise RefusedSettings(f"{key}: the plugin has no settings.")
        return found()
    return found(read_settings(kind, settings, strict=strict))


def read_settings(kind: Any, settings: Mapping[str, Any], *, strict: bool = True) -> Any:
    """Raises RefusedSettings."""
    known = _fields(kind)
    for key in settings:
        if known is not None and key not in known:
            raise RefusedSettings(
                f"{key}: the plugin has no such setting. It has: {', '.join(known) or 'none'}."
            )
    try:
        return msgspec.convert(dict(settings), kind, strict=strict)
    except msgspec.ValidationError as error:
        raise RefusedSettings(_worded(str(error))) from None
    except (TypeError, ValueError) as error:
        raise RefusedSettings(f"{error}") from None


def _fields(kind: Any) -> Iterable[str] | None:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return list(kind.__struct_encode_fields__)
    return [one.name for one in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else None


def _worded(message: str) -> str:
    """What msgspec says, with the field first."""
    missing = re.search(r"missing required field `([^`]+)`", message)
    text, _, path = message.partition(" - at `$")
    place = path.rstrip("`").lstrip(".")
    if missing:
        return f"{f'{place}.' if place else ''}{missing[1]}: is lacking."
    return f"{place}: {text[:1].lower()}{text[1:]}." if place else f"{text}."
