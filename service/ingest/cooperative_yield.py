"""Long loops on an event loop, in which other requests get their turns."""

from __future__ import annotations

import asyncio
import time

TURN_SECONDS = 0.002
"""Time after which a long loop over events yields to the event loop."""


class CooperativeYield:
    """Yields to the event loop every TURN_SECONDS, for use in long loops."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def over(self) -> None:
        if time.perf_counter() - self._began > TURN_SECONDS:
            await asyncio.sleep(0)
            self._began = time.perf_counter()
