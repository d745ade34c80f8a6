"""The server's own secret, and what is made with it: digests to find keys by, and keys sealed at rest.

The secret is ``ACUMEN_SECRET_KEY``, or else stands in a file of the data folder for its owner alone. That
file belongs in no backup: whoever has it and a copy of the catalog can read the access keys in it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_SIZE = 12


class WrongSecret(Exception):
    """What was sealed was sealed with another secret."""


class Keyring:
    """Each purpose has a key of its own, so that what one gives away is worth nothing for another."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._digest_key = self.derived("key digests")
        self._seal = AESGCM(self.derived("sealed keys"))

    @classmethod
    def open(cls, folder: Path, secret: str | None) -> Keyring:
        """With this secret, or with the folder's own, made where there is none. Raises OSError."""
        return cls(secret or _secret_of(folder / "secret.key"))

    def derived(self, purpose: str) -> bytes:
        """32 bytes."""
        return hmac.digest(self._secret, purpose.encode(), "sha256")

    def digest(self, project_id: str, key: str) -> str:
        """What a key is found by."""
        text = f"{project_id}/{key}".encode("utf-8", "surrogatepass")
        return hmac.new(self._digest_key, text, hashlib.sha256).hexdigest()

    def seal(self, text: str, context: str) -> bytes:
        nonce = os.urandom(_NONCE_SIZE)
        return nonce + self._seal.encrypt(nonce, text.encode(), context.encode())

    def unseal(self, sealed: bytes, context: str) -> str:
        """Raises WrongSecret; ``context`` must be what it was sealed with."""
        try:
            return self._seal.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], context.encode()).decode()
        except InvalidTag:
            raise WrongSecret from None


def _secret_of(path: Path) -> str:
    """The secret in the file; several processes may be the first to want it."""
    if not path.exists():
        descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".secret-")
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(unfinished, path)
            except FileExistsError:
                pass
        finally:
            Path(unfinished).unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return path.read_text(encoding="ascii").strip()
