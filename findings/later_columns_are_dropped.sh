#!/bin/sh
# Two Parquet files, of which the second has a column more, read as one list: DuckDB 2.0.0 and pandas 3.1.1 (pyarrow 26.0.1)
# answer with the first file's columns, and Polars 2.1.0 refuses. The options that Polars' errors lead to make it drop the
# column as well. None of them says so.
# Seen: "duckdb ['a']", "pandas ['a']", "polars SchemaError", "polars with extra_columns='ignore' ['a']".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==2.0.0 polars==2.1.0 pandas==3.1.1 pyarrow==26.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

pq.write_table(pa.table({"a": [1]}), "1.parquet")
pq.write_table(pa.table({"a": [2], "b": ["later"]}), "2.parquet")
files = ["1.parquet", "2.parquet"]
by_duckdb = duckdb.read_parquet(files).columns
by_pandas = list(pd.read_parquet(files).columns)
try:
    by_polars = pl.read_parquet(files).columns
except pl.exceptions.PolarsError as error:
    by_polars = type(error).__name__
lenient = pl.scan_parquet(files, missing_columns="insert", extra_columns="ignore").collect().columns
print("duckdb", by_duckdb)
print("pandas", by_pandas)
print("polars", by_polars)
print("polars with extra_columns='ignore'", lenient)
raise SystemExit(0 if by_duckdb == by_pandas == lenient == ["a"] and by_polars == "SchemaError" else 1)
PY
