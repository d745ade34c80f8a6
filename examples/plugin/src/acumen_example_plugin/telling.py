"""A plugin that tells people: an alert channel."""

from __future__ import annotations

import syslog
from typing import ClassVar

import msgspec

from service.plugins.contract import ChannelNotice


class Syslog:
    """Notes alerts in the log of the machine, as ``plugin:syslog?tag=shop``."""

    api: ClassVar[int] = 1

    class Settings(msgspec.Struct, frozen=True):
        tag: str = "acumen"

    def __init__(self, settings: Settings) -> None:
        self._tag = settings.tag

    def send(self, notice: ChannelNotice) -> None:
        syslog.openlog(self._tag)
        syslog.syslog(syslog.LOG_WARNING, f"{notice.kind} {notice.data.get('url', '')} [{notice.key}]")
