"""What axe-core says of a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.npm import installed_packages

CLIENTS = Path(__file__).resolve().parents[2] / "clients"
AXE = CLIENTS / "node_modules/axe-core/axe.min.js"


def serious(page: Any) -> list[str]:
    """The serious and critical faults. Skips without Node, by which axe-core is installed."""
    installed_packages(CLIENTS)
    # The answer of before is pale while the next one is computed.
    page.locator(".answer.busy").first.wait_for(state="detached")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
