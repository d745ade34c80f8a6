"""The shop's backend in Python: serves site/, logs customers in, makes their embed tokens.

backend.mjs is the same in JavaScript; either reads shop.json, which prepare.py writes.
"""

from __future__ import annotations

import hmac
import json
import re
from html import escape
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from acumen_client import P, embed_token

FOLDER = Path(__file__).resolve().parent
SITE = FOLDER / "site"
SHOP = json.loads((FOLDER / "shop.json").read_text())
TOKEN_SECONDS = 3600
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
PAGES = {"/": "index.html", "/login": "login.html", "/account": "account.html"}

HEADERS = {
    # Scripts come from the shop and from Acumen, none stands in a page; events, questions, pictures and
    # frames go to Acumen.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' {acumen}/clients/; style-src 'self'; img-src 'self' {acumen}; "
        "connect-src 'self' {acumen}; frame-src {acumen}; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ).format(acumen=SHOP["acumen"]),
    # Images name their origin in `Referer` alone; `no-referrer` here would leave them undrawn.
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def token_for(customer: str) -> str:
    """Shows the three charts of the account page, of this customer's purchases, on this shop's pages."""
    return embed_token(
        SHOP["embed_key"],
        filters=[P("customer.id") == customer],
        saved_queries=["spending", "goods", "total"],
        origins=[SHOP["shop"]],
        viewer={"timeframe": True},
        expires_in=TOKEN_SECONDS,
    )


def signed(customer: str) -> str:
    tag = hmac.digest(bytes.fromhex(SHOP["cookie_secret"]), customer.encode(), "sha256").hex()
    return f"{customer}.{tag}"


class Backend(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path, customer = urlsplit(self.path).path, self.customer()
        if path in ("/account", "/token") and not customer:
            if path == "/account":
                return self.redirect("/login")
            return self.answer(401, "application/json", b'{"error": "log in first"}')
        if path == "/token":
            body = {"token": token_for(customer), "seconds": TOKEN_SECONDS}
            return self.answer(200, "application/json", json.dumps(body).encode())
        if path in PAGES:
            return self.page(PAGES[path], customer)
        file = SITE / path.removeprefix("/")
        if re.fullmatch(r"/[a-z-]+\.(js|css|svg)", path) and file.is_file():
            return self.answer(200, KINDS[file.suffix], file.read_bytes())
        return self.answer(404, "text/plain", b"There is no such page.")

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 10_000)).decode())
        customer = form.get("customer", [""])[0]
        if self.path == "/logout":
            return self.redirect("/", "session=; Max-Age=0")
        # A real shop asks for a password here.
        if self.path != "/login" or not re.fullmatch(r"[a-z]{1,20}", customer):
            return self.answer(400, "text/plain", b"That is no customer.")
        return self.redirect("/account", f"session={signed(customer)}")

    def customer(self) -> str:
        """Who is logged in; empty for nobody."""
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get("session")
        except CookieError:
            return ""
        customer = cookie.value.partition(".")[0] if cookie else ""
        known = cookie is not None and hmac.compare_digest(cookie.value.encode(), signed(customer).encode())
        return customer if known else ""

    def page(self, name: str, customer: str) -> None:
        values = {
            **{name: SHOP[name] for name in ("acumen", "project", "page_key")},
            "customer": customer,
            "token": token_for(customer) if name == "account.html" else "",
            "seconds": str(TOKEN_SECONDS),
        }
        text = (SITE / name).read_text(encoding="utf-8")
        filled = re.sub(r"\{\{(\w+)\}\}", lambda found: escape(values[found[1]]), text)
        self.answer(200, "text/html; charset=utf-8", filled.encode())

    def redirect(self, path: str, cookie: str = "") -> None:
        headers = {"Location": path}
        if cookie:
            headers["Set-Cookie"] = f"{cookie}; Path=/; HttpOnly; SameSite=Strict"
        self.answer(303, "text/plain", b"", headers)

    def answer(self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        return None


if __name__ == "__main__":
    address = urlsplit(SHOP["shop"])
    server = ThreadingHTTPServer((address.hostname or "127.0.0.1", address.port or 80), Backend)
    print(f"The shop is open at {SHOP['shop']}", flush=True)
    server.serve_forever()
