"""The live tail, ``…/events/C/tail``: events as they arrive, as server-sent events."""

from __future__ import annotations

import asyncio
import time

from starlette.responses import Response

from query.language.filters import parse_filters
from query.language.nodes import Filter
from query.language.parameters import check_filters
from query.language.query_string import from_query_string
from service.api_paths import PROJECTS
from service.auth.principal import Permission
from service.errors import ApiError, InvalidParameter, ServiceUnavailable
from service.http.authorization import Rule, check_same, needs
from service.http.error_rendering import render
from service.http.middleware import Receive, Scope, Send
from service.http.openapi.operation import STRING, DocumentedAnswer, Example, in_header, in_query
from service.http.request import (
    check_parameters,
    collection_before,
    count_rate,
    gone_of,
    pairs_of,
    parameter,
)
from service.http.routing import OfProject, ProjectCall, RouteArea
from service.limits.rate_limiter import Rate
from service.queries.arrival_finder import TailView
from service.queries.live_tails import Tail
from service.queries.tail_cursor import CURSOR_LENGTH_MAX, UnknownCursor

QUIET_SECONDS = 15.0
"""After this long without a message a comment is sent, so that clients and proxies see that it goes on."""
CHECK_SECONDS = 0.5
"""How often an open tail looks whether the server stops, and twice that long whether its key is as it was."""
WRITE_BYTES = 48 << 10
_RULE: Rule = needs(Permission.TAIL)
_PATH = f"{PROJECTS}/{{project_id}}/events/{{event_collection}}/tail"
_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    # nginx would keep the events until its buffer is full.
    "x-accel-buffering": "no",
}

area = RouteArea("tail", "See events as they arrive.")


@area.get(
    f"{PROJECTS}/{{project_id}}/events/{{event_collection:path}}/tail",
    _RULE,
    "The events of a collection as they arrive, as server-sent events",
    {200: DocumentedAnswer("The events, until either side ends it.", content={"text/event-stream": STRING})},
    parameters=(
        in_query("filters", STRING, "Only events for which these hold: a JSON list, as in questions."),
        in_query("after", STRING, "The `id` of the last message that came: go on after it."),
        in_header("Last-Event-ID", STRING, "As `after`, which it replaces; browsers send it."),
    ),
    examples=(
        Example({"event_collection": "purchases"}, key="read"),
        Example({"event_collection": "purchases"}, query={"filters": "[{]"}, key="read", status=400),
        Example({"event_collection": "purchases"}, key="write", status=403),
    ),
)
async def tail(call: OfProject) -> Response:
    """Each message has an `event`, `data` and an `id`, after which the tail can be resumed.

    The data of an `event` is one event's JSON, as in an extraction. A `gap` says that events were left out
    (`{"events": 7}`, or null where it is not known how many), and `end` why the server ends the stream, as an
    error does. After 15 seconds without a message a comment is sent."""
    parts, request, caller = call
    if parts.lifecycle.stopping:
        raise ServiceUnavailable("The server is stopping.")
    count_rate(parts.rates, request, caller, Rate.EXTRACTIONS)
    pairs = pairs_of(request.scope)
    check_parameters(
        [(name.partition("[")[0], value) for name, value in pairs], ("filters", "after"), "a tail"
    )
    after = request.headers.get("last-event-id") or parameter(pairs, "after") or ""
    if len(after) > CURSOR_LENGTH_MAX:
        raise InvalidParameter("'after' is longer than any cursor.")
    given = from_query_string([pair for pair in pairs if pair[0] != "after"]).get("filters")
    own = await parts.in_thread(_filters, call, given)
    view = TailView.of(caller, collection_before(request.scope, "/tail"), own)
    if request.method == "HEAD":
        return Response(status_code=200, headers=_HEADERS)
    return TailStream(call, await _opened(call, view, after))


def _filters(call: ProjectCall, given: object) -> tuple[Filter, ...]:
    """The filters of the request. Raises InvalidQuery."""
    service = call.parts.query_service
    if service.strict:
        check_filters(given, "filters")
    return parse_filters(given, service.limits, service.check_regex)


async def _opened(call: ProjectCall, view: TailView, after: str) -> Tail:
    """The tail, with the events that came since the cursor. Raises ApiError, QueryError, StorageError."""
    tails, service = call.parts.tails, call.parts.query_service
    if not after:
        return await tails.open(view, held=False)
    try:
        position = tails.cursors.read(after, view.project_id)
    except UnknownCursor:
        opened = await tails.open(view, held=False)
        opened.skip()
        return opened
    opened = await tails.open(view, held=True)
    try:
        shown, whole = await service.during(
            call.caller,
            "extraction",
            lambda token: tails.finder.since(view, position, tails.limits.resumed_events_max, token),
            gone_of(call.request),
        )
        opened.go_on(position, shown, whole=whole)
    except BaseException:
        opened.close()
        raise
    return opened


class TailStream(Response):
    """Sends a tail until its client goes, its key ends or the server stops."""

    def __init__(self, call: ProjectCall, opened: Tail) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._call = call
        self._tail = opened
        self._checked = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tail = self._tail
        tail.claim()
        gone = asyncio.ensure_future(gone_of(self._call.request)())
        gone.add_done_callback(lambda _: tail.wake.set())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send_all(send, gone)
        finally:
            tail.close()
            gone.cancel()

    async def _send_all(self, send: Send, gone: asyncio.Future[None]) -> None:
        tail, spoken = self._tail, float("-inf")
        while not gone.done():
            reason = tail.ended or await self._reason()
            if reason is not None:
                error = b"event: end\ndata: %s\n\n" % render(reason).body
                await send(_part(error, more=False))
                return
            tail.wake.clear()
            content = tail.take(WRITE_BYTES)
            if not content and time.monotonic() - spoken >= QUIET_SECONDS:
                content = _quiet(tail)
            if content:
                await send(_part(content))
                spoken = time.monotonic()
                continue
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await tail.wake.wait()
            except TimeoutError:
                pass

    async def _reason(self) -> ApiError | None:
        """Why the tail must end now; None where it may go on."""
        parts, request, caller = self._call
        if parts.lifecycle.stopping:
            return ServiceUnavailable("The server is stopping.")
        now = time.monotonic()
        if now - self._checked < 2 * CHECK_SECONDS:
            return None
        self._checked = now
        try:
            check_same(caller, await _RULE.admit(parts, request))
        except ApiError as error:
            return error
        return None


def _quiet(tail: Tail) -> bytes:
    """A comment, with the cursor to go on from."""
    return b": the tail goes on\nid: %s\n\n" % tail.cursor.encode()


def _part(body: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": more}
