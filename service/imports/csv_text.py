"""Follows the quotes, rows and lines of CSV and TSV text, which pyarrow's reader does not report.

Quotes count as they do for pyarrow: one at the start of a cell opens it, and two within it are one quote.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import IO

CHUNK_BYTES = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def chunks(stream: IO[bytes], encoding: str) -> Iterator[bytes]:
    """The text of a stream as UTF-8, without a byte order mark.

    A chunk does not end with a quote, a space or a carriage return, whose meaning depends on what follows.
    """
    transcoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)("replace")
    first, more = True, True
    while more:
        text = bytearray()
        size = CHUNK_BYTES
        while more and (not text or text[-1:] in (b'"', b" ", b"\r")):
            data = stream.read(size)
            more, size = bool(data), 1
            text += data if transcoder is None else transcoder.decode(data, final=not more).encode()
        yield bytes(text.removeprefix(_BYTE_ORDER_MARK) if first else text)
        first = False


def unclosed_quote(text: Iterable[bytes], delimiter: str) -> int | None:
    """The line, from 1, of a quote that is never closed; None if there is none.

    A cell of several lines whose next quote does not end it is such a cell too: that quote is one of a later
    row.
    """
    scan = _QuoteScan(delimiter.encode())
    for chunk in text:
        if not scan.feed(chunk):
            return scan.opened_line
    return scan.opened_line if scan.inside else None


class _QuoteScan:
    """The state of a scan for quotes between two chunks."""

    def __init__(self, delimiter: bytes) -> None:
        self.inside = False
        self.opened_line = 0
        self._opening = re.compile(rb'(?<=[%s\r\n])"' % re.escape(delimiter))
        self._cell_end = re.compile(rb" *+(?:[%s\r\n]|\Z)" % re.escape(delimiter))
        # Most quoted cells are of one line and hold no quote: many are passed over at once.
        self._plain_cells = re.compile(
            rb'(?:[^"]*+(?<=[%s\r\n])"[^"\r\n]*+"(?=[%s\r\n]))*+' % (2 * (re.escape(delimiter),))
        )
        self._line = 1
        self._several_lines = False
        self._before = b"\n"

    def feed(self, chunk: bytes) -> bool:
        """Scan the next chunk; False once a quote is found that is not closed where its cell ends."""
        text = self._before + chunk
        start = at = len(self._before)
        opened = None
        while True:
            if not self.inside:
                plain = self._plain_cells.match(text, at)
                found = self._opening.search(text, plain.end() if plain else at)
                if found is None:
                    break
                opened = at = found.end()
                self.inside, self._several_lines = True, False
            end = text.find(b'"', at)
            if end < 0:
                break
            if text[end + 1 : end + 2] == b'"':
                at = end + 2
                continue
            if not self._cell_end.match(text, end + 1):
                lines = _line_ends(text[start if opened is None else opened : end])
                if lines or self._several_lines:
                    self._note_line(text[start:opened], opened)
                    return False
            self.inside, at = False, end + 1
        if self.inside:
            self._note_line(text[start:opened], opened)
            cell = text[start if opened is None else opened :]
            self._several_lines = self._several_lines or bool(_line_ends(cell))
        self._line += _line_ends(chunk)
        self._before = text[-1:]
        return True

    def _note_line(self, before: bytes, opened: int | None) -> None:
        # A quote that an earlier chunk opened has its line.
        if opened is not None:
            self.opened_line = self._line + _line_ends(before)


def _line_ends(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")
