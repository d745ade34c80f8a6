#!/bin/sh
# Authlib 1.9.10: parse_id_token, which its integrations call after a log-in, does not look whether an ID token is for this
# client: one for another audience is taken where its "azp" names this client, and OpenID Connect has "aud" checked first.
# Of another audience alone only the missing "azp" is complained of. claims_options={"aud": ...} makes it look.
# Seen: "for this client: taken", "for another: MissingClaimError", "for another, azp is this client: taken",
# "the same with claims_options: InvalidClaimError".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet authlib==1.9.10 joserfc==1.8.0
"$folder/venv/bin/python" - <<'PY'
import asyncio
import time

from authlib.integrations.base_client.async_openid import AsyncOpenIDMixin
from joserfc import jwt
from joserfc.jwk import RSAKey

key = RSAKey.generate_key(2048, {"kid": "a"})


class Client(AsyncOpenIDMixin):
    client_id = "this"

    async def load_server_metadata(self):
        return {"issuer": "https://provider.example", "jwks": {"keys": [key.as_dict(private=False)]}}


def taken(options=None, **claims) -> str:
    now = int(time.time())
    claims = {"iss": "https://provider.example", "sub": "s", "nonce": "n", "iat": now, "exp": now + 60, **claims}
    tokens = {"access_token": "x", "id_token": jwt.encode({"alg": "RS256", "kid": "a"}, claims, key)}
    try:
        asyncio.run(Client().parse_id_token(tokens, "n", options))
    except Exception as error:
        return type(error).__name__
    return "taken"


aud = {"aud": {"essential": True, "value": "this"}}
seen = [
    ("for this client", taken(aud="this")),
    ("for another", taken(aud="other")),
    ("for another, azp is this client", taken(aud="other", azp="this")),
    ("the same with claims_options", taken(aud, aud="other", azp="this")),
]
print(*(f"{what}: {how}" for what, how in seen), sep="\n")
raise SystemExit([how for _, how in seen] != ["taken", "MissingClaimError", "taken", "InvalidClaimError"])
PY
