"""The runner's task that mails the outcome of an extraction to the address given in the request.

An attempt is recorded before it is made, so that the number is always limited. A mail may arrive twice where
this server dies right after the mail server accepted it.
"""

from __future__ import annotations

import logging
import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from urllib.parse import urlsplit

from query.errors import InvalidQuery
from service.api_paths import url_of
from service.background.task_runner import Tools
from service.errors import Forbidden
from service.exports.jobs import Links
from service.exports.request import check_address, check_recipient
from service.outbound.connecting import connected
from service.outbound.errors import OutboundError, OutboundRefused
from service.outbound.policy import Policy, policy_of
from service.saved_queries.definition import moment_text
from service.settings import Settings
from storage.catalog.database.versions import Area
from storage.catalog.derived.records import ExportJob, ExportState, MailState

PAUSES_SECONDS = (60, 300, 900, 3_600, 4 * 3_600, 12 * 3_600, 24 * 3_600)
"""Pauses after each attempt but the last, which is one more than there are pauses."""
TIMEOUT_SECONDS = 30.0
"""Longest wait for the mail server's next reply."""
SUBJECT_READY = "Your extraction is ready"
SUBJECT_GONE = "Your extraction could not be made"
_SECOND_US = 1_000_000
# Any client that records events chooses collection names: one that could become a link in a mail is left out.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_ -]{1,64}", re.ASCII)

_log = logging.getLogger("acumen.mail")


TRY_LATER = (OSError, smtplib.SMTPException, OutboundError)
"""Errors of ``send`` after which another attempt may succeed."""


class Refused(Exception):
    """This mail is refused permanently: by the mail server, or by the rules for recipients."""


class Mailer:
    """See ``service.background.task_runner.Task``."""

    name = "mails"
    areas = frozenset({Area.DERIVED})

    def __init__(self, tools: Tools) -> None:
        self._settings = tools.settings
        self._catalog = tools.catalog
        self._stop = tools.stop
        self._links = Links(tools.catalog.keyring)

    def run_due(self, now_us: int) -> bool:
        if not self._settings.smtp_host or self._stop.is_set():
            return False
        export = self._catalog.exports.claim_mail(now_us, now_us + PAUSES_SECONDS[0] * _SECOND_US)
        if export is None:
            return False
        self._notify(export, now_us)
        return True

    def _notify(self, export: ExportJob, now_us: int) -> None:
        assert export.email is not None
        settings = self._settings
        try:
            send_if_allowed(
                settings,
                export.email,
                lambda email: check_recipient(email, settings.mail_domains),
                lambda: mail_about(export, settings, self._links),
            )
        except Refused as error:
            self._failed(export, str(error), now_us)
        except TRY_LATER as error:
            self._try_later(export, error, now_us)
        else:
            self._catalog.exports.note_mail(export, MailState.SENT, now_us)

    def _try_later(self, export: ExportJob, error: Exception, now_us: int) -> None:
        fields = {"job": export.id, "attempts": export.mail_attempts, "error": str(error)}
        _log.warning("A mail could not be sent.", extra={"fields": fields})
        if export.mail_attempts > len(PAUSES_SECONDS):
            why = f"Given up after {export.mail_attempts} attempts. {said(error)}"
            self._failed(export, why, now_us)
            return
        pause_us = PAUSES_SECONDS[export.mail_attempts - 1] * _SECOND_US
        self._catalog.exports.note_mail(export, MailState.WAITING, now_us + pause_us, said(error))

    def _failed(self, export: ExportJob, why: str, now_us: int) -> None:
        self._catalog.exports.note_mail(export, MailState.FAILED, now_us, why)


def mail_about(export: ExportJob, settings: Settings, links: Links) -> EmailMessage:
    """The mail about a job that has ended.

    Of a client's input it contains only the recipient and a plain collection name.
    """
    assert export.email is not None
    ready = export.state is ExportState.DONE
    subject = SUBJECT_READY if ready else SUBJECT_GONE
    mail = new_mail(settings, export.email, subject, f"extraction.{export.id}.{export.state.value}")
    mail.set_content("\n".join(_ready(export, settings, links) if ready else _gone(export)) + "\n")
    return mail


def _ready(export: ExportJob, settings: Settings, links: Links) -> list[str]:
    assert export.expires_us is not None
    base = settings.public_url
    return [
        f"The file is ready: {export.events:,} events, {export.bytes:,} bytes.",
        "",
        base + links.path(export),
        "",
        "The link needs no key: give it only to those who may see the events. It expires at",
        f"{moment_text(export.expires_us)}.",
        "",
        *_request_lines(export),
        f"Job: {base}{url_of(export.project_id, 'extractions', export.id)}",
    ]


def _gone(export: ExportJob) -> list[str]:
    return [f"There is no file: {export.message}", "", *_request_lines(export)]


def _request_lines(export: ExportJob) -> list[str]:
    lines = [f"Collection: {export.collection}"] if _PLAIN_NAME.fullmatch(export.collection) else []
    return [*lines, f"Asked for: {moment_text(export.created_us)}"]


def new_mail(settings: Settings, recipient: str, subject: str, name: str) -> EmailMessage:
    """A mail of this server without a text; ``name`` begins its id, and is the same at every attempt."""
    mail = EmailMessage()
    mail["Subject"] = subject
    mail["From"] = settings.smtp_from
    mail["To"] = recipient
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = f"<{name}@{sender_domain(settings)}>"
    mail["Auto-Submitted"] = "auto-generated"
    return mail


def sender_domain(settings: Settings) -> str:
    return parseaddr(settings.smtp_from)[1].rpartition("@")[2]


def send_if_allowed(
    settings: Settings, recipient: str, check: Callable[[str], None], make: Callable[[], EmailMessage]
) -> None:
    """Send the mail that ``make`` makes, unless the rules for addresses forbid it, which may have changed
    since it was asked for. ``check`` raises Forbidden. Raises Refused, and those of TRY_LATER."""
    try:
        check_address(recipient)
        check(recipient)
    except (Forbidden, InvalidQuery) as error:
        raise Refused(error.message) from None
    send(settings, make(), recipient)


def send(settings: Settings, mail: EmailMessage, recipient: str) -> None:
    """Send a mail to this recipient alone. Raises Refused, OSError, smtplib.SMTPException, OutboundError."""
    server = _connected(settings)
    try:
        if settings.smtp_user:
            server.login(settings.smtp_user, settings.smtp_password)
        server.send_message(mail, to_addrs=[recipient])
        # The mail is accepted; an error at the end of the session no longer matters.
        with suppress(OSError, smtplib.SMTPException):
            server.quit()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        if codes and all(code >= 500 for code in codes):
            raise Refused(f"The mail server refused the recipient ({codes[0]}).") from error
        raise
    except smtplib.SMTPDataError as error:
        if error.smtp_code >= 500:
            raise Refused(f"The mail server refused the mail ({error.smtp_code}).") from error
        raise
    finally:
        server.close()


def _connected(settings: Settings) -> smtplib.SMTP:
    """A session with the mail server, whose host is named to the outbound policy by its setting.

    Raises OSError, smtplib.SMTPException, OutboundError.
    """
    host, port = settings.smtp_host, settings.smtp_port
    own_name = urlsplit(settings.public_url).hostname or "localhost"
    policy = policy_of(settings).naming(host)
    if settings.smtp_security == "tls":
        return _TlsMailSession(policy, host, port, own_name, ssl.create_default_context())
    server = _MailSession(policy, host, port, own_name)
    if settings.smtp_security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server


class _MailSession(smtplib.SMTP):
    """Connects to addresses that were checked."""

    def __init__(self, policy: Policy, host: str, port: int, own_name: str) -> None:
        self._policy = policy
        super().__init__(host, port, own_name, timeout=TIMEOUT_SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return connected(self._policy, host, port, timeout, usual=port)


class _TlsMailSession(_MailSession):
    """The same with TLS from the first byte."""

    def __init__(self, policy: Policy, host: str, port: int, own_name: str, tls: ssl.SSLContext) -> None:
        self._tls = tls
        super().__init__(policy, host, port, own_name)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = super()._get_socket(host, port, timeout)
        return self._tls.wrap_socket(plain, server_hostname=host)


def said(error: Exception) -> str:
    """Why a mail could not be sent, as shown to clients; the mail server's own message is only logged."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "The mail server does not accept the recipient at present."
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "The mail server refused this server's user name or password."
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "The mail server does not support what the settings ask for: STARTTLS or authentication."
    if isinstance(error, smtplib.SMTPResponseException):
        return f"The mail server answered with {error.smtp_code}."
    if isinstance(error, OutboundRefused):
        return str(error)
    if isinstance(error, ssl.SSLError):
        return "The mail server's certificate or TLS cannot be used."
    return "The mail server could not be reached."
