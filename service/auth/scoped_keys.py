"""Scoped keys, made by clients, older than access keys: what one permits, encrypted with the master key.

Hexadecimal: 16 bytes of initialisation vector, then AES-256-CBC of a JSON object. Master keys of 64
characters are the key in hexadecimal, padded to blocks of 16 bytes; those of 32 are the key itself, padded
to 32. Some clients leave the padding out where the text fills its last block.

Nothing signs such a key: its holder can change what it permits. A project takes none unless its preferences
say so, and then only texts as the clients' JSON writers make them. That makes changes harder, not impossible.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK_SIZE = 16
_LENGTH_MIN = 4 * _BLOCK_SIZE
_OPERATIONS = frozenset({"read", "write"})
_KNOWN = frozenset({"allowed_operations", "filters"})
_STRING = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u(?!00[3-7][0-9A-Fa-f]|002[0-9A-Fa-f])[0-9A-Fa-f]{4}'
_STRING += r'|u00(?:2[267bB]|3[cCeE]|60|7[fF])))*"'
"""Of ASCII, writers escape what means something in JSON or HTML, and DEL."""
_TEXT = re.compile(
    rf"{_STRING}|[\[\]{{}}]|[,:](?P<space>[ ]?)"
    r"|true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a scoped key permits. ``filters`` is JSON, not looked at yet."""

    operations: frozenset[str]
    filters: Any


def scope_of(key: str, master_key: str) -> Scope | None:
    """What the key permits; None where it is no scoped key made with this master key."""
    secret = _secret_of(master_key)
    if secret is None or len(key) < _LENGTH_MIN or len(key) % (2 * _BLOCK_SIZE):
        return None
    try:
        sealed = bytes.fromhex(key)
    except ValueError:
        return None
    if 2 * len(sealed) != len(key):
        return None
    vector, text = sealed[:_BLOCK_SIZE], sealed[_BLOCK_SIZE:]
    decryptor = Cipher(algorithms.AES(secret), modes.CBC(vector)).decryptor()
    return _read(decryptor.update(text) + decryptor.finalize())


def _secret_of(master_key: str) -> bytes | None:
    try:
        secret = bytes.fromhex(master_key) if len(master_key) == 64 else master_key.encode("ascii")
    except ValueError:
        return None
    return secret if len(secret) == 32 else None


def _read(plain: bytes) -> Scope | None:
    pad = plain[-1]
    texts = [plain]
    if 1 <= pad <= 32 and plain.endswith(bytes([pad]) * pad):
        texts.insert(0, plain[:-pad])
    for text in texts:
        try:
            options = json.loads(text.decode(), object_pairs_hook=_once)
        except (ValueError, RecursionError):
            continue
        return _scope(options) if is_written(text.decode()) else None
    return None


def is_written(text: str) -> bool:
    """Whether a JSON writer of some client may have made this text: spaced in one way throughout, with
    nothing escaped or spelt but as writers do."""
    at, spaces = 0, set()
    while at < len(text):
        token = _TEXT.match(text, at)
        if token is None:
            return False
        if token["space"] is not None:
            spaces.add(token["space"])
        at = token.end()
    return len(spaces) <= 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError for a name that stands twice in one object."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _scope(options: Any) -> Scope | None:
    """What is not understood permits nothing."""
    if not isinstance(options, dict) or not options.keys() <= _KNOWN:
        return None
    operations = options.get("allowed_operations", [])
    if not isinstance(operations, list) or not all(isinstance(one, str) for one in operations):
        return None
    if not _OPERATIONS.issuperset(operations):
        return None
    return Scope(frozenset(operations), options.get("filters"))
