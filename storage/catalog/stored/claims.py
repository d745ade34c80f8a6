"""Claims to uniqueness tokens and idempotency keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from sqlalchemy import Connection, LargeBinary, and_, bindparam, cast, delete, func, select

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
_HELD = select(
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
_KEPT = select(func.coalesce(func.sum(claim_counts.c.count), 0)).where(
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
    """Claims to tokens and idempotency keys: no change of theirs is one that readers cache."""

    def take(self, claims: Sequence[Claim], now_us: int, ttl_us: int) -> list[Claim]:
        """For each entry the claim that holds its (scope, token): the entry itself, or an earlier one.

        Claims older than ``ttl_us`` give way. Of entries with one token the first counts.
        """
        if not claims:
            return []
        with self._database.writing() as connection:
            return _claim(connection, claims, held_us(connection, now_us) - ttl_us)

    def find(self, pairs: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Claim]:
        """The claims that exist for these (scope, token) pairs, expired ones too."""
        with self._database.reading() as connection:
            return _claims_of(connection, pairs)

    def kept(self, project_id: str) -> int:
        """How many uniqueness tokens and idempotency keys of the project are kept."""
        with self._database.reading() as connection:
            scopes = [request_scope(project_id)]
            for row in connection.execute(_COLLECTIONS, {"wanted": project_id}).all():
                scopes += event_scope(row.id), shared_scope(row.id)
            return sum(
                int(connection.execute(_KEPT, {"scopes": some}).scalar_one()) for some in slices(scopes)
            )

    def void(self, log_id: int, ordinals: Sequence[int]) -> None:
        """Frees the tokens held by these ordinals of this log."""
        with self._database.writing() as connection:
            for some in slices(ordinals):
                connection.execute(_VOID, {"log_id": log_id, "ordinals": some})

    def purge(self, before_us: int, limit: int) -> int:
        """Removes at most ``limit`` claims made before then, oldest first; returns how many."""
        with self._database.reading() as connection:
            if connection.execute(_OLDEST, {"before": before_us, "most": 1}).first() is None:
                # Nobody else who writes has to wait for a look.
                return 0
        with self._database.writing() as connection:
            rows = connection.execute(_OLDEST, {"before": before_us, "most": limit}).all()
            if rows:
                connection.execute(_PURGE, [{"of": s, "held": t, "before": before_us} for s, t in rows])
            return len(rows)

    def free(self, holders: Iterable[TokenHolder]) -> None:
        """Of events that are about to be no more."""
        with self._database.writing() as connection:
            forget_claims(connection, holders)


def _claim(connection: Connection, wanted: Sequence[Claim], expired_us: int) -> list[Claim]:
    """For each entry the claim that holds its token now: the entry itself, or an earlier one.

    A claim made at ``expired_us`` or before gives way. Of entries with one token the first counts.
    """
    first: dict[tuple[str, str], Claim] = {}
    for entry in wanted:
        first.setdefault((entry.scope, entry.token), entry)
    if not first:
        return []
    rows = [
        {
            "scope": entry.scope,
            "token": entry.token,
            "log_id": entry.log_id,
            "ordinal": entry.ordinal,
            "digest": entry.digest,
            "response": entry.response,
            "claimed_us": entry.claimed_us,
            "expired_us": expired_us,
        }
        for entry in first.values()
    ]
    connection.execute(_CLAIM, rows)
    held = _claims_of(connection, first)
    return [held[(entry.scope, entry.token)] for entry in wanted]


def _claims_of(connection: Connection, pairs: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Claim]:
    """The claims that exist for these (scope, token) pairs, expired or not."""
    tokens: dict[str, list[str]] = {}
    for scope, token in dict.fromkeys(pairs):
        tokens.setdefault(scope, []).append(token)
    held: dict[tuple[str, str], Claim] = {}
    for scope, own in tokens.items():
        for some in slices(own):
            for row in connection.execute(_HELD, {"of": scope, "tokens": some}):
                held[(row.scope, row.token)] = Claim(*row)
    return held


def forget_claims(connection: Connection, holders: Iterable[TokenHolder]) -> None:
    """Frees the tokens of events that are no more, where it is still they that have them."""
    rest = iter(holders)
    while some := list(islice(rest, VALUES_MAX)):
        rows = [
            {"of": one.scope, "held": one.token, "of_log": one.log_id, "of_ordinal": one.ordinal}
            for one in some
        ]
        connection.execute(_UNCLAIM, rows)
        _forget_shared(connection, some)


def _forget_shared(connection: Connection, holders: Sequence[TokenHolder]) -> None:
    """The same of keys with an autofill: events do not say which key's they were, but where they stand."""
    shared = {one.scope: one.scope + SHARED for one in holders}
    shared = {own: of for own, of in shared.items() if connection.execute(_ANY_CLAIM, {"of": of}).first()}
    rows = [
        {
            "of": shared[one.scope],
            "held": shared_token(one.token, ""),
            "beyond": shared_token(one.token, "\x7f"),
            "bytes": len(shared_token(one.token, "0" * SHARE_LENGTH).encode()),
            "of_log": one.log_id,
            "of_ordinal": one.ordinal,
        }
        for one in holders
        if one.scope in shared
    ]
    if rows:
        connection.execute(_UNCLAIM_SHARED, rows)
