"""The error of the ``acumen`` commands, which the command line prints."""

from __future__ import annotations


class CannotDo(Exception):
    """The command cannot be carried out; the text says why, in a sentence."""
