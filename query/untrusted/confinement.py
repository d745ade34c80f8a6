"""Takes from a process all that it does not need before it runs what it does not trust.

Everywhere: limits of memory, descriptors, file sizes and processor time. On Linux also Landlock (which files
it may open, no TCP) and a seccomp filter (no sockets, no other program, no look at other processes), each
where the kernel has it. Both hold for the calling thread and for threads that it starts later, so they are
only counted as in force if the process has no other thread.

By ctypes, since no kept package offers either without a compiler or a library of the system.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_BY_VERSION = 1
"""Flag of the call that creates rules: return the version alone."""
_BENEATH = 1
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_READ_FILE, _READ_DIR, _TRUNCATE = 1 << 2, 1 << 3, 1 << 14
_SCRATCH = _READ_FILE | _READ_DIR | (1 << 1) | (1 << 5) | (1 << 8)
"""In the folder for spilling: files are written, read, made and removed."""
_OF_MACHINE = ("/proc/self/cgroup", "/sys/fs/cgroup", "/sys/devices/system/cpu/online")
"""How many processors and how much memory there is: DuckDB ends its process where it may not read these."""
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Version → how many rights of files it knows."""
_TCP_SINCE, _SCOPES_SINCE, _TRUNCATE_SINCE = 4, 6, 3

_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
"""What a filter answers: go on; fail with EPERM; end the process."""
_X32_BIT = 0x40000000
_FORBIDDEN: dict[str, tuple[int, tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E,
        (
            # Sockets.
            *(41, 42, 43, 44, 46, 49, 50, 53, 288, 307),
            # Other programs, signals to others, namespaces, mounts.
            *(58, 59, 62, 129, 165, 166, 200, 234, 272, 297, 308, 322, 424),
            # Memory and descriptors of others, the kernel's own interpreters.
            *(101, 248, 249, 250, 298, 303, 304, 310, 311, 321, 323, 425, 426, 427, 434, 438),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        (
            *(198, 199, 200, 201, 202, 203, 206, 211, 242, 269),
            *(221, 281, 129, 130, 131, 138, 240, 39, 40, 97, 268, 424),
            *(117, 217, 218, 219, 241, 264, 265, 270, 271, 280, 282, 425, 426, 427, 434, 438),
        ),
    ),
}
"""Machine → its number, and the numbers of the calls that are refused."""


@dataclass(frozen=True, slots=True)
class Confined:
    """What is in force."""

    landlock: int = 0
    """The version of Landlock; 0 for none."""
    seccomp: bool = False

    @property
    def lacks(self) -> str:
        """What the system lacks, in words; empty where it lacks nothing."""
        missing = [
            name for name, there in (("Landlock", self.landlock), ("seccomp", self.seccomp)) if not there
        ]
        return " and ".join(missing)


def limit(*, memory_bytes: int, file_bytes: int, seconds: int, files: int) -> None:
    """Set the limits that every system has."""
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_NOFILE: files,
    }
    if sys.platform == "linux":
        # Elsewhere the system does not keep to it.
        limits[resource.RLIMIT_DATA] = memory_bytes
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (value, value))


def landlock_version() -> int:
    """The version of Landlock that the kernel has; 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, _call(_LANDLOCK_CREATE, None, 0, _BY_VERSION))


def has_seccomp() -> bool:
    """Whether the machine's calls are known and the kernel has filters of them."""
    if sys.platform != "linux" or platform.machine() not in _FORBIDDEN:
        return False
    try:
        return "Seccomp:" in Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return False


def available() -> Confined:
    """What ``Confinement`` would put in force here."""
    return Confined(landlock_version(), has_seccomp())


class Confinement:
    """Confines the process that makes it, step by step."""

    def __init__(self) -> None:
        # Once files are restricted it could not be opened any more.
        self._threads = os.open("/proc/self/task", os.O_RDONLY) if sys.platform == "linux" else None
        self._has_seccomp = has_seccomp()

    def restrict_files(self, readable: Iterable[str], scratch: str) -> int:
        """Let this thread, and threads that it starts, open nothing but ``readable``, files or folders, and
        what tells the size of the machine, and write only below ``scratch``; no TCP, no signals to others. It
        may be called again, with less.

        Returns the version of Landlock; 0 where the kernel has none, or where other threads remain free.
        """
        version = landlock_version()
        if not version or not self._is_alone():
            return 0
        rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
        tcp = 0b11 if version >= _TCP_SINCE else 0
        scopes = 0b11 if version >= _SCOPES_SINCE else 0
        # A kernel refuses fields that it does not know, unless they are zero.
        attributes = struct.pack("=QQQ", rights, tcp, scopes)
        rules = _call(_LANDLOCK_CREATE, attributes, len(attributes), 0)
        if rules < 0:
            return 0
        try:
            truncating = _TRUNCATE if version >= _TRUNCATE_SINCE else 0
            added = [_add(rules, path, _READ_FILE | _READ_DIR) for path in (*readable, *_OF_MACHINE)]
            added.append(_add(rules, scratch, _SCRATCH | truncating))
            if not all(added) or not _keep_privileges():
                return 0
            return version if _call(_LANDLOCK_RESTRICT, rules, 0) == 0 else 0
        finally:
            os.close(rules)

    def filter_calls(self) -> bool:
        """Refuse sockets, other programs and other processes to this thread and those that it starts.

        Returns whether that holds.
        """
        if not self._has_seccomp or not self._is_alone() or not _keep_privileges():
            return False
        machine, numbers = _FORBIDDEN[platform.machine()]
        program = _program(machine, numbers)
        buffer = ctypes.create_string_buffer(program)
        # struct sock_fprog: the number of instructions, and where they are.
        head = struct.pack("@HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
        return bool(_libc().prctl(_SET_SECCOMP, _FILTER, ctypes.c_char_p(head), 0, 0) == 0)

    def _is_alone(self) -> bool:
        """Whether this is the only thread of the process."""
        return self._threads is not None and len(os.listdir(self._threads)) == 1  # noqa: PTH208


def _program(machine: int, numbers: tuple[int, ...]) -> bytes:
    """A filter in the kernel's language: (what, jump if so, jump if not, operand) each."""
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    lines = [(load, 0, 0, 4), (equal, 1, 0, machine), (answer, 0, 0, _KILL), (load, 0, 0, 0)]
    left = len(numbers) + 1
    if machine == _FORBIDDEN["x86_64"][0]:
        # The same calls have other numbers there.
        lines.append((at_least, left, 0, _X32_BIT))
    for position, number in enumerate(numbers):
        lines.append((equal, len(numbers) - position, 0, number))
    lines += [(answer, 0, 0, _ALLOW), (answer, 0, 0, _REFUSE)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _add(rules: int, path: str, rights: int) -> bool:
    """Allow it; what is not there need not be."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if not Path(path).is_dir():
            rights &= ~_READ_DIR
        return _call(_LANDLOCK_ADD, rules, _BENEATH, struct.pack("=Qi", rights, place), 0) == 0
    finally:
        os.close(place)


def _keep_privileges() -> bool:
    return bool(_libc().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0)


def _call(number: int, *arguments: int | bytes | None) -> int:
    values = [ctypes.c_long(one) if isinstance(one, int) else ctypes.c_char_p(one) for one in arguments]
    return int(_libc().syscall(ctypes.c_long(number), *values))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
