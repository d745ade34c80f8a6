"""The write routes, as a bare ASGI application in front of everything else.

    POST /3.0/projects/P/events/C            one event
    POST /3.0/projects/P/events              lists of events; the answer has a verdict for each
    POST /3.0/projects/P/identities          which ids are one actor: events of a collection of their own
    GET  /3.0/projects/P/events/C?data=…     one event in a URL: pixel, redirect or JSONP; HEAD records none

All other requests go to ``next_app``, the ``RequestMiddleware`` with everything behind it. The write routes
bypass that layer, so they add request ids, headers and counts to their own answers. The cost of one request
here decides how many events per second the server accepts: known paths and keys are cached in dictionaries,
keyed by the bytes received.
"""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import itertools
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes

import orjson

from query.plan.actors import IDENTITIES
from service.auth.access_keys import Json
from service.auth.admitted_keys import AdmittedKeys
from service.auth.given_keys import given_keys
from service.auth.principal import Tenants
from service.bodies import body_thread
from service.bodies.reader import BodyReader, BodyTooLarge, ClientGone
from service.errors import InvalidParameter
from service.http.authorization import WRITES
from service.http.error_rendering import render
from service.http.fast_path import FastPath
from service.http.fixed_answer import FixedAnswer
from service.http.middleware import ALLOW_ORIGIN, EXPOSE, NO_STORE
from service.http.pixel import PIXEL, BadBeacon, check_callback, check_redirect, decode_data, is_callback
from service.ingest.autofill import fill_batch, fill_event
from service.ingest.batches import BatchVerdicts, Origin
from service.ingest.errors import EventRefused
from service.ingest.identities import checked_batch, checked_event
from service.ingest.ingestor import INLINE_EVENTS_MAX, Ingestor, synced
from service.ingest.sendgrid import batch_of
from service.limits.quotas import NoStore, Quotas, Tally
from service.telemetry.json_logging import REQUEST_ID, SECRETS, log_request, secrets_of
from service.telemetry.metrics import STATUSES, Metrics
from service.telemetry.refusals import Refusals
from storage.events.validation import Context

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

KNOWN_MAX = 20_000
"""Paths that are cached."""
KNOWN_LENGTH_MAX = 512
"""Longer paths are not cached: a client that sent many of them could fill the memory."""
SLOW_US = 300_000
"""If reading the body takes longer, the key's rights are checked again before the events are written."""
KEY_LENGTH_MAX = 255
CREATED = b'{"created":true}'
SUCCESS = b'{"success":true}'

CORS: Headers = [ALLOW_ORIGIN, EXPOSE]
_JSON = (b"content-type", b"application/json")
_KEY = b"idempotency-key"
_ANYWHERE = (b"cross-origin-resource-policy", b"cross-origin")
"""Lets pages under a cross-origin embedder policy (COEP) embed the answer."""
_NOSNIFF = (b"x-content-type-options", b"nosniff")

_DATA = re.compile(rb"(?:^|&)data=")
_SENDGRID = re.compile(rb"/3\.0/projects/([^/]+)/partners/sendgrid/versions/v3")
_IDENTITIES = re.compile(rb"/3\.0/projects/([^/]+)/identities")
_PATH = re.compile(rb"/3\.0/projects/([^/]+)/events(?:/(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class WriteLimits:
    """Size limits of bodies: one event, a bulk body as sent, and a compressed bulk body once inflated."""

    event_bytes_max: int = 900_000
    bulk_bytes_max: int = 10_000_000
    inflated_bytes_max: int = 25_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """What a path of a write route names; ``collection`` is None for the bulk route and the webhook."""

    project_id: str
    collection: str | None
    sendgrid: bool = False
    """Whether this is SendGrid's webhook, which sends a list in its own format."""
    identities: bool = False
    """Whether it takes statements of which ids belong to one actor: one, or a list."""


class WriteApi:
    """The write routes of one worker.

    Keys are looked up in ``tenants`` on a thread of ``executor``, at most once in half a second unless
    ``tenants`` reports a change. ``client_ip`` returns the address of a request's client. ``admit`` raises
    where a project or key has used up its rate, and otherwise returns the rate headers of the answer.
    """

    def __init__(
        self,
        next_app: AsgiApp,
        ingestor: Ingestor,
        tenants: Tenants,
        *,
        bodies: BodyReader,
        limits: WriteLimits,
        executor: Executor,
        client_ip: Callable[[Scope], str],
        quotas: Quotas | None = None,
        admit: Callable[[str, bytes], Headers] | None = None,
        metrics: Metrics | None = None,
        refusals: Refusals | None = None,
        access_log: bool = False,
    ) -> None:
        self._next = next_app
        self._ingestor = ingestor
        self._bodies = bodies
        self._limits = limits
        self._event_bytes_max = limits.event_bytes_max
        self._client_ip = client_ip
        self._admit = admit
        self._quotas = quotas or Quotas(NoStore(), {}, lambda _: None)
        self._keys = AdmittedKeys(tenants, self._quotas, executor, WRITES.permissions)
        self._access_log = access_log
        metrics = metrics or Metrics()
        self._refusals = refusals or Refusals(metrics, 0)
        self._seconds = metrics.histogram("acumen_request_seconds", "record")
        self._answers = [metrics.counter("acumen_requests_total", "record", status) for status in STATUSES]
        self._accepted = metrics.counter("acumen_events_total", "accepted")
        self._doubled = metrics.counter("acumen_events_total", "duplicate")
        self._refused = metrics.counter("acumen_events_total", "refused")
        self._targets: dict[bytes, Target | None] = {}
        self._id_prefix = secrets.token_hex(6).encode()
        self._ids = itertools.count(1)
        self.express: FastPath | None = None
        """The fast path, which bypasses this application for plain single events."""
        if admit is None and not access_log:
            size = (b"content-length", b"%d" % len(CREATED))
            self.express = FastPath(
                ingestor,
                bodies,
                metrics,
                self._refusals,
                answer=FixedAnswer(201, [_JSON, size, *CORS], CREATED),
                allowed=self._keys.until,
                tallies=self._keys.tallies,
                target=self._known_target,
                request_id=self._new_id,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: bytes = scope.get("raw_path") or scope["path"].encode()
            try:
                target = self._targets[path]
            except KeyError:
                target = self._remember_target(path)
            if target is not None:
                if scope["method"] == "POST":
                    return await self._post(target, scope, receive, send)
                if (
                    scope["method"] in ("GET", "HEAD")
                    and target.collection is not None
                    and _DATA.search(scope["query_string"])
                ):
                    return await self._beacon(target, scope, send)
        return await self._next(scope, receive, send)

    async def _post(self, target: Target, scope: Scope, receive: Receive, send: Send) -> None:
        received_us, came_us = time.time_ns() // 1000, time.monotonic_ns() // 1000
        self._begin()
        project_id, name = target.project_id, target.collection
        limit = self._event_bytes_max if name is not None else self._limits.bulk_bytes_max
        rated: Headers = []
        try:
            headers: dict[bytes, bytes] = dict(scope["headers"])
            key = _key_of(scope)
            autofill = await self._keys.admit(project_id, key, came_us)
            tally = self._keys.tally(project_id, key)
            self._quotas.check_writes(tally)
            if self._admit is not None:
                rated = self._admit(project_id, key)
            body = await self._bodies.read(receive, headers.get(b"content-length"), limit)
            body_bytes = len(body)
            try:
                now_us = time.monotonic_ns() // 1000
                if now_us - came_us > SLOW_US:
                    # The key may have been revoked, or changed, since the request began.
                    autofill = await self._keys.admit(project_id, key, now_us)
                status, payload, extra = await self._take(
                    target, scope, headers, body, received_us, autofill, tally
                )
            finally:
                self._bodies.release(body_bytes)
            await self._send(send, status, [_JSON, *extra, *rated], payload)
        except ClientGone:
            return
        except Exception as error:
            status = await self._fail(scope, send, error, rated=rated)
        self._count(scope, status, came_us)

    async def _take(
        self,
        target: Target,
        scope: Scope,
        headers: dict[bytes, bytes],
        body: bytes,
        received_us: int,
        autofill: Json | None,
        tally: Tally,
    ) -> tuple[int, bytes, Headers]:
        """Inflate the body where needed, and store its events.

        Returns the status, body and further headers of the answer. Raises exceptions that ``render`` handles.
        """
        if b"content-encoding" not in headers:
            return await self._submit(target, scope, headers, body, received_us, autofill, tally)
        single = target.collection is not None
        inflated_max = self._event_bytes_max if single else self._limits.inflated_bytes_max
        body = await self._bodies.inflate(body, headers[b"content-encoding"], inflated_max)
        body_bytes = len(body)
        try:
            return await self._submit(target, scope, headers, body, received_us, autofill, tally)
        finally:
            self._bodies.release(body_bytes)

    async def _submit(
        self,
        target: Target,
        scope: Scope,
        headers: dict[bytes, bytes],
        body: bytes,
        received_us: int,
        autofill: Json | None,
        tally: Tally,
    ) -> tuple[int, bytes, Headers]:
        """Store the events of an uncompressed body, with the key's autofill.

        Returns the status, body and further headers of the answer. Raises exceptions that ``render`` handles.
        """
        if target.collection is not None and _KEY not in headers and autofill is None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            if self._ingestor.log_fast(target.project_id, target.collection, body, received_us, future):
                await synced(future)
                self._accepted.add()
                tally.events += 1
                tally.bytes += len(body)
                return 201, CREATED, []
        # Some clients on Windows send a byte order mark, which the JSON standard lets a reader ignore.
        body = body.removeprefix(codecs.BOM_UTF8)
        origin = self._origin(scope, headers, body, received_us)
        if target.sendgrid:
            body = await body_thread.call(batch_of, body, self._ingestor.limits)
        elif target.identities:
            target, body = await self._stated(target, body)
        if autofill is not None:
            origin = replace(origin, autofill=autofill)
            body = await self._fill(body, autofill, single=target.collection is not None)
        if target.collection is not None:
            doubled = await self._ingestor.submit_one(target.project_id, target.collection, body, origin)
            (self._doubled if doubled else self._accepted).add()
            tally.events += not doubled
            tally.bytes += len(body)
            return 201, CREATED, _duplicates(doubled)
        verdicts = await self._ingestor.submit_body(target.project_id, body, origin)
        refused = sum(map(len, verdicts.refused.values()))
        self._refused.add(refused)
        self._doubled.add(verdicts.duplicates)
        accepted = sum(verdicts.counts.values()) - refused - verdicts.duplicates
        self._accepted.add(accepted)
        tally.events += accepted
        tally.bytes += len(body)
        many = sum(verdicts.counts.values()) > INLINE_EVENTS_MAX
        answer = await body_thread.call_if(many, render_verdicts, verdicts)
        return 200, answer, _duplicates(verdicts.duplicates)

    async def _stated(self, target: Target, body: bytes) -> tuple[Target, bytes]:
        """The collection of identities with the one event of a body, or a bulk body with its list."""
        event = await body_thread.call(checked_event, body)
        if event is None:
            return target, await body_thread.call(checked_batch, body, self._ingestor.limits)
        if len(event) > self._event_bytes_max:
            raise BodyTooLarge(self._event_bytes_max)
        return replace(target, collection=IDENTITIES), event

    async def _fill(self, body: bytes, autofill: Json, *, single: bool) -> bytes:
        if single:
            large = len(body) > body_thread.SLOW_INLINE_BYTES_MAX
            return await body_thread.call_if(large, fill_event, body, autofill, self._event_bytes_max)
        limit = self._limits.inflated_bytes_max
        return await body_thread.call(fill_batch, body, autofill, limit, self._ingestor.limits)

    def _count(self, scope: Scope, status: int, came_us: int) -> None:
        seconds = (time.monotonic_ns() // 1000 - came_us) / 1e6
        self._seconds.observe(seconds)
        self._answers[status // 100 - 1].add()
        if self._access_log:
            log_request(scope, status, seconds)

    async def _fail(
        self,
        scope: Scope,
        send: Send,
        error: Exception,
        callback: str | None = None,
        rated: Iterable[tuple[bytes, bytes]] = (),
    ) -> int:
        SECRETS.set(secrets_of(scope))
        reply = render(error)
        self._refusals.count(reply.status, reply.body)
        if isinstance(error, EventRefused):
            self._refused.add()
        if callback is not None:
            return await self._call_back(send, reply.status, callback, reply.body)
        extra = [(name.encode(), value.encode("latin-1", "replace")) for name, value in reply.headers.items()]
        extra += [NO_STORE, *rated]
        if reply.status in (408, 413):
            # The rest of the body is not read.
            extra.append((b"connection", b"close"))
        await self._send(send, reply.status, extra, reply.body)
        return reply.status

    async def _beacon(self, target: Target, scope: Scope, send: Send) -> None:
        received_us, came_us = time.time_ns() // 1000, time.monotonic_ns() // 1000
        self._begin()
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        callback: str | None = None
        rated: Headers = []
        try:
            if "jsonp" in query and is_callback(query["jsonp"][0]):
                # Set first, so that every error reaches the page; an invalid name is reported below.
                callback = query["jsonp"][0]
            rated, autofill = await self._admit_beacon(target, scope)
            if "jsonp" in query:
                check_callback(query["jsonp"][0])
            location = check_redirect(query["redirect"][0]) if "redirect" in query else None
            await self._record_beacon(target, scope, query["data"][0], received_us, autofill)
            if callback is not None:
                status = await self._call_back(send, 200, callback, CREATED)
            elif location is not None:
                status = 302
                await self._send(
                    send, status, [(b"location", location.encode()), NO_STORE, _ANYWHERE, *rated], b""
                )
            else:
                status = 200
                await self._send(
                    send, status, [(b"content-type", b"image/gif"), NO_STORE, _ANYWHERE, *rated], PIXEL
                )
        except Exception as error:
            if isinstance(error, BadBeacon):
                error = InvalidParameter(str(error))
            status = await self._fail(scope, send, error, callback, rated)
        self._count(scope, status, came_us)

    async def _admit_beacon(self, target: Target, scope: Scope) -> tuple[Headers, Json | None]:
        """The answer's rate headers, and the key's autofill.

        Raises ApiError for an unknown project, a wrong key, a missing right, an exceeded rate, in this order.
        """
        key = _key_of(scope)
        autofill = await self._keys.admit(target.project_id, key, time.monotonic_ns() // 1000)
        self._quotas.check_writes(self._keys.tally(target.project_id, key))
        return ([] if self._admit is None else self._admit(target.project_id, key)), autofill

    async def _record_beacon(
        self, target: Target, scope: Scope, data: str, received_us: int, autofill: Json | None
    ) -> None:
        event = decode_data(data)
        if scope["method"] == "HEAD":
            return
        assert target.collection is not None
        if len(event) > self._limits.event_bytes_max:
            raise BodyTooLarge(self._limits.event_bytes_max)
        if autofill is not None:
            event = await self._fill(event, autofill, single=True)
        origin = Origin(received_us, self._context(scope, dict(scope["headers"])), autofill=autofill)
        doubled = await self._ingestor.submit_one(target.project_id, target.collection, event, origin)
        (self._doubled if doubled else self._accepted).add()
        tally = self._keys.tally(target.project_id, _key_of(scope))
        tally.events += not doubled
        tally.bytes += len(event)

    async def _call_back(self, send: Send, status: int, callback: str, argument: bytes) -> int:
        headers = [(b"content-type", b"text/javascript; charset=utf-8"), NO_STORE, _NOSNIFF, _ANYWHERE]
        await self._send(send, status, headers, callback.encode() + b"(" + argument + b");")
        return status

    def _origin(self, scope: Scope, headers: dict[bytes, bytes], body: bytes, received_us: int) -> Origin:
        context = self._context(scope, headers)
        if _KEY not in headers:
            return Origin(received_us, context)
        key = headers[_KEY].decode("latin-1").strip()
        if not 0 < len(key) <= KEY_LENGTH_MAX:
            raise InvalidParameter(f"Idempotency-Key must be 1 to {KEY_LENGTH_MAX} characters.")
        # The same body sent to another path is another request.
        digest = hashlib.blake2b(body, digest_size=16, key=scope["path"].encode()[-64:]).digest()
        return Origin(received_us, context, key, digest)

    def _context(self, scope: Scope, headers: dict[bytes, bytes]) -> Context:
        agent = headers.get(b"user-agent", b"").decode("utf-8", "replace")
        return Context(self._client_ip(scope), agent)

    def _remember_target(self, path: bytes) -> Target | None:
        if len(path) > KNOWN_LENGTH_MAX:
            return find_target(path)
        if len(self._targets) >= KNOWN_MAX:
            self._targets.clear()
        target = self._targets[path] = find_target(path)
        return target

    def _known_target(self, url: bytes) -> tuple[str, str] | None:
        """The project and collection of a cached path that takes single events; None for any other."""
        target = self._targets.get(url)
        return None if target is None or target.collection is None else (target.project_id, target.collection)

    def _begin(self) -> None:
        """Set the id of a new request, which its answer and its log lines carry."""
        REQUEST_ID.set(self._new_id().decode())

    def _new_id(self) -> bytes:
        return b"%b-%x" % (self._id_prefix, next(self._ids))

    async def _send(self, send: Send, status: int, headers: Headers, body: bytes) -> None:
        size = (b"content-length", b"%d" % len(body))
        fields = [*headers, size, *CORS, (b"x-request-id", REQUEST_ID.get().encode())]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})


def find_target(path: bytes) -> Target | None:
    """What a raw path names; None where it is no write route.

    The collection is all that follows ``/events/``, raw slashes included, unless the path names a property.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        if (webhook := _SENDGRID.fullmatch(path)) is not None:
            return Target(_unquote(webhook[1]), None, sendgrid=True)
        found = _IDENTITIES.fullmatch(path)
        return None if found is None else Target(_unquote(found[1]), None, identities=True)
    project_id = _unquote(match[1])
    rest: bytes | None = match[2]
    if not rest:
        return Target(project_id, None)
    return None if b"/properties/" in rest else Target(project_id, _unquote(rest))


def render_verdicts(verdicts: BatchVerdicts) -> bytes:
    """The body of a bulk answer: for each collection a verdict on each event, in order."""
    lists = []
    for name, count in verdicts.counts.items():
        items = [SUCCESS] * count
        for index, refusal in verdicts.refused.get(name, {}).items():
            error = {"name": refusal.name, "description": refusal.description}
            items[index] = orjson.dumps({"success": False, "error": error})
        lists.append(orjson.dumps(name) + b":[" + b",".join(items) + b"]")
    return b"{" + b",".join(lists) + b"}"


def _duplicates(count: int) -> Headers:
    """A header with the number of events stored before, recognised by token or idempotency key."""
    return [(b"acumen-duplicates", b"%d" % count)] if count else []


def _key_of(scope: Scope) -> bytes:
    """The request's key. Raises InvalidParameter for two keys of one kind."""
    header, parameter = given_keys(scope)
    return header or parameter.encode("utf-8", "replace")


def _unquote(part: bytes) -> str:
    return unquote_to_bytes(part).decode("utf-8", "replace")
