"""``acumen plugins``: the plugins that are installed beside the server, and which of them cannot be used."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from service.plugins.installed import found_plugins


def add_plugins(commands: Any, say: Callable[[str], None]) -> None:
    """Add the command."""
    plugins = commands.add_parser(
        "plugins",
        help="list installed plugins, and why one cannot be used",
        description="List the plugins of installed packages. Each is imported, in a process of its own; the "
        "status is 1 where one cannot be used. See docs/plugins.md.",
    )
    plugins.add_argument("--json", action="store_true", help="print them as JSON, one on a line")

    def run(args: argparse.Namespace) -> int:
        return _list(say, as_json=args.json)

    plugins.set_defaults(run=run)


def _list(say: Callable[[str], None], *, as_json: bool) -> int:
    # Imported here, since printing the help should not wait for it.
    from service.plugins.running import problem_of

    worst = 0
    found = sorted(found_plugins().values(), key=lambda one: (one.kind, one.name))
    for one in found:
        problem = problem_of(one)
        worst = worst or int(problem is not None)
        if as_json:
            told = {"name": one.name, "kind": one.kind, "package": one.package, "version": one.version}
            say(json.dumps({**told, "problem": problem}))
        else:
            say(f"{one.kind.words:<14} {one.name:<24} {one.release}")
            if problem is not None:
                say("\n".join(f"  {line}" for line in problem.splitlines()))
    if not found and not as_json:
        say("No plugins are installed: 'pip install' a package that has some beside the server.")
    return worst
