"""The runner's task that makes scheduled reports, mails them, and tells webhooks of them.

A run is stored before anything is sent, with whom it is still to be sent to; one recipient may get it twice
where this server dies right after the mail server accepted it.
"""

from __future__ import annotations

import json
import logging
from email.message import EmailMessage
from functools import partial
from html import escape

from query.errors import QueryCancelled
from service.alerts.definition import recipient_check
from service.alerts.report_definition import ScheduledReport, dashboard_url, notice_of
from service.alerts.rights import Unanswerable, caller_of
from service.alerts.tile_pictures import Drawn, TilePictures
from service.background.task_runner import Tools
from service.exports.mail_task import TRY_LATER, Refused, new_mail, said, send_if_allowed, sender_domain
from service.queries.project_preferences import ProjectPreferences
from service.saved_queries.definition import moment_text
from storage.catalog.database.versions import Area
from storage.catalog.derived.notices import NEVER_US
from storage.catalog.derived.records import MailState, ReportRun, StoredReport

PAUSES_SECONDS = (300, 900, 3_600, 4 * 3_600)
"""Pauses after each attempt but the last, which is one more than there are pauses."""
LEASE_SECONDS = 1_800
"""After how long a run is made again whose server died."""
_SECOND_US = 1_000_000

_log = logging.getLogger("acumen.reports")


class Reporter:
    """See ``service.background.task_runner.Task``."""

    name = "reports"
    areas = frozenset({Area.DERIVED})

    def __init__(self, tools: Tools) -> None:
        self._catalog = tools.catalog
        self._settings = tools.settings
        self._stop = tools.stop
        self._pictures = TilePictures(tools)
        self._preferences = ProjectPreferences(tools.catalog, tools.settings.preferences)

    def run_due(self, now_us: int) -> bool:
        if self._stop.is_set():
            return False
        return self._schedule(now_us) or self._run(now_us)

    def _schedule(self, now_us: int) -> bool:
        """Begin the run of the next report that is due. Of those missed there is one run."""
        report = self._catalog.reports.next_due(now_us)
        if report is None:
            return False
        definition = ScheduledReport.stored(report)
        if not definition.is_active:
            self._catalog.reports.postpone(report, NEVER_US)
            return True
        week_start = self._preferences.of(report.project_id).week_start
        next_us = definition.next_us(now_us, week_start)
        notice = notice_of(report, now_us, self._settings.public_url)
        self._catalog.reports.begin(report, next_us, definition.emails, notice)
        return True

    def _run(self, now_us: int) -> bool:
        claimed = self._catalog.reports.claim_run(now_us, now_us + LEASE_SECONDS * _SECOND_US)
        if claimed is None:
            return False
        report, run = claimed
        try:
            self._make(report, run, now_us)
        except QueryCancelled:
            raise
        except Unanswerable as error:
            self._end(run, run.left, MailState.FAILED, now_us, str(error), 0)
        return True

    def _make(self, report: StoredReport, run: ReportRun, now_us: int) -> None:
        """Draw, and send to all that are left. Raises QueryCancelled, Unanswerable."""
        if not run.left:
            self._end(run, (), MailState.SENT, now_us, None, 0)
            return
        definition = ScheduledReport.stored(report)
        document = self._catalog.dashboards.document(report.project_id, definition.dashboard)
        if document is None:
            raise Unanswerable("The dashboard of the report is gone.")
        drawn = self._pictures.draw(
            report.project_id,
            json.loads(document),
            caller_of(self._catalog, report.project_id, definition.access_key),
            now_us,
            theme=str(definition.definition["theme"]),
            locale=str(definition.definition["locale"]),
        )
        left, problem = self._mail(report, run, drawn)
        pictures = sum(one.png is not None for one in drawn)
        if not left:
            self._end(run, (), MailState.SENT, now_us, problem, pictures)
        elif run.attempts > len(PAUSES_SECONDS):
            self._end(run, left, MailState.FAILED, now_us, problem, pictures)
        else:
            due_us = now_us + PAUSES_SECONDS[run.attempts - 1] * _SECOND_US
            self._end(run, left, MailState.WAITING, due_us, problem, pictures)

    def _mail(
        self, report: StoredReport, run: ReportRun, drawn: list[Drawn]
    ) -> tuple[tuple[str, ...], str | None]:
        """Send to all that are left. Returns to whom it could not be sent now, and what went wrong last."""
        left, problem = list(run.left), None
        for email in run.left:
            try:
                message = partial(self._message, report, run, drawn, email)
                send_if_allowed(self._settings, email, recipient_check(self._settings), message)
            except Refused as error:
                problem = str(error)
            except TRY_LATER as error:
                fields = {"project": report.project_id, "report": report.name, "error": str(error)}
                _log.warning("A report could not be mailed.", extra={"fields": fields})
                problem = said(error)
                continue
            left.remove(email)
            self._catalog.reports.note_left(run, left)
        return tuple(left), problem

    def _end(
        self,
        run: ReportRun,
        left: tuple[str, ...],
        state: MailState,
        at_us: int,
        message: str | None,
        pictures: int,
    ) -> None:
        self._catalog.reports.note_run(run, left, state, at_us, message, pictures)

    def _message(
        self, report: StoredReport, run: ReportRun, drawn: list[Drawn], recipient: str
    ) -> EmailMessage:
        url = dashboard_url(report, self._settings.public_url)
        subject = f"{'Test: ' if run.is_test else ''}Report {report.name}"
        mail = new_mail(self._settings, recipient, subject, f"report.{run.number}.{run.scheduled_us}")
        domain = sender_domain(self._settings)
        as_of = f"As of {moment_text(run.scheduled_us)}"
        numbered = list(enumerate(drawn, 1))
        lines = [f"Chart {number}: {one.problem or 'see the picture'}" for number, one in numbered]
        mail.set_content("\n".join([as_of, "", *lines, "", url]) + "\n")
        parts = [f"<p>{escape(as_of)}</p>"]
        for number, one in numbered:
            shown = f'<img src="cid:chart-{number}@{domain}" alt="Chart {number}" width="640">'
            parts.append(f"<p>{shown if one.png else escape(f'Chart {number}: {one.problem}')}</p>")
        parts.append(f'<p><a href="{escape(url)}">{escape(url)}</a></p>')
        mail.add_alternative("\n".join(parts), subtype="html")
        page = mail.get_payload()[1]  # type: ignore[index]
        assert isinstance(page, EmailMessage)
        for number, one in numbered:
            if one.png is not None:
                cid = f"<chart-{number}@{domain}>"
                page.add_related(one.png, "image", "png", cid=cid, filename=f"chart-{number}.png")
        return mail
