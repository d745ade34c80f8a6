"""The catalog's tables as of the newest migration. A test checks that both agree."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

state = Table(
    "state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("flushed_number", BigInteger, nullable=False),
    Column("tenants_version", BigInteger, nullable=False, server_default="0"),
    Column("data_version", BigInteger, nullable=False, server_default="0"),
    Column("derived_version", BigInteger, nullable=False, server_default="0"),
    Column("people_version", BigInteger, nullable=False, server_default="0"),
    Column("runs_version", BigInteger, nullable=False, server_default="0"),
)
"""One row, id 1; see ``storage.catalog.database.versions``."""

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

organisations = Table(
    "organisations",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("deleted_us", BigInteger),
    Column("changed", BigInteger, nullable=False, server_default="0"),
    Index("organisations_by_change", "changed"),
    sqlite_autoincrement=True,
)
"""``key`` is sealed, as are the keys of projects. ``changed`` is the tenants' version of the last change."""

projects = Table(
    "projects",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("organisation_id", Text, ForeignKey("organisations.id"), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("users", Text, nullable=False, server_default="[]"),
    Column("preferences", Text, nullable=False, server_default="{}"),
    Column("deleted_us", BigInteger),
    Column("purged_us", BigInteger),
    Column("changed", BigInteger, nullable=False, server_default="0"),
    Index("projects_by_change", "changed"),
    Index("projects_by_organisation", "organisation_id"),
    sqlite_autoincrement=True,
)
"""``changed`` is the tenants' version of the last change to the project or to one of its keys."""

project_keys = Table(
    "project_keys",
    metadata,
    Column("project_id", Text, ForeignKey("projects.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
)

access_keys = Table(
    "access_keys",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("permitted", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("public_id", Text),
    Index("access_keys_by_project", "project_id", "number"),
    Index("access_keys_by_public_id", "project_id", "public_id"),
    sqlite_autoincrement=True,
)
"""``public_id`` is null only for a key that is sealed with another secret than the server's."""

collections = Table(
    "collections",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("lanes_version", Integer, nullable=False),
    Column("data_version", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("erase_version", Integer, nullable=False, server_default="0"),
    Column("retention_days", Integer),
    Column("pruned_version", Integer, nullable=False, server_default="0"),
    Column("freed_us", BigInteger),
    Column("retained_days", Integer),
    Column("changed", BigInteger, nullable=False, server_default="0"),
    Column("history_from", BigInteger, nullable=False, server_default="0"),
    Column("derived", Boolean, nullable=False, server_default="0"),
    UniqueConstraint("project_id", "name"),
    Index("collections_by_change", "changed"),
    sqlite_autoincrement=True,
)
"""``changed`` is the data version at which its lanes, or whether it is freed, last changed; ``history_from``
the data version from which on its superseded files are all kept; ``derived``: its events come from a
pipeline alone."""

lanes = Table(
    "lanes",
    metadata,
    Column("collection_id", Integer, ForeignKey("collections.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("path", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("column", Text, nullable=False),
    UniqueConstraint("collection_id", "path", "kind"),
)

counters = Table(
    "counters",
    metadata,
    Column("collection_id", Integer, ForeignKey("collections.id"), primary_key=True),
    Column("logged", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("erased", BigInteger, nullable=False),
)

files = Table(
    "files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("collection_id", Integer, ForeignKey("collections.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("reserved_us", BigInteger, nullable=False),
    Column("removed_us", BigInteger),
    Column("span", Text),
    Column("path", Text),
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
    Column("sha256", Text),
    Column("min_us", BigInteger),
    Column("max_us", BigInteger),
    Column("columns", Text),
    Column("created_us", BigInteger),
    Column("damaged", Text),
    Column("verified_us", BigInteger),
    Column("marked", Boolean, nullable=False, server_default="0"),
    Column("added_version", BigInteger, nullable=False, server_default="0"),
    Column("removed_version", BigInteger),
    Column("flushed", Boolean, nullable=False, server_default="0"),
    Column("arrived_us", BigInteger),
    Column("outdated", Boolean, nullable=False, server_default="0"),
    Index("files_by_state", "state", "collection_id"),
    sqlite_autoincrement=True,
)
"""The columns after ``removed_us`` are set once the file is live. ``damaged`` is the reason why the file is
set aside; ``verified_us`` is when its bytes were last compared with ``sha256``. A file holds the events of
the data versions from ``added_version`` (included) to ``removed_version`` (excluded); see
``storage.catalog.stored.history``."""

moments = Table(
    "moments",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),
    Column("ends", Text),
    Index("moments_by_time", "at_us"),
)
"""The data versions that changed files, and when; ``ends``, of a flush: JSON, for each log the ends of its
plain and of its claimed ordinals up to which events are in files."""

erased_spans = Table(
    "erased_spans",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("collection_id", Integer, ForeignKey("collections.id"), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("min_us", BigInteger, nullable=False),
    Column("max_us", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Index("erased_spans_by_collection", "collection_id", "version"),
    sqlite_autoincrement=True,
)
"""What erasures took from the versions before theirs; times are those of the events, both included."""

erasures = Table(
    "erasures",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("collection_id", Integer, ForeignKey("collections.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("problem", Text),
    Column("requested_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Index("erasures_by_state", "state"),
    sqlite_autoincrement=True,
)

logs = Table(
    "logs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("flushed_lsn", BigInteger, nullable=False),
    Column("end_lsn", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

claims = Table(
    "claims",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("token", Text, primary_key=True),
    Column("log_id", Integer, nullable=False),
    Column("ordinal", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("claimed_us", BigInteger, nullable=False),
    Index("claims_by_ordinal", "log_id", "ordinal"),
    Index("claims_by_time", "claimed_us"),
    sqlite_with_rowid=False,
)
"""Claims outlive their log, hence no foreign key. Triggers count them in ``claim_counts``."""

claim_counts = Table(
    "claim_counts",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

saved_queries = Table(
    "saved_queries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("refresh_rate", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("modified_us", BigInteger, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

saved_runs = Table(
    "saved_runs",
    metadata,
    Column("query_id", Integer, ForeignKey("saved_queries.id"), primary_key=True),
    Column("audience", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("run_us", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("failure", Text),
    Column("failures", Integer, nullable=False),
    Column("asked_us", BigInteger),
    Column("events", BigInteger),
    Column("covers", Text),
    Column("file", Text),
    Column("sha256", Text),
)
"""The last run of a saved query, and the last result; see ``storage.catalog.derived.records.SavedRun``."""

datasets = Table(
    "datasets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("message", Text),
    Column("run", Integer, nullable=False),
    Column("scheduled_us", BigInteger),
    Column("through_us", BigInteger),
    Column("collection_id", Integer),
    Column("erase_version", BigInteger),
    Column("start_us", BigInteger),
    Column("end_us", BigInteger),
    Column("later", BigInteger),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

dataset_files = Table(
    "dataset_files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dataset_id", Integer, ForeignKey("datasets.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("buckets", Text),
    Index("dataset_files_by_dataset", "dataset_id", "state"),
    sqlite_autoincrement=True,
)
"""Files of results. ``buckets`` is JSON, [[start, end, events], ...], once the file is live."""

exports = Table(
    "exports",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("key_id", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("collection", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("gzip", Boolean, nullable=False),
    Column("email", Text),
    Column("state", Text, nullable=False),
    Column("message", Text),
    Column("created_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("expires_us", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("claim", Text),
    Column("lease_us", BigInteger),
    Column("events", BigInteger, nullable=False),
    Column("total", BigInteger),
    Column("bytes", BigInteger),
    Column("file", Text),
    Column("collection_id", Integer),
    Column("erase_version", Integer),
    Column("mail_state", Text),
    Column("mail_attempts", Integer, nullable=False),
    Column("mail_us", BigInteger),
    Column("mail_message", Text),
    Index("exports_by_project", "project_id", "number"),
    Index("exports_by_state", "state", "number"),
    sqlite_autoincrement=True,
)
"""Extractions to files; see ``storage.catalog.derived.records.ExportJob``."""

imports = Table(
    "imports",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("key_id", Text, nullable=False),
    Column("counted_as", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("message", Text),
    Column("bytes", BigInteger, nullable=False),
    Column("digest", Text),
    Column("collection", Text),
    Column("options", Text),
    Column("again", Boolean, nullable=False),
    Column("cancelled", Boolean, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("expires_us", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("claim", Text),
    Column("lease_us", BigInteger),
    Column("position", BigInteger, nullable=False),
    Column("batches", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("known", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("refused_bytes", BigInteger, nullable=False),
    Column("first", Text),
    Column("last", Text),
    Column("reasons", Text),
    Index("imports_by_project", "project_id", "number"),
    Index("imports_by_state", "state", "number"),
    sqlite_autoincrement=True,
)
"""Files that were uploaded to be imported; see ``storage.catalog.derived.records.ImportJob``."""

dashboards = Table(
    "dashboards",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("public_key", Text),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

dashboard_shares = Table(
    "dashboard_shares",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("dashboard_id", Integer, ForeignKey("dashboards.id"), nullable=False),
    Column("public_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("conditions", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("used_us", BigInteger),
    Index("dashboard_shares_by_dashboard", "dashboard_id", "number"),
    Index("dashboard_shares_by_public_id", "project_id", "public_id"),
    sqlite_autoincrement=True,
)
"""``sealed`` is the key of the share's token. ``used_us`` is kept to the day."""

pipelines = Table(
    "pipelines",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("revision", Text),
    Column("paused", Boolean, nullable=False, server_default="0"),
    Column("collection_id", Integer, ForeignKey("collections.id"), nullable=False),
    Column("quarantine_id", Integer, ForeignKey("collections.id")),
    Column("buckets_version", BigInteger, nullable=False, server_default="0"),
    Column("created_us", BigInteger, nullable=False),
    Column("applied_us", BigInteger, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)
"""``version`` grows with each changed definition, ``digest`` is of all that its rows depend on beside its
inputs, ``revision`` the commit of the folder that it was applied from; its rows are in the collection, those
that its expectations set aside in ``quarantine_id``.
``buckets_version`` grows with every change of one of its buckets."""

pipeline_buckets = Table(
    "pipeline_buckets",
    metadata,
    Column("pipeline_id", Integer, ForeignKey("pipelines.id"), primary_key=True),
    Column("start_us", BigInteger, primary_key=True, autoincrement=False),
    Column("end_us", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("rows_in", BigInteger, nullable=False),
    Column("rows_out", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("changed_us", BigInteger, nullable=False),
    Column("problem", Text),
    Column("quarantined", BigInteger, nullable=False, server_default="0"),
    Column("report", Text),
)
"""``inputs``: JSON, what the bucket was derived from, as ``service.pipelines.inputs`` writes it. ``attempts``
counts the failures since it last succeeded. ``report``: JSON, what its expectations found; ``quarantined``:
the rows that they set aside."""

pipeline_accepted = Table(
    "pipeline_accepted",
    metadata,
    Column("pipeline_id", Integer, ForeignKey("pipelines.id"), primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("accepted_us", BigInteger, nullable=False),
)
"""Rows that no expectation of a pipeline sets aside, by digests of their values."""

pipeline_deliveries = Table(
    "pipeline_deliveries",
    metadata,
    Column("pipeline_id", Integer, ForeignKey("pipelines.id"), primary_key=True),
    Column("start_us", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("content", Text, nullable=False),
    Column("sinks", Text, nullable=False),
)
"""What of a bucket was last given to its pipeline's sinks. ``version`` grows each time, ``content`` is a
digest of the rows, ``sinks`` of where they went."""

pipeline_waits = Table(
    "pipeline_waits",
    metadata,
    Column("pipeline_id", Integer, ForeignKey("pipelines.id"), primary_key=True),
    Column("buckets", Text, nullable=False),
)
"""Since when buckets of a pipeline with a deadline wait to be derived: JSON, as
``service.pipelines.freshness.waits`` writes it. Only what waits for long is here."""

pipeline_troubles = Table(
    "pipeline_troubles",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("pipeline_id", Integer, ForeignKey("pipelines.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("bucket_us", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("told_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Index("pipeline_troubles_of", "pipeline_id", "number"),
    sqlite_autoincrement=True,
)
"""Deadlines that pipelines missed, and failures that last: while ``ended_us`` is null, and the newest ones
before. ``bucket_us`` is where the bucket that it is about begins, ``told_us`` when its begin was told."""
sources = Table(
    "sources",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("owner", Text, nullable=False),
    Column("revision", Text),
    Column("position", Text, nullable=False),
    Column("portion", Integer, nullable=False),
    Column("pending", Text),
    Column("sent", Integer, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("looked_us", BigInteger),
    Column("stored_us", BigInteger),
    Column("problem", Text),
    Column("created_us", BigInteger, nullable=False),
    Column("applied_us", BigInteger, nullable=False),
    Column("paused", Boolean, nullable=False, server_default="0"),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)
"""``position`` is JSON: where the source goes on. ``pending`` is JSON: portion number ``portion``, which was
read and is not stored in full, with the position after it; of its batches ``sent`` are stored."""

source_files = Table(
    "source_files",
    metadata,
    Column("source_id", Integer, ForeignKey("sources.id"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("read_bytes", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("problem", Text),
    Index("source_files_digest", "source_id", "digest"),
)
"""``size`` and ``modified_ns`` are those that the file had when it was looked into last; ``digest`` is that
of its first ``read_bytes`` bytes, whose events are stored."""

secrets = Table(
    "secrets",
    metadata,
    Column("project_id", Text, ForeignKey("projects.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("modified_us", BigInteger, nullable=False),
)
"""Named secrets of a project's connections, sealed."""

cohorts = Table(
    "cohorts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("actor_property", Text),
    Column("version", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("modified_us", BigInteger, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)
"""``actor_property`` is that of a static cohort; others have none here."""

cohort_members = Table(
    "cohort_members",
    metadata,
    Column("cohort_id", Integer, ForeignKey("cohorts.id"), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("members", Text, nullable=False),
)
"""The actors of each static cohort: how many, and a JSON list of the JSON text of each."""

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("modified_us", BigInteger, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)
"""``url`` and ``secret`` are sealed."""

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("webhook_id", Integer, ForeignKey("webhooks.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Column("status", Integer),
    Column("message", Text),
    Index("webhook_deliveries_due", "state", "due_us"),
    Index("webhook_deliveries_of", "webhook_id", "number"),
    sqlite_autoincrement=True,
)
"""What is sent to webhooks. Whoever sends counts the attempt first, and moves ``due_us`` behind it."""

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("modified_us", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("since_us", BigInteger),
    Column("told_state", Text, nullable=False),
    Column("told_us", BigInteger, nullable=False),
    Column("through_us", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("silenced_us", BigInteger, nullable=False),
    UniqueConstraint("project_id", "name"),
    Index("alerts_due", "due_us"),
    sqlite_autoincrement=True,
)
"""Alerts and their states; ``due_us`` is when one is looked at next."""

alert_evaluations = Table(
    "alert_evaluations",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("alert_id", Integer, ForeignKey("alerts.id"), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("told", Boolean, nullable=False),
    Column("audience", Text, nullable=False),
    Index("alert_evaluations_of", "alert_id", "number"),
    sqlite_autoincrement=True,
)
"""What the evaluations of each alert found: the newest ones."""

notice_mails = Table(
    "notice_mails",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("recipient", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Column("message", Text),
    Index("notice_mails_due", "state", "due_us"),
    sqlite_autoincrement=True,
)
"""Mails that notices are sent as."""

reports = Table(
    "reports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("modified_us", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    UniqueConstraint("project_id", "name"),
    Index("reports_due", "due_us"),
    sqlite_autoincrement=True,
)
"""Scheduled reports; ``due_us`` is when one is made next."""

report_runs = Table(
    "report_runs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("report_id", Integer, ForeignKey("reports.id"), nullable=False),
    Column("scheduled_us", BigInteger, nullable=False),
    Column("is_test", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("left", Text, nullable=False),
    Column("pictures", Integer, nullable=False),
    Column("ended_us", BigInteger),
    Column("message", Text),
    Index("report_runs_due", "state", "due_us"),
    Index("report_runs_of", "report_id", "number"),
    sqlite_autoincrement=True,
)
"""Runs of reports: the newest ones, with a JSON list of the addresses that are ``left``."""

activity = Table(
    "activity",
    metadata,
    Column("project_id", Text, ForeignKey("projects.id"), primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("events", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("query_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What each key sent and queried per day; ``day`` counts days since 1970 in UTC."""

streams = Table(
    "streams",
    metadata,
    Column("collection_id", Integer, ForeignKey("collections.id"), primary_key=True),
    Column("position", Text, nullable=False),
    Column("planned", Text),
)
"""How far events have been streamed out, and the batch to stream next, in the JSON of
``storage.catalog.stored.stream_positions``."""

people = Table(
    "people",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("factor", LargeBinary),
    Column("factor_offered", LargeBinary),
    Column("factor_step", BigInteger, nullable=False, server_default="0"),
    Column("recovery", Text, nullable=False, server_default="[]"),
    sqlite_autoincrement=True,
)
"""``password`` is a hash. ``factor`` is the sealed secret of the second factor, and ``factor_step`` the time
step of the last code that was taken."""

members = Table(
    "members",
    metadata,
    Column("organisation_id", Text, ForeignKey("organisations.id"), primary_key=True),
    Column("person_id", Text, ForeignKey("people.id"), primary_key=True),
    Column("is_owner", Boolean, nullable=False),
    Index("members_by_person", "person_id"),
)

roles = Table(
    "roles",
    metadata,
    Column("person_id", Text, ForeignKey("people.id"), primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), primary_key=True),
    Column("role", Text, nullable=False),
    Index("roles_by_project", "project_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("person_id", Text, ForeignKey("people.id")),
    Column("project_id", Text, ForeignKey("projects.id")),
    Column("sealed_key", LargeBinary),
    Column("device", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Index("sessions_by_person", "person_id"),
    Index("sessions_by_expiry", "expires_us"),
    sqlite_autoincrement=True,
)
"""A session is a person's, or that of a key of a project."""

invitations = Table(
    "invitations",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("organisation_id", Text, ForeignKey("organisations.id"), nullable=False),
    Column("email", Text),
    Column("roles", Text, nullable=False),
    Column("is_owner", Boolean, nullable=False),
    Column("is_first", Boolean, nullable=False),
    Column("invited_by", Text),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Index("invitations_by_organisation", "organisation_id"),
    Index("invitations_by_expiry", "expires_us"),
    sqlite_autoincrement=True,
)
"""``is_first``: it makes the first person, and is void once there is one."""

password_links = Table(
    "password_links",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Index("password_links_by_person", "person_id"),
    sqlite_autoincrement=True,
)

identities = Table(
    "identities",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("person_id", Text, ForeignKey("people.id")),
    Column("created_us", BigInteger, nullable=False),
    Index("identities_by_subject", "issuer", "subject", unique=True),
    Index("identities_by_person", "person_id"),
    sqlite_autoincrement=True,
)
"""Who a person is at a provider of log-in. Without a person: one who was removed."""

openid_returns = Table(
    "openid_returns",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("expires_us", BigInteger, nullable=False),
)
"""Log-ins at a provider that have come back, by the digest of their state: each comes back once."""

runs = Table(
    "runs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("pool", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("turn_us", BigInteger, nullable=False),
    Column("rank_us", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("claim", Text),
    Column("cancelling", Boolean, nullable=False),
    Column("message", Text),
    Column("cpu_us", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("replays", Text),
    Index(
        "runs_waiting",
        "project_id",
        "pipeline",
        "target",
        unique=True,
        sqlite_where=text("state = 'waiting'"),
    ),
    Index("runs_by_rank", "state", "rank_us"),
    Index("runs_by_turn", "state", "project_id", "pool", "priority", "turn_us"),
    Index("runs_by_project", "project_id", "number"),
    Index("runs_by_pipeline", "project_id", "pipeline", "number"),
    sqlite_autoincrement=True,
)
"""Runs of pipelines; see ``storage.catalog.runs.records.QueuedRun``."""

run_limits = Table(
    "run_limits",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("project_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("concurrency", Integer),
    Column("cpu_us_per_day", BigInteger),
    Column("bytes_per_day", BigInteger),
    Column("priority", Integer, nullable=False),
)

run_usage = Table(
    "run_usage",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("pool", Text, primary_key=True),
    Column("project_id", Text, primary_key=True),
    Column("pipeline", Text, primary_key=True),
    Column("cpu_us", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("runs", BigInteger, nullable=False),
)
"""What runs used on each UTC day, for budgets."""

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("organisation_id", Text),
    Column("project_id", Text),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("details", Text, nullable=False),
    Index("audit_by_organisation", "organisation_id", "id"),
    Index("audit_by_time", "at_us"),
    sqlite_autoincrement=True,
)
"""Entries outlive what they are about, hence no foreign keys."""

row_checksums = Table(
    "row_checksums",
    metadata,
    Column("of", Text, primary_key=True),
    Column("row_key", Text, primary_key=True),
    Column("checksum", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Checksums of the rows of other tables; see ``storage.catalog.database.checksums``."""
