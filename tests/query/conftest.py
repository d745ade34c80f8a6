"""One engine for all tests of questions: it is meant to live as long as a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from query.engine.engine import Engine


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def engine(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = Engine(
        data_folder,
        memory_limit_bytes=1 << 30,
        threads=2,
        temp_folder=tmp_path_factory.mktemp("spill"),
        temp_bytes_max=1 << 30,
    )
    yield made
    made.close()
