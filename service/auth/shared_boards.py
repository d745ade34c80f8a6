"""Shares of dashboards: what the token of each may see, as current as the catalog.

A share's token says nothing by itself. What it opens follows from the share and from the dashboard's document
as they are now: a tile that is added is shown, one that is removed is refused, and so is everything once the
share is revoked. The key of a share never leaves the server, so that nobody else makes tokens of it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from query.errors import InvalidQuery, QueryLimitExceeded
from query.language.filters import conservative_regex_check, parse_filters
from query.language.parameters import check_filters
from query.limits import Limits
from service.answerable import check_answerable
from service.auth.embed_conditions import EXPIRY_MAX, TokenConditions, read_conditions
from service.auth.embed_tokens import NONCE_SIZE, BadToken, TokenSecrets, made_token
from service.auth.origins import NULL_ORIGIN, ORIGINS_MAX, read_origins
from service.auth.shown_tiles import ShownTiles
from service.errors import InvalidParameter
from storage.catalog.catalog import Catalog
from storage.catalog.database.change_mark import Marks
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import DashboardShare, SharedDashboard
from storage.catalog.errors import WrongSecret
from storage.catalog.keyring import Keyring
from storage.errors import StorageError

SHARES_MAX = 100
"""Shares of one dashboard."""
CONDITIONS_BYTES_MAX = 65_536
TRUSTED_SECONDS = 0.4
"""How long the mark of changes is relied on: a process that dies after a write may not have changed it."""
KNOWN_MAX = 1_000
_DAY_US = 86_400_000_000
_NOTHING = b"{}"
"""The conditions in a share's token."""


@dataclass(frozen=True, slots=True)
class SharedBoard:
    """A share that is in force."""

    id: str
    public_id: str
    secrets: TokenSecrets = field(repr=False)
    conditions: TokenConditions
    """What its tokens may see."""
    version: int = field(compare=False)
    """That of the catalog at which this was so."""


class SharedBoards:
    """A cache of the shares whose tokens came, looked through again after every change. Thread-safe."""

    def __init__(self, catalog: Catalog, clock: Callable[[], int]) -> None:
        self._catalog = catalog
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[Marks, int, float] = ((), -1, float("-inf"))
        """The mark of changes, the version at that mark, and when they were read. Replaced as a whole: an
        event loop reads it without the lock."""
        self._known: dict[tuple[str, str], tuple[int, SharedDashboard | None, SharedBoard | None]] = {}
        self._used: dict[str, int] = {}
        """Id of a share → the last day whose use is stored."""

    def is_current(self, share_id: str, version: int) -> bool:
        """Whether nothing has changed since this version, and the use of the share is noted. Reads shared
        memory alone, for an event loop."""
        marks, seen_version, checked_at = self._seen
        trusted = time.monotonic() - checked_at < TRUSTED_SECONDS
        unchanged = version == seen_version and self._catalog.mark(Area.DERIVED) == marks
        return trusted and unchanged and self._used.get(share_id) == self._clock() // _DAY_US

    def find(self, project_id: str, public_id: str) -> SharedBoard | None:
        """The share that a token names; None where there is none, or its dashboard is gone. Blocks."""
        version = self._renewed()
        known, found, board = self._known.get((project_id, public_id), (-2, None, None))
        if known == version:
            return board
        before, found = found, self._catalog.shares.find_public(project_id, public_id)
        if found is None:
            board = None
        elif board is not None and found == before:
            # Something else has changed.
            board = replace(board, version=version)
        else:
            board = _board(self._catalog.keyring, project_id, found, version)
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[project_id, public_id] = version, found, board
        return board

    def note_use(self, board: SharedBoard) -> None:
        """Store that the share is used today, once a day. Blocks."""
        today = self._clock() // _DAY_US
        if self._used.get(board.id) != today:
            if len(self._used) >= KNOWN_MAX:
                self._used.clear()
            self._used[board.id] = today
            with suppress(StorageError):
                self._catalog.shares.note_use(board.id)

    def _renewed(self) -> int:
        """The catalog's version now."""
        with self._lock:
            checked_at, marks = time.monotonic(), self._catalog.mark(Area.DERIVED)
            version = self._catalog.versions().derived
            self._seen = marks, version, checked_at
            return version


def _board(keyring: Keyring, project_id: str, found: SharedDashboard, version: int) -> SharedBoard | None:
    share = found.share
    key = key_of_share(keyring, project_id, share)
    if key is None:
        return None
    shown = ShownTiles.of(json.loads(found.document))
    try:
        own = read_conditions(share.conditions.encode())
    except BadToken:
        return None
    conditions = replace(
        own,
        saved_queries=shown.saved_queries,
        dashboards=frozenset({found.dashboard}),
        datasets=frozenset(),
        viewer=shown.controls if own.viewer is None else own.viewer,
    )
    return SharedBoard(share.id, share.public_id, TokenSecrets.of(key), conditions, version)


def seal_context(project_id: str, share_id: str) -> str:
    """The context under which a share's key is sealed."""
    return f"{project_id}/share/{share_id}"


def key_of_share(keyring: Keyring, project_id: str, share: DashboardShare) -> str | None:
    """The key of the share's token; None where it is sealed with another secret than the server's."""
    try:
        return keyring.unseal(share.sealed, seal_context(project_id, share.id))
    except WrongSecret:
        return None


def token_of(key: str) -> str:
    """The one token of a share with this key. Nothing else is sealed by the key, so that the nonce is used
    once."""
    return made_token(key, _NOTHING, bytes(NONCE_SIZE))


def read_share(sent: Mapping[str, Any], now_us: int) -> str:
    """The conditions of a new share, as JSON. Raises InvalidParameter, which names the field."""
    conditions = {name: sent[name] for name in ("expires_at", "origins", "viewer", "filters") if name in sent}
    conditions = {name: value for name, value in conditions.items() if value is not None}
    check_answerable(conditions, "share")
    _check_filters(conditions.get("filters"))
    expires_at = conditions.get("expires_at")
    if expires_at is not None and not now_us // 1_000_000 < expires_at <= EXPIRY_MAX:
        raise InvalidParameter(
            f"'expires_at' must be in Unix seconds and lie ahead. You specified: {expires_at}."
        )
    if "origins" in conditions and not read_origins(conditions["origins"]):
        raise InvalidParameter(
            f"'origins' must be a list of 1 to {ORIGINS_MAX} origins, as https://shop.example, or "
            f"'{NULL_ORIGIN}' for sandboxed frames. Leave it out, and every page may show the frame."
        )
    viewer = conditions.get("viewer")
    if viewer is not None:
        conditions["viewer"] = {name: value for name, value in viewer.items() if value is not None}
    text = json.dumps(conditions, separators=(",", ":"))
    if len(text) > CONDITIONS_BYTES_MAX:
        raise InvalidParameter(f"A share may have at most {CONDITIONS_BYTES_MAX:,} bytes.")
    try:
        read_conditions(text.encode())
    except BadToken:
        raise InvalidParameter("'viewer' or 'filters' of the share cannot be used.") from None
    return text


def _check_filters(filters: Any) -> None:
    if filters is None:
        return
    try:
        check_filters(filters, "filters")
        parse_filters(filters, Limits(), conservative_regex_check)
    except (InvalidQuery, QueryLimitExceeded) as error:
        raise InvalidParameter(str(error)) from None
