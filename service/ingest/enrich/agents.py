"""``keen:ua_parser``: what a user agent says of its browser, its system and its device.

Browser and system are found by the rules of ua-parser, the kind of device by those of ``devices``. Both take
time in proportion to the text, whatever the text: anybody with a write key may send any. Making them takes a
second, which is left to the first event that asks for them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ua_parser import OS, Parser, Result

    from service.ingest.enrich.devices import Devices

AGENT_LENGTH_MAX = 1_000
"""What is longer is cut: no browser says so much."""
REMEMBERED = 4_096
DIGITS_MAX = 9

_ADDRESS = re.compile(r"\+?(?:https?://|www\.)[^\s;,)]*", re.IGNORECASE)

Parsed = dict[str, Any]


class Agents:
    """The parser, with a cache of the agents seen most recently."""

    def __init__(self) -> None:
        self._parser: Parser | None = None
        self._devices: Devices | None = None
        self._remembered = lru_cache(REMEMBERED)(self._parse)

    @property
    def ready(self) -> bool:
        return self._parser is not None and self._devices is not None

    def prepare(self) -> None:
        """Make the parser, where it is not made yet."""
        if self._devices is None:
            # Imported here, so that only those pay for it who use it.
            from service.ingest.enrich.devices import Devices

            self._devices = Devices()
        if self._parser is None:
            from ua_parser import Parser
            from ua_parser.loaders import load_builtins
            from ua_parser.regex import Resolver

            self._parser = Parser(Resolver(load_builtins()))

    def parse(self, text: str) -> Parsed | None:
        """``device``, ``browser`` and ``os``; None where nothing in the text is known. Not to be changed."""
        return self._remembered(text[:AGENT_LENGTH_MAX])

    def _parse(self, text: str) -> Parsed | None:
        self.prepare()
        assert self._parser is not None and self._devices is not None
        found = self._parser.parse(text)
        kind = self._devices.kind_of(text, *_system_of(found))
        if kind is None and _is_spider(found):
            kind = "crawler"
        parsed: Parsed = {}
        # Addresses of help pages in a text are no browsers.
        agent = self._parser.parse_user_agent(_ADDRESS.sub("", text))
        if agent is not None and _named_family(agent.family):
            parsed["browser"] = {
                "family": agent.family,
                **_versions(major=agent.major, minor=agent.minor, patch=agent.patch),
            }
        elif kind == "crawler" and (crawler := self._devices.crawler_of(text)) is not None:
            parsed["browser"] = _browser_of_crawler(text, crawler)
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
                ("type", kind),
            )
            if value
        }
        if device:
            parsed["device"] = device
        return parsed or None


def _versions(**parts: str | None) -> dict[str, int]:
    """The parts that are numbers."""
    numbers = {name: _number(part) for name, part in parts.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def _system_family(system: OS) -> str:
    """Windows is many systems: its family names the one, as ``Windows 10``."""
    if system.family == "Windows" and system.major:
        return f"Windows {system.major}"
    return system.family


def _system_of(found: Result) -> tuple[str, int | None]:
    return (found.os.family, _number(found.os.major)) if found.os else ("", None)


def _browser_of_crawler(text: str, name: str) -> Parsed:
    version = re.search(re.escape(name) + r"[/ ]v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", text, re.IGNORECASE)
    major, minor, patch = version.groups() if version else (None, None, None)
    return {"family": name, **_versions(major=major, minor=minor, patch=patch)}


def _named_family(family: str) -> bool:
    """Whether a family is a name, and no end of an address or a path."""
    return "/" not in family and "://" not in family


def _is_spider(found: Result) -> bool:
    device = found.device
    return device is not None and "Spider" in (device.family, device.brand)


def _number(part: str | None) -> int | None:
    return int(part) if part and part.isascii() and part.isdigit() and len(part) <= DIGITS_MAX else None
