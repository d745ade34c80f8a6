"""The write path without a server: the real application, log and catalog, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from service.auth.principal import Tenants
from service.bodies.reader import BodyLimits, BodyReader
from service.http.write_api import Message, Receive, Scope, Send, WriteApi, WriteLimits
from service.ingest.admission import AdmissionLimits
from service.ingest.log_session import LogLimits, LogSession, keep_looking_after
from storage.catalog.catalog import Catalog
from storage.catalog.keyring import Keyring
from storage.catalog.tenants.records import Project
from storage.disk.file_system import FileSystem, LocalFileSystem
from storage.log.writer import Frame, LogReader
from tests.support.catalogs import migrated

THREADS = 4


@dataclass
class Intake:
    """One worker's write path."""

    app: WriteApi
    http: httpx.AsyncClient
    project: Project
    session: LogSession
    catalog: Catalog
    bodies: BodyReader
    tenants: Tenants

    @property
    def events(self) -> str:
        return f"/3.0/projects/{self.project.id}/events"

    def frames(self) -> list[Frame]:
        """Every durable frame of this worker's log."""
        reader = LogReader(LocalFileSystem(), self.catalog.folder.root, self.session.log.log_id)
        try:
            return list(reader.read(0, reader.synced().lsn))
        finally:
            reader.close()

    def lines(self) -> list[bytes]:
        """Every durable event of this worker's log, as it was logged."""
        return [line for f in self.frames() for s in f.sections for line in bytes(s.payload).splitlines()]

    def duplicates(self) -> int:
        return sum(section.duplicates for frame in self.frames() for section in frame.sections)


@asynccontextmanager
async def intake(
    data: Path,
    *,
    fs: FileSystem | None = None,
    admission: AdmissionLimits | None = None,
    limits: WriteLimits | None = None,
    log_limits: LogLimits | None = None,
    body_limits: BodyLimits | None = None,
    wait_seconds: float = 10.0,
) -> AsyncIterator[Intake]:
    catalog = Catalog.prepare(migrated(data))
    project, _ = catalog.projects.ensure_first()
    with ThreadPoolExecutor(THREADS) as executor:
        async with LogSession.opened(
            catalog, executor, fs=fs, admission=admission, limits=log_limits, wait_seconds=wait_seconds
        ) as session:
            bodies = BodyReader(body_limits or BodyLimits())
            tenants = Tenants(catalog.tenants, catalog.access_keys, Keyring("a secret for tests"))
            app = WriteApi(
                nothing_else,
                session.ingestor,
                tenants,
                bodies=bodies,
                limits=limits or WriteLimits(),
                executor=executor,
                client_ip=lambda scope: "203.0.113.9",
            )
            headers = {"authorization": project.write_key}
            watch = asyncio.ensure_future(keep_looking_after(session))
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://test", headers=headers
            ) as http:
                try:
                    yield Intake(app, http, project, session, catalog, bodies, tenants)
                finally:
                    watch.cancel()
                    await asyncio.wait([watch])
    catalog.close()


async def nothing_else(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for the rest of the server: answers 418."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def converse(app: WriteApi, scope: Scope, receive: Receive) -> list[Message]:
    """What the application sends for a request whose messages ``receive`` gives."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))
