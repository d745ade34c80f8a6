"""Derives and delivers all that is due, and kills itself as a function returns.

``python -m tests.service.pipelines.sinks.killed_process BASE SINK_FOLDER MODULE FUNCTION [SETTINGS]``:
``BASE`` is that of a ``PipelineBench`` that is closed, ``MODULE`` the file that has the function,
``SETTINGS`` JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from tests.service.pipelines.bench import PipelineBench


def main() -> None:
    base, target, module, function, *given = sys.argv[1:]
    settings = json.loads(given[0] if given else "{}")
    bench = PipelineBench(Path(base), sink_folder=Path(target), **settings)

    def ended(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "return" and code.co_name == function and code.co_filename.endswith(module):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(ended)
    bench.derive()


if __name__ == "__main__":
    main()
