"""``device.type`` of whole kinds of agents: thousands of real ones, and those that were wrong once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml_rs

from service.ingest.enrich import devices
from service.ingest.enrich.agents import Agents
from service.ingest.enrich.rule_list import RuleList
from tests.support.scale import SCALE

SHARE_WANTED = 0.95
PER_KIND = max(60, round(1_200 * SCALE))
KINDS = {
    "mobile phone": ("smartphone", "phablet", "feature_phone"),
    "tablet": ("tablet",),
    "tv": ("tv",),
    "desktop": ("desktop",),
    "game console": ("console",),
    "wearable": ("wearable",),
}


@pytest.fixture(scope="module")
def agents() -> Agents:
    agents = Agents()
    agents.prepare()
    return agents


@cache
def fixtures() -> Path:
    """The collected agents that the package with the rules is tested with, each with its device."""
    found = find_spec("device_detector")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "tests"


def recorded(names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Entries of the files of these names; of many files of one kind some, so that it is quick."""
    paths = [
        path
        for path in sorted((fixtures() / "fixtures" / "upstream").glob("*.yml"))
        if path.stem.rsplit("-", 1)[0] in names
    ]
    chosen = random.Random(1).sample(paths, min(len(paths), max(4, round(12 * SCALE))))
    for path in chosen:
        yield from read(path)


def read(path: Path) -> list[dict[str, Any]]:
    found: Any = yaml_rs.loads(path.read_text(encoding="utf-8"))
    entries: list[dict[str, Any]] = found
    return entries


def kind_of(agents: Agents, text: str) -> str | None:
    return ((agents.parse(text) or {}).get("device") or {}).get("type")


@pytest.mark.parametrize("kind", KINDS)
def test_of_what_real_agents_tell_nearly_all_is_right(agents: Agents, kind: str) -> None:
    texts = [
        entry["user_agent"]
        for entry in recorded(KINDS[kind])
        # Where client hints tell the device, the agent alone does not.
        if "headers" not in entry and (entry.get("device") or {}).get("type")
    ]
    texts = random.Random(2).sample(texts, min(len(texts), PER_KIND))
    assert len(texts) >= 30
    found = Counter(kind_of(agents, text) for text in texts)
    assert found[kind] / len(texts) >= SHARE_WANTED, found


def test_of_real_crawlers_nearly_all_are_known(agents: Agents) -> None:
    paths = list(fixtures().rglob("bots.yml")) or list(fixtures().rglob("bot.yml"))
    entries = [entry for path in paths for entry in read(path)]
    texts = random.Random(2).sample([e["user_agent"] for e in entries], min(len(entries), PER_KIND))
    found = Counter(kind_of(agents, text) for text in texts)
    assert found["crawler"] / len(texts) >= SHARE_WANTED, found


ANDROID = "Mozilla/5.0 (Linux; Android {}) AppleWebKit/537.36 (KHTML, like Gecko) {}"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (ANDROID.format("9; AFTGAZL Build/NS6265", "Silk/112.2.1 like Chrome/112 Safari/537.36"), "tv"),
        (ANDROID.format("7.1.2; AFTMM Build/NS6265; wv", "Version/4.0 Chrome/70 Mobile Safari/537.36"), "tv"),
        (ANDROID.format("7.1; NEXBOX A95X", "Chrome/70 Safari/537.36"), "tv"),
        (ANDROID.format("9; AQUOS-TVX19A", "Chrome/70 Safari/537.36"), "tv"),
        ("Dalvik/2.1.0 (Linux; U; Android 13; SM-S901B Build/TP1A.220624.014)", "mobile phone"),
        ("MyApp/1.0 (Linux;Android 12) ExoPlayerLib/2.18.1", None),
        (
            "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)",
            "desktop",
        ),
        ("Mozilla/5.0 (X11; Linux Mint; Linux x86_64; rv:102.0) Gecko/20100101 Firefox/102.0", "desktop"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0 Safari/537.36", "crawler"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/120.0 Safari/537.36 Chrome-Lighthouse", "crawler"),
        ("Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 PhantomJS/2.1.1 Safari/538.1", "crawler"),
        ("Mozilla/5.0 Chrome/120.0 Safari/537.36 Prerender (+https://prerender.example)", "crawler"),
        ("Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (compatible; Bytespider)", "crawler"),
        ("Mozilla/5.0 (compatible; Google-HotelAdsVerifier/2.0)", "crawler"),
        (
            "Mozilla/5.0 (Windows NT 5.1) Firefox/11.0 (via ggpht.com GoogleImageProxy)",
            "crawler",
        ),
        ("Mozilla/5.0 (PlayStation 5 3.03/SmartTV) AppleWebKit/605.1.15 (KHTML, like Gecko)", "game console"),
    ],
)
def test_kinds_that_were_wrong_once(agents: Agents, text: str, kind: str | None) -> None:
    assert kind_of(agents, text) == kind


@pytest.mark.parametrize(
    ("text", "family", "major"),
    [
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; "
            "+https://openai.com/bot",
            "ChatGPT-User",
            1,
        ),
        ("Mozilla/5.0 (compatible; SEOkicks; +https://www.seokicks.de/robot.html)", "SEOkicks", None),
        ("Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)", "GPTBot", 1),
    ],
)
def test_a_crawlers_family_is_its_name_and_no_part_of_an_address(
    agents: Agents, text: str, family: str, major: int | None
) -> None:
    browser = (agents.parse(text) or {}).get("browser", {})
    assert browser.get("family") == family
    assert browser.get("major") == major


def test_no_family_of_a_real_crawler_is_part_of_an_address(agents: Agents) -> None:
    paths = list(fixtures().rglob("bots.yml")) or list(fixtures().rglob("bot.yml"))
    entries = [entry for path in paths for entry in read(path)]
    for text in [entry["user_agent"] for entry in entries][:: max(1, round(1 / SCALE))]:
        family = ((agents.parse(text) or {}).get("browser") or {}).get("family", "")
        assert "/" not in family and "://" not in family, text


def test_the_first_rule_that_matches_counts_with_lookaround_or_without() -> None:
    rules = RuleList(["never", r"b(?!x)", "b", r"(?<!y)c", "c"])
    assert [rules.first(text) for text in ("bx", "b", "yc", "c", "z", "yc bx b")] == [2, 1, 4, 3, None, 1]


def test_a_rule_that_takes_too_long_does_not_match() -> None:
    rules = RuleList([r"(?<!z)(a|aa)+$", "b"])
    assert rules.first("a" * 60 + "b") == 1


def test_lists_of_models_are_let_go(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "MODEL_LISTS_MAX", 2)
    few = devices.Devices()
    for entry in list(recorded(("tablet",)))[:50]:
        few.kind_of(entry["user_agent"], "Android", None)
    assert few.model_lists == 2
