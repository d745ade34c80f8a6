"""A real PostgreSQL on a free port, with an empty folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.server import free_port

PASSWORD = "p0stgres-s3cret"


@dataclass(frozen=True)
class PostgresServer:
    port: int

    @property
    def conninfo(self) -> str:
        """Without the password."""
        return f"host=127.0.0.1 port={self.port} dbname=postgres user=postgres"

    def run(self, statement: str, values: Any = None) -> None:
        with psycopg.connect(self.conninfo, password=PASSWORD, autocommit=True) as connection:
            connection.execute(statement.encode(), values)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.conninfo, password=PASSWORD)


def _programs() -> Path:
    """The folder of PostgreSQL's programs; skips where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    program = found[-1] if found else shutil.which("initdb")
    if program is None:
        pytest.skip("PostgreSQL is not installed")
    return Path(program).parent


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    programs = _programs()
    # PostgreSQL does not run as root.
    as_user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="acumen-postgres-") as name:
        folder = Path(name)
        if as_user:
            shutil.chown(folder, "postgres", "postgres")
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        data, port = str(folder / "data"), free_port()
        initdb = [str(programs / "initdb"), "-D", data, "-U", "postgres", "--auth=scram-sha-256", "-N"]
        initdb += [f"--pwfile={folder / 'password'}", "--encoding=UTF8"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **as_user)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        control = [str(programs / "pg_ctl"), "-D", data, "-w"]
        start = [*control, "-o", options, "-l", str(folder / "log"), "start"]
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_user)
        try:
            yield PostgresServer(port)
        finally:
            stop = [*control, "-m", "immediate", "stop"]
            subprocess.run(stop, check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_user)
