"""The second factor: codes of an app that change every half minute, and recovery codes."""

from __future__ import annotations

import hmac
import io
import secrets
from collections.abc import Callable

import pyotp

from storage.catalog.catalog import Catalog
from storage.catalog.errors import WrongSecret
from storage.catalog.people.records import Person

STEP_SECONDS = 30
_CLOCKS_OFF_STEPS = (0, -1, 1)
"""Steps beside the present one whose codes are taken, since clocks differ."""
RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
_ISSUER = "Acumen"


class SecondFactors:
    """Secrets are sealed in the catalog, and recovery codes are digests there. All methods block."""

    def __init__(self, catalog: Catalog, clock: Callable[[], int]) -> None:
        self._catalog = catalog
        self._clock = clock

    def offer(self, person: Person) -> tuple[str, str]:
        """A new secret and its address for apps. It counts once ``confirm`` is called with a code of it."""
        secret = pyotp.random_base32()
        sealed = self._catalog.keyring.seal(secret, _context(person.id))
        self._catalog.people.offer_factor(person.id, sealed)
        return secret, pyotp.TOTP(secret).provisioning_uri(name=person.email, issuer_name=_ISSUER)

    def confirm(self, person: Person, code: str) -> list[str] | None:
        """The recovery codes, where the code is one of the offered secret, which counts from now on."""
        if person.factor_offered is None:
            return None
        step = self._step_of(person, person.factor_offered, code)
        if step is None:
            return None
        codes = [secrets.token_hex(_RECOVERY_BYTES // 2) for _ in range(RECOVERY_CODES)]
        digests = [self._digest(person.id, one) for one in codes]
        confirmed = self._catalog.people.confirm_factor(person.id, person.factor_offered, step, digests)
        return codes if confirmed else None

    def takes(self, person: Person, code: str) -> bool:
        """Whether this is a code of the person's second factor, or a recovery code; each is taken once."""
        assert person.factor is not None
        step = self._step_of(person, person.factor, code)
        if step is not None:
            return self._catalog.people.take_step(person.id, step)
        return self._catalog.people.take_recovery(person.id, self._digest(person.id, _plain(code)))

    def _step_of(self, person: Person, sealed: bytes, code: str) -> int | None:
        """The time step whose code this is; None where there is none near the present."""
        try:
            totp = pyotp.TOTP(self._catalog.keyring.unseal(sealed, _context(person.id)))
        except WrongSecret:
            return None
        now = self._clock() // 1_000_000 // STEP_SECONDS
        given = _plain(code).encode("utf-8", "replace")
        found = None
        for step in (now + off for off in _CLOCKS_OFF_STEPS):
            if hmac.compare_digest(totp.generate_otp(step).encode(), given) and found is None:
                found = step
        return found

    def _digest(self, person_id: str, code: str) -> str:
        return self._catalog.keyring.digest(f"recovery/{person_id}", code)


def picture_of(uri: str) -> str:
    """The address as a QR code that the cameras of phones read, an SVG of its own."""
    # Few people ever ask for one.
    import segno

    drawn = io.BytesIO()
    code = segno.make(uri, error="m", micro=False)
    code.save(drawn, kind="svg", border=4, dark="#000", light="#fff", omitsize=True, xmldecl=False, nl=False)
    return drawn.getvalue().decode()


def _plain(code: str) -> str:
    """The code without the spaces and dashes with which apps and people group digits."""
    return code.replace(" ", "").replace("-", "").lower()


def _context(person_id: str) -> str:
    return f"second factor/{person_id}"
