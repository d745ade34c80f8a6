"""The runner's process, a child of the supervisor: background tasks, those of ``service.process.tasks``."""

from __future__ import annotations

import gc
import os

from service.process import tasks
from service.process.child_process import ChildContext, stopped

NICENESS = 10
"""Nobody waits for what is done here: acknowledgements and answers come first, then the keeper."""

START_SECONDS = 2.0
"""What is done here can wait until a server that starts has its processors for itself."""


def main(given: ChildContext) -> None:
    """Run tasks until the supervisor says stop."""
    stop = stopped(given)
    os.nice(NICENESS)
    gc.freeze()
    given.say_ready()
    if not stop.wait(START_SECONDS):
        tasks.run(given.settings, given.number, stop)
