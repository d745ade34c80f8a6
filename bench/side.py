"""A server of one checkout, run by that checkout's Python for ``bench.versus`` and driven through its pipes.

Each line of standard input is the settings of a server to start in place of the last one; the answer is one
line of JSON: where it is reached, its keys and the ids of its processes. An empty line asks how many rows the
files of the measured collection hold, and whether some of them are still to be merged.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime

from bench.serving import Acumen

MODULES = ("storage.files.compaction", "storage.compact")
"""Where files are planned to be merged: now, and in a checkout of before 0039."""


def plan_merge_of_checkout() -> Callable[..., object]:
    for name in MODULES:
        try:
            found: Callable[..., object] = importlib.import_module(name).plan_merge
        except ModuleNotFoundError:
            continue
        return found
    raise ModuleNotFoundError(f"None of {MODULES} is there.")


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
    merging = bool(plan_merge_of_checkout()(files, datetime.now(UTC)))
    return {"rows": [file.rows for file in files], "merging": merging}


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
