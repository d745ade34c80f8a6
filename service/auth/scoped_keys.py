"""Scoped keys, older than access keys: made by clients, by encrypting permissions with the master key.

The format is hexadecimal: 16 bytes of initialisation vector, then AES-256-CBC of a JSON object. A master key
of 64 characters is the AES key in hexadecimal, and the text is padded to blocks of 16 bytes; one of 32
characters is the AES key itself, and the text is padded to 32. Some clients omit the padding where the text
fills its last block.

Scoped keys are not authenticated: a holder can tamper with the permissions. A project accepts them only if
its preferences say so, and only JSON texts in the form that the clients' JSON writers produce. That makes
tampering harder, not impossible.
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
"""A JSON string. Of ASCII, writers escape only characters with a meaning in JSON or HTML, and DEL."""
_TEXT = re.compile(
    rf"{_STRING}|[\[\]{{}}]|[,:](?P<space>[ ]?)"
    r"|true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The permissions of a scoped key. ``filters`` is decoded JSON, not validated yet."""

    operations: frozenset[str]
    filters: Any


def scope_of(key: str, master_key: str) -> Scope | None:
    """The permissions of the key; None where it is not a scoped key made with this master key."""
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
    """Whether a client's JSON writer may have produced this text: consistently spaced, with only the escapes
    and literals that writers use."""
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
    """Raises ValueError for a name that occurs twice in one object."""
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a name stands twice")
    return result


def _scope(options: Any) -> Scope | None:
    """The scope in ``options``; None for anything that is not understood."""
    if not isinstance(options, dict) or not options.keys() <= _KNOWN:
        return None
    operations = options.get("allowed_operations", [])
    if not isinstance(operations, list) or not all(isinstance(one, str) for one in operations):
        return None
    if not _OPERATIONS.issuperset(operations):
        return None
    return Scope(frozenset(operations), options.get("filters"))
