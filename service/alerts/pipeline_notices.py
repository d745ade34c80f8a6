"""What is told of a pipeline that is late or fails.

As of alerts, no text stands in it that may quote values of events: why a bucket failed is on its page.
"""

from __future__ import annotations

from typing import Any

from service.api_paths import url_of
from service.exports.request import is_mailed_to
from service.outbound.notices import body_of
from service.pipelines.freshness.standings import ReadPipeline
from service.saved_queries.definition import moment_text
from service.settings import Settings
from storage.catalog.catalog import system_clock
from storage.catalog.derived.records import StoredNotice
from storage.catalog.runs.troubles import PipelineTrouble, TroubleCause, TroubleKind

_BEGUN = {TroubleKind.OVERDUE: "is overdue", TroubleKind.FAILED: "fails"}
_ENDED = {TroubleKind.OVERDUE: "is on time again", TroubleKind.FAILED: "is derived again"}
_ENDED_KINDS = {TroubleKind.OVERDUE: "on_time", TroubleKind.FAILED: "recovered"}
_CAUSES = {
    TroubleCause.WAITING: "Its run waits.",
    TroubleCause.RUNNING: "A run derives it at present.",
    TroubleCause.FAILED: "A bucket failed. Its page in Acumen says why.",
    TroubleCause.PAUSED: "It is paused.",
    TroubleCause.NO_RUN_WORKER: "No process executes its runs.",
}


def begun_notice(read: ReadPipeline, trouble: PipelineTrouble, settings: Settings) -> StoredNotice:
    subject = f"Pipeline {read.stored.name} {_BEGUN[trouble.kind]}"
    return _notice(read, trouble, trouble.kind.value, subject, settings, ended_us=None)


def ended_notice(read: ReadPipeline, trouble: PipelineTrouble, settings: Settings) -> StoredNotice:
    subject = f"Pipeline {read.stored.name} {_ENDED[trouble.kind]}"
    return _notice(read, trouble, _ENDED_KINDS[trouble.kind], subject, settings, ended_us=system_clock())


def _notice(
    read: ReadPipeline,
    trouble: PipelineTrouble,
    state: str,
    subject: str,
    settings: Settings,
    *,
    ended_us: int | None,
) -> StoredNotice:
    stored, definition = read
    within_us = definition.fresh_within_us
    url = settings.public_url + url_of(stored.project_id, "pipelines", stored.name)
    data: dict[str, Any] = {
        "pipeline": stored.name,
        "owner": stored.owner,
        "collection": definition.output,
        "state": state,
        "since": moment_text(trouble.since_us),
        "until": None if ended_us is None else moment_text(ended_us),
        "why": trouble.why.value,
        "bucket": {"start": moment_text(trouble.bucket_us)},
        "fresh_within_seconds": None if within_us is None else within_us // 1_000_000,
        "url": url,
    }
    lines = [f"{subject}."]
    lines += [_CAUSES[trouble.why]] if ended_us is None else []
    lines += ["", f"Since: {data['since']}", f"Bucket from: {data['bucket']['start']}", "", url]
    kind = f"pipeline.{state}"
    return StoredNotice(
        kind,
        tuple(one.address for one in definition.notify if one.means == "webhook"),
        body_of(kind, stored.project_id, system_clock(), data),
        _mailed(read, settings),
        subject,
        "\n".join(lines) + "\n",
    )


def _mailed(read: ReadPipeline, settings: Settings) -> tuple[str, ...]:
    """The addresses that this server mails to."""
    if not settings.smtp_host:
        return ()
    addresses = (one.address for one in read.definition.notify if one.means == "email")
    return tuple(one for one in addresses if is_mailed_to(one, settings.mail_domains))
