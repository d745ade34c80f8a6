"""Dashboards and saved queries as JSON files: ``DIR/dashboards/ID.json`` and ``DIR/queries/NAME.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from query.errors import QueryError
from query.language.cohorts.naming import any_saved
from query.language.filters import conservative_regex_check
from query.language.parse import parse
from query.limits import Limits
from service.cli.errors import CannotDo
from service.errors import ApiError
from service.queries import dashboards
from service.saved_queries import definition
from storage.catalog.catalog import system_clock

Json = dict[str, Any]
T = TypeVar("T")

_BOARDS, _QUERIES = "dashboards", "queries"
_FILE_NAME_MAX = 200
UNSAID = ("id", "widgets", "queries", "lastModificationDate", "isPublic", "publicAccessKey")
"""Metadata that no file has: what the server counts, and whom a dashboard is shared with."""


@dataclass(frozen=True, slots=True)
class BoardFile:
    document: Json
    metadata: Json


@dataclass(frozen=True, slots=True)
class QueryFile:
    query: Json
    metadata: Any
    refresh_rate: int


@dataclass(frozen=True, slots=True)
class Definitions:
    """Id → dashboard, and name → saved query."""

    boards: dict[str, BoardFile] = field(default_factory=dict)
    queries: dict[str, QueryFile] = field(default_factory=dict)


class _Broken(Exception):
    """What is wrong in a file, and the name of the field that it is about, if it is about one."""

    def __init__(self, reason: str, about: str = "") -> None:
        super().__init__(reason)
        self.about = about


def write(folder: Path, found: Definitions) -> None:
    """Write a file for each definition; files that say the same are left alone. Raises OSError."""
    for name, query in found.queries.items():
        shown = {"name": name, "query": query.query, "metadata": query.metadata}
        _write(folder / _QUERIES, name, shown | {"refresh_rate": query.refresh_rate})
    for name, board in found.boards.items():
        _write(folder / _BOARDS, name, {"id": name, "metadata": board.metadata, "document": board.document})


def read(folder: Path) -> Definitions:
    """All definitions in a folder. Raises CannotDo, which names each broken file with its line."""
    problems: list[str] = []
    boards = _read_all(folder / _BOARDS, _board, problems)
    queries = _read_all(folder / _QUERIES, _query, problems)
    if problems:
        raise CannotDo("\n".join([*problems, "Nothing was changed."]))
    if not boards and not queries:
        raise CannotDo(f"There is no file of a dashboard in {folder / _BOARDS}, and nothing was changed.")
    return Definitions(boards, queries)


def _write(folder: Path, name: str, content: Json) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stem = quote(name, safe="")
    if len(stem) > _FILE_NAME_MAX:
        stem = f"{stem[:100]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    path, text = folder / f"{stem}.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _read_all(folder: Path, read_one: Callable[[Json], tuple[str, T]], problems: list[str]) -> dict[str, T]:
    found: dict[str, T] = {}
    for path in sorted(folder.glob("*.json")):
        text = ""
        try:
            text = path.read_text(encoding="utf-8")
            content = json.loads(text)
            if not isinstance(content, dict):
                raise _Broken("it must be a JSON object")
            name, one = read_one(content)
            if name in found:
                raise _Broken(f"another file has '{name}' already", "id" if "id" in content else "name")
            found[name] = one
        except json.JSONDecodeError as error:
            problems.append(f"{path}, line {error.lineno}: {error.msg}.")
        except (_Broken, OSError, UnicodeDecodeError, RecursionError) as error:
            about = error.about if isinstance(error, _Broken) else ""
            problems.append(f"{path}, line {_line_of(text, about)}: {str(error).rstrip('.')}.")
    return found


def _line_of(text: str, name: str) -> int:
    """The first line with a field of this name; 1 where there is none."""
    at = text.find(f'"{name}"') if name else -1
    return 1 if at < 0 else text.count("\n", 0, at) + 1


def _board(content: Json) -> tuple[str, BoardFile]:
    _only(content, "id", "metadata", "document")
    name, metadata = content.get("id"), content.get("metadata") or {}
    if not isinstance(name, str):
        raise _Broken("'id' must be the dashboard's id, a text", "id")
    if not isinstance(metadata, dict):
        raise _Broken("'metadata' must be an object", "metadata")
    document = content.get("document")
    _judged("id", lambda: dashboards.read_name(name))
    _judged("document", lambda: dashboards.check_document(document))
    _judged("metadata", lambda: dashboards.check_metadata(metadata))
    if len(json.dumps(document)) > dashboards.DOCUMENT_BYTES_MAX:
        raise _Broken(f"a dashboard may have at most {dashboards.DOCUMENT_BYTES_MAX:,} bytes", "document")
    return name, BoardFile(document, without_unsaid(metadata))  # type: ignore[arg-type]


def _query(content: Json) -> tuple[str, QueryFile]:
    _only(content, "name", "query", "metadata", "refresh_rate")
    name = content.get("name")
    if not isinstance(name, str):
        raise _Broken("'name' must be the name of the saved query, a text", "name")
    body = {field: value for field, value in content.items() if field != "name"}
    read = _judged("query", lambda: definition.read(name, body, _judge))
    return name, QueryFile(json.loads(read.query), json.loads(read.metadata), read.refresh_rate)


def _judge(analysis: str, params: Mapping[str, Any]) -> object:
    return parse(
        analysis,
        params,
        now_us=system_clock(),
        limits=Limits(),
        check_regex=conservative_regex_check,
        find_cohort=any_saved,
    )


def _judged(about: str, judge: Callable[[], T]) -> T:
    try:
        return judge()
    except (ApiError, QueryError) as error:
        raise _Broken(error.message, about) from None


def _only(content: Json, *known: str) -> None:
    for name in content:
        if name not in known:
            raise _Broken(f"'{name}' is unknown: there are {', '.join(known)}", name)


def without_unsaid(metadata: Json) -> Json:
    return {name: value for name, value in metadata.items() if name not in UNSAID and value is not None}
