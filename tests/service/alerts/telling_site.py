"""An Acumen with a webhook and a mail server, stepped by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.outbound.webhook_task import Deliverer
from tests.service.whole import Whole
from tests.support.smtp import MailServer
from tests.support.web import WebServer


class TellingSite:
    def __init__(self, data: Path, now_us: int, web: WebServer, mails: MailServer) -> None:
        self.web, self.mails = web, mails
        self.whole = Whole(
            data,
            now_us,
            outbound_hosts="hooks.test:*",
            outbound_networks="127.0.0.1",
            outbound_http=True,
            smtp_host="127.0.0.1",
            smtp_port=mails.port,
            smtp_security="none",
            smtp_from="acumen@example.com",
            mail_domains="example.com",
            public_url="https://acumen.example.com",
        )
        web.replies["/in"] = (200, {}, b"")
        self.told("PUT", "webhooks/chat", {"url": f"http://hooks.test:{web.port}/in"})
        self.deliverer = Deliverer(self.whole.tools, lambda host, port: ["127.0.0.1"])

    def told(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return self.whole.told(self.whole.project, method, path, body, **more)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return self.whole.call(self.whole.project, method, path, body, **more)
