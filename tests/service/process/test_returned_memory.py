"""Freed blocks of memory go back to the system, also after a greater one was freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from bench.accounting import memory

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


def resident(how: str) -> int:
    """Bytes of a process that has freed 80 MiB of 2 MiB each, with small blocks between them."""
    command = [sys.executable, "-P", "-c", PROGRAM, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        found = memory(process.pid).resident
        process.stdin.close()
    return found


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the C library glibc")
def test_what_was_freed_is_returned() -> None:
    assert resident("returned") < resident("as it is") - (60 << 20)
