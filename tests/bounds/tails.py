"""More live tails than are sent at once."""

from __future__ import annotations

from pathlib import Path

import httpx

from service.queries.arrival_finder import TailView
from tests.bounds.worst import KIB, MIB, Watch, worst_case
from tests.service.whole import Whole

TAILS_MAX = 20


@worst_case("Live tails of one worker", peak_bytes=2 * MIB, slice_bytes=64 * KIB)
def tails_of_many_projects(data: Path, watch: Watch) -> list[httpx.Response]:
    return refused(data, watch, tail_connections=TAILS_MAX)


@worst_case("Live tails of one project, of one worker", peak_bytes=2 * MIB, slice_bytes=64 * KIB)
def tails_of_one_project(data: Path, watch: Watch) -> list[httpx.Response]:
    return refused(data, watch, tail_connections_per_project=TAILS_MAX)


def refused(data: Path, watch: Watch, **limits: int) -> list[httpx.Response]:
    """What further tails are answered once the limit of them is open."""
    whole = Whole(data / "data", **limits)
    try:
        with watch:
            for number in range(TAILS_MAX):
                whole.open_tail(TailView(whole.project.id, f"c{number}", (), ()))
            return [whole.call(whole.project, "GET", f"events/c{n}/tail") for n in range(5)]
    finally:
        whole.close()
