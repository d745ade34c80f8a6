"""``acumen keys``: manages access keys from a shell; works beside a running server."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from query.language.filters import conservative_regex_check
from service.auth.access_keys import PERMITTED, checked, new_access_key, shown
from service.cli.command_parser import CommandParser
from service.cli.errors import CannotDo
from service.cli.json_options import json_of
from service.cli.secret_options import BadSecret, access_key_of
from service.cli.shell_audit import audited
from service.errors import InvalidParameter
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.errors import UnknownAccessKey, UnknownProject
from storage.catalog.keyring import Keyring
from storage.catalog.tenants.records import AccessKey


def add_arguments(
    parser: CommandParser, add_data: Callable[[argparse.ArgumentParser], None], run: Any
) -> None:
    actions = parser.add_commands()

    def add(name: str, help: str, action: Callable[..., Any]) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = actions.add_parser(
            name, help=help, description=f"{help[:1].upper()}{help[1:]}."
        )
        command.add_argument("--project", required=True, metavar="ID")
        add_data(command)
        audited(command)
        command.set_defaults(action=action, run=run)
        return command

    add("list", "print a project's access keys as JSON", _list)
    create = add("create", "make an access key and print it as JSON", _create)
    create.add_argument("name", metavar="NAME")
    update = add("update", "change an access key; what is not given stays as it is", _update)
    _add_key(update)
    update.add_argument("--name")
    for command in (create, update):
        command.add_argument("--permit", action="append", choices=PERMITTED, help="a right; give it for each")
        command.add_argument(
            "--options", metavar="JSON", help="options as the API takes them; see docs/keys.md"
        )
    for name, help, action in (
        ("show", "print an access key as JSON", _show),
        ("revoke", "disable a key on every worker within a second, until it is unrevoked", _revoke),
        ("unrevoke", "enable a revoked key again", _unrevoke),
        ("delete", "delete a key for good", _delete),
    ):
        _add_key(add(name, help, action))


def _add_key(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the access key of the command."""
    parser.add_argument("key", metavar="KEY", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        help="a file with the access key; '-': standard input (default: the variable ACUMEN_ACCESS_KEY)",
    )


def run(catalog: Catalog, keyring: Keyring, args: argparse.Namespace) -> str:
    """Run the command; returns the JSON to print. Raises CannotDo."""
    try:
        catalog.projects.get(args.project)
        result = args.action(catalog, keyring, args)
    except UnknownProject as error:
        raise CannotDo(str(error)) from None
    except UnknownAccessKey:
        raise CannotDo(f"Project {args.project} has no such access key.") from None
    except (InvalidParameter, BadSecret) as error:
        raise CannotDo(str(error)) from None
    return json.dumps(result, indent=2, ensure_ascii=False)


def _list(catalog: Catalog, keyring: Keyring, args: argparse.Namespace) -> Any:
    return [shown(keyring, key) for key in catalog.access_keys.of_project(args.project)]


def _show(catalog: Catalog, keyring: Keyring, args: argparse.Namespace) -> Any:
    return shown(keyring, _find(catalog, keyring, args))


def _update(catalog: Catalog, keyring: Keyring, args: argparse.Namespace) -> Any:
    key = _find(catalog, keyring, args)
    body = {
        "name": key.name if args.name is None else args.name,
        "permitted": list(key.permitted) if args.permit is None else args.permit,
        "options": dict(key.options) if args.options is None else _options(args),
    }
    # Patterns that do not change were checked when they were set.
    definition = checked(body, conservative_regex_check if args.options is not None else lambda _: None)
    changed = catalog.access_keys.update(
        args.project,
        key.digest,
        name=definition.name,
        is_active=definition.is_active,
        permitted=definition.permitted,
        options=definition.options,
    )
    return shown(keyring, changed)


def _find(catalog: Catalog, keyring: Keyring, args: argparse.Namespace) -> AccessKey:
    """The access key that the arguments name. Raises UnknownAccessKey, BadSecret."""
    key = catalog.access_keys.find(args.project, keyring.digest(args.project, access_key_of(args)))
    if key is None:
        raise UnknownAccessKey
    return key


def _options(args: argparse.Namespace) -> Any:
    example = '{"queries": {"extraction": false}}'
    return json_of("--options", args.options, example) if args.options else {}


def _create(catalog: Catalog, keyring: Keyring, args: argparse.Namespace) -> Any:
    if not args.permit:
        raise CannotDo(f"What may the key do? Give --permit for each right: {', '.join(PERMITTED)}.")
    body = {"name": args.name, "permitted": args.permit, "options": _options(args)}
    _, key = new_access_key(keyring, args.project, checked(body, conservative_regex_check), system_clock())
    catalog.access_keys.create(key)
    return shown(keyring, key)


def _revoke(catalog: Catalog, keyring: Keyring, args: argparse.Namespace) -> Any:
    digest = keyring.digest(args.project, access_key_of(args))
    return shown(keyring, catalog.access_keys.activate(args.project, digest, False))


def _unrevoke(catalog: Catalog, keyring: Keyring, args: argparse.Namespace) -> Any:
    digest = keyring.digest(args.project, access_key_of(args))
    return shown(keyring, catalog.access_keys.activate(args.project, digest, True))


def _delete(catalog: Catalog, keyring: Keyring, args: argparse.Namespace) -> Any:
    catalog.access_keys.delete(args.project, keyring.digest(args.project, access_key_of(args)))
    return {"deleted": True}
