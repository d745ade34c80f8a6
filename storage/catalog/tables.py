"""The catalog's tables as of the newest migration. A test checks that both agree."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
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
    UniqueConstraint("project_id", "name"),
    Index("collections_by_change", "changed"),
    sqlite_autoincrement=True,
)
"""``changed`` is the data version at which its lanes, or whether it is freed, last changed; ``history_from``
the data version from which on its superseded files are all kept."""

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
