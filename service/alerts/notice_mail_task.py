"""The runner's task that mails notices.

An attempt is recorded before it is made, as for the mails of extractions.
"""

from __future__ import annotations

import logging
import time
from email.message import EmailMessage

from service.alerts.definition import recipient_check
from service.background.task_runner import Tools
from service.exports.mail_task import PAUSES_SECONDS, TRY_LATER, Refused, new_mail, said, send_if_allowed
from service.settings import Settings
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import MailState, NoticeMail

KEPT_DAYS = 30
"""For how long mails are kept once they are sent or given up."""
_SWEEP_SECONDS = 600.0
_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US

_log = logging.getLogger("acumen.mail")


class NoticeMailer:
    """See ``service.background.task_runner.Task``."""

    name = "notices"
    areas = frozenset({Area.DERIVED})

    def __init__(self, tools: Tools) -> None:
        self._settings = tools.settings
        self._catalog = tools.catalog
        self._stop = tools.stop
        self._swept_at = float("-inf")

    def run_due(self, now_us: int) -> bool:
        if time.monotonic() - self._swept_at > _SWEEP_SECONDS:
            self._catalog.notices.forget(now_us - KEPT_DAYS * _DAY_US)
            self._swept_at = time.monotonic()
        if not self._settings.smtp_host or self._stop.is_set():
            return False
        mail = self._catalog.notices.claim_mail(now_us, now_us + PAUSES_SECONDS[0] * _SECOND_US)
        if mail is None:
            return False
        self._send(mail, now_us)
        return True

    def _send(self, mail: NoticeMail, now_us: int) -> None:
        settings = self._settings
        try:
            send_if_allowed(
                settings, mail.recipient, recipient_check(settings), lambda: _message(mail, settings)
            )
        except Refused as error:
            self._catalog.notices.note_mail(mail, MailState.FAILED, now_us, str(error))
        except TRY_LATER as error:
            self._again(mail, error, now_us)
        else:
            self._catalog.notices.note_mail(mail, MailState.SENT, now_us)

    def _again(self, mail: NoticeMail, error: Exception, now_us: int) -> None:
        fields = {"project": mail.project_id, "attempts": mail.attempts, "error": str(error)}
        _log.warning("A mail could not be sent.", extra={"fields": fields})
        if mail.attempts > len(PAUSES_SECONDS):
            self._catalog.notices.note_mail(mail, MailState.FAILED, now_us, said(error))
            return
        due_us = now_us + PAUSES_SECONDS[mail.attempts - 1] * _SECOND_US
        self._catalog.notices.note_mail(mail, MailState.WAITING, due_us, said(error))


def _message(mail: NoticeMail, settings: Settings) -> EmailMessage:
    name = f"notice.{mail.number}.{mail.created_us}"
    message = new_mail(settings, mail.recipient, mail.subject, name)
    message.set_content(mail.body)
    return message
