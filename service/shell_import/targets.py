"""Targets of ``acumen import``: a server over HTTP, or a data folder opened in this process."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from service.imports.data_target import ATTEMPTS_MAX, WAIT_SECONDS_MAX, DataTarget, backoff_seconds
from service.imports.sending import BatchOutcome, ImportFailed, ImportTarget
from service.ingest.admission import EventRefusal
from service.ingest.enrich.enricher import Enricher
from service.ingest.log_session import LogSession, admission_limits, keep_looking_after, log_limits
from service.process.keeper import make_keeper
from service.settings import Settings
from storage.catalog.catalog import Catalog
from storage.catalog.errors import UnknownProject
from storage.errors import StorageError

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 120.0
THREADS = 4
DUPLICATES = "acumen-duplicates"
"""Response header with the number of events that had been stored before."""
RETRIED = frozenset({408, 429, 500, 502, 503, 504})


class UrlTarget:
    """A running server. Resends a batch that got no answer; its key prevents it from being stored twice.

    ``say`` is told of the first failure of an outage, as the attempts that follow take a while.
    """

    def __init__(
        self, client: httpx.AsyncClient, project_id: str, collection: str, say: Callable[[str], None]
    ) -> None:
        self._client = client
        self._path = f"/3.0/projects/{quote(project_id, safe='')}/events"
        self._collection = collection
        self._say = say
        self._away = False
        self._retry_after = 0.0

    async def send(self, events: bytes, key: str, digest: bytes) -> BatchOutcome:
        body = b"{" + orjson.dumps(self._collection) + b":" + events + b"}"
        headers = {"idempotency-key": key, "content-type": "application/json"}
        trouble, started = "", time.monotonic()
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                self._say_once(trouble, time.monotonic() - started)
                await asyncio.sleep(self._wait_seconds(attempt))
            self._retry_after = 0.0
            started = time.monotonic()
            try:
                answer = await self._client.post(self._path, content=body, headers=headers)
            except httpx.HTTPError as error:
                trouble = _no_answer(error, self._url)
                if isinstance(_cause(error), ssl.SSLCertVerificationError):
                    break
                continue
            if answer.status_code == 200:
                self._away = False
                return self._outcome(answer)
            trouble = f"the server at {self._url} refuses the import: {answer.status_code} {_message(answer)}"
            if answer.status_code not in RETRIED:
                break
            self._retry_after = _seconds(answer.headers.get("retry-after", ""))
        raise ImportFailed(trouble)

    @property
    def _url(self) -> str:
        return str(self._client.base_url).rstrip("/")

    def _say_once(self, trouble: str, attempt_seconds: float) -> None:
        # Several batches are under way, and all of them fail at once.
        if not self._away:
            self._say(f"{trouble}; trying again for up to {_retry_seconds(attempt_seconds)} seconds")
        self._away = True

    def _outcome(self, answer: httpx.Response) -> BatchOutcome:
        try:
            verdicts = answer.json()[self._collection]
            known = int(answer.headers.get(DUPLICATES, "0"))
            return BatchOutcome(_refusals(verdicts), known, len(verdicts))
        except (ValueError, KeyError, TypeError):
            raise ImportFailed(
                f"what answers at {self._client.base_url} is not an Acumen server: it answered 200 with "
                f"{answer.headers.get('content-type', 'no content type')}. Is it a login page?"
            ) from None

    def _wait_seconds(self, attempt: int) -> float:
        return max(self._retry_after, backoff_seconds(attempt) * random.uniform(0.5, 1.0))


@asynccontextmanager
async def open_url(
    url: str, project_id: str, write_key: str, collection: str, say: Callable[[str], None]
) -> AsyncIterator[ImportTarget]:
    """Open a target at a server's URL (see ``is_server_url``); ``say`` reports what takes a while."""
    async with httpx.AsyncClient(
        base_url=url,
        headers={"authorization": write_key},
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        trust_env=False,
    ) as client:
        yield UrlTarget(client, project_id, collection, say)


def is_server_url(text: str) -> bool:
    """Whether a text is the URL of a server: http or https, and a host."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return False
    named = bool(url.host) and "%" not in url.host
    return url.scheme in ("http", "https") and named and (url.port is None or 0 < url.port < 65_536)


@asynccontextmanager
async def open_data(settings: Settings, project_id: str, collection: str) -> AsyncIterator[ImportTarget]:
    """Open a target for one collection in the data folder, as ``open_targets`` does."""
    async with open_targets(settings, project_id) as target_of:
        yield target_of(collection)


@asynccontextmanager
async def open_targets(settings: Settings, project_id: str) -> AsyncIterator[Callable[[str], ImportTarget]]:
    """Open the data folder of the settings, with the same limits as a worker; yields what makes the target of
    a collection.

    If a server runs on the folder, its keeper turns the logged events into files. Otherwise a keeper in this
    process does, and all events are in files at the end. Raises ImportFailed if the folder or the project
    does not exist.
    """
    data = settings.data
    try:
        catalog = Catalog.open(data, secret=settings.secret_key)
    except (StorageError, OSError) as error:
        raise ImportFailed(f"the data folder {data} cannot be opened: {error}") from error
    try:
        catalog.projects.get(project_id)
        with ThreadPoolExecutor(THREADS, "collect") as executor:
            async with AsyncExitStack() as closing:
                session = await closing.enter_async_context(_session(catalog, settings, executor))
                watch = asyncio.ensure_future(keep_looking_after(session))
                # The keeper starts after the log is created and stops after it is closed, so that the whole
                # log is in files at the end.
                with _Keeping(catalog, settings):
                    try:
                        yield lambda collection: DataTarget(
                            session, settings.metrics_path, project_id, collection
                        )
                    finally:
                        watch.cancel()
                        await asyncio.wait([watch])
                        await closing.aclose()
    except UnknownProject:
        raise ImportFailed(f"there is no project {project_id} in {data}") from None
    except StorageError as error:
        raise ImportFailed(str(error)) from error
    finally:
        catalog.close()


def _session(
    catalog: Catalog, settings: Settings, executor: Executor
) -> AbstractAsyncContextManager[LogSession]:
    return LogSession.opened(
        catalog,
        executor,
        admission=admission_limits(settings),
        limits=log_limits(settings),
        enricher=Enricher(settings.geoip_database),
    )


class _Keeping:
    """Runs a keeper in a thread; it does nothing while another process is the keeper."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._stop = threading.Event()
        self._keeper = make_keeper(settings, catalog)
        self._thread = threading.Thread(target=self._keeper.run, args=(self._stop,), name="keeper")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._keeper.close()


def _retry_seconds(attempt_seconds: float) -> int:
    """How long attempts go on at most, where each takes as long to fail as said."""
    return round(sum(backoff_seconds(attempt) + attempt_seconds for attempt in range(1, ATTEMPTS_MAX)))


def _no_answer(error: httpx.HTTPError, url: str) -> str:
    """What a request without an answer failed of, for a person."""
    cause = _cause(error)
    if isinstance(cause, ssl.SSLError):
        return f"no TLS connection to {url} could be made: {getattr(cause, 'verify_message', cause.reason)}"
    if isinstance(cause, socket.gaierror):
        return f"no server answers at {url}: its host name is not known"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"no server answers at {url}"
    if isinstance(error, httpx.TimeoutException):
        return f"the server at {url} did not answer within {ANSWER_SECONDS:.0f} seconds"
    return f"the connection to {url} broke before an answer came"


def _cause(error: BaseException) -> BaseException:
    """The error from which another one came about first."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _refusals(verdicts: list[dict[str, Any]]) -> dict[int, EventRefusal]:
    return {
        index: EventRefusal(verdict["error"]["name"], verdict["error"]["description"])
        for index, verdict in enumerate(verdicts)
        if not verdict["success"]
    }


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase


def _seconds(text: str) -> float:
    return min(float(text), WAIT_SECONDS_MAX) if text.isdigit() else 0.0
