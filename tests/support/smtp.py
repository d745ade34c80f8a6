"""A mail server for tests: speaks SMTP on the loopback, keeps what it takes, refuses what it is told to."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any


@dataclass
class Taken:
    """One mail, and how it came."""

    sender: str
    recipients: list[str]
    data: bytes
    secure: bool
    user: str | None

    @property
    def mail(self) -> EmailMessage:
        found = message_from_bytes(self.data, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found


@dataclass
class MailServer:
    """``answers``: what is said to a command in place of a yes, by its first word (``RCPT``, ``.`` for the
    end of a mail)."""

    port: int = 0
    taken: list[Taken] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)
    starttls: ssl.SSLContext | None = None
    """With it STARTTLS is offered."""


class _Conversation(socketserver.StreamRequestHandler):
    timeout = 10
    mails: MailServer

    def handle(self) -> None:
        self.secure = isinstance(self.request, ssl.SSLSocket)
        self.user: str | None = None
        self.sender, self.recipients = "", list[str]()
        self.say("220 test ESMTP")
        while line := self.rfile.readline():
            text = line.decode("latin-1").rstrip("\r\n")
            verb = text.partition(" ")[0].upper()
            if verb == "QUIT":
                self.say("221 bye")
                return
            refusal = self.mails.answers.get(verb)
            if refusal is not None:
                self.say(refusal)
            else:
                getattr(self, f"do_{verb.lower()}", self.do_unknown)(text)

    def say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def do_unknown(self, text: str) -> None:
        self.say("502 what?")

    def do_ehlo(self, text: str) -> None:
        offers = ["test"]
        if self.mails.starttls is not None and not self.secure:
            offers.append("STARTTLS")
        if self.mails.users:
            offers.append("AUTH PLAIN")
        for offer in offers[:-1]:
            self.say(f"250-{offer}")
        self.say(f"250 {offers[-1]}")

    def do_starttls(self, text: str) -> None:
        assert self.mails.starttls is not None
        self.say("220 go on")
        self.request = self.mails.starttls.wrap_socket(self.request, server_side=True)
        self.secure = True
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)

    def do_auth(self, text: str) -> None:
        _, user, password = base64.b64decode(text.split(" ")[2]).decode().split("\0")
        if self.mails.users.get(user) == password:
            self.user = user
            self.say("235 welcome")
        else:
            self.say("535 wrong")

    def do_mail(self, text: str) -> None:
        self.sender = text
        self.recipients = []
        self.say("250 ok")

    def do_rcpt(self, text: str) -> None:
        self.recipients.append(text.partition(":")[2].strip("<>"))
        self.say("250 ok")

    def do_rset(self, text: str) -> None:
        self.say("250 ok")

    def do_data(self, text: str) -> None:
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        refusal = self.mails.answers.get(".")
        if refusal is None:
            found = Taken(self.sender, self.recipients, b"".join(lines), self.secure, self.user)
            self.mails.taken.append(found)
        self.say(refusal or "250 taken")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    tls: ssl.SSLContext | None = None

    def get_request(self) -> Any:
        connection, address = super().get_request()
        if self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


@contextmanager
def mail_server(
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    users: Mapping[str, str] | None = None,
) -> Iterator[MailServer]:
    """Serving on a port of its own; ``tls`` from the first byte."""
    state = MailServer(starttls=starttls, users=users or {})
    handler = type("Conversation", (_Conversation,), {"mails": state})
    with _Server(("127.0.0.1", 0), handler) as server:
        server.tls = tls
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
