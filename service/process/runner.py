"""The runner's process, run by the supervisor as ``python -m service.process.runner``.

What it runs: ``service.process.tasks``, by ``service.background.task_runner``.
"""

from __future__ import annotations

import gc
import os

from service.process import child_process

NICENESS = 10
"""Nobody waits for what is done here: acknowledgements and answers come first, then the keeper."""

START_SECONDS = 2.0
"""What is done here can wait until a server that starts has its processors for itself."""


def main() -> int:
    child = child_process.begin("runner", "The runner of tasks, started by 'acumen serve'.")
    os.nice(NICENESS)
    # Before the rest is imported: a server that starts need not wait for work that can.
    child_process.say_ready(child.ready)
    if child.stop.wait(START_SECONDS):
        return 0
    from service.process import tasks

    gc.freeze()
    tasks.run(child.settings, child.number, child.stop)
    return 0


if __name__ == "__main__":
    child_process.leave(main())
