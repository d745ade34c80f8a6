"""Modules of the pages run in Node, for what they compute without a page."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.clients.pages.conftest import ROOT
from tests.support.npm import installed_packages

_RUN = """
const { buildSync } = require("esbuild");
const built = buildSync({ entryPoints: [process.argv[1]], bundle: true, write: false, format: "cjs" });
const module_ = { exports: {} };
new Function("module", "exports", built.outputFiles[0].text)(module_, module_.exports);
const [name, calls] = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(calls.map((given) => module_.exports[name](...given))));
"""


def called(module: str, function: str, *calls: list[Any]) -> list[Any]:
    """What an exported function of a module below `src` gives for the arguments of each call."""
    node = installed_packages(ROOT / "clients")
    path = ROOT / "clients/pages/src" / module
    done = subprocess.run(
        [node, "-e", _RUN, str(path)],
        cwd=ROOT / "clients",
        input=json.dumps([function, calls]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers
