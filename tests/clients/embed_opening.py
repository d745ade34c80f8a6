"""What an embed token holds, read as a server reads it: by the key, from the description of the format."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def opened(key: str, token: str) -> list[dict[str, Any]]:
    """The conditions of a token, its maker's first. Fails where its tag is wrong."""
    version, key_id, sealed, *narrowings, given = token.split(".")
    assert version == "ae1"
    assert key_id == hashlib.sha256(b"acumen key id v1\0" + key.encode()).hexdigest()[:32]
    head = f"{version}.{key_id}"
    tag = _mac(_derived(key.encode(), b"acumen embed v1 chain"), f"{head}.{sealed}".encode())
    found = [_unsealed(_derived(key.encode(), b"acumen embed v1 seal"), sealed, head.encode())]
    for narrowing in narrowings:
        found.append(_unsealed(_derived(tag, b"acumen embed v1 narrow"), narrowing, b"ae1"))
        tag = _mac(tag, narrowing.encode())
    assert hmac.compare_digest(tag, _bytes(given))
    return found


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _derived(key: bytes, info: bytes) -> bytes:
    return _mac(_mac(bytes(32), key), info + b"\x01")


def _unsealed(key: bytes, sealed: str, about: bytes) -> dict[str, Any]:
    raw = _bytes(sealed)
    conditions: dict[str, Any] = json.loads(AESGCM(key).decrypt(raw[:12], raw[12:], about))
    return conditions
