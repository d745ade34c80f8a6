"""``acumen people``: people, their one-time links and sessions; works beside a running server."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from service.cli.errors import CannotDo

if TYPE_CHECKING:
    # Imported where used, since printing the help should not wait for it.
    from service.settings import Settings
    from storage.catalog.catalog import Catalog
    from storage.catalog.people.records import Person
    from storage.catalog.tenants.records import Project

ROLES = ("viewer", "editor", "owner")
Action = Callable[["Catalog", argparse.Namespace], str]


def add_people(
    commands: Any, add_data: Callable[[argparse.ArgumentParser], None], bind: Callable[..., Any]
) -> None:
    people = commands.add_parser(
        "people",
        help="invite, list and remove people, and end their sessions",
        description="People log in to the pages of the server. Who may run this command may let anybody in.",
    )
    actions = people.add_commands()

    def add(name: str, help: str, action: Action, about: str = "") -> argparse.ArgumentParser:
        description = f"{help[:1].upper()}{help[1:]}. {about}".rstrip()
        command: argparse.ArgumentParser = actions.add_parser(name, help=help, description=description)
        add_data(command)
        command.set_defaults(run=bind(action, make=False))
        return command

    add("list", "print all people with their roles as JSON", _list)
    about = "Whoever opens it first owns the oldest organisation. It is void once there is a person."
    add("first-link", "print a one-time link for the first owner, while there are no people", _first, about)
    invite = add("invite", "print a one-time link with which somebody joins", _invite, "It holds for 7 days.")
    invite.add_argument("email", metavar="EMAIL")
    invite.add_argument("--role", choices=ROLES, help="in the project (default: viewer)")
    invite.add_argument("--project", metavar="ID", help="the project (default: the oldest)")
    invite.add_argument("--owner", action="store_true", help="an owner of the project's organisation")
    for name, help, action in (
        ("link", "print a one-time link with which a person sets a new password", _link),
        ("remove", "remove a person, with all roles and sessions", _remove),
        ("sessions", "print a person's sessions as JSON", _sessions),
        ("end-sessions", "end all sessions of a person, on every worker at once", _end_sessions),
        ("unlink", "let a person log in with another account of the provider of OpenID Connect", _unlink),
        ("end-two-factor", "let a person who has lost the second factor log in without it", _end_factor),
    ):
        add(name, help, action).add_argument("person", metavar="PERSON", help="an address or an id")


def _list(catalog: Catalog, _: argparse.Namespace) -> str:
    listed = []
    for person in catalog.people.all():
        standing = catalog.people.standing(person.id)
        if standing is not None:
            listed.append(
                {
                    "id": person.id,
                    "email": person.email,
                    "name": person.name,
                    "two_factor": person.factor is not None,
                    "openid": catalog.identities.is_linked(person.id),
                    "organisations": dict(standing.organisations),
                    "roles": dict(standing.roles),
                }
            )
    return _json(listed)


def _first(catalog: Catalog, args: argparse.Namespace) -> str:
    from service.people.links import make_first_link

    path = make_first_link(catalog)
    if path is None:
        raise CannotDo("There are people already: an owner can invite others, as can 'acumen people invite'.")
    return _base_of(args.settings) + path


def _invite(catalog: Catalog, args: argparse.Namespace) -> str:
    from service.errors import InvalidParameter
    from service.people.links import checked_address, join_path, make_invitation
    from storage.catalog.catalog import system_clock
    from storage.catalog.people.records import Role

    project = _project(catalog, args.project)
    if args.owner and args.role:
        raise CannotDo("An owner of the organisation owns all its projects: leave out --role or --owner.")
    try:
        email = checked_address(args.email)
    except InvalidParameter:
        raise CannotDo(f"{args.email!r} is no e-mail address.") from None
    roles = {} if args.owner else {project.id: Role(args.role or ROLES[0])}
    _, token = make_invitation(
        catalog, project.organisation_id, system_clock(), email=email, roles=roles, is_owner=args.owner
    )
    _note(catalog, "Invite somebody", [project.organisation_id], email)
    return _base_of(args.settings) + join_path(token)


def _link(catalog: Catalog, args: argparse.Namespace) -> str:
    from service.people.password_mail import make_password_link, reset_path
    from storage.catalog.catalog import system_clock

    person = _person(catalog, args.person)
    path = reset_path(make_password_link(catalog, person, system_clock()))
    _note_of(catalog, "Make a link that sets a password", person)
    return _base_of(args.settings) + path


def _remove(catalog: Catalog, args: argparse.Namespace) -> str:
    from storage.catalog.errors import LastOwner

    person = _person(catalog, args.person)
    standing = catalog.people.standing(person.id)
    try:
        catalog.people.remove(person.id)
    except LastOwner as error:
        raise CannotDo(str(error)) from None
    _note(catalog, "Remove a person", [] if standing is None else list(standing.organisations), person.email)
    return f"{person.email} is removed."


def _sessions(catalog: Catalog, args: argparse.Namespace) -> str:
    from service.saved_queries.definition import moment_text

    person = _person(catalog, args.person)
    return _json(
        [
            {
                "id": one.id,
                "device": one.device,
                "created_at": moment_text(one.created_us),
                "expires_at": moment_text(one.expires_us),
            }
            for one in catalog.sessions.of_person(person.id)
        ]
    )


def _end_sessions(catalog: Catalog, args: argparse.Namespace) -> str:
    person = _person(catalog, args.person)
    number = catalog.sessions.end_all(person.id)
    _note_of(catalog, "End all sessions", person)
    return f"{number} sessions of {person.email} have ended."


def _end_factor(catalog: Catalog, args: argparse.Namespace) -> str:
    person = _person(catalog, args.person)
    catalog.people.drop_factor(person.id)
    _note_of(catalog, "End the second factor", person)
    return f"{person.email} logs in with the password alone."


def _unlink(catalog: Catalog, args: argparse.Namespace) -> str:
    person = _person(catalog, args.person)
    if not catalog.identities.forget(person.id):
        raise CannotDo(f"{person.email} has not logged in with OpenID Connect.")
    _note_of(catalog, "Unlink from OpenID Connect", person)
    return f"{person.email} is linked anew by the next log-in with this address."


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _person(catalog: Catalog, named: str) -> Person:
    """The person with this address or id. Raises CannotDo."""
    from service.people.links import plain_address

    found = catalog.people.by_email(plain_address(named)) or catalog.people.find(named)
    if found is None:
        raise CannotDo(f"There is no person {named}: 'acumen people list' lists them.")
    return found


def _project(catalog: Catalog, project_id: str | None) -> Project:
    from storage.catalog.errors import UnknownProject

    if project_id is None:
        return catalog.projects.ensure_first()[0]
    try:
        return catalog.projects.get(project_id)
    except UnknownProject as error:
        raise CannotDo(str(error)) from None


def _note_of(catalog: Catalog, action: str, person: Person) -> None:
    standing = catalog.people.standing(person.id)
    _note(catalog, action, [] if standing is None else list(standing.organisations), person.email)


def _note(catalog: Catalog, action: str, organisation_ids: list[str], object: str) -> None:
    from service.people.audit import SHELL, entries_of

    catalog.audit.add(entries_of(SHELL, action, organisation_ids, object))


def _base_of(settings: Settings) -> str:
    """Where people reach the server. Without the setting it is where the server runs, and said to be so."""
    from service.cli.doctor import running_state

    if settings.public_url:
        return settings.public_url
    state = running_state(settings)
    port = settings.port if state is None else urlsplit(str(state["url"])).port
    scheme = "http" if settings.tls_cert is None else "https"
    host = "localhost" if settings.host in ("0.0.0.0", "::", "127.0.0.1") else settings.host
    known = "where the server runs" if state is not None else "of the settings, as no server runs"
    sys.stderr.write(f"acumen: ACUMEN_PUBLIC_URL is not set: the link has the port {known}.\n")
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
