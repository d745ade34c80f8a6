"""The process of one Python operation: ``python -m service.pipelines.python_process WORK``.

It runs in its scratch folder, and confines itself before anything is imported that starts threads: these
would stay free.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from query.untrusted.confinement import Confinement, limit

FILES_MAX = 4_096
OWN_BYTES = 512 << 20
"""Address space of Python and its libraries, beside the operation's limit."""


def main(work: dict[str, Any]) -> None:
    limit(
        memory_bytes=work["memory_bytes"] + OWN_BYTES,
        file_bytes=1 << 40,
        seconds=max(1, int(work["seconds"])) * 4,
        files=FILES_MAX,
    )
    # The loop needs a pair of sockets, which are refused from then on, as are other programs.
    runner = asyncio.Runner()
    runner.get_loop()
    Confinement().filter_calls()
    from service.pipelines.python_call import call

    call(work, runner)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
