"""People, their places in organisations and their roles in projects."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from storage.catalog.database.versions import Area
from storage.catalog.errors import DuplicatePerson, LastOwner, UnknownPerson
from storage.catalog.people.records import Member, Person, Role, Standing
from storage.catalog.repository import Repository
from storage.catalog.tables import (
    identities,
    invitations,
    members,
    organisations,
    password_links,
    people,
    projects,
    roles,
    sessions,
)
from storage.catalog.tenants.names import check_name

_ALL = select(people).order_by(people.c.number)
_LIVING = select(organisations.c.id).where(organisations.c.deleted_us.is_(None))


class People(Repository):
    """People by id and e-mail address; addresses are given in small letters."""

    def exist(self) -> bool:
        with self._database.reading() as connection:
            return people_exist(connection)

    def all(self) -> list[Person]:
        """All people, oldest first."""
        with self._database.reading() as connection:
            return [_person(row) for row in connection.execute(_ALL)]

    def find(self, person_id: str) -> Person | None:
        with self._database.reading() as connection:
            return find_person(connection, person_id)

    def by_email(self, email: str) -> Person | None:
        with self._database.reading() as connection:
            row = connection.execute(select(people).where(people.c.email == email)).first()
            return None if row is None else _person(row)

    def standing(self, person_id: str) -> Standing | None:
        """The person with their places in all organisations that are not deleted."""
        with self._database.reading() as connection:
            return standing_of(connection, person_id)

    def of_organisation(self, organisation_id: str) -> list[Member]:
        """The members of an organisation, oldest person first."""
        with self._database.reading() as connection:
            own = (
                select(members.c.person_id, members.c.is_owner)
                .where(members.c.organisation_id == organisation_id)
                .order_by(members.c.person_id)
            )
            owners = {row.person_id: bool(row.is_owner) for row in connection.execute(own)}
            found = [person for row in connection.execute(_ALL) if (person := _person(row)).id in owners]
            given: dict[str, dict[str, Role]] = {person_id: {} for person_id in owners}
            of_projects = select(roles).where(roles.c.project_id.in_(_projects_of(organisation_id)))
            for row in connection.execute(of_projects):
                given.setdefault(row.person_id, {})[row.project_id] = Role(row.role)
        return [Member(person, owners[person.id], given[person.id]) for person in found]

    def place(
        self, organisation_id: str, person_id: str, *, is_owner: bool, given: Mapping[str, Role]
    ) -> None:
        """Replaces a member's place and roles in the organisation; projects of others are left out.

        Raises UnknownPerson, LastOwner.
        """
        with self._database.changing(Area.PEOPLE) as connection:
            _require_member(connection, organisation_id, person_id)
            this = members.c.organisation_id == organisation_id, members.c.person_id == person_id
            connection.execute(update(members).where(*this).values(is_owner=is_owner))
            _require_owner(connection, [organisation_id])
            _drop_roles(connection, organisation_id, person_id)
            give_roles(connection, organisation_id, person_id, given)
            if not is_owner:
                _drop_invitations(connection, organisation_id, person_id)

    def leave(self, organisation_id: str, person_id: str) -> bool:
        """Removes a member and their roles; who has no other organisation is removed altogether.

        Returns whether the person is removed. Raises UnknownPerson, LastOwner.
        """
        with self._database.changing(Area.PEOPLE) as connection:
            _require_member(connection, organisation_id, person_id)
            this = members.c.organisation_id == organisation_id, members.c.person_id == person_id
            connection.execute(delete(members).where(*this))
            _require_owner(connection, [organisation_id])
            _drop_roles(connection, organisation_id, person_id)
            _drop_invitations(connection, organisation_id, person_id)
            others = select(members.c.organisation_id).where(
                members.c.person_id == person_id, members.c.organisation_id.in_(_LIVING)
            )
            if connection.execute(others).first() is not None:
                return False
            _remove(connection, person_id)
            return True

    def remove(self, person_id: str) -> None:
        """Removes a person with all places and sessions. Raises UnknownPerson, LastOwner."""
        with self._database.changing(Area.PEOPLE) as connection:
            _require(connection, person_id)
            owned = select(members.c.organisation_id).where(
                members.c.person_id == person_id,
                members.c.is_owner.is_(True),
                members.c.organisation_id.in_(_LIVING),
            )
            left = list(connection.execute(owned).scalars())
            _remove(connection, person_id)
            _require_owner(connection, left)

    def rename(self, person_id: str, name: str, email: str) -> None:
        """Changes a person's name and address. Another address makes links to set a password void, which were
        sent to the old one.

        Raises UnknownPerson, DuplicatePerson, InvalidName.
        """
        check_name(name, "A person")
        with self._database.changing(Area.PEOPLE) as connection:
            _require(connection, person_id)
            taken = select(people.c.id).where(people.c.email == email, people.c.id != person_id)
            if connection.execute(taken).first() is not None:
                raise DuplicatePerson(f"There already is a person with the address {email}.")
            was = connection.execute(select(people.c.email).where(people.c.id == person_id)).scalar_one()
            if was != email:
                connection.execute(delete(password_links).where(password_links.c.person_id == person_id))
            connection.execute(update(people).where(people.c.id == person_id).values(name=name, email=email))

    def set_password(
        self, person_id: str, password: str, *, keep_session: str | None = None, proved: str | None = None
    ) -> bool:
        """Sets the password's hash, and ends all sessions but one and all links to set a password.

        ``proved`` is the hash that the person has proved. False, and nothing changes, where they have another
        by now. Raises UnknownPerson.
        """
        with self._database.changing(Area.PEOPLE) as connection:
            _require(connection, person_id)
            same = people.c.id == person_id, people.c.password == proved
            if proved is not None and connection.execute(select(people.c.id).where(*same)).first() is None:
                return False
            set_password(connection, person_id, password, keep_session)
            return True

    def renew_hash(self, person: Person, password: str) -> None:
        """Replaces the hash of an unchanged password by one with other parameters."""
        same = people.c.id == person.id, people.c.password == person.password
        with self._database.writing() as connection:
            connection.execute(update(people).where(*same).values(password=password))

    def offer_factor(self, person_id: str, sealed: bytes) -> None:
        """Stores the secret of a second factor that is still to be confirmed. Raises UnknownPerson."""
        self._change(person_id, factor_offered=sealed)

    def confirm_factor(self, person_id: str, sealed: bytes, step: int, recovery: Collection[str]) -> bool:
        """Makes the offered secret the second factor; False where another was offered meanwhile, or there is
        a second factor already."""
        with self._database.changing(Area.PEOPLE) as connection:
            offered = people.c.id == person_id, people.c.factor_offered == sealed, people.c.factor.is_(None)
            values = {"factor": sealed, "factor_offered": None, "factor_step": step}
            change = update(people).where(*offered).values(**values, recovery=json.dumps(list(recovery)))
            return connection.execute(change).rowcount == 1

    def drop_factor(self, person_id: str) -> None:
        """Ends the second factor. Raises UnknownPerson."""
        self._change(person_id, factor=None, factor_offered=None, recovery="[]")

    def take_step(self, person_id: str, step: int) -> bool:
        """Whether the code of this time step is taken now: neither it nor a later one was taken before."""
        with self._database.writing() as connection:
            unused = people.c.id == person_id, people.c.factor_step < step
            return connection.execute(update(people).where(*unused).values(factor_step=step)).rowcount == 1

    def take_recovery(self, person_id: str, digest: str) -> bool:
        """Whether there was a recovery code with this digest; there is none afterwards."""
        with self._database.writing() as connection:
            person = find_person(connection, person_id)
            if person is None or digest not in person.recovery:
                return False
            left = [one for one in person.recovery if one != digest]
            connection.execute(
                update(people).where(people.c.id == person_id).values(recovery=json.dumps(left))
            )
            return True

    def _change(self, person_id: str, **values: Any) -> None:
        with self._database.changing(Area.PEOPLE) as connection:
            _require(connection, person_id)
            connection.execute(update(people).where(people.c.id == person_id).values(**values))


def people_exist(connection: Connection) -> bool:
    return connection.execute(select(people.c.id).limit(1)).first() is not None


def create_person(connection: Connection, person: Person) -> None:
    """Raises DuplicatePerson, InvalidName."""
    check_name(person.name, "A person")
    taken = select(people.c.id).where(people.c.email == person.email)
    if connection.execute(taken).first() is not None:
        raise DuplicatePerson(f"There already is a person with the address {person.email}.")
    values = {name: getattr(person, name) for name in ("id", "email", "name", "password", "created_us")}
    connection.execute(insert(people), values)


def join(
    connection: Connection, organisation_id: str, person_id: str, *, is_owner: bool, given: Mapping[str, Role]
) -> None:
    """Gives a person a place and roles in an organisation; they lose nothing that they have there.

    Raises UnknownPerson.
    """
    standing = standing_of(connection, person_id)
    if standing is None:
        raise UnknownPerson("There is no such person.")
    this = members.c.organisation_id == organisation_id, members.c.person_id == person_id
    found = connection.execute(select(members.c.is_owner).where(*this)).first()
    if found is None:
        values = {"organisation_id": organisation_id, "person_id": person_id, "is_owner": is_owner}
        connection.execute(insert(members), values)
    elif is_owner:
        connection.execute(update(members).where(*this).values(is_owner=True))
    had = standing.roles
    more = {one: role for one, role in given.items() if one not in had or had[one].rank < role.rank}
    for project_id in more.keys() & had.keys():
        connection.execute(
            delete(roles).where(roles.c.person_id == person_id, roles.c.project_id == project_id)
        )
    give_roles(connection, organisation_id, person_id, more)


def give_roles(
    connection: Connection, organisation_id: str, person_id: str, given: Mapping[str, Role]
) -> None:
    """Adds roles in the organisation's projects; those in other projects are left out."""
    own = frozenset(connection.execute(_projects_of(organisation_id)).scalars())
    values = [
        {"person_id": person_id, "project_id": project_id, "role": role.value}
        for project_id, role in given.items()
        if project_id in own
    ]
    if values:
        connection.execute(insert(roles), values)


def set_password(connection: Connection, person_id: str, password: str, keep_session: str | None) -> None:
    _require(connection, person_id)
    connection.execute(update(people).where(people.c.id == person_id).values(password=password))
    ended = delete(sessions).where(sessions.c.person_id == person_id)
    connection.execute(ended if keep_session is None else ended.where(sessions.c.id != keep_session))
    connection.execute(delete(password_links).where(password_links.c.person_id == person_id))


def standing_of(connection: Connection, person_id: str) -> Standing | None:
    person = find_person(connection, person_id)
    if person is None:
        return None
    places = select(members.c.organisation_id, members.c.is_owner).where(
        members.c.person_id == person_id, members.c.organisation_id.in_(_LIVING)
    )
    given = select(roles.c.project_id, roles.c.role).where(roles.c.person_id == person_id)
    owned = {row.organisation_id: bool(row.is_owner) for row in connection.execute(places)}
    return Standing(
        person, owned, {row.project_id: Role(row.role) for row in connection.execute(given).all()}
    )


def _projects_of(organisation_id: str) -> Any:
    return select(projects.c.id).where(projects.c.organisation_id == organisation_id)


def find_person(connection: Connection, person_id: str) -> Person | None:
    row = connection.execute(select(people).where(people.c.id == person_id)).first()
    return None if row is None else _person(row)


def _person(row: Any) -> Person:
    fields = {name: getattr(row, name) for name in Person.__dataclass_fields__ if name != "recovery"}
    return replace(Person(**fields), recovery=tuple(json.loads(row.recovery)))


def _require(connection: Connection, person_id: str) -> None:
    if find_person(connection, person_id) is None:
        raise UnknownPerson("There is no such person.")


def _require_member(connection: Connection, organisation_id: str, person_id: str) -> None:
    this = members.c.organisation_id == organisation_id, members.c.person_id == person_id
    if connection.execute(select(members.c.person_id).where(*this)).first() is None:
        raise UnknownPerson("The organisation has no such member.")


def _require_owner(connection: Connection, organisation_ids: Collection[str]) -> None:
    """Raises LastOwner where one of these organisations has no owner."""
    for organisation_id in organisation_ids:
        owning = (
            select(func.count())
            .select_from(members)
            .where(members.c.organisation_id == organisation_id, members.c.is_owner.is_(True))
        )
        if not connection.execute(owning).scalar_one():
            raise LastOwner("An organisation needs an owner: make another person an owner first.")


def _drop_roles(connection: Connection, organisation_id: str, person_id: str) -> None:
    own = roles.c.project_id.in_(_projects_of(organisation_id))
    connection.execute(delete(roles).where(roles.c.person_id == person_id, own))


def _drop_invitations(connection: Connection, organisation_id: str, person_id: str) -> None:
    """Invitations by somebody who may not invite any more are void."""
    own = invitations.c.organisation_id == organisation_id
    connection.execute(delete(invitations).where(own, invitations.c.invited_by == person_id))


def _remove(connection: Connection, person_id: str) -> None:
    connection.execute(delete(invitations).where(invitations.c.invited_by == person_id))
    for table in (sessions, password_links, roles, members):
        connection.execute(delete(table).where(table.c.person_id == person_id))
    # Who they are at a provider stays known: it is by this that they are not admitted again as somebody new.
    own = identities.c.person_id == person_id
    connection.execute(update(identities).where(own).values(person_id=None))
    connection.execute(delete(people).where(people.c.id == person_id))
