"""How the server is: for who operates it, the owners of its first organisation."""

from __future__ import annotations

import shutil

from starlette.responses import Response

from service.errors import Forbidden
from service.http.authorization import ACCOUNT
from service.http.models.administration import ServerState
from service.http.models.shared import Json
from service.http.openapi.operation import Example, ok
from service.http.parts import Parts
from service.http.request import json_answer
from service.http.routing import OfAccount, RouteArea
from service.people.known_sessions import Holder
from service.saved_queries.definition import moment_or_none
from service.telemetry.metrics import TASKS
from service.version import version
from storage.catalog.migration import FORMAT_VERSION

_PROCESSES = ("worker", "keeper", "runner")

area = RouteArea("server", "How the server is, for the owners of its first organisation.")


@area.get(
    "/account/server",
    ACCOUNT,
    "How the server is",
    ok(ServerState, "As of this moment; some numbers are some seconds old."),
    examples=(Example(key="session"), Example(key="", status=401)),
)
async def state(call: OfAccount) -> Response:
    """Of the whole server, all projects together. For owners of the first organisation, who set it up."""
    if not await operates(call.parts, call.holder):
        raise Forbidden("Only owners of the server's first organization may see how the server is.")
    return json_answer(await call.parts.in_thread(_state, call.parts))


async def operates(parts: Parts, holder: Holder) -> bool:
    """Whether the session's person owns the organisation that was made first."""
    if holder.standing is None:
        return False
    first = await parts.in_thread(parts.catalog.organisations.first_id)
    return first is not None and holder.standing.organisations.get(first, False)


def _state(parts: Parts) -> Json:
    value, lifecycle, catalog = parts.metrics.value, parts.lifecycle, parts.catalog
    disk = shutil.disk_usage(catalog.folder.root)
    written_us = catalog.inventory.last_written_us()
    numbers = {
        "events_waiting": "acumen_events_unflushed",
        "bytes_waiting": "acumen_log_unflushed_bytes",
        "projects": "acumen_projects",
        "events": "acumen_events_stored",
        "bytes": "acumen_stored_bytes",
        "superseded_bytes": "acumen_superseded_bytes",
        "partials_bytes": "acumen_partials_bytes",
        "queries_running": "acumen_queries_running",
        "queries_waiting": "acumen_queries_waiting",
    }
    return {
        "version": version(),
        "format": FORMAT_VERSION,
        "state": "stopping" if lifecycle.stopping else "ready",
        "events_refused": (lifecycle.closed_because or "").partition(" Nothing ")[0] or None,
        "damaged_logs": list(lifecycle.damaged_logs),
        "damaged_files": sum(not file.is_past for file in catalog.files.damaged()),
        "written_at": moment_or_none(written_us),
        "disk_free_bytes": disk.free,
        "disk_bytes": disk.total,
        "disk_free_min_bytes": parts.settings.min_free_bytes,
        "clock_jumped": bool(value("acumen_clock_jumped")),
        **{name: max(0, int(value(metric))) for name, metric in numbers.items()},
        "starts": {name: int(value("acumen_starts_total", name)) for name in _PROCESSES},
        "task_failures": {name: int(value("acumen_task_failures_total", name)) for name in TASKS},
    }
