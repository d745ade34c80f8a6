#!/bin/sh
# SQLite before 3.45 (Debian 12 has 3.40): its JSON functions end a text at an escaped zero character, without an error.
# So a list that is bound as one parameter and unfolded by json_each, the usual stand-in for an array, loses what comes
# after it, and IN finds another value: 'a' is in '["a\u0000b"]'. A text that is bound by itself keeps all of it.
# Seen: "3.44.2: json_each gives 61, 'a' is in the list: True; bound by itself: 610062",
# "3.45.3: json_each gives 610062, 'a' is in the list: False; bound by itself: 610062".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/look.py" <<'PY'
import sys

import apsw

connection = apsw.Connection(":memory:")


def only(statement, *values):
    return connection.execute(statement, values).fetchone()[0]


listed = '["a\\u0000b"]'
given = only("SELECT hex(value) FROM json_each(?)", listed)
other = bool(only("SELECT 'a' IN (SELECT value FROM json_each(?))", listed))
alone = only("SELECT hex(?)", "a\0b")
print(f"{apsw.sqlitelibversion()}: json_each gives {given}, 'a' is in the list: {other}; bound by itself: {alone}")
sys.exit((given, other, alone) != (sys.argv[1], sys.argv[1] == "61", "610062"))
PY
for pinned in 3.44.2.0=61 3.45.3.0=610062; do
    python3 -m venv --clear "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --only-binary :all: "apsw==${pinned%=*}"
    "$folder/venv/bin/python" "$folder/look.py" "${pinned#*=}"
done
