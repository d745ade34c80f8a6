"""Sub-timeframes by the hundred: each row is in its own, however the engine groups by them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from query.engine.engine import Engine
from tests.query.engine.test_cost import ask
from tests.query.support_source import Event, source_of

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 600])
@pytest.mark.parametrize(
    ("interval", "length"), [("daily", timedelta(days=1)), ("hourly", timedelta(hours=1))]
)
def test_every_row_is_in_its_sub_timeframe(
    engine: Engine, data_folder: Path, count: int, interval: str, length: timedelta
) -> None:
    rng = random.Random(count)
    numbers = [0, count - 1, *(rng.randrange(count) for _ in range(40))]
    events: list[Event] = []
    for number in numbers:
        stamp = (START + number * length + timedelta(seconds=rng.randrange(3_600))).isoformat()
        keen = {"timestamp": stamp, "created_at": stamp, "id": f"{len(events):024x}"}
        events.append({"n": 1, "keen": keen})
    found = ask(
        engine,
        source_of(events, data_folder, rng),
        "count",
        interval=interval,
        timeframe={"start": START.isoformat(), "end": (START + count * length).isoformat()},
    )
    assert [one["value"] for one in found] == [numbers.count(number) for number in range(count)]
