"""Measures pauses of a worker's event loop by how late a periodic timer fires."""

from __future__ import annotations

import asyncio
from collections import deque

from service.telemetry.metrics import Metrics

TICK_SECONDS = 0.05
KEPT_SECONDS = 60.0


async def measure_pauses(metrics: Metrics) -> None:
    """Record every pause in the histogram and the last minute's longest in the gauge, until cancelled."""
    pauses = metrics.histogram("acumen_loop_pause_seconds")
    longest = metrics.counter("acumen_loop_longest_pause_seconds")
    loop = asyncio.get_running_loop()
    recent: deque[tuple[float, float]] = deque()
    """(time, pause) of each pause that is longer than all later ones, so the first is the longest."""
    while True:
        began = loop.time()
        await asyncio.sleep(TICK_SECONDS)
        now = loop.time()
        pause = max(0.0, now - began - TICK_SECONDS)
        pauses.observe(pause)
        while recent and recent[-1][1] <= pause:
            recent.pop()
        recent.append((now, pause))
        while now - recent[0][0] > KEPT_SECONDS:
            recent.popleft()
        longest.set(recent[0][1])
