"""The audit log of what commands change: of projects, organisations and keys."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Imported where used, since printing the help should not wait for it.
    from storage.catalog.catalog import Catalog

_OF_PROJECTS = frozenset({"keys", "dashboards", "secrets", "acumen"})
"""Commands of which some are about one project."""
_READING = frozenset({"list", "show", "usage"})


def audited(command: argparse.ArgumentParser) -> None:
    """Let the audit log have what this command changes."""
    command.set_defaults(audited_as=command.prog)


@contextmanager
def noting(catalog: Catalog, args: argparse.Namespace) -> Iterator[None]:
    """A context in which the command runs; if it succeeds, and changes anything, it is noted."""
    words = getattr(args, "audited_as", "").split()
    if not words or words[-1] in _READING:
        yield
        return
    from service.people.audit import SHELL, entries_of

    kind = words[-2]
    project_id = getattr(args, "project", None) if kind in _OF_PROJECTS else None
    if kind == "projects":
        project_id = args.id
    organisation_id = args.id if kind == "orgs" and "id" in args else _organisation_of(catalog, project_id)
    yield
    if organisation_id is None and kind == "projects":
        # A new one, or one that was restored.
        organisation_id = args.org if "org" in args and args.org else _organisation_of(catalog, project_id)
        organisation_id = organisation_id or _oldest(catalog)
    if kind == "runs":
        # Whose run it is stands in the catalog; a pool is of all projects.
        project_id = args.project or None
        organisation_id = _organisation_of(catalog, project_id) or _oldest(catalog)
    named = (
        getattr(args, "name", None) or getattr(args, "pipeline", None) or project_id or organisation_id or ""
    )
    action = " ".join(["acumen", *words[1:][-2:]])
    catalog.audit.add(entries_of(SHELL, action, [organisation_id], named, project_id))


def _oldest(catalog: Catalog) -> str | None:
    """The oldest organisation, to which projects belong of which nothing else is said."""
    from storage.catalog.errors import CatalogError

    try:
        return next((one.id for one in catalog.organisations.all()), None)
    except CatalogError:
        return None


def _organisation_of(catalog: Catalog, project_id: str | None) -> str | None:
    """The organisation of a project, as far as there is one."""
    from storage.catalog.errors import CatalogError

    try:
        return None if project_id is None else catalog.projects.get(project_id).organisation_id
    except CatalogError:
        return None
