#!/bin/sh
# Arrow compares doubles by value and hashes them by their bits. So 0.0 and -0.0 are equal, yet unique, dictionary_encode,
# value_counts, count_distinct and group_by keep two of them, is_in and a join do not find one by the other; and a NaN whose
# sign is set is another one. numpy and DuckDB count two values, and DuckDB's join finds both zeros. A negative zero is what a
# division, a rounding or a JSON text "-0.0" leaves, so whoever moves a GROUP BY or a lookup from DuckDB to Arrow gets other
# numbers without an error.
# Guess before: hashing follows equality, two values everywhere.
# Seen: "pyarrow 26.0.1: equal True, unique 4, dictionary 4, value_counts 4, count_distinct 4, group_by 4, is_in 1, join 1",
# "numpy 2, DuckDB 2 groups, join 2".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --only-binary :all: "pyarrow==26.0.1" "duckdb==2.0.0" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'PY'
import sys

import duckdb
import numpy
import pyarrow
from pyarrow import compute

values = pyarrow.array([0.0, -0.0, float("nan"), -float("nan")])
table = pyarrow.table({"value": values})
zero = pyarrow.table({"value": [0.0], "found": [True]})
arrow = [
    ("equal", compute.equal(values[0], values[1]).as_py()),
    ("unique", len(values.unique())),
    ("dictionary", len(values.dictionary_encode().dictionary)),
    ("value_counts", len(values.value_counts())),
    ("count_distinct", compute.count_distinct(values).as_py()),
    ("group_by", table.group_by("value").aggregate([([], "count_all")]).num_rows),
    ("is_in", compute.sum(compute.is_in(values, value_set=zero["value"])).as_py()),
    ("join", table.join(zero, "value", join_type="inner").num_rows),
]
print(f"pyarrow {pyarrow.__version__}: " + ", ".join(f"{name} {seen}" for name, seen in arrow))
groups = duckdb.sql('SELECT value FROM "table" GROUP BY value').fetchall()
joined = duckdb.sql('SELECT 1 FROM "table" JOIN zero USING (value)').fetchall()
print(f"numpy {len(numpy.unique(values.to_numpy()))}, DuckDB {len(groups)} groups, join {len(joined)}")
as_seen = [seen for _, seen in arrow] == [True, 4, 4, 4, 4, 4, 1, 1]
sys.exit(not (as_seen and len(numpy.unique(values.to_numpy())) == 2 and len(groups) == 2 and len(joined) == 2))
PY
