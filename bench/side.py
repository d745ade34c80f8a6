"""A server of one checkout, run by that checkout's Python for ``bench.versus`` and driven through its pipes.

Each line of standard input is the settings of a server to start in place of the last one; the answer is one
line of JSON: where it is reached, its keys and the ids of its processes. An empty line asks how many rows the
files of the measured collection hold, and whether some of them are still to be merged.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from datetime import UTC, datetime

from bench.serving import Acumen
from storage.files.compaction import plan_merge


def started(server: Acumen) -> dict[str, object]:
    return {
        "port": server.port,
        "project_id": server.project_id,
        "write_key": server.write_key,
        "read_key": server.read_key,
        "master_key": server.master_key,
        "processes": server.processes(),
    }


def stored(server: Acumen) -> dict[str, object]:
    files = server.files()
    return {"rows": [file.rows for file in files], "merging": bool(plan_merge(files, datetime.now(UTC)))}


def main() -> None:
    with ExitStack() as stack:
        server = None
        for line in sys.stdin:
            if line.strip():
                stack.close()
                server = stack.enter_context(Acumen(json.loads(line)))
                answer = started(server)
            else:
                assert server is not None
                answer = stored(server)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
