"""What the conditions of an embed token say, and how all of its chain narrow what an access key may do.

Conditions are only ever added: each link of a chain leaves what the links before it allow, or takes from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NoReturn

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.fields import encodable
from query.language.filters import conservative_regex_check, parse_filters
from query.language.nodes import Filter
from query.language.parameters import check_filters
from query.limits import Limits
from service.auth.access_keys import DatasetScope, Names, Options
from service.auth.embed_tokens import BadToken, TokenLink
from service.auth.origins import NO_ORIGIN, NULL_ORIGIN, frame_ancestors, origin_of, read_origins
from service.errors import EmbedTokenExpired, OriginNotAllowed
from service.limits.embed_budgets import Budget

QUERIES_MAX = 2**31 - 1
EXPIRY_MAX = 2**53
READ = "read"
"""The one operation on datasets that tokens may do: definitions are not for viewers."""
_ID_BYTES = 16


class TokenUse(StrEnum):
    """What a token may do beyond reading results of saved queries, datasets and dashboards."""

    QUERIES = "queries"
    EXTRACTIONS = "extractions"
    TAIL = "tail"
    SCHEMA = "schema"
    EXPORTS = "exports"


@dataclass(frozen=True, slots=True)
class Viewer:
    """What a viewer may change of a saved query. ``filters``: the properties that filters may be added on."""

    timeframe: bool = False
    interval: bool = False
    filters: frozenset[str] = frozenset()

    def __and__(self, other: Viewer) -> Viewer:
        return Viewer(
            self.timeframe and other.timeframe, self.interval and other.interval, self.filters & other.filters
        )


@dataclass(frozen=True, slots=True)
class TokenConditions:
    """The conditions of one link; None for those that it does not have."""

    filters: tuple[Filter, ...] = ()
    saved_queries: frozenset[str] | None = None
    dashboards: frozenset[str] | None = None
    datasets: frozenset[str] | None = None
    expires_at: int | None = None
    """Unix seconds."""
    origins: frozenset[str] | None = None
    queries: int | None = None
    allow: frozenset[TokenUse] | None = None
    viewer: Viewer | None = None


@dataclass(frozen=True, slots=True)
class EmbedGrant:
    """What an embed token is limited to beyond the filters, names and permissions of its caller."""

    token_id: str
    key_public_id: str
    expires_at: int | None
    origins: tuple[frozenset[str], ...]
    """The request's origin must be in each of these."""
    budgets: tuple[Budget, ...]
    viewer: Viewer | None
    """None: a viewer may change nothing."""
    dashboards: frozenset[str] | None
    """None: those that the access key sees."""
    key_sees_dashboards: bool
    """Whether the access key sees all of the project's dashboards."""
    key_asks: bool
    """Whether the access key may ask questions."""
    uses: frozenset[TokenUse]
    filtered_by_holder: bool
    """Whether somebody who held the token, and not its maker alone, has added filters."""
    share_id: str = ""
    """The share of a dashboard whose token it is; empty for tokens of access keys."""
    share_version: int = field(default=-1, compare=False)
    """That of the catalog at which the share allowed this."""

    def check_expiry(self, now: float) -> None:
        """Raises EmbedTokenExpired."""
        if self.expires_at is not None and now >= self.expires_at:
            raise EmbedTokenExpired

    def check_origin(
        self,
        origins: Sequence[str],
        referers: Sequence[str],
        is_own: Callable[[str], bool],
        *,
        opens_page: bool = False,
    ) -> None:
        """Raises OriginNotAllowed where a request with these headers may not use the token.

        ``is_own`` says whether an origin is this server's. Its only pages that use tokens are those for
        frames, which were delivered for an allowed origin. ``opens_page``: a browser asks for a page of its
        own, not for one in a frame. The link of a share may be opened like that, wherever it stands.
        """
        if not self.origins:
            return
        origin = _origin(origins, referers)
        if self.share_id and (opens_page or origin == NO_ORIGIN):
            return
        if is_own(origin) or all(origin in allowed for allowed in self.origins):
            return
        raise OriginNotAllowed.of(origin if origin != NO_ORIGIN else None)

    @property
    def changeable(self) -> Viewer:
        """What a viewer may change, which needs the access key's right to ask questions too."""
        return self.viewer if self.viewer is not None and self.key_asks else Viewer()

    @property
    def frame_ancestors(self) -> str:
        return "*" if self.share_id and not self.origins else frame_ancestors(self.origins)


def _origin(origins: Sequence[str], referers: Sequence[str]) -> str:
    """The origin that a request names, by ``Origin`` or else by ``Referer``; empty where they say several."""
    if origins:
        # What a browser sends is compared as it is: an origin has one spelling.
        return origins[0] if len(origins) == 1 and origins[0] != NO_ORIGIN else ""
    if not referers:
        return NO_ORIGIN
    named = origin_of(referers[0]) if len(referers) == 1 else None
    return named if named not in (None, NULL_ORIGIN, NO_ORIGIN) and named is not None else ""


def read_conditions(text: bytes) -> TokenConditions:
    """The conditions in the JSON of a link. Raises BadToken for anything that is not understood.

    An unknown condition may be one that a newer version would obey, so it is never passed over.
    """
    try:
        members = json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise BadToken from None
    if not isinstance(members, dict) or not members.keys() <= _READERS.keys():
        raise BadToken
    return TokenConditions(**{name: _READERS[name](value) for name, value in members.items()})


def _closed(maker: TokenConditions) -> TokenConditions:
    """The maker's conditions, with the kinds of results closed that they do not name, where they name any: a
    token for one chart is none for all dashboards.

    Saved queries stay open beside named dashboards, which are made of them.
    """
    if not (maker.saved_queries or maker.dashboards or maker.datasets):
        return maker
    nothing = frozenset[str]()
    saved_are_open = maker.saved_queries is None and bool(maker.dashboards)
    return replace(
        maker,
        saved_queries=maker.saved_queries if saved_are_open else maker.saved_queries or nothing,
        dashboards=maker.dashboards or nothing,
        datasets=maker.datasets or nothing,
    )


def granted(
    links: Sequence[TokenLink],
    options: Options,
    *,
    public_id: str,
    key_sees_dashboards: bool,
    key_asks: bool,
    maker: TokenConditions | None = None,
) -> tuple[EmbedGrant, Options, tuple[Filter, ...]]:
    """What a chain leaves of a key with these options: the grant, the options, and the filters to add.

    ``maker``: conditions that stand for those of the first link, where they are not in the token. Raises
    BadToken.
    """
    conditions = [read_conditions(link.conditions) for link in links]
    if maker is not None:
        conditions[0] = maker
    conditions[0] = _closed(conditions[0])
    first, later = conditions[0], conditions[1:]
    uses = first.allow or frozenset()
    viewer = first.viewer
    for one in later:
        uses = uses if one.allow is None else uses & one.allow
        if one.viewer is not None and viewer is not None:
            viewer = viewer & one.viewer
    default = options.embed_origins if first.origins is None else first.origins
    origins = (default, *(one.origins for one in later))
    grant = EmbedGrant(
        token_id=links[-1].tag[:_ID_BYTES].hex(),
        key_public_id=public_id,
        expires_at=_earliest(conditions),
        origins=tuple(one for one in origins if one is not None),
        budgets=_budgets(links, conditions),
        viewer=viewer,
        dashboards=_common(one.dashboards for one in conditions),
        key_sees_dashboards=key_sees_dashboards,
        key_asks=key_asks,
        uses=uses,
        filtered_by_holder=any(one.filters for one in later),
    )
    saved = _common(one.saved_queries for one in conditions)
    datasets = _common(one.datasets for one in conditions)
    filters = tuple(item for one in conditions for item in one.filters)
    return grant, _narrowed(options, saved, datasets, uses), filters


def _narrowed(
    options: Options,
    saved: frozenset[str] | None,
    datasets: frozenset[str] | None,
    uses: frozenset[TokenUse],
) -> Options:
    scope = options.datasets
    return replace(
        options,
        autofill=None,
        saved=_within(options.saved, saved),
        cached=_within(options.cached, saved),
        datasets=DatasetScope(scope.operations & {READ}, _within(scope.names, datasets), scope.index_by),
        extraction=options.extraction and not uses.isdisjoint({TokenUse.EXTRACTIONS, TokenUse.EXPORTS}),
    )


def _within(names: Names, listed: frozenset[str] | None) -> Names:
    if listed is None:
        return names
    return Names(listed if names.allowed is None else names.allowed & listed, names.blocked)


def _common(sets: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """What is in all of the sets that there are; None where there is none."""
    given = [one for one in sets if one is not None]
    return frozenset.intersection(*given) if given else None


def _earliest(conditions: Iterable[TokenConditions]) -> int | None:
    return min((one.expires_at for one in conditions if one.expires_at is not None), default=None)


def _budgets(links: Sequence[TokenLink], conditions: Sequence[TokenConditions]) -> tuple[Budget, ...]:
    return tuple(
        Budget(link.tag[:_ID_BYTES], one.queries, _earliest(conditions[: number + 1]))
        for number, (link, one) in enumerate(zip(links, conditions, strict=True))
        if one.queries is not None
    )


def _filters(value: Any) -> tuple[Filter, ...]:
    if not isinstance(value, list):
        raise BadToken
    try:
        check_filters(value, "filters")
        return parse_filters(value, Limits(), conservative_regex_check)
    except (InvalidQuery, QueryLimitExceeded):
        raise BadToken from None


def _names(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) and encodable(one) for one in value):
        raise BadToken
    return frozenset(value)


def _whole(minimum: int, maximum: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise BadToken
        return value

    return read


def _origins(value: Any) -> frozenset[str]:
    origins = read_origins(value)
    if origins is None:
        raise BadToken
    return origins


def _allow(value: Any) -> frozenset[TokenUse]:
    names = _names(value)
    if not names <= _USES:
        raise BadToken
    return frozenset(map(TokenUse, names))


def _viewer(value: Any) -> Viewer:
    if not isinstance(value, dict) or not value.keys() <= {"timeframe", "interval", "filters"}:
        raise BadToken
    timeframe, interval = value.get("timeframe", False), value.get("interval", False)
    if not isinstance(timeframe, bool) or not isinstance(interval, bool):
        raise BadToken
    return Viewer(timeframe, interval, _names(value.get("filters", [])))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError for a name that occurs twice in one object: readers differ in which one counts."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name stands twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


_USES = frozenset(use.value for use in TokenUse)
_READERS: dict[str, Callable[[Any], Any]] = {
    "filters": _filters,
    "saved_queries": _names,
    "dashboards": _names,
    "datasets": _names,
    "expires_at": _whole(0, EXPIRY_MAX),
    "origins": _origins,
    "queries": _whole(1, QUERIES_MAX),
    "allow": _allow,
    "viewer": _viewer,
}
"""Name of a condition → what reads its value."""
