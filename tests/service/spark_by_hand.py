"""Run by hand, since it needs Java 17 and 500 MB of pyspark: whether what ``acumen files --spark`` prints
answers as the API does.

    .venv/bin/pip install pyspark==4.3.0 && .venv/bin/python -P -m tests.service.spark_by_hand

Seen on 2026-11-29 with pyspark 4.3.0 and OpenJDK 17: all answers agree, in four session time zones.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.service.reading import FOLDER, TOTALS, Written, expected, plain, run

ZONES = ("America/New_York", "UTC", "Australia/Lord_Howe", "Asia/Kolkata")


def of_spark(events: Any) -> dict[str, Any]:
    from pyspark.sql import functions as F

    day = "`keen.timestamp` >= '2024-03-10T00:00:00-05:00' AND `keen.timestamp` < '2024-03-11T00:00:00-04:00'"
    number = F.col("`big:decimal~2`")
    groups = (
        events.filter(number.isNotNull())
        .groupBy(F.coalesce(F.col("plan"), F.col("`plan:number`").cast("int").cast("string")).alias("of"))
        .agg(F.sum(number).alias("total"))
    )
    return {
        "count": events.count(),
        "day": events.filter(day).count(),
        "totals": {
            path: plain(events.agg(F.sum(F.col("`" + column.replace("`", "``") + "`"))).first()[0])
            for path, column in TOTALS.items()
        },
        "groups": {row["of"]: plain(row["total"]) for row in groups.collect()},
    }


def main() -> int:
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    written = Written(Path(tempfile.mkdtemp()) / FOLDER)
    code, answers = written.printed("--spark"), expected(written)
    failed = 0
    for vectorized in ("true", "false"):
        session.conf.set("spark.sql.parquet.enableVectorizedReader", vectorized)
        for zone in ZONES:
            session.conf.set("spark.sql.session.timeZone", zone)
            found = of_spark(run(code))
            told = "agrees" if found == answers else f"DIFFERS: {found}, not {answers}"
            sys.stdout.write(f"{zone} vectorized={vectorized} {told}\n")
            failed += found != answers
    written.whole.close()
    session.stop()
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
