"""What the project was sent and asked by day and by key, and the limits that hold for it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from service.api_paths import PROJECTS
from service.auth.principal import key_id, person_of
from service.errors import NotFound
from service.http.authorization import MASTER
from service.http.models.administration import TakenByDay
from service.http.models.shared import Json
from service.http.openapi.operation import Example, ok
from service.http.parts import Parts
from service.http.request import json_answer
from service.http.routing import OfProject, RouteArea
from service.limits.quotas import STORED_BYTES, as_json, total
from service.saved_queries.definition import moment_or_none
from storage.catalog.tenants.activity import KEPT_DAYS, day_of, first_of_next_month
from storage.catalog.tenants.records import AccessKey, Activity, Project

_EPOCH = date(1970, 1, 1)
_DAY_US = 86_400_000_000
_PATH = f"{PROJECTS}/{{project_id}}/usage"

area = RouteArea("usage", "What was sent and asked, and what limits there are.")


@area.get(
    _PATH,
    MASTER,
    "What the project was sent and asked, by day and by key",
    ok(TakenByDay, "Counts of the last days, and the limits in force."),
    examples=(
        Example(query={"days": "7"}),
        Example(query={"days": "1000"}, status=400),
        Example(query={"key": "none"}, status=404),
        Example(key="read", status=401),
    ),
)
async def usage(
    call: OfProject,
    days: Annotated[int, Query(ge=1, le=KEPT_DAYS, description="How many, today included.")] = 30,
    key: Annotated[str, Query(description="The public id of an access key: count its days alone.")] = "",
) -> Response:
    """Days are those of UTC. People with a session are counted together, and so are keys that are gone."""
    return json_answer(await call.parts.in_thread(_usage, call.parts, call.caller.project, days, key))


def _usage(parts: Parts, project: Project, days: int, key: str) -> Json:
    activity = parts.catalog.activity
    today = day_of(parts.clock())
    since = today - days + 1
    keys = {one.digest: one for one in parts.catalog.access_keys.of_project(project.id)}
    digest = next((one.digest for one in keys.values() if key and one.public_id == key), None)
    if key and digest is None:
        raise NotFound.named("access key", key)
    by_day = activity.by_day(project.id, since, digest)
    return {
        "days": [
            {"day": _date(day), **as_json(by_day.get(day, Activity()))} for day in range(since, today + 1)
        ],
        "keys": _by_key(project, keys, activity.by_key(project.id, since)),
        "quotas": _quotas(parts, project, today),
        "rates": parts.rates.in_force(),
    }


def _by_key(project: Project, keys: dict[str, AccessKey], counted: Any) -> list[Json]:
    """The counts of each key; those of all people, and of all keys that are gone, are one."""
    sums: dict[tuple[str, str, str | None], tuple[int, Activity]] = {}
    for counted_as, (last_day, taken) in counted.items():
        who = _who(project, keys, counted_as)
        day, before = sums.get(who, (0, Activity()))
        sums[who] = max(day, last_day), before + taken
    return [
        {"kind": kind, "name": name, "public_id": public, "last_day": _date(day), **as_json(taken)}
        for (kind, name, public), (day, taken) in sorted(
            sums.items(), key=lambda entry: (-entry[1][1].events, -entry[1][1].query_us, entry[0][1])
        )
    ]


def _who(project: Project, keys: dict[str, AccessKey], counted_as: str) -> tuple[str, str, str | None]:
    """The kind, name and public id of who is counted under this id."""
    own = {"master": project.master_key, "write": project.write_key, "read": project.read_key}
    for kind, text in own.items():
        if counted_as == key_id(text):
            return kind, f"{kind} key", None
    if (access_key := keys.get(counted_as)) is not None:
        return "access", access_key.name, access_key.public_id
    if person_of(counted_as) is not None:
        return "people", "people", None
    if counted_as == f"{key_id(project.master_key)}/":
        return "scoped", "scoped keys", None
    return "gone", "keys that are gone", None


def _quotas(parts: Parts, project: Project, today: int) -> list[Json]:
    """The project's quotas, with what is used of each."""
    limits = {name: limit for name, limit in parts.quotas.limits_of(project).items() if limit}
    if not limits:
        return []
    now = parts.catalog.activity.of_project(project.id)
    windows = {
        "day": (as_json(total(now.today)), (today + 1) * _DAY_US),
        "month": (as_json(total(now.month)), first_of_next_month(today) * _DAY_US),
    }
    listed = []
    for name, limit in limits.items():
        if name == STORED_BYTES:
            used, until = parts.catalog.activity.stored_bytes(project.id), None
        else:
            kind, _, window = name.rpartition("_per_")
            counts, until = windows[window]
            used = counts[kind]
        listed.append(
            {
                "name": name,
                "limit": limit,
                "used": used,
                "left": max(0, limit - used),
                "until": moment_or_none(until),
            }
        )
    return listed


def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()
