"""``acumen people``: everything that lets somebody in, or out, without a session."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service import __main__ as cli
from storage.catalog.catalog import Catalog
from tests.support.server import SESSION_COOKIE, Served

PASSWORD = "correct horse battery"
AS_JSON = {"Content-Type": "application/json"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    catalog = Catalog.prepare(tmp_path / "data")
    catalog.projects.ensure_first()
    catalog.close()
    return tmp_path / "data"


class Shell:
    """Runs commands on one data folder."""

    def __init__(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self._capsys = capsys

    def run(self, *words: str) -> tuple[int, str, str]:
        status = cli.main(["people", *words, "--data", str(self.data)])
        said = self._capsys.readouterr()
        return status, said.out.strip(), said.err.strip()

    def told(self, *words: str) -> str:
        status, out, err = self.run(*words)
        assert status == 0, err
        return out


@pytest.fixture
def shell(data: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(data, capsys)


def join(served: Served, link: str, name: str) -> str:
    """The id of a person who opens a link."""
    body = {
        "token": link.strip().partition("#")[2],
        "email": f"{name}@example.com",
        "name": name,
        "password": PASSWORD,
    }
    reply = served.request("POST", "/account/join", body, headers=AS_JSON)
    assert reply.status == 201, reply.body
    found: str = reply.json["person"]["id"]
    return found


def test_links_are_for_where_people_reach_the_server(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shell.told("first-link").startswith("http://localhost:8000/join#")
    assert shell.told("invite", "ann@example.com", "--owner").startswith("http://localhost:8000/join#")
    monkeypatch.setenv("ACUMEN_PUBLIC_URL", "https://acumen.example")
    assert shell.told("first-link").startswith("https://acumen.example/join#")


def test_without_a_public_address_it_is_said_whose_port_a_link_has(shell: Shell) -> None:
    _, _, err = shell.run("first-link")
    assert "ACUMEN_PUBLIC_URL is not set" in err and "no server runs" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("invite", "ann"), "'ann' is no e-mail address."),
        (("invite", "ann@example.com", "--owner", "--role", "viewer"), "leave out --role or --owner"),
        (("invite", "ann@example.com", "--project", "none"), "There is no project none."),
        (("link", "ann@example.com"), "There is no person ann@example.com"),
        (("remove", "x"), "There is no person x"),
        (("unlink", "x"), "There is no person x"),
        (("end-sessions", "x"), "There is no person x"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(shell: Shell, words: tuple[str, ...], said: str) -> None:
    status, out, err = shell.run(*words)
    assert (status, out) == (1, "") and said in err and "\n" not in err


def test_the_first_start_prints_a_link_for_the_first_person_alone() -> None:
    with Served() as served:
        link = next(line for line in served.log.read_text().splitlines() if "/join#" in line)
        assert link.strip().startswith(f"{served.url}/join#")
        told = served.told("people", "first-link")
        another = told.stdout
        assert (
            another.startswith(f"http://localhost:{served.port}/join#")
            and "where the server runs" in told.stderr
        )
        refused = served.request(
            "POST", "/account/join/check", {"token": link.partition("#")[2].strip()}, headers=AS_JSON
        )
        assert refused.status == 410, "the later link is the only one"
        join(served, another, "ann")
        listed = json.loads(served.told("people", "list").stdout)
        assert [one["email"] for one in listed] == ["ann@example.com"]
        assert list(listed[0]["organisations"].values()) == [True]


def test_people_are_let_in_and_out_beside_a_running_server(served: Served) -> None:
    project = served.new_project("Shell")
    invited = served.told(
        "people", "invite", "cli-ben@example.com", "--project", project.id, "--role", "editor"
    )
    ben = join(served, invited.stdout, "cli-ben")
    body = {"email": "cli-ben@example.com", "password": PASSWORD}
    reply = served.request("POST", "/account/sessions", body, headers=AS_JSON)
    cookie = reply.headers["set-cookie"].partition(";")[0]
    assert cookie.startswith(SESSION_COOKIE)
    path = f"/3.0/projects/{project.id}/events"
    assert served.request("GET", path, key=cookie).status == 200
    assert len(json.loads(served.told("people", "sessions", ben).stdout)) == 2
    assert "2 sessions" in served.told("people", "end-sessions", "CLI-Ben@example.com").stdout
    assert served.request("GET", path, key=cookie).status == 401
    link = served.told("people", "link", ben).stdout.strip()
    body = {"token": link.partition("#")[2], "new": "a better password"}
    assert served.request("POST", "/account/password/reset", body, headers=AS_JSON).status == 204
    body = {"email": "cli-ben@example.com", "password": "a better password"}
    assert served.request("POST", "/account/sessions", body, headers=AS_JSON).status == 201
    served.told("people", "end-two-factor", ben)
    assert "is removed" in served.told("people", "remove", ben).stdout
    assert served.request("POST", "/account/sessions", body, headers=AS_JSON).status == 401


def test_what_commands_change_is_in_the_audit_log(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> str:
        assert cli.main([*words, "--data", str(data)]) == 0
        return capsys.readouterr().out

    project = json.loads(run("projects", "create", "Shop"))
    run("projects", "update", project["id"], "--name", "Shop 2")
    run("projects", "list")
    run("keys", "create", "k", "--project", project["id"], "--permit", "queries")
    run("people", "invite", "ann@example.com")
    run("projects", "delete", project["id"])
    catalog = Catalog.open(data)
    entries = catalog.audit.page(project["organization_id"])
    catalog.close()
    assert [(one.actor_kind, one.action, one.object) for one in reversed(entries)] == [
        ("shell", "acumen projects create", "Shop"),
        ("shell", "acumen projects update", "Shop 2"),
        ("shell", "acumen keys create", "k"),
        ("shell", "Invite somebody", "ann@example.com"),
        ("shell", "acumen projects delete", project["id"]),
    ]
    assert all(key not in str(entries) for key in (project["master_key"], project["read_key"]))
