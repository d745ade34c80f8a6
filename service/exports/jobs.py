"""Extractions to files, as the API offers them: requested, shown, and downloaded through a signed link.

The events that a job reads are fixed at the request: the timeframe as of then, and the filters of the
requesting key. A key that sees part of the events sees only its own jobs.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from query.engine.engine import Deadline
from query.errors import QueryLimitExceeded
from query.language import parameters
from query.language.event_sessions.finding import refuse_sessions
from query.language.nodes import ExtractionQuery
from query.language.parameter_table import EXTRACTION
from query.language.parse import parse
from query.language.serialized_query import freeze
from service.api_paths import url_of
from service.auth.principal import Caller, Permission, access_key_of, key_lives, person_of
from service.errors import Forbidden, Gone, NotFound, RateLimited
from service.exports import request as export_request
from service.exports.request import ExportFormat
from service.queries.query_service import QueryService
from service.saved_queries.definition import moment_or_none, moment_text
from service.saved_queries.results import FilterScope
from service.settings import Settings
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.derived.records import ExportJob, ExportState, NewExport
from storage.catalog.keyring import Keyring
from storage.catalog.tenants.records import Project

Json = dict[str, Any]

PROCESSING_MAIL = "Processing. Check the specified email for the extraction results."
PROCESSING_LINK = (
    "Processing. Ask for the job at 'job.url': it has the link to the file once the file is ready."
)
PROCESSING_NO_MAIL = (
    "Processing. This server sends no mail: ask for the job at 'job.url', which has the link to the file "
    "once the file is ready."
)
ERASED = "Events of this collection were deleted or changed since the file was made. Extract them again."
REVOKED = "The key that asked for this extraction no longer belongs to the project."
OVERDUE = "The file was kept for its time and has been removed. Extract the events again."
QUESTION_BYTES_MAX = 1_000_000
JOBS_MAX = 10_000
"""Jobs of one project, including those that have ended."""
_RETRY_SECONDS = 60
_SECOND_US = 1_000_000
_PLAIN = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_LENGTH_MAX = 80
_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MOMENT = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Kind:
    """A format's names in requests and answers."""

    content_type: str
    """The name in a request's ``content_type``."""
    media_type: str
    suffix: str


KINDS: Mapping[ExportFormat, Kind] = {
    ExportFormat.CSV: Kind("text/csv", "text/csv; charset=utf-8", "csv"),
    ExportFormat.NDJSON: Kind("application/json", "application/x-ndjson", "ndjson"),
    ExportFormat.PARQUET: Kind("application/vnd.apache.parquet", "application/vnd.apache.parquet", "parquet"),
}


def suffix_of(export: ExportJob) -> str:
    return KINDS[ExportFormat(export.format)].suffix + (".gz" if export.gzip else "")


def media_type_of(export: ExportJob) -> str:
    return "application/gzip" if export.gzip else KINDS[ExportFormat(export.format)].media_type


def download_name(export: ExportJob) -> str:
    """The file name for browsers: plain characters only, whatever the collection's name."""
    collection = _PLAIN.sub("-", export.collection).strip("-")[:_NAME_LENGTH_MAX] or "extraction"
    return f"{collection}-{export.id[:8]}.{suffix_of(export)}"


class Links:
    """Links to files that work without a key until they expire."""

    def __init__(self, keyring: Keyring) -> None:
        self._key = keyring.derived("extraction links")

    def path(self, export: ExportJob) -> str:
        """The link's path and query for a finished job; it works as long as the file is kept."""
        assert export.expires_us is not None
        expires = export.expires_us // _SECOND_US
        signature = self._signature(export.project_id, export.id, expires)
        path = url_of(export.project_id, "extractions", export.id, "file")
        return f"{path}?expires={expires}&signature={signature}"

    def check(
        self, project_id: str, export_id: str, expires: str | None, signature: str | None, now: float
    ) -> None:
        """Raises Forbidden for a link that this server did not make, Gone for an expired one."""
        if expires is None or signature is None:
            raise Forbidden("The link is incomplete: it needs 'expires' and 'signature'.")
        well_formed = _MOMENT.fullmatch(expires) and _SIGNATURE.fullmatch(signature)
        expected = self._signature(project_id, export_id, int(expires)) if well_formed else ""
        if not well_formed or not hmac.compare_digest(expected, signature):
            raise Forbidden("The link was not made by this server, or was changed.")
        if int(expires) <= now:
            raise Gone(OVERDUE)

    def _signature(self, project_id: str, export_id: str, expires: int) -> str:
        text = f"{project_id}/{export_id}/{expires}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, "sha256").hex()


class ExportService:
    """The jobs of one worker's callers. Methods block."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        keyring: Keyring,
        query_service: QueryService,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        """``clock``: the present, in µs, to which timeframes are relative."""
        self._clock = clock
        self._settings = settings
        self._catalog = catalog
        self._query_service = query_service
        self._limits = settings.export_limits
        self.links = Links(keyring)

    def request(self, caller: Caller, params: Mapping[str, Any], base_url: str) -> Json:
        """Create a job, and return the answer to its request. Raises InvalidQuery, ApiError."""
        if not self._settings.export_queue_max:
            raise Forbidden(
                "This server does not write extractions to files: leave out 'delivery' and 'email'."
            )
        file_request = export_request.read(params)
        if file_request.email is not None and caller.embed is not None:
            raise Forbidden("An embed token may not have files mailed: send 'delivery' with 'link'.")
        mails = bool(self._settings.smtp_host)
        query = self._judge(caller.project, file_request.query)
        if file_request.email is not None and mails:
            export_request.check_recipient(file_request.email, self._settings.mail_domains)
        forced = caller.filters_for(Permission.QUERIES)
        question = freeze(query, forced)
        if len(question) > QUESTION_BYTES_MAX:
            raise QueryLimitExceeded(
                f"An extraction that becomes a file may have {QUESTION_BYTES_MAX:,} bytes of parameters."
            )
        # Checked first without a write transaction, which would block other writers.
        self._check_room(*self._catalog.exports.held(caller.project.id))
        new = NewExport(
            id=secrets.token_hex(16),
            project_id=caller.project.id,
            key_id=caller.key_id,
            audience=FilterScope(forced).digest,
            collection=query.collection,
            question=question,
            format=file_request.format,
            gzip=file_request.gzip,
            email=file_request.email if mails else None,
        )
        made = self._catalog.exports.create(new, self._check_room)
        by_mail = PROCESSING_MAIL if mails else PROCESSING_NO_MAIL
        result = PROCESSING_LINK if file_request.email is None else by_mail
        return {"result": result, "job": self.described(caller, made, base_url)}

    def find(self, caller: Caller, export_id: str) -> ExportJob:
        """A job that this caller may see. Raises NotFound."""
        row = self._catalog.exports.find(caller.project.id, export_id)
        if row is None or not _sees(caller, row[0]):
            raise NotFound.named("extraction", export_id)
        return row[0]

    def page(self, caller: Caller, before_id: str | None, limit: int) -> list[ExportJob]:
        """The jobs that this caller may see, newest first, starting after ``before_id``. Raises NotFound."""
        before = None if before_id is None else self.find(caller, before_id).number
        forced = caller.filters_for(Permission.QUERIES)
        own_only = bool(forced) or caller.embed is not None
        owner = (caller.key_id, FilterScope(forced).digest) if own_only else None
        return self._catalog.exports.of_project(caller.project.id, of=owner, before=before, limit=limit)

    def remove(self, caller: Caller, export_id: str) -> None:
        """Remove the job and its file. Raises NotFound, Forbidden."""
        export = self.find(caller, export_id)
        if not (_owns(caller, export) or Permission.MASTER in caller.permissions):
            raise Forbidden("This key may not do that: another key asked for this extraction.")
        self._catalog.exports.remove(export)
        if export.file is not None:
            end_file(self._catalog, export.file)

    def file(self, project: Project, export_id: str) -> ExportJob:
        """The job whose file may be downloaded now. Raises Gone, NotFound."""
        row = self._catalog.exports.find(project.id, export_id)
        if row is None:
            raise Gone("The extraction was removed.")
        export, moment = row
        made_of = (export.collection_id, export.erase_version)
        if export.state is ExportState.DONE and export.collection_id and moment != made_of:
            raise Gone(ERASED)
        if export.state is ExportState.EXPIRED:
            raise Gone(export.message)
        if export.state is not ExportState.DONE:
            raise NotFound
        if not asker_lives(self._catalog, project, export, self._clock() / _SECOND_US):
            raise Gone(REVOKED)
        return export

    def described(self, caller: Caller, export: ExportJob, base_url: str) -> Json:
        """The job as the API shows it."""
        kind = KINDS[ExportFormat(export.format)]
        done = export.state is ExportState.DONE
        fields: Json = {
            "id": export.id,
            "url": url_of(export.project_id, "extractions", export.id),
            "state": export.state.value,
            "message": export.message,
            "event_collection": export.collection,
            "content_type": kind.content_type,
            "content_encoding": "gzip" if export.gzip else None,
            "created_date": moment_text(export.created_us),
            "started_date": moment_or_none(export.started_us),
            "finished_date": moment_or_none(export.ended_us),
            "expires_date": moment_or_none(export.expires_us),
            "progress": {"events": export.events, "of": export.total},
            "bytes": export.bytes,
            "file_url": base_url + self.links.path(export) if done else None,
        }
        if export.email is not None and (_owns(caller, export) or Permission.MASTER in caller.permissions):
            fields["email"] = export.email
            mail: Json = {
                "state": None if export.mail_state is None else export.mail_state.value,
                "attempts": export.mail_attempts,
                "message": export.mail_message,
            }
            fields["mail"] = mail
        return fields

    def _judge(self, project: Project, params: Mapping[str, Any]) -> ExtractionQuery:
        deadline = Deadline.after(self._limits.timeout_seconds)
        if self._query_service.strict:
            parameters.check(EXTRACTION, params)
        request = parse(
            EXTRACTION,
            params,
            now_us=self._clock(),
            limits=self._limits,
            check_regex=self._query_service.check_regex,
            check=deadline.check,
            preferences=self._query_service.preferences_of(project),
            find_cohort=self._query_service.find_cohort(project.id),
        )
        assert isinstance(request.query, ExtractionQuery)
        refuse_sessions(request.query, "an extraction to a file, which is read in parts")
        return request.query

    def _check_room(self, waiting: int, jobs: int, kept: int) -> None:
        """Raises RateLimited where the project has too many jobs, or too many bytes of files."""
        settings = self._settings
        if waiting >= settings.export_queue_max:
            raise RateLimited(
                f"{settings.export_queue_max} extractions of this project are already waiting or running, "
                "which is the limit. Try again once one of them is done.",
                _RETRY_SECONDS,
            )
        if jobs >= JOBS_MAX or kept >= settings.export_store_bytes_max:
            raise RateLimited(
                f"The project's extractions hold {kept:,} bytes in {jobs:,} jobs; the limits are "
                f"{settings.export_store_bytes_max:,} and {JOBS_MAX:,}. Delete some of them.",
                _RETRY_SECONDS,
            )


def asker_lives(catalog: Catalog, project: Project, export: ExportJob, now: float) -> bool:
    """Whether who requested a job may still ask: jobs end with their key, or with their person's role.

    ``now``: Unix seconds.
    """
    person_id = person_of(export.key_id)
    if person_id is not None:
        standing = catalog.people.standing(person_id)
        return standing is not None and standing.role_in(project.id, project.organisation_id) is not None
    access_key = catalog.access_keys.find(project.id, access_key_of(export.key_id))
    return key_lives(project, export.key_id, access_key, now)


def end_file(catalog: Catalog, name: str) -> None:
    """Remove a file. It is truncated first, so that downloads in progress end too."""
    path = catalog.folder.exports / name
    try:
        with open(path, "r+b") as file:
            file.truncate()
        path.unlink()
    except FileNotFoundError:
        pass


def _sees(caller: Caller, export: ExportJob) -> bool:
    sees_all = caller.embed is None and not caller.filters_for(Permission.QUERIES)
    return sees_all or _owns(caller, export)


def _owns(caller: Caller, export: ExportJob) -> bool:
    """Whether this key requested the job and still sees the same events."""
    audience = FilterScope(caller.filters_for(Permission.QUERIES)).digest
    return export.key_id == caller.key_id and export.audience == audience
