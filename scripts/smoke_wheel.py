"""Build the wheels of the server and the Python client, install them in an environment of their own, and try
the server with that client.

What is tested elsewhere runs from the checkout; this runs what people install: the built packages, with
exactly what `requirements.lock` names, from a folder that holds nothing of the checkout. Needs the
environment that `make setup` makes. Exit status 0 where all works; otherwise the first failure is printed.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("service", "storage", "query")
CLIENT = ROOT / "clients/python"
CLIENTS = ("clients/charts/dist", "clients/js/dist")
"""Folders of the built clients, whose scripts the wheel's server answers too."""
PAGES = ROOT / "clients/pages/dist"
"""Folder of the pages, whose files it answers below `/pages/`."""
START_SECONDS = 120.0


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="acumen-wheel-") as name:
        folder = Path(name)
        wheel = build(folder / "server", ROOT)
        client = build(folder / "client", CLIENT)
        missing = left_out(wheel, ROOT, PACKAGES) + left_out(client, CLIENT / "src", ("acumen_client",))
        if missing:
            print(f"The wheels lack {', '.join(missing)}.", file=sys.stderr)
            return 1
        print(f"built {wheel.name} and {client.name}", flush=True)
        programs = install(folder / "environment", wheel, client)
        print("installed them with what requirements.lock names", flush=True)
        try_it(programs, folder)
    print("The wheels work: events were recorded, counted and embedded; scripts and document were answered.")
    return 0


def build(folder: Path, source: Path) -> Path:
    """The wheel of the package in this folder."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


def left_out(wheel: Path, root: Path, packages: Iterable[str]) -> list[str]:
    """Files of the packages that the wheel does not hold."""
    files = (path for package in packages for path in (root / package).rglob("*") if path.is_file())
    names = {str(path.relative_to(root)) for path in files if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        return sorted(names - set(archive.namelist()))


def install(folder: Path, *wheels: Path) -> Path:
    """The folder of the programs of a new environment with the wheels and the locked packages."""
    run(sys.executable, "-m", "venv", str(folder))
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", str(ROOT / "requirements.lock"))
    run(*pip, "--no-deps", "--no-index", *map(str, wheels))
    return folder / "bin"


PROGRAM = """
from acumen_client import Acumen, embed_token

client = Acumen.from_environment()
with client.sender() as sender:
    sender.record("orders", {"price": 4.5})
client.saved_queries.put("orders", {"analysis_type": "count", "event_collection": "orders"})
key = client.access_keys.create("Embedding", ["saved_queries", "cached_queries"]).key
seen = client.with_keys(read_key=embed_token(key, saved_queries=["orders"]))
assert seen.saved_queries.result("orders").value == client.count("orders").value == 1
"""
"""What somebody does with the client in their own environment."""


def try_it(programs: Path, folder: Path) -> None:
    """Serve, record an event and count it with the client, read the API's document and the scripts, stop."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ACUMEN_")}
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [programs / "acumen", "serve", "--port", str(port), "--data", str(folder / "data")],
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
        given = {"ACUMEN_URL": base, "ACUMEN_PROJECT": project, "ACUMEN_MASTER_KEY": keys["Master"]}
        command = [str(programs / "python"), "-c", PROGRAM]
        subprocess.run(command, cwd=folder, env={**variables, **given}, check=True)
        assert b'"paths"' in fetched(f"{base}/openapi.json")
        for script in (path for name in CLIENTS for path in sorted((ROOT / name).glob("*.js"))):
            assert fetched(f"{base}/clients/{script.name}") == script.read_bytes(), script.name
        for file in PAGES.iterdir():
            if file.suffix != ".html":
                assert fetched(f"{base}/pages/{file.name}") == file.read_bytes(), file.name
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


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        content: bytes = answer.read()
        return content


def run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
