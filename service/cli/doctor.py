"""``acumen doctor``: reports settings, problems and remedies. It changes nothing."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import socket
import ssl
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from query.untrusted.confinement import available
from service.http.connections import connections_within
from service.machine import container_cpus, container_memory_bytes
from service.settings import PREFIX, BadSettings, Settings, changed, load_options
from service.version import version
from storage.catalog.catalog import Catalog
from storage.catalog.errors import WrongSecret
from storage.errors import StorageError
from storage.maintenance.backup import MANIFEST
from storage.paths import DataFolder
from storage.recovery import damage_marker

GIB = 1 << 30
CERTIFICATE_DAYS = 14
"""A certificate that expires sooner should have been renewed."""
BACKUP_DAYS = 7
SECONDS = 5.0
EARLIEST = 1_750_000_000
"""Seconds since 1970: a clock that shows an earlier time is wrong, since this version is newer."""
CLOCK_SLACK_SECONDS = 120


class Level(Enum):
    OK = "ok"
    NOTE = "note"
    FAULT = "FAULT"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what was checked, its state, and a remedy if it is wrong."""

    level: Level
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.level.value:5}  {self.what}: {self.text}"


Findings = Iterator[Finding]


def _ok(what: str, text: str) -> Finding:
    return Finding(Level.OK, what, text)


def _note(what: str, text: str) -> Finding:
    return Finding(Level.NOTE, what, text)


def _fault(what: str, text: str) -> Finding:
    return Finding(Level.FAULT, what, text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address that the server is to listen on")
    parser.add_argument("--port", help="TCP port that the server is to listen on")
    parser.add_argument(
        "--backups", metavar="DIR", type=Path, help="folder that holds backups: is one recent?"
    )


def run(args: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Print all findings; returns the exit status, 1 if something is wrong."""
    options = {name: value for name in ("host", "port", "data") if (value := getattr(args, name)) is not None}
    say(f"Acumen {version()}")
    try:
        settings = load_options(options)
        settings.current_log_level()
    except BadSettings as error:
        say(str(_fault("settings", str(error))))
        return 1
    for name, value in changed(settings).items():
        source = f"--{name}" if name in options else "environment"
        say(f"set    {PREFIX}{name.upper()}={value} ({source})")
    faults = 0
    for finding in _findings(settings, args.backups):
        say(str(finding))
        faults += finding.level is Level.FAULT
    say("Nothing is wrong." if not faults else f"{faults} thing{'s are' if faults > 1 else ' is'} wrong.")
    return 1 if faults else 0


def _findings(settings: Settings, backups: Path | None) -> Findings:
    yield from _folder(settings.data)
    yield from _is_backup(settings.data)
    yield from _disk(settings)
    yield from _secret(settings)
    yield from _machine(settings)
    yield from _certificate(settings)
    yield from _named_files(settings)
    yield from _server(settings)
    yield from _stored(settings)
    yield from _backups(backups)


def _folder(data: Path) -> Findings:
    what = f"data folder {data.absolute()}"
    if not data.exists():
        above = next(path for path in data.absolute().parents if path.exists())
        if os.access(above, os.W_OK | os.X_OK):
            yield _note(what, "does not exist yet; the first start creates it.")
        else:
            yield Finding(
                Level.FAULT, what, f"is not there, and {above} cannot be written to: make it yourself."
            )
        return
    status = data.stat()
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            Level.FAULT, what, f"cannot be written to by user {os.geteuid()}: it belongs to {status.st_uid}."
        )
    elif status.st_uid != os.geteuid() and os.geteuid() != 0:
        yield _fault(what, f"belongs to user {status.st_uid}: run as that user.")
    elif stat.S_IMODE(status.st_mode) & 0o077:
        yield _fault(what, "can be read by other users: chmod 700.")
    else:
        yield _ok(what, "belongs to its owner alone.")


def _is_backup(data: Path) -> Findings:
    if (data / MANIFEST).exists():
        text = "a server would change it. Copy it to a new folder: acumen restore"
        yield _fault("data folder", f"is a backup (it has {MANIFEST}), and {text} {data} --data NEW.")


def _disk(settings: Settings) -> Findings:
    place = next(
        path for path in (settings.data.absolute(), *settings.data.absolute().parents) if path.exists()
    )
    free, least = shutil.disk_usage(place).free, settings.min_free_bytes
    text = (
        f"{free / GIB:.1f} GiB are free; events are refused below {least / GIB:.2f} (ACUMEN_MIN_FREE_BYTES)"
    )
    if free < least:
        yield Finding(
            Level.FAULT, "disk", f"{text}: free some space, but never by deleting from the data folder."
        )
    elif free < 2 * least + GIB:
        yield _note("disk", f"{text}: it is nearly full.")
    else:
        yield _ok("disk", f"{text}.")


def _secret(settings: Settings) -> Findings:
    folder = DataFolder.at(settings.data)
    path = folder.root / "secret.key"
    if settings.secret_key:
        yield _ok("secret", "is ACUMEN_SECRET_KEY.")
    elif not path.exists() and folder.catalog.exists():
        # Whether keys need it, the keys in the catalog say.
        yield _note("secret", f"{path} is not there, and ACUMEN_SECRET_KEY is not set.")
    elif not path.exists():
        yield Finding(
            Level.NOTE, "secret", f"the first start makes {path}; keep a copy of it in another place."
        )
    elif stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield _fault("secret", f"{path} can be read by other users: chmod 600.")
    else:
        yield _ok("secret", f"is {path}; keep a copy of it in another place, in no backup.")


def _machine(settings: Settings) -> Findings:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = GIB if hard == resource.RLIM_INFINITY else hard
    within = connections_within(files, settings.connections_max)
    if within < settings.connections_max:
        text = f"{files} are enough for {within} connections of {settings.connections_max}"
        yield _note("open files", f"{text}: raise LimitNOFILE or ulimit -n.")
    else:
        yield _ok("open files", f"{files} may be open.")
    memory = container_memory_bytes()
    share = settings.memory_bytes or memory // 2
    text = (
        f"{memory / GIB:.1f} GiB, {share / GIB:.1f} of them for questions, and {container_cpus()} processors"
    )
    if share > memory * 0.8:
        yield _fault("memory", f"{text}: ACUMEN_MEMORY_BYTES leaves too little for the rest.")
    elif memory < GIB:
        yield _note("memory", f"{text}: little for more than a try.")
    else:
        yield _ok("memory", f"{text}.")
    lacks = available().lacks
    if lacks:
        text = f"this system lacks {lacks}, so that less confines the processes that run it: docs/sql.md."
        yield _note("SQL", text)
    else:
        yield _ok("SQL", "runs in processes that Landlock and seccomp confine.")
    if time.time() < EARLIEST:
        yield Finding(
            Level.FAULT, "clock", f"shows {datetime.now(UTC):%Y-%m-%d}: set it, events are dated by it."
        )


def _certificate(settings: Settings) -> Findings:
    if settings.tls_cert is None:
        if settings.host not in ("127.0.0.1", "::1", "localhost") and not settings.trusted_proxies:
            text = f"none, and {settings.host} is open to others: use a proxy, or keys travel in the clear."
            yield _note("TLS", text)
        return
    from cryptography import x509

    what = f"TLS certificate {settings.tls_cert}"
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            settings.tls_cert, settings.tls_key
        )
        end = x509.load_pem_x509_certificate(settings.tls_cert.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        yield _fault(what, f"cannot be used with {settings.tls_key}: {error}.")
        return
    days = (end - datetime.now(UTC)).total_seconds() / 86_400
    if days < 0:
        yield _fault(what, f"ended on {end:%Y-%m-%d}: renew it, then send the server SIGHUP.")
    elif days < CERTIFICATE_DAYS:
        yield _fault(what, f"ends on {end:%Y-%m-%d}: renew it, then send the server SIGHUP.")
    else:
        yield _ok(what, f"is valid until {end:%Y-%m-%d}.")


def _named_files(settings: Settings) -> Findings:
    database = settings.geoip_database
    folders = {"ACUMEN_STREAM_FOLDER": settings.stream_folder, "ACUMEN_SINK_FOLDER": settings.sink_folder}
    if database is not None and not os.access(database, os.R_OK):
        yield _fault("ACUMEN_GEOIP_DATABASE", f"{database} cannot be read.")
    for name, folder in folders.items():
        if folder is not None and not os.access(folder, os.W_OK | os.X_OK):
            yield _fault(name, f"{folder} cannot be written to.")
    if settings.source_folder is not None and not os.access(settings.source_folder, os.R_OK | os.X_OK):
        yield _fault("ACUMEN_SOURCE_FOLDER", f"{settings.source_folder} cannot be read.")


def _server(settings: Settings) -> Findings:
    state = running_state(settings)
    if state is None:
        yield from _port(settings)
        return
    url = state["address"]
    what = f"server {url} (process {state['pid']})"
    try:
        with urllib.request.urlopen(f"{url}/ready", timeout=SECONDS, context=_any_certificate()) as answer:
            response: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        yield _fault(what, f"is not ready: it answers {error.code}. Look at its log.")
        return
    except (OSError, ValueError) as error:
        yield _fault(what, f"does not answer: {error}. Look at its log.")
        return
    unready = [name for name, child in state["children"].items() if not child["ready"]]
    if unready:
        yield _fault(what, f"{', '.join(unready)} does not work: look at its log.")
    elif response.get("events") == "refused":
        yield _fault(what, f"refuses events: {response.get('reason')}")
    else:
        yield _ok(what, "is ready.")


def _any_certificate() -> ssl.SSLContext:
    """A context that accepts any certificate: it may name another host, and the probe sends no secrets."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def running_state(settings: Settings) -> dict[str, Any] | None:
    """The running server's ``server.json``; None if no server runs on the data folder."""
    try:
        state: dict[str, Any] = json.loads((settings.run_folder / "server.json").read_bytes())
        os.kill(state["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    return state


def _port(settings: Settings) -> Findings:
    what = f"{settings.host}:{settings.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        yield Finding(
            Level.FAULT, what, f"cannot be listened on: {error}. Choose another with --host or --port."
        )
        return
    yield _note(what, "is free; no server runs on the data folder.")


def _stored(settings: Settings) -> Findings:
    folder = DataFolder.at(settings.data)
    if not folder.catalog.exists():
        return
    if folder.catalog.stat().st_mtime > time.time() + CLOCK_SLACK_SECONDS:
        yield Finding(
            Level.FAULT, "clock", "is behind the time of the last write: it was set back, or was ahead then."
        )
    try:
        catalog = Catalog.open(settings.data, secret=settings.secret_key)
    except (StorageError, OSError) as error:
        yield _fault("catalog", str(error))
        return
    with contextlib.closing(catalog):
        yield from _keys(catalog)
        logs = damage_marker.noted_logs(folder, [row.id for row in catalog.logs.all()])
        files = catalog.files.damaged()
        mark = catalog.clock.find()
        usage = catalog.projects.usage().values()
    events = sum(project.events for project in usage)
    if logs:
        yield Finding(
            Level.FAULT, "logs", f"{_numbers(logs)} damaged: stop the server and run 'acumen repair'."
        )
    for file in files:
        if file.is_past:
            yield _note("file", f"{file.path} is damaged: answers about earlier versions lack it.")
        else:
            yield _fault("file", f"{file.path} is damaged: put it back from a backup.")
    if mark is not None and mark.jumped:
        yield Finding(
            Level.FAULT, "clock", "has jumped, so nothing is deleted for its age: look at the time service."
        )
    if not logs and not files:
        yield Finding(
            Level.OK, "stored", f"{events} events in files; 'acumen check' reads and proves all of them."
        )


def _keys(catalog: Catalog) -> Findings:
    """Read all keys, as every process of a server does when it starts."""
    try:
        catalog.tenants.since(-1)
    except WrongSecret as error:
        yield _fault("keys", f"the server cannot start. {error}")


def _numbers(logs: tuple[int, ...]) -> str:
    return f"log {logs[0]} is" if len(logs) == 1 else f"logs {', '.join(map(str, logs))} are"


def _backups(folder: Path | None) -> Findings:
    if folder is None:
        yield _note("backups", "--backups DIR checks whether DIR has a recent one.")
        return
    times = []
    for path in (folder / MANIFEST, *folder.glob(f"*/{MANIFEST}")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            times.append(json.loads(path.read_bytes())["taken_us"] / 1e6)
    if not times:
        yield Finding(
            Level.FAULT, "backups", f"{folder} holds none: 'acumen backup {folder}/NAME' makes one."
        )
        return
    days = (time.time() - max(times)) / 86_400
    level = Level.FAULT if days > BACKUP_DAYS else Level.OK
    yield Finding(level, "backups", f"the newest in {folder} is {days:.1f} days old.")
