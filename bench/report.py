"""What a person sees: progress while it runs, and each figure beside the one it must reach."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field


class Wrong(Exception):
    """The answers differ, or a server refused: there is no figure."""


@dataclass
class Report:
    """Prints to standard output; progress goes to standard error where that is a terminal."""

    missed: list[str] = field(default_factory=list)
    """The figures that did not reach their floor, or went over their limit."""
    checks: int = 0
    """How many answers were compared, all equal."""
    _started: float = field(default_factory=time.monotonic)

    def title(self, text: str) -> None:
        self._clear()
        print(f"\n{text}", flush=True)

    def note(self, text: str) -> None:
        self._clear()
        print(f"  {text}", flush=True)

    def figure(
        self, name: str, value: float, detail: str, *, floor: float | None = None, limit: float | None = None
    ) -> None:
        """One ratio; at least ``floor`` or at most ``limit`` is wanted of it."""
        verdict = ""
        if floor is not None:
            verdict = f"at least {floor:g}: " + ("yes" if value >= floor else "NO")
        if limit is not None:
            verdict = f"at most {limit:g}: " + ("yes" if value <= limit else "NO")
        if verdict.endswith("NO"):
            self.missed.append(name)
        self._clear()
        print(f"  {name:<34} {value:6.2f}   {verdict:<19} {detail}".rstrip(), flush=True)

    def equal(self, what: str, ours: object, theirs: object) -> None:
        """Raises Wrong where an answer differs from what it is compared with."""
        if ours != theirs:
            raise Wrong(f"{what}: the answers differ.\n  ours:   {_short(ours)}\n  theirs: {_short(theirs)}")
        self.checks += 1

    def progress(self, text: str) -> None:
        if sys.stderr.isatty():
            seconds = time.monotonic() - self._started
            sys.stderr.write(f"\r\x1b[K  … {seconds:4.0f} s  {text}")
            sys.stderr.flush()

    def _clear(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 500 else f"{text[:500]}…"
