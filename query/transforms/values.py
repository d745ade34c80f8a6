"""Values of columns in SQL, whether a column has one type or is JSON."""

from __future__ import annotations

from query.sql.statement import Statement, sql
from query.transforms.nodes import ValueType

_JSON_TYPES = {
    ValueType.NUMBER: "'DOUBLE', 'BIGINT', 'UBIGINT'",
    ValueType.INTEGER: "'DOUBLE', 'BIGINT', 'UBIGINT'",
    ValueType.STRING: "'VARCHAR'",
    ValueType.BOOLEAN: "'BOOLEAN'",
    ValueType.DATETIME: "'VARCHAR'",
    ValueType.DATE: "'VARCHAR'",
}


def text_of(column: Statement) -> Statement:
    """A value as text: of JSON, a text without its quotes."""
    return sql("json_extract_string(to_json({}), '$')", column)


def plain_text(column: Statement) -> Statement:
    """A whole number without a fraction: 1, whether it is stored as an integer or as a double."""
    whole = sql("regexp_replace({}, '\\.0$', '')", text_of(column))
    return sql("CASE WHEN {} = 'DOUBLE' THEN {} ELSE {} END", kind_of(column), whole, text_of(column))


def kind_of(column: Statement) -> Statement:
    """Its type as a type of JSON, by the names of DuckDB."""
    return sql("json_type(to_json({}))", column)


def has_value(column: Statement) -> Statement:
    """Whether there is one: a column of JSON may hold a null of JSON."""
    return sql("coalesce({} <> 'NULL', FALSE)", kind_of(column))


def is_of(kind: ValueType, value: Statement) -> Statement:
    """Whether a value is of a type."""
    is_type = sql("{} IN ({})", kind_of(value), Statement(_JSON_TYPES[kind]))
    match kind:
        case ValueType.INTEGER:
            number = sql("TRY_CAST({} AS DOUBLE)", text_of(value))
            return sql("{} AND {} = floor({})", is_type, number, number)
        case ValueType.DATETIME:
            return sql("{} AND TRY_CAST({} AS TIMESTAMPTZ) IS NOT NULL", is_type, text_of(value))
        case ValueType.DATE:
            return sql("{} AND TRY_CAST({} AS DATE) IS NOT NULL", is_type, text_of(value))
    return is_type
