"""Makes embed tokens as a client does, from the description of the format, without the server's code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def embed_token(key: str, conditions: Any = None, *, version: str = "ae1") -> str:
    """A token of this access key; conditions that are bytes are sealed as they are."""
    key_id = hashlib.sha256(b"acumen key id v1\0" + key.encode()).hexdigest()[:32]
    start = f"{version}.{key_id}"
    secret = key.encode()
    sealed = _sealed(_derived(secret, b"acumen embed v1 seal"), conditions, start.encode())
    tag = _tag(_derived(secret, b"acumen embed v1 chain"), f"{start}.{sealed}")
    return f"{start}.{sealed}.{b64u(tag)}"


def narrowed(token: str, conditions: Any = None) -> str:
    """The token, narrowed by one who holds it."""
    start, _, tag = token.rpartition(".")
    before = base64.urlsafe_b64decode(tag + "=")
    narrowing = _sealed(_derived(before, b"acumen embed v1 narrow"), conditions, b"ae1")
    return f"{start}.{narrowing}.{b64u(_tag(before, narrowing))}"


def chained(key: str, *links: Any) -> str:
    """A token with the conditions of each link in turn."""
    token = embed_token(key, links[0])
    for conditions in links[1:]:
        token = narrowed(token, conditions)
    return token


def b64u(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _sealed(key: bytes, conditions: Any, context: bytes) -> str:
    text = conditions if isinstance(conditions, bytes) else json.dumps(conditions or {}).encode()
    nonce = os.urandom(12)
    return b64u(nonce + AESGCM(key).encrypt(nonce, text, context))


def _tag(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(secret)
