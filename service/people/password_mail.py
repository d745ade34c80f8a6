"""Links to set a password, and the mail with one."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from service.exports.mail_task import send
from service.people.tokens import DAY_US, new_token
from service.settings import Settings
from storage.catalog.catalog import Catalog
from storage.catalog.people.records import Person

LINK_US = DAY_US // 8
"""Three hours."""
SUBJECT = "Set a new password"


def reset_path(token: str) -> str:
    """The token stands behind the ``#``, so that it is in no log and in no ``Referer``."""
    return f"/reset#{token}"


def make_password_link(catalog: Catalog, person: Person, now_us: int) -> str:
    """The token of a stored link with which the person sets a password. Blocks."""
    token, digest = new_token()
    catalog.password_links.create(person.id, digest, now_us + LINK_US)
    return token


def mail_password_link(settings: Settings, catalog: Catalog, person: Person, now_us: int) -> None:
    """Send the person a link that sets a password. Raises Refused, OSError, smtplib.SMTPException. Blocks."""
    token = make_password_link(catalog, person, now_us)
    mail = EmailMessage()
    mail["Subject"] = SUBJECT
    mail["From"] = settings.smtp_from
    mail["To"] = person.email
    mail["Date"] = format_datetime(datetime.now(UTC))
    domain = parseaddr(settings.smtp_from)[1].rpartition("@")[2]
    mail["Message-ID"] = f"<password.{secrets.token_hex(12)}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    lines = (
        "Somebody, perhaps you, asked for a new password at",
        settings.public_url,
        "",
        "This link sets one, once, within three hours:",
        "",
        settings.public_url + reset_path(token),
        "",
        "If it was not you, do nothing: your password stays as it is.",
    )
    mail.set_content("\n".join(lines) + "\n")
    send(settings, mail, person.email)
