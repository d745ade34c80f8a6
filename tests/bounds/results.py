"""Questions whose results take more memory than there is for all of them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.bounds.worst import MIB, Watch, worst_case
from tests.service.whole import Whole

EVENTS = 3_000
DAYS = {"timeframe": "this_2_days"}
STEP = {"event_collection": "c", "actor_property": "name", "with_actors": True, **DAYS}
QUESTIONS: dict[str, dict[str, Any]] = {
    "count": {"group_by": "name", "order_by": {"property_name": "result"}, **DAYS},
    "minimum": {"group_by": ["name", "n"], "target_property": "n", "interval": "daily", **DAYS},
    "select_unique": {"target_property": "name", **DAYS},
    "extraction": DAYS,
    "funnel": {"steps": [STEP]},
}


@worst_case("Bytes of results of one worker", peak_bytes=16 * MIB, calls=100_000)
def results_of_every_kind(data: Path, watch: Watch) -> list[httpx.Response]:
    with closing(Whole(data)) as whole:
        names = (f"{number} " + "long" * 40 for number in range(EVENTS))
        whole.record(whole.project, "c", ({"name": name, "n": n} for n, name in enumerate(names)))
        whole.parts.query_service.budget.bytes_max = MIB // 2
        with watch:
            return [
                whole.call(
                    whole.project,
                    "POST",
                    f"queries/{analysis}",
                    params if analysis == "funnel" else {"event_collection": "c", **params},
                )
                for analysis, params in QUESTIONS.items()
            ]
