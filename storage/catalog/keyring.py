"""The server's secret and its uses: digests for looking keys up, and sealing keys at rest.

The secret is ``ACUMEN_SECRET_KEY``, or else is in a file of the data folder that only its owner can read.
That file belongs in no backup: anyone with it and a copy of the catalog can read the keys in the catalog.
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
"""Prefix of a sealed text. Keys consist of letters and digits, so no key starts with it."""
PUBLIC_ID_LENGTH = 32
_NONCE_SIZE = 12
_OPENED_MAX = 100_000


def public_id(key: str) -> str:
    """The public id of an access key: embed tokens name their key by it. It does not reveal the key."""
    text = b"acumen key id v1\0" + key.encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:PUBLIC_ID_LENGTH]


class Keyring:
    """Derives a separate key for each purpose, so that a leak of one does not weaken another."""

    def __init__(self, secret: str | Path) -> None:
        """``secret`` is the secret itself, or its file, which is created when it is first needed."""
        self._source = secret
        self._opened: dict[tuple[str, str], str] = {}

    @classmethod
    def open(cls, folder: Path, secret: str | None) -> Keyring:
        """A keyring with this secret, or with the one in the folder if None."""
        return cls(secret or folder / "secret.key")

    def derived(self, purpose: str) -> bytes:
        """A key of 32 bytes for this purpose. Raises OSError."""
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
        """The digest by which a key is looked up."""
        text = f"{project_id}/{key}".encode("utf-8", "surrogatepass")
        return hmac.new(self._digest_key, text, hashlib.sha256).hexdigest()

    def seal(self, text: str, context: str) -> bytes:
        nonce = os.urandom(_NONCE_SIZE)
        return nonce + self._seal.encrypt(nonce, text.encode(), context.encode())

    def unseal(self, sealed: bytes, context: str) -> str:
        """The text that was sealed with this ``context``. Raises WrongSecret."""
        source = self._source
        if "_secret" not in self.__dict__ and isinstance(source, Path) and not source.exists():
            # As in a backup that is inspected without its secret. A new secret made here could be mistaken
            # for the original one.
            raise WrongSecret("The secret that it was sealed with is not there.")
        try:
            return self._seal.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], context.encode()).decode()
        except InvalidTag:
            raise WrongSecret("It was sealed with another secret.") from None

    def seal_text(self, text: str, context: str) -> str:
        return SEALED + base64.b64encode(self.seal(text, context)).decode()

    def unseal_text(self, sealed: str, context: str) -> str:
        """Raises WrongSecret. Results are cached, since all keys are read with every change."""
        text = self._opened.get((sealed, context))
        if text is None:
            text = self.unseal(base64.b64decode(sealed.removeprefix(SEALED)), context)
            if len(self._opened) >= _OPENED_MAX:
                self._opened.clear()
            self._opened[sealed, context] = text
        return text


def _secret_of(path: Path) -> str:
    """The secret in the file, created if missing; several processes may try that at once."""
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
    # A damaged file gives another secret, and so leads to the same errors as a wrong secret.
    return path.read_text(encoding="utf-8", errors="replace").strip()
