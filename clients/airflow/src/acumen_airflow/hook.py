"""The connection type ``acumen``: its address, project and keys, and clients made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from airflow.sdk.bases.hook import BaseHook

from acumen_client import NO_RETRIES, Acumen, AcumenError, AsyncAcumen, Retries


class AcumenHook(BaseHook):
    """Clients of the project that a connection names.

    The connection's host is the address, its login the project id, its password the key: a master key, or an
    access key that may do what is asked of it. ``write_key`` and ``read_key`` of its extra come first for
    sending and for asking.
    """

    conn_name_attr: ClassVar[str] = "acumen_conn_id"
    default_conn_name: ClassVar[str] = "acumen_default"
    conn_type: ClassVar[str] = "acumen"
    hook_name: ClassVar[str] = "Acumen"

    def __init__(self, acumen_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.acumen_conn_id = acumen_conn_id

    def get_conn(self) -> Acumen:
        """A client; close it, or use it with ``with``. Raises ValueError for an incomplete connection."""
        connection = self.get_connection(self.acumen_conn_id)
        return Acumen(**client_options(connection, connection.extra_dejson))

    def looking(self) -> AsyncAcumen:
        """A client that asks once, for coroutines of whoever may block now."""
        connection = self.get_connection(self.acumen_conn_id)
        return AsyncAcumen(**client_options(connection, connection.extra_dejson), retries=NO_RETRIES)

    async def get_async_conn(self, retries: Retries | None = None) -> AsyncAcumen:
        """A client for coroutines, without blocking their event loop."""
        connection = await self.aget_connection(self.acumen_conn_id)
        return AsyncAcumen(**client_options(connection, await connection.aextra_dejson()), retries=retries)

    def test_connection(self) -> tuple[bool, str]:
        """Whether the server answers and takes each of the keys. Nothing is recorded."""
        try:
            with self.get_conn() as client:
                tried = _tried(client)
        except (AcumenError, ValueError) as error:
            return False, str(error)
        return True, f"The server takes {tried} for this project."


def _tried(client: Acumen) -> str:
    """Which keys were tried. Raises AcumenError for one that is not taken."""
    transport = client.transport
    keys = transport.target.keys
    tried = []
    if keys.read is not None or keys.master is not None:
        transport.request("GET", transport.project_path("queries"), key="read")
        tried.append("the key for asking")
    if keys.write is not None:
        transport.request("POST", transport.project_path("events"), key="write", json={})
        tried.append("the write key")
    return " and ".join(tried)


def client_options(connection: Any, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a client for a connection. Raises ValueError where it lacks something."""
    named = f"The connection '{connection.conn_id}'"
    if not connection.login:
        raise ValueError(f"{named} has no project: its id is the connection's login.")
    keys = {
        "master_key": connection.password or None,
        "write_key": extra.get("write_key") or None,
        "read_key": extra.get("read_key") or None,
    }
    if not any(keys.values()):
        raise ValueError(f"{named} has no key: give one as password, or write_key and read_key as extra.")
    return {"url": _url(connection, named), "project_id": connection.login, **keys}


def _url(connection: Any, named: str) -> str:
    host = (connection.host or "").strip().rstrip("/")
    if not host:
        raise ValueError(f"{named} has no host: give the server's address, as https://acumen.example.")
    url = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    parts = urlsplit(url)
    if connection.port and parts.port is None:
        parts = parts._replace(netloc=f"{parts.netloc}:{connection.port}")
    return parts.geturl()
