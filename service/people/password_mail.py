"""Links to set a password, and the mail with one."""

from __future__ import annotations

from service.people.account_mail import send_to
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
    send_to(settings, person.email, SUBJECT, lines)
