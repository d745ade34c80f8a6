#!/bin/sh
# DuckDB 2.0.0: format('{:.0f}', x) and printf('%.0f', x) do not tell all digits of a large double: of 1e300 the first 20
# are right, and most that follow are zeros. CAST(x AS BIGNUM) is exact. 1e23 comes out right by either.
# Seen: "1e300: format right False, printf right False, BIGNUM right True" and "1e23: format right True, printf right True,
# BIGNUM right True".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==2.0.0
"$folder/venv/bin/python" - <<'PY'
import duckdb

FORMS = {
    "format": "format('{:.0f}', CAST(? AS DOUBLE))",
    "printf": "printf('%.0f', CAST(? AS DOUBLE))",
    "BIGNUM": "CAST(CAST(CAST(? AS DOUBLE) AS BIGNUM) AS VARCHAR)",
}


def right(text: str) -> dict[str, bool]:
    exact = str(int(float(text)))
    return {name: duckdb.execute(f"SELECT {sql}", [text]).fetchone()[0] == exact for name, sql in FORMS.items()}


found = {text: right(text) for text in ("1e300", "1e23")}
for text, forms in found.items():
    print(f"{text}: " + ", ".join(f"{name} right {is_right}" for name, is_right in forms.items()))
wanted = {
    "1e300": {"format": False, "printf": False, "BIGNUM": True},
    "1e23": {"format": True, "printf": True, "BIGNUM": True},
}
raise SystemExit(0 if found == wanted else 1)
PY
