"""Pages fetched by HTTP: what of them is new, and what an answer that is none means."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from time import time
from typing import Any

import httpx
import msgspec
from msgspec import Raw

from service.ingest.log_session import admission_limits
from service.outbound.errors import OutboundError, OutboundRefused
from service.outbound.fetching import Asking, Fetched, Fetcher, bounds_of
from service.outbound.policy import policy_of
from service.outbound.urls import origin_of
from service.pipelines.connections.definition import revealed
from service.pipelines.sources.cursors import CursorWindow, TooManyTies, earlier
from service.pipelines.sources.definition import FetchedPages, RowFaults, SourceDefinition
from service.pipelines.sources.portions import Faults, PortionTooLarge, PortionWriter
from service.pipelines.sources.rows import RowMaker, value_at
from service.settings import Settings
from service.workflows.errors import RunFailed, RunPostponed, RunRefused
from storage.catalog.catalog import Catalog
from storage.catalog.sources.records import Portion, StoredSource

RETRY_AFTER_SECONDS_MAX = 86_400.0
_AGAIN = frozenset({408, 425, 429})
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')
_list = msgspec.json.Decoder(list[Raw])
_members = msgspec.json.Decoder(dict[str, Raw])


@dataclass(frozen=True, slots=True)
class _Page:
    rows: list[bytes]
    next: httpx.URL | None


class PageReading:
    """Reads the pages of one source once. What they bring is a portion of all of them."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        definition: SourceDefinition,
        reads: FetchedPages,
        check: Callable[[], None],
        fetcher: Fetcher | None = None,
    ) -> None:
        self._catalog, self._settings, self._definition, self._reads = catalog, settings, definition, reads
        self._check = check
        self._fetcher = fetcher or Fetcher(policy_of(settings), bounds_of(settings))
        self._maker = RowMaker(definition.rows, admission_limits(settings))
        self.bytes = 0
        """What was read so far."""

    def read(self, source: StoredSource, spool: Path) -> Portion | None:
        """None where nothing has changed. Raises RunRefused, RunFailed, RunPostponed, OSError."""
        window = CursorWindow(source.position, self._reads.overlap_us)
        try:
            with PortionWriter(spool, source.id, self._settings.source_bytes) as writer:
                return self._read(source, window, writer)
        except _Unchanged:
            return None
        except TooManyTies as error:
            raise RunRefused(str(error)) from None
        except PortionTooLarge:
            raise self._too_large() from None

    def _read(self, source: StoredSource, window: CursorWindow, writer: PortionWriter) -> Portion:
        first = self._first_url(window)
        url: httpx.URL | None = first
        headers, faults, whole = self._headers(source), Faults(), hashlib.sha256()
        stamps: dict[str, Any] = {}
        asked = set[str]()
        while url is not None:
            self._check()
            asked.add(str(url))
            number = len(asked)
            more = _conditions(source.position, first) if number == 1 else {}
            answer = self._fetched(url, {**headers, **more})
            self.bytes += len(answer.body)
            if self.bytes > self._settings.source_bytes:
                raise self._too_large()
            whole.update(hashlib.sha256(answer.body).digest())
            if number == 1:
                stamps = _stamps(answer, first)
            page = self._page(answer, number, first, url)
            self._add(page.rows, number, window, writer, faults)
            if page.next is not None and (str(page.next) in asked or number >= self._reads.pages):
                raise RunRefused(
                    f"Page {number} leads back to one before."
                    if str(page.next) in asked
                    else f"There are more than {number:,} pages: 'pages' allows more."
                )
            url = page.next
        if faults.number and self._definition.rows.faults is RowFaults.FAIL:
            raise RunRefused(f"Nothing was stored: {faults.text()}")
        content = whole.hexdigest()
        if self._reads.cursor is None and source.position.get("content") == content:
            raise _Unchanged
        position = {**window.position(), **stamps, "content": content}
        return writer.end(position, refused=faults.number, problem=faults.text())

    def _first_url(self, window: CursorWindow) -> httpx.URL:
        reads = self._reads
        url = httpx.URL(reads.connection.url)
        since = reads.start if window.value is None else earlier(window.value, reads.overlap_us)
        if reads.cursor_parameter is not None and since is not None:
            url = url.copy_set_param(reads.cursor_parameter, str(since))
        return url

    def _headers(self, source: StoredSource) -> dict[str, str]:
        given = self._reads.connection.headers.items()
        own = {name: revealed(self._catalog, source.project_id, text) for name, text in given}
        return {"accept": "application/json", **own}

    def _fetched(self, url: httpx.URL, headers: Mapping[str, str]) -> Fetched:
        """Raises RunRefused, RunFailed, RunPostponed, _Unchanged."""
        try:
            answer = self._fetcher.fetch_now(Asking("GET", str(url), headers))
        except OutboundRefused as error:
            raise RunRefused(str(error)) from None
        except OutboundError as error:
            raise RunFailed(str(error)) from None
        if answer.status == 304:
            raise _Unchanged
        if 200 <= answer.status < 300:
            return answer
        said = f"{answer.origin} answered with {answer.status}."
        wait = _retry_after(answer.headers.get("retry-after", ""))
        if wait is not None and (answer.status in _AGAIN or answer.status >= 500):
            raise RunPostponed(f"{said} It asks to be left alone for {wait:,.0f} seconds.", wait)
        raise (RunFailed if answer.status >= 500 or answer.status in _AGAIN else RunRefused)(said)

    def _page(self, answer: Fetched, number: int, first: httpx.URL, url: httpx.URL) -> _Page:
        """Raises RunRefused."""
        try:
            if self._reads.lines:
                rows = [line for line in answer.body.splitlines() if line.strip()]
                return _Page(rows, self._linked(answer, first, url))
            whole = Raw(answer.body)
            rows = [bytes(row) for row in _list.decode(_found(whole, self._reads.events))]
            return _Page(rows, self._next(whole, first, url) or self._linked(answer, first, url))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            where = ".".join(self._reads.events)
            what = f"has no list at '{where}'" if where else "is no list of JSON objects"
            raise RunRefused(f"Page {number} {what}: {error}.") from None

    def _next(self, whole: Raw, first: httpx.URL, url: httpx.URL) -> httpx.URL | None:
        """The next page by what the answer says. Raises RunRefused."""
        if not self._reads.next:
            return None
        try:
            found = msgspec.json.decode(_found(whole, self._reads.next))
        except msgspec.MsgspecError:
            return None
        if found is None or found == "" or isinstance(found, bool | dict | list):
            return None
        if self._reads.next_parameter is not None:
            return first.copy_set_param(self._reads.next_parameter, str(found))
        return _onward(first, url, str(found))

    def _linked(self, answer: Fetched, first: httpx.URL, url: httpx.URL) -> httpx.URL | None:
        """The next page by the header ``Link``. Raises RunRefused."""
        found = None if self._reads.next else _NEXT.search(answer.headers.get("link", ""))
        return None if found is None else _onward(first, url, found[1])

    def _add(
        self,
        rows: list[bytes],
        number: int,
        window: CursorWindow,
        writer: PortionWriter,
        faults: Faults,
    ) -> None:
        cursor = self._reads.cursor
        for index, row in enumerate(rows, 1):
            try:
                if cursor is not None and not window.take(_cursor_of(row, cursor), row):
                    continue
                writer.add(self._maker.event(row))
            except ValueError as error:
                faults.add(f"page {number}, row {index}", str(error))

    def _too_large(self) -> RunRefused:
        return RunRefused(
            f"The pages have more than {self._settings.source_bytes:,} bytes (ACUMEN_SOURCE_BYTES): ask for "
            "less at a time."
        )


class _Unchanged(Exception):
    """There is nothing that was not read before."""


def _found(whole: Raw, path: tuple[str, ...]) -> Raw:
    """What stands at a path. Raises MsgspecError where nothing does."""
    for name in path:
        members = _members.decode(whole)
        if name not in members:
            raise msgspec.ValidationError(f"there is no '{name}'")
        whole = members[name]
    return whole


def _cursor_of(row: bytes, path: tuple[str, ...]) -> Any:
    """Raises ValueError."""
    try:
        value = value_at(_members.decode(row), path)
    except (msgspec.MsgspecError, RecursionError):
        raise ValueError("It is no JSON object.") from None
    if value is None:
        raise ValueError(f"It has no '{'.'.join(path)}', which is the cursor.")
    return value


def _onward(first: httpx.URL, url: httpx.URL, text: str) -> httpx.URL:
    """The URL of the next page, of the same origin: header fields are sent along. Raises RunRefused."""
    try:
        found = url.join(text)
    except (httpx.InvalidURL, ValueError):
        raise RunRefused(f"{origin_of(first)} names a next page that is no URL.") from None
    if origin_of(found) != origin_of(first):
        raise RunRefused(f"{origin_of(first)} names a next page of another origin, {origin_of(found)}.")
    return found


def _stamps(answer: Fetched, url: httpx.URL) -> dict[str, Any]:
    """What the first page is asked for by the next time, if its URL is the same."""
    found = {name: answer.headers.get(name) for name in ("etag", "last-modified")}
    return {"url": _digest(url), **{name: text for name, text in found.items() if text is not None}}


def _conditions(position: Mapping[str, Any], url: httpx.URL) -> dict[str, str]:
    """The header fields that let the other side answer that nothing has changed."""
    if position.get("url") != _digest(url):
        return {}
    names = {"etag": "if-none-match", "last-modified": "if-modified-since"}
    return {header: position[name] for name, header in names.items() if name in position}


def _digest(url: httpx.URL) -> str:
    return hashlib.sha256(str(url).encode()).hexdigest()


def _retry_after(value: str) -> float | None:
    """The seconds that a header ``Retry-After`` asks for, within a day; None where it says nothing."""
    text = value.strip()
    try:
        if text.isascii() and text.isdigit():
            seconds = float(text[:10])
        else:
            seconds = parsedate_to_datetime(text).timestamp() - time()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)
