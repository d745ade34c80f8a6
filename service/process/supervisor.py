"""``acumen serve``: the process that owns the data folder and keeps its workers, keeper and runner going.

It locks the folder, binds the port, prepares the catalog, and starts its children, each with the folder's
lock and a pipe, the workers with the listening socket. While any child of a killed supervisor lives it holds
the lock, so a successor waits for it; and children end by themselves when their pipe does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from service.process import child_process, start_child
from service.process.child_process import ChildContext
from service.process.start_child import Process
from service.settings import PREFIX, BadSettings, Settings, changed
from service.telemetry import json_logging
from service.version import version
from storage.catalog.catalog import Catalog
from storage.catalog.errors import CatalogError
from storage.catalog.tenants.records import Project
from storage.disk.file_system import LocalFileSystem
from storage.errors import StorageError
from storage.paths import DataFolder
from storage.recovery.takeover import recover
from storage.source import SourceGone

WORKER, KEEPER, RUNNER = "service.process.worker", "service.process.keeper", "service.process.runner"
"""The modules of the children."""

LOCK_WAIT_SECONDS = 10.0
RESTART_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses before a child that keeps dying is started again."""
STEADY_SECONDS = 10.0
"""A child that lived this long was no failed start."""
KEEPER_SECONDS = 60.0
"""The keeper's last flush may take this long; what it does not get done is in the logs."""
FIRST_STARTS_MAX = 4
"""Failed starts of one child after which a server that never worked gives up."""
POLL_SECONDS = 0.2
END_POLL_SECONDS = 0.01

_log = logging.getLogger("acumen.supervisor")


class CannotServe(Exception):
    """Why the server does not start, in one sentence for a person."""


@dataclass(slots=True)
class Child:
    """One process to keep running, and how its last starts went."""

    name: str
    module: str
    number: int
    process: Process | None = None
    commands: int = -1
    """The end of a pipe into which commands are written; closed where it is -1, as the next one."""
    ready_fd: int = -1
    ready: bool = False
    worked: bool = False
    """Was it ever ready?"""
    started: float = 0.0
    failures: int = 0
    due: float = 0.0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Supervisor:
    """Runs until it is told to stop. ``announce`` is called once, when all children work: with the server's
    address, the oldest project, and whether this start made it. ``forks`` says how children are made."""

    settings: Settings
    announce: Callable[[str, Project, bool], None] = lambda url, project, new: None
    forks: bool = start_child.FORKS
    children: list[Child] = field(default_factory=list)
    stopping: bool = False
    stop_signal: int = 0
    stop_began: float = 0.0
    reload_due: bool = False

    def run(self) -> int:
        """The exit status. Raises CannotServe where it does not come to work."""
        listener = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        signal.signal(signal.SIGHUP, self._on_hangup)
        lock = lock_folder(self.settings.data)
        try:
            listener = bind(self.settings.host, self.settings.port)
            first, new = self._prepare()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
            self._listener, self._lock = listener, lock
            self.children = [Child(f"worker-{n}", WORKER, n) for n in range(self.settings.workers)]
            self.children.append(Child("keeper", KEEPER, self.settings.workers))
            self.children.append(Child("runner", RUNNER, self.settings.workers + 1))
            url = url_of(self.settings, listener)
            self._log_start(url)
            if self.forks:
                start_child.prepare((WORKER, KEEPER, RUNNER))
            self._keep_running(url, lambda: self.announce(url, first, new))
            self._seal()
            self._log_stop()
            return 0
        finally:
            if listener is not None:
                listener.close()
            os.close(lock)

    def _log_start(self, url: str) -> None:
        """One line for whoever reads the log later: what runs, where, and how it is set."""
        settings = changed(self.settings)
        fields = {
            "version": version(),
            "url": url,
            "data": str(self.settings.data.absolute()),
            "workers": self.settings.workers,
            "settings": {f"{PREFIX}{name.upper()}": value for name, value in settings.items()},
        }
        _log.info("Acumen starts.", extra={"fields": fields})

    def _log_stop(self) -> None:
        seconds = round(time.monotonic() - self.stop_began, 1)
        fields = {"signal": signal.Signals(self.stop_signal).name, "seconds": seconds}
        _log.info("Acumen has stopped.", extra={"fields": fields})

    def _prepare(self) -> tuple[Project, bool]:
        """Catalog and first project; and the run folder anew: it holds only what the running server does."""
        catalog = prepare_catalog(self.settings)
        try:
            recover_logs(catalog)
            first, new = catalog.projects.ensure_first()
            self._begin_streaming(catalog)
        except CatalogError as error:
            raise CannotServe(str(error)) from None
        finally:
            catalog.close()
        run = self.settings.run_folder
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in run.iterdir():
            if path.is_file():
                path.unlink()
        return first, new

    def _seal(self) -> None:
        """All children have ended. Without a digest the next start believes the catalog as it is."""
        try:
            Catalog.open(self.settings.data, secret=self.settings.secret_key).seal()
        except (OSError, StorageError):
            _log.warning("The catalog's digest could not be written.", exc_info=True)

    def _begin_streaming(self, catalog: Catalog) -> None:
        """Before any event comes. Where it fails the runner tries again, and says so."""
        if self.settings.stream_folder is None:
            return
        from storage.read.change_feed import begin

        try:
            begin(catalog)
        except (OSError, ValueError, StorageError, SourceGone):
            _log.exception("What is streamed out can not be told from what was there before.")

    def _on_signal(self, number: int, _: object) -> None:
        if not self.stopping:
            self.stopping, self.stop_signal, self.stop_began = True, number, time.monotonic()
        self._wake()

    def _on_hangup(self, number: int, _: object) -> None:
        self.reload_due = True
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"!")
        except BlockingIOError:
            pass

    def _reload(self) -> None:
        """Log level and certificate anew, here and in the children; what does not work stays as it was."""
        self.reload_due = False
        _log.info("SIGHUP: the log level and the certificate are read anew.")
        try:
            json_logging.set_level(self.settings.current_log_level())
        except BadSettings as error:
            _log.error(str(error))
        for one in self.children:
            if one.alive:
                _say(one, child_process.RELOAD)

    def _keep_running(self, url: str, announce: Callable[[], None]) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self._wake_read, selectors.EVENT_READ)
        announced = False
        try:
            while not self.stopping:
                now = time.monotonic()
                for one in self.children:
                    self._look_after(one, now, selector, url)
                for key, _ in selector.select(POLL_SECONDS):
                    if isinstance(key.data, Child):
                        self._note_ready(key.data, selector)
                        self._write_state(url)
                    else:
                        os.read(self._wake_read, 4_096)
                if self.reload_due and all(one.ready for one in self.children):
                    self._reload()
                if not announced and all(one.ready for one in self.children):
                    announced = True
                    announce()
        finally:
            self._stop()

    def _look_after(self, one: Child, now: float, selector: selectors.BaseSelector, url: str) -> None:
        if one.alive:
            if one.failures and now - one.started > STEADY_SECONDS:
                one.failures = 0
            return
        if one.process is not None:
            self._bury(one, now, selector)
        if now >= one.due:
            self._start(one, now, selector)
            self._write_state(url)

    def _bury(self, one: Child, now: float, selector: selectors.BaseSelector) -> None:
        assert one.process is not None
        status = one.process.returncode
        pause = RESTART_SECONDS[min(one.failures, len(RESTART_SECONDS) - 1)]
        fields = {"child": one.name, "status": status, "restart_seconds": pause}
        _log.error("A child process ended and is started again.", extra={"fields": fields})
        self._close_ready(one, selector)
        os.close(one.commands)
        one.process, one.commands, one.ready = None, -1, False
        one.due = now + pause
        one.failures += 1
        if not one.worked and one.failures >= FIRST_STARTS_MAX:
            raise CannotServe(f"The process {one.name} does not start: it said why above.")

    def _start(self, one: Child, now: float, selector: selectors.BaseSelector) -> None:
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            try:
                ready, said = _pipe(ours, theirs)
                commands, given = _pipe(theirs, ours)
                listener = self._listener.fileno() if one.module == WORKER else None
                ends = ChildContext(self.settings, one.name, one.number, commands, said, self._lock, listener)
                one.process = (start_child.fork if self.forks else start_child.spawn)(one.module, ends)
            except OSError as error:
                self._put_off(one, now, error)
                return
            ours.pop_all()
        one.ready_fd, one.commands, one.started = ready, given, now
        selector.register(ready, selectors.EVENT_READ, one)

    def _put_off(self, one: Child, now: float, error: OSError) -> None:
        """The system gives no process just now, for want of memory or descriptors: try again later."""
        pause = RESTART_SECONDS[min(one.failures, len(RESTART_SECONDS) - 1)]
        fields = {"child": one.name, "error": error.strerror or str(error), "restart_seconds": pause}
        _log.error("A child process could not be started, which is tried again.", extra={"fields": fields})
        one.due = now + pause
        one.failures += 1
        if not one.worked and one.failures >= FIRST_STARTS_MAX:
            raise CannotServe(f"The process {one.name} can not be started: {error.strerror}.")

    def _note_ready(self, one: Child, selector: selectors.BaseSelector) -> None:
        one.ready = os.read(one.ready_fd, 64) == child_process.READY or one.ready
        one.worked = one.worked or one.ready
        self._close_ready(one, selector)

    def _close_ready(self, one: Child, selector: selectors.BaseSelector) -> None:
        if one.ready_fd >= 0:
            selector.unregister(one.ready_fd)
            os.close(one.ready_fd)
            one.ready_fd = -1

    def _write_state(self, url: str) -> None:
        """``run/server.json``: for people and tests that look for the processes."""
        state = {
            "pid": os.getpid(),
            "url": url,
            "address": address_of(self.settings, self._listener),
            "children": {
                one.name: {"pid": one.process.pid, "ready": one.ready}
                for one in self.children
                if one.process is not None
            },
        }
        path = self.settings.run_folder / "server.json"
        unfinished = path.with_suffix(".tmp")
        try:
            unfinished.write_text(json.dumps(state), encoding="utf-8")
            unfinished.replace(path)
        except OSError:
            # A full disk must not end a server that still answers questions.
            _log.exception("The state of the server could not be written.")

    def _stop(self) -> None:
        """Workers first, so that the keeper flushes all that they took."""
        settings = self.settings
        # Else connections would still be queued here once the workers take no more, and hang.
        self._listener.close()
        workers = [one for one in self.children if one.module == "service.process.worker"]
        # uvicorn needs some tenths of a second beyond what it waits for requests.
        self._end(workers, settings.unready_seconds + settings.shutdown_seconds + 2.0)
        self._end([one for one in self.children if one not in workers], KEEPER_SECONDS)
        (settings.run_folder / "server.json").unlink(missing_ok=True)

    def _end(self, children: list[Child], seconds: float) -> None:
        for one in children:
            if one.alive:
                _say(one, child_process.STOP)
        deadline = time.monotonic() + seconds
        for one in children:
            if one.process is None:
                continue
            while one.alive and time.monotonic() < deadline:
                time.sleep(END_POLL_SECONDS)
            if one.alive:
                fields = {"child": one.name, "seconds": seconds}
                _log.warning("A child process did not stop in time and is killed.", extra={"fields": fields})
                one.process.kill()
                while one.alive:
                    time.sleep(END_POLL_SECONDS)
            os.close(one.commands)
            one.commands = -1


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """The two ends of a new pipe, each closed by its stack."""
    read, write = os.pipe()
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write


def _say(one: Child, command: bytes) -> None:
    """Write a command to a child, which may be gone."""
    try:
        os.write(one.commands, command)
    except OSError:
        pass


def lock_folder(data: Path) -> int:
    """A descriptor that holds the data folder's lock; children inherit it. Raises CannotServe.

    Waits a little: the children of a server that was killed need a moment to notice.
    """
    folder = DataFolder.at(data)
    try:
        folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder.serve_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotServe(f"The data folder {folder.root} cannot be used: {error.strerror}.") from None
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise CannotServe(
                    f"Another Acumen server uses the data folder {folder.root}: stop it, or choose another "
                    "folder with --data."
                ) from None
            time.sleep(0.05)


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket. Raises CannotServe."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise CannotServe(_bad_host(host, error)) from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        # Listening at once makes a second server on this port fail here and not later, in a worker.
        listener.listen(4_096)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise CannotServe(_bad_host(host, error)) from None
        raise CannotServe(
            f"Port {port} of {host} cannot be used ({error.strerror}): choose another with --port or "
            "ACUMEN_PORT."
        ) from None
    return listener


def _bad_host(host: str, error: OSError | UnicodeError) -> str:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return (
        f"The host {host!r} is no address of this machine ({reason}): choose another with --host or "
        "ACUMEN_HOST, 127.0.0.1 for this machine only or 0.0.0.0 for all its networks."
    )


def url_of(settings: Settings, listener: socket.socket) -> str:
    """Where the server answers, for clients."""
    return settings.public_url or address_of(settings, listener)


def address_of(settings: Settings, listener: socket.socket) -> str:
    """Where the server answers on this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_cert else 'http'}://{shown}:{port}"


def recover_logs(catalog: Catalog) -> None:
    """Take over what an earlier server left in its logs, before any worker answers. Raises CannotServe."""
    try:
        recover(catalog.folder, catalog, LocalFileSystem())
    except (OSError, StorageError) as error:
        raise CannotServe(f"The logs in {catalog.folder.logs} can not be read: {error}.") from error


def prepare_catalog(settings: Settings) -> Catalog:
    """The catalog, made or migrated. Raises CannotServe."""
    try:
        return Catalog.prepare(settings.data, secret=settings.secret_key)
    except (CatalogError, OSError) as error:
        raise CannotServe(str(error)) from None
