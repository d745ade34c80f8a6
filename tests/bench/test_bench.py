"""The benchmarks run, and compare answers before they print a figure. Nothing here looks at a speed."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from bench.report import Report, Wrong
from tests.sdk.conftest import install_node_sdks
from tests.support.scale import examples, part

FEW = str(max(1_000, examples(3_000)))


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "bench", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
        check=False,
    )


SECTIONS: list[tuple[str, list[str], int]] = [
    ("shred", ["shredding and writing"], 7),
    ("posts", ["posts a second", "processor time of a post"], 1),
    ("bulk", ["bulk of 100", "bulk of 1,000", "with nulls", "with drift", "with tokens"], 15),
    (
        # They share one loaded server.
        "queries memory erasure",
        [
            *("daily sum", "median", "funnel of 3 steps", "newest 100", "a tiny collection"),
            *("supervisor", "worker-0", "keeper"),
            "time of a deletion",
        ],
        12,
    ),
    ("tenants", ["p99 of a single post", "p99 of a small count"], 2),
    ("planning", ["GET pipelines, changed", "planning, one input changed"], 19),
    ("clients", ["sender, in memory / posts", "sender, in memory / keen", "memory, end"], 4),
    ("pictures", ["an SVG of type line", "an SVG of type pie"], 6),
    ("charts", ["acumen-chart / keen-dataviz"], 24),
    ("profile large", ["a kept profile", "a wide collection"], 2),
]


@pytest.mark.parametrize(("sections", "figures", "answers_min"), part(SECTIONS, 2))
def test_sections_finish_with_their_figures(
    request: pytest.FixtureRequest, sections: str, figures: list[str], answers_min: int
) -> None:
    """Exit status 2 would mean that an answer was wrong; 1 that a figure is not reached, as with so few."""
    if sections == "charts":
        install_node_sdks()
    if sections in ("charts", "profile large"):
        request.getfixturevalue("chromium")
    done = bench(*sections.split(), "--events", FEW, "--rounds", "1")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    for figure in figures:
        assert figure in done.stdout
    compared = re.search(r"(\d+) answers compared, all equal", done.stdout)
    assert compared is not None
    assert int(compared[1]) >= answers_min


def test_a_wrong_answer_leaves_no_figure() -> None:
    report = Report()
    report.equal("count", 3, 3)
    with pytest.raises(Wrong, match="the answers differ"):
        report.equal("count", 3, 4)
    assert report.checks == 1


def test_a_missed_floor_and_an_exceeded_limit_are_told() -> None:
    report = Report()
    report.figure("slow", 0.5, "", floor=0.7)
    report.figure("large", 1.5, "", limit=1.25)
    report.figure("good", 1.0, "", floor=0.7, limit=1.25)
    assert report.missed == ["slow", "large"]


def test_an_unknown_section_is_refused() -> None:
    done = bench("speed")
    assert done.returncode == 2
    assert "there is no section speed" in done.stderr
