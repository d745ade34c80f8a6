"""The client: one project of one server.

How it is put together, and where each part hooks in:

- ``_transport.py``: ``Transport`` and ``AsyncTransport``. Every part asks the server through
  ``self.transport``. ``transport.request("POST", transport.project_path("queries", "count"), key="read",
  json={...}, repeatable=True)`` returns an ``Answer`` (``.json()``, ``.warnings``, ``.request_id``) or raises
  an ``AcumenError``. ``key`` is one of ``write``, ``read``, ``master``, ``organization``, ``none``. GET, HEAD
  and PUT are sent again after a failure; for other methods say ``repeatable=True`` where that is harmless.
  ``transport.stream(...)`` gives an ``httpx.Response`` to be read piece by piece.
- ``recording.py``: ``Recording`` and ``AsyncRecording``, mixins with ``record``, ``record_many``, ``sender``.
- ``asking.py``: ``Asking`` and ``AsyncAsking``, mixins with ``count``, ``sum``, …, ``extract``, ``tail``. A
  mixin declares ``transport: Transport`` (or ``AsyncTransport``) and nothing else of the client.
- ``managing.py``: parts that are attributes (``client.saved_queries.put(...)``): mixins ``Managing`` and
  ``AsyncManaging`` with one ``functools.cached_property`` each, whose value is made from ``self.transport``.

The mixins are joined in the two classes below.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Self

import httpx

from acumen_client._transport import (
    ANSWER_SECONDS,
    AsyncTransport,
    Keys,
    Target,
    Transport,
    _timeout,
)
from acumen_client.asking import Asking, AsyncAsking
from acumen_client.errors import ConfigurationError
from acumen_client.frame_recording import AsyncFrameRecording, FrameRecording
from acumen_client.managing import AsyncManaging, Managing
from acumen_client.retries import Retries

DEFAULT_URL = "http://127.0.0.1:8000"


def _target(
    url: str,
    project_id: str | None,
    keys: Keys,
    timeout: float | httpx.Timeout,
    retries: Retries | None,
) -> Target:
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"the URL must begin with http:// or https://: {url!r}")
    return Target(url.rstrip("/"), project_id, keys, retries or Retries(), _timeout(timeout))


def _from_environment() -> dict[str, Any]:
    names = {
        "url": "ACUMEN_URL",
        "project_id": "ACUMEN_PROJECT",
        "write_key": "ACUMEN_WRITE_KEY",
        "read_key": "ACUMEN_READ_KEY",
        "master_key": "ACUMEN_MASTER_KEY",
        "organization_key": "ACUMEN_ORGANIZATION_KEY",
    }
    return {option: value for option, name in names.items() if (value := os.environ.get(name))}


class _OfOneProject:
    """What a client knows of itself."""

    transport: Any

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        project_id: str | None = None,
        write_key: str | None = None,
        read_key: str | None = None,
        master_key: str | None = None,
        organization_key: str | None = None,
        timeout: float | httpx.Timeout = ANSWER_SECONDS,
        retries: Retries | None = None,
        http: Any = None,
    ) -> None:
        """An access key is given as the key of what it may do; the master key does for all three.

        ``http`` is a transport of httpx, for proxies, certificates and sockets of one's own: an asynchronous
        one for ``AsyncAcumen``.
        """
        keys = Keys(write_key, read_key, master_key, organization_key)
        self._connect(_target(url, project_id, keys, timeout, retries), http)

    def _connect(self, target: Target, http: Any) -> None:
        raise NotImplementedError

    @classmethod
    def from_environment(cls) -> Self:
        """A client as ACUMEN_URL, ACUMEN_PROJECT, ACUMEN_WRITE_KEY, ACUMEN_READ_KEY … say."""
        return cls(**_from_environment())

    def with_keys(
        self,
        *,
        write_key: str | None = None,
        read_key: str | None = None,
        master_key: str | None = None,
        organization_key: str | None = None,
    ) -> Self:
        """A client of the same project with these keys and no other: what a customer's key sees, for one."""
        target = self.transport.target
        return type(self)(
            target.url,
            project_id=target.project_id,
            write_key=write_key,
            read_key=read_key,
            master_key=master_key,
            organization_key=organization_key,
            timeout=target.timeout,
            retries=target.retries,
            http=self.transport.given,
        )

    @property
    def url(self) -> str:
        """The server's address."""
        address: str = self.transport.target.url
        return address

    @property
    def project_id(self) -> str | None:
        """The project, where one was given."""
        project: str | None = self.transport.target.project_id
        return project

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, project_id={self.project_id!r})"


class Acumen(_OfOneProject, FrameRecording, Asking, Managing):
    """A client that blocks until each answer is there. Threads may share it, and forked processes.

    >>> client = Acumen("http://localhost:8000", project_id="…", write_key="…", read_key="…")
    >>> client.record("purchases", {"price": 7})
    >>> client.count("purchases", timeframe="this_14_days")
    """

    transport: Transport

    def _connect(self, target: Target, http: httpx.BaseTransport | None) -> None:
        self.transport = Transport(target, http=http)

    def close(self) -> None:
        """Close the connections; senders have a ``close`` of their own."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncAcumen(_OfOneProject, AsyncFrameRecording, AsyncAsking, AsyncManaging):
    """The same for coroutines: each method that asks the server is awaited."""

    transport: AsyncTransport

    def _connect(self, target: Target, http: httpx.AsyncBaseTransport | None) -> None:
        self.transport = AsyncTransport(target, http=http)

    async def aclose(self) -> None:
        """Close the connections; senders have a ``close`` of their own."""
        await self.transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
