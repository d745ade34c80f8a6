"""Authentication: resolves a project and a key to the permissions of the caller.

The project is checked first: an unknown one is a 404 whatever the key. Of two keys in one request the one in
the header is used, without falling back to the other where it is invalid.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.filters import conservative_regex_check, parse_filters
from query.language.nodes import Filter
from query.language.parameters import check_filters
from query.limits import Limits
from service.auth.access_keys import NO_OPTIONS, Options, stored_options
from service.auth.embed_conditions import READ, EmbedGrant, TokenUse, granted
from service.auth.embed_tokens import BadToken, TokenLink, TokenSecrets, is_embed_token, read_token
from service.auth.preferences import SCOPED_KEYS, SCOPED_KEYS_WITHOUT_FILTERS, SQL, is_on
from service.auth.scoped_keys import Scope, scope_of
from service.auth.shared_boards import SharedBoard, SharedBoards
from service.errors import OF_ORGANISATION, AdminOnly, ApiError, Forbidden, InvalidKey, NotFound
from service.threads import in_thread
from storage.catalog.errors import WrongSecret
from storage.catalog.keyring import Keyring
from storage.catalog.people.records import Role
from storage.catalog.tenants.access_keys import seal_context
from storage.catalog.tenants.records import AccessKey, Organisation, Project, TenantChanges
from storage.errors import StorageError

T = TypeVar("T")
_log = logging.getLogger("acumen.auth")

POLL_SECONDS = 0.4
"""Maximum age of the cached projects and keys. The write path may add as much again: together less than the
second after which a revoked key must be refused."""
GRANTED_MAX = 10_000
"""Limit of cached lookups of keys, valid and invalid, other than the projects' own."""
WARNED_MAX = 1_000
"""Limit of warnings about refused scoped keys; each project and preference is logged once."""
KEY_LENGTH_MAX = 16_384
TOKENS_LENGTH_MAX = 1 << 20
"""Limit of the characters of all embed tokens whose callers are cached."""
ACCESS_KEY_LENGTH = 64
"""Scoped keys are longer."""
_TOKEN_LIKE = re.compile(r"ae[0-9]+\.", re.ASCII)
"""Embed tokens of all versions begin like this."""
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{64,}", re.ASCII)


class Permission(StrEnum):
    """What a key or a role may do. Of keys only the master key has MASTER, EDITS and DEFINITIONS."""

    MASTER = "master"
    EDITS = "edits"
    """To change saved queries, datasets and dashboards."""
    DEFINITIONS = "definitions"
    """To list the definitions of saved queries."""
    WRITES = "writes"
    QUERIES = "queries"
    SAVED_QUERIES = "saved_queries"
    CACHED_QUERIES = "cached_queries"
    DATASETS = "datasets"
    SCHEMA = "schema"
    QUERY_DEFINITION = "query_definition"
    EXTRACTIONS = "extractions"
    EXPORTS = "exports"
    TAIL = "tail"
    SQL = "sql"
    """To read events by SQL: of the master key and owners, of access keys by their options, and of others by
    a preference of the project."""


_OF_QUERIES = frozenset({Permission.EXTRACTIONS, Permission.EXPORTS, Permission.TAIL})
"""Permissions that come with QUERIES; embed tokens have each only where they say so."""
_READ = frozenset(
    {
        *_OF_QUERIES,
        Permission.QUERIES,
        Permission.SAVED_QUERIES,
        Permission.CACHED_QUERIES,
        Permission.DATASETS,
        Permission.SCHEMA,
    }
)
_ALL = frozenset(Permission)
OF_MASTER_KEY = frozenset({Permission.MASTER, Permission.EDITS, Permission.DEFINITIONS})
"""Permissions that no key but the master key has."""
_OF_TOKENS = frozenset({Permission.SAVED_QUERIES, Permission.CACHED_QUERIES, Permission.DATASETS})
"""Permissions of embed tokens, where their access key has them. Further ones are those that they allow."""
_USES = frozenset(Permission(use) for use in TokenUse)
"""The further ones."""
_NO_SQL = (
    "SQL is off for this key. An access key has it by 'options.queries.sql' beside the permission 'queries'; "
    "the read key, scoped keys and people who do not own the project by the project's preference 'sql'."
)
_NOT_BY_TOKEN = "This embed token may not do that"
_OF_SHARE = "share/"
"""The beginning of the ids of callers with the token of a dashboard's share."""
_OF_TOKEN = "/embed/"
"""Between an access key's id and the rest, in the id of an embed token: its own id, and when it expires."""
_WRITE = frozenset({Permission.WRITES})
_VIEWER = _READ | {Permission.QUERY_DEFINITION, Permission.DEFINITIONS}
_OF_ROLES = {
    Role.VIEWER: _VIEWER,
    Role.EDITOR: _VIEWER | {Permission.WRITES, Permission.EDITS},
    Role.OWNER: _ALL,
}
_OF_PERSON = "person/"
"""The beginning of the ids of callers who are people with a session."""


_BY_OPERATION = {"read": _READ, "write": _WRITE}


@dataclass(frozen=True, slots=True)
class Caller:
    """A project and what the caller may do in it. ``forced_filters`` apply to everything that it reads."""

    project: Project
    permissions: frozenset[Permission]
    forced_filters: tuple[Filter, ...] = ()
    options: Options = NO_OPTIONS
    """Options of an access key."""
    key_id: str = ""
    """Identifies the key without revealing it."""
    counted_as: str = ""
    """The id under which limits count the key. All scoped keys of a project are counted together, and all
    embed tokens with their access key, since the holder of one can make others."""
    embed: EmbedGrant | None = None
    """What an embed token is limited to; None for keys. Definitions and filters are not shown to a token."""
    role: Role | None = None
    """The role of a person with a session; None for keys."""

    def require(self, *any_of: Permission) -> None:
        """Check that the caller has one of these permissions.

        Raises AdminOnly where only the master key has it, and Forbidden where another key could.
        """
        if not self.permissions.isdisjoint(any_of):
            return
        if self.embed is not None:
            raise _refusal_of_token(self.embed, frozenset(any_of))
        if any_of == (Permission.SQL,):
            raise Forbidden(_NO_SQL)
        if self.role is not None:
            raise Forbidden(f"Your role in this project, {self.role}, does not allow that.")
        if OF_MASTER_KEY.issuperset(any_of):
            raise AdminOnly
        given = {Permission.QUERIES if one in _OF_QUERIES else one for one in any_of}
        raise Forbidden(f"This key may not do that: it lacks the permission {_either(given)}.")

    def excluded(self, what: str, condition: str = "") -> Forbidden:
        """The error where options of the key, or names in a token's condition, leave something out."""
        if self.embed is None:
            return Forbidden(f"This key may not do that: its options exclude {what}.")
        if not condition:
            return Forbidden(f"{_NOT_BY_TOKEN}: the options of its access key exclude {what}.")
        return Forbidden(
            f"This embed token does not show {what}: its maker would have to name it in '{condition}', and "
            "the options of its access key must not exclude it."
        )

    def filters_for(self, kind: Permission) -> tuple[Filter, ...]:
        """The filters on what this caller sees of events by requests of this kind."""
        if kind in (Permission.SAVED_QUERIES, Permission.CACHED_QUERIES):
            return self.forced_filters + self.options.saved_filters
        if kind is Permission.QUERIES:
            return self.forced_filters + self.options.query_filters
        if kind is Permission.SCHEMA:
            # Names reveal as much as events do, so the filters of all kinds of queries apply.
            others = (
                added for added in self.options.saved_filters if added not in self.options.query_filters
            )
            return self.forced_filters + self.options.query_filters + tuple(others)
        return self.forced_filters

    @property
    def is_filtered(self) -> bool:
        """Whether filters hide events from this caller in any kind of request. The filters in definitions are
        then not shown to it."""
        return bool(self.filters_for(Permission.SCHEMA))

    @property
    def sees_all_answers(self) -> bool:
        """Whether the caller may query, and nothing narrows what it sees."""
        rest = replace(self.options, autofill=None, quotas={}, embed_origins=None, sql=False)
        narrowed = self.embed is not None or self.forced_filters or rest != NO_OPTIONS
        return Permission.QUERIES in self.permissions and not narrowed

    def admits_saved(self, name: str, *, cached: bool) -> bool:
        """Whether the key may read the result of the saved query ``name``, which is ``cached`` or not."""
        kind = Permission.CACHED_QUERIES if cached else Permission.SAVED_QUERIES
        names = self.options.cached if cached else self.options.saved
        return kind in self.permissions and names.admit(name)

    def require_saved(self, name: str, *, cached: bool) -> None:
        """Raises Forbidden where the key may not read the result of this saved query."""
        if not self.admits_saved(name, cached=cached):
            self.require(Permission.CACHED_QUERIES if cached else Permission.SAVED_QUERIES)
            raise self.excluded("this saved query", "saved_queries")

    def require_definition(self, name: str, *kinds_cached: bool) -> None:
        """Raises Forbidden where the options exclude the saved query ``name`` as all of the kinds given:
        True for cached, False for uncached."""
        name_sets = (self.options.cached if cached else self.options.saved for cached in kinds_cached)
        if not any(names.admit(name) for names in name_sets):
            raise self.excluded("this saved query")

    def require_dataset(
        self, name: str | None, operation: str, index_by: Mapping[str, Any] | None = None
    ) -> None:
        """Check access to a dataset, or to the list of datasets where ``name`` is None. Raises Forbidden.

        ``operation`` is read, list or retrieve; ``index_by`` has the index values whose results are read.
        """
        scope = self.options.datasets
        if self.embed is not None and operation != READ:
            raise Forbidden("An embed token shows results of datasets: lists and definitions need a key.")
        if operation not in scope.operations:
            raise self.excluded(f"the operation '{operation}'")
        if name is not None and not scope.names.admit(name):
            raise self.excluded("this dataset", "datasets")
        for path, allowed in scope.index_by.get(name or "", {}).items() if index_by is not None else ():
            if index_by is None or path not in index_by or not _among(index_by[path], allowed):
                raise self.excluded(f"this value of '{path}'")


def _refusal_of_token(grant: EmbedGrant, any_of: frozenset[Permission]) -> ApiError:
    """The error for an embed token that has none of these permissions: what would have to be otherwise."""
    if any_of <= OF_MASTER_KEY:
        return AdminOnly("This call needs the project's master key: no embed token may make it.")
    lacks = f"{_NOT_BY_TOKEN}: its access key lacks the permission"
    results, uses = any_of & _OF_TOKENS, any_of & _USES
    if results:
        return Forbidden(f"{lacks} {_either(results)}.")
    if not uses:
        return Forbidden(f"{_NOT_BY_TOKEN}: it needs a key with the permission {_either(any_of)}.")
    if uses.isdisjoint(map(Permission, grant.uses)):
        return Forbidden(
            f"This embed token does not allow that: its maker would have to name {_either(uses)} in 'allow'."
        )
    if grant.key_asks and Permission.SCHEMA not in uses:
        return Forbidden(f"{_NOT_BY_TOKEN}: the options of its access key exclude extraction.")
    given = {Permission.QUERIES if one in _OF_QUERIES else one for one in uses}
    return Forbidden(f"{lacks} {_either(given)}.")


def _either(permissions: Iterable[Permission]) -> str:
    return " or ".join(f"'{permission}'" for permission in sorted(permissions))


def _among(value: Any, allowed: tuple[Any, ...]) -> bool:
    """Whether a value is among the allowed ones by JSON equality, where true is not 1."""
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in allowed)


class TenantSource(Protocol):
    """Source of changed projects, keys and organisations."""

    def version(self) -> int: ...

    def since(self, version: int) -> TenantChanges: ...


class KeyLookups(Protocol):
    """Finds an access key by its digest, or by its public id."""

    def find(self, project_id: str, digest: str) -> AccessKey | None: ...

    def find_public(self, project_id: str, public_id: str) -> AccessKey | None: ...


class ProjectKeys(Protocol):
    """Lists the access keys of a project."""

    def of_project(self, project_id: str) -> Iterable[AccessKey]: ...


@dataclass(frozen=True, slots=True)
class _TokenKey:
    """An access key as the maker of embed tokens."""

    caller: Caller
    public_id: str
    secrets: TokenSecrets


class _KnownTenants:
    """The projects and organisations as of the last read of the catalog.

    Changed under a lock, by replacing whole entries, so that an event loop can read it without the lock.
    """

    def __init__(self) -> None:
        self.projects: dict[str, Project] = {}
        self.organisations: dict[str, Organisation] = {}
        self._by_master_key: dict[bytes, tuple[str, ...]] = {}
        """Digest of a master key → ids of the projects that have it, for lookups in constant time."""
        self._own_keys: dict[bytes, int] = {}
        """Digest of a project's own key → number of uses by projects."""
        self._granted: dict[tuple[str, str], tuple[Project, Caller | None]] = {}
        """(project id, digest of a key) → the caller, None for an invalid key, with the project record of
        which this is true: a change of any of the project's keys replaces its record."""
        self._token_keys: dict[tuple[str, str], tuple[Project, _TokenKey | None]] = {}
        """(project id, public id) → the access key, likewise."""
        self._tokens: OrderedDict[tuple[str, str], tuple[Project, Caller]] = OrderedDict()
        """(project id, valid embed token) → its caller, likewise."""
        self._tokens_length = 0
        self._tokens_lock = threading.Lock()

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
        projects = (project for project in found if project is not None)
        return tuple(sorted(projects, key=lambda project: project.created_us))

    def is_own_key(self, digest: bytes) -> bool:
        return digest in self._own_keys

    def granted(self, project: Project, digest: str) -> tuple[Caller | None] | None:
        """The cached caller of the key, in a tuple (its caller is None for an invalid key); None if not
        cached."""
        entry = self._granted.get((project.id, digest))
        return (entry[1],) if entry is not None and entry[0] is project else None

    def grant(self, project: Project, digest: str, caller: Caller | None) -> None:
        if len(self._granted) >= GRANTED_MAX:
            self._granted.clear()
        self._granted[project.id, digest] = project, caller

    def token_key(self, project: Project, public_id: str) -> tuple[_TokenKey | None] | None:
        """As ``granted``, by the public id that embed tokens name an access key by."""
        entry = self._token_keys.get((project.id, public_id))
        return (entry[1],) if entry is not None and entry[0] is project else None

    def enter_token_key(self, project: Project, public_id: str, key: _TokenKey | None) -> None:
        if len(self._token_keys) >= GRANTED_MAX:
            self._token_keys.clear()
        self._token_keys[project.id, public_id] = project, key

    def token(self, project: Project, text: str) -> Caller | None:
        """The cached caller of an embed token that was found valid."""
        entry = self._tokens.get((project.id, text))
        return entry[1] if entry is not None and entry[0] is project else None

    def enter_token(self, project: Project, text: str, caller: Caller) -> None:
        """Cache a valid token. Bounded by the tokens' length, to which what they say is in proportion: who
        holds a token can make others."""
        with self._tokens_lock:
            if self._tokens.pop((project.id, text), None) is None:
                self._tokens_length += len(text)
            self._tokens[project.id, text] = project, caller
            while self._tokens_length > TOKENS_LENGTH_MAX:
                (_, oldest), _ = self._tokens.popitem(last=False)
                self._tokens_length -= len(oldest)

    def _enter_keys(self, project: Project) -> None:
        for digest in _own_digests(project):
            self._own_keys[digest] = self._own_keys.get(digest, 0) + 1
        master = _digest(project.master_key)
        others = (other_id for other_id in self._by_master_key.get(master, ()) if other_id != project.id)
        self._by_master_key[master] = (*others, project.id)

    def _drop_keys(self, old: Project) -> None:
        """Drop the keys of a record that was replaced or removed."""
        for digest in _own_digests(old):
            self._own_keys[digest] -= 1
            if not self._own_keys[digest]:
                del self._own_keys[digest]
        now, master = self.projects.get(old.id), _digest(old.master_key)
        if now is None or now.master_key != old.master_key:
            self._by_master_key[master] = left = tuple(
                project_id for project_id in self._by_master_key[master] if project_id != old.id
            )
            if not left:
                del self._by_master_key[master]


def _own_digests(project: Project) -> tuple[bytes, ...]:
    return tuple(map(_digest, (project.master_key, project.write_key, project.read_key)))


class Tenants:
    """A cache of the catalog's projects, at most ``POLL_SECONDS`` old. Thread-safe.

    Unknown projects and keys, and changes by this process, are read at once: a client uses a key as soon as
    it has made it.
    """

    def __init__(
        self,
        changed: TenantSource,
        access_keys: KeyLookups,
        keyring: Keyring,
        clock: Callable[[], float] = time.monotonic,
        executor: Executor | None = None,
        shares: SharedBoards | None = None,
    ) -> None:
        """``executor`` runs the catalog reads of callers on an event loop. Without ``shares`` no token of a
        share is valid."""
        self._shares = shares
        self._changed = changed
        self._access_keys = access_keys
        self._executor = executor
        self._keyring = keyring
        self._clock = clock
        self._lock = threading.Lock()
        self._version = -1
        self._read_at = float("-inf")
        self._change_lock = threading.Lock()
        """Locked only briefly, by an event loop too; ``_lock`` is locked while the catalog is read."""
        self._changes = 0
        """Number of changes by this process; a read of the catalog that began before a change is not taken as
        fresh."""
        self._watchers: list[Callable[[Sequence[str]], None]] = []
        self._known = _KnownTenants()
        self._warned: set[tuple[str, str]] = set()
        """(project id, preference) pairs whose refused scoped keys were logged."""

    def watch(self, changed: Callable[[Sequence[str]], None]) -> None:
        """Register a callback, which may be called from any thread. It gets the ids of projects that changed
        or whose keys changed; an empty sequence means that any project may have changed."""
        self._watchers.append(changed)

    def changing(self, work: Callable[[], T]) -> T:
        """Run work that changes projects or keys, then refresh the cache and return the result. Blocks."""
        result = work()
        try:
            self._refresh()
        except StorageError:
            # The change is committed all the same; the cache follows as soon as the catalog can be read.
            self.look_again()
        return result

    def look_again(self) -> None:
        """Invalidate the cache: nothing may be answered from before this call."""
        with self._change_lock:
            self._changes += 1
            self._read_at = float("-inf")
        self._notify(())

    def _notify(self, project_ids: Sequence[str]) -> None:
        for changed in self._watchers:
            changed(project_ids)

    def known(self, project_id: str) -> Project | None:
        """The cached project, without reading the catalog."""
        return self._known.projects.get(project_id)

    def counted_as(self, project_id: str, key: str) -> str:
        """The id under which limits count a key that was just authenticated. Does not read the catalog."""
        project = self._known.projects.get(project_id)
        if project is None:
            return ""
        if _permissions(project, key) is not None:
            return key_id(key)
        if len(key) > ACCESS_KEY_LENGTH and _HEXADECIMAL.fullmatch(key):
            return _scopes_of(project)
        return self._keyring.digest(project.id, key)

    async def keep_fresh(self) -> None:
        """Refresh the cache until cancelled, so often that requests rarely wait for a read of the catalog."""
        while True:
            # After a failure, requests read the catalog themselves and report the error.
            with suppress(StorageError):
                await in_thread(self._executor, self._refresh)
            await asyncio.sleep(POLL_SECONDS / 4)

    async def caller(self, project_id: str, key: str | None) -> Caller:
        """As ``authenticate``, for an event loop: answered from the cache where possible."""
        if self._is_fresh(POLL_SECONDS):
            cached = self._known_caller(project_id, key)
            if cached is not None:
                return cached
        return await in_thread(self._executor, self.authenticate, project_id, key)

    async def project(self, project_id: str) -> Project | None:
        """As ``find``, for an event loop."""
        cached = self._known.projects.get(project_id) if self._is_fresh(POLL_SECONDS) else None
        return cached or await in_thread(self._executor, self.find, project_id)

    async def organisation_named(self, organisation_id: str) -> Organisation | None:
        """The organisation with this id, for an event loop."""
        if not self._is_fresh(POLL_SECONDS) or organisation_id not in self._known.organisations:
            await in_thread(self._executor, self._refresh)
        return self._known.organisations.get(organisation_id)

    async def projects_of(self, organisation_ids: Collection[str]) -> list[Project]:
        """The projects of these organisations, oldest first, for an event loop."""
        if not self._is_fresh(POLL_SECONDS):
            await in_thread(self._executor, self._refresh, POLL_SECONDS)
        found = [
            one for one in list(self._known.projects.values()) if one.organisation_id in organisation_ids
        ]
        return sorted(found, key=lambda project: project.created_us)

    async def organisation_of(self, organisation_id: str, key: str | None) -> Organisation:
        """As ``organisation``, for an event loop."""
        return await in_thread(self._executor, self.organisation, organisation_id, key)

    async def mastered(self, key: str | None) -> tuple[Project, ...]:
        """The projects with this master key, oldest first.

        Raises AdminOnly for another key of some project and for embed tokens, InvalidKey for an unknown one.
        """
        if not self._is_fresh(POLL_SECONDS):
            await in_thread(self._executor, self._refresh, POLL_SECONDS)
        if not key:
            raise InvalidKey
        if is_embed_token(key):
            raise AdminOnly("This call needs a project's master key: no embed token may make it.")
        digest = _digest(key)
        projects = self._known.mastered(digest)
        if not projects:
            raise AdminOnly if self._known.is_own_key(digest) else InvalidKey
        return projects

    def _is_fresh(self, older_than_seconds: float) -> bool:
        return self._clock() - self._read_at < older_than_seconds

    def find(self, project_id: str) -> Project | None:
        """The project; reads the catalog again if it is not cached."""
        self._refresh(POLL_SECONDS)
        project = self._known.projects.get(project_id)
        if project is None:
            self._refresh()
            project = self._known.projects.get(project_id)
        return project

    def authenticate(self, project_id: str, key: str | None) -> Caller:
        """The caller with this key. Raises NotFound for an unknown project, then InvalidKey."""
        if self.find(project_id) is None:
            raise unknown_project(project_id)
        caller = self._caller(project_id, key)
        if caller is None and key:
            self._refresh()
            caller = self._caller(project_id, key)
        if caller is None:
            raise InvalidKey(_hint(key) or self._scoped_hint(project_id, key))
        return caller

    def _scoped_hint(self, project_id: str, key: str | None) -> str | None:
        """Why the project refuses a scoped key that was made with its master key; None for any other key."""
        project = self._known.projects.get(project_id)
        if project is None or not key or len(key) > KEY_LENGTH_MAX:
            return None
        scope = scope_of(key, project.master_key)
        problem = None if scope is None else _scope_problem(project, scope)
        if problem is None:
            return None
        reason, switch = problem
        with self._change_lock:
            is_first = (project_id, switch) not in self._warned and len(self._warned) < WARNED_MAX
            if is_first:
                self._warned.add((project_id, switch))
        if is_first:
            _log.warning(
                "Project %s: %s To accept them anyway, at the risk that docs/keys.md describes: "
                "acumen projects update %s --set %s=true",
                project_id,
                reason,
                project_id,
                switch,
            )
        return f"{reason} Ask the project's owner for an access key."

    def _caller(self, project_id: str, key: str | None) -> Caller | None:
        """The caller with this key; None where it is not a key of the project, or is revoked."""
        cached = self._known_caller(project_id, key)
        if cached is not None:
            return cached
        project = self._known.projects.get(project_id)
        if project is None or not key or len(key) > KEY_LENGTH_MAX:
            return None
        if is_embed_token(key):
            return self._by_token(project, key)
        digest = self._keyring.digest(project.id, key)
        granted = self._known.granted(project, digest)
        if granted is not None:
            return granted[0]
        caller = self._grant(project, key, digest)
        self._known.grant(project, digest, caller)
        return caller

    def _known_caller(self, project_id: str, key: str | None) -> Caller | None:
        """The caller with this key, from the cache alone; None if it is not cached."""
        project = self._known.projects.get(project_id)
        if project is None or not key or len(key) > KEY_LENGTH_MAX:
            return None
        if is_embed_token(key):
            return self._current(self._known.token(project, key))
        permissions = _permissions(project, key)
        if permissions is not None:
            own_id = key_id(key)
            return Caller(project, permissions, key_id=own_id, counted_as=own_id)
        granted = self._known.granted(project, self._keyring.digest(project.id, key))
        return None if granted is None else granted[0]

    def _current(self, caller: Caller | None) -> Caller | None:
        """The caller, unless it has the token of a share and the catalog has changed since."""
        if caller is None or caller.embed is None or not caller.embed.share_id:
            return caller
        grant, shares = caller.embed, self._shares
        current = shares is not None and shares.is_current(grant.share_id, grant.share_version)
        return caller if current else None

    def _grant(self, project: Project, key: str, digest: str) -> Caller | None:
        record = self._access_keys.find(project.id, digest)
        if record is not None:
            return caller_by_access_key(project, record) if record.is_active else None
        scope = scope_of(key, project.master_key)
        if scope is None or _scope_problem(project, scope) is not None:
            return None
        return _by_scope(project, scope, self._keyring.digest(project.id, _canonical(key)))

    def _by_token(self, project: Project, text: str) -> Caller | None:
        """The caller with this embed token; None where no access key and no share of the project made it."""
        try:
            token = read_token(text)
            key = self._token_key(project, token.public_id)
            if key is not None:
                caller = _by_embed_token(key, token.opened(key.secrets))
            else:
                board = None if self._shares is None else self._shares.find(project.id, token.public_id)
                if self._shares is None or board is None:
                    return None
                caller = _by_share(project, board, token.opened(board.secrets))
                self._shares.note_use(board)
        except BadToken:
            return None
        self._known.enter_token(project, text, caller)
        return caller

    def _token_key(self, project: Project, public_id: str) -> _TokenKey | None:
        """The active access key with this public id, with what opens its tokens."""
        known = self._known.token_key(project, public_id)
        if known is not None:
            return known[0]
        record = self._access_keys.find_public(project.id, public_id)
        key = None
        if record is not None and record.is_active:
            try:
                text = self._keyring.unseal(record.sealed, seal_context(project.id, record.digest))
            except WrongSecret:
                return None
            key = _TokenKey(caller_by_access_key(project, record), public_id, TokenSecrets.of(text))
        self._known.enter_token_key(project, public_id, key)
        return key

    def organisation(self, organisation_id: str, key: str | None) -> Organisation:
        """The organisation, if the key is its own. Raises NotFound for an unknown one, then InvalidKey."""
        self._refresh(POLL_SECONDS)
        organisation = self._known.organisations.get(organisation_id)
        if organisation is None:
            self._refresh()
            organisation = self._known.organisations.get(organisation_id)
        if organisation is None:
            raise NotFound.named("organization", organisation_id)
        if not key or not _equal(organisation.key, key):
            raise InvalidKey(OF_ORGANISATION)
        return organisation

    def _refresh(self, older_than_seconds: float = 0.0) -> None:
        """Read the catalog if the last read is older than this. Takes a few µs where nothing has changed."""
        if self._is_fresh(older_than_seconds):
            return
        with self._lock:
            read_at, changes = self._clock(), self._changes
            if read_at - self._read_at < older_than_seconds:
                return
            self._read_changes()
            with self._change_lock:
                if changes == self._changes:
                    self._read_at = read_at

    def _read_changes(self) -> None:
        """Read only what has changed since the last read."""
        if self._changed.version() != self._version:
            changes = self._changed.since(self._version)
            self._known.apply(changes)
            self._version = changes.version
            changed = [*(project.id for project in changes.projects), *changes.gone_projects]
            if changed:
                self._notify(changed)


def unknown_project(project_id: str) -> NotFound:
    """The error for a project that does not exist, or that a person has no role in."""
    return NotFound(f"Resource not found: no project has the id '{project_id[:64]}'.")


def caller_in_role(project: Project, role: Role, person_id: str) -> Caller:
    """The caller for a person with this role in the project."""
    own_id = f"{_OF_PERSON}{person_id}"
    return Caller(project, _with_sql(project, _OF_ROLES[role]), key_id=own_id, counted_as=own_id, role=role)


def person_of(key_id: str) -> str | None:
    """The id of the person whose ``Caller.key_id`` this is; None where it is a key's."""
    return key_id.removeprefix(_OF_PERSON) if key_id.startswith(_OF_PERSON) else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def key_of(authorization: str | None, api_key: str | None) -> str | None:
    """The key of a request: the ``Authorization`` header unless it is blank, else ``api_key``."""
    header = (authorization or "").strip()
    return header or api_key


def _hint(key: str | None) -> str | None:
    """An error message for an embed token, the same for all that are wrong with it, and for a key with the
    authorization scheme of other APIs; None for other keys."""
    if _TOKEN_LIKE.match(key or ""):
        return (
            "This embed token is not valid for this project: it was changed or cut, its access key is gone "
            "or revoked, or the server does not understand what it says. Which of these is not said."
        )
    scheme = (key or "").split(" ", 1)[0].lower()
    if " " not in (key or "") or scheme not in ("bearer", "basic", "token", "apikey"):
        return None
    return f"{InvalidKey.message} The header holds the key alone: leave out '{scheme.title()}'."


def key_id(key: str) -> str:
    """A short id of a key, equal on all workers and for all spellings. It does not reveal the key."""
    return hashlib.blake2b(_canonical(key).encode("utf-8", "replace"), digest_size=12).hexdigest()


def _canonical(key: str) -> str:
    """The canonical spelling of a key: scoped keys are hexadecimal, and equal in letters of either case."""
    key = key.strip()
    return key.lower() if _HEXADECIMAL.fullmatch(key) else key


def access_key_of(key_id: str) -> str:
    """The digest of the access key of a caller with this ``Caller.key_id``, if it has one."""
    return key_id.partition(_OF_TOKEN)[0]


def key_lives(project: Project, wanted_id: str, access_key: AccessKey | None, now: float) -> bool:
    """Whether the key with this ``Caller.key_id`` is still valid for the project. ``access_key`` is the one
    with the digest ``access_key_of`` that id, if there is one. ``now``: Unix seconds."""
    if access_key is not None:
        expires_at = wanted_id.partition(_OF_TOKEN)[2].partition("/")[2]
        return access_key.is_active and not (expires_at and now >= int(expires_at))
    own = (project.master_key, project.write_key, project.read_key)
    if wanted_id.startswith(_scopes_of(project)):
        return is_on(project.preferences, SCOPED_KEYS)
    return wanted_id in map(key_id, own)


def key_names(access_keys: ProjectKeys, project: Project) -> dict[str, str]:
    """Key id, as counted by limits → name of the key, for all keys of a project."""
    own = {"master key": project.master_key, "write key": project.write_key, "read key": project.read_key}
    names = {key_id(key): name for name, key in own.items()}
    names[_scopes_of(project)] = "scoped keys"
    return names | {key.digest: key.name for key in access_keys.of_project(project.id)}


def _scopes_of(project: Project) -> str:
    """The prefix of the ids of scoped keys: they are valid as long as the master key that made them."""
    return f"{key_id(project.master_key)}/"


def caller_by_access_key(project: Project, key: AccessKey) -> Caller:
    """The caller with this access key, whether it is active or not."""
    options = stored_options(dict(key.options))
    permissions = frozenset(Permission(name) for name in key.permitted)
    if Permission.QUERIES in permissions:
        # Which files were asked for may be looked at without the right to ask for another.
        permissions |= _OF_QUERIES if options.extraction else {Permission.EXPORTS}
        if options.sql and options.extraction:
            permissions |= {Permission.SQL}
    return Caller(project, permissions, options=options, key_id=key.digest, counted_as=key.digest)


def _by_embed_token(key: _TokenKey, links: Sequence[TokenLink]) -> Caller:
    """The access key's caller, narrowed by the token's conditions. Raises BadToken."""
    made_by = key.caller
    grant, options, filters = granted(
        links,
        made_by.options,
        public_id=key.public_id,
        key_sees_dashboards=made_by.sees_all_answers,
        key_asks=Permission.QUERIES in made_by.permissions,
    )
    kept = _OF_TOKENS | {Permission(use) for use in grant.uses}
    permissions = made_by.permissions & kept
    expires_at = "" if grant.expires_at is None else grant.expires_at
    return replace(
        made_by,
        permissions=permissions,
        forced_filters=filters,
        options=options,
        key_id=f"{made_by.key_id}{_OF_TOKEN}{grant.token_id}/{expires_at}",
        embed=grant,
    )


def _by_share(project: Project, board: SharedBoard, links: Sequence[TokenLink]) -> Caller:
    """The caller with the token of a share, or one that was narrowed from it. Raises BadToken."""
    grant, options, filters = granted(
        links,
        NO_OPTIONS,
        public_id=board.public_id,
        key_sees_dashboards=True,
        key_asks=True,
        maker=board.conditions,
    )
    own_id = f"{_OF_SHARE}{board.id}"
    return Caller(
        project,
        frozenset({Permission.SAVED_QUERIES, Permission.CACHED_QUERIES}),
        filters,
        # A tile may show raw events; the right to ask for others is not there.
        replace(options, extraction=True),
        key_id=own_id,
        counted_as=own_id,
        embed=replace(grant, share_id=board.id, share_version=board.version),
    )


def _scope_problem(project: Project, scope: Scope) -> tuple[str, str] | None:
    """Why the project refuses a key with this scope, and the preference that would accept it; None if it does
    not refuse it."""
    if not is_on(project.preferences, SCOPED_KEYS):
        return "This project does not accept scoped keys.", SCOPED_KEYS
    if not scope.filters and not is_on(project.preferences, SCOPED_KEYS_WITHOUT_FILTERS):
        return "This project does not accept scoped keys without filters.", SCOPED_KEYS_WITHOUT_FILTERS
    return None


def _by_scope(project: Project, scope: Scope, digest: str) -> Caller | None:
    """The caller with this scope; None where its filters are invalid: without them it would see too much."""
    try:
        check_filters(scope.filters, "filters")
        filters = parse_filters(scope.filters, Limits(), conservative_regex_check)
    except (InvalidQuery, QueryLimitExceeded):
        return None
    permissions = frozenset[Permission]().union(*(_BY_OPERATION[operation] for operation in scope.operations))
    scopes = _scopes_of(project)
    return Caller(
        project, _with_sql(project, permissions), filters, key_id=scopes + digest, counted_as=scopes
    )


def _permissions(project: Project, key: str | None) -> frozenset[Permission] | None:
    """The permissions of a project's own key; None for any other. Compares with all keys in constant time."""
    if not key:
        return None
    master = _equal(project.master_key, key)
    write = _equal(project.write_key, key)
    read = _equal(project.read_key, key)
    if master:
        return _ALL
    if not (write or read):
        return None
    return _with_sql(project, (_WRITE if write else frozenset()) | (_READ if read else frozenset()))


def _with_sql(project: Project, permissions: frozenset[Permission]) -> frozenset[Permission]:
    """The permissions, with SQL for who may see all events if the project's preferences say so."""
    if Permission.EXTRACTIONS in permissions and is_on(project.preferences, SQL):
        return permissions | {Permission.SQL}
    return permissions


def _equal(known: str, given: str) -> bool:
    return hmac.compare_digest(known.encode(), given.encode("utf-8", "surrogatepass"))
