#!/bin/sh
# joserfc 1.8.0: a provider's set of keys is refused whole when one key has a curve that the library does not know, or lacks a
# member: KeyError and KeyParameterError. RFC 7517 says to ignore such a key, and one of an unknown "kty" is ignored. So
# the log-in of everybody ends the day a provider adds one; imported one by one, the others serve on.
# Also, by default a token is refused for any member of its header that is not registered, which RFC 7515 has ignored.
# Seen: "unknown kty: 1 key", "unknown curve: KeyError", "no modulus: KeyParameterError", "unknown header:
# UnsupportedHeaderError".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet joserfc==1.8.0
"$folder/venv/bin/python" - <<'PY'
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from joserfc.jws import JWSRegistry

key = RSAKey.generate_key(2048, {"kid": "good"})


def imported(other) -> str:
    try:
        found = KeySet.import_key_set({"keys": [key.as_dict(private=False), other]})
    except Exception as error:
        return type(error).__name__
    return f"{len(found.keys)} key"


def decoded() -> str:
    lax = JWSRegistry(algorithms=["RS256"], strict_check_header=False)
    token = jwt.encode({"alg": "RS256", "hint": "x"}, {"sub": "s"}, key, registry=lax)
    try:
        jwt.decode(token, key, algorithms=["RS256"])
    except Exception as error:
        return type(error).__name__
    return "taken"


seen = [
    ("unknown kty", imported({"kty": "AKP", "alg": "ML-DSA-44", "kid": "x"})),
    ("unknown curve", imported({"kty": "EC", "crv": "brainpoolP256r1", "x": "AA", "y": "AA", "kid": "x"})),
    ("no modulus", imported({"kty": "RSA", "e": "AQAB", "kid": "x"})),
    ("unknown header", decoded()),
]
print(*(f"{what}: {how}" for what, how in seen), sep="\n")
raise SystemExit([how for _, how in seen] != ["1 key", "KeyError", "KeyParameterError", "UnsupportedHeaderError"])
PY
