"""Mails to people about their own accounts."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from enum import Enum

from service.exports.mail_task import new_mail, send
from service.settings import Settings


class Notice(Enum):
    """What changed in an account: the subject of the mail that says so, and its first sentence."""

    ADDRESS = (
        "Your e-mail address was changed",
        "The e-mail address of your account was changed. This one gets no more mail about it, and does not "
        "log in any more.",
    )
    PASSWORD = (
        "Your password was changed",
        "The password of your account was changed. Other sessions have ended.",
    )
    FACTOR_ENDED = (
        "Your second factor was turned off",
        "The second factor of your account was turned off. Your password alone logs in now.",
    )
    PROVIDER = (
        "Your account logs in elsewhere now",
        "Somebody logged in to your account with OpenID Connect for the first time. Its password and second "
        "factor have ended.",
    )


def mail_notice(settings: Settings, notice: Notice, address: str) -> None:
    """Tell who has this address what changed. The mail has no link that changes anything.

    Raises Refused, OSError, smtplib.SMTPException. Blocks.
    """
    subject, sentence = notice.value
    lines = (
        sentence,
        "",
        f"The account is at {settings.public_url}",
        "",
        "If it was you, do nothing. If it was not, tell an owner of your organization, or whoever runs the",
        "server: they can end the sessions of the account, and give you a link to set a new password.",
    )
    send_to(settings, address, subject, lines)


def send_to(settings: Settings, address: str, subject: str, lines: Sequence[str]) -> None:
    """Send a mail of these lines. Raises Refused, OSError, smtplib.SMTPException. Blocks."""
    mail = new_mail(settings, address, subject, f"account.{secrets.token_hex(12)}")
    mail.set_content("\n".join(lines) + "\n")
    send(settings, mail, address)
