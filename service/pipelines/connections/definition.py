"""Connections: where sources read and sinks write, described once, with secrets by their names alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from query.transforms.fields import Fields, InvalidPipeline
from service.workflows.errors import RunRefused
from storage.catalog.catalog import Catalog
from storage.catalog.errors import WrongSecret

HEADERS_MAX = 20
POSTGRES_PORT = 5432
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OF_POSTGRES = ("host", "port", "dbname", "user", "sslmode", "connect_timeout", "channel_binding")
_OF_HTTP = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})


@dataclass(frozen=True, slots=True)
class SecretText:
    """A text that may have a named secret at its end."""

    text: str
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class HttpConnection:
    """Where pages are fetched, and the header fields that are sent along."""

    url: str
    headers: Mapping[str, SecretText] = field(default_factory=dict)

    @property
    def secrets(self) -> list[str]:
        return [one.secret for one in self.headers.values() if one.secret is not None]


@dataclass(frozen=True, slots=True)
class PostgresConnection:
    """A PostgreSQL database. ``parameters`` are those of libpq."""

    parameters: Mapping[str, str]
    password: SecretText | None = None

    @property
    def secrets(self) -> list[str]:
        return [] if self.password is None or self.password.secret is None else [self.password.secret]


def any_connection(fields: Fields) -> HttpConnection | PostgresConnection:
    """Raises InvalidPipeline."""
    return postgres_connection(fields) if fields.has("postgres") else http_connection(fields)


def postgres_connection(fields: Fields) -> PostgresConnection:
    """Raises InvalidPipeline."""
    # Imported here, since it loads a library that few need.
    from psycopg import ProgrammingError, conninfo

    text = fields.text("postgres")
    try:
        found = {name: str(value) for name, value in conninfo.conninfo_to_dict(text).items()}
    except ProgrammingError as error:
        raise InvalidPipeline(fields.at("postgres"), f"cannot be read: {str(error).strip()}.") from None
    if "password" in found:
        raise InvalidPipeline(
            fields.at("postgres"), "has a password: give it as password = { secret = 'name' }."
        )
    for name in found:
        if name not in _OF_POSTGRES:
            raise InvalidPipeline(
                fields.at("postgres"), f"may not have '{name}', but: {', '.join(_OF_POSTGRES)}."
            )
    for name in ("host", "dbname", "user"):
        if not found.get(name):
            raise InvalidPipeline(fields.at("postgres"), f"lacks '{name}'.")
    if found["host"].startswith(("/", "@")) or "," in found["host"] or not found.get("port", "1").isdigit():
        raise InvalidPipeline(fields.at("postgres"), "must name one host by its name or address, and a port.")
    password = secret_text(fields, "password") if fields.has("password") else None
    if password is not None and password.secret is None:
        raise fields.wrong("password", "the name of a secret, as { secret = 'shop_password' }")
    fields.raw("description")
    fields.end()
    return PostgresConnection(found, password)


def http_connection(fields: Fields) -> HttpConnection:
    """Raises InvalidPipeline."""
    url = fields.text("url")
    headers: dict[str, SecretText] = {}
    if fields.has("headers"):
        given = fields.table("headers")
        for name in given.values:
            if not _HEADER.fullmatch(name) or name.lower() in _OF_HTTP or len(headers) >= HEADERS_MAX:
                raise InvalidPipeline(given.at(name), "is no header field that can be sent along.")
            headers[name] = secret_text(given, name)
    fields.raw("description")
    fields.end()
    return HttpConnection(url, headers)


def secret_text(fields: Fields, key: str) -> SecretText:
    """A text, or ``{ secret = 'name', prefix = 'Bearer ' }``. Raises InvalidPipeline."""
    if isinstance(fields.values.get(key), str):
        return SecretText(fields.text(key))
    table = fields.table(key)
    found = SecretText(table.text("prefix") if table.has("prefix") else "", table.text("secret"))
    table.end()
    return found


def revealed(catalog: Catalog, project_id: str, text: SecretText) -> str:
    """The text with its secret. Raises RunRefused where that is not set."""
    if text.secret is None:
        return text.text
    try:
        value = catalog.secrets.value(project_id, text.secret)
    except WrongSecret:
        raise RunRefused(
            f"The secret '{text.secret}' was sealed with another secret of this server: set it again."
        ) from None
    if value is None:
        raise RunRefused(f"There is no secret '{text.secret}': set it by 'acumen secrets set {text.secret}'.")
    return text.text + value
