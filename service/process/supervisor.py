"""``acumen serve``: the process that owns the data folder and keeps its workers, keeper and runner running.

It locks the folder, binds the port, prepares the catalog, and starts its children. Each child inherits the
folder's lock and a pipe, and workers also the listening socket. As long as any child of a killed supervisor
lives, it holds the lock, so that a successor waits; children exit when their pipe is closed.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from service.people.links import make_first_link
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
RUN_WORKER = "service.process.run_process"
"""The module of those that execute runs, of which there are as many as the runner says."""

LOCK_WAIT_SECONDS = 10.0
RESTART_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses before a child that keeps dying is started again."""
STEADY_SECONDS = 10.0
"""A child that lived this long counts as started successfully."""
KEEPER_SECONDS = 60.0
"""Longest time for the keeper's last flush; events that it does not flush remain in the logs."""
FIRST_STARTS_MAX = 4
"""Failed starts after which the server gives up on a child that was never ready."""
POLL_SECONDS = 0.2
END_POLL_SECONDS = 0.01

_log = logging.getLogger("acumen.supervisor")


class CannotServe(Exception):
    """The server cannot start; the text says why, in one sentence for a person."""


@dataclass(slots=True)
class Child:
    """A process to keep running, and the outcome of its last starts."""

    name: str
    module: str
    number: int
    process: Process | None = None
    commands: int = -1
    """The pipe into which commands are written; -1 when closed, as for ``ready_fd``."""
    ready_fd: int = -1
    ready: bool = False
    worked: bool = False
    """Whether the child was ever ready."""
    started: float = 0.0
    failures: int = 0
    due: float = 0.0
    leaving: bool = False
    """Whether it was told to stop, since it is no longer needed."""

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Supervisor:
    """Runs the server until a signal stops it.

    ``announce`` is called once, when all children are ready, with the server's address, the oldest project,
    whether this start created that project, and then the path of a one-time link for the first person.
    ``forks``: whether children are forked or spawned.
    """

    settings: Settings
    announce: Callable[[str, Project, bool, str | None], None] = lambda url, project, new, link: None
    forks: bool = start_child.FORKS
    children: list[Child] = field(default_factory=list)
    stopping: bool = False
    stop_signal: int = 0
    stop_began: float = 0.0
    reload_due: bool = False

    def run(self) -> int:
        """Run until stopped; returns the exit status. Raises CannotServe if the server cannot start."""
        listener = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        signal.signal(signal.SIGHUP, self._on_hangup)
        lock = lock_folder(self.settings.data)
        try:
            listener = bind(self.settings.host, self.settings.port)
            first, new, link = self._prepare()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
            self._listener, self._lock = listener, lock
            self.children = [Child(f"worker-{n}", WORKER, n) for n in range(self.settings.workers)]
            self.children.append(Child("keeper", KEEPER, self.settings.workers))
            self.children.append(Child("runner", RUNNER, self.settings.workers + 1))
            url = url_of(self.settings, listener)
            self._log_start(url)
            if self.forks:
                start_child.prepare((WORKER, KEEPER, RUNNER, RUN_WORKER))
            self._keep_running(url, lambda: self.announce(url, first, new, link))
            self._seal()
            self._log_stop()
            return 0
        finally:
            if listener is not None:
                listener.close()
            os.close(lock)

    def _log_start(self, url: str) -> None:
        """Log one line with the version, the address and the settings that differ from their defaults."""
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

    def _prepare(self) -> tuple[Project, bool, str | None]:
        """Prepare the catalog and the first project, and empty the run folder of an earlier server's files.

        Returns the oldest project, whether it was created now, and then the path of a link for the first
        person. Raises CannotServe.
        """
        catalog = prepare_catalog(self.settings)
        try:
            recover_logs(catalog)
            first, new = catalog.projects.ensure_first()
            link = make_first_link(catalog) if new else None
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
        return first, new, link

    def _seal(self) -> None:
        """Write the catalog's digest once all children have ended; without one the next start cannot verify
        the catalog."""
        try:
            with self._alone() as alone:
                if alone:
                    Catalog.open(self.settings.data, secret=self.settings.secret_key).seal()
        except (OSError, StorageError):
            _log.warning("The catalog's digest could not be written.", exc_info=True)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no 'acumen worker' uses the catalog; while this is open none begins to."""
        descriptor = os.open(
            DataFolder.at(self.settings.data).workers_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(descriptor)

    def _begin_streaming(self, catalog: Catalog) -> None:
        """Begin streaming before any event arrives. If this fails, the runner tries again and logs it."""
        if self.settings.stream_folder is None:
            return
        from storage.read.change_feed import begin

        try:
            begin(catalog)
        except (OSError, ValueError, StorageError, SourceGone):
            _log.exception("The starting point of the event stream could not be recorded.")

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
        """Reload the log level and certificate, here and in the children; on an error the old ones stay."""
        self.reload_due = False
        _log.info("SIGHUP: the log level and the certificate are reloaded.")
        try:
            json_logging.set_level(self.settings.current_log_level())
        except BadSettings as error:
            _log.error(str(error))
        for child in self.children:
            if child.alive:
                _send(child, child_process.RELOAD)

    def _keep_running(self, url: str, announce: Callable[[], None]) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self._wake_read, selectors.EVENT_READ)
        announced = False
        try:
            while not self.stopping:
                now = time.monotonic()
                self._scale()
                for child in self.children:
                    self._look_after(child, now, selector, url)
                for key, _ in selector.select(POLL_SECONDS):
                    if isinstance(key.data, Child):
                        self._note_ready(key.data, selector)
                        self._write_state(url)
                    else:
                        os.read(self._wake_read, 4_096)
                if self.reload_due and all(child.ready for child in self.children):
                    self._reload()
                if not announced and all(child.ready for child in self.children):
                    announced = True
                    announce()
        finally:
            self._stop()

    def _scale(self) -> None:
        """Keep as many processes for runs as the runner says: begin further ones, tell the last to stop."""
        try:
            wanted = int(self.settings.run_workers_path.read_bytes())
        except (OSError, ValueError):
            wanted = 0
        own = [child for child in self.children if child.module == RUN_WORKER]
        for child in own[wanted:]:
            if child.alive:
                if not child.leaving:
                    child.leaving = True
                    _send(child, child_process.STOP)
            elif child.process is None:
                self.children.remove(child)
        for number in range(len(own), min(wanted, self.settings.run_workers)):
            self.children.append(
                Child(f"run-worker-{number}", RUN_WORKER, self.settings.workers + 2 + number)
            )

    def _look_after(self, child: Child, now: float, selector: selectors.BaseSelector, url: str) -> None:
        if child.alive:
            if child.failures and now - child.started > STEADY_SECONDS:
                child.failures = 0
            return
        if child.leaving:
            self._note_left(child, selector)
            return
        if child.process is not None:
            self._note_ended(child, now, selector)
        if now >= child.due:
            self._start(child, now, selector)
            self._write_state(url)

    def _note_left(self, child: Child, selector: selectors.BaseSelector) -> None:
        """Note that a child has ended as it was told; it begins again only if it is needed again."""
        self._close_ready(child, selector)
        os.close(child.commands)
        child.process, child.commands, child.ready, child.leaving = None, -1, False, False

    def _note_ended(self, child: Child, now: float, selector: selectors.BaseSelector) -> None:
        assert child.process is not None
        status = child.process.returncode
        pause = RESTART_SECONDS[min(child.failures, len(RESTART_SECONDS) - 1)]
        fields = {"child": child.name, "status": status, "restart_seconds": pause}
        _log.error("A child process ended and is started again.", extra={"fields": fields})
        self._close_ready(child, selector)
        os.close(child.commands)
        child.process, child.commands, child.ready = None, -1, False
        child.due = now + pause
        child.failures += 1
        if not child.worked and child.failures >= FIRST_STARTS_MAX and child.module != RUN_WORKER:
            raise CannotServe(f"The process {child.name} failed to start; the reason is logged above.")

    def _start(self, child: Child, now: float, selector: selectors.BaseSelector) -> None:
        with contextlib.ExitStack() as parent_ends, contextlib.ExitStack() as child_ends:
            try:
                ready, ready_write = _pipe(parent_ends, child_ends)
                commands, commands_write = _pipe(child_ends, parent_ends)
                listener = self._listener.fileno() if child.module == WORKER else None
                context = ChildContext(
                    self.settings, child.name, child.number, commands, ready_write, self._lock, listener
                )
                child.process = (start_child.fork if self.forks else start_child.spawn)(child.module, context)
            except OSError as error:
                self._postpone(child, now, error)
                return
            parent_ends.pop_all()
        child.ready_fd, child.commands, child.started = ready, commands_write, now
        selector.register(ready, selectors.EVENT_READ, child)

    def _postpone(self, child: Child, now: float, error: OSError) -> None:
        """Schedule another start after the system refused one, for lack of memory or descriptors."""
        pause = RESTART_SECONDS[min(child.failures, len(RESTART_SECONDS) - 1)]
        fields = {"child": child.name, "error": error.strerror or str(error), "restart_seconds": pause}
        _log.error("A child process could not be started, which is tried again.", extra={"fields": fields})
        child.due = now + pause
        child.failures += 1
        if not child.worked and child.failures >= FIRST_STARTS_MAX and child.module != RUN_WORKER:
            raise CannotServe(f"The process {child.name} cannot be started: {error.strerror}.")

    def _note_ready(self, child: Child, selector: selectors.BaseSelector) -> None:
        child.ready = os.read(child.ready_fd, 64) == child_process.READY or child.ready
        child.worked = child.worked or child.ready
        self._close_ready(child, selector)

    def _close_ready(self, child: Child, selector: selectors.BaseSelector) -> None:
        if child.ready_fd >= 0:
            selector.unregister(child.ready_fd)
            os.close(child.ready_fd)
            child.ready_fd = -1

    def _write_state(self, url: str) -> None:
        """Write ``run/server.json``, from which people and tests learn about the processes."""
        state = {
            "pid": os.getpid(),
            "url": url,
            "address": address_of(self.settings, self._listener),
            "children": {
                child.name: {"pid": child.process.pid, "ready": child.ready}
                for child in self.children
                if child.process is not None
            },
        }
        path = self.settings.run_folder / "server.json"
        unfinished = path.with_suffix(".tmp")
        try:
            unfinished.write_text(json.dumps(state), encoding="utf-8")
            unfinished.replace(path)
        except OSError:
            # A full disk must not stop a server that still answers queries.
            _log.exception("The state of the server could not be written.")

    def _stop(self) -> None:
        """Stop all children: workers first, so that the keeper flushes all events that they accepted."""
        settings = self.settings
        # Otherwise connections would be queued here after the workers stop accepting them, and hang.
        self._listener.close()
        workers = [child for child in self.children if child.module == "service.process.worker"]
        # uvicorn needs some tenths of a second beyond its wait for running requests.
        self._stop_children(workers, settings.unready_seconds + settings.shutdown_seconds + 2.0)
        self._stop_children([child for child in self.children if child not in workers], KEEPER_SECONDS)
        (settings.run_folder / "server.json").unlink(missing_ok=True)

    def _stop_children(self, children: list[Child], seconds: float) -> None:
        for child in children:
            if child.alive:
                _send(child, child_process.STOP)
        deadline = time.monotonic() + seconds
        for child in children:
            if child.process is None:
                continue
            while child.alive and time.monotonic() < deadline:
                time.sleep(END_POLL_SECONDS)
            if child.alive:
                fields = {"child": child.name, "seconds": seconds}
                _log.warning("A child process did not stop in time and is killed.", extra={"fields": fields})
                child.process.kill()
                while child.alive:
                    time.sleep(END_POLL_SECONDS)
            os.close(child.commands)
            child.commands = -1


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """The two ends of a new pipe, each closed by its stack."""
    read, write = os.pipe()
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write


def _send(child: Child, command: bytes) -> None:
    """Write a command to a child, ignoring the error if the child is gone."""
    try:
        os.write(child.commands, command)
    except OSError:
        pass


def lock_folder(data: Path) -> int:
    """Lock the data folder; returns the descriptor of the lock, which children inherit. Raises CannotServe.

    Waits up to LOCK_WAIT_SECONDS, since the children of a killed server need a moment to exit.
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
    """Bind a TCP socket and listen on it. Raises CannotServe."""
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
        # Listen at once, so that a second server on this port fails here and not later, in a worker.
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
    """The server's URL for clients."""
    return settings.public_url or address_of(settings, listener)


def address_of(settings: Settings, listener: socket.socket) -> str:
    """The server's URL on this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_cert else 'http'}://{shown}:{port}"


def recover_logs(catalog: Catalog) -> None:
    """Take over the logs of an earlier server before any worker answers. Raises CannotServe."""
    try:
        recover(catalog.folder, catalog, LocalFileSystem())
    except (OSError, StorageError) as error:
        raise CannotServe(f"The logs in {catalog.folder.logs} cannot be read: {error}.") from error


def prepare_catalog(settings: Settings) -> Catalog:
    """Open the catalog, created or migrated as needed. Raises CannotServe."""
    try:
        return Catalog.prepare(settings.data, secret=settings.secret_key)
    except (CatalogError, OSError) as error:
        raise CannotServe(str(error)) from None
