"""What the catalog keeps of people: places, sessions, one-time links and the audit log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from storage.catalog.catalog import Catalog
from storage.catalog.database.versions import Area
from storage.catalog.errors import DuplicatePerson, InvalidName, LastOwner, UnknownInvitation, UnknownPerson
from storage.catalog.people.audit import KEPT_DAYS
from storage.catalog.people.records import AuditEntry, Invitation, Person, Role, Session
from storage.catalog.tenants.records import Project
from tests.support.catalogs import Clock

DAY_US = 86_400_000_000
WEEK_US = 7 * DAY_US


@pytest.fixture
def project(catalog: Catalog) -> Project:
    return catalog.projects.ensure_first()[0]


def person(name: str) -> Person:
    return Person(name, f"{name}@example.com", name.title(), "hash", 1)


def invitation(project: Project, digest: str, **given: object) -> Invitation:
    made = Invitation(
        digest, digest, project.organisation_id, None, {}, False, 1_000_000, 1_000_000 + WEEK_US
    )
    return replace(made, **given)  # type: ignore[arg-type]


def add(catalog: Catalog, project: Project, name: str, **given: object) -> Person:
    """A person who accepts an invitation to the project's organisation."""
    catalog.invitations.create(invitation(project, f"for {name}", **given))
    catalog.invitations.accept(f"for {name}", person(name), is_new=True)
    return person(name)


def session(name: str, person_id: str | None, **given: object) -> Session:
    made = Session(name, f"digest of {name}", "Firefox", 1_000_000, 1_000_000 + WEEK_US, person_id)
    return replace(made, **given)  # type: ignore[arg-type]


def begin(catalog: Catalog, made: Session, **more: str) -> None:
    """Begin a session of somebody who has just proved their password."""
    known = None if made.person_id is None else catalog.people.find(made.person_id)
    assert catalog.sessions.create(made, password="" if known is None else known.password, **more)


class TestPlaces:
    def test_who_accepts_an_invitation_has_what_it_gives(self, catalog: Catalog, project: Project) -> None:
        assert not catalog.people.exist()
        add(catalog, project, "ann", is_owner=True)
        add(catalog, project, "ben", roles={project.id: Role.EDITOR})
        assert catalog.people.exist()
        standing = catalog.people.standing("ben")
        assert standing is not None
        assert standing.organisations == {project.organisation_id: False}
        assert standing.role_in(project.id, project.organisation_id) is Role.EDITOR
        assert catalog.people.by_email("ben@example.com") == catalog.people.find("ben")

    def test_an_owner_of_the_organisation_owns_its_projects(self, catalog: Catalog, project: Project) -> None:
        add(catalog, project, "ann", is_owner=True)
        later = catalog.projects.create("Later")
        other = catalog.projects.create("Other", organisation_id=catalog.organisations.create("O").id)
        standing = catalog.people.standing("ann")
        assert standing is not None
        assert standing.role_in(later.id, later.organisation_id) is Role.OWNER
        assert standing.role_in(other.id, other.organisation_id) is None

    def test_an_invitation_gives_nothing_in_projects_of_others(
        self, catalog: Catalog, project: Project
    ) -> None:
        other = catalog.projects.create("Other", organisation_id=catalog.organisations.create("O").id)
        add(catalog, project, "ben", roles={other.id: Role.OWNER, "0" * 24: Role.OWNER})
        standing = catalog.people.standing("ben")
        assert standing is not None and standing.roles == {}

    def test_a_second_invitation_takes_nothing_away(self, catalog: Catalog, project: Project) -> None:
        other = catalog.projects.create("Other")
        ben = add(catalog, project, "ben", is_owner=True, roles={project.id: Role.EDITOR})
        more = {project.id: Role.VIEWER, other.id: Role.VIEWER}
        catalog.invitations.create(invitation(project, "second", roles=more))
        catalog.invitations.accept("second", ben, is_new=False)
        standing = catalog.people.standing("ben")
        assert standing is not None and standing.organisations == {project.organisation_id: True}
        assert standing.roles == {project.id: Role.EDITOR, other.id: Role.VIEWER}

    def test_roles_are_replaced_as_a_whole(self, catalog: Catalog, project: Project) -> None:
        add(catalog, project, "ann", is_owner=True)
        add(catalog, project, "ben", roles={project.id: Role.EDITOR})
        other = catalog.projects.create("Other")
        catalog.people.place(project.organisation_id, "ben", is_owner=False, given={other.id: Role.VIEWER})
        members = catalog.people.of_organisation(project.organisation_id)
        assert [(one.person.id, one.is_owner, one.roles) for one in members] == [
            ("ann", True, {}),
            ("ben", False, {other.id: Role.VIEWER}),
        ]

    def test_the_last_owner_stays(self, catalog: Catalog, project: Project) -> None:
        add(catalog, project, "ann", is_owner=True)
        organisation = project.organisation_id
        for attempt in (
            lambda: catalog.people.place(organisation, "ann", is_owner=False, given={}),
            lambda: catalog.people.leave(organisation, "ann"),
            lambda: catalog.people.remove("ann"),
        ):
            with pytest.raises(LastOwner):
                attempt()
        add(catalog, project, "ben")
        catalog.people.place(organisation, "ben", is_owner=True, given={})
        assert catalog.people.leave(organisation, "ann")
        assert catalog.people.find("ann") is None

    def test_who_has_another_organisation_stays_a_person(self, catalog: Catalog, project: Project) -> None:
        add(catalog, project, "ann", is_owner=True)
        ben = add(catalog, project, "ben")
        elsewhere = catalog.projects.create("Other", organisation_id=catalog.organisations.create("O").id)
        catalog.invitations.create(invitation(elsewhere, "there"))
        catalog.invitations.accept("there", ben, is_new=False)
        assert not catalog.people.leave(project.organisation_id, "ben")
        standing = catalog.people.standing("ben")
        assert standing is not None and standing.organisations == {elsewhere.organisation_id: False}

    def test_an_owner_of_a_deleted_organisation_can_go(self, catalog: Catalog, project: Project) -> None:
        made = catalog.organisations.create("O")
        there = catalog.projects.create("Other", organisation_id=made.id)
        add(catalog, there, "ann", is_owner=True)
        catalog.organisations.delete(made.id, with_projects=True)
        catalog.people.remove("ann")
        assert catalog.people.all() == []

    def test_an_unknown_person_or_one_of_others_is_said_to_be_none(
        self, catalog: Catalog, project: Project
    ) -> None:
        add(catalog, project, "ann", is_owner=True)
        other = catalog.organisations.create("O").id
        for attempt in (
            lambda: catalog.people.place(other, "ann", is_owner=True, given={}),
            lambda: catalog.people.leave(other, "ann"),
            lambda: catalog.people.remove("x"),
            lambda: catalog.people.set_password("x", "hash"),
        ):
            with pytest.raises(UnknownPerson):
                attempt()


class TestInvitations:
    def test_one_is_taken_once(self, catalog: Catalog, project: Project) -> None:
        add(catalog, project, "ann")
        with pytest.raises(UnknownInvitation):
            catalog.invitations.accept("for ann", person("ben"), is_new=True)

    def test_one_that_has_expired_or_was_withdrawn_is_none(
        self, catalog: Catalog, project: Project, clock: Clock
    ) -> None:
        catalog.invitations.create(invitation(project, "a"))
        catalog.invitations.create(invitation(project, "b", expires_us=1_000_000 + 2 * WEEK_US))
        other = catalog.organisations.create("O").id
        assert not catalog.invitations.withdraw(other, "b")
        assert catalog.invitations.withdraw(project.organisation_id, "b")
        clock.now_us += WEEK_US
        assert catalog.invitations.of_organisation(project.organisation_id) == []
        for digest in ("a", "b", "c"):
            with pytest.raises(UnknownInvitation):
                catalog.invitations.find(digest)
            with pytest.raises(UnknownInvitation):
                catalog.invitations.accept(digest, person("ann"), is_new=True)

    def test_one_that_cannot_be_accepted_is_not_used_up(self, catalog: Catalog, project: Project) -> None:
        add(catalog, project, "ann")
        catalog.invitations.create(invitation(project, "again"))
        with pytest.raises(DuplicatePerson):
            catalog.invitations.accept("again", replace(person("ann"), id="other"), is_new=True)
        with pytest.raises(InvalidName):
            catalog.invitations.accept("again", replace(person("ben"), name=" "), is_new=True)
        assert catalog.invitations.find("again").id == "again"

    def test_the_first_ones_are_void_once_there_is_a_person(self, catalog: Catalog, project: Project) -> None:
        catalog.invitations.create(invitation(project, "one", is_first=True, is_owner=True))
        catalog.invitations.create(invitation(project, "two", is_first=True, is_owner=True))
        with pytest.raises(UnknownInvitation):
            catalog.invitations.find("one")
        add(catalog, project, "ann")
        with pytest.raises(UnknownInvitation):
            catalog.invitations.accept("two", person("ben"), is_new=True)

    def test_those_by_somebody_who_may_not_invite_any_more_are_void(
        self, catalog: Catalog, project: Project
    ) -> None:
        for name in ("ann", "ben", "cal"):
            add(catalog, project, name, is_owner=True)
        for digest, inviter in (("b", "ben"), ("c", "cal"), ("a", "ann")):
            catalog.invitations.create(invitation(project, digest, invited_by=inviter))
        catalog.people.place(project.organisation_id, "ben", is_owner=False, given={})
        catalog.people.remove("cal")
        left = catalog.invitations.of_organisation(project.organisation_id)
        assert [one.id for one in left] == ["a"]

    def test_those_of_a_deleted_organisation_are_void(self, catalog: Catalog, project: Project) -> None:
        made = catalog.organisations.create("O")
        there = catalog.projects.create("Other", organisation_id=made.id)
        catalog.invitations.create(invitation(there, "a"))
        catalog.organisations.delete(made.id, with_projects=True)
        with pytest.raises(UnknownInvitation):
            catalog.invitations.find("a")


class TestSessions:
    def test_one_is_found_with_what_its_person_may(self, catalog: Catalog, project: Project) -> None:
        add(catalog, project, "ann", is_owner=True)
        begin(catalog, session("s", "ann"))
        found = catalog.sessions.find("digest of s")
        assert found == (session("s", "ann"), catalog.people.standing("ann"))
        assert catalog.sessions.find("s") is None

    def test_one_of_a_key_holds_it_sealed(self, catalog: Catalog, project: Project) -> None:
        made = session("s", None, project_id=project.id, sealed_key=b"sealed")
        begin(catalog, made)
        assert catalog.sessions.find("digest of s") == (made, None)

    def test_none_begins_with_a_password_that_has_changed(self, catalog: Catalog, project: Project) -> None:
        """Between its check and the session, or with a person who was removed then."""
        add(catalog, project, "ann", is_owner=True)
        catalog.people.set_password("ann", "new")
        for made, password in ((session("s", "ann"), "hash"), (session("s", "gone"), "hash")):
            assert not catalog.sessions.create(made, password=password)
            assert catalog.sessions.find("digest of s") is None
        assert catalog.sessions.create(session("s", "ann"), password="new")

    def test_one_can_be_ended_by_its_person_alone(self, catalog: Catalog, project: Project) -> None:
        add(catalog, project, "ann", is_owner=True)
        add(catalog, project, "ben")
        begin(catalog, session("s", "ann"))
        assert not catalog.sessions.end("s", "ben")
        assert catalog.sessions.end("s", "ann")
        assert not catalog.sessions.end("s")
        assert catalog.sessions.find("digest of s") is None

    def test_a_new_one_replaces_another_and_clears_the_expired(
        self, catalog: Catalog, project: Project, clock: Clock
    ) -> None:
        add(catalog, project, "ann", is_owner=True)
        begin(catalog, session("old", "ann"))
        clock.now_us += WEEK_US
        later = clock.now_us + WEEK_US
        begin(catalog, session("a", "ann", expires_us=later))
        begin(catalog, session("b", "ann", expires_us=later), instead_of="a")
        assert [one.id for one in catalog.sessions.of_person("ann")] == ["b"]
        assert catalog.sessions.find("digest of old") is None

    def test_a_new_password_ends_the_others_and_all_links(self, catalog: Catalog, project: Project) -> None:
        add(catalog, project, "ann", is_owner=True)
        for name in ("a", "b"):
            begin(catalog, session(name, "ann"))
        catalog.password_links.create("ann", "link", WEEK_US)
        catalog.people.set_password("ann", "new", keep_session="b")
        assert [one.id for one in catalog.sessions.of_person("ann")] == ["b"]
        with pytest.raises(UnknownInvitation):
            catalog.password_links.person_of("link")
        assert catalog.sessions.end_all("ann") == 1

    def test_a_password_is_replaced_by_who_has_proved_the_present_one(
        self, catalog: Catalog, project: Project
    ) -> None:
        """A link may have set another between the check of the old one and the change."""
        add(catalog, project, "ann", is_owner=True)
        begin(catalog, session("s", "ann"))
        assert catalog.people.set_password("ann", "by link", proved="hash")
        begin(catalog, session("s", "ann"))
        assert not catalog.people.set_password("ann", "late", keep_session="s", proved="hash")
        found = catalog.people.find("ann")
        assert found is not None and found.password == "by link"
        assert [one.id for one in catalog.sessions.of_person("ann")] == ["s"]

    def test_who_is_removed_has_none(self, catalog: Catalog, project: Project) -> None:
        add(catalog, project, "ann", is_owner=True)
        add(catalog, project, "ben")
        begin(catalog, session("s", "ben"))
        catalog.people.remove("ben")
        assert catalog.sessions.find("digest of s") is None

    def test_every_change_shows_in_the_mark_of_people_alone(self, catalog: Catalog, project: Project) -> None:
        seen = [catalog.mark(Area.PEOPLE)]
        others = catalog.mark(Area.TENANTS, Area.DATA, Area.DERIVED)
        add(catalog, project, "ann", is_owner=True)
        changes: list[Callable[[], object]] = [
            lambda: add(catalog, project, "ben"),
            lambda: catalog.people.place(project.organisation_id, "ben", is_owner=True, given={}),
            lambda: begin(catalog, session("s", "ben")),
            lambda: catalog.sessions.end("s"),
            lambda: catalog.people.set_password("ben", "new"),
            lambda: catalog.people.leave(project.organisation_id, "ben"),
        ]
        for change in changes:
            change()
            assert catalog.mark(Area.PEOPLE) not in seen
            seen.append(catalog.mark(Area.PEOPLE))
        assert catalog.mark(Area.TENANTS, Area.DATA, Area.DERIVED) == others


class TestPasswordLinks:
    def test_one_sets_the_password_once(self, catalog: Catalog, project: Project) -> None:
        add(catalog, project, "ann", is_owner=True)
        begin(catalog, session("s", "ann"))
        catalog.password_links.create("ann", "old", 1_000_000 + DAY_US)
        catalog.password_links.create("ann", "link", 1_000_000 + DAY_US)
        assert catalog.password_links.use("link", "new") == "ann"
        found = catalog.people.find("ann")
        assert found is not None and found.password == "new"
        assert catalog.sessions.of_person("ann") == []
        for digest in ("old", "link"):
            with pytest.raises(UnknownInvitation):
                catalog.password_links.use(digest, "newer")

    def test_one_expires(self, catalog: Catalog, project: Project, clock: Clock) -> None:
        add(catalog, project, "ann", is_owner=True)
        catalog.password_links.create("ann", "link", clock.now_us + DAY_US)
        clock.now_us += DAY_US
        with pytest.raises(UnknownInvitation):
            catalog.password_links.use("link", "new")


class TestSecondFactor:
    def test_a_code_and_a_recovery_code_are_taken_once(self, catalog: Catalog, project: Project) -> None:
        add(catalog, project, "ann", is_owner=True)
        catalog.people.offer_factor("ann", b"one")
        catalog.people.offer_factor("ann", b"two")
        assert not catalog.people.confirm_factor("ann", b"one", 7, ["r1", "r2"])
        assert catalog.people.confirm_factor("ann", b"two", 7, ["r1", "r2"])
        assert not catalog.people.take_step("ann", 7)
        assert catalog.people.take_step("ann", 8)
        assert not catalog.people.take_step("ann", 8)
        assert catalog.people.take_recovery("ann", "r1")
        assert not catalog.people.take_recovery("ann", "r1")
        catalog.people.drop_factor("ann")
        found = catalog.people.find("ann")
        assert found is not None and (found.factor, found.recovery) == (None, ())


class TestAudit:
    def test_it_is_read_by_organisation_newest_first(self, catalog: Catalog) -> None:
        for number in range(5):
            organisation, project_id = ("a", f"p{number % 2}") if number < 4 else ("b", None)
            entry = AuditEntry("shell", "", "shell", f"did {number}", "x", organisation, project_id)
            catalog.audit.add([replace(entry, details={"n": number})])
        page = catalog.audit.page("a", limit=3)
        assert [one.action for one in page] == ["did 3", "did 2", "did 1"]
        assert page[0].details == {"n": 3}
        assert [one.action for one in catalog.audit.page("a", before=page[-1].id)] == ["did 0"]
        assert [one.action for one in catalog.audit.page("a", project_id="p1")] == ["did 3", "did 1"]

    def test_it_is_bounded_by_age_and_number(self, catalog: Catalog, clock: Clock) -> None:
        entry = AuditEntry("shell", "", "shell", "did", organisation_id="a")
        catalog.audit.add([entry])
        clock.now_us += KEPT_DAYS * DAY_US + 1
        catalog.audit.kept_entries = 3
        for _ in range(5):
            catalog.audit.add([entry])
        assert [one.id for one in catalog.audit.page("a")] == [6, 5, 4]


def test_no_secret_is_in_the_representation_of_a_record(tmp_path: Path) -> None:
    """They may be logged."""
    shown = repr((replace(person("ann"), factor=b"f4ct0r", recovery=("r3c",)), session("s", "ann")))
    assert "hash" not in shown and "f4ct0r" not in shown and "r3c" not in shown
