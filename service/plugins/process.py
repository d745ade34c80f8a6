"""The process of code that is not the server's own: ``python -m service.plugins.process``.

It gets its work as JSON on standard input, runs in its scratch folder, and limits itself before anything is
imported that starts threads: these would stay free.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

from query.untrusted.confinement import Confinement, limit

FILES_MAX = 4_096
OWN_BYTES = 512 << 20
"""Address space of Python and its libraries, beside the limit of the code."""


def main(work: dict[str, Any]) -> None:
    """``work["call"]`` names the module of the server whose ``call`` does the rest."""
    limit(
        memory_bytes=work["memory_bytes"] + OWN_BYTES,
        file_bytes=1 << 40,
        seconds=max(1, int(work["seconds"])) * 4,
        files=FILES_MAX,
    )
    # The loop needs a pair of sockets, which may be refused from then on, as are other programs.
    runner = asyncio.Runner()
    runner.get_loop()
    if not work["network"]:
        Confinement().filter_calls()
    sys.path += [path for path in work["path"] if path not in sys.path]
    importlib.import_module(work["call"]).call(work, runner)


if __name__ == "__main__":
    main(json.load(sys.stdin))
