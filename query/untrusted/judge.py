"""Judges a statement of an analyst by its parsed tree, never by its text.

The tree is what DuckDB's ``json_serialize_sql`` says of the text. Every node is looked at, wherever it
stands, and everything is refused that is not known to be harmless: kinds of nodes, functions, names with a
schema before them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from query.language.suggestions import did_you_mean
from query.untrusted.functions import FUNCTIONS, TABLE_FUNCTIONS
from storage.schema import fold

Node = Mapping[str, Any]
Names = frozenset[str]
"""Names that WITH gives, folded."""

NODES_MAX = 50_000
_CLASSES = frozenset(
    [
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "LAMBDA",
        "LAMBDA_REF",
        "OPERATOR",
        "PARAMETER",
        "POSITIONAL_REFERENCE",
        "STAR",
        "SUBQUERY",
        "TYPE",
        "WINDOW",
    ]
)
"""Kinds of expressions."""
_QUERIES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_SOURCES = frozenset(
    {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "PIVOT", "EMPTY", "SHOW_REF"}
)
"""Kinds of what stands after FROM."""
_MODIFIERS = frozenset({"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"})
_ORDERS = frozenset({"ORDER_DEFAULT", "ASCENDING", "DESCENDING", "ORDER_ASCENDING", "ORDER_DESCENDING"})
_KINDS = _QUERIES | _SOURCES | _MODIFIERS | _ORDERS
_PLAIN_NAME = re.compile(r"[^\W\d_][\w ]{0,127}")
_OF_DATABASE = ("duckdb_", "pragma_", "sqlite_", "pg_", "information_schema")
_DESCRIBED = frozenset({"DESCRIBE", "SUMMARY"})
_READS = "SQL here only reads: one SELECT over the collections of the project."
_HINTS = {
    "read_": "Files cannot be read: name a collection as the table.",
    "parquet_": "Files cannot be read: name a collection as the table.",
    "duckdb_": "The catalog of the database is closed: GET /3.0/projects/PROJECT_ID/events has the schema.",
    "pragma_": "Nothing of the process and its settings can be read.",
    "query": "Text cannot be run as SQL.",
    "json_execute": "Text cannot be run as SQL.",
}


class RefusedStatement(Exception):
    """A statement that is not run; the text says what is refused and why."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a permitted statement reads."""

    tables: tuple[str, ...]
    """Names that must be collections, as they are spelt, in the order in which they stand: all tables but
    those that a WITH names where they stand."""
    columns: frozenset[str]
    """Every name of a column, folded; of a dotted one its parts and the whole."""


def judge(tree: Node) -> Judged:
    """What the one statement of a serialized tree reads. Raises RefusedStatement."""
    statements = tree.get("statements") or []
    if len(statements) != 1:
        raise RefusedStatement(f"The text has {len(statements)} statements. {_READS}")
    judging = _Judging()
    judging.walk(statements[0])
    return Judged(tuple(dict.fromkeys(judging.tables)), frozenset(judging.columns))


def refused_kind(kind: str) -> RefusedStatement:
    """The refusal of a statement that is no SELECT, by DuckDB's name of its kind."""
    name = kind.replace("_", " ")
    if name == "MULTI":
        return RefusedStatement(
            "A statement that becomes several, such as PIVOT without IN, is refused: list the values, as in "
            "PIVOT t ON a IN ('x', 'y') USING count(*)."
        )
    if name == "OTHER":
        return RefusedStatement(f"A statement of this kind is refused. {_READS}")
    return RefusedStatement(f"{name} statements are refused. {_READS}")


class _Judging:
    def __init__(self) -> None:
        self.tables: list[str] = []
        self.columns: set[str] = set()

    def walk(self, root: Node) -> None:
        # Without recursion: the depth is the client's.
        waiting: list[tuple[Any, Names]] = [(root, frozenset())]
        seen = 0
        while waiting:
            value, names = waiting.pop()
            if isinstance(value, list):
                waiting.extend((one, names) for one in reversed(value))
            elif isinstance(value, dict):
                seen += 1
                if seen > NODES_MAX:
                    raise RefusedStatement(
                        f"The statement is too long: it has more than {NODES_MAX:,} parts."
                    )
                self._look(value, names)
                waiting.extend(reversed(list(_children(value, names))))

    def _look(self, node: Node, names: Names) -> None:
        kind, expression = node.get("type"), node.get("class")
        if expression is not None:
            self._look_at_expression(str(expression), str(kind), node)
        elif isinstance(kind, str):
            self._look_at_kind(kind, node, names)

    def _look_at_kind(self, kind: str, node: Node, names: Names) -> None:
        if kind not in _KINDS:
            raise RefusedStatement(f"{_words(kind)} is refused within a statement. {_READS}")
        if kind == "BASE_TABLE":
            self._look_at_table(node, names)
        elif kind == "TABLE_FUNCTION":
            function = node.get("function") or {}
            if function.get("class") != "FUNCTION":
                raise RefusedStatement("A table function must be called by its name.")
            _check_function(function, TABLE_FUNCTIONS, "table function")
        elif kind == "SHOW_REF" and (node.get("show_type") not in _DESCRIBED or not node.get("query")):
            raise RefusedStatement(
                "SHOW is refused: GET /3.0/projects/PROJECT_ID/events lists the collections. DESCRIBE and "
                "SUMMARIZE take the name of one, or a SELECT."
            )

    def _look_at_table(self, node: Node, names: Names) -> None:
        path = (node.get("qualified_name") or {}).get("path", [])
        if node.get("schema_name") or node.get("catalog_name") or len(path) > 1:
            shown = ".".join(str(part) for part in path)
            raise RefusedStatement(
                f"'{shown[:200]}' has a schema before its name, and there are none: write the name of a "
                'collection alone, in double quotes if it holds a dot or a space, as "page views".'
            )
        if node.get("at_clause"):
            raise RefusedStatement("AT is refused: collections have no versions to ask for.")
        name = str(node["table_name"])
        if fold(name) not in names:
            self.tables.append(name)

    def _look_at_expression(self, expression: str, kind: str, node: Node) -> None:
        if expression not in _CLASSES:
            raise RefusedStatement(f"{_words(expression)} is refused within a statement. {_READS}")
        if expression == "FUNCTION":
            _check_function(node, FUNCTIONS | TABLE_FUNCTIONS, "function")
        elif expression == "WINDOW":
            name = node.get("function_name")
            if name:
                _check_function(node, FUNCTIONS, "function")
        elif expression == "COLUMN_REF":
            names = [str(part) for part in node.get("column_names", ())]
            self.columns |= {fold(name) for name in (*names, ".".join(names))}
        elif expression == "TYPE" and (
            node.get("schema") or node.get("catalog") or len(_path(node) or [""]) > 1
        ):
            raise RefusedStatement("The name of a type has no schema before it.")
        elif expression == "STAR":
            self.columns |= {fold(name) for name in node.get("exclude_list", ()) if isinstance(name, str)}


def _children(node: Node, names: Names) -> Iterator[tuple[Any, Names]]:
    """What is to be looked at within a node, each with the names that WITH gives there.

    A query of a WITH sees those before it, and itself in the recursive part alone: anywhere else its name
    would be that of a file, or of a table of the database.
    """
    for entry in (node.get("cte_map") or {}).get("map", ()):
        yield {key: value for key, value in entry.items() if key != "key"}, names
        names |= {fold(_checked_name(str(entry["key"])))}
    for key, value in node.items():
        if key == "cte_map" or (isinstance(value, dict) and "is_null" in value):
            # The values of constants are no nodes.
            continue
        if key == "right" and node.get("cte_name"):
            yield value, names | {fold(_checked_name(str(node["cte_name"])))}
        elif isinstance(value, list | dict):
            yield value, names


def _checked_name(name: str) -> str:
    """The name that a WITH gives, which cannot be that of a file or of a table of the database as well."""
    if _PLAIN_NAME.fullmatch(name) and not fold(name).startswith(_OF_DATABASE):
        return name
    raise RefusedStatement(
        f"WITH cannot give the name '{name[:100]}': use letters, digits, spaces and _, and begin with a "
        f"letter, but with none of {', '.join(_OF_DATABASE)}."
    )


def _path(node: Node) -> list[Any]:
    path: list[Any] = (node.get("qualified_name") or {}).get("path", [])
    return path


def _check_function(node: Node, allowed: frozenset[str], what: str) -> None:
    name = str(node.get("function_name", ""))
    if node.get("schema") or node.get("catalog") or len(_path(node) or [name]) != 1:
        raise RefusedStatement(f"'{name[:100]}' has a schema before its name: write the {what} alone.")
    if name.lower() in allowed:
        return
    hint = next((text for start, text in _HINTS.items() if name.lower().startswith(start)), "")
    if not hint and not name.lower().startswith("__"):
        hint = did_you_mean(name.lower(), sorted(allowed)).strip()
    raise RefusedStatement(f"The {what} '{name[:100]}' is not among those that may be used. {hint}".rstrip())


def _words(kind: str) -> str:
    return kind.removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")
