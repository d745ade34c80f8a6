"""The example of pipelines, simulated and applied as docs/pipelines.md says."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.server import Served

FOLDER = Path(__file__).parents[2] / "examples" / "pipelines"
WAIT_SECONDS = 300.0


def test_its_golden_rows_are_those_that_it_derives_and_a_server_keeps_them_fresh() -> None:
    with Served(env={"ACUMEN_FLUSH_SECONDS": "0.3"}) as server:
        project = server.project
        simulated = server.run("simulate", str(FOLDER)).stdout
        assert "golden: 5 rows in, 3 out, as expected" in simulated
        server.record(
            project,
            "purchases",
            {"price": 30, "quantity": 2, "country": "NL"},
            {"price": 4, "country": "NL"},
        )
        server.run("apply", str(FOLDER))
        deadline = time.monotonic() + WAIT_SECONDS
        asked = {
            "event_collection": "revenue_by_country",
            "target_property": "revenue",
            "group_by": "size",
            "timeframe": "this_2_days",
        }
        while (found := server.ask(project, "sum", **asked)) == []:
            assert time.monotonic() < deadline, server.run("status", check=False).stdout
            time.sleep(0.1)
        assert {one["size"]: one["result"] for one in found} == {"large": 60, "small": 4}
        assert server.run("status").stdout.startswith("fresh")
