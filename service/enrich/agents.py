"""``keen:ua_parser``: what a user agent says of its browser, its system and its device.

The rules are those of ua-parser, whose matcher takes time in proportion to the text, whatever the text:
anybody with a write key may send any. It takes a third of a second to make, so that is left to the first
event that asks for it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ua_parser import OS, Parser, Result

AGENT_LENGTH_MAX = 1_000
"""What is longer is cut: no browser says so much."""
REMEMBERED = 4_096
DIGITS_MAX = 9

Parsed = dict[str, Any]


class Agents:
    """The parser, and what it said of agents seen of late."""

    def __init__(self) -> None:
        self._parser: Parser | None = None
        self._remembered = lru_cache(REMEMBERED)(self._parse)

    @property
    def ready(self) -> bool:
        return self._parser is not None

    def prepare(self) -> None:
        """Make the parser, where it is not made yet."""
        if self._parser is None:
            # Here, so that nobody pays for it who has no use for it.
            from ua_parser import Parser
            from ua_parser.loaders import load_builtins
            from ua_parser.regex import Resolver

            self._parser = Parser(Resolver(load_builtins()))

    def parse(self, text: str) -> Parsed | None:
        """``device``, ``browser`` and ``os``; None where nothing in the text is known. Not to be changed."""
        return self._remembered(text[:AGENT_LENGTH_MAX])

    def _parse(self, text: str) -> Parsed | None:
        self.prepare()
        assert self._parser is not None
        found = self._parser.parse(text)
        parsed: Parsed = {}
        if found.user_agent is not None:
            agent = found.user_agent
            parsed["browser"] = {
                "family": agent.family,
                **_versions(major=agent.major, minor=agent.minor, patch=agent.patch),
            }
        if found.os is not None:
            system = found.os
            parsed["os"] = {
                "family": _system_family(system),
                **_versions(
                    major=system.major, minor=system.minor, patch=system.patch, patch_minor=system.patch_minor
                ),
            }
        device = {
            name: value
            for name, value in (
                ("family", found.device.family if found.device else None),
                ("type", device_type(text, found)),
            )
            if value
        }
        if device:
            parsed["device"] = device
        return parsed or None


def _versions(**parts: str | None) -> dict[str, int]:
    """The parts that are numbers."""
    return {
        name: int(part)
        for name, part in parts.items()
        if part and part.isascii() and part.isdigit() and len(part) <= DIGITS_MAX
    }


def _system_family(system: OS) -> str:
    """Windows is many systems: its family names the one, as ``Windows 10``."""
    if system.family == "Windows" and system.major:
        return f"Windows {system.major}"
    return system.family


_TELEVISION = re.compile(
    r"smart-?tv|hbbtv|apple ?tv|google ?tv|netcast|web0s|roku|bravia|crkey|aft[a-z]{1,3}\b|\btv\b",
    re.IGNORECASE,
)
_CONSOLE = re.compile(r"playstation|xbox|nintendo", re.IGNORECASE)
_WATCH = re.compile(r"\bwatch|wear ?os", re.IGNORECASE)
_TABLET = re.compile(r"ipad|tablet|kindle|silk/|playbook", re.IGNORECASE)
_PHONE = re.compile(
    r"iphone|ipod|mobile|mobi\b|phone|blackberry|opera mini|symbian|midp|j2me|kaios", re.IGNORECASE
)
_COMPUTERS = {
    "Mac OS X",
    "Mac OS",
    "Chrome OS",
    "Linux",
    "Windows",
    "Solaris",
    "FreeBSD",
    "OpenBSD",
    "NetBSD",
}
_LINUXES = {"Ubuntu", "Debian", "Fedora", "Red Hat", "CentOS", "SUSE", "Arch Linux", "Mint", "Gentoo"}


def device_type(text: str, found: Result) -> str | None:
    """The kind of device, by what agents of its kind have in common; None where nothing says it."""
    device = found.device
    if device is not None and (device.family == "Spider" or device.brand == "Spider"):
        return "crawler"
    system = found.os.family if found.os else ""
    for pattern, kind in ((_CONSOLE, "game console"), (_TELEVISION, "tv"), (_WATCH, "wearable")):
        if pattern.search(text):
            return kind
    if _TABLET.search(text) or (system == "Android" and not _PHONE.search(text)):
        return "tablet"
    if _PHONE.search(text):
        return "mobile phone"
    return "desktop" if system in _COMPUTERS or system in _LINUXES else None
