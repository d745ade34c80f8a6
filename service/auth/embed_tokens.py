"""The format of embed tokens, version 1.

    ae1.<public id of the access key>.<sealed conditions>[.<narrowing>]*.<tag>

The maker's conditions are encrypted under a key derived from the access key. Each holder may append a
narrowing, encrypted under a key derived from the tag before it. The tag is an HMAC over all parts, chained so
that a holder of the newest tag cannot compute an earlier one. ``docs/internals/embed-tokens.md`` has the
bytes; ``service.auth.embed_conditions`` has the meaning of conditions.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.catalog.keyring import PUBLIC_ID_LENGTH, public_id

VERSION = "ae1"
PREFIX = f"{VERSION}."
TOKEN_LENGTH_MAX = 8_192
"""Characters of a token."""
NARROWINGS_MAX = 8
NONCE_SIZE = 12
_SEAL_SIZE_MIN = NONCE_SIZE + 16
_TAG_SIZE = 32
_PUBLIC_ID = re.compile(rf"[0-9a-f]{{{PUBLIC_ID_LENGTH}}}", re.ASCII)


class BadToken(Exception):
    """The text is no embed token of this key; whoever sent it is not told why."""


@dataclass(frozen=True, slots=True)
class TokenSecrets:
    """What the server derives from an access key to open its tokens."""

    seal: bytes
    chain: bytes

    @classmethod
    def of(cls, key: str) -> TokenSecrets:
        secret = key.encode("utf-8", "surrogatepass")
        return cls(_derived(secret, b"acumen embed v1 seal"), _derived(secret, b"acumen embed v1 chain"))


@dataclass(frozen=True, slots=True)
class TokenLink:
    """The maker's conditions, or those of one narrowing, with the tag of the chain up to there."""

    conditions: bytes
    tag: bytes


@dataclass(frozen=True, slots=True)
class EmbedToken:
    """A token that is well formed; nothing in it was verified yet."""

    public_id: str
    sealed: str
    narrowings: tuple[str, ...]
    tag: bytes

    def opened(self, secrets: TokenSecrets) -> tuple[TokenLink, ...]:
        """The conditions, the maker's first. Raises BadToken where the access key did not make the token.

        The tag is compared before anything is decrypted.
        """
        start = f"{PREFIX}{self.public_id}.{self.sealed}"
        tags = [hmac.digest(secrets.chain, start.encode(), hashlib.sha256)]
        for narrowing in self.narrowings:
            tags.append(hmac.digest(tags[-1], narrowing.encode(), hashlib.sha256))
        if not hmac.compare_digest(tags[-1], self.tag):
            raise BadToken
        links = [
            TokenLink(_decrypted(secrets.seal, self.sealed, f"{PREFIX}{self.public_id}".encode()), tags[0])
        ]
        for before, narrowing, tag in zip(tags, self.narrowings, tags[1:], strict=False):
            key = _derived(before, b"acumen embed v1 narrow")
            links.append(TokenLink(_decrypted(key, narrowing, VERSION.encode()), tag))
        return tuple(links)


def is_embed_token(text: str) -> bool:
    """Whether the text can only be an embed token: keys of all other kinds have no dot."""
    return text.startswith(PREFIX)


def made_token(access_key: str, conditions: bytes, nonce: bytes) -> str:
    """The token of these conditions, as a backend makes it; no nonce may be used twice with one key."""
    secrets = TokenSecrets.of(access_key)
    head = f"{PREFIX}{public_id(access_key)}"
    sealed = _text_of(nonce + AESGCM(secrets.seal).encrypt(nonce, conditions, head.encode()))
    text = f"{head}.{sealed}"
    return f"{text}.{_text_of(hmac.digest(secrets.chain, text.encode(), hashlib.sha256))}"


def read_token(text: str) -> EmbedToken:
    """The parts of a token. Raises BadToken where it is not in its one form, which has no padding and no
    spare bits."""
    if len(text) > TOKEN_LENGTH_MAX or not text.isascii():
        raise BadToken
    version, *parts = text.split(".", NARROWINGS_MAX + 4)
    if version != VERSION or not 3 <= len(parts) <= NARROWINGS_MAX + 3:
        raise BadToken
    public_id, sealed, *narrowings, tag = parts
    if not _PUBLIC_ID.fullmatch(public_id) or len(_bytes_of(tag)) != _TAG_SIZE:
        raise BadToken
    if any(len(_bytes_of(part)) < _SEAL_SIZE_MIN for part in (sealed, *narrowings)):
        raise BadToken
    return EmbedToken(public_id, sealed, tuple(narrowings), _bytes_of(tag))


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(secret)


def _decrypted(key: bytes, part: str, context: bytes) -> bytes:
    sealed = _bytes_of(part)
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], context)
    except InvalidTag:
        raise BadToken from None


def _bytes_of(part: str) -> bytes:
    """The bytes of base64url without padding. Raises BadToken for any other spelling of the same bytes."""
    try:
        content = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken from None
    if _text_of(content) != part:
        raise BadToken
    return content


def _text_of(content: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
