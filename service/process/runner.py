"""The runner's process, a child of the supervisor: runs the background tasks of ``service.process.tasks``."""

from __future__ import annotations

import os

from service.process import tasks
from service.process.child_process import ChildContext, stopped

NICENESS = 10
"""No client waits for background tasks: acknowledgements and answers take precedence, then the keeper."""

START_SECONDS = 2.0
"""Delay before the first task, so that a starting server has the processors to itself."""


def main(context: ChildContext) -> None:
    """Run tasks until the supervisor commands a stop."""
    stop = stopped(context)
    os.nice(NICENESS)
    context.say_ready()
    if not stop.wait(START_SECONDS):
        tasks.run(context.settings, context.number, stop)
