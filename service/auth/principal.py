"""Who is asking: a project and a key, resolved to what the key may do.

The project comes first: an unknown one is a 404 whatever the key. Of two keys in one request the header
wins, with no fallback where it is wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.filters import conservative_regex_check, parse_filters
from query.language.nodes import Filter
from query.language.parameters import check_filters
from query.limits import Limits
from service.auth.access_keys import NO_OPTIONS, Options, stored_options
from service.auth.preferences import SCOPED_KEYS, SCOPED_KEYS_WITHOUT_FILTERS, is_on
from service.auth.scoped_keys import Scope, scope_of
from service.errors import AdminOnly, Forbidden, InvalidKey, NotFound
from storage.catalog.keyring import Keyring
from storage.catalog.tenants.records import AccessKey, Organisation, Project, TenantChanges
from storage.errors import StorageError

T = TypeVar("T")
_log = logging.getLogger("acumen.auth")

POLL_SECONDS = 0.4
"""How old the known projects and keys may be. The write path may be as late once more: together less than
the second in which a key that was revoked is dead."""
GRANTED_MAX = 10_000
"""Keys beyond the projects' own, good and bad ones, that are remembered until the catalog changes."""
WARNED_MAX = 1_000
"""Projects whose refused scoped keys are logged, once each."""
KEY_LENGTH_MAX = 16_384
ACCESS_KEY_LENGTH = 64
"""Scoped keys are longer."""
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{64,}", re.ASCII)


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


_BY_OPERATION = {"read": _READ, "write": _WRITE}


@dataclass(frozen=True, slots=True)
class Caller:
    """A project and what the caller may do in it. ``forced_filters`` narrow whatever this caller reads."""

    project: Project
    permissions: frozenset[Permission]
    forced_filters: tuple[Filter, ...] = ()
    options: Options = NO_OPTIONS
    """Of an access key."""
    key_id: str = ""
    """Names the key, and tells nothing of it."""
    counted_as: str = ""
    """What the limits of a key count it as: all scoped keys of a project together, since who holds one can
    spell others."""

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
        if kind in (Permission.SAVED_QUERIES, Permission.CACHED_QUERIES):
            return self.forced_filters + self.options.saved_filters
        if kind is Permission.QUERIES:
            return self.forced_filters + self.options.query_filters
        if kind is Permission.SCHEMA:
            # Names tell as much as events do, however the key may ask for them.
            others = (one for one in self.options.saved_filters if one not in self.options.query_filters)
            return self.forced_filters + self.options.query_filters + tuple(others)
        return self.forced_filters

    @property
    def is_filtered(self) -> bool:
        """Whether filters hide some events from this caller, by any way of asking: it is then told nothing
        of what definitions filter by."""
        return bool(self.filters_for(Permission.SCHEMA))

    def admits_saved(self, name: str, *, cached: bool) -> bool:
        """Whether the key may have the result of a saved query of this name, if it is (or is not) cached."""
        kind = Permission.CACHED_QUERIES if cached else Permission.SAVED_QUERIES
        names = self.options.cached if cached else self.options.saved
        return kind in self.permissions and names.admit(name)

    def require_saved(self, name: str, *, cached: bool) -> None:
        """Raises Forbidden where the key may not have the result of this saved query."""
        if not self.admits_saved(name, cached=cached):
            self.require(Permission.CACHED_QUERIES if cached else Permission.SAVED_QUERIES)
            raise Forbidden("This key may not do that: its options leave out this saved query.")

    def require_definition(self, name: str, *kinds_cached: bool) -> None:
        """Raises Forbidden where the options leave out a saved query of this name, of any of these kinds."""
        names = (self.options.cached if cached else self.options.saved for cached in kinds_cached)
        if not any(one.admit(name) for one in names):
            raise Forbidden("This key may not do that: its options leave out this saved query.")

    def require_dataset(
        self, name: str | None, operation: str, index_by: Mapping[str, Any] | None = None
    ) -> None:
        """``operation``: read, list or retrieve; ``index_by``: the values whose results are read.

        Raises Forbidden.
        """
        scope = self.options.datasets
        if operation not in scope.operations:
            raise Forbidden(f"This key may not do that: its options leave out the operation '{operation}'.")
        if name is not None and not scope.names.admit(name):
            raise Forbidden("This key may not do that: its options leave out this dataset.")
        for path, allowed in scope.index_by.get(name or "", {}).items() if index_by is not None else ():
            if index_by is None or path not in index_by or not _among(index_by[path], allowed):
                raise Forbidden(f"This key may not do that: its options leave out this value of '{path}'.")


def _among(value: Any, allowed: tuple[Any, ...]) -> bool:
    """JSON's equality: true is not 1."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed)


class ChangedTenants(Protocol):
    """What tells of projects, keys and organisations that changed."""

    def version(self) -> int: ...

    def since(self, version: int) -> TenantChanges: ...


class AccessKeys(Protocol):
    """What finds an access key."""

    def find(self, project_id: str, digest: str) -> AccessKey | None: ...


class ProjectKeys(Protocol):
    """What lists the access keys of a project."""

    def of_project(self, project_id: str) -> Iterable[AccessKey]: ...


class _Known:
    """The projects and organisations as last looked at. Changed under a lock, by entries that are replaced as
    a whole, so that an event loop reads it without one."""

    def __init__(self) -> None:
        self.projects: dict[str, Project] = {}
        self.organisations: dict[str, Organisation] = {}
        self._by_master_key: dict[bytes, tuple[str, ...]] = {}
        """Ids of projects by the digests of their keys: finding one takes as long however many there are."""
        self._own_keys: dict[bytes, int] = {}
        """Digests of all projects' own keys, and of how many projects each is one."""
        self._granted: dict[tuple[str, str], tuple[Project, Caller | None]] = {}
        """Project and digest of a key → who holds it, None for nobody, as of this very record of the project:
        a change of any of its keys replaces the record."""

    def apply(self, changes: TenantChanges) -> None:
        for project in changes.projects:
            old = self.projects.get(project.id)
            self.projects[project.id] = project
            self._enter_keys(project)
            if old is not None:
                self._drop_keys(old)
        for project_id in changes.gone_projects:
            gone = self.projects.pop(project_id, None)
            if gone is not None:
                self._drop_keys(gone)
        for organisation in changes.organisations:
            self.organisations[organisation.id] = organisation
        for organisation_id in changes.gone_organisations:
            self.organisations.pop(organisation_id, None)

    def mastered(self, digest: bytes) -> tuple[Project, ...]:
        """The projects with this master key, oldest first."""
        found = map(self.projects.get, self._by_master_key.get(digest, ()))
        return tuple(sorted((one for one in found if one is not None), key=lambda one: one.created_us))

    def is_own_key(self, digest: bytes) -> bool:
        return digest in self._own_keys

    def granted(self, project: Project, digest: str) -> tuple[Caller | None] | None:
        """Who holds the key, in a tuple; None where that is not known."""
        found = self._granted.get((project.id, digest))
        return (found[1],) if found is not None and found[0] is project else None

    def grant(self, project: Project, digest: str, caller: Caller | None) -> None:
        if len(self._granted) >= GRANTED_MAX:
            self._granted.clear()
        self._granted[project.id, digest] = project, caller

    def _enter_keys(self, project: Project) -> None:
        for digest in _own_digests(project):
            self._own_keys[digest] = self._own_keys.get(digest, 0) + 1
        master = _digest(project.master_key)
        others = (one for one in self._by_master_key.get(master, ()) if one != project.id)
        self._by_master_key[master] = (*others, project.id)

    def _drop_keys(self, old: Project) -> None:
        """Of a record that was replaced, or is gone."""
        for digest in _own_digests(old):
            self._own_keys[digest] -= 1
            if not self._own_keys[digest]:
                del self._own_keys[digest]
        now, master = self.projects.get(old.id), _digest(old.master_key)
        if now is None or now.master_key != old.master_key:
            self._by_master_key[master] = left = tuple(
                one for one in self._by_master_key[master] if one != old.id
            )
            if not left:
                del self._by_master_key[master]


def _own_digests(project: Project) -> tuple[bytes, ...]:
    return tuple(map(_digest, (project.master_key, project.write_key, project.read_key)))


class Tenants:
    """The projects of the catalog, at most ``POLL_SECONDS`` old. Thread-safe.

    What is not known, or was changed by this process, is looked up at once: who has made a key uses it.
    """

    def __init__(
        self,
        changed: ChangedTenants,
        access_keys: AccessKeys,
        keyring: Keyring,
        clock: Callable[[], float] = time.monotonic,
        executor: Executor | None = None,
    ) -> None:
        """``executor``: where what is not known is looked up for those who ask on an event loop."""
        self._changed = changed
        self._access_keys = access_keys
        self._executor = executor
        self._keyring = keyring
        self._clock = clock
        self._lock = threading.Lock()
        self._version = -1
        self._looked_at = float("-inf")
        self._change_lock = threading.Lock()
        """Held for an instant, by an event loop too; ``_lock`` while the catalog is read."""
        self._changes = 0
        """Made by this process, counted: a look at the catalog that began before one does not count."""
        self._watchers: list[Callable[[Sequence[str]], None]] = []
        self._known = _Known()
        self._warned: set[tuple[str, str]] = set()
        """Projects and preferences whose refused keys were logged."""

    def watch(self, changed: Callable[[Sequence[str]], None]) -> None:
        """``changed`` is called with the ids of projects that changed, or keys of theirs, and with none of
        them where it may be any; from any thread."""
        self._watchers.append(changed)

    def changing(self, work: Callable[[], T]) -> T:
        """Does work that changes projects or keys, and knows what it changed once it returns. Blocks."""
        done = work()
        try:
            self._refresh()
        except StorageError:
            # It is changed all the same, and known as soon as the catalog can be read.
            self.look_again()
        return done

    def look_again(self) -> None:
        """Something has changed that nothing may be done without knowing."""
        with self._change_lock:
            self._changes += 1
            self._looked_at = float("-inf")
        self._tell(())

    def _tell(self, project_ids: Sequence[str]) -> None:
        for changed in self._watchers:
            changed(project_ids)

    def known(self, project_id: str) -> Project | None:
        """The project as it was when last looked at; from memory alone."""
        return self._known.projects.get(project_id)

    def counted_as(self, project_id: str, key: str) -> str:
        """What limits count a key as that was let through a moment ago; from memory alone."""
        project = self._known.projects.get(project_id)
        if project is None:
            return ""
        if _permissions(project, key) is not None:
            return key_id(key)
        if len(key) > ACCESS_KEY_LENGTH and _HEXADECIMAL.fullmatch(key):
            return _scopes_of(project)
        return self._keyring.digest(project.id, key)

    async def keep_fresh(self) -> None:
        """Looks at the catalog so often that hardly a request has to wait for a look. Until cancelled."""
        while True:
            # Where it fails, requests look for themselves and say so.
            with suppress(StorageError):
                await self._in_thread(self._refresh)
            await asyncio.sleep(POLL_SECONDS / 4)

    async def caller(self, project_id: str, key: str | None) -> Caller:
        """As ``authenticate``, for an event loop: only memory is looked at where that tells."""
        if self._is_fresh(POLL_SECONDS):
            known = self._known_caller(project_id, key)
            if known is not None:
                return known
        return await self._in_thread(self.authenticate, project_id, key)

    async def project(self, project_id: str) -> Project | None:
        """As ``find``, for an event loop."""
        known = self._known.projects.get(project_id) if self._is_fresh(POLL_SECONDS) else None
        return known or await self._in_thread(self.find, project_id)

    async def organisation_of(self, organisation_id: str, key: str | None) -> Organisation:
        """As ``organisation``, for an event loop."""
        return await self._in_thread(self.organisation, organisation_id, key)

    async def mastered(self, key: str | None) -> tuple[Project, ...]:
        """The projects whose master key this is. Raises AdminOnly for another key of some project, and
        InvalidKey."""
        if not self._is_fresh(POLL_SECONDS):
            await self._in_thread(lambda: self._refresh(POLL_SECONDS))
        if not key:
            raise InvalidKey
        digest = _digest(key)
        found = self._known.mastered(digest)
        if not found:
            raise AdminOnly if self._known.is_own_key(digest) else InvalidKey
        return found

    async def _in_thread(self, look: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, look, *given)

    def _is_fresh(self, older_than_seconds: float) -> bool:
        return self._clock() - self._looked_at < older_than_seconds

    def find(self, project_id: str) -> Project | None:
        """The project; looks at the catalog again where it is not known."""
        self._refresh(POLL_SECONDS)
        project = self._known.projects.get(project_id)
        if project is None:
            self._refresh()
            project = self._known.projects.get(project_id)
        return project

    def authenticate(self, project_id: str, key: str | None) -> Caller:
        """The caller that holds this key. Raises NotFound for the project, then InvalidKey."""
        if self.find(project_id) is None:
            raise NotFound(f"Resource not found: no project has the id '{project_id[:64]}'.")
        caller = self._caller(project_id, key)
        if caller is None and key:
            self._refresh()
            caller = self._caller(project_id, key)
        if caller is None:
            raise InvalidKey(_hint(key) or self._scoped_hint(project_id, key))
        return caller

    def _scoped_hint(self, project_id: str, key: str | None) -> str | None:
        """Why the project does not take a scoped key that was made with its master key."""
        project = self._known.projects.get(project_id)
        if project is None or not key or len(key) > KEY_LENGTH_MAX:
            return None
        scope = scope_of(key, project.master_key)
        problem = None if scope is None else _scope_problem(project, scope)
        if problem is None:
            return None
        refused, switch = problem
        with self._change_lock:
            is_first = (project_id, switch) not in self._warned and len(self._warned) < WARNED_MAX
            if is_first:
                self._warned.add((project_id, switch))
        if is_first:
            _log.warning(
                "Project %s: %s To take them all the same, at the risk that docs/keys.md tells: "
                "acumen projects update %s --set %s=true",
                project_id,
                refused,
                project_id,
                switch,
            )
        return f"{refused} Ask the project's owner for an access key."

    def _caller(self, project_id: str, key: str | None) -> Caller | None:
        """None where it is no key of the project, or one that is revoked."""
        known = self._known_caller(project_id, key)
        if known is not None:
            return known
        project = self._known.projects.get(project_id)
        if project is None or not key or len(key) > KEY_LENGTH_MAX:
            return None
        digest = self._keyring.digest(project.id, key)
        found = self._known.granted(project, digest)
        if found is not None:
            return found[0]
        caller = self._grant(project, key, digest)
        self._known.grant(project, digest, caller)
        return caller

    def _known_caller(self, project_id: str, key: str | None) -> Caller | None:
        """Who holds the key, as far as memory tells."""
        project = self._known.projects.get(project_id)
        if project is None or not key or len(key) > KEY_LENGTH_MAX:
            return None
        permissions = _permissions(project, key)
        if permissions is not None:
            named = key_id(key)
            return Caller(project, permissions, key_id=named, counted_as=named)
        found = self._known.granted(project, self._keyring.digest(project.id, key))
        return None if found is None else found[0]

    def _grant(self, project: Project, key: str, digest: str) -> Caller | None:
        record = self._access_keys.find(project.id, digest)
        if record is not None:
            return _by_access_key(project, record) if record.is_active else None
        scope = scope_of(key, project.master_key)
        if scope is None or _scope_problem(project, scope) is not None:
            return None
        return _by_scope(project, scope, self._keyring.digest(project.id, _spelt(key)))

    def organisation(self, organisation_id: str, key: str | None) -> Organisation:
        """The organisation whose key this is. Raises NotFound for the organisation, then InvalidKey."""
        self._refresh(POLL_SECONDS)
        found = self._known.organisations.get(organisation_id)
        if found is None:
            self._refresh()
            found = self._known.organisations.get(organisation_id)
        if found is None:
            raise NotFound
        if not key or not _equal(found.key, key):
            raise InvalidKey
        return found

    def _refresh(self, older_than_seconds: float = 0.0) -> None:
        """Look at the catalog where the last look is older. That costs some µs where it has not changed."""
        if self._is_fresh(older_than_seconds):
            return
        with self._lock:
            looked_at, changes = self._clock(), self._changes
            if looked_at - self._looked_at < older_than_seconds:
                return
            self._look()
            with self._change_lock:
                if changes == self._changes:
                    self._looked_at = looked_at

    def _look(self) -> None:
        """Reads what has changed since the last look, and nothing else."""
        if self._changed.version() != self._version:
            changes = self._changed.since(self._version)
            self._known.apply(changes)
            self._version = changes.version
            changed = [*(project.id for project in changes.projects), *changes.gone_projects]
            if changed:
                self._tell(changed)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def key_of(authorization: str | None, api_key: str | None) -> str | None:
    """The key of a request: the ``Authorization`` header where it says anything, else ``api_key``."""
    header = (authorization or "").strip()
    return header or api_key


def _hint(key: str | None) -> str | None:
    """What to say of a key that begins as those of other APIs do."""
    scheme = (key or "").split(" ", 1)[0].lower()
    if " " not in (key or "") or scheme not in ("bearer", "basic", "token", "apikey"):
        return None
    return f"{InvalidKey.message} The header holds the key alone: leave out '{scheme.title()}'."


def key_id(key: str) -> str:
    """A short name of a key, equal on all workers and however it is spelt. The key cannot be told from it."""
    return hashlib.blake2b(_spelt(key).encode("utf-8", "replace"), digest_size=12).hexdigest()


def _spelt(key: str) -> str:
    """Scoped keys are hexadecimal, and the same key in letters of either case."""
    key = key.strip()
    return key.lower() if _HEXADECIMAL.fullmatch(key) else key


def key_lives(project: Project, wanted: str, access_key: AccessKey | None) -> bool:
    """Whether the key that a caller's ``key_id`` names opens the project still; ``access_key``: the one of
    this digest, if there is one."""
    if access_key is not None:
        return access_key.is_active
    own = (project.master_key, project.write_key, project.read_key)
    if wanted.startswith(_scopes_of(project)):
        return is_on(project.preferences, SCOPED_KEYS)
    return wanted in map(key_id, own)


def key_names(access_keys: ProjectKeys, project: Project) -> dict[str, str]:
    """What the keys of a project are called, by the ids that they are counted under."""
    own = {"master key": project.master_key, "write key": project.write_key, "read key": project.read_key}
    found = {key_id(key): name for name, key in own.items()}
    found[_scopes_of(project)] = "scoped keys"
    return found | {one.digest: one.name for one in access_keys.of_project(project.id)}


def _scopes_of(project: Project) -> str:
    """What the ids of scoped keys begin with: they live as long as the master key that made them."""
    return f"{key_id(project.master_key)}/"


def _by_access_key(project: Project, key: AccessKey) -> Caller:
    return Caller(
        project,
        frozenset(Permission(one) for one in key.permitted),
        options=stored_options(dict(key.options)),
        key_id=key.digest,
        counted_as=key.digest,
    )


def _scope_problem(project: Project, scope: Scope) -> tuple[str, str] | None:
    """Why the project does not take a key of this scope, and the preference that would change it."""
    if not is_on(project.preferences, SCOPED_KEYS):
        return "This project takes no scoped keys.", SCOPED_KEYS
    if not scope.filters and not is_on(project.preferences, SCOPED_KEYS_WITHOUT_FILTERS):
        return "This project takes no scoped keys without filters.", SCOPED_KEYS_WITHOUT_FILTERS
    return None


def _by_scope(project: Project, scope: Scope, digest: str) -> Caller | None:
    """None where the filters can not be understood: without them the key would see more than it may."""
    try:
        check_filters(scope.filters, "filters")
        filters = parse_filters(scope.filters, Limits(), conservative_regex_check)
    except (InvalidQuery, QueryLimitExceeded):
        return None
    permissions = frozenset[Permission]().union(*(_BY_OPERATION[one] for one in scope.operations))
    scopes = _scopes_of(project)
    return Caller(project, permissions, filters, key_id=scopes + digest, counted_as=scopes)


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
