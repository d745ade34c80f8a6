"""Runs the code cells of a notebook, and keeps what they show, without Jupyter.

``python -m tests.clients.python.notebooks`` runs those in ``examples/`` against a server of their own, and
writes what they show into them.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tests.support.server import Served, ServedProject

FOLDER = Path(__file__).resolve().parents[3] / "examples/python"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SETTINGS = {"ACUMEN_FLUSH_SECONDS": "0.3"}
Json = dict[str, Any]


def environment_of(served: Served, project: ServedProject) -> dict[str, str]:
    """What ``Acumen.from_environment`` reads."""
    return {
        "ACUMEN_URL": served.url,
        "ACUMEN_PROJECT": project.id,
        "ACUMEN_WRITE_KEY": project.write_key,
        "ACUMEN_READ_KEY": project.read_key,
        "ACUMEN_MASTER_KEY": project.master_key,
    }


def executed(notebook: Json) -> Json:
    """The notebook with the outputs that its cells give now, in this process's environment."""
    names: Json = {"__name__": "__main__"}
    number = 0
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            number += 1
            outputs = outputs_of("".join(cell["source"]), names, number)
            cell = {**cell, "execution_count": number, "outputs": outputs}
        cells.append(cell)
    return {**notebook, "cells": cells}


def outputs_of(source: str, names: Json, number: int) -> list[Json]:
    """What a cell prints, and the value of the expression that it ends with."""
    *body, last = ast.parse(source).body
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed):
        if not isinstance(last, ast.Expr):
            body.append(last)
        exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    outputs: list[Json] = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": lines(printed.getvalue())})
    if value is not None:
        outputs.append(
            {"data": shown(value), "execution_count": number, "metadata": {}, "output_type": "execute_result"}
        )
    return outputs


def shown(value: Any) -> Json:
    html = value._repr_html_() if hasattr(value, "_repr_html_") else None
    return {**({} if html is None else {"text/html": lines(html)}), "text/plain": lines(repr(value))}


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def read(path: Path) -> Json:
    notebook: Json = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def main() -> None:
    with Served(env=SETTINGS) as served, tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for path in NOTEBOOKS:
            os.environ.update(environment_of(served, served.new_project()))
            text = json.dumps(executed(read(path)), indent=1, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
