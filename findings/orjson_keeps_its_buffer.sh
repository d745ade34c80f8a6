#!/bin/sh
# orjson 3.13.0: the bytes that dumps() returns keep the whole buffer they were written into. sys.getsizeof says 37 bytes
# for a small text, and the process grows by some 4 kB for each result that is kept. A copy takes what it says.
# Seen: "kept as given: 4122 bytes each" and "kept as a copy: 48 bytes each".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet orjson==3.13.0
"$folder/venv/bin/python" - <<'PY'
import orjson


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def grown(make) -> int:
    before = resident()
    kept = [make(f"value {number}") for number in range(100_000)]
    return (resident() - before) // len(kept)


given = grown(orjson.dumps)
copied = grown(lambda text: orjson.dumps([text])[1:-1])
print(f"kept as given: {given} bytes each; kept as a copy: {copied} bytes each")
raise SystemExit(0 if given > 2_000 and copied < 500 else 1)
PY
