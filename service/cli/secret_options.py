"""Options by which commands take a key: from a file, standard input or a variable, never as an argument.

Arguments of a command are visible in the list of processes, which all users of a machine can read, and in
the shell's history.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

STANDARD_INPUT = "-"


class BadSecret(Exception):
    """The key cannot be read in this way; the text says why."""


def refuse(option: str, instead: str) -> NoReturn:
    """Refuse a key given as an argument. Raises BadSecret."""
    raise BadSecret(
        f"{option}: a key on the command line is visible to everybody who lists processes, and stays in "
        f"the shell's history: give {instead}."
    )


def add_key_file(parser: argparse.ArgumentParser, kind: str, help: str) -> None:
    """Add the option ``--<kind>-key-file FILE``."""
    parser.add_argument(f"--{kind}-key-file", metavar="FILE", help=f"{help}; '-': standard input")


def read_secret(option: str, file: str) -> str:
    """Read the single key that the file holds. Raises BadSecret."""
    try:
        text = sys.stdin.read() if file == STANDARD_INPUT else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise BadSecret(f"{option}: {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadSecret(f"{option}: {file} cannot be read: it is not UTF-8 text.") from None
    lines = text.split()
    if len(lines) != 1:
        raise BadSecret(f"{option}: {file} must hold one key and nothing else.")
    return lines[0]


def access_key_of(args: argparse.Namespace) -> str:
    """Read a command's access key from its file or the environment. Raises BadSecret."""
    from service.settings import key_of_environment

    if args.key is not None:
        refuse("KEY", "--key-file FILE, or set ACUMEN_ACCESS_KEY")
    if args.key_file is not None:
        return read_secret("--key-file", args.key_file)
    key = key_of_environment("access")
    if not key:
        raise BadSecret("Which key? Give --key-file FILE ('-': standard input), or set ACUMEN_ACCESS_KEY.")
    return key
