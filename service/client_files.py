"""The built files of the JavaScript clients: in a checkout those of ``clients/``, installed a copy."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
_FOLDERS = (
    _HERE / "assets" / "clients",
    _HERE.parent / "clients" / "charts" / "dist",
    _HERE.parent / "clients" / "js" / "dist",
)


@cache
def client_file(name: str) -> Path:
    """Where the file of this name lies. Raises FileNotFoundError."""
    for folder in _FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(name)


@cache
def client_file_digest(name: str) -> str:
    """The SHA-256 of the file of this name, in hexadecimal digits. Raises FileNotFoundError."""
    return hashlib.sha256(client_file(name).read_bytes()).hexdigest()
