"""Texts as cells of CSV, guarded against spreadsheets."""

from __future__ import annotations

import re

GUARD = "'"
GUARDED = "=+-@\t\r\n＝＋－＠" + GUARD
"""A CSV text that begins with one of these is prefixed with ``GUARD``: spreadsheets run some as formulas.

A text that begins with the guard itself is prefixed too, so that removing one guard always restores it.
"""
LINE_END = "\r\n"
QUOTED = re.compile('[",\r\n]')


def csv_text(value: str) -> str:
    """A text as a cell of CSV, guarded against spreadsheets."""
    if not value:
        return '""'
    if value[0] in GUARDED:
        value = GUARD + value
    if QUOTED.search(value):
        return '"' + value.replace('"', '""') + '"'
    return value
