"""Embedded ClickHouse as a process that answers one query a line: run by the Python that has ``chdb``.

Each line is JSON: ``{"query": …}``; each answer is JSON: rows, seconds and the process's greatest memory.
It imports nothing of this project.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import chdb  # type: ignore[import-not-found, unused-ignore]

KIB = 1024


def main() -> None:
    for line in sys.stdin:
        query = json.loads(line)["query"]
        started = time.perf_counter()
        found = bytes(chdb.query(query, "JSONCompact").bytes())
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
        print(json.dumps({"rows": json.loads(found)["data"], "seconds": seconds, "peak": peak}), flush=True)


if __name__ == "__main__":
    main()
