"""Generates code for DuckDB, Polars, pandas and Spark that reads a collection's Parquet files correctly.

Each name and path is written as a literal of the language, with characters that cannot be printed escaped, so
that no name can end its literal or a comment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from storage.schema import SYSTEM_TYPES, LaneKind, Schema, arrow_type, fold_column

PLACES_MAX = 15
"""Maximum decimal places of an exact number column; a double that needs more is rounded."""
PRECISION = 38
"""Maximum digits of a decimal in DuckDB, Polars and Spark."""
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
    """One Parquet file to read; ``marked``: whether its instants are marked as UTC."""

    path: str
    rows: int
    columns: Mapping[str, float | None]
    marked: bool


@dataclass(frozen=True, slots=True)
class Numbers:
    """The columns that hold the numbers of one property, and the size of a decimal that holds all of them."""

    name: str
    """Name of the combined column."""
    double: str | None
    integer: str | None
    long: str | None
    digits: int
    """Maximum digits before the decimal point."""
    places: int
    """Maximum digits after the decimal point; ``PLACES_MAX`` + 1 if some double needs more."""
    sum_digits: int
    """Additional digits that the sum of all numbers may have."""

    def scale(self, precision: int) -> int | None:
        """Decimal places of a decimal with ``precision`` digits; None if it cannot hold the integers."""
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
    """A collection, its files, and the comment lines at the start of the generated code."""

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
        """The columns that any file has: system columns first, then lanes in the order of the schema."""
        present = {name for file in self.files for name in file.columns}
        lanes = (lane.column for lane in self.schema.lanes)
        return [name for name in (*SYSTEM_TYPES, *lanes) if name in present]


def numbers_of(
    schema: Schema,
    files: Sequence[ReadFile],
    places: Callable[[ReadFile, str], int],
    digits: Callable[[ReadFile, str], int],
) -> list[Numbers]:
    """The ``Numbers`` of each property whose numbers are not all in one column of doubles.

    ``places``: decimal places needed by a file's column of doubles; ``digits``: digits of the longest integer
    in a file's column of texts.
    """
    found: list[Numbers] = []
    taken = {fold_column(name) for name in (*schema.by_column, *SYSTEM_TYPES)}
    rows = sum(file.rows for file in files)
    for path, lanes in schema.by_path.items():
        lane_columns = {
            lane.kind: lane.column
            for lane in lanes
            if lane.kind in _NUMERIC and any(lane.column in file.columns for file in files)
        }
        if not lane_columns.keys() - {LaneKind.NUMBER}:
            continue
        double, long = lane_columns.get(LaneKind.NUMBER), lane_columns.get(LaneKind.LONG)
        integers = [_INTEGER_DIGITS] if LaneKind.INTEGER in lane_columns else []
        integers += [_double_digits(file.columns.get(double)) for file in files if double is not None]
        integers += [digits(file, long) for file in files if long is not None and long in file.columns]
        fractions = [places(file, double) for file in files if double is not None and double in file.columns]
        name = _free_name(f"{path}:decimal", taken)
        taken.add(fold_column(name))
        found.append(
            Numbers(
                name,
                double,
                lane_columns.get(LaneKind.INTEGER),
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
    """Quote a text for a comment: on one line, ASCII."""
    return json.dumps(text)


def _indented(lines: Iterable[str], spaces: int) -> str:
    return "".join(" " * spaces + line + "\n" for line in lines)


# --- DuckDB -------------------------------------------------------------------------------------------


def sql(listing: CollectionListing) -> str:
    """DuckDB code for a view of all events."""
    view = _identifier(listing.name if listing.name.isprintable() else "events")
    chosen = [_sql_number(one) for one in listing.numbers]
    parts = [_sql_part(files, marked) for marked, files in _by_kind(listing) if files]
    return (
        _indented((f"-- {line}" for line in listing.comments), 0)
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


def _by_kind(listing: CollectionListing) -> list[tuple[bool, list[ReadFile]]]:
    return [(False, listing.unmarked), (True, listing.marked)]


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


def _sql_number(numbers: Numbers) -> tuple[str, str]:
    """The SQL of a number column, and its note."""
    scale = numbers.scale(PRECISION)
    kind, note = f"DECIMAL({PRECISION}, {scale})", numbers.note(PRECISION)
    if scale is None:
        kind = "DOUBLE" if numbers.places else "BIGNUM"
        note = note if numbers.places else "exact"
    values = [f"{_sql_column(name)}::{kind}" for name in (numbers.integer, numbers.long) if name is not None]
    if numbers.double is not None:
        values.insert(0, _sql_double(_sql_column(numbers.double), kind, split=bool(scale)))
    value = f"coalesce({', '.join(values)})" if len(values) > 1 else values[0]
    return f"{value} AS {_identifier(_printable(numbers.name))}", note


def _sql_double(column: str, kind: str, *, split: bool) -> str:
    """The cast of a double, with ``split`` by whole and fractional part: a cast of the double as a whole to a
    decimal with places changes large integers."""
    if not split:
        return f"{column}::{kind}"
    return f"trunc({column})::HUGEINT::{kind} + ({column} - trunc({column}))::{kind}"


def _printable(name: str) -> str:
    return name if name.isprintable() else quoted(name)[1:-1]


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sql_column(name: str) -> str:
    """Reference to a column. Identifiers have no escapes, so a name that cannot be printed is written as a
    string literal, by which its value is extracted from the row."""
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
    """A glob pattern that matches only this path."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)


# --- Polars -------------------------------------------------------------------------------------------


def polars(listing: CollectionListing) -> str:
    """Polars code for a LazyFrame of all events."""
    code = "import polars as pl\n\n"
    code += _list("files", [file.path for file in listing.marked])
    code += "parts = [pl.scan_parquet(file, glob=False, hive_partitioning=False) for file in files]\n"
    if older := listing.unmarked:
        code += "# Written before instants were marked as UTC.\n" + _list("older", [f.path for f in older])
        code += f"instants = pl.col({', '.join(map(repr, _instants(older)))}).dt.replace_time_zone('UTC')\n"
        code += (
            "parts += [\n"
            "    pl.scan_parquet(file, glob=False, hive_partitioning=False).with_columns(instants)\n"
            "    for file in older\n"
            "]\n"
        )
    code += 'events = pl.concat(parts, how="diagonal")\n'
    if listing.numbers:
        code += "events = events.with_columns(\n"
        code += _indented((line for one in listing.numbers for line in _polars_number(one)), 4) + ")\n"
    return _python(listing, code)


def _polars_number(numbers: Numbers) -> Iterable[str]:
    scale = numbers.scale(PRECISION)
    kind = "pl.Float64" if scale is None else f"pl.Decimal({PRECISION}, {scale})"
    values = [
        f"{_polars_column(name)}.cast({kind})" for name in (numbers.integer, numbers.long) if name is not None
    ]
    if numbers.double is not None:
        column = _polars_column(numbers.double)
        if scale:
            whole = f"{column}.cast(pl.Int128)"
            # By whole and fractional part: a cast to a decimal with places changes large integers.
            values.insert(0, f"{whole}.cast({kind}) + ({column} - {whole}.cast(pl.Float64)).cast({kind})")
        else:
            values.insert(0, f"{column}.cast({kind})")
    yield f"# {numbers.note(PRECISION)}"
    yield "pl.coalesce("
    yield from (f"    {value}," for value in values)
    yield f").alias({numbers.name!r}),"


def _polars_column(name: str) -> str:
    """Reference to a column by its exact name: ``pl.col`` treats some names as patterns."""
    pattern = name == "*" or (name.startswith("^") and name.endswith("$"))
    return f"pl.selectors.by_name({name!r}).as_expr()" if pattern else f"pl.col({name!r})"


# --- pandas -------------------------------------------------------------------------------------------


def pandas(listing: CollectionListing) -> str:
    """pandas code for a DataFrame of all events, whose columns keep their Arrow types."""
    code = "import pandas as pd\nimport pyarrow as pa\n"
    code += "import pyarrow.compute as pc\n" if listing.numbers else ""
    code += "import pyarrow.parquet as pq\n\n"
    code += _list("files", [file.path for file in listing.marked])
    code += "parts = [pq.ParquetFile(file).read() for file in files]\n"
    if older := listing.unmarked:
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
    code += "".join(_pandas_number(one) for one in listing.numbers)
    return _python(listing, code + "events = table.to_pandas(types_mapper=pd.ArrowDtype)\n")


def _pandas_number(numbers: Numbers) -> str:
    scale = numbers.scale(PRECISION_ARROW)
    kind = "pa.float64()" if scale is None else f"pa.decimal256({PRECISION_ARROW}, {scale})"
    names = [name for name in (numbers.double, numbers.integer, numbers.long) if name is not None]
    values = "".join(f"    table[{name!r}].cast({kind}),\n" for name in names)
    return (
        f"# {numbers.note(PRECISION_ARROW)}\n"
        f"number = pc.coalesce(\n{values})\ntable = table.append_column({numbers.name!r}, number)\n"
    )


# --- Spark --------------------------------------------------------------------------------------------


def spark(listing: CollectionListing) -> str:
    """Spark code for a DataFrame of all events; with a schema, it reads the instants of all files as UTC."""
    columns = listing.columns
    code = "from pyspark.sql import SparkSession, functions as F\nfrom pyspark.sql.types import *\n\n"
    code += "spark = SparkSession.builder.getOrCreate()\n"
    if len({fold_column(name) for name in columns}) < len(columns):
        code += "# Names of this collection differ by case alone.\n"
        code += 'spark.conf.set("spark.sql.caseSensitive", "true")\n'
    code += _list("files", [_hadoop_path(file.path) for file in listing.files])
    fields = (f"StructField({n!r}, {_SPARK_TYPES[str(arrow_type(listing.schema, n))]})," for n in columns)
    code += f"schema = StructType([\n{_indented(fields, 4)}])\n"
    code += (
        "events = (\n"
        "    spark.read.schema(schema)\n"
        '    .option("recursiveFileLookup", True)\n'
        '    .option("datetimeRebaseMode", "CORRECTED")\n'
        "    .parquet(*files)\n"
        ")\n"
    )
    if any(_beyond(one, listing) for one in listing.numbers):
        code += _SPARK_WHOLE
    for one in listing.numbers:
        code += _spark_number(one, beyond=_beyond(one, listing))
    return _python(listing, code)


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


def _beyond(numbers: Numbers, listing: CollectionListing) -> bool:
    """Whether some double has more digits than Spark's cast keeps."""
    magnitudes = (file.columns.get(numbers.double) for file in listing.files if numbers.double is not None)
    return max((magnitude or 0.0 for magnitude in magnitudes), default=0.0) >= _EXACT_DOUBLES


def _spark_number(numbers: Numbers, *, beyond: bool) -> str:
    scale = numbers.scale(PRECISION)
    kind = "double" if scale is None else f"decimal({PRECISION}, {scale})"
    names = [name for name in (numbers.double, numbers.integer, numbers.long) if name is not None]
    values = [f"F.col({_spark_name(name)!r})" for name in names]
    if numbers.double is not None and beyond and scale is not None:
        values[0] = f"exactly({values[0]}, {scale})"
    listed = "".join(f"    {value}.cast({kind!r}),\n" for value in values)
    number = f"# {numbers.note(PRECISION)}\nnumber = F.coalesce(\n{listed})\n"
    return f"{number}events = events.withColumn({numbers.name!r}, number)\n"


def _spark_name(name: str) -> str:
    """The name in backticks, since a dot otherwise selects a field of a structure."""
    return "`" + name.replace("`", "``") + "`"


def _hadoop_path(path: str) -> str:
    """A Hadoop path pattern that matches only this path."""
    return "".join(f"\\{character}" if character in "\\*?[]{}" else character for character in path)


# --- Python -------------------------------------------------------------------------------------------


def _python(listing: CollectionListing, code: str) -> str:
    return _indented((f"# {line}" for line in listing.comments), 0) + code


def _list(name: str, texts: Sequence[str]) -> str:
    return f"{name} = [\n{_indented((f'{text!r},' for text in texts), 4)}]\n" if texts else f"{name} = []\n"


READERS: Mapping[str, tuple[str, Callable[[CollectionListing], str]]] = {
    "sql": ("DuckDB", sql),
    "polars": ("Polars", polars),
    "pandas": ("pandas", pandas),
    "spark": ("Spark", spark),
}
"""Option of ``acumen files`` → name of the reader, and the function that generates its code."""
COMMENTS = {"sql": "--", "polars": "#", "pandas": "#", "spark": "#"}
