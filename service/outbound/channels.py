"""Webhooks that a plugin sends: their URL is ``plugin:NAME?setting=value``."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from query.engine.engine import Deadline
from service.plugins.confined import ChildLimits, CodeFailed
from service.plugins.installed import PluginKind, installed_plugins
from service.plugins.running import PluginRunner, PluginUse, problems_of

SCHEME = "plugin:"
MEMORY_BYTES = 256 << 20


class WrongChannel(Exception):
    """A URL that names no channel, or settings that it does not take; the text says why."""


def is_channel(url: str) -> bool:
    return url.startswith(SCHEME)


def channel_of(url: str) -> PluginUse:
    """The plugin that a URL names, and its settings, which are texts. Raises WrongChannel."""
    parts = urlsplit(url)
    name, pairs = unquote(parts.path), parse_qsl(parts.query, keep_blank_values=True)
    settings = dict(pairs)
    if not name or parts.netloc or parts.fragment or len(settings) < len(pairs):
        raise WrongChannel("must be 'plugin:NAME', with its settings as '?room=ops', each once.")
    return PluginUse(PluginKind.ALERT_CHANNEL, name, settings, None)


def check_channel(url: str) -> None:
    """Imports the plugin, in a process of its own. Raises WrongChannel."""
    use = channel_of(url)
    if (use.kind, use.name) not in installed_plugins():
        raise WrongChannel(f"there is no alert channel plugin '{use.name[:100]}' on this server.")
    try:
        (problem,) = problems_of(use.kind, use.name, [use.settings])
    except CodeFailed as error:
        raise WrongChannel(str(error)) from None
    if problem is not None:
        raise WrongChannel(f"settings.{problem}")


def tell_channel(url: str, key: str, body: str, seconds: float) -> None:
    """Have the plugin tell what a webhook would be sent. Blocks. Raises CodeFailed."""
    try:
        use = channel_of(url)
    except WrongChannel as error:
        raise CodeFailed(f"The URL {error}") from None
    runner = PluginRunner(ChildLimits(MEMORY_BYTES, seconds, "ACUMEN_OUTBOUND_SECONDS"))
    runner.tell(use, key, body, Deadline.after(seconds))
