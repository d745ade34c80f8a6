"""A provider of log-in by OpenID Connect: what it says of itself, and who somebody is that it sends back.

Its answers are bounded in size and time. Signatures, keys and claims are checked by joserfc.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, KeySet
from joserfc.jws import JWSRegistry

from service.outbound.errors import AnswerRefused, OutboundError, TooSlow
from service.outbound.fetching import Asking, Bounds, Fetcher
from service.outbound.policy import policy_of
from service.settings import Settings, is_safe

SECONDS_MAX = 10.0
"""Limit of one request to the provider, as a whole."""
BODY_BYTES_MAX = 1 << 20
KEPT_SECONDS = 3_600.0
"""How long the provider's metadata and keys are relied on; of a key that is unknown it is asked at once."""
LEEWAY_SECONDS = 120
"""How far the provider's clock may be off."""
SCOPE = "openid email profile"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Those of key pairs: with the others, who knows the client's secret could sign."""
_REGISTRY = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
"""Members of a header that nobody knows are to be ignored (RFC 7515), for which it has to be told."""
_KEY_KINDS = ("RSA", "EC")
_TEXT_LENGTH_MAX = 1_000
_log = logging.getLogger("acumen.openid")


class ProviderFailed(Exception):
    """The provider did not answer, or not as it should."""


class NotProven(Exception):
    """The provider did not say in a way to be trusted who somebody is."""


@dataclass(frozen=True, slots=True)
class Proven:
    """Who somebody is, as the provider says. ``email`` is in small letters, empty if not verified."""

    issuer: str
    subject: str
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """What ties an answer to the question: known to this server alone, until the browser brings it back."""

    state: str
    nonce: str
    verifier: str


class OpenIdProvider:
    """The provider that the settings name, for an event loop."""

    def __init__(self, settings: Settings, redirect_uri: str, clock: Callable[[], int]) -> None:
        """``clock``, in µs, is that by which tokens expire."""
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._clock = clock
        self._fetcher = _fetcher(settings)
        self._metadata: Mapping[str, Any] = {}
        self._metadata_until = float("-inf")
        self._keys = KeySet([])
        self._keys_until = float("-inf")

    async def authorization_url(self, challenge: Challenge) -> str:
        """Where a browser is sent. Raises ProviderFailed."""
        metadata = await self._described()
        hashed = hashlib.sha256(challenge.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self._settings.openid_client_id,
            "redirect_uri": self._redirect_uri,
            "scope": SCOPE,
            "state": challenge.state,
            "nonce": challenge.nonce,
            "code_challenge": base64.urlsafe_b64encode(hashed).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        address = _endpoint(metadata, "authorization_endpoint")
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"

    async def prove(self, code: str, challenge: Challenge) -> Proven:
        """Who came back with this code. Raises ProviderFailed, NotProven."""
        metadata = await self._described()
        tokens = await self._exchange(metadata, code, challenge)
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str):
            raise NotProven("its answer has no ID token")
        claims = await self._claims(id_token, challenge.nonce)
        subject = claims["sub"]
        if "email" not in claims and "userinfo_endpoint" in metadata:
            claims = {**await self._userinfo(metadata, tokens, subject), **claims}
        email, name = claims.get("email"), claims.get("name")
        # Some providers send the word.
        verified = claims.get("email_verified") is True or claims.get("email_verified") == "true"
        return Proven(
            self._settings.openid_issuer,
            subject,
            _small(email.strip()) if isinstance(email, str) and verified else "",
            name.strip() if isinstance(name, str) else "",
        )

    async def check_answering(self, issuer: str | None) -> None:
        """Check which provider an answer says it is of (RFC 9207). Raises ProviderFailed, NotProven."""
        metadata = await self._described()
        says = metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer is None and says) or (issuer is not None and issuer != self._settings.openid_issuer):
            raise NotProven("its answer names another issuer, or none")

    # The steps

    async def _exchange(
        self, metadata: Mapping[str, Any], code: str, challenge: Challenge
    ) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": challenge.verifier,
        }
        headers = {"content-type": "application/x-www-form-urlencoded"}
        secret, client_id = await asyncio.to_thread(self._secret), self._settings.openid_client_id
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if secret and "client_secret_basic" in methods:
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client_id} | ({"client_secret": secret} if secret else {})
        address = _endpoint(metadata, "token_endpoint")
        status, body = await self._request("POST", address, headers, urlencode(form).encode())
        tokens = _object(body, "the token endpoint")
        if status == 400 and tokens.get("error") == "invalid_grant":
            raise NotProven("it does not know the code, or not any more")
        if status != 200:
            raise ProviderFailed(f"the token endpoint answered {status}, {str(tokens.get('error'))[:100]!r}")
        return tokens

    async def _claims(self, id_token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token for this server and this log-in. Raises NotProven, ProviderFailed."""
        client_id = self._settings.openid_client_id
        try:
            try:
                token = jwt.decode(id_token, await self._key_set(), registry=_REGISTRY)
            except (InvalidKeyIdError, BadSignatureError):
                # The provider may have changed its keys.
                token = jwt.decode(id_token, await self._key_set(anew=True), registry=_REGISTRY)
            jwt.JWTClaimsRegistry(
                now=int(self._clock() // 1_000_000),
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": self._settings.openid_issuer},
                sub={"essential": True},
                aud={"essential": True, "value": client_id},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(token.claims)
        except (JoseError, ValueError, TypeError) as error:
            raise NotProven(f"its ID token is not to be trusted: {error}") from None
        claims, audience = token.claims, token.claims["aud"]
        alone = not isinstance(audience, list) or len(audience) == 1
        if claims.get("azp", client_id if alone else None) != client_id:
            raise NotProven("its ID token was given to another client")
        if len(claims["sub"]) > _TEXT_LENGTH_MAX:
            raise NotProven("its name for the person is too long")
        return claims

    async def _userinfo(
        self, metadata: Mapping[str, Any], tokens: Mapping[str, Any], subject: str
    ) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {tokens.get('access_token')}"}
        status, body = await self._request("GET", _endpoint(metadata, "userinfo_endpoint"), headers)
        if status != 200:
            raise ProviderFailed(f"the userinfo endpoint answered {status}")
        told = _object(body, "the userinfo endpoint")
        if told.get("sub") != subject:
            raise NotProven("it tells of another person than its ID token")
        return told

    # What is kept

    async def _described(self) -> Mapping[str, Any]:
        """The provider's metadata. Raises ProviderFailed."""
        if time.monotonic() >= self._metadata_until:
            issuer = self._settings.openid_issuer
            address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
            metadata = await self._get(address)
            if metadata.get("issuer") != issuer:
                raise ProviderFailed(
                    f"it calls itself {str(metadata.get('issuer'))[:200]!r}, and not {issuer!r}"
                )
            self._metadata, self._metadata_until = metadata, time.monotonic() + KEPT_SECONDS
        return self._metadata

    async def _key_set(self, *, anew: bool = False) -> KeySet:
        if anew or time.monotonic() >= self._keys_until:
            told = await self._get(_endpoint(await self._described(), "jwks_uri"))
            self._keys, self._keys_until = _usable(told.get("keys")), time.monotonic() + KEPT_SECONDS
        return self._keys

    def _secret(self) -> str:
        """The client's secret. Raises ProviderFailed. Blocks."""
        path = self._settings.openid_client_secret_file
        if path is None:
            return self._settings.openid_client_secret
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise ProviderFailed(f"the file of the client's secret cannot be read: {error}") from None

    # Requests

    async def _get(self, address: str) -> Mapping[str, Any]:
        status, body = await self._request("GET", address)
        if status != 200:
            raise ProviderFailed(f"{address} answered {status}")
        return _object(body, address)

    async def _request(
        self, method: str, address: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, bytes]:
        """Status and body of the answer; redirects are not followed. Raises ProviderFailed."""
        try:
            answer = await self._fetcher.fetch(Asking(method, address, headers or {}, body))
        except TooSlow:
            raise ProviderFailed(f"{address} did not answer within {SECONDS_MAX:g} seconds") from None
        except AnswerRefused:
            raise ProviderFailed(
                f"{address} answered more than {BODY_BYTES_MAX} bytes, or what cannot be read"
            ) from None
        except OutboundError as error:
            raise ProviderFailed(f"{address} cannot be asked: {type(error).__name__}: {error}") from None
        return answer.status, answer.body


def _fetcher(settings: Settings) -> Fetcher:
    """The issuer is named by its setting. What it names itself may be anywhere public, with TLS."""
    policy = policy_of(settings).open_to_all().naming(urlsplit(settings.openid_issuer).hostname or "")
    bounds = Bounds(
        connect_seconds=SECONDS_MAX,
        read_seconds=SECONDS_MAX,
        seconds=SECONDS_MAX,
        sent_bytes=BODY_BYTES_MAX,
        bytes=BODY_BYTES_MAX,
        redirects=0,
    )
    return Fetcher(policy, bounds)


def _small(email: str) -> str:
    """In small letters. No other letter turns into one of ASCII, as the sign of Kelvin would: that would be
    another address."""
    return "".join(one.lower() if one.isascii() or not one.lower().isascii() else one for one in email)


def _endpoint(metadata: Mapping[str, Any], name: str) -> str:
    """Raises ProviderFailed where the provider does not say, or what it says is not to be asked."""
    address = metadata.get(name)
    if not isinstance(address, str) or not is_safe(address):
        raise ProviderFailed(f"its {name!r} is missing, or begins with no https://")
    return address


def _object(body: bytes, whose: str) -> dict[str, Any]:
    """Raises ProviderFailed."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ProviderFailed(f"{whose} did not answer with an object of JSON")
    return value


def _usable(keys: Any) -> KeySet:
    """The keys that signatures can be checked with. One that is unknown or broken takes no other with it."""
    found = []
    for key in keys if isinstance(keys, list) else ():
        if not isinstance(key, dict) or key.get("kty") not in _KEY_KINDS or key.get("use", "sig") != "sig":
            continue
        try:
            found.append(JWKRegistry.import_key(key))
        except (JoseError, ValueError, TypeError, LookupError):
            _log.warning(
                "A key of the provider's cannot be used.",
                extra={"fields": {"kid": str(key.get("kid"))[:100]}},
            )
    return KeySet(found)
