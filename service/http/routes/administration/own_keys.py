"""The project's own keys: shown to people who manage it, and renewed."""

from __future__ import annotations

from starlette.responses import Response

from service.api_paths import PROJECTS
from service.auth.principal import Permission
from service.http.authorization import EDITS, MASTER
from service.http.models.administration import KeyRenewal, OwnKeys
from service.http.models.shared import Json
from service.http.openapi.operation import Example, ok
from service.http.request import audit_details, json_answer
from service.http.routing import OfProject, RouteArea
from storage.catalog.tenants.records import KeyKind, Project

_PATH = f"{PROJECTS}/{{project_id}}/own-keys"

area = RouteArea("own keys", "The project's own keys.")


@area.get(
    _PATH,
    EDITS,
    "Show the project's own keys",
    ok(OwnKeys, "The keys."),
    audited=True,
    examples=(Example(), Example(key="write", status=401), Example(key="read", status=401)),
)
async def show(call: OfProject) -> Response:
    """For owners all three. Editors, who may send events, get the write key. The audit log tells of it."""
    caller = call.caller
    keys = _keys(caller.project)
    if Permission.MASTER not in caller.permissions:
        keys = {"write_key": keys["write_key"]}
    return json_answer(keys)


@area.post(
    f"{_PATH}/renew",
    MASTER,
    "Replace own keys of the project",
    ok(OwnKeys, "The keys, the new ones among them."),
    examples=(
        Example(body={"kinds": ["read"]}),
        Example(body={"kinds": ["other"]}, status=400),
        Example(body={"kinds": ["read"]}, key="read", status=401),
    ),
)
async def renew(call: OfProject, given: KeyRenewal) -> Response:
    """The old ones end on every worker within a second, and sessions that began with them as well. A new
    master key ends all scoped keys that the old one made."""
    given.refuse_unknown("a renewal of keys")
    parts, project_id = call.parts, call.caller.project.id
    kinds = {KeyKind(kind): None for kind in given.kinds}
    audit_details(call.request, kinds=[kind.value for kind in kinds])

    def change() -> Project:
        parts.catalog.projects.renew_keys(project_id, kinds)
        return parts.catalog.projects.get(project_id)

    return json_answer(_keys(await parts.in_thread(parts.tenants.changing, change)))


def _keys(project: Project) -> Json:
    return {
        "write_key": project.write_key,
        "read_key": project.read_key,
        "master_key": project.master_key,
    }
