"""``acumen backup`` and ``acumen restore``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.cli.errors import CannotDo, reason_of

if TYPE_CHECKING:
    from service.settings import Settings
    from storage.catalog.catalog import Catalog
    from storage.maintenance.backup import BackupManifest

Say = Callable[[str], None]


def add_backup(commands: Any, add_data: Callable[[argparse.ArgumentParser], None], run: Any) -> None:
    backup = commands.add_parser(
        "backup",
        help="copy the data folder, whether or not a server runs on it",
        description="Copy everything that is stored into a new folder, and check the copy. Works beside a "
        "running server. The secret that seals the keys is not copied: keep it once, in another place.",
    )
    backup.add_argument("folder", metavar="DIR", type=Path, help="a new folder for the backup")
    backup.add_argument(
        "--previous",
        metavar="DIR",
        type=Path,
        help="an earlier backup on the same disk: files that it has are linked and not copied again",
    )
    _add_accept_damage(backup)
    add_data(backup)
    backup.set_defaults(run=run)


def add_restore(commands: Any, add_data: Callable[[argparse.ArgumentParser], None], run: Any) -> None:
    restore = commands.add_parser(
        "restore",
        help="restore a backup as the data folder",
        description="Check a backup and copy it to the data folder, which must be new or empty. The backup "
        "stays as it is.",
    )
    restore.add_argument("folder", metavar="DIR", type=Path, help="the backup")
    restore.add_argument(
        "--replace", action="store_true", help="set the data folder that is there aside, under another name"
    )
    restore.add_argument(
        "--secret-file",
        metavar="FILE",
        type=Path,
        help="the secret.key that the keys in the backup were sealed with, unless ACUMEN_SECRET_KEY is set",
    )
    _add_accept_damage(restore)
    add_data(restore)
    restore.set_defaults(run=run)


def _add_accept_damage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accept-damage",
        action="store_true",
        help="continue even if 'acumen check' finds faults; they are listed",
    )


def back_up(catalog: Catalog, args: argparse.Namespace, say: Say) -> int:
    """Back up the data folder. Exit status 0 if the copy was made and verified. Raises CannotDo."""
    from storage.maintenance.backup import BackupFailed
    from storage.maintenance.backup import back_up as copy

    try:
        now_us = time.time_ns() // 1_000
        manifest, report = copy(
            catalog.folder,
            catalog,
            args.folder,
            now_us,
            previous=args.previous,
            accept_damage=args.accept_damage,
            say=say,
        )
    except (BackupFailed, OSError) as error:
        raise CannotDo(reason_of(error)) from None
    for fault in report.faults:
        say(f"FAULT  {fault}")
    if not report.sound and not args.accept_damage:
        say(
            f"{args.folder} is no backup: what was copied is damaged. 'acumen check' says what helps; "
            "--accept-damage backs up anyway."
        )
        return 1
    outcome = "was found intact" if report.sound else f"has {len(report.faults)} faults"
    say(f"{args.folder} holds {manifest.events:,} events in {manifest.files:,} files, and {outcome}.")
    say("Keep the secret (ACUMEN_SECRET_KEY, or the file secret.key of the data folder) in another place.")
    return 0


def restore(settings: Settings, args: argparse.Namespace, say: Say) -> int:
    from service.process.supervisor import CannotServe, lock_folder
    from storage.maintenance.backup import BackupFailed, read_manifest
    from storage.maintenance.backup import restore as put

    data: Path = settings.data
    try:
        manifest = read_manifest(args.folder)
        aside, secret = None, args.secret_file
        if args.replace and data.exists():
            lock_folder(data)
            _say_what_comes_back(data, manifest, say)
            aside = data.with_name(f"{data.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
            data.rename(aside)
            if secret is None and not settings.secret_key and (aside / "secret.key").exists():
                secret = aside / "secret.key"
        try:
            put(args.folder, data, secret_file=secret, accept_damage=args.accept_damage, say=say)
        except BaseException:
            if aside is not None and not data.exists():
                aside.rename(data)
            raise
    except (BackupFailed, CannotServe, OSError) as error:
        raise CannotDo(reason_of(error)) from None
    taken = datetime.fromtimestamp(manifest.taken_us / 1e6, UTC)
    say(f"{data} holds the backup of {taken:%Y-%m-%d %H:%M:%S} UTC, with {manifest.events:,} events.")
    if aside is not None:
        say(f"What was there before is in {aside}.")
    if secret is None and not settings.secret_key:
        say(
            "No secret was given, so the keys in it cannot be read: put the secret.key in place, or make new "
            "keys with 'acumen projects rekey ID' and 'acumen orgs rekey ID'."
        )
    return 0


def _say_what_comes_back(data: Path, manifest: BackupManifest, say: Say) -> None:
    """Warn about deletions and changes made after the backup, which restoring it undoes."""
    from storage.catalog.catalog import Catalog
    from storage.errors import StorageError

    try:
        catalog = Catalog.open(data)
    except (StorageError, OSError):
        return
    try:
        later = catalog.erasures.last() - manifest.last_erasure
    finally:
        catalog.close()
    if later > 0:
        say(
            f"WARNING  {later} deletions or changes were made after this backup. What they removed is "
            "still in it: make them again once the server runs."
        )
