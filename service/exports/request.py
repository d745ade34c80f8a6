"""Parameters of an extraction to a file: format, compression, and the e-mail address to notify."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from query.language.fields import shown, wrong
from service.errors import Forbidden, InvalidParameter

EMAILS = ("email", "email_address")
"""Names of the same parameter, the later one first."""
DELIVERY = "delivery"
LINK = "link"
_ADDRESS_LENGTH_MAX = 254
# No quoted local parts and no literal addresses, so that a valid address can be put into a header unchanged.
# No '?', since '=?utf-8?q?…?=' is read as the text that it encodes, which may be another address; no '%' and
# '!', which made old mail servers relay a mail.
_ADDRESS = re.compile(
    r"[A-Za-z0-9#$&'*+/=^_`{|}~-]+(\.[A-Za-z0-9#$&'*+/=^_`{|}~-]+)*"
    r"@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)",
    re.ASCII,
)


class ExportFormat(StrEnum):
    """The format of a file; the values are stored in the catalog."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


CONTENT_TYPES = {
    "text/csv": ExportFormat.CSV,
    "application/json": ExportFormat.NDJSON,
    "application/x-ndjson": ExportFormat.NDJSON,
    "application/vnd.apache.parquet": ExportFormat.PARQUET,
}
"""Accepted values of ``content_type``. Keen called lines of JSON ``application/json``."""


@dataclass(frozen=True, slots=True)
class FileRequest:
    """A request for a file. ``query``: the parameters of the extraction itself."""

    format: ExportFormat
    gzip: bool
    email: str | None
    query: Mapping[str, Any]


def wants_file(params: object) -> bool:
    """Whether these parameters of an extraction ask for a file, and not for the events themselves."""
    return isinstance(params, Mapping) and any(params.get(name) for name in (*EMAILS, DELIVERY))


def read(params: Mapping[str, Any]) -> FileRequest:
    """The request for a file in an extraction's parameters. Raises InvalidParameter, InvalidQuery."""
    email = next((params[name] for name in EMAILS if params.get(name)), None)
    delivery = params.get(DELIVERY)
    if delivery and delivery != LINK:
        raise wrong(DELIVERY, f"'{LINK}', or absent beside 'email'", delivery)
    if delivery and email is not None:
        raise InvalidParameter(f"'{DELIVERY}' and 'email' exclude each other: name one of them.")
    if email is not None:
        check_address(email)
    form = _format(params.get("content_type"))
    gzip = _gzip(params.get("content_encoding"))
    if gzip and form is ExportFormat.PARQUET:
        raise InvalidParameter("'content_encoding' cannot be used with Parquet, which is already compressed.")
    query = {name: value for name, value in params.items() if name not in (*EMAILS, DELIVERY)}
    return FileRequest(form, gzip, email, query)


def check_address(email: object) -> None:
    """Raises InvalidQuery for anything but a plain address."""
    if isinstance(email, str) and len(email) <= _ADDRESS_LENGTH_MAX and _ADDRESS.fullmatch(email):
        return
    raise wrong("email", "one plain e-mail address", email)


def is_mailed_to(email: str, domains: Collection[str]) -> bool:
    """Whether this server mails to the address's domain."""
    return email.rpartition("@")[2].lower() in domains


def check_recipient(email: str, domains: tuple[str, ...]) -> None:
    """Raises Forbidden for an address of a domain that is not among those allowed."""
    if not is_mailed_to(email, domains):
        domain = email.rpartition("@")[2].lower()
        raise Forbidden(
            f"Extractions cannot be mailed to '{shown(domain)}': this server mails only to domains that "
            "its operator allows. Leave 'email' out and send 'delivery' with 'link' to get a link instead."
        )


def _format(value: object) -> ExportFormat:
    if value is None or value == "":
        return ExportFormat.CSV
    name = value.partition(";")[0].strip().lower() if isinstance(value, str) else ""
    if name not in CONTENT_TYPES:
        raise wrong("content_type", f"one of {', '.join(CONTENT_TYPES)}", value)
    return CONTENT_TYPES[name]


def _gzip(value: object) -> bool:
    if value is None or value in ("", "identity"):
        return False
    if isinstance(value, str) and value.strip().lower() == "gzip":
        return True
    raise wrong("content_encoding", "'gzip', or absent", value)
