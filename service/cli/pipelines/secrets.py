"""``acumen secrets``: the named secrets of a project, which connections use."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from service.cli.errors import CannotDo
from service.cli.shell_audit import audited

if TYPE_CHECKING:
    # Imported where used, since printing the help should not wait for it.
    from storage.catalog.catalog import Catalog

VALUE_MAX = 8_192
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")


def add_secrets(commands: Any, add_data: Callable[..., None], bind: Callable[..., Any]) -> None:
    """Add the command; ``bind(action, make=False)`` makes the function of one of its subcommands."""
    secrets = commands.add_parser("secrets", help="set, list and remove the named secrets of connections")
    actions = secrets.add_commands()

    def add(name: str, help: str, action: Callable[[Catalog, argparse.Namespace], str]) -> Any:
        command = actions.add_parser(name, help=help, description=f"{help[:1].upper()}{help[1:]}.")
        command.add_argument("--project", metavar="ID", help="the project (default: the only one)")
        add_data(command)
        audited(command)
        command.set_defaults(run=bind(action, make=False))
        return command

    put = add("set", "set a secret to what standard input has, which is never shown again", _set)
    put.add_argument("name", metavar="NAME")
    add("list", "print the names of the secrets", _list)
    removed = add("remove", "remove a secret", _remove)
    removed.add_argument("name", metavar="NAME")


def _set(catalog: Catalog, args: argparse.Namespace) -> str:
    project_id = _project(catalog, args)
    if not _NAME.fullmatch(args.name):
        raise CannotDo(
            "A secret's name has up to 100 letters, digits, '_' and '-', and begins with a letter."
        )
    value = _given()
    new = catalog.secrets.put(project_id, args.name, value)
    return f"{args.name} is {'set' if new else 'set anew'}."


def _given() -> str:
    """The value on standard input, without the line end that shells add; from a terminal it is not shown."""
    if sys.stdin.isatty():
        import getpass

        value = getpass.getpass("Secret: ")
    else:
        value = sys.stdin.read(VALUE_MAX + 3).removesuffix("\n").removesuffix("\r")
    if not value or len(value) > VALUE_MAX or "\0" in value:
        raise CannotDo(f"A secret is a text of 1 to {VALUE_MAX:,} characters, on standard input.")
    return value


def _list(catalog: Catalog, args: argparse.Namespace) -> str:
    from storage.instants import format_instant

    found = catalog.secrets.of_project(_project(catalog, args))
    return "\n".join(f"{one.name}  set {format_instant(one.modified_us)}" for one in found) or "None is set."


def _remove(catalog: Catalog, args: argparse.Namespace) -> str:
    if not catalog.secrets.remove(_project(catalog, args), args.name):
        raise CannotDo(f"There is no secret '{args.name}'.")
    return f"{args.name} is removed."


def _project(catalog: Catalog, args: argparse.Namespace) -> str:
    from service.cli.tenants import chosen_project

    project_id: str = chosen_project(catalog, args.project)
    # For the audit log.
    args.project = project_id
    return project_id
