"""Takes the code that only imports needed out of a process's memory.

Importing a library reads much of its file that nothing uses again: tables of symbols, documentation, what
sets it up. The pages stay mapped, and count as this process's memory while no other has read them too.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

_MADV_DONTNEED = 4
_SMAPS = Path("/proc/self/smaps")
_MAPPING = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+)")


def release() -> None:
    """Unmap the pages of files that this process only reads; one that is used again is mapped again.

    For Linux, in a process with one Python thread. Does nothing where the system does not tell of its pages.
    """
    try:
        mappings = list(_unchanged(_SMAPS.read_bytes().splitlines()))
        madvise = ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in mappings:
        # A mapping that may not be released, such as one locked in memory, stays.
        madvise(start, end - start, _MADV_DONTNEED)


def _unchanged(lines: list[bytes]) -> Iterator[tuple[int, int]]:
    """Start and end of the mappings of files that cannot be written to and of which no page was changed.

    A changed page, such as one with relocated addresses, would be read from the file
    again and lose its change.
    """
    start = end = 0
    of_file = False
    for line in lines:
        if (found := _MAPPING.match(line)) is not None:
            start, end = int(found[1], 16), int(found[2], 16)
            of_file = b"w" not in found[3] and found[4] != b"0"
        elif of_file and line.startswith(b"Anonymous:") and line.split()[1] == b"0":
            yield start, end
