"""What processes have used: processor time and resident memory, from ``/proc`` or, without it, ``ps``."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc/self/stat").exists()


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one process; ``anonymous`` leaves out pages that map files (not without /proc)."""

    resident: int
    anonymous: int


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes and of the children that they have waited for."""
    return sum(_cpu_of(pid) for pid in pids)


def _cpu_of(pid: int) -> float:
    if _PROC:
        # The name is in parentheses and may hold spaces; 12 fields follow it before the four times.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICK
    minutes, _, seconds = _ps(pid, "cputime").rpartition(":")
    hours, _, minutes = minutes.rpartition(":")
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def thread_seconds(pid: int) -> float:
    """User and system time of the threads that a process has now, finely; in steps without /proc."""
    if not _PROC:
        return _cpu_of(pid)
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def memory(pid: int) -> Memory:
    """Raises FileNotFoundError (or CalledProcessError) where the process is gone."""
    if not _PROC:
        resident = int(_ps(pid, "rss")) * 1024
        return Memory(resident, resident)
    found = {"RssAnon": 0, "VmRSS": 0}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) * 1024
    return Memory(found["VmRSS"], found["RssAnon"])


def proportional(pids: Iterable[int]) -> int:
    """Bytes that these processes take together: a page that several share counts once. Linux only."""
    found = re.compile(r"^Pss: +(\d+) kB$", re.MULTILINE)
    texts = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids)
    return sum(int(size) * 1024 for text in texts for size in found.findall(text))


def _ps(pid: int, column: str) -> str:
    command = ["ps", "-o", f"{column}=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()
