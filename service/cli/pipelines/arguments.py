"""The options of the commands about pipelines."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.cli import shell_audit

HELP = {
    "plan": "say what applying a folder of pipelines would change, and what they take on a day",
    "simulate": "run pipelines of a folder on golden files and on the newest events, without writing",
    "apply": "make a project's pipelines those of a folder",
    "run": "derive buckets of a pipeline again, or freeze or skip them; read a source now",
    "pause": "let a pipeline begin no run, or a source not be read, until it is resumed",
    "resume": "let a paused pipeline derive again what is stale, or a paused source be read",
    "accept": "let rows pass that a pipeline's expectations have set aside",
    "status": "say how fresh the project's pipelines are, and how far its sources",
}
STATES = ("stale", "frozen", "skipped")


def add_commands(
    commands: Any,
    selected: str | None,
    add_data: Callable[[argparse.ArgumentParser], None],
    run: Callable[[str], Callable[[argparse.Namespace], int]],
) -> None:
    """Add the commands; ``selected`` gets its options."""
    for name, text in HELP.items():
        command = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}. See docs/pipelines.md."
        )
        if name == selected:
            _add_options(command, name)
            command.add_argument("--project", metavar="ID", help="the project (default: the only one)")
            add_data(command)
            if name in ("apply", "run", "pause", "resume", "accept"):
                shell_audit.audited(command)
            command.set_defaults(run=run(name))


def _add_options(command: argparse.ArgumentParser, name: str) -> None:
    if name in ("plan", "simulate", "apply"):
        command.add_argument(
            "folder",
            type=Path,
            nargs="?",
            default=Path(),
            metavar="DIR",
            help="the folder with pipelines.toml (default: this one)",
        )
    if name == "simulate":
        command.add_argument("--pipeline", metavar="NAME", help="only this one")
    if name == "apply":
        command.add_argument(
            "--remove",
            action="store_true",
            help="remove pipelines that the folder lacks; what they derived stays",
        )
    if name in ("run", "pause", "resume", "accept"):
        what = "its name" if name == "accept" else "its name; that of a source as sources.NAME"
        command.add_argument("pipeline", metavar="PIPELINE", help=what)
    if name == "run":
        command.add_argument("--since", metavar="INSTANT", help="buckets that end after it (default: all)")
        command.add_argument("--until", metavar="INSTANT", help="buckets that begin before it")
        command.add_argument(
            "--state",
            choices=STATES,
            default="stale",
            help="stale: derive again (the default); frozen: leave as they are; skipped: never derive",
        )
    if name == "accept":
        command.add_argument(
            "digests", metavar="DIGEST", nargs="+", help="the 'digest' of a row in the quarantine"
        )
        command.add_argument(
            "--withdraw", action="store_true", help="let accepted rows be set aside again instead"
        )
    if name == "status":
        command.add_argument(
            "pipeline",
            metavar="PIPELINE",
            nargs="?",
            help="list this one's buckets too; of a source, as sources.NAME, its files",
        )
        command.add_argument(
            "--buckets", type=int, default=20, metavar="N", help="the newest N of them (default 20)"
        )
