"""Imports as the API offers them: uploaded, started, shown, cancelled and removed.

Whoever may record events may import them, and knows an import by its id, which cannot be guessed: the write
key of a project is public where pages record events with it.
"""

from __future__ import annotations

import json
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.api_paths import url_of
from service.auth.access_keys import stored_options
from service.auth.principal import Caller, Permission, access_key_of, key_lives, person_of
from service.errors import Conflict, Forbidden, InvalidParameter, NotFound, RateLimited
from service.imports.options import (
    BadOption,
    GivenOptions,
    ImportOptions,
    checked,
    frozen_options,
    in_words_of_api,
)
from service.imports.uploads import FREE_TIMES, UploadFile, refused_path, remove_all, upload_path
from service.ingest.admission import check_collection_name
from service.saved_queries.definition import moment_or_none, moment_text
from service.settings import Settings
from storage.catalog.catalog import Catalog, system_clock
from storage.catalog.derived.imports import STARTABLE, HeldImports
from storage.catalog.derived.records import ImportJob, ImportState, NewImport
from storage.catalog.people.records import Role
from storage.catalog.tenants.records import Project

Json = dict[str, Any]

IMPORTS_MAX = 10_000
"""Imports of one project, including those that have ended."""
FILE_NAME_LENGTH_MAX = 255
OPTIONS_LENGTH_MAX = 200_000
FORMAT_LENGTH_MAX = 200
NO_AUTOFILL = (
    "This key may not import: it adds properties of its own to each event, which an import does not. Use "
    "another key that may record events."
)
NO_WRITER = "The key or person that started this import may not record events in the project any more."
UNPACKED_TIMES = 10
"""A file that is compressed may have so many times ``import_bytes`` once it is unpacked."""
_RETRY_SECONDS = 60
_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US


@dataclass(frozen=True, slots=True)
class Writer:
    """Who started an import, and may still record events; with the quotas of the key."""

    quotas: Mapping[str, int]


class ImportService:
    """The imports of one worker's callers. Methods block."""

    def __init__(self, settings: Settings, catalog: Catalog, clock: Callable[[], int] = system_clock) -> None:
        self._settings = settings
        self._catalog = catalog
        self._folder = catalog.folder
        self._clock = clock

    def begin(self, caller: Caller, file_name: str) -> tuple[ImportJob, UploadFile]:
        """Enter an upload, and open its file. Raises Forbidden, RateLimited, DiskFull."""
        if not self._settings.import_bytes:
            raise Forbidden("This server takes no files to import.")
        refuse_autofill(caller)
        new = NewImport(
            secrets.token_hex(16),
            caller.project.id,
            caller.key_id,
            caller.counted_as,
            shown_name(file_name),
        )
        # Checked first without a write transaction, which would block other writers.
        self._check_room(*self._catalog.imports.held(caller.project.id, caller.key_id))
        job = self._catalog.imports.create(new, self._expires_us(), self._check_room)
        try:
            return job, UploadFile(self._folder, job.id, FREE_TIMES * self._settings.min_free_bytes)
        except BaseException:
            self._catalog.imports.remove(job)
            raise

    def finish(self, job: ImportJob, file: UploadFile) -> ImportJob:
        """Record that all of the file is there. Raises InvalidParameter for an empty one, NotFound."""
        if not file.bytes:
            raise InvalidParameter("The file is empty: there are no events in it.")
        digest = file.finish()
        done = self._catalog.imports.uploaded(job, file.bytes, digest)
        if done is None:
            raise NotFound.named("import", job.id)
        return done

    def abandon(self, job: ImportJob, file: UploadFile) -> None:
        """Leave nothing of an upload that broke off."""
        file.abandon()
        self._catalog.imports.remove(job)

    def find(self, caller: Caller, import_id: str) -> ImportJob:
        """Raises NotFound, Forbidden."""
        refuse_autofill(caller)
        job = self._catalog.imports.find(caller.project.id, import_id)
        if job is None or job.state is ImportState.UPLOADING:
            raise NotFound.named("import", import_id)
        return job

    def page(self, project: Project, before_id: str | None, limit: int) -> list[ImportJob]:
        """The project's imports, newest first, starting after ``before_id``. Raises NotFound."""
        before = None
        if before_id is not None:
            job = self._catalog.imports.find(project.id, before_id)
            if job is None:
                raise NotFound.named("import", before_id)
            before = job.number
        return self._catalog.imports.of_project(project.id, before=before, limit=limit)

    def file(self, caller: Caller, import_id: str) -> Path:
        """The uploaded file, to be looked into. Raises NotFound, Conflict."""
        job = self.find(caller, import_id)
        if job.state is ImportState.DONE:
            raise Conflict("The file was imported, and is no longer here. Send it again.", code=NOT_NOW)
        return upload_path(self._folder, job.id)

    def start(
        self, caller: Caller, import_id: str, collection: str, given: GivenOptions, *, again: bool
    ) -> ImportJob:
        """Begin the import, or go on with one that failed or was cancelled.

        Raises NotFound, InvalidParameter, Conflict.
        """
        job = self.find(caller, import_id)
        check_name(collection)
        check_options(given)
        key = (caller.key_id, caller.counted_as)
        text = json.dumps(frozen_options(given), sort_keys=True)
        started = self._catalog.imports.start(
            job, collection, text, again=again, expires_us=self._expires_us(), key=key
        )
        if started is None:
            state = self.find(caller, import_id).state
            raise Conflict(
                f"The import is {state}: only one that is {', '.join(STARTABLE[:-1])} or {STARTABLE[-1]} "
                "can be started.",
                code=NOT_NOW,
            )
        return started

    def cancel(self, caller: Caller, import_id: str) -> ImportJob:
        """End an import, if it waits or runs; what is stored stays. Raises NotFound."""
        self._catalog.imports.cancel(self.find(caller, import_id), self._clock())
        return self.find(caller, import_id)

    def remove(self, caller: Caller, import_id: str) -> None:
        """Remove an import and its files; one that runs ends. Raises NotFound."""
        job = self.find(caller, import_id)
        self._catalog.imports.remove(job)
        remove_all(self._folder, job.id)

    def refused(self, caller: Caller, import_id: str) -> tuple[ImportJob, Path]:
        """The file of refused events. Raises NotFound, where nothing was refused."""
        job = self.find(caller, import_id)
        if not job.counts.refused_bytes:
            raise NotFound("Resource not found: no event of this import was refused.")
        return job, refused_path(self._folder, job.id)

    def described(self, job: ImportJob) -> Json:
        """The import as the API shows it."""
        counts = job.counts
        done = job.state is ImportState.DONE
        url = url_of(job.project_id, "imports", job.id)
        return {
            "id": job.id,
            "url": url,
            "state": job.state.value,
            "message": None if job.message is None else in_words_of_api(job.message),
            "file_name": job.file_name,
            "bytes": job.bytes,
            "event_collection": job.collection,
            "options": None if job.options is None else json.loads(job.options),
            "again": job.again,
            "created_date": moment_text(job.created_us),
            "started_date": moment_or_none(job.started_us),
            "finished_date": moment_or_none(job.ended_us),
            "expires_date": moment_text(job.expires_us),
            "progress": {"bytes": job.bytes if done else min(counts.position, job.bytes), "of": job.bytes},
            "stored": counts.stored,
            "already_stored": counts.known,
            "refused": counts.refused,
            "refused_reasons": json.loads(job.reasons or "[]"),
            "refused_url": f"{url}/refused" if counts.refused_bytes else None,
            "first": counts.first,
            "last": counts.last,
        }

    def _expires_us(self) -> int:
        return self._clock() + int(self._settings.import_days * _DAY_US)

    def _check_room(self, held: HeldImports, own: HeldImports) -> None:
        """Raises RateLimited where the project, or the key or person, has too many files or uploads."""
        settings = self._settings
        days = f"{settings.import_days:g} days"
        if held.uploading >= settings.import_uploads_max:
            raise RateLimited(
                f"{settings.import_uploads_max} files of this project are being sent, which is the limit. "
                "Try again once one of them is done.",
                _RETRY_SECONDS,
            )
        if own.uploading >= share_of(settings.import_uploads_max):
            raise RateLimited(
                f"This key, or person, is sending {own.uploading} files: the others of the project's "
                f"{settings.import_uploads_max} places are for others. Try again once one of them is done.",
                _RETRY_SECONDS,
            )
        if held.files >= settings.import_files_max or held.all >= IMPORTS_MAX:
            raise RateLimited(
                f"The project has {held.files:,} files that are not imported yet, in {held.all:,} imports; "
                f"the limits are {settings.import_files_max:,} and {IMPORTS_MAX:,}. Start or delete some of "
                f"them; they are removed after {days} as well.",
                _RETRY_SECONDS,
            )
        if own.files >= share_of(settings.import_files_max) or own.all >= share_of(IMPORTS_MAX):
            raise RateLimited(
                f"This key, or person, has {own.files:,} files that are not imported yet, in {own.all:,} "
                f"imports; its share is {share_of(settings.import_files_max):,} and "
                f"{share_of(IMPORTS_MAX):,}, so that others of the project can import too. Start or delete "
                f"some of them; they are removed after {days} as well.",
                _RETRY_SECONDS,
            )


NOT_NOW = "ImportStateError"


def share_of(limit: int) -> int:
    """How much of a limit one key or person may take: half of it, rounded up. The write key of a project is
    public, and must not be enough to keep everybody else from importing."""
    return (limit + 1) // 2


def refuse_autofill(caller: Caller) -> None:
    """Raises Forbidden for a key that writes properties of its own into events."""
    if caller.options.autofill:
        raise Forbidden(NO_AUTOFILL)


def check_name(collection: str) -> None:
    """Raises InvalidParameter for a name that no collection may have."""
    refusal = check_collection_name(collection)
    if refusal is not None:
        raise InvalidParameter(f"'event_collection': {refusal.description}")


def check_options(given: GivenOptions) -> ImportOptions:
    """The options, checked. Raises InvalidParameter, which names the field."""
    length = sum(map(len, (*given.types, *given.types.values(), *given.columns)))
    length += len(given.timestamp or "") + len(given.encoding or "")
    if length > OPTIONS_LENGTH_MAX or len(given.timestamp_format) > FORMAT_LENGTH_MAX:
        raise InvalidParameter(
            f"'types' and 'columns' may have {OPTIONS_LENGTH_MAX:,} characters together, and "
            f"'timestamp_format' {FORMAT_LENGTH_MAX}."
        )
    try:
        return checked(given)
    except BadOption as error:
        text = in_words_of_api(str(error))
        raise InvalidParameter(f"{text[:1].upper()}{text[1:]}.") from None


def shown_name(file_name: str) -> str:
    """A name without what cannot be printed, or turns the direction of the text around it."""
    kept = "".join(
        char for char in file_name if char.isprintable() and unicodedata.category(char) not in ("Cf", "Cs")
    )
    return kept.strip()[:FILE_NAME_LENGTH_MAX] or "file"


def writer_of(catalog: Catalog, project: Project, job: ImportJob, now: float) -> Writer | None:
    """Who started an import; None if they may not record events any more. ``now``: Unix seconds."""
    person_id = person_of(job.key_id)
    if person_id is not None:
        standing = catalog.people.standing(person_id)
        role = None if standing is None else standing.role_in(project.id, project.organisation_id)
        return Writer({}) if role in (Role.EDITOR, Role.OWNER) else None
    key = catalog.access_keys.find(project.id, access_key_of(job.key_id))
    if not key_lives(project, job.key_id, key, now):
        return None
    if key is None:
        return Writer({})
    options = stored_options(dict(key.options))
    if Permission.WRITES not in key.permitted or options.autofill:
        return None
    return Writer(options.quotas)
