"""The options of ``acumen import`` that control how the file is read."""

from __future__ import annotations

import argparse

from service.imports.formats import ImportFormat
from service.imports.options import BadOption, GivenOptions, ImportOptions, checked
from service.imports.tables import KINDS


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
    return checked(
        GivenOptions(
            args.format,
            args.timestamp,
            args.timestamp_format,
            args.timezone,
            _types(args.types),
            _columns(args.columns),
            args.delimiter,
            args.encoding,
            args.keen_export,
            args.types,
            args.columns,
        )
    )


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
