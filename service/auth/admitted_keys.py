"""The keys that a worker admitted a moment ago, so that most requests need no thread and no catalog."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor

from service.auth.access_keys import Json
from service.auth.principal import POLL_SECONDS, Caller, Permission, Tenants, key_of
from service.errors import ApiError
from service.limits.quotas import Quotas, Tally
from service.threads import in_thread

ADMITTED_MAX = 20_000
"""Pairs of project and key that are cached."""
KEY_LENGTH_MAX = 512
"""Longer keys are not cached: a client that sent many of them could fill the memory."""
LOOK_US = 100_000

ProjectKey = tuple[str, bytes]
"""A project's id, and a key as a request gave it."""


class AdmittedKeys:
    """The keys with certain permissions, cached for ``POLL_SECONDS`` or until ``tenants`` reports a change.

    Belongs to one event loop, but for ``forget_changed``. Times are of the monotonic clock, in µs: setting
    the wall clock back must not prolong the life of a revoked key.
    """

    def __init__(
        self, tenants: Tenants, quotas: Quotas, executor: Executor, permissions: Iterable[Permission]
    ) -> None:
        self._tenants = tenants
        self._quotas = quotas
        self._executor = executor
        self._permissions = tuple(permissions)
        self._until: dict[ProjectKey, int] = {}
        self._filling: dict[ProjectKey, tuple[int, Json]] = {}
        """Keys with autofill, kept apart: the fast path does not admit them."""
        self._tallies: dict[ProjectKey, Tally] = {}
        """The tallies of the keys in ``_until`` and ``_filling``."""
        self._looking: set[ProjectKey] = set()
        tenants.watch(self.forget_changed)

    @property
    def until(self) -> Mapping[ProjectKey, int]:
        """Keys without autofill → until when they need no new lookup."""
        return self._until

    @property
    def tallies(self) -> Mapping[ProjectKey, Tally]:
        """The cached keys' tallies."""
        return self._tallies

    async def admit(self, project_id: str, key: bytes, at_us: int) -> Json | None:
        """The properties that the key adds to each event; None where it adds none.

        A key that was admitted until ``at_us`` or later is not looked up. Raises ApiError for an unknown
        project, a wrong key, a key that lacks a permission, in this order.
        """
        pair = (project_id, key)
        if self._until.get(pair, 0) >= at_us:
            return None
        filling = self._filling.get(pair)
        if filling is not None and filling[0] >= time.monotonic_ns() // 1000:
            return filling[1]
        if pair in self._until and pair not in self._looking:
            # One request looks the key up again; concurrent ones go on meanwhile for up to ``LOOK_US``.
            self._until[pair] = time.monotonic_ns() // 1000 + LOOK_US
        self._looking.add(pair)
        decoded = key_of(key.decode("latin-1"), None)
        try:
            caller, tally = await in_thread(self._executor, self._identify, project_id, decoded)
        except ApiError:
            self._forget(pair)
            raise
        finally:
            self._looking.discard(pair)
        self._forget(pair)
        autofill = caller.options.autofill or None
        if len(key) <= KEY_LENGTH_MAX:
            self._remember(pair, autofill, tally)
        return autofill

    def tally(self, project_id: str, key: bytes) -> Tally:
        """The tally that counts for a key that was just admitted."""
        tally = self._tallies.get((project_id, key))
        if tally is not None:
            return tally
        counted_as = self._tenants.counted_as(project_id, key_of(key.decode("latin-1"), None) or "")
        return self._quotas.tally(project_id, counted_as)

    def forget_changed(self, project_ids: Sequence[str]) -> None:
        """Forget the keys of these projects, or of all if the list is empty. Called from any thread.

        They are looked up again at their next request.
        """
        if not project_ids:
            self._forget_all()
        changed = set(project_ids)
        for pair in [*self._until, *self._filling]:
            if pair[0] in changed:
                self._forget(pair)

    def _identify(self, project_id: str, key: str | None) -> tuple[Caller, Tally]:
        """The caller of the key, and its tally. Blocks. Raises ApiError."""
        caller = self._tenants.authenticate(project_id, key)
        caller.require(*self._permissions)
        tally = self._quotas.tally(project_id, caller.counted_as)
        tally.limits = caller.options.quotas
        self._quotas.prepare(tally)
        return caller, tally

    def _forget(self, pair: ProjectKey) -> None:
        self._until.pop(pair, None)
        self._filling.pop(pair, None)
        self._tallies.pop(pair, None)

    def _forget_all(self) -> None:
        self._until.clear()
        self._filling.clear()
        self._tallies.clear()

    def _remember(self, pair: ProjectKey, autofill: Json | None, tally: Tally) -> None:
        if len(self._until) + len(self._filling) >= ADMITTED_MAX:
            self._forget_all()
        until = time.monotonic_ns() // 1000 + int(POLL_SECONDS * 1_000_000)
        self._tallies[pair] = tally
        if autofill is None:
            self._until[pair] = until
        else:
            self._filling[pair] = (until, autofill)
