"""Follows the quotes, rows and lines of CSV and TSV text, which pyarrow's reader does not report.

Quotes count as they do for pyarrow: one at the start of a cell opens it, and two within it are one quote.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Iterable, Iterator
from typing import IO

CHUNK_BYTES = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def chunks(stream: IO[bytes] | io.BufferedIOBase, encoding: str) -> Iterator[bytes]:
    """The text of a stream as UTF-8, without a byte order mark.

    A chunk does not end with a quote, a space or a carriage return, whose meaning depends on what follows.
    """
    transcoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)("replace")
    first, more = True, True
    while more:
        text = bytearray()
        size = CHUNK_BYTES
        while more and (not text or text.endswith((b'"', b" ", b"\r"))):
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


class RowFinder:
    """Finds rows by their number, from 1, blank lines not counted, in text that can be read repeatedly.

    It reads on from the row found last, so rows are best asked for in their order.
    """

    def __init__(self, read: Callable[[], Iterable[bytes]], delimiter: str) -> None:
        self._read = read
        self._delimiter = delimiter.encode()
        self._rows: Iterator[tuple[int, bytes]] = iter(())
        self._number = 0
        self._found: tuple[int, bytes] | None = None

    def find(self, number: int) -> tuple[int, bytes] | None:
        """The line on which a row begins, from 1, and its text; None if there is no such row."""
        if number < self._number or not self._number:
            self._rows, self._number = rows(self._read(), self._delimiter), 0
        while self._number < number:
            self._found = next(self._rows, None)
            self._number += 1
            if self._found is None:
                self._number = 0
                return None
        return self._found


def rows(text: Iterable[bytes], delimiter: bytes) -> Iterator[tuple[int, bytes]]:
    """Rows that are not blank, each with the line on which it begins."""
    cell = rb'(?:"(?:[^"]++|"")*+"[^%s\r\n]*+|(?!")[^%s\r\n]*+)' % (2 * (re.escape(delimiter),))
    row = re.compile(rb"%s(?:%s%s)*+(\r\n|\n|\r)" % (cell, re.escape(delimiter), cell))
    line, rest = 1, b""
    for chunk in text:
        rest, at = rest + chunk, 0
        while (found := row.match(rest, at)) is not None:
            content = rest[at : found.start(1)]
            if content:
                yield line, content
            line += 1 + _line_ends(content)
            at = found.end()
        rest = rest[at:]
    if rest:
        yield line, rest
