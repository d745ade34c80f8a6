"""Code for DuckDB, Polars, pandas and Spark that reads a collection's Parquet files right.

Each name and path is written as a literal of its language, and what cannot be printed is escaped in it: no
name ends the literal that it stands in, or a comment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from storage.schema import SYSTEM_TYPES, LaneKind, Schema, arrow_type, fold_column

PLACES_MAX = 15
"""Most decimal places of an exact number column; a double that needs more is rounded."""
PRECISION = 38
"""Digits of the longest decimal of DuckDB, Polars and Spark."""
PRECISION_ARROW = 76
_EXACT_DOUBLES = 2.0**53
_NUMERIC = (LaneKind.NUMBER, LaneKind.INTEGER, LaneKind.LONG)
_INTEGER_DIGITS = 19
_SPARK_TYPES: Mapping[str, str] = {
    "double": "DoubleType()",
    "int64": "LongType()",
    "string": "StringType()",
    "bool": "BooleanType()",
    "timestamp[us]": "TimestampType()",
    "list<item: string>": "ArrayType(StringType())",
}


@dataclass(frozen=True, slots=True)
class ReadFile:
    """One Parquet file to read; ``marked``: its instants are marked as UTC."""

    path: str
    rows: int
    columns: Mapping[str, float | None]
    marked: bool


@dataclass(frozen=True, slots=True)
class Numbers:
    """The columns that hold the numbers of one property, and what a decimal of all of them must hold."""

    name: str
    """Of the column that holds any of them."""
    double: str | None
    integer: str | None
    long: str | None
    digits: int
    """In front of the decimal point, of the longest."""
    places: int
    """Behind it; ``PLACES_MAX`` + 1 where not even so many hold each double."""
    sum_digits: int
    """What the sum of all may have more than the longest."""

    def scale(self, precision: int) -> int | None:
        """Decimal places of a decimal of so many digits; None where it cannot hold the integers."""
        if self.digits > precision:
            return None
        return max(0, min(self.places, PLACES_MAX, precision - self.digits - self.sum_digits))

    def note(self, precision: int) -> str:
        scale = self.scale(precision)
        if scale is None:
            return f"integers of {self.digits} digits: a double, right to 15 digits or so"
        return f"rounded to {scale} decimal places" if scale < self.places else "exact"


@dataclass(frozen=True, slots=True)
class CollectionListing:
    """What the code is printed for: a collection, its files, and lines of comment that begin the code."""

    name: str
    schema: Schema
    files: Sequence[ReadFile]
    numbers: Sequence[Numbers]
    comments: Sequence[str]

    @property
    def marked(self) -> list[ReadFile]:
        return [file for file in self.files if file.marked]

    @property
    def unmarked(self) -> list[ReadFile]:
        return [file for file in self.files if not file.marked]

    @property
    def columns(self) -> list[str]:
        """Those that any file holds: of the system, then lanes as first seen."""
        held = {name for file in self.files for name in file.columns}
        lanes = (lane.column for lane in self.schema.lanes)
        return [name for name in (*SYSTEM_TYPES, *lanes) if name in held]


def numbers_of(
    schema: Schema,
    files: Sequence[ReadFile],
    places: Callable[[ReadFile, str], int],
    digits: Callable[[ReadFile, str], int],
) -> list[Numbers]:
    """Of each property whose numbers are not all in one column of doubles. ``places``: of a file's column of
    doubles; ``digits``: of the longest integer in a column of texts."""
    found: list[Numbers] = []
    taken = {fold_column(name) for name in (*schema.by_column, *SYSTEM_TYPES)}
    rows = sum(file.rows for file in files)
    for path, lanes in schema.by_path.items():
        held = {
            lane.kind: lane.column
            for lane in lanes
            if lane.kind in _NUMERIC and any(lane.column in file.columns for file in files)
        }
        if not held.keys() - {LaneKind.NUMBER}:
            continue
        double, long = held.get(LaneKind.NUMBER), held.get(LaneKind.LONG)
        integers = [_INTEGER_DIGITS] if LaneKind.INTEGER in held else []
        integers += [_double_digits(file.columns.get(double)) for file in files if double is not None]
        integers += [digits(file, long) for file in files if long is not None and long in file.columns]
        fractions = [places(file, double) for file in files if double is not None and double in file.columns]
        name = _free_name(f"{path}:decimal", taken)
        taken.add(fold_column(name))
        found.append(
            Numbers(
                name,
                double,
                held.get(LaneKind.INTEGER),
                long,
                max(integers),
                max(fractions, default=0),
                len(str(rows)),
            )
        )
    return found


def _double_digits(magnitude: float | None) -> int:
    return len(str(int(magnitude or 0.0)))


def _free_name(name: str, taken: set[str]) -> str:
    candidate, number = name, 2
    while fold_column(candidate) in taken:
        candidate, number = f"{name}~{number}", number + 1
    return candidate


def quoted(text: str) -> str:
    """A text for a comment: within one line, ASCII."""
    return json.dumps(text)


def _indented(lines: Iterable[str], spaces: int) -> str:
    return "".join(" " * spaces + line + "\n" for line in lines)


# --- DuckDB -------------------------------------------------------------------------------------------


def sql(collected: CollectionListing) -> str:
    """A view of all events, for DuckDB."""
    view = _identifier(collected.name if collected.name.isprintable() else "events")
    chosen = [_sql_number(one) for one in collected.numbers]
    parts = [_sql_part(files, marked) for marked, files in _by_kind(collected) if files]
    return (
        _indented((f"-- {line}" for line in collected.comments), 0)
        + f"CREATE OR REPLACE TEMP VIEW {view} AS\nSELECT\n  *{',' if chosen else ''}\n"
        + _indented(
            (
                f"{number}{',' if at < len(chosen) else ''}  -- {note}"
                for at, (number, note) in enumerate(chosen, 1)
            ),
            2,
        )
        + "FROM (\n"
        + "  UNION ALL BY NAME\n".join(parts)
        + f") AS events;\n-- SELECT count(*) FROM {view};\n"
    )


def _by_kind(collected: CollectionListing) -> list[tuple[bool, list[ReadFile]]]:
    return [(False, collected.unmarked), (True, collected.marked)]


def _sql_part(files: Sequence[ReadFile], marked: bool) -> str:
    paths = ",\n".join(f"    {_sql_text(_sql_glob(file.path))}" for file in files)
    replaced = ", ".join(f"{_identifier(n)} AT TIME ZONE 'UTC' AS {_identifier(n)}" for n in _instants(files))
    chosen = "*" if marked else f"* REPLACE ({replaced})"
    note = "" if marked else "  -- written before instants were marked as UTC\n"
    options = "union_by_name = true, hive_partitioning = false"
    return f"{note}  SELECT {chosen} FROM read_parquet([\n{paths}\n  ], {options})\n"


def _instants(files: Sequence[ReadFile]) -> list[str]:
    kinds = {name: str(kind) for name, kind in SYSTEM_TYPES.items()}
    return [
        name
        for name, kind in kinds.items()
        if kind == "timestamp[us]" and any(name in file.columns for file in files)
    ]


def _sql_number(one: Numbers) -> tuple[str, str]:
    """The column, and what is said of it."""
    scale = one.scale(PRECISION)
    kind, note = f"DECIMAL({PRECISION}, {scale})", one.note(PRECISION)
    if scale is None:
        kind = "DOUBLE" if one.places else "BIGNUM"
        note = note if one.places else "exact"
    values = [f"{_sql_column(name)}::{kind}" for name in (one.integer, one.long) if name is not None]
    if one.double is not None:
        values.insert(0, _sql_double(_sql_column(one.double), kind, split=bool(scale)))
    value = f"coalesce({', '.join(values)})" if len(values) > 1 else values[0]
    return f"{value} AS {_identifier(_printable(one.name))}", note


def _sql_double(column: str, kind: str, *, split: bool) -> str:
    """Whole and fractional part apart: a cast to a decimal with places changes large integers."""
    if not split:
        return f"{column}::{kind}"
    return f"trunc({column})::HUGEINT::{kind} + ({column} - trunc({column}))::{kind}"


def _printable(name: str) -> str:
    return name if name.isprintable() else quoted(name)[1:-1]


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sql_column(name: str) -> str:
    """An identifier has no escapes: a name that cannot be printed is taken from the row by a text."""
    return _identifier(name) if name.isprintable() else f"struct_extract(events, {_sql_text(name)})"


def _sql_text(text: str) -> str:
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return "E'" + "".join(map(_sql_escaped, text)) + "'"


def _sql_escaped(character: str) -> str:
    if character in "\\'":
        return "\\" + character
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02X}" for byte in character.encode())


def _sql_glob(path: str) -> str:
    """A pattern that only this path matches."""
    return "".join(f"[{one}]" if one in "*?[" else one for one in path)


# --- Polars -------------------------------------------------------------------------------------------


def polars(collected: CollectionListing) -> str:
    """A LazyFrame of all events."""
    code = "import polars as pl\n\n"
    code += _list("files", [file.path for file in collected.marked])
    code += "parts = [pl.scan_parquet(file, glob=False, hive_partitioning=False) for file in files]\n"
    if older := collected.unmarked:
        code += "# Written before instants were marked as UTC.\n" + _list("older", [f.path for f in older])
        code += f"instants = pl.col({', '.join(map(repr, _instants(older)))}).dt.replace_time_zone('UTC')\n"
        code += (
            "parts += [\n"
            "    pl.scan_parquet(file, glob=False, hive_partitioning=False).with_columns(instants)\n"
            "    for file in older\n"
            "]\n"
        )
    code += 'events = pl.concat(parts, how="diagonal")\n'
    if collected.numbers:
        code += "events = events.with_columns(\n"
        code += _indented((line for one in collected.numbers for line in _polars_number(one)), 4) + ")\n"
    return _python(collected, code)


def _polars_number(one: Numbers) -> Iterable[str]:
    scale = one.scale(PRECISION)
    kind = "pl.Float64" if scale is None else f"pl.Decimal({PRECISION}, {scale})"
    values = [f"{_polars_column(name)}.cast({kind})" for name in (one.integer, one.long) if name is not None]
    if one.double is not None:
        column = _polars_column(one.double)
        if scale:
            whole = f"{column}.cast(pl.Int128)"
            # The parts apart: a cast to a decimal with places changes large integers.
            values.insert(0, f"{whole}.cast({kind}) + ({column} - {whole}.cast(pl.Float64)).cast({kind})")
        else:
            values.insert(0, f"{column}.cast({kind})")
    yield f"# {one.note(PRECISION)}"
    yield "pl.coalesce("
    yield from (f"    {value}," for value in values)
    yield f").alias({one.name!r}),"


def _polars_column(name: str) -> str:
    """By exactly this name: ``pl.col`` takes some for patterns."""
    pattern = name == "*" or (name.startswith("^") and name.endswith("$"))
    return f"pl.selectors.by_name({name!r}).as_expr()" if pattern else f"pl.col({name!r})"


# --- pandas -------------------------------------------------------------------------------------------


def pandas(collected: CollectionListing) -> str:
    """A DataFrame of all events, whose columns keep their Arrow types."""
    code = "import pandas as pd\nimport pyarrow as pa\n"
    code += "import pyarrow.compute as pc\n" if collected.numbers else ""
    code += "import pyarrow.parquet as pq\n\n"
    code += _list("files", [file.path for file in collected.marked])
    code += "parts = [pq.ParquetFile(file).read() for file in files]\n"
    if older := collected.unmarked:
        code += "# Written before instants were marked as UTC.\n" + _list("older", [f.path for f in older])
        code += (
            "for file in older:\n"
            "    part = pq.ParquetFile(file).read()\n"
            f"    for name in {_instants(older)!r}:\n"
            '        instants = part[name].cast(pa.timestamp("us", "UTC"))\n'
            "        part = part.set_column(part.schema.get_field_index(name), name, instants)\n"
            "    parts.append(part)\n"
        )
    code += 'table = pa.concat_tables(parts, promote_options="default")\n'
    code += "".join(_pandas_number(one) for one in collected.numbers)
    return _python(collected, code + "events = table.to_pandas(types_mapper=pd.ArrowDtype)\n")


def _pandas_number(one: Numbers) -> str:
    scale = one.scale(PRECISION_ARROW)
    kind = "pa.float64()" if scale is None else f"pa.decimal256({PRECISION_ARROW}, {scale})"
    names = [name for name in (one.double, one.integer, one.long) if name is not None]
    values = "".join(f"    table[{name!r}].cast({kind}),\n" for name in names)
    return (
        f"# {one.note(PRECISION_ARROW)}\n"
        f"number = pc.coalesce(\n{values})\ntable = table.append_column({one.name!r}, number)\n"
    )


# --- Spark --------------------------------------------------------------------------------------------


def spark(collected: CollectionListing) -> str:
    """A DataFrame of all events, by a schema: so it takes instants of both kinds of files for UTC."""
    columns = collected.columns
    code = "from pyspark.sql import SparkSession, functions as F\nfrom pyspark.sql.types import *\n\n"
    code += "spark = SparkSession.builder.getOrCreate()\n"
    if len({fold_column(name) for name in columns}) < len(columns):
        code += "# Names of this collection differ by case alone.\n"
        code += 'spark.conf.set("spark.sql.caseSensitive", "true")\n'
    code += _list("files", [_hadoop_path(file.path) for file in collected.files])
    fields = (f"StructField({n!r}, {_SPARK_TYPES[str(arrow_type(collected.schema, n))]})," for n in columns)
    code += f"schema = StructType([\n{_indented(fields, 4)}])\n"
    code += (
        "events = (\n"
        "    spark.read.schema(schema)\n"
        '    .option("recursiveFileLookup", True)\n'
        '    .option("datetimeRebaseMode", "CORRECTED")\n'
        "    .parquet(*files)\n"
        ")\n"
    )
    if any(_beyond(one, collected) for one in collected.numbers):
        code += _SPARK_WHOLE
    for one in collected.numbers:
        code += _spark_number(one, beyond=_beyond(one, collected))
    return _python(collected, code)


_SPARK_WHOLE = '''

def exactly(column, scale):
    """A double as a decimal: a cast keeps no more than 17 digits of it."""
    high = (column / 2.0**62).cast("bigint")
    rest = column - high.cast("double") * 2.0**62
    whole = rest.cast("bigint")
    integer = f"decimal({37 - scale}, 0)"
    total = (high.cast("decimal(19, 0)") * F.lit(2**62).cast("decimal(19, 0)")).cast(integer)
    total = (total + whole.cast("decimal(19, 0)")).cast(integer)
    return total + (rest - whole.cast("double")).cast(f"decimal({scale + 1}, {scale})")


'''


def _beyond(one: Numbers, collected: CollectionListing) -> bool:
    """Whether some double has more digits than a cast of Spark keeps."""
    magnitudes = (file.columns.get(one.double) for file in collected.files if one.double is not None)
    return max((magnitude or 0.0 for magnitude in magnitudes), default=0.0) >= _EXACT_DOUBLES


def _spark_number(one: Numbers, *, beyond: bool) -> str:
    scale = one.scale(PRECISION)
    kind = "double" if scale is None else f"decimal({PRECISION}, {scale})"
    names = [name for name in (one.double, one.integer, one.long) if name is not None]
    values = [f"F.col({_spark_name(name)!r})" for name in names]
    if one.double is not None and beyond and scale is not None:
        values[0] = f"exactly({values[0]}, {scale})"
    listed = "".join(f"    {value}.cast({kind!r}),\n" for value in values)
    number = f"# {one.note(PRECISION)}\nnumber = F.coalesce(\n{listed})\n"
    return f"{number}events = events.withColumn({one.name!r}, number)\n"


def _spark_name(name: str) -> str:
    """In backticks, since a dot is otherwise a step into a structure."""
    return "`" + name.replace("`", "``") + "`"


def _hadoop_path(path: str) -> str:
    """A pattern that only this path matches."""
    return "".join(f"\\{one}" if one in "\\*?[]{}" else one for one in path)


# --- Python -------------------------------------------------------------------------------------------


def _python(collected: CollectionListing, code: str) -> str:
    return _indented((f"# {line}" for line in collected.comments), 0) + code


def _list(name: str, texts: Sequence[str]) -> str:
    return f"{name} = [\n{_indented((f'{text!r},' for text in texts), 4)}]\n" if texts else f"{name} = []\n"


READERS: Mapping[str, tuple[str, Callable[[CollectionListing], str]]] = {
    "sql": ("DuckDB", sql),
    "polars": ("Polars", polars),
    "pandas": ("pandas", pandas),
    "spark": ("Spark", spark),
}
"""Option of ``acumen files`` → the reader, and its code."""
COMMENTS = {"sql": "--", "polars": "#", "pandas": "#", "spark": "#"}
