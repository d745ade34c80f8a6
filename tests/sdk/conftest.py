"""Acumen as an SDK is told of it: where it is, which project, which keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.npm import installed_packages
from tests.support.server import TAKES_SCOPED_KEYS, Served, ServedProject

NODE = Path(__file__).resolve().parent / "node"


def install_node_sdks() -> str:
    """The Node program, with the SDKs installed beside the scripts."""
    return installed_packages(NODE)


@dataclass(frozen=True)
class Acumen:
    """A running server and one project in it."""

    url: str
    port: int
    project_id: str
    master_key: str
    write_key: str
    read_key: str

    @classmethod
    def of(cls, server: Served, project: ServedProject) -> Acumen:
        keys = (project.master_key, project.write_key, project.read_key)
        return cls(server.url, server.port, project.id, *keys)


@pytest.fixture(scope="module")
def acumen(served: Served) -> Acumen:
    """A project of the module's own in the shared server."""
    return Acumen.of(served, served.new_project("SDK", preferences=TAKES_SCOPED_KEYS))
