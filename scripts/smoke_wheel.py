"""Build the wheel, install it in an environment of its own, and try the server that it holds.

What is tested elsewhere runs from the checkout; this runs what people install: the built package, with
exactly what `requirements.lock` names, from a folder that holds nothing of the checkout. Needs the
environment that `make setup` makes. Exit status 0 where all works; otherwise the first failure is printed.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("service", "storage", "query")
CLIENTS = ("clients/charts/dist", "clients/js/dist")
"""Folders of the built clients, whose scripts the wheel's server answers too."""
START_SECONDS = 120.0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="acumen-wheel-") as name:
        folder = Path(name)
        wheel = build(folder / "wheels")
        if missing := left_out(wheel):
            print(f"The wheel lacks {', '.join(missing)}.", file=sys.stderr)
            return 1
        print(f"built {wheel.name}", flush=True)
        acumen = install(folder / "environment", wheel)
        print("installed it with what requirements.lock names", flush=True)
        try_it(acumen, folder)
    print(
        "The wheel serves: an event was taken and counted, the API's document and the clients were answered."
    )
    return 0


def build(folder: Path) -> Path:
    """The wheel of this checkout."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    return wheel


def left_out(wheel: Path) -> list[str]:
    """Files of the packages that the wheel does not hold."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    names = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        return sorted(names - set(archive.namelist()))


def install(folder: Path, wheel: Path) -> Path:
    """The command `acumen` of a new environment that holds the wheel and the locked packages."""
    run(sys.executable, "-m", "venv", str(folder))
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", str(ROOT / "requirements.lock"))
    run(*pip, "--no-deps", "--no-index", str(wheel))
    return folder / "bin/acumen"


def try_it(acumen: Path, folder: Path) -> None:
    """Serve, send an event, count it, read the API's document, stop."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ACUMEN_")}
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [acumen, "serve", "--port", str(port), "--data", str(folder / "data")],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        await_ready(server, base, log)
        said = [line.split() for line in log.read_text().splitlines()]
        keys = {words[0]: words[2] for words in said if len(words) == 3 and words[1] == "key"}
        project = next(words[1] for words in said if words[:1] == ["Project"])
        path = f"{base}/3.0/projects/{project}"
        call(f"{path}/events/orders", keys["Write"], {"price": 4.5})
        asked = call(f"{path}/queries/count?event_collection=orders", keys["Read"])
        assert asked == {"result": 1}, asked
        assert "paths" in call(f"{base}/openapi.json", keys["Read"])
        for script in (path for name in CLIENTS for path in sorted((ROOT / name).glob("*.js"))):
            assert fetched(f"{base}/clients/{script.name}") == script.read_bytes(), script.name
    finally:
        server.send_signal(signal.SIGTERM)
        status = server.wait(120)
    assert status == 0, log.read_text()


def await_ready(server: subprocess.Popen[bytes], base: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while b"Acumen answers at" not in log.read_bytes():
        if server.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"The server did not start:\n{log.read_text()}")
        time.sleep(0.1)


def call(url: str, key: str, event: object = None) -> dict[str, object]:
    """The answer as JSON; with an event it is a POST."""
    body = None if event is None else json.dumps(event).encode()
    headers = {"Authorization": key, "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
        found: dict[str, object] = json.loads(answer.read())
        return found


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        content: bytes = answer.read()
        return content


def run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
