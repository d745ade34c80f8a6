#!/bin/sh
# ClickHouse's windowFunnel, on which several products build their funnels: an event that passes the conditions of several
# steps counts for all of them at once, so one page view completes a funnel of two page views, and steps of overlapping
# conditions (any page, then the price page) are reached by a single event. The mode strict_increase, whose purpose is that each
# step is later, then sees no second step of the same condition at all, not even by a later event. Of the modes only strict_once
# counts repeated steps as one would.
# Guess before: each event counts for one step; strict_increase reaches the second step by the later event.
# Seen with chdb 4.4.0 (ClickHouse 26.9.2.1): "one view: default 2, strict_order 2, strict_deduplication 2, strict_increase 1,
# strict_once 1", "two views, a second apart: default 2, strict_order 2, strict_deduplication 2, strict_increase 1, strict_once 2".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --only-binary :all: "chdb==4.4.0"
"$folder/venv/bin/python" - <<'PY'
import sys

import chdb

MODES = ("default", "strict_order", "strict_deduplication", "strict_increase", "strict_once")
EXPECTED = {"one view": [2, 2, 2, 1, 1], "two views, a second apart": [2, 2, 2, 1, 2]}
EVENTS = {"one view": "(1, 'view')", "two views, a second apart": "(1, 'view'), (2, 'view')"}


def reached(mode, events):
    mode = "" if mode == "default" else f", '{mode}'"
    funnel = f"windowFunnel(10{mode})(time, name = 'view', name = 'view')"
    return int(str(chdb.query(f"SELECT {funnel} FROM values('time UInt32, name String', {events})")))


seen = {label: [reached(mode, events) for mode in MODES] for label, events in EVENTS.items()}
for label, steps in seen.items():
    print(f"{label}: " + ", ".join(f"{mode} {step}" for mode, step in zip(MODES, steps)))
sys.exit(seen != EXPECTED)
PY
