"""``acumen runs``: the queue of runs from a shell, with or without a server running on the data folder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from service.cli.errors import CannotDo
from service.cli.shell_audit import audited

if TYPE_CHECKING:
    # Imported where used, since printing the help should not wait for it.
    from storage.catalog.catalog import Catalog
    from storage.catalog.runs.records import QueuedRun

_STATES = ("waiting", "running", "done", "dead", "cancelled", "replayed", "superseded")
_SCOPES = ("pool", "project", "pipeline")
_SECOND_US = 1_000_000


def add_runs(commands: Any, add_data: Callable[..., None], bind: Callable[..., Any]) -> None:
    """Add the command; ``bind(action, make=False)`` makes the function of one of its subcommands."""
    runs = commands.add_parser("runs", help="list, cancel and replay runs of pipelines, and limit them")
    actions = runs.add_commands()

    def add(name: str, help: str, action: Callable[[Catalog, argparse.Namespace], str]) -> Any:
        command = actions.add_parser(name, help=help, description=f"{help[:1].upper()}{help[1:]}.")
        add_data(command)
        audited(command)
        command.set_defaults(run=bind(action, make=False))
        return command

    listed = add("list", "print runs as JSON, the newest first", _list)
    listed.add_argument("--project", metavar="ID", help="of this project (default: of all)")
    listed.add_argument("--pipeline", metavar="NAME")
    listed.add_argument("--state", choices=_STATES, action="append", help="in this state; may be repeated")
    listed.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (default 50)")
    for name, help, action in (
        ("cancel", "cancel a run that waits, or tell one that executes to end", _cancel),
        ("replay", "queue a dead run again", _replay),
    ):
        command = add(name, help, action)
        command.add_argument("id", metavar="RUN")
    add("usage", "print as JSON what runs of today (UTC) used, and the limits", _usage)
    limit = add(
        "limit", "limit the runs of a pool, project or pipeline; what is not given is without limit", _limit
    )
    limit.add_argument("scope", choices=_SCOPES)
    limit.add_argument("name", metavar="NAME", nargs="?", default="", help="of the pool or pipeline")
    limit.add_argument("--project", metavar="ID", default="", help="the project, or that of the pipeline")
    limit.add_argument("--concurrency", type=_number, metavar="N", help="runs that execute at once")
    limit.add_argument("--seconds-per-day", type=_number, metavar="N", help="processor seconds (UTC days)")
    limit.add_argument("--bytes-per-day", type=_number, metavar="N", help="bytes read and written (UTC days)")
    limit.add_argument("--priority", type=int, default=0, metavar="N", help="of a pool: added to its runs'")


def _number(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def _list(catalog: Catalog, args: argparse.Namespace) -> str:
    from storage.catalog.runs.records import RunState

    states = None if args.state is None else [RunState(one) for one in args.state]
    found = catalog.runs.listed(args.project, pipeline=args.pipeline, states=states, limit=args.limit)
    return json.dumps([shown(run) for run in found], indent=2)


def _cancel(catalog: Catalog, args: argparse.Namespace) -> str:
    run = _with_id(catalog, args)
    return json.dumps(shown(catalog.runs.cancel(run.project_id, run.id)), indent=2)


def _replay(catalog: Catalog, args: argparse.Namespace) -> str:
    run = _with_id(catalog, args)
    return json.dumps(shown(catalog.runs.replay(run.project_id, run.id)), indent=2)


def _with_id(catalog: Catalog, args: argparse.Namespace) -> QueuedRun:
    run = catalog.runs.with_id(args.id)
    # For the audit log.
    args.project, args.name = run.project_id, run.id
    return run


def _usage(catalog: Catalog, _: argparse.Namespace) -> str:
    used = [
        {
            "pool": one.pool,
            "project": one.project_id,
            "pipeline": one.pipeline,
            "processor_seconds": one.cpu_us / _SECOND_US,
            "bytes": one.bytes,
            "runs": one.runs,
        }
        for one in catalog.runs.usage()
    ]
    limits = [
        {
            "scope": one.scope.value,
            "name": one.name,
            "project": one.project_id,
            "concurrency": one.concurrency,
            "seconds_per_day": None if one.cpu_us_per_day is None else one.cpu_us_per_day / _SECOND_US,
            "bytes_per_day": one.bytes_per_day,
            "priority": one.priority,
        }
        for one in catalog.runs.limits()
    ]
    return json.dumps({"used_today": used, "limits": limits}, indent=2)


def _limit(catalog: Catalog, args: argparse.Namespace) -> str:
    from storage.catalog.runs.records import LimitScope, RunLimits

    scope = LimitScope(args.scope)
    if (scope is LimitScope.PROJECT) == bool(args.name):
        raise CannotDo("Name the pool or pipeline; of a project give --project alone.")
    if (scope is LimitScope.POOL) == bool(args.project):
        raise CannotDo("A project or pipeline needs --project, and a pool takes none.")
    if args.project:
        catalog.projects.get(args.project)
    given = (args.concurrency, args.seconds_per_day, args.bytes_per_day, args.priority or None)
    if given == (None, None, None, None):
        catalog.runs.remove_limits(scope, args.project, args.name)
    else:
        seconds = args.seconds_per_day
        catalog.runs.set_limits(
            RunLimits(
                scope,
                args.name,
                args.project,
                args.concurrency,
                None if seconds is None else seconds * _SECOND_US,
                args.bytes_per_day,
                args.priority,
            )
        )
    return _usage(catalog, args)


def shown(run: QueuedRun) -> dict[str, Any]:
    """A run as JSON: times in ISO form, processor time in seconds."""
    from storage.instants import format_instant

    times = {
        "queued": run.created_us,
        "due": run.due_us if run.due_us and run.state == "waiting" else None,
        "started": run.started_us,
        "ended": run.ended_us,
    }
    return {
        "id": run.id,
        "project": run.project_id,
        "pipeline": run.pipeline,
        "target": run.target,
        "pool": run.pool,
        "priority": run.priority,
        "state": "cancelling" if run.cancelling else run.state.value,
        "cause": run.cause,
        "asked": run.asked,
        "attempts": run.attempts,
        **{name: None if at_us is None else format_instant(at_us) for name, at_us in times.items()},
        "processor_seconds": run.cpu_us / _SECOND_US,
        "bytes": run.bytes,
        "detail": json.loads(run.detail),
        "message": run.message,
        "replays": run.replays,
    }
