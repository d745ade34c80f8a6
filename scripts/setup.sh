#!/bin/sh
# Find a Python that can make the environment, and let setup_environment.py make it. Quick when nothing changed.
#
#     setup.sh [PYTHON] [dev]
set -u
cd "$(dirname "$0")/.." || exit 1

cannot=3 # what setup_environment.py says when this Python has nothing to make an environment with
found=""
for python in ${1:-python3.14 python3.13 python3.12 python3.11 python3 python}; do
    # Ask the program itself: names on the path may be shims for a version that is not there.
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
    found="$python"
    "$python" scripts/setup_environment.py "${2:-}"
    status=$?
    [ "$status" -eq "$cannot" ] || exit "$status"
done

if [ -z "$found" ]; then
    echo "Acumen needs Python 3.11 or newer: install it, or name it with 'make PYTHON=/path/to/python3.11 ...'." >&2
else
    echo "Acumen needs pip and $found has none that works: install it with your system's package manager" \
        "('apt-get install python3-venv' on Debian and Ubuntu) and run make again." >&2
fi
exit 1
