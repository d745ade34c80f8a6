"""Makes events of rows: their time, what tells them apart, and whether they may be stored at all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from service.imports.sending import preparation
from service.ingest.admission import AdmissionLimits
from service.pipelines.sources.definition import RowRules
from storage.events.validation import Context, InvalidEvent, examine

_members = msgspec.json.Decoder(dict[str, Raw])
_CONTEXT = Context()


class RowMaker:
    """Makes the events of one source."""

    def __init__(self, rules: RowRules, limits: AdmissionLimits) -> None:
        self._rules, self._limits = rules, limits

    def event(self, text: bytes, *, table: bool = False, drops_stamps: bool = False) -> bytes:
        """The event of a row, as compact text. ``table``: its time was converted already. Raises ValueError,
        whose text says what is wrong with the row."""
        rules = self._rules
        if rules.time and not _has_value(text, ("keen", "timestamp") if table else rules.time):
            raise ValueError(f"It has no '{'.'.join(rules.time)}', which is to be its time.")
        prepare = preparation(rules.options, drops_stamps, table=table)
        if prepare is not None:
            text = prepare(text)
        if rules.id:
            text = self._with_token(text)
        if len(text) > self._limits.event_bytes_max:
            raise ValueError(f"It is larger than the limit of {self._limits.event_bytes_max} bytes.")
        try:
            examine(text, self._limits.event, _CONTEXT)
        except InvalidEvent as error:
            raise ValueError(error.description) from None
        return text

    def _with_token(self, text: bytes) -> bytes:
        """The event with its id as the uniqueness token."""
        path = self._rules.id
        name = ".".join(path)
        try:
            event = _members.decode(text)
            value = value_at(event, path)
            keen = _members.decode(event.get("keen", Raw(b"{}")))
        except (msgspec.MsgspecError, RecursionError):
            raise ValueError("It is no JSON object.") from None
        if value is None or isinstance(value, dict | list) or value == "":
            raise ValueError(f"It has no '{name}', which is to be its id.")
        token = value if isinstance(value, str) else str(value)
        if len(token) > self._limits.event.token_length_max:
            token = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        keen["uniqueness_token"] = Raw(msgspec.json.encode(token))
        return msgspec.json.encode(event | {"keen": keen})


def _has_value(text: bytes, path: tuple[str, ...]) -> bool:
    try:
        return value_at(_members.decode(text), path) is not None
    except (msgspec.MsgspecError, RecursionError):
        return False


def value_at(event: Mapping[str, Raw], path: tuple[str, ...]) -> Any:
    """The value at a path; None where there is none."""
    found = event.get(path[0])
    for name in path[1:]:
        if found is None:
            return None
        found = _members.decode(found).get(name)
    return None if found is None else msgspec.json.decode(found)
