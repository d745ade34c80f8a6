"""The error of the ``acumen`` commands, which the command line prints."""

from __future__ import annotations


class CannotDo(Exception):
    """The command cannot be carried out; the text says why, in a sentence."""


def reason_of(error: Exception) -> str:
    """The error as a sentence; one of the operating system without its number, and with its file."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    file = error.filename
    return f"{error.strerror}." if file is None else f"{file} cannot be used: {error.strerror}."
