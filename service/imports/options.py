"""The options of ``acumen import`` that control how the file is read, and their checks."""

from __future__ import annotations

import argparse
import codecs
from dataclasses import dataclass, field

from query.language import zones
from service.imports.formats import TABLES, ImportFormat
from service.imports.tables import KINDS, TableOptions
from service.imports.times import ReadTime, is_pattern, reader


class BadOption(Exception):
    """An option is invalid; the text names it and what it may be."""


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


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``options_of`` reads."""
    formats = ", ".join(kind.value for kind in ImportFormat)
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        help=f"the file's format, if it is not recognised from its content: {formats}",
    )
    parser.add_argument(
        "--timestamp",
        metavar="COLUMN",
        help="the column or property that is the time of the event; it becomes keen.timestamp",
    )
    parser.add_argument(
        "--timestamp-format",
        default="auto",
        metavar="FORMAT",
        help="auto (ISO 8601, or seconds, ms or µs since 1970 by their digits), epoch, epoch_ms, epoch_us, "
        "epoch_ns, or a pattern as '%%d/%%m/%%Y %%H:%%M'",
    )
    parser.add_argument(
        "--timezone", default="UTC", metavar="ZONE", help="of times that name no offset (default UTC)"
    )
    parser.add_argument(
        "--types",
        metavar="COLUMN=TYPE,…",
        help=f"types of columns of CSV and TSV, which are found over the whole file: {', '.join(KINDS)}",
    )
    parser.add_argument("--columns", metavar="NAME,…", help="names of columns of a CSV without a header")
    parser.add_argument(
        "--delimiter", metavar="CHARACTER", help="of CSV, if it is not recognised from the content"
    )
    parser.add_argument("--encoding", metavar="NAME", help="of CSV and TSV (default UTF-8)")
    parser.add_argument(
        "--keen-export",
        action="store_true",
        help="the events are Keen's own, from an extraction or its files in S3: leave out keen.created_at "
        "and keen.id, which only a server sets",
    )


def options_of(args: argparse.Namespace) -> ImportOptions:
    """Check the options and collect them. Raises BadOption."""
    kind = _format(args.format)
    read_time: ReadTime | None = _reader(args)
    if not args.timestamp:
        read_time = None
        for option, given in (
            ("--timestamp-format", args.timestamp_format != "auto"),
            ("--timezone", args.timezone != "UTC"),
        ):
            if given:
                raise BadOption(f"{option} goes with --timestamp, which names the column")
    tables = TableOptions(_types(args.types), _columns(args.columns), args.timestamp, read_time)
    text_only = {"--types": args.types, "--columns": args.columns, "--delimiter": args.delimiter}
    for option, value in (text_only | {"--encoding": args.encoding}).items():
        if value and kind is not None and kind not in TABLES:
            raise BadOption(f"{option} goes with CSV, and not with --format {kind.value}")
    time = (args.timestamp, args.timestamp_format, args.timezone) if args.timestamp else ()
    table = (args.types, args.columns, args.delimiter, args.encoding)
    changed = [*time, *table] if any((*time, *table)) else []
    return ImportOptions(
        kind,
        args.keen_export,
        _delimiter(args.delimiter),
        _encoding(args.encoding),
        args.timestamp,
        read_time,
        tables,
        "/".join(str(part) for part in changed) + "/" if changed else "",
    )


def _format(text: str | None) -> ImportFormat | None:
    if text is None:
        return None
    try:
        return ImportFormat(text.lower())
    except ValueError:
        raise BadOption(f"--format is one of {', '.join(kind.value for kind in ImportFormat)}") from None


def _reader(args: argparse.Namespace) -> ReadTime:
    zone = zones.zone(args.timezone)
    if zone is None:
        raise BadOption(f"--timezone: there is no time zone '{args.timezone}'; try Europe/Berlin")
    pattern = args.timestamp_format
    if pattern not in ("auto", "epoch", "epoch_ms", "epoch_us", "epoch_ns") and "%" not in pattern:
        raise BadOption("--timestamp-format is auto, epoch, epoch_ms, epoch_us, epoch_ns or has '%' in it")
    if "%" in pattern and not is_pattern(pattern):
        raise BadOption(
            f"--timestamp-format: '{pattern}' is not a pattern of Python's strptime, such as '%d/%m/%Y "
            "%H:%M:%S'"
        )
    return reader(pattern, zone)


def _types(text: str | None) -> dict[str, str]:
    types: dict[str, str] = {}
    for part in text.split(",") if text else []:
        name, mark, kind = part.rpartition("=")
        if not mark or not name or kind.strip() not in KINDS:
            raise BadOption(f"--types is COLUMN=TYPE,… with the types {', '.join(KINDS)}; not '{part}'")
        types[name.strip()] = kind.strip()
    return types


def _columns(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _delimiter(text: str | None) -> str | None:
    delimiter = {"\\t": "\t", "tab": "\t"}.get(text or "", text)
    if delimiter is not None and len(delimiter) != 1:
        raise BadOption("--delimiter is one character, or 'tab'")
    return delimiter


def _encoding(text: str | None) -> str | None:
    try:
        return None if text is None else codecs.lookup(text).name
    except LookupError:
        raise BadOption(f"--encoding: there is no encoding '{text}'; try latin-1, cp1252 or utf-16") from None
