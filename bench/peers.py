"""Programs of others to compare with: each in an environment of its own, asked a line at a time.

An environment is kept beside this file, and its package installed at the first use.
"""

from __future__ import annotations

import json
import subprocess
import threading
import venv
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import accounting
from bench.report import Report, Wrong

SAMPLE_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Peer:
    """A package, as pip names it, and the script that answers with it."""

    package: str
    script: Path
    environment: Path

    @contextmanager
    def running(
        self, report: Report, variables: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """The process; ``variables``: all of its environment, by default this one's. Raises Wrong."""
        python = self.environment / "bin" / "python"
        if not python.exists():
            report.progress(f"installing {self.package}")
            venv.create(self.environment, with_pip=True)
            done = subprocess.run([python, "-m", "pip", "install", "-q", self.package], check=False)
            if done.returncode:
                raise Wrong(f"{self.package} could not be installed for comparison.")
        command = [str(python), str(self.script)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables
        ) as process:
            yield process
            assert process.stdin is not None
            process.stdin.close()


def ask(process: subprocess.Popen[str], message: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one line of JSON. Raises Wrong."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise Wrong("A peer did not answer.")
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextmanager
def watching(pids: Callable[[], Iterable[int]], peaks: list[int]) -> Iterator[None]:
    """Note the greatest memory of processes in ``peaks[0]``; they may come and go."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            for pid in pids():
                try:
                    peaks[0] = max(peaks[0], accounting.memory(pid).resident)
                except OSError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
