"""The runner's process, run by the supervisor as ``python -m service.process.runner``.

What it runs: ``service.process.tasks``, by ``service.background.task_runner``.
"""

from __future__ import annotations

import argparse
import gc
import os
import threading

from service.process import child_process
from service.settings import load
from service.telemetry import json_logging

NICENESS = 10
"""Nobody waits for what is done here: acknowledgements and answers come first, then the keeper."""

START_SECONDS = 2.0
"""What is done here can wait until a server that starts has its processors for itself."""


def main() -> int:
    parser = argparse.ArgumentParser(description="The runner of tasks, started by 'acumen serve'.")
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--ready", type=int, required=True)
    args = parser.parse_args()
    settings = load()
    json_logging.set_up(settings.current_log_level(), "runner")
    stop = threading.Event()

    def end(why: child_process.Why) -> None:
        if why is child_process.Why.ORPHANED:
            # A successor waits for the folder; what was begun is begun again.
            child_process.leave(1)
        stop.set()

    child_process.on_stop(end, lambda: json_logging.set_level(settings.current_log_level()))
    os.nice(NICENESS)
    # Before the rest is imported: a server that starts need not wait for work that can.
    child_process.say_ready(args.ready)
    if stop.wait(START_SECONDS):
        return 0
    from service.process import tasks

    gc.freeze()
    tasks.run(settings, args.number, stop)
    return 0


if __name__ == "__main__":
    child_process.leave(main())
