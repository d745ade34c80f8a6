"""The kind of device behind a user agent: phone, tablet, television, crawler and so on.

Which text belongs to which device is data of Matomo's Device Detector (LGPL, some 20,000 rules, renewed
monthly), as the package ``device-detector`` carries it. Here are only the order in which they are asked and
what holds for devices that no rule names.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml_rs

from service.ingest.enrich.rule_list import RuleList

_BOUNDED = r"(?:^|[^A-Z0-9_-]|[^A-Z0-9-]_|sprd-|MZ-)(?:{})"
"""Rules are meant at the beginning of a word."""

_KINDS = {
    "smartphone": "mobile phone",
    "phablet": "mobile phone",
    "feature phone": "mobile phone",
    "console": "game console",
}
MODEL_LISTS_MAX = 64
"""Makers whose list of models is kept ready; one takes a tenth of a megabyte, some ten times that."""
_GROUPS = ("consoles", "car_browsers", "cameras", "portable_media_player", "mobiles")
"""Files of rules, in the order in which they are asked."""
_KIND_OF_GROUP = {
    "consoles": "console",
    "car_browsers": "car browser",
    "cameras": "camera",
    "portable_media_player": "portable media player",
    "mobiles": "smartphone",
}

_SURE = frozenset({"console", "wearable", "camera", "smart speaker", "smart display", "peripheral"})
"""Kinds whose agents speak of televisions too."""

_AUTOMATED = re.compile(
    r"headless|phantomjs|slimerjs|lighthouse|prerender|puppeteer|playwright|selenium", re.IGNORECASE
)
_TELEVISION = re.compile(
    r"(?:hbbtv|smarttva)/\d|[ _]shell[ _]\w{6}|tclwebkit\d|tv store| omi/|andr0id|android(?: uhd)? tv"
    r"|google tv"
    r"|\(lite\) tv|bravia|firebolt| tv$|smart-?tv|tizen.+ tv |\(tv;|whaletv|netcast|web0s|roku|apple ?tv",
    re.IGNORECASE,
)
_TABLET = re.compile(r"pad/apad|opera tablet|android[ .\d]*; tablet;|tablet(?! pc)|-tablet$", re.IGNORECASE)
_PHONE = re.compile(r"android[ .\d]*; mobile;|-mobile$| mobile$|midp|j2me|kaios|opera mini", re.IGNORECASE)
_HEADSET = re.compile(r"android[ .\d]*; mobile vr;| vr ", re.IGNORECASE)
_CHROME = re.compile(r"chrome/[.\d]*", re.IGNORECASE)
_MOBILE = re.compile(r"mobile|elibom", re.IGNORECASE)
_COMPUTERS = frozenset(
    {"Mac OS X", "Mac OS", "Chrome OS", "Windows", "Solaris", "FreeBSD", "OpenBSD", "NetBSD", "BeOS", "Linux"}
    | {
        "Ubuntu",
        "Debian",
        "Fedora",
        "Red Hat",
        "CentOS",
        "SUSE",
        "Arch Linux",
        "Linux Mint",
        "Mint",
        "Gentoo",
    }
    | {"Mageia", "Mandriva", "Slackware", "PCLinuxOS", "Kubuntu", "Puppy", "AmigaOS", "OS/2", "IRIX", "AIX"}
)
_DESKTOP = re.compile(
    r"windows|\bwin(?:xp|7|8|10|11)\b|; ?desktop|beos|haiku|ms-?office|x86_64"
    r"|amiga|\bwin\b|win32|win64|darwin|mac os x",
    re.IGNORECASE,
)
_POINTED = re.compile(r"windows nt|x11;|macintosh|cros |(?<!like )mac os x", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Brand:
    """One maker's rules: the kind of its devices, and the models that are of another."""

    kind: str
    models: tuple[tuple[str, str], ...]
    """Rule and kind of each model that is of another kind, in order."""


class Devices:
    """Made in about a second, and then answers in hundredths of a millisecond; thread-safe."""

    def __init__(self) -> None:
        rules = _rules_folder()
        crawlers = _read(rules / "bots.yml")
        self._crawlers = RuleList([_BOUNDED.format(rule["regex"]) for rule in crawlers])
        self._crawler_names = [str(rule["name"]).partition("/")[0] for rule in crawlers]
        brands = [pair for group in _GROUPS for pair in _brands(rules / "device", group)]
        self._brands = [brand for _, brand in brands]
        self._brand_rules = RuleList([pattern for pattern, _ in brands])
        self._models = lru_cache(MODEL_LISTS_MAX)(self._models_of)

    def kind_of(self, text: str, system: str, version: int | None) -> str | None:
        """The kind of device, of a system whose family and major version are known or empty; None where
        nothing says it."""
        if _AUTOMATED.search(text) or self._crawlers.first(text) is not None:
            return "crawler"
        index = self._brand_rules.first(text)
        named = None if index is None else self._named(index, text)
        if named not in _SURE and _TELEVISION.search(text):
            return "tv"
        kind = self._judged(text, named, system, version)
        return None if kind is None else _KINDS.get(kind, kind)

    @property
    def model_lists(self) -> int:
        """Makers whose models are kept ready."""
        return self._models.cache_info().currsize

    def crawler_of(self, text: str) -> str | None:
        """The name of the crawler whose agent this is, where it is one that is known."""
        index = self._crawlers.first(text)
        return None if index is None else self._crawler_names[index]

    def _named(self, index: int, text: str) -> str:
        brand = self._brands[index]
        found = self._models(index).first(text) if brand.models else None
        return brand.kind if found is None else brand.models[found][1]

    def _models_of(self, index: int) -> RuleList:
        return RuleList([pattern for pattern, _ in self._brands[index].models])

    def _judged(self, text: str, named: str | None, system: str, version: int | None) -> str | None:
        if named is None:
            return _unnamed(text, system, version)
        if named == "smartphone" and _TABLET.search(text) and "pad/apad" in text.lower():
            return "tablet"
        if named in ("smartphone", "tablet") and _of_a_computer(text, system):
            return "desktop"
        return named


def _of_a_computer(text: str, system: str) -> bool:
    """Whether an agent that names a maker of phones is that of a computer all the same."""
    if "cfnetwork" in text.lower():
        return "x86_64" in text
    return system in _COMPUTERS and _POINTED.search(text) is not None and not _MOBILE.search(text)


def _unnamed(text: str, system: str, version: int | None) -> str | None:
    """The kind of a device that no rule names, by what agents of its kind have in common."""
    if system == "Android" or "android" in text.lower():
        return _unnamed_android(text, version)
    if system in _COMPUTERS:
        touched = system == "Windows" and version == 8 and re.search(r"\btouch\b", text, re.IGNORECASE)
        return "tablet" if touched else "desktop"
    if _TABLET.search(text):
        return "tablet"
    if _PHONE.search(text):
        return "smartphone"
    return "desktop" if _DESKTOP.search(text) else None


def _unnamed_android(text: str, version: int | None) -> str | None:
    if _HEADSET.search(text):
        return "wearable"
    if _TABLET.search(text):
        return "tablet"
    if _PHONE.search(text):
        return "smartphone"
    if _CHROME.search(text):
        # Chrome says "Mobile" on phones, and does not on tablets.
        return "smartphone" if _MOBILE.search(text) else "tablet"
    if version in (1, 3):
        return "smartphone" if version == 1 else "tablet"
    return "smartphone" if _MOBILE.search(text) else None


def _rules_folder() -> Path:
    found = importlib.util.find_spec("device_detector")
    assert found is not None and found.origin is not None, "device-detector is among the dependencies"
    return Path(found.origin).parent / "regexes" / "upstream"


def _read(path: Path) -> Any:
    return yaml_rs.loads(path.read_text(encoding="utf-8"))


def _brands(folder: Path, group: str) -> Iterator[tuple[str, Brand]]:
    for entry in _read(folder / f"{group}.yml").values():
        kind = entry.get("device") or _KIND_OF_GROUP[group]
        models = [
            (_BOUNDED.format(model["regex"]), model.get("device") or kind)
            for model in entry.get("models", ())
        ]
        others = tuple((pattern, other) for pattern, other in models if other != kind)
        yield _BOUNDED.format(entry["regex"]), Brand(kind, others)
