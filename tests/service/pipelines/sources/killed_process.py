"""Reads all that is due, and kills itself as a function returns.

``python -m tests.service.pipelines.sources.killed_process BASE MODULE FUNCTION NUMBER [SETTINGS]``

``BASE`` is that of a ``SourceSite`` that is closed, ``MODULE`` the file that has the function, ``NUMBER``
which return counts, ``SETTINGS`` JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from tests.service.pipelines.sources.site import SourceSite


def main() -> None:
    base, module, function, number, *given = sys.argv[1:]
    site = SourceSite(Path(base), **json.loads(given[0] if given else "{}"))
    left = [int(number)]

    def ended(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "return" and code.co_name == function and code.co_filename.endswith(module):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(ended)
    sys.setprofile(ended)
    site.read()


if __name__ == "__main__":
    main()
