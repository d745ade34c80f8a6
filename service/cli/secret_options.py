"""Options of commands that take a key: from a file, from standard input or from a variable, never as a word.

The words of a command stand in the list of processes, which all users of a machine can read, and in the
shell's history.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

STANDARD_INPUT = "-"


class BadSecret(Exception):
    """No key can be had in this way; the text says why."""


def refuse(option: str, instead: str) -> NoReturn:
    """Raises BadSecret: the key was given as a word."""
    raise BadSecret(
        f"{option}: a key on the command line is seen by everybody who lists processes, and stays in the "
        f"shell's history: give {instead}."
    )


def add_key_file(parser: argparse.ArgumentParser, kind: str, help: str) -> None:
    """The option ``--<kind>-key-file FILE``."""
    parser.add_argument(f"--{kind}-key-file", metavar="FILE", help=f"{help}; '-': standard input")


def read_secret(option: str, file: str) -> str:
    """The one line that the file holds. Raises BadSecret."""
    try:
        text = sys.stdin.read() if file == STANDARD_INPUT else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSecret(f"{option}: {file} cannot be read: {error}.") from None
    lines = text.split()
    if len(lines) != 1:
        raise BadSecret(f"{option}: {file} must hold one key and nothing else.")
    return lines[0]


def access_key_of(args: argparse.Namespace) -> str:
    """The access key that a command is about, from its file or the environment. Raises BadSecret."""
    from service.settings import key_of_environment

    if args.key is not None:
        refuse("KEY", "--key-file FILE, or set ACUMEN_ACCESS_KEY")
    if args.key_file is not None:
        return read_secret("--key-file", args.key_file)
    found = key_of_environment("access")
    if not found:
        raise BadSecret("Which key? Give --key-file FILE ('-': standard input), or set ACUMEN_ACCESS_KEY.")
    return found
