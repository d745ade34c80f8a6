"""Events sent in a URL: the ``data`` parameter, and the three kinds of answers a page can ask for.

An image tag, a link or a script cannot post; it gets ``/events/C?api_key=W&data=<base64 of JSON>``. The
answer is a pixel, a redirect (``redirect=``) or a call of a JavaScript function (``jsonp=``).
"""

from __future__ import annotations

import binascii
import re
from urllib.parse import urlsplit

PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c000000000100010000020144003b")
"""A transparent GIF of 1×1."""

CALLBACK_LENGTH_MAX = 128
URL_LENGTH_MAX = 8_192

_CALLBACK = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*(?:\.[A-Za-z_$][A-Za-z0-9_$]*|\[[0-9]{1,9}\])*", re.ASCII)
_FORBIDDEN_IN_URL = re.compile(r"[\x00-\x20\x7f\\<>\"]")


class BadBeacon(ValueError):
    """A parameter of a beacon is invalid; the message is for a person."""


_PLAIN = str.maketrans({"\r": None, "\n": None, " ": "+", "-": "+", "_": "/"})


def decode_data(text: str) -> bytes:
    """The bytes in ``data``: base64, standard or URL-safe, padded or not. Raises BadBeacon.

    Line ends are ignored, since MIME inserts them. Spaces are read as ``+``: clients that do not
    percent-encode send ``+``, which forms decode to a space.
    """
    plain = text.translate(_PLAIN).rstrip("=")
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        raise BadBeacon("The parameter 'data' is not valid base64.") from None


def is_callback(name: str) -> bool:
    """Whether a JSONP callback is the name of a function and nothing else."""
    return len(name) <= CALLBACK_LENGTH_MAX and _CALLBACK.fullmatch(name) is not None


def check_callback(name: str) -> str:
    """The callback. Raises BadBeacon where it is not the name of a function."""
    if not is_callback(name):
        raise BadBeacon("The parameter 'jsonp' must be the name of a JavaScript function.")
    return name


def check_redirect(url: str) -> str:
    """The absolute http(s) URL, as ASCII. Raises BadBeacon for any other URL."""
    problem = BadBeacon("The parameter 'redirect' must be an absolute http or https URL.")
    if len(url) > URL_LENGTH_MAX or _FORBIDDEN_IN_URL.search(url):
        raise problem
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise problem from None
    if parts.scheme not in ("http", "https") or not host or not url.lower().startswith(f"{parts.scheme}://"):
        raise problem
    return _ascii(url)


def _ascii(url: str) -> str:
    try:
        return url.encode("utf-8").decode("ascii")
    except UnicodeDecodeError:
        return "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in url)
    except UnicodeEncodeError:
        raise BadBeacon("The parameter 'redirect' must be an absolute http or https URL.") from None
