"""Pictures of saved queries' results: what they show, who may see them, and the process that draws them."""

from __future__ import annotations

import os
import signal
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.whole import Whole
from tests.support.embed import embed_token

SVG = "{http://www.w3.org/2000/svg}"
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
DAILY = {
    "analysis_type": "count",
    "event_collection": "buys",
    "timeframe": "this_14_days",
    "interval": "daily",
}
BY_COUNTRY = {"analysis_type": "count", "event_collection": "buys", "group_by": "country"}
DAY_US = 86_400_000_000
DASHES = b'stroke-dasharray="4 4"'
CHILD = b"service.pictures.drawing_process"


class Gallery:
    """A project with saved queries, over one worker."""

    def __init__(self, data: Path, **given: Any) -> None:
        self.whole = whole = Whole(data, **given)
        countries = ("de", "fr", "Ελλάδα", "<b>&")
        whole.record(whole.project, "buys", [{"n": n, "country": countries[n % 4]} for n in range(20)])
        self.save("daily", DAILY, display_name="Orders & returns")
        self.save("by-country", BY_COUNTRY)
        self.save("total", {"analysis_type": "count", "event_collection": "buys"})

    def save(self, name: str, query: dict[str, Any], **metadata: Any) -> None:
        body = {"query": query, "metadata": metadata}
        self.whole.told(self.whole.project, "PUT", f"queries/saved/{name}", body)

    def picture(self, name: str, kind: str = "svg", key: str | None = None, **params: Any) -> httpx.Response:
        path = f"queries/saved/{name}/result.{kind}"
        key = self.whole.project.read_key if key is None else key
        return self.whole.call(self.whole.project, "GET", path, key=key, **params)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    made = Gallery(tmp_path_factory.mktemp("pictures"))
    yield made
    made.whole.close()


def texts(svg: bytes) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter(f"{SVG}text")]


def children() -> list[int]:
    """The processes that draw, started by this one."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and CHILD in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (OSError, ValueError, IndexError):
            continue
    return found


def test_a_result_is_drawn_as_svg(gallery: Gallery) -> None:
    answer = gallery.picture("daily", width=500, height=250)

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    drawn = ET.fromstring(answer.content)
    assert (drawn.get("width"), drawn.get("height")) == ("500", "250")
    assert "Orders & returns" in texts(answer.content)
    assert b"var(--" not in answer.content


def test_retention_is_a_heat_map_of_cohorts_by_period(gallery: Gallery) -> None:
    times = ["2024-12-31T23:30:00Z", "2025-01-02T10:00:00Z", "2025-01-09T10:00:00Z"]
    gallery.whole.record(
        gallery.whole.project, "stays", [{"who": "a", "keen": {"timestamp": time}} for time in times]
    )
    asked = {
        "analysis_type": "retention",
        "starting_event": {"event_collection": "stays"},
        "actor_property": "who",
        "timeframe": {"start": "2025-01-01T00:00:00+01:00", "end": "2025-01-15T00:00:00+01:00"},
        "timezone": "Europe/Berlin",
        "interval": "every_1_weeks",
    }
    gallery.save("stays", asked)
    answer = gallery.picture("stays")
    assert answer.status_code == 200, answer.text
    drawn = texts(answer.content)
    assert {"2025-01-01 (1)", "2025-01-08 (0)", "100%", "0", "1"} <= set(drawn)

    gallery.save("brackets", {**asked, "brackets": [[0, 0], [1, 3]], "group_by": "who"})
    assert {"a", "0", "1–3"} <= set(texts(gallery.picture("brackets").content))


def test_a_result_is_drawn_as_png_of_twice_the_size(gallery: Gallery) -> None:
    answer = gallery.picture("daily", "png", width=300, height=200)

    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(PNG_HEAD)
    assert [int.from_bytes(answer.content[at : at + 4], "big") for at in (16, 20)] == [600, 400]
    small = gallery.picture("daily", "png", width=300, height=200, scale=0.5)
    assert int.from_bytes(small.content[16:20], "big") == 150


def test_names_of_groups_are_text_and_nothing_else(gallery: Gallery) -> None:
    answer = gallery.picture("by-country", title="<script>alert(1)</script>", width=700, height=400)

    assert {"Ελλάδα", "<b>&", "<script>alert(1)</script>"} <= set(texts(answer.content))
    assert not list(ET.fromstring(answer.content).iter(f"{SVG}script"))


def test_looks_are_chosen_by_parameters(gallery: Gallery) -> None:
    usual = gallery.picture("by-country")

    for changed in ({"theme": "dark"}, {"type": "pie"}, {"width": 200}, {"title": "Mine"}):
        other = gallery.picture("by-country", **changed)
        assert other.status_code == 200, other.text
        assert other.content != usual.content
    assert "Orders & returns" not in texts(gallery.picture("daily", title="").content)


def test_a_day_that_is_not_over_is_dashed_as_in_a_browser(gallery: Gallery) -> None:
    """By a read key and by a token, until the day is over; the tag changes with the picture alone."""
    whole = gallery.whole
    noon = whole.now_us // DAY_US * DAY_US + DAY_US // 2
    date = datetime.fromtimestamp(noon / 1e6, UTC)
    days = {"start": date - timedelta(3), "end": date + timedelta(1)}
    span = {name: f"{day:%Y-%m-%dT00:00:00Z}" for name, day in days.items()}
    gallery.save("days", {**DAILY, "timeframe": span})
    gallery.save("past", {**DAILY, "timeframe": "previous_3_days"})
    body = {"name": "embed", "permitted": ["queries", "saved_queries", "cached_queries"]}
    token = embed_token(whole.told(whole.project, "POST", "keys", body)["key"])
    before = whole.now_us
    try:
        for key in (whole.project.read_key, token):
            whole.now_us = noon
            today = gallery.picture("days", key=key)
            whole.now_us = noon + 1_000_000
            assert gallery.picture("days", key=key).headers["etag"] == today.headers["etag"]
            assert DASHES in today.content
            assert DASHES in gallery.picture("days", key=key, type="bar").content.replace(b"3 3", b"4 4")
            assert DASHES not in gallery.picture("past", key=key).content
            whole.now_us = noon + DAY_US
            tomorrow = gallery.picture("days", key=key)
            assert DASHES not in tomorrow.content
            assert tomorrow.headers["etag"] != today.headers["etag"]
    finally:
        whole.now_us = before


def test_what_looks_like_an_interval_and_is_none_is_drawn(gallery: Gallery) -> None:
    span = {"start": "9999-99-99T00:00:00.000Z", "end": "9999-99-99T00:00:00.000+"}
    gallery.whole.record(gallery.whole.project, "odd", [{"timeframe": span}])
    gallery.save("odd", {"analysis_type": "extraction", "event_collection": "odd"})
    assert gallery.picture("odd").status_code == 200


def test_a_viewer_may_see_another_timeframe(gallery: Gallery) -> None:
    shorter = gallery.picture("daily", timeframe="this_2_days")

    assert shorter.status_code == 200, shorter.text
    assert shorter.content != gallery.picture("daily").content


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"width": "wide"}, "width"),
        ({"width": "20"}, "40 to 2000"),
        ({"width": "2000", "height": "2000", "scale": "4"}, "pixels"),
        ({"scale": "9"}, "scale"),
        ({"theme": "drak"}, "Did you mean 'dark'?"),
        ({"type": "heatmpa"}, "Did you mean 'heatmap'?"),
        ({"locale": "klingon!"}, "locale"),
        ({"title": "x" * 301}, "title"),
        ({"wdith": "100"}, "Did you mean 'width'?"),
        ({"timeframe": "sometimes"}, "timeframe"),
    ],
)
def test_what_cannot_be_drawn_is_an_error_that_says_why(
    gallery: Gallery, params: dict[str, str], word: str
) -> None:
    answer = gallery.picture("by-country", **params)

    assert answer.status_code == 400, answer.text
    assert word in answer.json()["message"]


def test_a_type_that_cannot_show_the_result_is_an_error_that_names_those_that_can(gallery: Gallery) -> None:
    answer = gallery.picture("total", type="heatmap")

    assert answer.status_code == 400, answer.text
    assert "metric" in answer.json()["message"]


def test_a_picture_needs_the_right_to_the_result(gallery: Gallery) -> None:
    assert gallery.picture("daily", key=gallery.whole.project.write_key).status_code == 403
    assert gallery.picture("daily", key="none").status_code == 401
    assert gallery.picture("none").status_code == 404


def test_an_unchanged_picture_is_not_sent_again(gallery: Gallery) -> None:
    first = gallery.picture("total", timeframe="previous_1_years")
    again = gallery.picture(
        "total", timeframe="previous_1_years", headers={"if-none-match": first.headers["etag"]}
    )

    assert "max-age" in first.headers["cache-control"]
    assert again.status_code == 304
    assert again.content == b""
    other = gallery.picture("total", headers={"if-none-match": first.headers["etag"]})
    assert other.status_code == 200


def test_an_embed_token_sees_what_lies_within_its_filter(gallery: Gallery) -> None:
    whole = gallery.whole
    body = {"name": "embed", "permitted": ["queries", "saved_queries", "cached_queries"]}
    key = whole.told(whole.project, "POST", "keys", body)["key"]
    french = [{"property_name": "country", "operator": "eq", "property_value": "fr"}]
    token = embed_token(key, {"filters": french, "saved_queries": ["by-country"]})

    drawn = gallery.picture("by-country", key=token)

    assert drawn.status_code == 200, drawn.text
    assert "fr" in texts(drawn.content)
    assert not {"de", "Ελλάδα"} & set(texts(drawn.content))
    assert gallery.picture("daily", key=token).status_code == 403
    png = gallery.picture("by-country", "png", key=token)
    assert png.content != gallery.picture("by-country", "png").content


def test_a_killed_process_is_replaced(gallery: Gallery) -> None:
    assert gallery.picture("daily", title="before").status_code == 200
    (child,) = children()

    os.kill(child, signal.SIGKILL)

    assert gallery.picture("daily", title="after").status_code == 200
    assert children() != [child]


def test_the_process_ends_after_a_pause_and_with_the_worker(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, picture_idle_seconds=0.2)
    before = set(children())
    assert gallery.picture("daily").status_code == 200
    assert len(set(children()) - before) == 1

    until = time.monotonic() + 30
    while set(children()) - before and time.monotonic() < until:
        # The event loop of the worker has to run for its timers.
        gallery.whole.get("/health", key="")
        time.sleep(0.02)
    assert set(children()) == before

    assert gallery.picture("daily", title="again").status_code == 200
    gallery.whole.close()
    assert set(children()) == before


def test_a_picture_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, picture_seconds=0.001)

    answer = gallery.picture("daily")

    assert answer.status_code == 504
    assert "picture" in answer.json()["message"]
    gallery.whole.close()
