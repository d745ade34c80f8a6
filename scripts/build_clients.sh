#!/bin/sh
# Build the JavaScript packages under clients/ from their lock file: their dist folders, which are committed.
# The same sources give the same bytes: after this `git diff --exit-code` shows whether dist is what its sources say.
set -eu
cd "$(dirname "$0")/../clients"
npm ci --ignore-scripts --no-audit --no-fund
npm run build --workspaces
