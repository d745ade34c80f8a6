"""``acumen import``: imports a file of events into a collection, over HTTP or directly into a data folder.

How the file is read and sent is in ``service.imports``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from service.imports.json_source import BadSource, BatchSource, ItemBatch, names_of
from service.imports.opening import open_source
from service.imports.options import BadOption, ImportOptions
from service.imports.refused_file import RefusedFile
from service.imports.sending import (
    EVENT_BYTES_MAX,
    HOPELESS_EVENTS,
    BatchSender,
    ImportFailed,
    ImportTarget,
    Prepare,
    batch_keys,
    likely_times,
    preparation,
)
from service.imports.tables import TableSource
from service.ingest.admission import check_collection_name
from service.settings import BadSettings, key_of_environment, load
from service.shell_import.arguments import add_reading_arguments, options_of
from service.shell_import.targets import is_server_url, open_data, open_url
from storage.disk.durable_files import sha256_of

BAR_SECONDS = 0.2
LINE_SECONDS = 10.0
BAR_WIDTH = 30
REFUSED_STATUS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="NDJSON, a JSON array, an answer of the API, CSV or TSV, plain or gzip; Parquet or Arrow IPC; "
        "'-': standard input",
    )
    parser.add_argument("--project", required=True, metavar="ID", help="the project")
    parser.add_argument("--collection", required=True, metavar="NAME", help="the collection of every event")
    add_reading_arguments(parser)
    parser.add_argument(
        "--allow-refused",
        type=int,
        default=0,
        metavar="N",
        help=f"refused events up to which the exit status is 0, and {REFUSED_STATUS} beyond (default 0)",
    )
    parser.add_argument(
        "--url",
        metavar="URL",
        help="send to this server, such as http://127.0.0.1:8000; the project's write key comes from "
        "ACUMEN_WRITE_KEY or --write-key-file",
    )
    parser.add_argument(
        "--write-key-file", type=Path, metavar="FILE", help="with --url: a file that holds the write key"
    )
    parser.add_argument("--write-key", help=argparse.SUPPRESS)
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="without --url: the data folder, with or without a server running on it "
        "(ACUMEN_DATA; default: data)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the import; returns the exit status.

    0: every batch was answered; 1: the import stopped early; 2: it could not begin; 3: more events were
    refused than --allow-refused permits.
    """
    try:
        _check(args)
        options = options_of(args)
    except BadOption as error:
        _say(f"acumen: {error}")
        return 2
    progress = ImportProgress()
    try:
        asyncio.run(_import(args, options, progress))
    except (BadSource, BadSettings, ImportFailed, OSError) as error:
        _say(f"acumen: the import stopped: {error}")
        if progress.new or progress.known:
            _say(
                "What was counted is stored. Run the same command to continue from there; it stores nothing "
                "twice."
            )
        return 1
    except KeyboardInterrupt:
        _say("\nInterrupted. Run the same command to continue from there; it stores nothing twice.")
        return 130
    if not (progress.new or progress.known or progress.refused):
        _say(f"{'standard input' if args.file == '-' else args.file} is empty: there are no events in it.")
    if progress.refused > args.allow_refused:
        if args.allow_refused:
            _say(f"acumen: more events were refused than --allow-refused {args.allow_refused}")
        return REFUSED_STATUS
    return 0


def _check(args: argparse.Namespace) -> None:
    """Check the options. Raises BadOption."""
    refusal = check_collection_name(args.collection)
    if refusal is not None:
        raise BadOption(refusal.description)
    if args.url and args.data:
        raise BadOption("give --url or --data, not both")
    if args.url is not None and not is_server_url(args.url):
        raise BadOption(f"--url must be http://host:port or https://…, and '{args.url}' is neither")
    if args.write_key is not None:
        raise BadOption(
            "a key on the command line is visible to everybody who lists processes, and stays in the "
            "shell's history: set ACUMEN_WRITE_KEY, or give --write-key-file"
        )
    if args.write_key_file and not args.url:
        raise BadOption("--write-key-file goes with --url")
    if args.url and not _write_key(args):
        raise BadOption("--url needs the project's write key, in ACUMEN_WRITE_KEY or a --write-key-file")
    if args.allow_refused < 0:
        raise BadOption("--allow-refused is a number of events, from 0")
    if args.file != "-":
        _check_file(Path(args.file))


def _check_file(path: Path) -> None:
    """Raises BadOption if there is no file at the path that can be read more than once."""
    if path.is_dir():
        raise BadOption(f"{path} is a folder: name a file in it, and import one after the other")
    if not path.exists():
        raise BadOption(f"there is no file {path}")
    if not path.is_file():
        raise BadOption(f"{path} is a pipe or device, not a file: give '-', and send it to standard input")


def _write_key(args: argparse.Namespace) -> str:
    if args.write_key_file is None:
        return key_of_environment("write")
    try:
        text: str = args.write_key_file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadOption(f"the write key cannot be read from {args.write_key_file}: {reason}") from None
    return text.strip()


async def _import(args: argparse.Namespace, options: ImportOptions, progress: ImportProgress) -> None:
    name = "stdin" if args.file == "-" else args.file
    refused = RefusedFile(Path(name).with_name(Path(name).name + ".refused.ndjson"))
    opened = await asyncio.to_thread(open_source, args.file, options, EVENT_BYTES_MAX)
    progress.source = source = opened.source
    refused.of_rows = table = isinstance(source, TableSource)
    try:
        digest = None if opened.path is None else await asyncio.to_thread(sha256_of, opened.path)
        keys = batch_keys(args.project, args.collection, opened.identity, digest)
        async with _target(args) as target:
            prepare = preparation(options, opened.drops_stamps, table=table)
            sending = BatchSender(
                target,
                source,
                refused,
                progress,
                prepare,
                options.timestamp_path,
                on_first=lambda batch: _hint(source, prepare, batch),
            )
            try:
                await sending.send_all(keys, max(HOPELESS_EVENTS, args.allow_refused + 1))
            finally:
                progress.finish(refused)
    finally:
        opened.close()
        refused.close()


def _hint(source: BatchSource, prepare: Prepare | None, batch: ItemBatch) -> None:
    """Print the detected types, and a hint if a property seems to be the time."""
    if isinstance(source, TableSource) and source.found_types:
        types = ", ".join(f"{name} {kind}" for name, kind in source.found_types.items())
        _say(f"types: {types}")
    first = next((item for item in batch.items if item.problem is None), None)
    if first is None:
        return
    try:
        text = prepare(first.text) if prepare else first.text
    except ValueError:
        return
    likely = likely_times(names_of(text))
    if likely:
        _say(
            f"hint: the events have a property '{likely[0]}' and no 'keen.timestamp', so they have the "
            "time of this import. If it is their time, delete them and import the file again with "
            f"--timestamp {likely[0]}"
        )


def _target(args: argparse.Namespace) -> AbstractAsyncContextManager[ImportTarget]:
    if args.url:
        return open_url(args.url, args.project, _write_key(args), args.collection, _notice)
    return open_data(load(data=args.data), args.project, args.collection)


@dataclass(slots=True)
class ImportProgress:
    """Shows the import's progress on standard error: as a bar on a terminal, elsewhere as periodic lines."""

    source: BatchSource | None = None
    new: int = 0
    known: int = 0
    """Events stored before, by an earlier run or with an equal uniqueness token."""
    refused: int = 0
    shown_at: float = field(default_factory=time.monotonic)

    def add(self, accepted: int, known: int, refused: int) -> None:
        self.new += accepted - known
        self.known += known
        self.refused += refused
        terminal = sys.stderr.isatty()
        if time.monotonic() - self.shown_at < (BAR_SECONDS if terminal else LINE_SECONDS):
            return
        self.shown_at = time.monotonic()
        if terminal:
            sys.stderr.write(f"\r{self._bar()} {self._counts()}\x1b[K")
            sys.stderr.flush()
        else:
            share = self._share()
            _say(f"{share:.0%} {self._counts()}" if share else self._counts())

    def finish(self, refused: RefusedFile) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
        _say(self._counts())
        if refused.written:
            _say("refused; the first of them:" if self.refused > len(refused.first) else "refused:")
            for line in refused.first:
                _say(line)
            _say(f"All refused events, with the reason of each: {refused.path}")

    def _counts(self) -> str:
        known = f", already known: {self.known:,}" if self.known else ""
        return f"stored: {self.new:,}{known}, refused: {self.refused:,}"

    def _share(self) -> float:
        if self.source is None or not self.source.size:
            return 0.0
        return min(1.0, self.source.position / self.source.size)

    def _bar(self) -> str:
        if self.source is None or not self.source.size:
            return ""
        filled = round(self._share() * BAR_WIDTH)
        return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {self._share():4.0%}"


def _notice(text: str) -> None:
    """Say something while the import goes on; the bar, which is drawn again, makes place for it."""
    _say(("\r\x1b[K" if sys.stderr.isatty() else "") + text)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
