"""The pipeline of ``bench.pipelines`` by hand in Polars, streaming: run by the Python that has ``polars``.

Each line is JSON: paths and the file of the reference table; each answer is JSON: what came out, seconds and
the process's greatest memory. It imports nothing of this project.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import polars as pl  # type: ignore[import-not-found, unused-ignore]

KIB = 1024
COLUMNS = ("keen.timestamp", "order.quantity", "user.country", "order.total", "user.id")


def main() -> None:
    for line in sys.stdin:
        given = json.loads(line)
        started = time.perf_counter()
        events = pl.scan_parquet(
            given["paths"], hive_partitioning=False, missing_columns="insert", extra_columns="ignore"
        )
        rows = (
            events.select(*COLUMNS)
            .filter(pl.col("order.quantity") > 1)
            .join(pl.scan_csv(given["reference"]), left_on="user.country", right_on="code", how="left")
            .with_columns(window=pl.col("keen.timestamp").dt.truncate("1h"))
            .group_by("window", "region")
            .agg(
                pl.len().alias("orders"),
                pl.col("order.total").sum().alias("revenue"),
                pl.col("user.id").n_unique().alias("users"),
            )
            .collect(engine="streaming")
        )
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
        made = [len(rows), int(rows["orders"].sum()), int(rows["users"].sum()), round(rows["revenue"].sum())]
        print(json.dumps({"made": made, "seconds": seconds, "peak": peak}), flush=True)


if __name__ == "__main__":
    main()
