"""Claims to uniqueness tokens and idempotency keys. Each function runs in its caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, and_, bindparam, delete, func, select

from storage.catalog.database.connection import slices, upsert
from storage.catalog.records import Claim, event_scope, request_scope, shared_scope
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
_COLLECTIONS = select(collections.c.id, collections.c.generation).where(
    collections.c.project_id == bindparam("wanted")
)
_PURGE = delete(claims).where(
    and_(claims.c.scope == bindparam("of"), claims.c.token == bindparam("held")),
    claims.c.claimed_us < bindparam("before"),
)


def claim(connection: Connection, wanted: Sequence[Claim], expired_us: int) -> list[Claim]:
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
    held = claims_of(connection, first)
    return [held[(entry.scope, entry.token)] for entry in wanted]


def claims_of(connection: Connection, pairs: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Claim]:
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


def kept_tokens(connection: Connection, project_id: str) -> int:
    """How many tokens and keys of the project are kept, expired ones until they are purged."""
    scopes = [request_scope(project_id)]
    for row in connection.execute(_COLLECTIONS, {"wanted": project_id}).all():
        scopes += event_scope(row.id, row.generation), shared_scope(row.id, row.generation)
    return sum(int(connection.execute(_KEPT, {"scopes": some}).scalar_one()) for some in slices(scopes))


def void_claims(connection: Connection, log_id: int, ordinals: Sequence[int]) -> None:
    """Frees the tokens that these events of this log hold."""
    for some in slices(ordinals):
        connection.execute(_VOID, {"log_id": log_id, "ordinals": some})


def any_expired(connection: Connection, before_us: int) -> bool:
    return connection.execute(_OLDEST, {"before": before_us, "most": 1}).first() is not None


def purge_claims(connection: Connection, before_us: int, limit: int) -> int:
    """Removes the oldest claims made before ``before_us``, at most ``limit``; returns how many."""
    rows = connection.execute(_OLDEST, {"before": before_us, "most": limit}).all()
    if rows:
        connection.execute(_PURGE, [{"of": s, "held": t, "before": before_us} for s, t in rows])
    return len(rows)
