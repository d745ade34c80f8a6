"""``acumen files``: prints the paths of a collection's Parquet files, or code that reads them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from service.cli.errors import CannotDo
from storage.catalog.errors import UnknownProject

if TYPE_CHECKING:
    # Imported where used, since printing the help should not wait for it.
    from service.reader_code import CollectionListing, ReadFile
    from storage.catalog.catalog import Catalog
    from storage.catalog.stored.records import Collection, FileRow

OPTIONS = {"sql": "DuckDB", "polars": "Polars", "pandas": "pandas", "spark": "Spark"}
NO_FILE = "no Parquet file yet. Events go to files within minutes; until then the API alone has them."
REPLACED = "Files are replaced as the collection changes: if one is missing, run 'acumen files' again."


def add_files(commands: Any, add_data: Callable[[argparse.ArgumentParser], None], run: Any) -> None:
    files = commands.add_parser(
        "files",
        help="print a collection's Parquet files, or code that reads them",
        description="Print the paths of a collection's live Parquet files, one a line; or, with an option, "
        "code that reads them right, ready to paste (docs/reading-files.md). Events of the last moments may "
        "still be in the log only.",
    )
    files.add_argument("--project", required=True, metavar="ID")
    files.add_argument("--collection", required=True, metavar="NAME")
    code = files.add_mutually_exclusive_group()
    for option, reader in OPTIONS.items():
        code.add_argument(
            f"--{option}", dest="reader", action="store_const", const=option, help=f"print code for {reader}"
        )
    add_data(files)
    files.set_defaults(run=run)


def run(catalog: Catalog, args: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Print the paths or the code; returns the exit status. Raises CannotDo."""
    try:
        catalog.projects.get(args.project)
    except UnknownProject as error:
        raise CannotDo(str(error)) from None
    collection = catalog.collections.get(args.project, args.collection)
    live = catalog.files.live(collection.id)
    sound = [file for file in live if file.damaged is None]
    notes = [_damaged_note(catalog, file) for file in live if file.damaged is not None]
    if args.reader is None:
        for file in sound:
            say(str(catalog.folder.absolute(file.path)))
        for note in notes if live else [f"{_named(collection)} has {NO_FILE}"]:
            sys.stderr.write(f"acumen: {note}\n")
        return 0
    say(_code(catalog, collection, sound, notes, args.reader))
    return 0


def _code(
    catalog: Catalog, collection: Collection, files: list[FileRow], notes: list[str], reader: str
) -> str:
    from service.reader_code import COMMENTS, READERS

    if not files:
        lines = [*notes] or [f"{_named(collection)} has {NO_FILE}"]
        return "\n".join(f"{COMMENTS[reader]} {line}" for line in lines)
    return READERS[reader][1](_listing(catalog, collection, files, notes)).rstrip("\n")


def _listing(
    catalog: Catalog, collection: Collection, files: list[FileRow], notes: list[str]
) -> CollectionListing:
    from service.reader_code import PLACES_MAX, CollectionListing, ReadFile, numbers_of
    from storage.files.parquet import digits_in, places_in

    read = [
        ReadFile(str(catalog.folder.absolute(file.path)), file.rows, file.columns, file.marked)
        for file in files
    ]

    def places(file: ReadFile, column: str) -> int:
        return places_in(file.path, column, PLACES_MAX)

    def digits(file: ReadFile, column: str) -> int:
        return digits_in(file.path, column)

    try:
        numbers = numbers_of(collection.schema, read, places, digits)
    except (OSError, ValueError) as error:
        raise CannotDo(
            f"A file cannot be read ({error}). Run the command again, then 'acumen check'."
        ) from None
    events = sum(file.rows for file in files)
    about = f"{_named(collection)}: {events:,} events in {len(files):,} Parquet files."
    later = "Events of the last minutes may not be in files yet; the API has them."
    return CollectionListing(
        collection.name, collection.schema, read, numbers, (about, later, REPLACED, *notes)
    )


def _named(collection: Collection) -> str:
    from service.reader_code import quoted

    return f"Collection {quoted(collection.name)}"


def _damaged_note(catalog: Catalog, file: FileRow) -> str:
    from service.reader_code import quoted

    path = quoted(str(catalog.folder.absolute(file.path)))
    return f"Left out, since it is damaged: {path}. 'acumen check' says more."
