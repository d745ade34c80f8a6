"""Estimates the size of a regular expression with its repetitions expanded, as RE2 expands them to run it."""

from __future__ import annotations

import re

UNICODE_CLASS = 300
r"""Characters that a class such as ``\p{L}`` counts as: it expands to hundreds of byte ranges."""
OPTIONAL = 10
"""Characters that a repetition without a fixed count adds each time."""
_REPEAT_MAX = 1_001
"""Cap on a repetition count; RE2 refuses more than 1000."""
_PIECE = re.compile(
    r"""(?P<open> \( )
      | (?P<close> \) )
      | \{ (?P<low> \d{1,9} ) (?P<comma> ,? ) (?P<high> \d{0,9} ) \}
      | (?P<optional> [?*+] )
      | (?P<atom> \\[pP] (?: \{[^}]*\} | . ) | \\. | \[ \^? \]? (?: \\. | [^\]\\] )* \] | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_IS_UNICODE = re.compile(r"\\[pP]")


def written_out(pattern: str) -> int:
    """The approximate length of the pattern with its repetitions expanded, also for an invalid pattern."""
    outer: list[int] = []
    size = last = 0
    for piece in _PIECE.finditer(pattern):
        if piece["open"]:
            outer.append(size)
            size = last = 0
        elif piece["close"]:
            last = size + 1
            size = last + (outer.pop() if outer else 0)
        elif piece["low"]:
            times = min(max(int(piece["low"]), int(piece["high"] or 0), 1), _REPEAT_MAX)
            varies = bool(piece["comma"]) and piece["low"] != piece["high"]
            repeated = times * (last + (OPTIONAL if varies else 0))
            size, last = size - last + repeated, repeated
        elif piece["optional"]:
            size, last = size + OPTIONAL, last + OPTIONAL
        else:
            last = UNICODE_CLASS * len(_IS_UNICODE.findall(piece["atom"])) or 1
            size += last
    return size + sum(outer)
