"""Facts of a project for its people: preferences that matter to questions, and who did what."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from query.language.preferences import NAMES
from service.api_paths import PROJECTS
from service.auth.principal import Permission
from service.http.authorization import MASTER, needs
from service.http.models.accounts import AuditedAction
from service.http.models.administration import QuestionPreferences
from service.http.models.shared import RowId
from service.http.openapi.operation import Example, ok
from service.http.request import json_answer
from service.http.routes.accounts.organisation_people import (
    AUDIT_PAGE_MAX,
    OF_ACTOR,
    OF_KIND,
    ActorKind,
    audited,
)
from service.http.routing import OfProject, RouteArea

_PROJECT = f"{PROJECTS}/{{project_id}}"

area = RouteArea("project facts", "Preferences, and who did what in the project.")


@area.get(
    f"{_PROJECT}/preferences",
    needs(Permission.QUERIES),
    "The project's preferences for questions",
    ok(QuestionPreferences, "Those that hold where a question says nothing; null: the server's own."),
    examples=(Example(key="read"), Example(key="write", status=403)),
)
async def preferences(call: OfProject) -> Response:
    own = call.caller.project.preferences
    settings = call.parts.settings
    defaults = {"round": int(settings.round) if settings.round else None, "week_start": settings.week_start}
    return json_answer({**{name: own.get(name) for name in NAMES}, "defaults": defaults})


@area.get(
    f"{_PROJECT}/audit",
    MASTER,
    "Who did what in the project, newest first",
    ok(list[AuditedAction], "The actions."),
    examples=(
        Example(query={"limit": "10"}),
        Example(query={"kind": "person"}),
        Example(query={"kind": "nobody"}, status=400),
        Example(key="read", status=401),
    ),
)
async def audit(
    call: OfProject,
    before: Annotated[RowId | None, Query(description="Only entries with ids below this.")] = None,
    limit: Annotated[int, Query(ge=1, le=AUDIT_PAGE_MAX, description="Entries at most.")] = 100,
    kind: Annotated[ActorKind | None, Query(description=OF_KIND)] = None,
    actor: Annotated[str | None, Query(description=OF_ACTOR)] = None,
) -> Response:
    project = call.caller.project
    page = await call.parts.in_thread(
        call.parts.catalog.audit.page,
        project.organisation_id,
        before=before,
        limit=limit,
        project_id=project.id,
        kind=kind,
        actor=actor,
    )
    return json_answer([audited(entry) for entry in page])
