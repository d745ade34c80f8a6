"""The server's own secret, and what is made with it: digests to find keys by, and keys sealed at rest.

The secret is ``ACUMEN_SECRET_KEY``, or else stands in a file of the data folder for its owner alone. That
file belongs in no backup: whoever has it and a copy of the catalog can read the keys in it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import tempfile
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.catalog.errors import WrongSecret
from storage.disk.durable_files import sync_folder

SEALED = "sealed:"
"""Begins a sealed text. Keys are letters and digits, so that none of them does."""
_NONCE_SIZE = 12
_OPENED_MAX = 100_000


class Keyring:
    """Each purpose has a key of its own, so that what one gives away is worth nothing for another."""

    def __init__(self, secret: str | Path) -> None:
        """``secret``: itself, or the file in which it is kept, made when it is first needed."""
        self._source = secret
        self._opened: dict[tuple[str, str], str] = {}

    @classmethod
    def open(cls, folder: Path, secret: str | None) -> Keyring:
        """With this secret, or with the folder's own."""
        return cls(secret or folder / "secret.key")

    def derived(self, purpose: str) -> bytes:
        """32 bytes. Raises OSError."""
        return hmac.digest(self._secret, purpose.encode(), "sha256")

    @cached_property
    def _secret(self) -> bytes:
        source = self._source
        return (_secret_of(source) if isinstance(source, Path) else source).encode()

    @cached_property
    def _digest_key(self) -> bytes:
        return self.derived("key digests")

    @cached_property
    def _seal(self) -> AESGCM:
        return AESGCM(self.derived("sealed keys"))

    def digest(self, project_id: str, key: str) -> str:
        """What a key is found by."""
        text = f"{project_id}/{key}".encode("utf-8", "surrogatepass")
        return hmac.new(self._digest_key, text, hashlib.sha256).hexdigest()

    def seal(self, text: str, context: str) -> bytes:
        nonce = os.urandom(_NONCE_SIZE)
        return nonce + self._seal.encrypt(nonce, text.encode(), context.encode())

    def unseal(self, sealed: bytes, context: str) -> str:
        """Raises WrongSecret; ``context`` must be what it was sealed with."""
        source = self._source
        if "_secret" not in self.__dict__ and isinstance(source, Path) and not source.exists():
            # Such as a backup, which is looked at without it: what is made now could be mistaken for it.
            raise WrongSecret("The secret that it was sealed with is not there.")
        try:
            return self._seal.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], context.encode()).decode()
        except InvalidTag:
            raise WrongSecret("It was sealed with another secret.") from None

    def seal_text(self, text: str, context: str) -> str:
        return SEALED + base64.b64encode(self.seal(text, context)).decode()

    def unseal_text(self, sealed: str, context: str) -> str:
        """Raises WrongSecret. What was opened is remembered: all keys are read with every change."""
        found = self._opened.get((sealed, context))
        if found is None:
            found = self.unseal(base64.b64decode(sealed.removeprefix(SEALED)), context)
            if len(self._opened) >= _OPENED_MAX:
                self._opened.clear()
            self._opened[sealed, context] = found
        return found


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
        sync_folder(path.parent)
    # Of a damaged file another secret, so that what is said of a wrong one is said of it.
    return path.read_text(encoding="utf-8", errors="replace").strip()
