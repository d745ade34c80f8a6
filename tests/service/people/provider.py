"""A small provider of OpenID Connect for tests, which lies where it is told to.

It is ours: ``tests/clients/pages/test_openid.py`` asks a real one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwk, jws, jwt

CLIENT_ID = "acumen/1"
SECRET = "se:cret+of the client"
METADATA = "/.well-known/openid-configuration"
Change = Callable[[dict[str, Any]], Any]


@dataclass
class Grant:
    """A code that was given out, and for what."""

    asked: dict[str, str]
    claims: dict[str, Any]
    used: bool = False


@dataclass
class Provider:
    """``claims`` are those of who logs in next. The rest is how it goes wrong."""

    claims: dict[str, Any] = field(default_factory=dict)
    change: Change | None = None
    """Changes the claims of an ID token."""
    header: dict[str, Any] = field(default_factory=dict)
    signed: Callable[[Provider, dict[str, Any]], Any] | None = None
    """Makes the ID token in another way."""
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Path → the answer instead of its own."""
    metadata: dict[str, Any] = field(default_factory=dict)
    in_userinfo: bool = False
    """Whether the address is told there alone."""
    codes_are_for_once: bool = True
    requests: list[str] = field(default_factory=list)
    keys: list[Any] = field(default_factory=lambda: [jwk.RSAKey.generate_key(2048, {"kid": "first"})])
    """The last one signs."""
    published: list[Any] | None = None
    """Keys as they are, in place of these."""
    grants: dict[str, Grant] = field(default_factory=dict)

    def __enter__(self) -> Self:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self, b"")

            def do_POST(self) -> None:
                provider.answer(self, self.rfile.read(int(self.headers["content-length"])))

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    # What it answers

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        path = urlsplit(handler.path).path
        self.requests.append(path)
        status, told = self.answers.get(path) or self._own(path, handler, dict(parse_qsl(body.decode())))
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(told)))
        handler.end_headers()
        handler.wfile.write(told)

    def _own(self, path: str, handler: BaseHTTPRequestHandler, form: dict[str, str]) -> tuple[int, bytes]:
        if path == METADATA:
            return _json(self._described())
        if path == "/jwks":
            own = [key.as_dict(private=False) for key in self.keys]
            return _json({"keys": own if self.published is None else self.published})
        if path == "/token":
            return self._token(form, handler.headers["authorization"] or "")
        if path == "/userinfo" and handler.headers["authorization"] == "Bearer access":
            return _json({"sub": self.claims["sub"], "email": "x", **self.claims})
        return _json({"error": "not_found"}, 404)

    def _described(self) -> dict[str, Any]:
        names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
        paths = ("/authorize?tenant=1", "/token", "/userinfo", "/jwks")
        found = {name: self.issuer + path for name, path in zip(names, paths, strict=True)}
        return {"issuer": self.issuer, **found, **self.metadata}

    def _token(self, form: dict[str, str], authorization: str) -> tuple[int, bytes]:
        pair = base64.b64encode(b"acumen%2F1:se%3Acret%2Bof+the+client").decode()
        if authorization != f"Basic {pair}":
            return _json({"error": "invalid_client"}, 401)
        grant = self.grants.get(form["code"])
        if grant is None or (grant.used and self.codes_are_for_once):
            return _json({"error": "invalid_grant"}, 400)
        grant.used = True
        hashed = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(hashed).decode().rstrip("=")
        same = form["redirect_uri"] == grant.asked["redirect_uri"]
        if challenge != grant.asked["code_challenge"] or not same:
            return _json({"error": "invalid_grant"}, 400)
        return _json({"access_token": "access", "token_type": "Bearer", "id_token": self._id_token(grant)})

    def _id_token(self, grant: Grant) -> Any:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 60,
            "nonce": grant.asked["nonce"],
            **grant.claims,
        }
        if self.in_userinfo:
            claims = {name: value for name, value in claims.items() if not name.startswith("email")}
        if self.change is not None:
            claims = self.change(claims) or claims
        if self.signed is not None:
            return self.signed(self, claims)
        key = self.keys[-1]
        algorithm = {"RSA": "RS256", "EC": "ES256"}[key.key_type]
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        header = {"alg": algorithm, "kid": key.kid, **self.header}
        return jwt.encode({k: v for k, v in header.items() if v is not None}, claims, key, registry=registry)

    # What a browser does there

    def log_in(self, location: str, **claims: Any) -> str:
        """Somebody logs in at the address that Acumen gave; the query with which they come back."""
        parts = urlsplit(location)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert (asked["client_id"], asked["response_type"]) == (CLIENT_ID, "code"), asked
        assert asked["code_challenge_method"] == "S256" and asked["tenant"] == "1", asked
        code = f"code{len(self.grants)}"
        self.grants[code] = Grant(asked, {**self.claims, **claims})
        self.claims = {**self.claims, **claims}
        return f"state={asked['state']}&code={code}"


def unsigned(_: Provider, claims: dict[str, Any]) -> str:
    """A token with ``alg: none``."""
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."


def with_secret(_: Provider, claims: dict[str, Any]) -> str:
    """A token signed with the secret that the client shares with the provider."""
    return jwt.encode({"alg": "HS256", "kid": "first"}, claims, jwk.OctKey.import_key(SECRET))


def with_other_key(_: Provider, claims: dict[str, Any]) -> str:
    """A token signed with a key of a stranger, who calls it the same."""
    key = jwk.RSAKey.generate_key(2048, {"kid": "first"})
    return jwt.encode({"alg": "RS256", "kid": "first"}, claims, key)


def with_critical_header(provider: Provider, claims: dict[str, Any]) -> str:
    """A token whose header says that it must be understood, and nobody does."""
    header = {"alg": "RS256", "kid": "first", "crit": ["x"], "x": 1}
    signed = f"{_part(header)}.{_part(claims)}"
    key = provider.keys[-1].private_key
    return f"{signed}.{_encoded(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _part(value: Any) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _json(value: Any, status: int = 200) -> tuple[int, bytes]:
    return status, json.dumps(value).encode()
