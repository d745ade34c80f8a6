"""Every setting of the server: its name, unit, default and effect, and the only reader of the environment.

Each field is the environment variable ``ACUMEN_<NAME>``. ``docs/settings.md`` is generated from this class
(``python -m service.settings``) and tested against it.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from query.errors import InvalidQuery
from query.language.calendar import WeekStart
from query.language.preferences import DECIMALS_MAX, Preferences, decimals
from query.language.suggestions import nearest
from query.limits import Limits, SqlLimits
from service.machine import container_cpus, container_memory_bytes

PREFIX = "ACUMEN_"
MIB = 1 << 20
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


SECRET_LENGTH_MIN = 16


OTHER_VARIABLES = (
    "url",
    "project",
    "write_key",
    "read_key",
    "master_key",
    "access_key",
    "organization_key",
    "renew_snapshots",
    "test_airflow",
    "test_sample",
    "test_scale",
    "test_port",
    "require_all",
    "shared_data",
)
"""Variables with the settings' prefix that are not settings: of clients, scripts in the docs and tests."""
_OF_KUBERNETES = re.compile(r"SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?", re.ASCII)
"""Variables that Kubernetes sets in every container of a namespace with a service named acumen."""


OPENID_LABEL_MAX = 60
_HOST_PATTERN = re.compile(
    r"(\*|(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(:(\d{1,5}|\*))?", re.ASCII
)
_OWN_HOSTS = ("localhost", "127.0.0.1", "::1")


def is_safe(url: str) -> bool:
    """Whether what is asked of this URL reaches nobody else: by TLS, or on this machine."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _OWN_HOSTS)
    except ValueError:
        return False


class BadSettings(Exception):
    """A setting that cannot be used; the text names it and says why."""


def _quota(what: str) -> Any:
    return Field(0, ge=0, description=f"{what} (UTC; 429 beyond); 0: without limit.")


class Settings(BaseSettings):
    """The server's configuration; frozen for the life of a process."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="TCP port to listen on; 0 takes a free one.")
    data: Path = Field(Path("data"), description="Folder of everything the server stores.")
    workers: int = Field(1, ge=1, le=256, description="HTTP worker processes.")
    secret_key: str = Field(
        "",
        repr=False,
        description="Seals the access keys in the catalog, 16 characters at least; empty: one of its own, in "
        "the file `secret.key` of the data folder, which belongs in no backup.",
    )
    public_url: str = Field(
        "",
        description="Where clients reach the server, for absolute links; empty: what the request says.",
    )
    session_days: float = Field(
        30.0, gt=0, le=400, description="Days after which a person's session ends, and they log in again."
    )
    login_failures_per_address: int = Field(
        50,
        ge=1,
        description="Attempts to log in of one client address that may fail in a quarter of an hour (429 "
        "beyond).",
    )
    openid_issuer: str = Field(
        "",
        description="URL of a provider with which people log in by OpenID Connect, for which "
        "`ACUMEN_OPENID_CLIENT_ID` and `ACUMEN_PUBLIC_URL` are needed; empty: with none.",
    )
    openid_client_id: str = Field("", description="By what name the provider knows this server.")
    openid_client_secret: str = Field(
        "", repr=False, description="Secret that the provider gave for that; empty: none, or in a file."
    )
    openid_client_secret_file: Path | None = Field(
        None, description="File that holds this secret, read for each log-in, instead of the secret itself."
    )
    openid_label: str = Field("Single sign-on", description="What the button of this log-in says.")
    openid_domains: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated domains of the e-mail addresses that may log in so; empty: all.",
    )
    openid_admit_unknown: bool = Field(
        False,
        description="Whether people who were not invited come in by themselves, with a verified address.",
    )
    openid_organisation: str = Field(
        "", description="Id of the organisation that they belong to then; empty: the oldest."
    )
    openid_role: str = Field(
        "",
        description="Their role in its projects of that day: `viewer` or `editor`; empty: none, until "
        "an owner gives them one.",
    )
    tls_cert: Path | None = Field(
        None, description="PEM file of the certificate chain; with it the server speaks TLS."
    )
    tls_key: Path | None = Field(None, description="PEM file of the certificate's private key.")
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="Comma-separated addresses or networks whose forwarding headers are believed."
    )
    shutdown_seconds: float = Field(
        8.0,
        ge=0,
        le=3_600,
        description="Longest wait, in seconds, for running requests when the server stops.",
    )
    unready_seconds: float = Field(
        0.2,
        ge=0,
        le=600,
        description="Seconds for which a stopping server reports so at /ready before it refuses requests.",
    )
    keep_alive_seconds: int = Field(
        75, ge=1, description="How long, in seconds, an idle connection is kept open."
    )
    header_seconds: float = Field(
        30.0,
        gt=0,
        description="Longest time, in seconds, until a new connection has sent a request's headers.",
    )
    connections_max: int = Field(
        10_000,
        ge=1,
        description="Connections of one worker (503 beyond); fewer where the system's limit of open files "
        "leaves too few for the data.",
    )
    connections_per_client: int = Field(
        0,
        ge=0,
        description="Connections of one worker with one address that is no trusted proxy (503 beyond); "
        "0: without limit.",
    )
    tail_connections: int = Field(
        100, ge=0, description="Live tails that one worker sends at once (429 beyond)."
    )
    tail_connections_per_project: int = Field(
        50, ge=0, description="Live tails of one project that one worker sends at once (429 beyond)."
    )
    tail_queue_bytes: int = Field(
        MIB,
        ge=1_000,
        description="Bytes of events that wait for one live tail; of further ones it is told how many are "
        "left out.",
    )
    tail_resumed_events_max: int = Field(
        10_000,
        ge=1,
        description="Events that a resumed live tail gets of those that came meanwhile; of more only the "
        "newest, and a gap before them.",
    )
    write_seconds: float = Field(
        30.0,
        gt=0,
        description="Longest time, in seconds, in which a client takes less than 32 KiB of an unsent answer "
        "before its connection is closed.",
    )
    answer_bytes_in_flight: int = Field(
        256 * MIB,
        ge=1,
        description="Bytes of unsent answers of one worker, beyond which the slowest reader's connection is "
        "closed, or a new answer is a 503.",
    )
    log_level: str = Field(
        "info", description="Least severity that is logged: debug, info, warning or error."
    )
    log_level_file: Path | None = Field(
        None,
        description="File that holds one such word, read at the start and at SIGHUP; it goes before "
        "`ACUMEN_LOG_LEVEL`. Empty: none.",
    )
    access_log: bool = Field(
        False, description="Whether every answered request is logged, without the values of its parameters."
    )

    error_log_seconds: float = Field(
        60.0,
        ge=0,
        description="Seconds between two lines of a worker's log that tell how many requests were answered "
        "with which error; 0: never.",
    )

    flush_events: int = Field(
        250_000, ge=1, description="Events not yet in Parquet files that start a flush."
    )
    flush_bytes: int = Field(
        192 * MIB, ge=1, description="Bytes in memory of events not yet in Parquet files that start a flush."
    )
    flush_seconds: float = Field(
        30.0,
        gt=0,
        description="Age, in seconds, of the oldest event not yet in Parquet files that starts a flush.",
    )
    shred_seconds: float = Field(
        0.2, gt=0, description="Age, in seconds, at which logged events are turned into columns."
    )
    shred_bytes: int = Field(
        8 * MIB, ge=1, description="Bytes of logged events that are turned into columns without waiting."
    )
    compaction: bool = Field(True, description="Whether small Parquet files are merged into larger ones.")
    segment_bytes: int = Field(
        64 * MIB, ge=4_096, description="Bytes of one log segment before the next is begun."
    )
    log_bytes_max: int = Field(
        8 << 30,
        ge=1,
        description="Bytes in all logs not yet flushed beyond which events are refused with 503.",
    )
    queue_bytes_max: int = Field(
        64 * MIB, ge=1, description="Bytes one worker may hold unsynced before it refuses events with 503."
    )
    grace_seconds: float = Field(
        600.0,
        ge=0,
        description="How long, in seconds, superseded files outlive the queries that may read them.",
    )
    history: float = Field(
        7.0,
        ge=0,
        le=3_650,
        description="Days for which files that merges and updates supersede are kept, so that `as_of` can "
        "repeat earlier answers; what was erased is not kept.",
    )
    clock_hold_seconds: float = Field(
        3_600.0,
        ge=0,
        description="How long, in seconds, a clock that jumped must hold before data is deleted by it for "
        "its age.",
    )
    purge_days: float = Field(
        7.0,
        ge=0,
        description="Days after which a deleted project's data is purged; until then it can be restored.",
    )
    erase_seconds: float = Field(
        300.0,
        gt=0,
        le=3_600,
        description="Longest wait for events to be deleted or changed; beyond it the answer is a 504 and the "
        "work goes on.",
    )
    min_free_bytes: int = Field(
        256 * MIB,
        ge=0,
        description="Free bytes on the data folder's disk below which events are refused with 503.",
    )

    event_bytes_max: int = Field(900_000, ge=1, description="Bytes of one event.")
    bulk_bytes_max: int = Field(10_000_000, ge=1, description="Bytes of one bulk body, as sent.")
    bulk_events_max: int = Field(50_000, ge=1, description="Events in one bulk body.")
    inflated_bytes_max: int = Field(
        25_000_000, ge=1, description="Bytes of one compressed body once inflated."
    )
    query_bytes_max: int = Field(10_000_000, ge=1, description="Bytes of one query's body.")
    query_values_max: int = Field(
        250_000, ge=1, description="Values, and empty lists and objects, in one query's body."
    )
    body_timeout_seconds: float = Field(
        30.0, gt=0, description="Longest wait, in seconds, for the next part of a body."
    )
    body_bytes_in_flight: int = Field(
        256 * MIB,
        ge=1,
        description="Body bytes of all unanswered requests of one worker before it answers 503.",
    )
    header_bytes_max: int = Field(131_072, ge=1_024, description="Bytes of a request's line and headers.")
    stream_folder: Path | None = Field(
        None,
        description="Folder, not in the data folder, to which new events are streamed as gzip NDJSON; empty: "
        "none are.",
    )
    sink_folder: Path | None = Field(
        None,
        description="Existing folder, not in the data folder, below which pipelines may deliver files, each "
        "project in a folder of its own; empty: none may.",
    )
    source_folder: Path | None = Field(
        None,
        description="Existing folder, not in the data folder, below which sources may read files, each "
        "project in a folder of its own; empty: none may.",
    )
    source_bytes: int = Field(
        1 << 30,
        ge=1,
        description="Bytes that a source reads at once: of a file, which may be ten times as large unpacked, "
        "or of the answers that belong together.",
    )
    stream_seconds: float = Field(300.0, gt=0, description="Seconds between two files of streamed events.")
    stream_events_max: int = Field(1_000_000, ge=1, description="Events in one streamed file.")
    geoip_database: Path | None = Field(
        None,
        description="Database in MaxMind's format for `keen:ip_to_geo`, read again when it changes; "
        "empty: the country by the address registries.",
    )
    properties_max: int = Field(
        1_000, ge=1, description="Distinct properties that the events of one collection hold together."
    )
    collections_max: int = Field(2_000, ge=1, description="Event collections of one project.")
    schema_collections_max: int = Field(5_000, ge=1, description="Collections in one schema listing.")

    run_workers: int = Field(
        1,
        ge=0,
        le=64,
        description="Processes that the server starts at most for runs of pipelines, as many as there are "
        "runs, and ends when these are done; 0: none, only `acumen worker` executes runs.",
    )
    run_queues: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated names of the queues whose runs these processes take; empty: all."
    )
    run_idle_seconds: float = Field(
        60.0, ge=0, description="Seconds without a run after which such a process ends."
    )
    run_attempts: int = Field(5, ge=1, le=1_000, description="How often a run is tried before it is dead.")
    run_retry_seconds: float = Field(
        5.0,
        gt=0,
        description="Pause, in seconds, before a run that failed is tried again; each further pause is twice "
        "as long, up to ten minutes.",
    )
    run_seconds: float = Field(
        3_600.0, gt=0, description="Longest time, in seconds, that a run may take; it fails then."
    )
    run_history_days: float = Field(
        30.0, gt=0, le=3_650, description="Days for which runs that have ended are listed."
    )

    tokens_max: int = Field(
        10_000_000,
        ge=0,
        description="Uniqueness tokens and idempotency keys that are kept for one project (403 beyond).",
    )
    token_days: float = Field(
        31.0, gt=0, le=3_650, description="Days for which a uniqueness token or idempotency key is kept."
    )
    quota_events_per_day: int = _quota("Events that one project may send in a day")
    quota_events_per_month: int = _quota("Events that one project may send in a month")
    quota_bytes_per_day: int = _quota("Bytes of events that one project may send in a day")
    quota_bytes_per_month: int = _quota("Bytes of events that one project may send in a month")
    quota_query_seconds_per_day: int = _quota("Seconds that the queries of one project may run in a day")
    quota_query_seconds_per_month: int = _quota("Seconds that the queries of one project may run in a month")
    quota_stored_bytes: int = Field(
        0, ge=0, description="Bytes of files that one project may store (403 beyond); 0: without limit."
    )

    query_timeout_seconds: float = Field(
        300.0, gt=0, description="Longest run, in seconds, of one query (504)."
    )
    query_rows_max: int = Field(
        0,
        ge=0,
        description="Events in the files, and not yet in files, that one query may read; 0: without limit.",
    )
    unknown_parameters: str = Field(
        "refuse",
        description="What happens to parameters that a query does not have: `refuse` answers 400 and "
        "names the nearest known one, `ignore` answers as if they had not been sent, as Keen did.",
    )
    round: str = Field(
        "",
        description="To how many decimals results are rounded, 0 to 15, where neither the question nor its "
        "project says; empty: not at all.",
    )
    week_start: str = Field(
        "sunday",
        description="On which day weeks begin, `sunday` as in Keen or `monday`, where neither the question "
        "nor its project says.",
    )
    query_intervals_max: int = Field(9_000, ge=1, description="Sub-timeframes of one query with an interval.")
    query_groups_max: int = Field(1_000_000, ge=1, description="Groups of one query's answer.")
    query_cells_max: int = Field(
        2_000_000,
        ge=1,
        description="Groups that occur in an interval, summed over the intervals of one answer.",
    )
    query_series_max: int = Field(50, ge=1, description="Named questions of one question for series.")
    query_formulas_max: int = Field(50, ge=1, description="Formulas of one question for series.")
    query_rolling_max: int = Field(366, ge=1, description="Intervals of one rolling window of a series.")
    query_windows_max: int = Field(
        1_000,
        ge=1,
        description="Times that one question for series reads events again for windows that overlap, where "
        "results cannot be added up (`count_unique`, medians …).",
    )
    query_top_max: int = Field(
        1_000, ge=1, description="Groups that the `top` of one question for series keeps."
    )
    query_event_lists_max: int = Field(
        20, ge=1, le=60, description="Entries of `events` in a question about sessions or paths."
    )
    query_path_depth_max: int = Field(20, ge=2, le=100, description="Nodes of one path.")
    query_path_nodes_max: int = Field(
        1_000, ge=1, description="Nodes of each step of paths that an answer names."
    )
    query_renames_max: int = Field(100, ge=1, description="Rules of `rename` in one question about paths.")
    query_pages_max: int = Field(
        1_000,
        ge=1,
        description="Entries, and exits, of sessions that an answer names for each group and interval.",
    )
    query_session_events_max: int = Field(
        20_000_000,
        ge=1,
        description="Events in which one question finds the sessions that its filters and groups name.",
    )
    query_session_margin_hours: int = Field(
        24,
        ge=0,
        le=8_760,
        description="How long before and after a timeframe the events of its sessions are read at most, "
        "beside the gap.",
    )
    query_funnel_actors_max: int = Field(1_000_000, ge=1, description="Distinct actors of one funnel.")
    query_cohorts_max: int = Field(
        20, ge=1, description="Cohorts that one question uses, with those that they name themselves."
    )
    cohort_actors_max: int = Field(1_000_000, ge=1, description="Actors of one cohort.")
    cohort_members_max: int = Field(100_000, ge=1, description="Actors that a static cohort lists.")
    cohort_conditions_max: int = Field(20, ge=1, le=60, description="Conditions of one cohort.")
    query_funnel_intervals_max: int = Field(
        400, ge=1, description="Sub-timeframes of one funnel with an interval."
    )
    identities_max: int = Field(
        1_000_000,
        ge=1,
        description="Different statements of which ids belong to one actor that a question may put together.",
    )
    extraction_events_max: int = Field(100_000, ge=1, description="Events of one extraction's answer.")
    extraction_scan_max: int = Field(
        1_000_000, ge=1, description="Events an extraction without 'latest' may look at."
    )
    response_bytes_max: int = Field(150_000_000, ge=1_000, description="Bytes of one query's answer.")
    picture_seconds: float = Field(
        10.0,
        gt=0,
        le=600,
        description="Longest time, in seconds, in which a picture of a result is drawn (504).",
    )
    picture_idle_seconds: float = Field(
        60.0,
        gt=0,
        description="Seconds without a picture after which the process that draws them ends; it takes about "
        "90 MB.",
    )
    query_slots: int = Field(
        48,
        ge=1,
        le=1_024,
        description="Queries that one worker runs at once; those of one project take at most half of them.",
    )
    query_queue_max: int = Field(
        256,
        ge=0,
        description="Queries that may wait for a slot of one worker (429 beyond); half of them of a project.",
    )
    query_wait_seconds: float = Field(
        30.0, gt=0, description="Longest wait, in seconds, of a query for a free slot (429 after it)."
    )
    sql_rows_max: int = Field(
        100_000,
        ge=1,
        description="Rows of one SQL statement's answer (400 beyond, unless it has a `limit`).",
    )
    sql_bytes_max: int = Field(50_000_000, ge=1_000, description="Bytes of one SQL statement's answer.")
    sql_length_max: int = Field(100_000, ge=1, description="Characters of one SQL statement.")
    sql_timeout_seconds: float = Field(
        60.0, gt=0, le=3_600, description="Longest run, in seconds, of one SQL statement (504)."
    )
    sql_memory_bytes: int = Field(
        256 * MIB,
        ge=64 * MIB,
        description="Bytes of memory of the database in the process of one SQL statement, beside those of "
        "`ACUMEN_MEMORY_BYTES`; the process itself takes about 100 MB more.",
    )
    sql_spill_bytes: int = Field(
        2 << 30, ge=0, description="Bytes on disk that one SQL statement may use beyond memory."
    )
    sql_threads: int = Field(2, ge=1, le=256, description="Threads of one SQL statement.")
    sql_slots: int = Field(
        4,
        ge=1,
        le=256,
        description="SQL statements that one worker runs at once; those of one project take at most half of "
        "them.",
    )
    sql_queue_max: int = Field(
        32,
        ge=0,
        description="SQL statements that may wait for a slot of one worker (429 beyond); half of them of a "
        "project.",
    )
    sql_idle_seconds: float = Field(
        60.0,
        gt=0,
        description="Seconds without a SQL statement after which the process that waits for the next one "
        "ends; it takes about 100 MB.",
    )
    pipeline_rows_max: int = Field(
        5_000_000, ge=1, description="Rows that one step of a pipeline's bucket may give to the next."
    )
    pipeline_bytes_max: int = Field(
        1 << 30, ge=1 << 20, description="Bytes of the rows that one step of a bucket may give to the next."
    )
    pipeline_memory_bytes: int = Field(
        512 * MIB, ge=64 * MIB, description="Bytes of memory of each process that runs steps of a pipeline."
    )
    pipeline_spill_bytes: int = Field(
        8 << 30, ge=0, description="Bytes on disk that one step of a pipeline may use beyond memory."
    )
    pipeline_timeout_seconds: float = Field(
        600.0, gt=0, le=86_400, description="Longest run, in seconds, of the steps of one bucket."
    )
    pipeline_threads: int = Field(2, ge=1, le=256, description="Threads of one step of a pipeline.")
    mcp_answer_bytes_max: int = Field(
        256 << 10, ge=1_000, description="Bytes of what one tool of the MCP server answers (an error beyond)."
    )
    mcp_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated origins of further web pages that may use the MCP server, such as "
        "`https://agents.example.com`.",
    )
    cached_bytes_max: int = Field(
        64 * MIB, ge=0, description="Bytes of saved queries' results that one worker holds in memory."
    )
    answer_cache_bytes: int = Field(
        16 * MIB,
        ge=0,
        description="Bytes of answers to queries, and of profiles, that one worker keeps to repeat them; "
        "0: each is computed.",
    )
    partials_bytes: int = Field(
        4 << 30,
        ge=0,
        description="Bytes on disk of partial answers of stored files, which are kept for queries to come; "
        "0: none are kept.",
    )
    partials_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="The most that partial answers of a stored file take, as a share of the file's bytes.",
    )
    partials_events_min: int = Field(
        5_000,
        ge=1,
        description="Events of a stored file from which on partial answers of it are kept; smaller files are "
        "soon merged.",
    )
    scrub_days: float = Field(
        7.0,
        ge=0,
        description="Days in which each stored file is compared with its digest in the background; 0: never.",
    )
    scrub_bytes_per_second: int = Field(
        16 << 20,
        gt=0,
        description="Bytes that are read in a second to compare stored files with their digests.",
    )
    dataset_refresh_seconds: float = Field(
        3_600.0, ge=1, description="How often, in seconds, the results of cached datasets are recomputed."
    )
    dataset_values_max: int = Field(
        100_000, ge=1, description="Combinations of index values that one cached dataset may have."
    )
    export_events_max: int = Field(
        10_000_000, ge=1, description="Events of one extraction that becomes a file."
    )
    export_bytes_max: int = Field(
        2_000_000_000, ge=1_000, description="Bytes of one extraction's file, as it is written."
    )
    export_queue_max: int = Field(
        10,
        ge=0,
        description="Extractions to files of one project that may wait or run (429 beyond); 0: none may.",
    )
    export_store_bytes_max: int = Field(
        20_000_000_000,
        ge=0,
        description="Bytes of one project's extraction files beyond which no more are begun (429).",
    )
    export_days: float = Field(
        30.0,
        gt=0,
        le=3_650,
        description="Days after which an extraction's file is removed and its link expires.",
    )
    import_bytes: int = Field(
        1 << 30,
        ge=0,
        description="Bytes of one file that is uploaded to be imported (413 beyond); of a gzip file ten "
        "times as many once it is unpacked; 0: none may be.",
    )
    import_uploads_max: int = Field(
        3,
        ge=1,
        description="Files of one project that may be uploaded at once (429 beyond); one key or person may "
        "upload half of them.",
    )
    import_files_max: int = Field(
        20,
        ge=1,
        description="Uploaded files of one project that are not imported yet, beyond which no more are taken "
        "(429); half of them may be of one key or person.",
    )
    import_days: float = Field(
        7.0,
        gt=0,
        le=3_650,
        description="Days after which an uploaded file, and what was refused of it, are removed.",
    )
    import_preview_seconds: float = Field(
        20.0, gt=0, le=600, description="Longest time, in seconds, that a preview reads in a file."
    )
    smtp_host: str = Field(
        "",
        description="Mail server for extractions, alerts and reports by e-mail and mails about accounts, "
        "for which `ACUMEN_PUBLIC_URL` and `ACUMEN_SMTP_FROM` are needed; empty: no mail is sent.",
    )
    smtp_port: int = Field(587, ge=1, le=65_535, description="TCP port of the mail server.")
    smtp_security: str = Field(
        "starttls", description="How mail is sent: `starttls`, `tls` from the first byte, or `none`."
    )
    smtp_user: str = Field("", description="User name at the mail server; empty: without authentication.")
    smtp_password: str = Field("", repr=False, description="Password at the mail server.")
    smtp_from: str = Field("", description="Sender of mails, as an address.")
    mail_domains: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated domains to which extractions, alerts and reports may be mailed; empty: "
        "to none, since any holder of a read key may name the recipient.",
    )
    outbound_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated hosts that webhooks and other requests of this server may go to: "
        "`hooks.example.com`, `*.example.com` for all below it, `*` for every public one; with `:8443` at "
        "that port, with `:*` at any, else at the usual one; empty: to none but those of other settings.",
    )
    outbound_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="Comma-separated addresses or networks that are not public, such as `10.1.2.3` or "
        "`127.0.0.0/8`, to which a host of that list may lead; empty: none.",
    )
    outbound_http: bool = Field(False, description="Whether such requests may go without TLS (`http://`).")
    outbound_proxy: str = Field(
        "",
        repr=False,
        description="Proxy for such requests, as `http://[user:password@]host:port`; it is asked to connect "
        "to addresses that are checked here. Empty: none, whatever `HTTPS_PROXY` says.",
    )
    outbound_connect_seconds: float = Field(
        5.0, gt=0, le=600, description="Longest time, in seconds, in which such a connection is made."
    )
    outbound_read_seconds: float = Field(
        10.0, gt=0, le=600, description="Longest wait, in seconds, for the next bytes of an answer to one."
    )
    outbound_seconds: float = Field(
        30.0, gt=0, le=3_600, description="Longest time, in seconds, of such a request with its redirects."
    )
    outbound_header_bytes_max: int = Field(
        65_536, ge=1_000, le=100_000, description="Bytes of the header fields of an answer to one."
    )
    outbound_bytes_max: int = Field(
        10_000_000, ge=1_000, description="Bytes of the body of an answer to one, as it is sent."
    )
    outbound_inflated_bytes_max: int = Field(
        50_000_000, ge=1_000, description="Bytes of such a body once inflated."
    )
    outbound_redirects_max: int = Field(
        5, ge=0, le=20, description="Redirects that are followed where any are; webhooks follow none."
    )

    rate_queries: int = Field(0, ge=0, description="Queries a minute of one project; 0: without limit.")
    rate_extractions: int = Field(
        0, ge=0, description="Extractions a minute of one project; 0: without limit."
    )
    rate_writes: int = Field(
        0, ge=0, description="Requests a minute of one project that record events; 0: without limit."
    )

    rate_updates: int = Field(
        0, ge=0, description="Requests a minute of one project that change stored events; 0: without limit."
    )
    rate_deletes: int = Field(
        0,
        ge=0,
        description="Requests a minute of one project that delete events or a property; 0: without limit.",
    )
    rate_collection_deletes: int = Field(
        0,
        ge=0,
        description="Requests a minute of one project that delete whole collections; 0: without limit.",
    )
    rate_queries_per_key: int = Field(0, ge=0, description="Queries a minute with one key; 0: without limit.")
    rate_extractions_per_key: int = Field(
        0, ge=0, description="Extractions a minute with one key; 0: without limit."
    )
    rate_writes_per_key: int = Field(
        0, ge=0, description="Requests a minute with one key that record events; 0: without limit."
    )
    rate_updates_per_key: int = Field(
        0, ge=0, description="Requests a minute with one key that change stored events; 0: without limit."
    )
    rate_deletes_per_key: int = Field(
        0,
        ge=0,
        description="Requests a minute with one key that delete events or a property; 0: without limit.",
    )
    rate_collection_deletes_per_key: int = Field(
        0,
        ge=0,
        description="Requests a minute with one key that delete whole collections; 0: without limit.",
    )
    concurrent_queries: int = Field(
        0,
        ge=0,
        description="Queries of one project, on all workers, that may run or wait at once (429 beyond); "
        "0: without limit.",
    )
    concurrent_queries_per_key: int = Field(
        0,
        ge=0,
        description="Queries with one key, on all workers, that may run or wait at once (429 beyond); "
        "0: without limit.",
    )

    memory_bytes: int = Field(
        0,
        ge=0,
        description="Bytes for all queries, shared by workers and runner; 0: half of the container's memory.",
    )
    threads: int = Field(
        0, ge=0, description="Threads for the queries of all workers; 0: the container's processors."
    )
    spill_bytes_max: int = Field(
        10 << 30, ge=0, description="Bytes on disk that all queries may use beyond memory, shared likewise."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings)

    @field_validator("trusted_proxies", "outbound_networks", mode="before")
    @classmethod
    def _split_networks(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(
            ipaddress.ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip()
        )

    @field_validator("run_queues", mode="before")
    @classmethod
    def _split_queues(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("secret_key")
    @classmethod
    def _long_secret(cls, value: str) -> str:
        if value and len(value) < SECRET_LENGTH_MIN:
            raise ValueError(f"must have {SECRET_LENGTH_MIN} characters at least")
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.lower() not in ("debug", "info", "warning", "error"):
            raise ValueError("must be debug, info, warning or error")
        return value.lower()

    @field_validator("mail_domains", "openid_domains", mode="before")
    @classmethod
    def _split_domains(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip().lower().lstrip("@") for part in value.split(",") if part.strip())

    @field_validator("mcp_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        origins = tuple(part.strip().lower().rstrip("/") for part in value.split(",") if part.strip())
        if not all(re.fullmatch(r"https?://[^/?#@\s]+", one) for one in origins):
            raise ValueError("must be origins such as https://agents.example.com, separated by commas")
        return origins

    @field_validator("outbound_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        hosts = tuple(part.strip().lower() for part in value.split(",") if part.strip())
        if not all(_HOST_PATTERN.fullmatch(one) for one in hosts):
            raise ValueError(
                "must be hosts such as hooks.example.com, *.example.com:8443 or [2001:db8::1], separated by "
                "commas"
            )
        return hosts

    @field_validator("outbound_proxy")
    @classmethod
    def _plain_proxy(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (parts.scheme == "http" and parts.hostname and parts.path in ("", "/")):
            raise ValueError("must be http://host:port")
        return value

    @field_validator("unknown_parameters")
    @classmethod
    def _known_treatment(cls, value: str) -> str:
        if value.lower() not in ("refuse", "ignore"):
            raise ValueError("must be refuse or ignore")
        return value.lower()

    @field_validator("round")
    @classmethod
    def _known_decimals(cls, value: str) -> str:
        try:
            decimals(value, None)
        except InvalidQuery:
            raise ValueError(f"must be an integer from 0 to {DECIMALS_MAX}, or empty") from None
        return value

    @field_validator("week_start")
    @classmethod
    def _known_day(cls, value: str) -> str:
        if value.lower() not in tuple(WeekStart):
            raise ValueError(f"must be {' or '.join(WeekStart)}")
        return value.lower()

    @field_validator("smtp_security")
    @classmethod
    def _known_security(cls, value: str) -> str:
        if value.lower() not in ("starttls", "tls", "none"):
            raise ValueError("must be starttls, tls or none")
        return value.lower()

    @field_validator("smtp_from")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if value and ("@" not in value or not value.isprintable()):
            raise ValueError("must be one address")
        return value

    @field_validator("openid_issuer")
    @classmethod
    def _safe_issuer(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (is_safe(value) and parts.hostname and not (parts.query or parts.fragment)):
            raise ValueError("must begin with https://, or with http:// and an address of this machine")
        return value

    @field_validator("openid_label")
    @classmethod
    def _short_label(cls, value: str) -> str:
        if not value.isprintable() or len(value) > OPENID_LABEL_MAX:
            raise ValueError(f"must have {OPENID_LABEL_MAX} characters at most, in one line")
        return value

    @field_validator("openid_role")
    @classmethod
    def _small_role(cls, value: str) -> str:
        if value.lower() not in ("", "viewer", "editor"):
            raise ValueError("must be viewer or editor, or empty")
        return value.lower()

    @field_validator("public_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _whole_pairs(self) -> Settings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key must be given together")
        if self.smtp_host and not (self.smtp_from and self.public_url):
            raise ValueError("smtp_host needs smtp_from, and public_url for the links in mails")
        if self.openid_issuer and not (self.openid_client_id and self.public_url):
            raise ValueError("openid_issuer needs openid_client_id, and public_url for the way back")
        if self.openid_client_secret and self.openid_client_secret_file:
            raise ValueError("openid_client_secret and openid_client_secret_file exclude each other")
        data = self.data.absolute()
        for name in ("stream_folder", "sink_folder", "source_folder"):
            target: Path | None = getattr(self, name)
            if target is not None and data in (target.absolute(), *target.absolute().parents):
                raise ValueError(f"{name} must not be in the data folder")
        return self

    def current_log_level(self) -> str:
        """The log level, read from ``log_level_file`` if one is set. Raises BadSettings."""
        if self.log_level_file is None:
            return self.log_level
        try:
            return self._known_level(self.log_level_file.read_text(encoding="utf-8").strip())
        except (OSError, ValueError) as error:
            raise BadSettings(f"{PREFIX}LOG_LEVEL_FILE: {self.log_level_file}: {error}.") from None

    @property
    def history_seconds(self) -> float:
        """How long superseded files are kept."""
        return self.history * 86_400.0

    @property
    def query_limits(self) -> Limits:
        """The limits of one query, for the query compiler."""
        return Limits(
            rows_max=self.query_rows_max,
            intervals_max=self.query_intervals_max,
            groups_max=self.query_groups_max,
            cells_max=self.query_cells_max,
            series_max=self.query_series_max,
            formulas_max=self.query_formulas_max,
            rolling_max=self.query_rolling_max,
            windows_max=self.query_windows_max,
            series_top_max=self.query_top_max,
            event_lists_max=self.query_event_lists_max,
            path_depth_max=self.query_path_depth_max,
            path_nodes_max=self.query_path_nodes_max,
            renames_max=self.query_renames_max,
            pages_max=self.query_pages_max,
            cohorts_max=self.query_cohorts_max,
            cohort_actors_max=self.cohort_actors_max,
            cohort_members_max=self.cohort_members_max,
            cohort_conditions_max=self.cohort_conditions_max,
            session_events_max=self.query_session_events_max,
            session_margin_hours=self.query_session_margin_hours,
            funnel_actors_max=self.query_funnel_actors_max,
            funnel_intervals_max=self.query_funnel_intervals_max,
            identities_max=self.identities_max,
            extraction_events_max=self.extraction_events_max,
            extraction_scan_max=self.extraction_scan_max,
            latest_max=self.extraction_events_max,
            response_bytes_max=self.response_bytes_max,
            timeout_seconds=self.query_timeout_seconds,
        )

    @property
    def sql_limits(self) -> SqlLimits:
        """The limits of one SQL statement."""
        return SqlLimits(
            rows_max=self.sql_rows_max,
            bytes_max=self.sql_bytes_max,
            memory_bytes=self.sql_memory_bytes,
            spill_bytes=self.sql_spill_bytes,
            timeout_seconds=self.sql_timeout_seconds,
            threads=self.sql_threads,
            length_max=self.sql_length_max,
        )

    @property
    def pipeline_sql_limits(self) -> SqlLimits:
        """The limits of the steps of a pipeline that run as SQL."""
        return SqlLimits(
            rows_max=self.pipeline_rows_max,
            bytes_max=self.pipeline_bytes_max,
            memory_bytes=self.pipeline_memory_bytes,
            spill_bytes=self.pipeline_spill_bytes,
            timeout_seconds=self.pipeline_timeout_seconds,
            threads=self.pipeline_threads,
        )

    @property
    def preferences(self) -> Preferences:
        """The preferences for queries of projects that have none."""
        return Preferences(decimals(self.round, None), WeekStart(self.week_start))

    @property
    def export_limits(self) -> Limits:
        """The limits of an extraction to a file, applied when it is requested; its parts otherwise obey
        ``query_limits``."""
        return replace(self.query_limits, rows_max=0, latest_max=self.export_events_max)

    @property
    def worker_memory_bytes(self) -> int:
        """Bytes for the queries of one worker, or of the runner: its share of the memory for all queries."""
        return max(64 * MIB, (self.memory_bytes or container_memory_bytes() // 2) // self.queriers)

    @property
    def engine_memory_bytes(self) -> int:
        """The part of a worker's memory that DuckDB may use."""
        return self.worker_memory_bytes // 2

    @property
    def results_memory_bytes(self) -> int:
        """The part of a worker's memory for results being computed and answers being sent, together."""
        return self.worker_memory_bytes - self.engine_memory_bytes - self.caches_memory_bytes

    @property
    def caches_memory_bytes(self) -> int:
        """The part of a worker's memory for cached answers."""
        return self.worker_memory_bytes // 8

    @property
    def keeper_memory_bytes(self) -> int:
        """Bytes for flushing and compacting: an eighth of the container's memory, separate from queries."""
        return max(128 * MIB, container_memory_bytes() // 8)

    @property
    def worker_threads(self) -> int:
        """Threads for the queries of one worker."""
        return max(1, (self.threads or container_cpus()) // self.workers)

    @property
    def worker_spill_bytes(self) -> int:
        return self.spill_bytes_max // self.queriers

    @property
    def queriers(self) -> int:
        """Processes that run queries: the workers, and the runner of background tasks."""
        return self.workers + 1

    @property
    def children(self) -> int:
        """Processes of a running server beside its supervisor: workers, keeper and runner, and then those for
        runs, numbered in this order."""
        return self.workers + 2 + self.run_workers

    @property
    def metric_rows(self) -> int:
        """Processes that write metrics: the children, and one that imports into the data folder."""
        return self.children + 1

    @property
    def metrics_path(self) -> Path:
        return self.run_folder / "metrics"

    @property
    def run_pools(self) -> tuple[str, ...] | None:
        """The pools whose runs the server's own processes take; None: all."""
        return self.run_queues or None

    @property
    def run_workers_path(self) -> Path:
        """How many processes for runs the supervisor is to keep: written by the runner."""
        return self.run_folder / "run-workers"

    @property
    def run_folder(self) -> Path:
        """Folder of the running server's own files, which do not outlive a stop."""
        return self.data / "run"


SECRETS = frozenset(name for name, field in Settings.model_fields.items() if not field.repr)
"""Settings whose values are never shown."""


def key_of_environment(kind: str) -> str:
    """A client's key from a variable such as ``ACUMEN_WRITE_KEY``; empty if that is not set."""
    return os.environ.get(f"{PREFIX}{kind.upper()}_KEY", "").strip()


def load(**given: Any) -> Settings:
    """Read the settings from the environment; values ``given`` and not None take precedence.

    Raises BadSettings.
    """
    return _load(given, as_options=False)


def load_options(given: Mapping[str, Any]) -> Settings:
    """As ``load``, for the options of a command: an error names the option instead of the variable."""
    return _load(given, as_options=True)


def _load(given: Mapping[str, Any], *, as_options: bool) -> Settings:
    _check_names()
    values = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        what = f"{PREFIX}{name.upper()}" if name else "The settings"
        if as_options and name in values:
            what = f"--{name.replace('_', '-')}"
        raise BadSettings(f"{what}: {first['msg'].removeprefix('Value error, ')}.") from None


def changed(settings: Settings) -> dict[str, str]:
    """The settings that differ from their defaults, as text; secrets are shown as "(set)"."""
    return {
        name: "(set)" if name in SECRETS else _as_text(getattr(settings, name))
        for name, field in Settings.model_fields.items()
        if getattr(settings, name) != field.default
    }


def _as_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)


def _check_names() -> None:
    """Refuse unknown variables, since a limit whose name is misspelt would not apply. Raises BadSettings."""
    known = [*Settings.model_fields, *OTHER_VARIABLES]
    for variable in sorted(os.environ):
        name = variable.upper().removeprefix(PREFIX)
        if not variable.upper().startswith(PREFIX) or name.lower() in known or _OF_KUBERNETES.fullmatch(name):
            continue
        near = nearest(name.lower(), known)
        hint = f"Did you mean {PREFIX}{near.upper()}?" if near else "docs/settings.md lists them."
        raise BadSettings(f"{variable}: there is no such setting. {hint}")


def as_environment(settings: Settings) -> dict[str, str]:
    """This process's environment with all settings added, from which a child process reads the same ones."""
    environment = dict(os.environ)
    for name in Settings.model_fields:
        environment[PREFIX + name.upper()] = _as_text(getattr(settings, name))
    return environment


def as_table() -> str:
    """The settings as the Markdown table of ``docs/settings.md``."""
    rows = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        text = "" if default is None or default in ((), "") else f"`{default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {text} | {field.description} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(as_table(), end="")  # noqa: T201
