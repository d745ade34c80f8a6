"""People: from a one-time link to an account, log-in and its end, and the people of an organisation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy
import pyotp
import pytest
import zxingcpp

from tests.clients.pages.conftest import AS_JSON, Visiting, Visitor, sell
from tests.support.axe import serious
from tests.support.server import Served, ServedProject

PASSWORD = "correct horse battery"
ENDED = "Your session has ended. Log in again to go on."
SHADES = """async (image) => {
  await image.decode();
  const size = 400, canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const drawing = canvas.getContext("2d");
  drawing.drawImage(image, 0, 0, size, size);
  return [size, [...drawing.getImageData(0, 0, size, size).data].filter((_, at) => at % 4 === 0)];
}"""
DEAD = "This link does not work any more"


@pytest.fixture
def served() -> Iterator[Served]:
    """A server with nobody in it."""
    with Served() as own:
        yield own


@pytest.fixture
def project(served: Served) -> ServedProject:
    """The one that its first start made."""
    [made] = json.loads(served.told("projects", "list").stdout)
    keys = (made["master_key"], made["write_key"], made["read_key"])
    return ServedProject(made["id"], made["name"], *keys)


def first_link(served: Served) -> str:
    [link] = re.findall(r"http\S+/join#\S+", served.output())
    return str(link)


def joined(served: Served, link: str, name: str) -> str:
    """The cookie of a new person who has accepted an invitation."""
    token = link.strip().partition("#")[2]
    body = {"token": token, "email": f"{name}@example.com", "name": name.title(), "password": PASSWORD}
    reply = served.request("POST", "/account/join", body, headers=AS_JSON)
    assert reply.status == 201, reply.body
    return reply.headers["set-cookie"].partition(";")[0]


def invited(served: Served, name: str, *options: str) -> str:
    return link_of(served, "invite", f"{name}@example.com", *options)


def link_of(served: Served, *command: str) -> str:
    """The link that a command prints, at the address of this server."""
    return served.url + "/" + served.told("people", *command).stdout.strip().split("/", 3)[3]


@pytest.fixture
def owner(visiting: Visiting, served: Served) -> Visitor:
    """Ann, who owns the organisation."""
    visitor = visiting()
    visitor.hold(joined(served, first_link(served), "ann"))
    return visitor


def log_in(page: Any, name: str, password: str = PASSWORD) -> None:
    page.get_by_role("textbox", name="E-mail").fill(f"{name}@example.com")
    page.get_by_role("textbox", name="Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def scanned(image: Any) -> str:
    """What a phone reads in a picture of the page."""
    size, shades = image.evaluate(SHADES)
    [found] = zxingcpp.read_barcodes(numpy.array(shades, numpy.uint8).reshape(size, size))
    return str(found.text)


def visit(visitor: Visitor, path: str) -> Any:
    visitor.page.goto(visitor.served.url + path)
    return visitor.page


def test_from_the_first_link_to_the_first_event(visiting: Visiting, served: Served) -> None:
    visitor = visiting()
    link = first_link(served)
    page = visitor.page
    page.goto(link)
    page.get_by_text("You will own").wait_for()
    assert page.url == f"{served.url}/join"
    page.get_by_label("E-mail").fill("ann@example.com")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Join", exact=True).click()
    page.get_by_role("alert").filter(has_text="At least 10 characters").wait_for()
    assert page.evaluate("document.activeElement.id") == "password"
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Join", exact=True).click()
    page.get_by_role("heading", name=visitor.project.name).wait_for()
    assert page.url == f"{served.url}/app/{visitor.project.id}"
    page.get_by_role("button", name="Send an event from this page").click()
    page.locator(".arrivals li", has_text='"page": "/pricing"').wait_for()
    other = visiting()
    other.page.goto(link)
    other.page.get_by_role("heading", name=DEAD).wait_for()
    other.forget("status of 410")


def test_an_invited_viewer_reads_and_changes_nothing(owner: Visitor, visiting: Visiting) -> None:
    sell(owner.served, owner.project)
    page = visit(owner, "/app/people")
    page.get_by_role("button", name="Invite somebody").click()
    page.get_by_label("E-mail (may stay empty)").fill("ben@example.com")
    page.get_by_label(owner.project.name).select_option("viewer")
    page.get_by_role("button", name="Make the link").click()
    link = page.get_by_label("the link", exact=True).inner_text().strip()
    page.get_by_role("list", name="Invitations").get_by_text("ben@example.com").wait_for()
    viewer = visiting()
    page = viewer.page
    page.goto(link)
    page.get_by_text("look at everything").wait_for()
    page.get_by_label("Your name").fill("Ben")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Join", exact=True).click()
    page.get_by_role("heading", name=owner.project.name).wait_for()
    assert page.get_by_role("link", name="People").count() == 0
    viewer.explore(analysis_type="count", event_collection="purchases", interval="daily")
    viewer.drawn()
    assert page.get_by_role("button", name="Save", exact=True).count() == 0
    path = f"/3.0/projects/{viewer.project.id}/queries/saved/q"
    body = {"query": {"analysis_type": "count", "event_collection": "purchases"}}
    status = page.evaluate(
        "([path, body]) => fetch(path, { method: 'PUT', body: JSON.stringify(body), headers:"
        " { authorization: 'session', 'content-type': 'application/json' } }).then((one) => one.status)",
        [path, body],
    )
    assert status == 403
    viewer.forget("status of 403")
    visit(viewer, "/app/people").get_by_role("heading", name="Only owners see this page").wait_for()


def test_who_is_logged_in_accepts_with_one_button(visiting: Visiting, owner: Visitor) -> None:
    ben = visiting()
    ben.hold(joined(ben.served, invited(ben.served, "ben"), "ben"))
    ben.page.goto(invited(ben.served, "ben", "--role", "editor"))
    ben.page.get_by_role("button", name="Join as Ben").click()
    ben.page.get_by_role("heading", name=ben.project.name).wait_for()
    ben.open("dashboards").get_by_role("button", name="New dashboard").wait_for()


def test_an_account_is_used_for_an_invitation_after_log_in(visiting: Visiting, owner: Visitor) -> None:
    joined(owner.served, invited(owner.served, "ben"), "ben")
    ben = visiting()
    ben.page.goto(invited(ben.served, "ben", "--role", "editor"))
    ben.page.get_by_role("button", name="Log in, and accept it with that").click()
    log_in(ben.page, "ben")
    ben.page.get_by_role("button", name="Join as Ben").click()
    ben.page.get_by_role("heading", name=ben.project.name).wait_for()


def test_a_session_that_ended_elsewhere_leads_to_log_in_and_back(owner: Visitor) -> None:
    sell(owner.served, owner.project)
    page = owner.open("data")
    page.get_by_role("link", name="purchases", exact=True).wait_for()
    owner.served.told("people", "end-sessions", "ann@example.com")
    page.get_by_role("link", name="purchases", exact=True).click()
    page.get_by_text(ENDED).wait_for()
    owner.forget("status of 401")
    log_in(page, "ann")
    page.get_by_role("heading", name="purchases").wait_for()
    assert page.url == f"{owner.served.url}/app/{owner.project.id}/data/purchases"
    assert page.get_by_text(ENDED).count() == 0


@pytest.mark.parametrize(
    ("path", "said"),
    [("/join", "The link is not complete"), ("/reset", "The link is not complete"), ("/join#wrong", DEAD)],
)
def test_a_wrong_link_is_said_so(visiting: Visiting, path: str, said: str) -> None:
    visitor = visiting()
    visit(visitor, path).get_by_role("heading", name=said).wait_for()
    if said == DEAD:
        visitor.forget("status of 410")


def test_a_link_sets_a_password_once(visiting: Visiting, owner: Visitor) -> None:
    link = link_of(owner.served, "link", "ann@example.com")
    visitor = visiting()
    for _ in range(2):
        visitor.page.goto("about:blank")
        visitor.page.goto(link)
        visitor.page.get_by_label("New password").fill("another good password")
        assert visitor.page.url == f"{visitor.served.url}/reset"
        visitor.page.get_by_role("button", name="Set it").click()
        visitor.page.get_by_role("heading", name=re.compile(f"Log in|{DEAD}")).wait_for()
    visitor.page.get_by_role("heading", name=DEAD).wait_for()
    visitor.forget("status of 410")
    visitor.page.get_by_role("link", name="Log in").click()
    log_in(visitor.page, "ann", "another good password")
    visitor.page.get_by_role("heading", name=visitor.project.name).wait_for()


def test_the_second_factor_is_turned_on_asked_for_and_turned_off(owner: Visitor) -> None:
    page = visit(owner, "/app/account")
    page.get_by_role("button", name="Turn it on").click()
    page.get_by_label("Your password").fill("not my password")
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("alert").filter(has_text="The password is wrong").wait_for()
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    secret = page.get_by_label("the secret", exact=True).inner_text().strip()
    address = page.get_by_label("the address", exact=True).inner_text().strip()
    assert secret in address
    assert scanned(page.get_by_alt_text("QR code of the address below")) == address
    page.get_by_label("Code of six digits").fill("12")
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("alert").filter(has_text="The code is wrong").wait_for()
    owner.forget("status of 401")
    page.get_by_label("Code of six digits").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Confirm").click()
    codes = page.get_by_label("the recovery codes", exact=True).inner_text().split()
    assert len(codes) == 10
    page.get_by_role("button", name="I have kept them").click()
    page.get_by_role("button", name="Turn it off").wait_for()
    page.get_by_role("button", name="Log out").click()
    log_in(page, "ann")
    page.get_by_label("Code of your second factor").fill("000")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").filter(has_text="The code is wrong").wait_for()
    page.get_by_label("Code of your second factor").fill(codes[0])
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name=owner.project.name).wait_for()
    page.get_by_role("link", name="Account").click()
    page.get_by_role("button", name="Turn it off").click()
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("dialog").get_by_role("button", name="Turn it off").click()
    page.get_by_role("button", name="Turn it on").wait_for()
    owner.forget("status of 401")


def test_sessions_are_ended_and_the_password_is_changed(owner: Visitor) -> None:
    given = {"email": "ann@example.com", "password": PASSWORD}
    headers = {**AS_JSON, "User-Agent": "Mozilla/5.0 (X11; Linux) Gecko/1 Firefox/150.0"}
    for _ in range(2):
        assert owner.served.request("POST", "/account/sessions", given, headers=headers).status == 201
    page = visit(owner, "/app/account")
    ends = page.get_by_role("button", name="End the session of Firefox on Linux")
    ends.first.click()
    page.get_by_text("The session has ended.").wait_for()
    ends.nth(1).wait_for(state="detached")
    page.get_by_label("Current password").fill("not that one")
    page.get_by_label("New password").fill("another good password")
    page.get_by_role("button", name="Change the password").click()
    page.get_by_role("alert").filter(has_text="The password is wrong.").wait_for()
    assert page.evaluate("document.activeElement.id") == "old"
    owner.forget("status of 401")
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_role("button", name="Change the password").click()
    page.get_by_text("Your password is changed.").wait_for()
    ends.wait_for(state="detached")


def test_people_are_changed_and_removed_and_the_log_says_so(owner: Visitor) -> None:
    joined(owner.served, invited(owner.served, "ben"), "ben")
    invited(owner.served, "cal")
    page = visit(owner, "/app/people")
    people = page.get_by_role("list", name="People")
    page.get_by_role("button", name="Change what Ben may do").click()
    page.get_by_label(owner.project.name).select_option("editor")
    page.get_by_role("button", name="Save", exact=True).click()
    people.get_by_text(f"{owner.project.name}: editor").wait_for()
    page.get_by_role("button", name="Remove Ann").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("dialog").get_by_role("alert").wait_for()
    owner.forget("status of 409")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Remove Ben").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    people.get_by_text("ben@example.com").wait_for(state="detached")
    page.get_by_role("button", name="Withdraw the invitation of cal@example.com").click()
    page.get_by_role("button", name="Withdraw", exact=True).click()
    page.get_by_text("Nobody is invited at the moment.").wait_for()
    page.get_by_role("row", name="Remove a person from the organisation").wait_for()


def test_the_audit_log_names_projects_and_a_long_name_widens_no_phone(owner: Visitor, served: Served) -> None:
    served.new_project("The shop of all shops in all countries " * 4)
    page = visit(owner, "/app/people")
    page.set_viewport_size({"width": 390, "height": 800})
    page.get_by_label("Project of the entries").wait_for()
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]
    page.set_viewport_size({"width": 1200, "height": 800})
    page.get_by_role("button", name="Invite").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(owner.project.name, exact=True).select_option("viewer")
    dialog.get_by_role("button", name="Make the link").click()
    page.get_by_text(f"roles: viewer of {owner.project.name}").wait_for()


def test_the_audit_log_is_paged(owner: Visitor) -> None:
    for at in range(30):
        invited(owner.served, f"p{at}")
    page = visit(owner, "/app/people")
    log = page.get_by_role("group", name="The audit log")
    log.get_by_text("p29@example.com").wait_for()
    page.get_by_role("button", name="Older").click()
    log.get_by_text("p0@example.com").wait_for()
    assert page.get_by_role("button", name="Older").count() == 0
    page.get_by_role("button", name="Newer").click()
    log.get_by_text("p29@example.com").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_pages_of_people(
    visiting: Visiting, owner: Visitor, scheme: str
) -> None:
    stranger = visiting(color_scheme=scheme, viewport={"width": 390, "height": 844})
    page = stranger.page
    page.goto(invited(owner.served, "cal", "--role", "viewer"))
    page.get_by_label("Your name").wait_for()
    look(page)
    page.goto("about:blank")
    page.goto(f"{owner.served.url}/reset#x")
    page.get_by_label("New password").wait_for()
    look(page)
    stranger.hold(joined(owner.served, invited(owner.served, "dan", "--owner"), "dan"))
    visit(stranger, "/app/account").get_by_text("this one").wait_for()
    page.get_by_role("button", name="Turn it on").click()
    look(page)
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Code of six digits").wait_for()
    look(page)
    visit(stranger, "/app/people").get_by_role("group", name="The audit log").wait_for()
    look(page)
    page.get_by_role("button", name="Invite somebody").click()
    look(page)


def look(page: Any) -> None:
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_how_the_server_is_is_for_its_operators(owner: Visitor, visiting: Visiting, served: Served) -> None:
    page = visit(owner, "/app/server")
    page.get_by_text("All is well.").wait_for()
    assert serious(page) == []
    other = visiting()
    other.hold(joined(served, invited(served, "ben", "--role", "owner"), "ben"))
    page = visit(other, "/app/server")
    page.get_by_role("heading", name="Only the server's operators see this page").wait_for()
    assert page.get_by_role("link", name="Server").count() == 0


def test_the_project_that_was_looked_at_last_is_opened_first(owner: Visitor) -> None:
    page = visit(owner, "/app/projects")
    page.get_by_role("button", name="Make a project").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Second")
    page.get_by_role("dialog").get_by_role("button", name="Make it").click()
    page.get_by_role("heading", name="Send an event").wait_for()
    choice = page.get_by_role("combobox", name="Project", exact=True)
    other = choice.input_value()
    assert other != owner.project.id
    page.goto(owner.served.url + "/app/account")
    page.get_by_role("navigation", name="You").wait_for()
    assert choice.input_value() == other
    choice.select_option(owner.project.id)
    page.wait_for_url(f"**/app/{owner.project.id}")
    visit(owner, f"/app/{owner.project.id}/settings/project")
    defaults = page.get_by_label("Weeks begin on").locator("option").first
    defaults.filter(has_text="As the server has it: Sunday").wait_for(state="attached")
    page.goto(owner.served.url + "/")
    page.wait_for_url(f"**/app/{owner.project.id}")


def test_a_project_is_made_renamed_deleted_and_restored(owner: Visitor, served: Served) -> None:
    page = visit(owner, "/app/people")
    page.get_by_role("navigation", name="Organisation").get_by_role("link", name="Projects").click()
    page.get_by_role("button", name="Make a project").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Second")
    page.get_by_role("dialog").get_by_role("button", name="Make it").click()
    page.get_by_role("heading", name="Send an event").wait_for()
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="Project", exact=True).click()
    page.get_by_label("Name", exact=True).fill("Renamed")
    page.get_by_label("Weeks begin on").select_option("monday")
    page.get_by_label("Who an actor is").fill("user.id")
    page.get_by_label("Events a day", exact=True).fill("many")
    page.get_by_role("button", name="Save").click()
    page.locator("#events_per_day-fault").get_by_text("A whole number").wait_for()
    page.get_by_label("Events a day", exact=True).fill("5000")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Settings of Renamed").wait_for()
    made = next(one for one in json.loads(served.told("projects", "list").stdout) if one["name"] == "Renamed")
    assert made["preferences"] == {
        "week_start": "monday",
        "actor_property": "user.id",
        "quotas": {"events_per_day": 5000},
    }
    assert serious(page) == []
    page.get_by_role("button", name="Delete the project").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("To confirm, type Renamed").fill("renamed")
    dialog.get_by_role("button", name="Delete").click()
    dialog.get_by_text("Type the project's name").wait_for()
    dialog.get_by_label("To confirm, type Renamed").fill("Renamed")
    dialog.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Restore Renamed").click()
    page.get_by_text("“Renamed” is back, keys and all.").wait_for()
    page.get_by_role("list", name="Projects", exact=True).get_by_role(
        "link", name="Renamed", exact=True
    ).wait_for()
    assert serious(page) == []


def test_ones_own_name_and_address_change_with_the_password(owner: Visitor) -> None:
    page = visit(owner, "/app/account")
    page.get_by_text(f"{owner.project.name} (owner)").wait_for()
    page.get_by_label("Your name").fill("Anna")
    page.get_by_label("Address to log in with").fill("anna@example.com")
    page.get_by_label("Your password").fill("wrong password")
    page.get_by_role("button", name="Save").click()
    page.locator("#own-password-fault").get_by_text("The password is wrong.").wait_for()
    owner.forget("401")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Your account is changed.").wait_for()
    page.get_by_role("link", name="Account").and_(page.locator("[title='anna@example.com']")).wait_for()


def test_an_editor_sends_the_first_event_and_a_viewer_does_not(
    owner: Visitor, visiting: Visiting, served: Served, project: ServedProject
) -> None:
    viewer, editor = visiting(), visiting()
    viewer.hold(joined(served, invited(served, "vic", "--role", "viewer"), "vic"))
    page = visit(viewer, f"/app/{project.id}")
    page.get_by_text("Events are sent with a key").wait_for()
    editor.hold(joined(served, invited(served, "edi", "--role", "editor"), "edi"))
    page = visit(editor, f"/app/{project.id}")
    page.get_by_role("button", name="Send an event from this page").click()
    page.get_by_text("It works.").wait_for()
