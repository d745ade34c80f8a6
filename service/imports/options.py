"""How the file of an import is read: the options of ``acumen import`` and of the API, and their checks.

What is said of them names the command's options; ``in_words_of_api`` names the fields of the API instead.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from query.language import zones
from service.imports.formats import TABLES, ImportFormat
from service.imports.tables import KINDS, TableOptions
from service.imports.times import EPOCHS, ReadTime, is_pattern, reader

_OPTION = re.compile(
    r"--(format|timestamp-format|timestamp|timezone|types|columns|delimiter|encoding)\b(?!-)"
)


_NO_DELIMITERS = '"\r\n\0'
_NO_ENCODINGS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
"""Codecs of Python that are no encodings of files."""


class BadOption(Exception):
    """An option is invalid; the text names it and what it may be."""


@dataclass(frozen=True, slots=True)
class GivenOptions:
    """The options as they were given, not checked yet. None and empty values are those that were not."""

    format: str | None = None
    timestamp: str | None = None
    timestamp_format: str = "auto"
    timezone: str = "UTC"
    types: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    delimiter: str | None = None
    encoding: str | None = None
    keen_export: bool = False
    types_text: str | None = None
    """The types as they identify an import; by default in the order of the columns' names."""
    columns_text: str | None = None
    """The columns as they identify an import."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    format: ImportFormat | None = None
    """None: detect the format from the content."""
    keen_export: bool = False
    delimiter: str | None = None
    encoding: str | None = None
    timestamp: str | None = None
    read_time: ReadTime | None = None
    tables: TableOptions = field(default_factory=TableOptions)
    identity: str = ""
    """Identifies all options that change what is sent."""

    @property
    def timestamp_path(self) -> tuple[str, ...]:
        return tuple(self.timestamp.split(".")) if self.timestamp else ()


def checked(given: GivenOptions) -> ImportOptions:
    """Check the options and collect them. Raises BadOption."""
    kind = _format(given.format)
    read_time: ReadTime | None = _reader(given)
    if not given.timestamp:
        read_time = None
        for option, is_given in (
            ("--timestamp-format", given.timestamp_format != "auto"),
            ("--timezone", given.timezone != "UTC"),
        ):
            if is_given:
                raise BadOption(f"{option} goes with --timestamp, which names the column")
    for name, type_ in given.types.items():
        if type_ not in KINDS:
            raise BadOption(f"--types: '{type_}' of '{name}' is none of {', '.join(KINDS)}")
    types_text, columns_text = _identifying(given)
    text_only = {"--types": types_text, "--columns": columns_text, "--delimiter": given.delimiter}
    for option, value in (text_only | {"--encoding": given.encoding}).items():
        if value and kind is not None and kind not in TABLES:
            raise BadOption(f"{option} goes with CSV, and not with --format {kind.value}")
    time = (given.timestamp, given.timestamp_format, given.timezone) if given.timestamp else ()
    table = (types_text, columns_text, given.delimiter, given.encoding)
    changed = [*time, *table] if any((*time, *table)) else []
    return ImportOptions(
        kind,
        given.keen_export,
        _delimiter(given.delimiter),
        _encoding(given.encoding),
        given.timestamp,
        read_time,
        TableOptions(dict(given.types), given.columns, given.timestamp, read_time),
        "/".join(str(part) for part in changed) + "/" if changed else "",
    )


def frozen_options(given: GivenOptions) -> dict[str, Any]:
    """The options that were given, as the catalog keeps them in JSON; ``thawed_options`` reads that."""
    unset = asdict(GivenOptions())
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(given).items()
        if value != unset[name]
    }


def thawed_options(text: str) -> GivenOptions:
    values: dict[str, Any] = json.loads(text)
    return GivenOptions(**(values | {"columns": tuple(values.get("columns", ()))}))


def in_words_of_api(text: str) -> str:
    """A text of this room with the fields of the API in place of the command's options."""
    return _OPTION.sub(lambda found: "'" + found[1].replace("-", "_") + "'", text)


def _identifying(given: GivenOptions) -> tuple[str | None, str | None]:
    types = ",".join(f"{name}={kind}" for name, kind in sorted(given.types.items())) or None
    return given.types_text or types, given.columns_text or ",".join(given.columns) or None


def _format(text: str | None) -> ImportFormat | None:
    if text is None:
        return None
    try:
        return ImportFormat(text.lower())
    except ValueError:
        raise BadOption(f"--format is one of {', '.join(kind.value for kind in ImportFormat)}") from None


def _reader(given: GivenOptions) -> ReadTime:
    zone = zones.zone(given.timezone)
    if zone is None:
        raise BadOption(f"--timezone: there is no time zone '{given.timezone}'; try Europe/Berlin")
    pattern = given.timestamp_format
    if pattern not in ("auto", *EPOCHS) and "%" not in pattern:
        raise BadOption("--timestamp-format is auto, epoch, epoch_ms, epoch_us, epoch_ns or has '%' in it")
    if "%" in pattern and not is_pattern(pattern):
        raise BadOption(
            f"--timestamp-format: '{pattern}' is not a pattern of Python's strptime, such as '%d/%m/%Y "
            "%H:%M:%S'"
        )
    return reader(pattern, zone)


def _delimiter(text: str | None) -> str | None:
    delimiter = {"\\t": "\t", "tab": "\t"}.get(text or "", text)
    if delimiter is not None and len(delimiter) != 1:
        raise BadOption("--delimiter is one character, or 'tab'")
    if delimiter is not None and (not delimiter.isascii() or delimiter in _NO_DELIMITERS):
        raise BadOption("--delimiter is one ASCII character, and no quote or line end")
    return delimiter


def _encoding(text: str | None) -> str | None:
    try:
        encoding = None if text is None else codecs.lookup(text)
        if encoding is None:
            return None
        if encoding.name in _NO_ENCODINGS or not encoding._is_text_encoding:
            raise LookupError
        return encoding.name
    except (LookupError, ValueError):
        raise BadOption(f"--encoding: there is no encoding '{text}'; try latin-1, cp1252 or utf-16") from None
