"""The ``acumen`` command."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from service.cli import backup, files, people, shell_audit, tenants
from service.cli.command_parser import CommandParser
from service.cli.errors import CannotDo, reason_of
from service.cli.pipelines import arguments as pipelines
from service.cli.pipelines import plugins, runs, secrets

if TYPE_CHECKING:
    # Imported where used, since the server's modules cannot be imported on native Windows.
    from service.settings import Settings
    from storage.catalog.catalog import Catalog
    from storage.catalog.tenants.records import Project

WINDOWS = (
    "Acumen does not run on native Windows: its durability rests on calls that only Linux and macOS have. "
    "Run it in WSL2 or in Docker."
)

_DESCRIPTION = """\
Acumen stores events and answers questions about them, over HTTP.

Start a server, which creates everything it needs and prints how to send a first event:

    acumen serve
"""
_FIRST_LINK = """\
To use the pages, open this link, which makes you the owner and works once, within 7 days
(`acumen people first-link` prints another):

  {url}{link}

"""
_EPILOG = """\
Every option of 'serve' is also an environment variable (ACUMEN_HOST, ACUMEN_PORT, ACUMEN_DATA,
ACUMEN_WORKERS, …); docs/settings.md lists them all. An option takes precedence over its variable.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    args = _parser(words[:1]).parse_args(words)
    if sys.platform == "win32":
        return _print_error(WINDOWS)
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except CannotDo as error:
        return _print_error(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1


def _parser(command: Sequence[str]) -> CommandParser:
    kind = argparse.RawDescriptionHelpFormatter
    parser = CommandParser("acumen", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=kind)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_commands()
    _add_serve(commands)
    tenants.add_orgs(commands, _add_data, _on_catalog)
    tenants.add_projects(commands, _add_data, _on_catalog)
    people.add_people(commands, _add_data, _on_catalog)
    _add_keys(commands, selected=list(command) == ["keys"])
    _add_dashboards(commands, selected=list(command) == ["dashboards"])
    _add_worker(commands)
    runs.add_runs(commands, _add_data, _on_catalog)
    secrets.add_secrets(commands, _add_data, _on_catalog)
    _add_import(commands, selected=list(command) == ["import"])
    _add_demo(commands, selected=list(command) == ["demo"])
    _add_mcp(commands, selected=list(command) == ["mcp"])
    pipelines.add_commands(commands, next(iter(command), None), _add_data, _of_pipelines)
    plugins.add_plugins(commands, _say)
    files.add_files(commands, _add_data, _files)
    _add_check(commands)
    _add_repair(commands)
    _add_doctor(commands, selected=list(command) == ["doctor"])
    backup.add_backup(commands, _add_data, _back_up)
    backup.add_restore(commands, _add_data, _restore)
    return parser


class _Version(argparse.Action):
    """Prints the version, which is looked up only when the option is used."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from service.version import version

        _say(f"acumen {version()}")
        parser.exit()


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="run the server",
        description="Run the server until it gets SIGTERM or SIGINT (Ctrl-C), which stop it cleanly.",
        epilog=_EPILOG,
    )
    serve.add_argument("--host", help="address to listen on (default 127.0.0.1: this machine only)")
    serve.add_argument("--port", help="TCP port to listen on (default 8000)")
    serve.add_argument("--workers", help="HTTP worker processes (default 1)")
    serve.add_argument("--public-url", metavar="URL", help="where clients reach the server, for links")
    serve.add_argument("--tls-cert", metavar="FILE", help="PEM certificate chain: speak TLS")
    serve.add_argument("--tls-key", metavar="FILE", help="PEM private key of the certificate")
    serve.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error (default info)")
    _add_data(serve)
    serve.set_defaults(run=_serve)


def _add_worker(commands: Any) -> None:
    worker = commands.add_parser(
        "worker",
        help="execute runs of pipelines, beside a server on the same data folder",
        description="Execute runs of pipelines until it gets SIGTERM or SIGINT (Ctrl-C), one at a time. Any "
        "number of these processes may work on one data folder, on the machine of its server; each may be "
        "killed at any time: another one, or the server, begins its run again.",
    )
    worker.add_argument(
        "--queues",
        action="append",
        default=[],
        metavar="NAMES",
        help="comma-separated names of the queues whose runs it takes (default: all)",
    )
    _add_data(worker)
    worker.set_defaults(run=_work)


def _work(args: argparse.Namespace) -> int:
    from service.process import run_process
    from service.settings import BadSettings
    from service.telemetry import json_logging
    from service.workflows.run_worker import pools_of
    from storage.catalog.errors import CatalogError

    settings = _settings(args)
    try:
        json_logging.set_up(settings.current_log_level(), "run-worker")
        run_process.work(settings, pools_of(args.queues))
    except (BadSettings, CatalogError, OSError) as error:
        raise CannotDo(str(error)) from None
    return 0


def _add_keys(commands: Any, *, selected: bool) -> None:
    keys = commands.add_parser(
        "keys",
        help="make, list, revoke and delete access keys",
        description="Access keys of a project, each with the rights that its holder needs. Changes take "
        "effect on every worker of a running server within a second.",
    )
    if selected:
        from service.cli import keys as keys_command

        keys_command.add_arguments(keys, _add_data, _keys)


def _add_dashboards(commands: Any, *, selected: bool) -> None:
    boards = commands.add_parser(
        "dashboards",
        help="write dashboards as files, and make them as files say",
        description="Dashboards and the saved queries on them as JSON files, to be kept in git. Of a data "
        "folder, with or without a server running on it, or with --url of a server.",
    )
    if selected:
        from service.cli.boards import command

        command.add_arguments(boards.add_commands(), _add_data, _of_boards)


def _of_boards(action: Callable[..., int]) -> Callable[[argparse.Namespace], int]:
    return lambda args: action(args, _opened, _say)


def _of_pipelines(name: str) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        from service.cli.pipelines import command

        return command.act(args, name, _opened, _settings(args), _say)

    return run


def _add_import(commands: Any, *, selected: bool) -> None:
    command = commands.add_parser(
        "import",
        help="record a file of events",
        description="Record a file of events in one collection. If it was interrupted, run it again: it "
        "continues from there and stores nothing twice. Refused events go to a file beside the first one.",
    )
    if selected:
        # It imports much of the server, which other commands should not wait for.
        from service.shell_import import import_command

        import_command.add_arguments(command)
        command.set_defaults(run=import_command.run)


def _add_demo(commands: Any, *, selected: bool) -> None:
    command = commands.add_parser(
        "demo",
        help="make a project with the events, saved queries and dashboards of a shop, to look around in",
        description="Make a project with the events, saved queries and dashboards of a shop, in the data "
        "folder, with or without a server running on it. Where the project exists, nothing is done.",
    )
    _add_data(command)
    if selected:
        # As the import does, it imports much of the server.
        from service.cli import demo

        demo.add_arguments(command)
        command.set_defaults(run=_demo)


def _add_mcp(commands: Any, *, selected: bool) -> None:
    command = commands.add_parser(
        "mcp",
        help="let a program that works with language models ask a server, by the Model Context Protocol",
        description="Answer messages of the Model Context Protocol on standard input, one a line, by "
        "asking a running server with one key: its tools are what the key may do. See docs/mcp.md.",
    )
    if selected:
        from service.cli import mcp

        mcp.add_arguments(command)
        command.set_defaults(run=mcp.run)


def _add_check(commands: Any) -> None:
    check = commands.add_parser(
        "check",
        help="verify that every stored event is there exactly once and undamaged",
        description="Verify every checksum, and that each collection stores exactly the events that it "
        "received. Works beside a running server. Exit status 0: no fault was found; 1: some were.",
    )
    check.add_argument(
        "--accept-losses",
        action="store_true",
        help="do not count as a fault what 'acumen repair' could not save; it is still listed",
    )
    _add_data(check)
    check.set_defaults(run=_check)


def _add_repair(commands: Any) -> None:
    repair = commands.add_parser(
        "repair",
        help="save what can be read of damaged logs (the server must be stopped)",
        description="Set every damaged log aside, in the folder 'quarantine' of the data folder, and put in "
        "its place all whole frames of it that are in no Parquet file yet. Prints what was saved and which "
        "bytes are lost; 'acumen check' lists these from then on. Logs that are whole are left alone.",
    )
    _add_data(repair)
    repair.set_defaults(run=_repair)


def _add_doctor(commands: Any, *, selected: bool) -> None:
    command = commands.add_parser(
        "doctor",
        help="say what is set, what is wrong and what would help",
        description="Check settings, data folder, disk, memory, certificate, port, the running server, "
        "damage and backups, and say what is wrong and what would help. Changes nothing. Exit status 0: "
        "nothing is wrong; 1: something is.",
    )
    _add_data(command)
    if selected:
        from service.cli import doctor

        doctor.add_arguments(command)
        command.set_defaults(run=lambda args: doctor.run(args, _say))


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="DIR", help="the data folder (default: $ACUMEN_DATA, or ./data)")


def _settings(args: argparse.Namespace) -> Settings:
    from service.settings import BadSettings, Settings, load_options

    options = {name: value for name, value in vars(args).items() if name in Settings.model_fields}
    try:
        return load_options(options)
    except BadSettings as error:
        raise CannotDo(str(error)) from None


def _serve(args: argparse.Namespace) -> int:
    from service.process.supervisor import CannotServe, Supervisor
    from service.settings import BadSettings
    from service.telemetry import json_logging

    settings = _settings(args)
    _check_tls(settings)
    try:
        json_logging.set_up(settings.current_log_level(), "supervisor")
    except BadSettings as error:
        raise CannotDo(str(error)) from None
    supervisor = Supervisor(settings, _announce)
    try:
        return supervisor.run()
    except CannotServe as error:
        raise CannotDo(str(error)) from None


def _check_tls(settings: Settings) -> None:
    """Check the certificate once, before the workers do. Raises CannotDo."""
    import ssl

    if settings.tls_cert is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            settings.tls_cert, settings.tls_key
        )
    except (OSError, ssl.SSLError) as error:
        raise CannotDo(
            f"The TLS certificate {settings.tls_cert} and key {settings.tls_key} cannot be used: {error}."
        ) from None


def _announce(url: str, project: Project, new: bool, first_link: str | None) -> None:
    """Print the server's address; at the first start, which creates the project, also its keys and a link
    for the first person."""
    answers = f"Acumen answers at {url}"
    if not new:
        _say(f"{answers}\nThe keys of its projects: acumen projects list" if sys.stdout.isatty() else answers)
        return
    base = f"{url}/3.0/projects/{project.id}"
    pages = "" if first_link is None else _FIRST_LINK.format(url=url, link=first_link)
    event = shlex.quote(json.dumps({"item": "tea", "price": 4.5, "user": {"id": "u1"}}))
    _say(
        f"""{answers}

Project     {project.id}  ({project.name})
Master key  {project.master_key}
Write key   {project.write_key}
Read key    {project.read_key}

Send a first event:

  curl -X POST {base}/events/purchases \\
    -H 'Authorization: {project.write_key}' \\
    -H 'Content-Type: application/json' \\
    -d {event}

Ask a first question:

  curl '{base}/queries/count?event_collection=purchases&timeframe=this_14_days&api_key={project.read_key}'

For programs that use the Python or JavaScript client, and for the examples of the documentation:

  export ACUMEN_URL={url} ACUMEN_PROJECT={project.id} \\
    ACUMEN_WRITE_KEY={project.write_key} ACUMEN_READ_KEY={project.read_key}

And for those that manage the project, such as prepare.py of examples/shop:

  export ACUMEN_MASTER_KEY={project.master_key}

{pages}`acumen projects list` shows the keys again.
"""
    )


def _keys(args: argparse.Namespace) -> int:
    from service.cli import keys as keys_command

    with _opened(args, make=True) as catalog, shell_audit.noting(catalog, args):
        _say(keys_command.run(catalog, catalog.keyring, args))
    return 0


def _demo(args: argparse.Namespace) -> int:
    from service.cli import demo

    settings = _settings(args)
    with _opened(args, make=True) as catalog:
        return demo.run(args, settings, catalog, _say)


def _on_catalog(action: tenants.Action, *, make: bool) -> Callable[[argparse.Namespace], int]:
    """The function that runs a command on the catalog.

    With ``make``, a missing catalog is created: a project may be created before the server's first start.
    """

    def run(args: argparse.Namespace) -> int:
        args.settings = _settings(args)
        with _opened(args, make=make) as catalog, shell_audit.noting(catalog, args):
            _say(action(catalog, args))
        return 0

    return run


def _files(args: argparse.Namespace) -> int:
    with _opened(args) as catalog:
        return files.run(catalog, args, _say)


def _check(args: argparse.Namespace) -> int:
    from storage.maintenance.integrity_check import check

    with _opened(args) as catalog:
        report = check(catalog.folder, catalog)
    _say(
        f"{report.files} files with {report.rows} events and {report.bytes} bytes; "
        f"{report.buffered} events in {report.frames} frames of the logs."
    )
    if report.past_files:
        _say(f"{report.past_files} files with {report.past_bytes} bytes are kept for earlier versions.")
    for fault in report.faults:
        _say(f"FAULT  {fault}")
    if report.damaged_logs:
        _say("Stop the server and run 'acumen repair', which saves all of a damaged log that can be read.")
    for loss in report.losses:
        _say(f"LOST   {loss}")
    if not report.sound:
        _say(f"{len(report.faults)} faults.")
    elif report.losses:
        _say("No fault in what is there.")
    else:
        _say("No faults.")
    return 0 if report.sound and (args.accept_losses or not report.losses) else 1


def _repair(args: argparse.Namespace) -> int:
    from service.process.supervisor import CannotServe, lock_folder
    from storage.errors import StorageError
    from storage.maintenance.log_repair import repair

    with _opened(args) as catalog:
        try:
            # The lock is kept until the command ends, so that no server starts meanwhile.
            lock_folder(catalog.folder.root)
            repaired = repair(catalog.folder, catalog)
        except (CannotServe, StorageError, OSError) as error:
            raise CannotDo(reason_of(error)) from None
    for log in repaired:
        _say(f"log {log.log_id}: saved {log.events} events in {log.frames} frames that were in no file yet.")
        if log.quarantine is not None:
            _say(f"log {log.log_id}: what was found there is now in {log.quarantine}.")
        for loss in log.losses:
            _say(f"LOST   {loss.told()}")
        if not log.losses:
            _say(f"log {log.log_id}: nothing is lost.")
    if not repaired:
        _say("No log is damaged.")
    return 0


def _back_up(args: argparse.Namespace) -> int:
    with _opened(args) as catalog:
        return backup.back_up(catalog, args, _say)


def _restore(args: argparse.Namespace) -> int:
    return backup.restore(_settings(args), args, _say)


class _opened:
    """Opens the catalog of a data folder for one command; its errors are raised as CannotDo."""

    def __init__(self, args: argparse.Namespace, *, make: bool = False) -> None:
        self._settings = _settings(args)
        self._make = make

    def __enter__(self) -> Catalog:
        from storage.catalog.catalog import Catalog
        from storage.catalog.errors import CatalogError

        data, secret = self._settings.data, self._settings.secret_key
        try:
            if self._make:
                self._catalog = Catalog.prepare(data, secret=secret)
            else:
                self._catalog = Catalog.open(data, secret=secret)
        except (CatalogError, OSError) as error:
            raise CannotDo(reason_of(error)) from None
        return self._catalog

    def __exit__(self, _: object, error: object, __: object) -> None:
        from storage.catalog.errors import CatalogError

        self._catalog.close()
        if isinstance(error, CatalogError):
            raise CannotDo(str(error)) from None


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _print_error(text: str) -> int:
    sys.stderr.write(f"acumen: {text}\n")
    return 1


def command() -> NoReturn:
    """Run the command line of this process, then exit without finalising the interpreter.

    Finalisation is slow, and libraries print warnings about objects that are still in use.
    """
    try:
        status = main()
    except SystemExit as end:
        # Raised by the argument parser, which has printed the reason.
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # The reader of the stream is gone.
            status = status or 1
    os._exit(status)


if __name__ == "__main__":
    command()
