"""Who is asking: a project and a key, resolved to what the key may do.

The project comes first: an unknown one is a 404 whatever the key. Of two keys in one request the header
wins, with no fallback where it is wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from query.nodes import Filter
from service.errors import AdminOnly, Forbidden, InvalidKey, NotFound
from storage.catalog_records import Project

POLL_SECONDS = 0.5
"""How old the known projects and keys may be."""
MISS_SECONDS = 0.1
"""How soon after a look at the catalog an unknown project or key makes for another."""


class Permission(StrEnum):
    """What a key may do. MASTER is held by the master key alone, together with all others."""

    MASTER = "master"
    WRITES = "writes"
    QUERIES = "queries"
    SAVED_QUERIES = "saved_queries"
    CACHED_QUERIES = "cached_queries"
    DATASETS = "datasets"
    SCHEMA = "schema"
    QUERY_DEFINITION = "query_definition"


_READ = frozenset(
    {
        Permission.QUERIES,
        Permission.SAVED_QUERIES,
        Permission.CACHED_QUERIES,
        Permission.DATASETS,
        Permission.SCHEMA,
    }
)
_ALL = frozenset(Permission)
_WRITE = frozenset({Permission.WRITES})


@dataclass(frozen=True, slots=True)
class Caller:
    """A project and what the caller may do in it. ``forced_filters`` narrow every query of this caller."""

    project: Project
    permissions: frozenset[Permission]
    forced_filters: tuple[Filter, ...] = ()
    key_id: str = ""
    """Names the key, and tells nothing of it: what is counted by key is counted by this."""

    def require(self, *any_of: Permission) -> None:
        """Raises AdminOnly where only the master key would do, and Forbidden where another key would."""
        if not self.permissions.isdisjoint(any_of):
            return
        if any_of == (Permission.MASTER,):
            raise AdminOnly
        lacking = " or ".join(f"'{permission}'" for permission in sorted(any_of))
        raise Forbidden(f"This key may not do that: it lacks the permission {lacking}.")

    def filters_for(self, kind: Permission) -> tuple[Filter, ...]:
        """What narrows all that this caller sees by this way of asking."""
        return self.forced_filters


class ProjectCatalog(Protocol):
    """What of the catalog is asked here."""

    def version(self) -> int: ...

    def projects(self) -> Iterable[Project]: ...


class Tenants:
    """The projects of the catalog, at most ``POLL_SECONDS`` old. Thread-safe."""

    def __init__(self, catalog: ProjectCatalog, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._clock = clock
        self._lock = threading.Lock()
        self._version: int | None = None
        self._looked_at = float("-inf")
        self._projects: Mapping[str, Project] = {}

    def find(self, project_id: str) -> Project | None:
        """The project; looks at the catalog again where it is not known."""
        self._refresh(POLL_SECONDS)
        project = self._projects.get(project_id)
        if project is None and self._refresh(MISS_SECONDS):
            project = self._projects.get(project_id)
        return project

    def all(self) -> list[Project]:
        self._refresh(POLL_SECONDS)
        return list(self._projects.values())

    def authenticate(self, project_id: str, key: str | None) -> Caller:
        """The caller that holds this key. Raises NotFound for the project, then InvalidKey."""
        project = self.find(project_id)
        if project is None:
            raise NotFound
        permissions = _permissions(project, key)
        if permissions is None and key and self._refresh(MISS_SECONDS):
            project = self._projects.get(project_id, project)
            permissions = _permissions(project, key)
        if permissions is None:
            raise InvalidKey
        return Caller(project, permissions, key_id=key_id(key or ""))

    def master_of(self, key: str | None) -> list[Project]:
        """The projects whose master key this is; none for any other key."""
        if not key:
            return []
        return [project for project in self.all() if _equal(project.master_key, key)]

    def knows(self, key: str | None) -> bool:
        """Is this a key of any project?"""
        return any(_permissions(project, key) is not None for project in self.all())

    def _refresh(self, older_than_seconds: float) -> bool:
        """Look at the catalog where the last look is older; True where it was looked at."""
        if self._clock() - self._looked_at <= older_than_seconds:
            return False
        with self._lock:
            if self._clock() - self._looked_at <= older_than_seconds:
                return True
            version = self._catalog.version()
            if version != self._version:
                self._projects = {project.id: project for project in self._catalog.projects()}
                self._version = version
            self._looked_at = self._clock()
        return True


def key_of(authorization: str | None, api_key: str | None) -> str | None:
    """The key of a request: the ``Authorization`` header where it says anything, else ``api_key``."""
    header = (authorization or "").strip()
    return header or api_key


def key_id(key: str) -> str:
    """A short name of a key, equal on all workers, from which the key cannot be told."""
    return hashlib.blake2b(key.strip().encode("utf-8", "replace"), digest_size=12).hexdigest()


def _permissions(project: Project, key: str | None) -> frozenset[Permission] | None:
    """What the key may do; None where it is no key of the project. Compares all keys, in equal time."""
    if not key:
        return None
    master = _equal(project.master_key, key)
    write = _equal(project.write_key, key)
    read = _equal(project.read_key, key)
    if master:
        return _ALL
    if not (write or read):
        return None
    return (_WRITE if write else frozenset()) | (_READ if read else frozenset())


def _equal(known: str, given: str) -> bool:
    return hmac.compare_digest(known.encode(), given.encode("utf-8", "surrogatepass"))
