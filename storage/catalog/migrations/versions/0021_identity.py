"""A collection is told from another that had its name by its id alone, which is never used again. What said
so beside it, and never changed, goes from collections and files; results and tokens cite the id instead."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

GONE = -1
"""Instead of the id of a collection that is no more."""


def upgrade() -> None:
    connection = op.get_bind()
    found = connection.execute(sa.text("SELECT project_id, name, id, generation FROM collections")).all()
    known = {(project_id, name): (number, generation) for project_id, name, number, generation in found}
    for table in ("exports", "datasets"):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN generation TO collection_id")
    _convert_exports(connection, known)
    _convert_datasets(connection, known)
    _convert_runs(connection, known)
    for _, _, number, generation in found:
        if generation != 1:
            _convert_tokens(connection, number, generation)
    op.drop_column("files", "generation")
    op.drop_column("collections", "generation")
    op.execute("DELETE FROM meta WHERE name = 'newest_removed_erasure'")


Known = dict[tuple[str, str], tuple[int, int]]


def _id_of(known: Known, project_id: str, name: str, generation: int, erase_version: int) -> int:
    """The collection that something was computed of; 0 where there was none."""
    if not generation:
        return 0
    number, current = known.get((project_id, name), (0, 1))
    if generation != current or (erase_version and not number):
        return GONE
    return number


def _convert_exports(connection: sa.Connection, known: Known) -> None:
    wanted = "SELECT number, project_id, collection, collection_id, erase_version FROM exports"
    change = sa.text("UPDATE exports SET collection_id = :to WHERE number = :number")
    for row in connection.execute(sa.text(wanted)).all():
        if row.collection_id is not None:
            to = _id_of(known, row.project_id, row.collection, row.collection_id, row.erase_version)
            connection.execute(change, {"to": to, "number": row.number})


def _convert_datasets(connection: sa.Connection, known: Known) -> None:
    wanted = "SELECT id, project_id, definition, collection_id, erase_version FROM datasets"
    change = sa.text("UPDATE datasets SET collection_id = :to WHERE id = :id")
    for row in connection.execute(sa.text(wanted)).all():
        if row.collection_id is not None:
            name = json.loads(row.definition)["query"]["event_collection"]
            to = _id_of(known, row.project_id, name, row.collection_id, row.erase_version)
            connection.execute(change, {"to": to, "id": row.id})


def _convert_runs(connection: sa.Connection, known: Known) -> None:
    wanted = (
        "SELECT query_id, audience, project_id, covers FROM saved_runs "
        "JOIN saved_queries ON saved_queries.id = query_id WHERE covers IS NOT NULL"
    )
    change = sa.text(
        "UPDATE saved_runs SET covers = :covers WHERE query_id = :query_id AND audience = :audience"
    )
    for row in connection.execute(sa.text(wanted)).all():
        covers = json.loads(row.covers)
        covers["collections"] = {
            name: [_id_of(known, row.project_id, name, *of), of[1]]
            for name, of in covers["collections"].items()
        }
        text = json.dumps(covers, separators=(",", ":"))
        connection.execute(change, {"covers": text, "query_id": row.query_id, "audience": row.audience})


def _convert_tokens(connection: sa.Connection, number: int, generation: int) -> None:
    for kind in ("", ":autofill"):
        names = {"old": f"event:{number}:{generation}{kind}", "new": f"event:{number}:1{kind}"}
        for table in ("claims", "claim_counts"):
            connection.execute(sa.text(f"UPDATE {table} SET scope = :new WHERE scope = :old"), names)
