#!/bin/sh
# DuckDB 2.0.0 and Polars 2.1.0: a double cast to a decimal with places changes integers that both types hold exactly.
# 9007199254740991.0 as DECIMAL(38, 6) is 9007199254740990.951424. pyarrow 26.0.1 gets it right, but in pandas 3.1.1 the
# sum of decimal128(38, 0) wraps without an error: 1,000 times 10^38 - 1 is negative. decimal256 adds up rightly.
# Seen: "duckdb 9007199254740990.951424", "polars 9007199254740990.951424", "pyarrow 9007199254740991.000000",
# "pandas, decimal128: -43015874755908258232134584939854169064", "pandas, decimal256: 99999999999999999999999999999999999999000".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==2.0.0 polars==2.1.0 pandas==3.1.1 pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PY'
from decimal import Decimal

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa

whole = 9007199254740991.0
by_duckdb = duckdb.execute("SELECT ?::DOUBLE::DECIMAL(38, 6)", [whole]).fetchone()[0]
by_polars = pl.Series([whole]).cast(pl.Decimal(38, 6))[0]
by_pyarrow = pa.array([whole]).cast(pa.decimal128(38, 6))[0].as_py()
longest = [Decimal(10**38 - 1)] * 1000
by_128 = pd.Series(longest, dtype=pd.ArrowDtype(pa.decimal128(38, 0))).sum()
by_256 = pd.Series(longest, dtype=pd.ArrowDtype(pa.decimal256(76, 0))).sum()
print("duckdb", by_duckdb)
print("polars", by_polars)
print("pyarrow", by_pyarrow)
print("pandas, decimal128:", by_128)
print("pandas, decimal256:", by_256)
changed = by_duckdb == by_polars == Decimal("9007199254740990.951424")
raise SystemExit(0 if changed and by_pyarrow == whole and by_128 < 0 and by_256 == sum(map(int, longest)) else 1)
PY
