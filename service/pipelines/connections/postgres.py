"""Connecting to PostgreSQL by the outbound policy, and what is said of its errors."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import psycopg

from service.outbound.connecting import Resolve, addresses_of, look_up
from service.outbound.errors import OutboundError, OutboundRefused
from service.outbound.policy import Policy, policy_of
from service.pipelines.connections.definition import POSTGRES_PORT, PostgresConnection, revealed
from service.settings import Settings
from service.version import version
from service.workflows.errors import RunFailed, RunRefused
from storage.catalog.catalog import Catalog

_OF_DATA = "22"
"""The class of errors about values."""
_COLUMN = re.compile(r", column ([^:]+):")
_LASTING = ("08", "40", "53", "55", "57", "58", "XX")
"""Classes of errors that may be gone the next time; others are the statement's, or the connection's."""


def connected(
    catalog: Catalog,
    settings: Settings,
    project_id: str,
    through: PostgresConnection,
    resolve: Resolve = look_up,
) -> psycopg.Connection[Any]:
    """Raises RunRefused, RunFailed."""
    secret = through.password
    password = None if secret is None else revealed(catalog, project_id, secret)
    try:
        addresses = _addresses(policy_of(settings), through, resolve)
    except OutboundRefused as error:
        raise RunRefused(str(error)) from None
    except OutboundError as error:
        raise RunFailed(str(error)) from None
    last: psycopg.Error | None = None
    for address in addresses:
        try:
            return psycopg.connect(**_parameters(through.parameters), hostaddr=address, password=password)
        except psycopg.Error as error:
            last = error
    assert last is not None
    raise told(last)


def told(error: psycopg.Error) -> RunRefused | RunFailed:
    """What a person is told, without values of rows."""
    said = error.diag.message_primary or str(error).strip().splitlines()[-1]
    if (error.sqlstate or "").startswith(_OF_DATA):
        # Behind the colon stands the value.
        column = _COLUMN.search(error.diag.context or "")
        said = said.partition(': "')[0] + (f" in the column {column[1]}" if column else "")
    state = error.sqlstate or ("08" if isinstance(error, psycopg.OperationalError) else "")
    kind = RunFailed if state.startswith(_LASTING) and not state.startswith("57014") else RunRefused
    return kind(f"PostgreSQL: {said}"[:1_000])


def cancel(connection: psycopg.Connection[Any]) -> None:
    """End the statement that runs, if one does; from another thread."""
    try:
        connection.cancel_safe(timeout=5.0)
    except psycopg.Error:
        pass


def _addresses(policy: Policy, through: PostgresConnection, resolve: Resolve) -> list[str]:
    """Raises OutboundError."""
    host, port = through.parameters["host"], int(through.parameters.get("port", POSTGRES_PORT))
    policy.check_host(host, port, POSTGRES_PORT)
    return addresses_of(policy, resolve, host, port)


def _parameters(given: Mapping[str, str]) -> dict[str, Any]:
    """Those of libpq, none of which may come from the server's environment or home."""
    checked = given.get("sslmode", "prefer") in ("require", "verify-ca", "verify-full")
    return {
        "port": str(POSTGRES_PORT),
        "sslmode": "prefer",
        "connect_timeout": "10",
        "application_name": f"acumen/{version()}",
        **given,
        "passfile": os.devnull,
        "sslcertmode": "disable",
        "gssencmode": "disable",
        "options": "",
        **({} if checked else {"require_auth": "!password"}),
        **({"sslrootcert": "system"} if given.get("sslmode") == "verify-full" else {}),
    }
