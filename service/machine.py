"""Resources that the container or machine gives this process: memory, processors and file space."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED_BYTES = 1 << 60
LARGE_BLOCK_BYTES = 1 << 20
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def container_memory_bytes() -> int:
    """Bytes of memory: the control group's limit if one is set, otherwise the machine's memory."""
    limits = [_machine_memory_bytes()]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(_CGROUP / name)
        if text.isdigit() and int(text) < _UNLIMITED_BYTES:
            limits.append(int(text))
    return min(limits)


def container_cpus() -> int:
    """Whole processors: those this process may run on, limited by the control group's quota; at least 1."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = _cpu_quota()
    if quota > 0 and period > 0:
        cpus = min(cpus, -(-quota // period))
    return max(1, cpus)


def allocate(descriptor: int, size: int) -> None:
    """Extend a file that is to be mapped to ``size`` bytes; its contents are kept. Raises OSError.

    The blocks are allocated now: writing to a mapped page without a block kills the process (SIGBUS) if the
    disk is full.
    """
    if sys.platform != "darwin":
        os.posix_fallocate(descriptor, 0, size)
    elif os.fstat(descriptor).st_size < size:
        os.ftruncate(descriptor, size)


def return_large_blocks() -> bool:
    """Have this process return blocks of memory of ``LARGE_BLOCK_BYTES`` and more when they are freed.

    The C library of most Linux systems raises this limit to the greatest block that was freed so far, up to
    32 MiB; smaller ones then stay with the process while anything lies behind them. False where there is no
    such limit.
    """
    return _mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def limit_arenas() -> bool:
    """Have all threads allocate from as many arenas as there are processors; from two at least.

    The C library of most Linux systems has up to eight times as many. Each keeps what its threads have freed,
    and the next query runs in another thread. False where there is no such limit.
    """
    return _mallopt(_M_ARENA_MAX, max(2, container_cpus()))


def _mallopt(parameter: int, value: int) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(ctypes.c_int(parameter), ctypes.c_int(value)))


def return_freed_memory() -> None:
    """Return the freed memory to the system that the C library keeps for later, where it can."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _cpu_quota() -> tuple[int, int]:
    """(quota, period) in µs; (0, 0) without a quota."""
    parts = _read(_CGROUP / "cpu.max").split()
    if not parts:
        parts = [_read(_CGROUP / "cpu/cpu.cfs_quota_us"), _read(_CGROUP / "cpu/cpu.cfs_period_us")]
    if len(parts) == 2 and parts[0].isdigit() and parts[1].isdigit():
        return int(parts[0]), int(parts[1])
    return 0, 0


def _machine_memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 4 << 30


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
