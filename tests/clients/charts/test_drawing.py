"""Rules of drawings: axes in the answer's zone, spikes that stay, texts that are cut, colours."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest

from tests.clients.charts.conftest import Core, Json
from tests.clients.charts.fonts import advances, width
from tests.clients.charts.pictures import parsed, texts
from tests.clients.charts.test_describing import COUNT, by_day, groups


def hourly(start: str, count: int, zone: str) -> Json:
    return {
        "result": by_day(list(range(count)), start, 1),
        "query": {**COUNT, "interval": "hourly", "timezone": zone},
    }


@pytest.mark.parametrize(
    ("start", "hours", "zone", "labels"),
    [
        # an hour comes twice
        (
            "2026-10-25T00:00:00+02:00",
            25,
            "Europe/Warsaw",
            ["00:00", "01:00", "02:00", "02:00", "03:00", "04:00"],
        ),
        # an hour is missing
        (
            "2026-03-29T00:00:00+01:00",
            23,
            "Europe/Warsaw",
            ["00:00", "01:00", "03:00", "04:00", "05:00", "06:00"],
        ),
        # clocks are put forward by half an hour
        (
            "2026-10-04T00:00:00+10:30",
            6,
            "Australia/Lord_Howe",
            ["00:00", "01:00", "02:30", "03:30", "04:30", "05:30"],
        ),
        ("2026-01-01T00:00:00+05:30", 6, "19800", ["00:00", "01:00", "02:00", "03:00", "04:00", "05:00"]),
        ("2026-01-01T00:00:00Z", 6, "Not/AZone", ["00:00", "01:00", "02:00", "03:00", "04:00", "05:00"]),
    ],
)
def test_hours_are_those_of_the_answers_clock(
    core: Core, start: str, hours: int, zone: str, labels: list[str]
) -> None:
    svg = core.draw(hourly(start, hours, zone), width=1400, height=300, locale="en-GB", resolve=True)
    shown = [text.text for text in texts(svg) if re.fullmatch(r"\d\d:\d\d", text.text)]
    assert shown[: len(labels)] == labels


def test_ticks_stand_at_the_hours_of_a_short_day(core: Core) -> None:
    """On a true scale of time the three hours until 03:00 are two, on the day that clocks are put forward."""
    svg = core.draw(
        hourly("2026-03-29T00:00:00+01:00", 23, "Europe/Warsaw"), width=640, height=300, locale="en-GB"
    )
    places = {
        text.text: (text.left + text.right) / 2
        for text in texts(svg)
        if re.fullmatch(r"\d\d:\d\d", text.text)
    }
    first, others = places["06:00"] - places["03:00"], places["09:00"] - places["06:00"]
    assert first == pytest.approx(others, abs=1)
    assert places["03:00"] - places["00:00"] == pytest.approx(first * 2 / 3, abs=1.5)


def test_days_of_a_zone_begin_at_its_midnight(core: Core) -> None:
    answer = {
        "result": by_day([1, 2, 3], "2026-11-01T00:00:00+09:00"),
        "query": {**COUNT, "interval": "daily", "timezone": "Asia/Tokyo"},
    }
    shown = [text.text for text in texts(core.draw(answer, width=700, height=300))]
    assert {"Sun 1", "Mon 2", "Tue 3"} <= set(shown)


@pytest.mark.parametrize("kind", ["line", "area", "bar"])
def test_a_spike_among_thousands_of_points_stays(core: Core, kind: str) -> None:
    values = [100] * 6000
    values[3217] = 900
    answer, size = {"result": by_day(values, hours=1), "query": COUNT}, {"width": 800, "height": 400}
    drawn = core.ask(answer=answer, options={"type": kind}, drawings=[size])["drawn"][0]
    top, usual = drawn["points"][0][3217], drawn["points"][0][0]
    assert top < usual - 200 and len(drawn["svg"]) < 120_000
    assert f"{top:g}" in drawn["svg"]


def test_a_gap_is_a_gap(core: Core) -> None:
    path = re.findall(r' d="([^"]*)"[^>]*stroke-linejoin', core.draw({"result": by_day([1, 2, None, 3, 4])}))
    assert [line.count("M") for line in path] == [2]


def test_the_last_interval_is_dashed_until_it_has_ended(core: Core) -> None:
    answer = {"result": by_day([1, 2, 3, 4])}
    assert "stroke-dasharray" not in core.draw(answer)
    assert "stroke-dasharray" in core.draw(answer, {"now": "2026-11-04T12:00:00Z"})
    assert "stroke-dasharray" in core.draw(answer, {"now": "2026-11-04T12:00:00Z", "type": "bar"})


def test_long_names_are_cut_and_told_whole(core: Core) -> None:
    name = "Saint Helena, Ascension and Tristan da Cunha and a good deal more beside that"
    svg = core.draw({"result": [{"c": name, "result": 1}, {"c": "x", "result": 2}]}, width=360, height=200)
    assert f"<title>{name}</title>" in svg
    assert any(text.text.endswith("…") and name.startswith(text.text[:-1]) for text in texts(svg))


def test_numbers_are_written_as_in_the_place(core: Core) -> None:
    def shown(locale: str) -> str:
        svg = core.draw({"result": 1234567.5}, {"format": "EUR"}, locale=locale, resolve=True)
        return next(text.text for text in texts(svg) if "567" in text.text)

    assert shown("en-US") == "€1,234,567.50"
    assert shown("de-DE") == "1.234.567,50\u00a0€"
    assert shown("xx-nonsense!") == "€1,234,567.50"


@pytest.mark.parametrize(
    ("values", "form", "labels"),
    [
        ([0, 4], "number", ["0", "1", "2", "3", "4"]),
        ([0, 1_500_000], "number", ["0", "500K", "1.0M", "1.5M"]),
        ([0.0, 0.5], "EUR", ["€0.00", "€0.10", "€0.20", "€0.30", "€0.40", "€0.50"]),
        ([0.0, 2.0], "duration", ["0.0s", "500ms", "1.0s", "1.5s", "2.0s"]),
        ([0.0, 0.4], "percent", ["0%", "10%", "20%", "30%", "40%"]),
        ([0, 7200], "duration", ["0s", "30m", "1h", "1h 30m", "2h"]),
        ([-20, 20], "number", ["−20", "−10", "0", "10", "20"]),
        ([0, 0], "number", ["0", "1"]),
    ],
)
def test_ticks_are_round_and_true(core: Core, values: list[float], form: str, labels: list[str]) -> None:
    svg = core.draw(
        {"result": by_day(values), "query": COUNT if form == "number" else {}},
        {"format": form},
        width=640,
        height=280,
        title=False,
    )
    found = [
        text.text
        for text in texts(svg)
        if text.kind == "acumen-tick" and not re.search("Nov|Sun|Mon", text.text)
    ]
    assert found == labels


@pytest.mark.parametrize(
    ("values", "form", "labels"),
    [
        ([12.5, 12, 3], "number", ["12.5", "12.0", "3.0"]),
        ([12, 7, 3], "number", ["12", "7", "3"]),
        ([250.4, 12.5, 0.337], "number", ["250.4", "12.5", "0.3"]),
        ([1_230_000, 1_000_000, 500], "number", ["1.23M", "1.00M", "500"]),
        ([250.5, 12.5, 3], "EUR", ["€250.50", "€12.50", "€3.00"]),
        ([25_000.5, 1200.25], "EUR", ["€25,001", "€1,200"]),
        ([250.456, 12], {"style": "currency", "currency": "EUR", "decimals": 1}, ["€250.5", "€12.0"]),
        ([9.5, 4], "duration", ["9.5s", "4.0s"]),
        ([0.5, 0.045], "percent", ["50.0%", "4.5%"]),
    ],
)
def test_labels_that_are_read_together_have_as_many_decimals(
    core: Core, values: list[float], form: Any, labels: list[str]
) -> None:
    rows = [{"page": f"/{index}", "result": value} for index, value in enumerate(values)]
    svg = core.draw({"result": rows}, {"type": "bar", "format": form}, width=500, height=240, title=False)
    found = [text.text for text in texts(svg) if text.kind != "acumen-tick"]
    assert found == labels


@pytest.mark.parametrize(
    ("values", "form", "labels"),
    [
        ([0, 1e40], "EUR", ["€0", "€2E39", "€4E39", "€6E39", "€8E39", "€1E40"]),
        ([0, 1e40], "number", ["0", "2E39", "4E39", "6E39", "8E39", "1E40"]),
        ([0, 1e22], "EUR", ["€0", "€2E21", "€4E21", "€6E21", "€8E21", "€1E22"]),
        ([0, 1.2e16], "EUR", ["€0", "€2.0E15", "€4.0E15", "€6.0E15", "€8.0E15", "€1.0E16", "€1.2E16"]),
        ([0, 2e16], {"style": "percent"}, ["0%", "5.0E17%", "1.0E18%", "1.5E18%", "2.0E18%"]),
    ],
)
def test_ticks_of_huge_numbers_are_short_and_nothing_is_zero(
    core: Core, values: list[float], form: Any, labels: list[str]
) -> None:
    svg = core.draw({"result": by_day(values)}, {"format": form}, width=640, height=280, title=False)
    found = [text.text for text in texts(svg) if text.kind == "acumen-tick"]
    assert [text for text in found if not re.search("Nov|Sun|Mon", text)] == labels


def test_labels_of_huge_numbers_are_as_the_headline_has_them(core: Core) -> None:
    rows = [{"page": f"/{index}", "result": value} for index, value in enumerate([1e40, 0])]
    drawn = [
        [text.text for text in texts(core.draw({"result": result}, {"format": "EUR", "type": kind}))]
        for result, kind in ((rows, "bar"), (1e40, "metric"))
    ]
    assert {"€1E40", "€0"} <= set(drawn[0]) and "€1E40" in drawn[1]


def test_the_ends_of_a_gauge_are_true(core: Core) -> None:
    svg = core.draw({"result": 1}, {"type": "gauge", "min": 0, "max": 1.25}, width=300, height=240)
    assert {"0.00", "1.25"} <= {text.text for text in texts(svg)}


@pytest.mark.parametrize(
    ("values", "shares"),
    [
        ([1, 1, 1], ["33%", "33%", "33%"]),
        ([2, 2, 2, 1.5], ["27%", "27%", "27%", "20%"]),
        ([1] * 33, ["3.0%"] * 33),
        ([99_999, 1], [">99.9%", "<0.1%"]),
        ([9_994, 6, 0], ["99.9%", "0.1%", "0.0%"]),
        ([5, 3, 0.6], ["58.1%", "34.9%", "7.0%"]),
        ([1, 0], ["100%", "0%"]),
        ([0, 0], ["0%", "0%"]),
        ([57, 29, 14], ["57%", "29%", "14%"]),
    ],
)
def test_equal_parts_of_a_pie_have_equal_shares(core: Core, values: list[float], shares: list[str]) -> None:
    """Each is rounded by itself: they need not be a hundred together. A part is neither nothing nor all."""
    rows = [{"page": f"/{index}", "result": value} for index, value in enumerate(values)]
    how = {"width": 500, "height": 800, "interactive": True}
    svg = core.draw({"result": rows}, {"type": "pie", "limit": 40}, **how)
    assert [text.text for text in texts(svg) if text.text.endswith("%")] == shares
    told = [mark.get("aria-label", "") for mark in parsed(svg).iter() if mark.get("role") == "img"]
    assert [one.rpartition(", ")[2] for one in told] == shares


def test_marks_lead_back_to_values(core: Core) -> None:
    svg = core.draw({"result": groups(3)}, width=500, height=200, interactive=True)
    marks = [mark for mark in parsed(svg).iter() if mark.get("role") == "img"]
    assert [mark.get("aria-label") for mark in marks] == ["/0: 3", "/1: 2", "/2: 1"]
    assert [mark.get("data-index") for mark in marks] == ["0", "1", "2"]


def test_a_theme_is_variables_in_a_browser_and_values_elsewhere(core: Core) -> None:
    answer = {"result": groups(3)}
    # A theme that sets the accent alone colours the first series with it.
    assert "var(--acumen-series-1, var(--acumen-accent, #2f62d9))" in core.draw(answer)
    resolved = core.draw(
        answer, resolve=True, theme={"--acumen-series-1": "#112233", "text": "url(http://x/)"}
    )
    assert "#112233" in resolved and "url" not in resolved and "var(" not in resolved
    assert "x/" not in core.draw(answer, theme={"font": "a; url(http://x/)"})


def _luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_stand_out_from_the_background(core: Core, theme: str) -> None:
    """At least 3 : 1 for marks and 4.5 : 1 for texts, as WCAG 2.2 asks."""
    colors = core.ask(themes=True)["themes"][theme]
    for name, least in {
        **{f"series-{n}": 3.0 for n in range(1, 9)},
        "series-other": 3.0,
        "accent": 3.0,
        "text": 4.5,
        "muted": 4.5,
        "positive": 4.5,
        "negative": 4.5,
    }.items():
        low, high = sorted((_luminance(colors[name]), _luminance(colors["background"])))
        assert (high + 0.05) / (low + 0.05) >= least, name


def test_the_table_of_widths_is_that_of_the_fonts(core: Core) -> None:
    sample = "The quick brown fox 0123456789 €1,234.50 − Zażółć gęślą jaźń Größe Ελλάδα Україна “…”"
    for bold in (False, True):
        [measured] = core.ask(widths=[[sample, bold]])["widths"]
        true = width(sample, 1000, bold)
        assert true is not None and measured == pytest.approx(true, rel=0.02)


def test_figures_of_the_regular_font_are_of_one_width() -> None:
    assert len({advances("Regular")[ord(digit)] for digit in "0123456789"}) == 1


def test_the_same_description_draws_the_same_picture(core: Core) -> None:
    answer = {"result": by_day([3, 1, 4, 1, 5, 9])}
    assert all(one == other for one, other in pairwise(core.draw(answer, width=500) for _ in range(3)))
