"""The built files of the JavaScript clients and of the pages: in a checkout those of ``clients/``, installed
a copy."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from service.errors import NotFound

SERVED = (
    *("acumen-charts.js", "acumen-actors.js", "acumen-text.js", "draw.js"),
    *("tracker.js", "auto.js", "index.js", "embed.js"),
)
"""The names that are served below ``/clients/``."""
SHELL = "index.html"
"""The shell of the pages; the other files of its folder are served below ``/pages/``."""

_HERE = Path(__file__).parent
_FOLDERS = (
    _HERE / "assets" / "clients",
    _HERE / "assets" / "pages",
    _HERE.parent / "clients" / "pages" / "dist",
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


@dataclass(frozen=True, slots=True)
class ClientScript:
    """A file as it is and compressed; ``digest`` is the SHA-256 of its bytes."""

    plain: bytes
    gzipped: bytes
    digest: str


def client_script(name: str) -> ClientScript:
    """The file of this name, read and compressed once: not for an event loop. Raises NotFound."""
    return _read(name, SERVED, "client file")


def page_file(name: str) -> ClientScript:
    """The shell or a file of the pages, as ``client_script``. Raises NotFound."""
    return _read(name, _page_files(), "file of the pages")


@cache
def _page_files() -> tuple[str, ...]:
    try:
        return tuple(path.name for path in client_file(SHELL).parent.iterdir())
    except FileNotFoundError:
        return (SHELL,)


@cache
def _read(name: str, known: tuple[str, ...], what: str) -> ClientScript:
    if name not in known:
        raise NotFound(f"Resource not found: there is no {what} '{name[:60]}'.")
    try:
        plain = client_file(name).read_bytes()
        return ClientScript(plain, gzip.compress(plain, 9, mtime=0), client_file_digest(name))
    except FileNotFoundError:
        raise NotFound(f"Resource not found: this server was built without '{name}'.") from None
