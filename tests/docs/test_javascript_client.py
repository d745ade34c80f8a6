"""The blocks of docs/clients/javascript.md run, and print what stands beside them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.server import Served

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/clients/javascript.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```js node\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_the_blocks_run_and_print_what_is_said(served: Served, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    project = served.new_project("Documented")
    names = {
        "URL": served.url,
        "PROJECT": project.id,
        "WRITE_KEY": project.write_key,
        "READ_KEY": project.read_key,
        "MASTER_KEY": project.master_key,
        "ACCESS_KEY": "key",
        "QUEUE_FILE": str(tmp_path / "queue"),
    }
    package = tmp_path / "node_modules/acumen-client"
    package.parent.mkdir()
    package.symlink_to(ROOT / "clients/js")
    constants = "".join(f"const {name} = {value!r};\n" for name, value in names.items())
    assert len(BLOCKS) >= 5
    for number, block in enumerate(BLOCKS):
        script = tmp_path / f"block{number}.mjs"
        script.write_text(constants + block.replace('"http://127.0.0.1:8000"', "URL"), encoding="utf-8")
        done = subprocess.run([node, str(script)], capture_output=True, text=True, timeout=120, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        said = [line.rpartition("// ")[2] for line in block.splitlines() if "console.log(" in line]
        assert done.stdout.splitlines() == said
