"""A change of one project is known at once where it was made, and costs the requests of no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.auth import admitted_keys, principal
from storage.catalog.tenants.records import KeyKind, Project
from tests.service.intake import Intake, intake, run


@pytest.fixture(autouse=True)
def looks_come_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nothing is found out by looking again."""
    for module in (principal, admitted_keys):
        monkeypatch.setattr(module, "POLL_SECONDS", 3_600.0)


async def post(one: Intake, project: Project) -> int:
    path = f"/3.0/projects/{project.id}/events/c"
    reply = await one.http.post(path, json={"n": 1}, headers={"authorization": project.write_key})
    return reply.status_code


def test_renewing_a_key_ends_the_old_one_and_looks_up_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with intake(tmp_path / "data") as one:
            other = one.catalog.projects.create("Other")
            assert [await post(one, project) for project in (one.project, other)] == [201, 201]
            looked_up: list[str] = []
            authenticate = one.tenants.authenticate

            def noted(project_id: str, key: str | None) -> Any:
                looked_up.append(project_id)
                return authenticate(project_id, key)

            one.tenants.authenticate = noted  # type: ignore[method-assign]
            one.tenants.changing(lambda: one.catalog.projects.renew_keys(other.id, {KeyKind.WRITE: None}))
            assert [await post(one, project) for project in (one.project, other)] == [201, 401]
            assert await post(one, one.catalog.projects.get(other.id)) == 201
            assert looked_up == [other.id, other.id]

    run(scenario())


def test_a_change_that_fails_is_told_and_nothing_else_happens(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with intake(tmp_path / "data") as one:
            assert await post(one, one.project) == 201
            with pytest.raises(ZeroDivisionError):
                one.tenants.changing(lambda: 1 / 0)
            assert await post(one, one.project) == 201

    run(scenario())
