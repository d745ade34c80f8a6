"""``acumen orgs`` and ``acumen projects``: manage tenants from a shell; work beside a running server."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from service.cli.command_parser import CommandParser
from service.cli.errors import CannotDo
from service.cli.json_options import json_of
from service.cli.secret_options import BadSecret, add_key_file, read_secret, refuse
from service.cli.shell_audit import audited

if TYPE_CHECKING:
    # Imported where used, since printing the help should not wait for it.
    from service.settings import Settings
    from storage.catalog.catalog import Catalog
    from storage.catalog.tenants.records import Organisation, Project

Action = Callable[["Catalog", argparse.Namespace], str]
"""Runs a command on the catalog; returns the text to print."""
Bind = Callable[..., Callable[[argparse.Namespace], int]]
"""``bind(action, make=False)`` makes the function of a command; ``make``: create a missing catalog."""
AddData = Callable[[argparse.ArgumentParser], None]


def add_orgs(commands: Any, add_data: AddData, bind: Bind) -> None:
    orgs = commands.add_parser("orgs", help="create, list, change and delete organisations")
    actions = _Actions(orgs, add_data, bind)
    create = actions.add(
        "create",
        "create an organisation and print it as JSON, key included",
        _create_org,
        about="Create an organisation. With its key its projects are made, changed and deleted over "
        "HTTP; organisations themselves are made only here.",
        make=True,
    )
    create.add_argument("name", metavar="NAME")
    actions.add("list", "print all organisations as JSON, keys included", _list_orgs)
    actions.add_one("show", "print one organisation as JSON, key and projects included", _show_org)
    update = actions.add_one("update", "rename an organisation", _update_org)
    update.add_argument("--name", required=True)
    actions.add_one(
        "rekey", "give an organisation a new key; the old one stops working within a second", _rekey_org
    )
    delete = actions.add_one("delete", "delete an organisation for good", _delete_org)
    delete.add_argument(
        "--with-projects",
        action="store_true",
        help="its projects too: their keys stop working, their data is removed later",
    )
    usage = actions.add("usage", "print as JSON what the projects hold", _usage)
    usage.add_argument("id", metavar="ID", nargs="?", help="of one organisation (default: of each)")


def add_projects(commands: Any, add_data: AddData, bind: Bind) -> None:
    projects = commands.add_parser("projects", help="create, list, change and delete projects")
    actions = _Actions(projects, add_data, bind)
    create = actions.add(
        "create",
        "create a project and print it as JSON, keys included",
        _create_project,
        about="Create a project. A running server picks it up within a second.",
        make=True,
    )
    create.add_argument("name", metavar="NAME")
    create.add_argument("--org", metavar="ID", help="the organisation it belongs to (default: the oldest)")
    create.add_argument("--id", help="letters and digits (default: generated)")
    add_key_file(create, "master", "file with a master key to use: it may do everything in the project")
    add_key_file(create, "write", "file with a write key to use: it may record events")
    add_key_file(create, "read", "file with a read key to use: it may ask questions")
    for kind in _KINDS:
        create.add_argument(f"--{kind}-key", nargs="?", const="", help=argparse.SUPPRESS)
    actions.add("list", "print all projects as JSON, keys included", _list_projects)
    actions.add_one("show", "print one project as JSON, keys included", _show_project)
    update = actions.add_one("update", "change a project; what is not given stays as it is", _update_project)
    update.add_argument("--name")
    for command in (create, update):
        command.add_argument(
            "--user", metavar="ADDRESS", action="append", help="a person's address; for each"
        )
        command.add_argument("--preferences", metavar="JSON", help="an object, as the API takes it")
    update.add_argument(
        "--set",
        metavar="NAME=JSON",
        action="append",
        help="one preference; the others stay (scoped_keys=true); without a value it is removed",
    )
    rekey = actions.add_one(
        "rekey", "give a project new keys; the old ones stop working within a second", _rekey_project
    )
    for kind in _KINDS:
        text = f"make a new {kind} key only (default: all three)"
        rekey.add_argument(f"--{kind}-key", nargs="?", const="", metavar="", help=text)
        add_key_file(rekey, kind, f"the {kind} key only, as this file has it")
    text = "print as JSON what a project holds, and what its keys have sent and asked"
    actions.add_one("usage", text, _project_usage)
    text = "delete a project: its keys stop working within a second, its data is removed later"
    actions.add_one("delete", text, _delete_project)
    text = "restore a deleted project, as long as its data is there"
    actions.add_one("restore", text, _restore_project)


class _Actions:
    """The subcommands of one command."""

    def __init__(self, parser: CommandParser, add_data: AddData, bind: Bind) -> None:
        self._commands = parser.add_commands()
        self._add_data = add_data
        self._bind = bind

    def add(
        self, name: str, help: str, action: Action, *, about: str = "", make: bool = False
    ) -> argparse.ArgumentParser:
        description = about or f"{help[:1].upper()}{help[1:]}."
        command: argparse.ArgumentParser = self._commands.add_parser(name, help=help, description=description)
        self._add_data(command)
        audited(command)
        command.set_defaults(run=self._bind(action, make=make))
        return command

    def add_one(self, name: str, help: str, action: Action) -> argparse.ArgumentParser:
        """Add a subcommand for one organisation or project, named by its ID."""
        command = self.add(name, help, action)
        command.add_argument("id", metavar="ID")
        return command


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


# Organisations


def _create_org(catalog: Catalog, args: argparse.Namespace) -> str:
    return _json(_organisation_json(catalog.organisations.create(args.name)))


def _list_orgs(catalog: Catalog, _: argparse.Namespace) -> str:
    return _json([_organisation_json(organisation) for organisation in catalog.organisations.all()])


def _show_org(catalog: Catalog, args: argparse.Namespace) -> str:
    organisation = _organisation(catalog, args.id)
    projects = [{"id": project.id, "name": project.name} for project in _projects_of(catalog, organisation)]
    return _json(_organisation_json(organisation) | {"projects": projects})


def _update_org(catalog: Catalog, args: argparse.Namespace) -> str:
    catalog.organisations.rename(args.id, args.name)
    return _show_org(catalog, args)


def _rekey_org(catalog: Catalog, args: argparse.Namespace) -> str:
    # Other organisations' keys are not read, since they may be sealed with a lost secret.
    return _json({"id": args.id, "key": catalog.organisations.renew_key(args.id)})


def _delete_org(catalog: Catalog, args: argparse.Namespace) -> str:
    from storage.catalog.errors import OrganisationInUse

    try:
        catalog.organisations.delete(args.id, with_projects=args.with_projects)
    except OrganisationInUse as error:
        raise CannotDo(f"{error} Delete them first, or give --with-projects.") from None
    return f"Organisation {args.id} is deleted."


def _usage(catalog: Catalog, args: argparse.Namespace) -> str:
    from service.limits.quotas import usage_json
    from storage.catalog.tenants.records import Usage

    organisations = catalog.organisations.all() if args.id is None else [_organisation(catalog, args.id)]
    usage = catalog.projects.usage()
    return _json(
        [
            {
                "id": organisation.id,
                "name": organisation.name,
                "projects": [
                    {
                        "id": project.id,
                        "name": project.name,
                        **asdict(usage.get(project.id, Usage())),
                        **usage_json(catalog.activity.of_project(project.id)),
                    }
                    for project in _projects_of(catalog, organisation)
                ],
            }
            for organisation in organisations
        ]
    )


def _organisation_json(organisation: Organisation) -> dict[str, Any]:
    return {"id": organisation.id, "name": organisation.name, "key": organisation.key}


def _organisation(catalog: Catalog, organisation_id: str) -> Organisation:
    found = next(
        (organisation for organisation in catalog.organisations.all() if organisation.id == organisation_id),
        None,
    )
    if found is None:
        raise CannotDo(f"There is no organisation {organisation_id}.")
    return found


def _projects_of(catalog: Catalog, organisation: Organisation) -> list[Project]:
    return catalog.projects.of_organisation(organisation.id)


# Projects


_KINDS = ("master", "write", "read")


def _key_from_file(args: argparse.Namespace, kind: str) -> str | None:
    """The key of a kind from the file that an option names, or None. Raises CannotDo."""
    try:
        if getattr(args, f"{kind}_key"):
            refuse(f"--{kind}-key", f"--{kind}-key-file FILE")
        file = getattr(args, f"{kind}_key_file")
        return None if file is None else read_secret(f"--{kind}-key-file", file)
    except BadSecret as error:
        raise CannotDo(str(error)) from None


def _create_project(catalog: Catalog, args: argparse.Namespace) -> str:
    project = catalog.projects.create(
        args.name,
        id=args.id,
        organisation_id=args.org,
        master_key=_key_from_file(args, "master"),
        write_key=_key_from_file(args, "write"),
        read_key=_key_from_file(args, "read"),
        **_fields(args),
    )
    return _project_json(catalog, project)


def _list_projects(catalog: Catalog, _: argparse.Namespace) -> str:
    return _json(_shown(catalog, catalog.projects.all()))


def _show_project(catalog: Catalog, args: argparse.Namespace) -> str:
    return _project_json(catalog, catalog.projects.get(args.id))


def _update_project(catalog: Catalog, args: argparse.Namespace) -> str:
    fields = _fields(args)
    if args.set:
        fields["preferences"] = _changed_preferences(catalog, args, fields.get("preferences"))
    return _project_json(catalog, catalog.projects.update(args.id, name=args.name, **fields))


def _changed_preferences(
    catalog: Catalog, args: argparse.Namespace, preferences: dict[str, Any] | None
) -> dict[str, Any]:
    """``preferences``, or those of the project if None, as changed by ``--set``. Raises CannotDo."""
    from service.auth.preferences import changed
    from service.auth.project_fields import checked_preferences
    from service.errors import InvalidParameter

    before = catalog.projects.get(args.id).preferences if preferences is None else preferences
    try:
        return checked_preferences(changed(before, args.set))
    except InvalidParameter as error:
        raise CannotDo(str(error)) from None


def _fields(args: argparse.Namespace) -> dict[str, Any]:
    """Users and preferences from the options, if given, checked as in the API. Raises CannotDo."""
    from service.auth.project_fields import addresses, checked_preferences
    from service.errors import InvalidParameter

    fields: dict[str, Any] = {}
    try:
        if args.user is not None:
            fields["users"] = addresses(address for address in args.user if address)
        if args.preferences is not None:
            fields["preferences"] = checked_preferences(
                json_of("--preferences", args.preferences, '{"scoped_keys": true}')
            )
    except InvalidParameter as error:
        raise CannotDo(str(error)) from None
    return fields


def _rekey_project(catalog: Catalog, args: argparse.Namespace) -> str:
    from storage.catalog.tenants.records import KeyKind

    keys: dict[KeyKind, str | None] = {}
    for kind in KeyKind:
        key = _key_from_file(args, kind.value)
        if key is not None or getattr(args, f"{kind.value}_key") is not None:
            keys[kind] = key
    catalog.projects.renew_keys(args.id, keys or dict.fromkeys(KeyKind))
    project = catalog.projects.get(args.id)
    # Without the organisation's key, which may be sealed with a lost secret.
    return _json({"id": project.id, "name": project.name, **_keys(project)})


def _restore_project(catalog: Catalog, args: argparse.Namespace) -> str:
    return _project_json(catalog, catalog.projects.restore(args.id))


def _delete_project(catalog: Catalog, args: argparse.Namespace) -> str:
    catalog.projects.delete(args.id)
    settings: Settings = args.settings
    return (
        f"Project {args.id} is deleted. Until its data is purged, in {settings.purge_days:g} days, it can be "
        "restored."
    )


def _project_json(catalog: Catalog, project: Project) -> str:
    return _json(_shown(catalog, [project])[0])


def _project_usage(catalog: Catalog, args: argparse.Namespace) -> str:
    from service.auth.principal import key_names
    from service.limits.quotas import usage_json
    from storage.catalog.tenants.records import Usage

    project = catalog.projects.get(args.id)
    usage = asdict(catalog.projects.usage().get(project.id, Usage()))
    activity = catalog.activity.of_project(project.id)
    return _json(
        {
            "id": project.id,
            "name": project.name,
            **usage,
            **usage_json(activity, key_names(catalog.access_keys, project)),
        }
    )


def _shown(catalog: Catalog, projects: Iterable[Project]) -> list[dict[str, Any]]:
    keys = {organisation.id: organisation.key for organisation in catalog.organisations.all()}
    return [
        {
            "id": project.id,
            "name": project.name,
            **_keys(project),
            "preferences": dict(project.preferences),
            "organization_id": project.organisation_id,
            "organization_key": keys[project.organisation_id],
        }
        for project in projects
    ]


def _keys(project: Project) -> dict[str, str]:
    return {
        "master_key": project.master_key,
        "write_key": project.write_key,
        "read_key": project.read_key,
    }


def chosen_project(catalog: Catalog, project_id: str | None) -> str:
    """The id of the project. Raises CannotDo."""
    from storage.catalog.errors import UnknownProject

    if project_id is None:
        projects = catalog.projects.all()
        if len(projects) != 1:
            raise CannotDo("Which project? Give --project ID: acumen projects list prints them.")
        return projects[0].id
    try:
        return catalog.projects.get(project_id).id
    except UnknownProject as error:
        raise CannotDo(str(error)) from None
