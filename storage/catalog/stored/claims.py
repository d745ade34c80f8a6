"""Claims to uniqueness tokens and idempotency keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from sqlalchemy import Connection, LargeBinary, and_, bindparam, cast, delete, func, select
from sqlalchemy.dialects import sqlite

from storage.catalog.database.connection import VALUES_MAX, slices, upsert
from storage.catalog.repository import Repository
from storage.catalog.state import held_us
from storage.catalog.stored.records import (
    SHARE_LENGTH,
    SHARED,
    Claim,
    TokenHolder,
    event_scope,
    request_scope,
    shared_scope,
    shared_token,
)
from storage.catalog.tables import claim_counts, claims, collections

_INSERT = upsert(claims)
_CLAIM = _INSERT.on_conflict_do_update(
    index_elements=[claims.c.scope, claims.c.token],
    set_={name: _INSERT.excluded[name] for name in ("log_id", "ordinal", "digest", "response", "claimed_us")},
    where=claims.c.claimed_us <= bindparam("expired_us"),
)
_CLAIM_TEXT = str(_CLAIM.compile(dialect=sqlite.dialect(paramstyle="qmark")))
"""With the values of a row of ``claims``, then ``expired_us``. As text, since claims come by the thousand
and what SQLAlchemy does for each row of parameters costs more than what SQLite does."""
_FIND = select(
    claims.c.scope,
    claims.c.token,
    claims.c.log_id,
    claims.c.ordinal,
    claims.c.digest,
    claims.c.response,
    claims.c.claimed_us,
).where(claims.c.scope == bindparam("of"), claims.c.token.in_(bindparam("tokens", expanding=True)))
_VOID = delete(claims).where(
    claims.c.log_id == bindparam("log_id"), claims.c.ordinal.in_(bindparam("ordinals", expanding=True))
)
_OLDEST = (
    select(claims.c.scope, claims.c.token)
    .where(claims.c.claimed_us < bindparam("before"))
    .order_by(claims.c.claimed_us)
    .limit(bindparam("most"))
)
_COUNT = select(func.coalesce(func.sum(claim_counts.c.count), 0)).where(
    claim_counts.c.scope.in_(bindparam("scopes", expanding=True))
)
_COLLECTIONS = select(collections.c.id).where(collections.c.project_id == bindparam("wanted"))
_PURGE = delete(claims).where(
    and_(claims.c.scope == bindparam("of"), claims.c.token == bindparam("held")),
    claims.c.claimed_us < bindparam("before"),
)

_UNCLAIM = delete(claims).where(
    claims.c.scope == bindparam("of"),
    claims.c.token == bindparam("held"),
    claims.c.log_id == bindparam("of_log"),
    claims.c.ordinal <= bindparam("of_ordinal"),
)
_UNCLAIM_SHARED = delete(claims).where(
    claims.c.scope == bindparam("of"),
    claims.c.token > bindparam("held"),
    claims.c.token < bindparam("beyond"),
    func.length(cast(claims.c.token, LargeBinary)) == bindparam("bytes"),
    claims.c.log_id == bindparam("of_log"),
    claims.c.ordinal <= bindparam("of_ordinal"),
)
_ANY_CLAIM = select(claims.c.scope).where(claims.c.scope == bindparam("of")).limit(1)


class Claims(Repository):
    """Claims to tokens and idempotency keys. Readers do not cache them, so changes raise no version."""

    def take(self, claims: list[Claim], now_us: int, ttl_us: int) -> list[Claim]:
        """Claims tokens. Returns for each entry the claim that now has its (scope, token): the entry itself,
        or an earlier one. Where every entry got its own, that is the list that was given.

        Claims older than ``ttl_us`` are replaced. Of entries with the same token the first one wins.
        """
        if not claims:
            return []
        with self._database.writing() as connection:
            return _claim(connection, claims, held_us(connection, now_us) - ttl_us)

    def find(self, pairs: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Claim]:
        """The existing claims to these (scope, token) pairs, including expired ones."""
        with self._database.reading() as connection:
            return _claims_of(connection, pairs)

    def kept(self, project_id: str) -> int:
        """The number of stored uniqueness tokens and idempotency keys of the project."""
        with self._database.reading() as connection:
            scopes = [request_scope(project_id)]
            for row in connection.execute(_COLLECTIONS, {"wanted": project_id}).all():
                scopes += event_scope(row.id), shared_scope(row.id)
            return sum(
                int(connection.execute(_COUNT, {"scopes": batch}).scalar_one()) for batch in slices(scopes)
            )

    def void(self, log_id: int, ordinals: Sequence[int]) -> None:
        """Removes the claims of these ordinals of this log."""
        with self._database.writing() as connection:
            for batch in slices(ordinals):
                connection.execute(_VOID, {"log_id": log_id, "ordinals": batch})

    def purge(self, before_us: int, limit: int) -> int:
        """Removes at most ``limit`` claims made before then, oldest first; returns how many."""
        with self._database.reading() as connection:
            if connection.execute(_OLDEST, {"before": before_us, "most": 1}).first() is None:
                # A read first, so that other writers do not have to wait if there is nothing to remove.
                return 0
        with self._database.writing() as connection:
            rows = connection.execute(_OLDEST, {"before": before_us, "most": limit}).all()
            if rows:
                values = [{"of": scope, "held": token, "before": before_us} for scope, token in rows]
                connection.execute(_PURGE, values)
            return len(rows)

    def free(self, holders: Iterable[TokenHolder]) -> None:
        """Removes the claims of events that are about to be deleted."""
        with self._database.writing() as connection:
            forget_claims(connection, holders)


def _claim(connection: Connection, entries: list[Claim], expired_us: int) -> list[Claim]:
    """Claims tokens. Returns for each entry the claim that now has its token: the entry itself, or an earlier
    one.

    A claim made at ``expired_us`` or before is replaced. Of entries with the same token the first one wins.
    """
    first: dict[tuple[str, str], Claim] = {}
    for entry in entries:
        first.setdefault(entry[:2], entry)
    if not first:
        return []
    rows = [(*entry, expired_us) for entry in first.values()]
    changed = connection.exec_driver_sql(_CLAIM_TEXT, rows).rowcount
    if changed == len(rows):
        # Nearly always: each is new, or has replaced an expired one.
        return entries if len(entries) == len(rows) else [first[entry[:2]] for entry in entries]
    claims_now = _claims_of(connection, first)
    return [claims_now[entry[:2]] for entry in entries]


def _claims_of(connection: Connection, pairs: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Claim]:
    """The existing claims to these (scope, token) pairs, expired or not."""
    tokens: dict[str, list[str]] = {}
    for scope, token in dict.fromkeys(pairs):
        tokens.setdefault(scope, []).append(token)
    existing: dict[tuple[str, str], Claim] = {}
    for scope, scope_tokens in tokens.items():
        for batch in slices(scope_tokens):
            for row in connection.execute(_FIND, {"of": scope, "tokens": batch}):
                existing[(row.scope, row.token)] = Claim(*row)
    return existing


def forget_claims(connection: Connection, holders: Iterable[TokenHolder]) -> None:
    """Removes the claims of deleted events, where the events still own them."""
    rest = iter(holders)
    while batch := list(islice(rest, VALUES_MAX)):
        rows = [
            {"of": holder.scope, "held": holder.token, "of_log": holder.log_id, "of_ordinal": holder.ordinal}
            for holder in batch
        ]
        connection.execute(_UNCLAIM, rows)
        _forget_shared(connection, batch)


def _forget_shared(connection: Connection, holders: Sequence[TokenHolder]) -> None:
    """As ``forget_claims``, for claims in shared scopes (of keys with an autofill).

    A stored event does not show which key sent it, so its claim is found by log and ordinal.
    """
    shared = {holder.scope: holder.scope + SHARED for holder in holders}
    shared = {
        own: scope for own, scope in shared.items() if connection.execute(_ANY_CLAIM, {"of": scope}).first()
    }
    rows = [
        {
            "of": shared[holder.scope],
            "held": shared_token(holder.token, ""),
            "beyond": shared_token(holder.token, "\x7f"),
            "bytes": len(shared_token(holder.token, "0" * SHARE_LENGTH).encode()),
            "of_log": holder.log_id,
            "of_ordinal": holder.ordinal,
        }
        for holder in holders
        if holder.scope in shared
    ]
    if rows:
        connection.execute(_UNCLAIM_SHARED, rows)
