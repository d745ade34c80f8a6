"""Freed blocks of memory go back to the system, also after a greater one was freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from bench.accounting import memory

THREADS = """
import sys, threading
from service.machine import limit_arenas, return_freed_memory
if sys.argv[1] == "returned":
    assert limit_arenas()
def work():
    held = [bytes(4_000) for _ in range(2_500)]
    last.append(bytes(4_000))
last = []
for _ in range(16):
    # All at once, so that each would have an arena of its own.
    threads = [threading.Thread(target=work) for _ in range(16)]
    for one in threads: one.start()
    for one in threads: one.join()
if sys.argv[1] == "returned":
    return_freed_memory()
print(flush=True)
sys.stdin.readline()
"""
PROGRAM = """
import os, sys
import numpy as np
from service.machine import return_large_blocks
if sys.argv[1] == "returned":
    assert return_large_blocks()
del_me = np.ones(30 << 17)
del del_me
held, kept = [], []
for _ in range(40):
    held.append(np.ones(2 << 17))
    kept.append(np.ones(1 << 12))
del held
print(flush=True)
sys.stdin.readline()
"""


def resident(program: str, how: str) -> int:
    """Bytes of a process that has run this program."""
    command = [sys.executable, "-P", "-c", program, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        found = memory(process.pid).resident
        process.stdin.close()
    return found


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the C library glibc")
def test_what_was_freed_is_returned() -> None:
    """80 MiB were freed, 2 MiB each, with small blocks between them."""
    assert resident(PROGRAM, "returned") < resident(PROGRAM, "as it is") - (60 << 20)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the C library glibc")
def test_what_threads_have_freed_is_returned() -> None:
    assert resident(THREADS, "returned") < resident(THREADS, "as it is") - (4 << 20)
