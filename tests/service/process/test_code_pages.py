"""The code that only imports needed leaves a process's memory, and nothing is lost by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PAGES = 16
PROGRAM = """
import ctypes, mmap, re, sys
from service.process import code_pages

def resident(address):
    inside = False
    for line in open("/proc/self/smaps"):
        if (found := re.match("([0-9a-f]+)-([0-9a-f]+) ", line)) is not None:
            inside = int(found[1], 16) <= address < int(found[2], 16)
        elif inside and line.startswith("Rss:"):
            return int(line.split()[1]) * 1024

libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
size = int(sys.argv[2])
file = open(sys.argv[1], "rb")
only_read, changed, writable = (
    libc.mmap(None, size, protection, mmap.MAP_PRIVATE, file.fileno(), 0)
    for protection in (mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE, mmap.PROT_READ | mmap.PROT_WRITE)
)
original = ctypes.string_at(only_read, size)
for address in (changed, writable):
    ctypes.memset(address, 1, mmap.PAGESIZE)
# As the loader does with addresses that it has relocated.
libc.mprotect(changed, size, mmap.PROT_READ)
before = resident(only_read)
code_pages.release()
print(before, resident(only_read))
expected = b"\\1" * mmap.PAGESIZE + original[mmap.PAGESIZE:]
print(ctypes.string_at(only_read, size) == original)
print(ctypes.string_at(changed, size) == expected, ctypes.string_at(writable, size) == expected)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells of pages")
def test_pages_that_are_only_read_are_released_and_changed_ones_stay(tmp_path: Path) -> None:
    size = PAGES * 4_096
    path = tmp_path / "library"
    path.write_bytes(bytes(range(256)) * (size // 256))

    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(path), str(size)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
    )

    assert done.stdout.splitlines() == [f"{size} 0", "True", "True True"]
