"""``acumen dashboards export`` and ``acumen dashboards apply``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from service.auth.shown_tiles import ShownTiles
from service.cli import shell_audit
from service.cli.boards import board_files
from service.cli.boards.board_files import Definitions
from service.cli.boards.board_stores import BoardStore, CatalogStore, UrlStore, client_of
from service.cli.errors import CannotDo, reason_of
from service.cli.secret_options import BadSecret, add_key_file, read_secret
from service.cli.tenants import chosen_project
from service.settings import key_of_environment
from service.shell_import.targets import is_server_url
from storage.catalog.catalog import Catalog

Open = Callable[[argparse.Namespace], "object"]
AddData = Callable[[argparse.ArgumentParser], None]
Say = Callable[[str], None]


def add_arguments(commands: object, add_data: AddData, run: Callable[..., Callable[..., int]]) -> None:
    """Add the subcommands; ``run(action)`` makes the function of one."""
    export = commands.add_parser(  # type: ignore[attr-defined]
        "export",
        help="write dashboards and the saved queries on them as files",
        description="Write a JSON file for each dashboard, and for each saved query on them, into a folder "
        "that may be kept in git. Files that are there already are replaced where they differ.",
    )
    export.add_argument("id", metavar="ID", nargs="*", help="dashboards (default: all)")
    export.add_argument("--to", required=True, type=Path, metavar="DIR", help="the folder")
    apply = commands.add_parser(  # type: ignore[attr-defined]
        "apply",
        help="make dashboards and saved queries as the files of a folder say",
        description="Make a project's dashboards and saved queries as the files of a folder say. What is the "
        "same already is left alone. If one file is broken, nothing is changed.",
    )
    apply.add_argument("folder", type=Path, metavar="DIR", help="the folder")
    apply.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    apply.add_argument(
        "--prune", action="store_true", help="delete dashboards without a file; saved queries stay"
    )
    for command, action in ((export, run_export), (apply, run_apply)):
        command.add_argument("--project", metavar="ID", help="the project (default: the only one)")
        command.add_argument(
            "--url",
            metavar="URL",
            help="of a server, such as http://127.0.0.1:8000, not a data folder",
        )
        add_key_file(command, "master", "with --url: file with the master key (default: ACUMEN_MASTER_KEY)")
        add_data(command)
        shell_audit.audited(command)
        command.set_defaults(run=run(action))


def run_export(args: argparse.Namespace, open_catalog: Open, say: Say) -> int:
    with _opened(args, open_catalog) as (store, _):
        found = store.definitions()
    unknown = [one for one in args.id if one not in found.boards]
    if unknown:
        raise CannotDo(f"There is no dashboard '{unknown[0]}'.")
    boards = {name: one for name, one in found.boards.items() if not args.id or name in args.id}
    used = {name for one in boards.values() for name in ShownTiles.of(one.document).saved_queries}
    queries = {name: one for name, one in found.queries.items() if name in used}
    try:
        board_files.write(args.to, Definitions(boards, queries))
    except OSError as error:
        raise CannotDo(reason_of(error)) from None
    say(f"{_counted(len(boards), 'dashboard')} and {_counted(len(queries), 'saved query')} are in {args.to}.")
    return 0


def run_apply(args: argparse.Namespace, open_catalog: Open, say: Say) -> int:
    wanted = board_files.read(args.folder)
    with _opened(args, open_catalog) as (store, catalog):
        now = store.definitions()
        steps = list(_steps(wanted, now, prune=args.prune))
        for name, board in wanted.boards.items():
            for lost in sorted(ShownTiles.of(board.document).saved_queries - {*wanted.queries, *now.queries}):
                say(f"Dashboard {name} shows the saved query {lost}, of which there is no file.")
        for verb, kind, name in steps:
            say(f"{'would ' if args.dry_run else ''}{verb} {kind} {name}")
        if not steps:
            say("Everything is as the files say.")
        elif not args.dry_run:
            with _noted(catalog, args):
                _carry_out(store, wanted, steps)
            say(f"{_counted(len(steps), 'change')} made.")
    return 0


def _steps(wanted: Definitions, now: Definitions, *, prune: bool) -> Iterator[tuple[str, str, str]]:
    """Verb, kind and name of each change, saved queries first: dashboards show them."""
    for name, query in wanted.queries.items():
        if now.queries.get(name) != query:
            yield "change" if name in now.queries else "make", "saved query", name
    for name, board in wanted.boards.items():
        if now.boards.get(name) != board:
            yield "change" if name in now.boards else "make", "dashboard", name
    for name in now.boards if prune else ():
        if name not in wanted.boards:
            yield "delete", "dashboard", name


def _carry_out(store: BoardStore, wanted: Definitions, steps: Sequence[tuple[str, str, str]]) -> None:
    for verb, kind, name in steps:
        if verb == "delete":
            store.remove_board(name)
        elif kind == "dashboard":
            store.put_board(name, wanted.boards[name])
        else:
            store.put_query(name, wanted.queries[name])


@contextmanager
def _opened(args: argparse.Namespace, open_catalog: Open) -> Iterator[tuple[BoardStore, Catalog | None]]:
    """The store, and the catalog where it is that of a data folder. Raises CannotDo."""
    if args.url is None:
        with open_catalog(args) as catalog:  # type: ignore[attr-defined]
            args.project = chosen_project(catalog, args.project)
            yield CatalogStore(catalog, args.project), catalog
        return
    if not is_server_url(args.url):
        raise CannotDo(f"--url: {args.url} is not the address of a server, such as http://127.0.0.1:8000.")
    if args.project is None:
        raise CannotDo("Which project? With --url give --project ID.")
    try:
        file = args.master_key_file
        key = read_secret("--master-key-file", file) if file else key_of_environment("master")
    except BadSecret as error:
        raise CannotDo(str(error)) from None
    if not key:
        raise CannotDo(
            "Which key? Give --master-key-file FILE ('-': standard input), or set ACUMEN_MASTER_KEY."
        )
    with client_of(args.url, key) as client:
        yield UrlStore(client, args.project), None


@contextmanager
def _noted(catalog: Catalog | None, args: argparse.Namespace) -> Iterator[None]:
    """A context in which a data folder is changed; a server notes by itself what it is asked."""
    if catalog is None:
        yield
        return
    with shell_audit.noting(catalog, args):
        yield


def _counted(number: int, what: str) -> str:
    many = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{number} {what if number == 1 else many}"
