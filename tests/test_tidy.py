"""What keeps the tree tidy: who may import whom, short functions, no strays, nothing of one machine in it."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("service", "storage", "query")
FUNCTION_LINES_MAX = 70

MAY_IMPORT = {
    "storage": {"storage"},
    "query": {"query", "storage"},
    "service": {"service", "query", "storage"},
}
QUERY_SEES_OF_STORAGE = {"storage.schema", "storage.source", "storage.instants"}

# library → the modules that may import it, as patterns of dotted names
CONFINED = {
    "fastapi": r"service\.http\..*",
    "starlette": r"service\.http\..*",
    "uvicorn": r"service\.(http|process)\..*",
    "pydantic": r"service\.(settings|http\..*)",
    "pydantic_settings": r"service\.settings",
    "sqlalchemy": r"storage\.catalog\..*",
    "argon2": r"service\.people\.passwords",
    "httpcore": r"service\.outbound\..*",
    "psycopg": r"service\.pipelines\.(sources\.postgres|connections\.(definition|postgres)|sinks\.tables)",
    "pyotp": r"service\.people\.second_factor",
    "joserfc": r"service\.people\.openid_provider",
    "segno": r"service\.people\.second_factor",
    "alembic": r"storage\.catalog\.(migration|migrations\..*)",
    "duckdb": r"query\.(engine\.engine|untrusted\.process|transforms\.syntax)|storage\.columns\.shredder",
    "pyarrow.parquet": (
        r"storage\.(files\.(parquet|compaction)|maintenance\.integrity_check)|service\.imports\.tables"
    ),
}
PURE = (
    *(
        f"query.{name}"
        for name in (
            *(f"language.{name}" for name in ("nodes", "parse", "timeframe", "filters", "grouping")),
            *(f"plan.{name}" for name in ("plan", "views", "scans", "keys", "aggregates")),
            "sql.statements",
            *(f"answers.{name}" for name in ("shape", "groups", "results", "values")),
        )
    ),
    *(
        f"storage.{name}"
        for name in ("schema", "source", "instants", "log.format", "files.partitions", "events.validation")
    ),
)
INPUT_AND_OUTPUT = {"os", "io", "socket", "subprocess", "threading", "tempfile", "shutil", "pathlib", "time"}
ROOMS = {
    "service": (
        "telemetry",
        "limits",
        "auth",
        "bodies",
        "ingest",
        "queries",
        "background",
        "plugins",
        "outbound",
        "workflows",
        "pictures",
        "saved_queries",
        "cohorts",
        "datasets",
        "exports",
        "imports",
        "pipelines",
        "people",
        "alerts",
        "lineage",
        "maintenance",
        "http",
        "process",
        "shell_import",
        "cli",
    ),
    "query": ("language", "plan", "sql", "engine", "behaviour", "answers", "untrusted", "transforms"),
    "storage": (
        "disk",
        "log",
        "events",
        "columns",
        "catalog",
        "files",
        "recovery",
        "read",
        "keeper",
        "maintenance",
    ),
}
"""Folders of a package, each of which may import those before it and the modules beside them all."""
ROOM_MODULES_MAX = 15
BANNED_MODULE_NAMES = {"utils", "util", "helpers", "common", "manager", "core", "misc"}


def module_files() -> dict[str, Path]:
    """Dotted name → file, of every module of the server."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = list(path.relative_to(ROOT).with_suffix("").parts)
            if parts[-1] == "__init__":
                parts.pop()
            found[".".join(parts)] = path
    return found


MODULES = module_files()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imports_of(module: str) -> frozenset[str]:
    """Every dotted name a module imports, of `from a import b` both `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(tree_of(MODULES[module])):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively: write the whole name"
            assert node.module is not None
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def tracked_files() -> list[Path]:
    """What git knows of, or all files where this is no checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        return [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_a_name_of_a_class_means_one_thing() -> None:
    """But for the API's models, which show what the class of the same name is."""
    places: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        if module.split(".")[0] in MAY_IMPORT and not module.startswith(("tests", "service.http.models.")):
            for node in tree_of(path).body:
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("module", MODULES)
def test_packages_import_in_one_direction(module: str) -> None:
    """service → query → storage; and nothing of the server imports clients or tests."""
    own = module.split(".")[0]
    other = {"service", "storage", "query", "clients", "tests", "bench"} - MAY_IMPORT[own]
    assert not {name for name in imports_of(module) if name.split(".")[0] in other}


@pytest.mark.parametrize("package", ROOMS)
def test_tests_stand_in_the_same_rooms(package: str) -> None:
    folders = {path.parent.name for path in (ROOT / "tests" / package).glob("*/test_*.py")}
    assert folders <= set(ROOMS[package])


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("query")])
def test_query_sees_only_the_face_of_storage(module: str) -> None:
    """The log, the catalog and the files are none of the compiler's business."""
    seen = {name for name in imports_of(module) if name in MODULES and name.startswith("storage.")}
    assert seen <= QUERY_SEES_OF_STORAGE


def room_of(module: str) -> str | None:
    """The room of a module of a package that has some; None for one beside them."""
    package, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    return room if room in ROOMS.get(package, ()) else None


@pytest.mark.parametrize("package", ROOMS)
def test_every_folder_is_a_room(package: str) -> None:
    folders = {path.name for path in (ROOT / package).iterdir() if (path / "__init__.py").exists()}
    assert folders == set(ROOMS[package])


@pytest.mark.parametrize(
    "module", [name for name in MODULES if name.split(".")[0] in ROOMS and not name.endswith("__main__")]
)
def test_rooms_import_in_one_direction(module: str) -> None:
    package = module.split(".")[0]
    rooms = ROOMS[package]
    own = room_of(module)
    reach = rooms[: rooms.index(own) + 1] if own else ()
    seen = {name for name in imports_of(module) if name.startswith(f"{package}.")}
    assert not {name for name in seen if (room := room_of(name)) and room not in reach}


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_are_small(package: str) -> None:
    """So that a newcomer sees at once what is in them."""
    counts: dict[Path, int] = {}
    for module, path in MODULES.items():
        if module.startswith(package) and path.name != "__init__.py" and "migrations" not in path.parts:
            counts[path.parent] = counts.get(path.parent, 0) + 1
    assert not {folder: count for folder, count in counts.items() if count > ROOM_MODULES_MAX}


@pytest.mark.parametrize(("library", "homes"), CONFINED.items())
def test_libraries_stay_in_their_home(library: str, homes: str) -> None:
    users = {
        module
        for module in MODULES
        if any(name == library or name.startswith(f"{library}.") for name in imports_of(module))
    }
    assert users, f"nobody imports {library}: is the rule out of date?"
    assert not {module for module in users if not re.fullmatch(homes, module)}


def test_only_the_settings_read_the_environment() -> None:
    readers = set()
    for module, path in MODULES.items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
                readers.add(module)
    assert readers <= {"service.settings"}


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_do_no_input_or_output(module: str) -> None:
    """They take values and give values, so their tests need nothing else."""
    assert not imports_of(module) & INPUT_AND_OUTPUT


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def own_lines(function: ast.AST) -> int:
    """Lines of a function, but for those of classes and functions in it, which count for themselves."""
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    lines = span(function)
    inner = [node for node in ast.iter_child_nodes(function) if isinstance(node, ast.stmt)]
    while inner:
        node = inner.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            lines -= span(node)
        else:
            inner += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return lines


def span(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def test_functions_are_short() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}": own_lines(function)
        for path in tracked_files()
        if path.suffix == ".py"
        for function in functions(tree_of(path))
        if own_lines(function) > FUNCTION_LINES_MAX
    }
    assert not long


def test_no_module_is_orphaned() -> None:
    """Every module is imported by another, started by name, or is the command itself."""
    imported = {name for module in MODULES for name in imports_of(module) - {module}}
    texts = "\n".join(path.read_text() for path in MODULES.values())
    started = {module for module in MODULES if f'"{module}"' in texts}
    folders = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    entered = {"service.__main__", *folders}
    orphans = set(MODULES) - imported - started - entered
    # Packages of migrations are read from their folder.
    assert {module for module in orphans if not module.startswith("storage.catalog.migrations")} == set()


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not {module for module in MODULES if module.rsplit(".", 1)[-1] in BANNED_MODULE_NAMES}


def test_every_test_folder_is_a_package() -> None:
    """Otherwise `tests/query` would shadow `query`."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts}
    assert not {folder for folder in folders if not (folder / "__init__.py").exists()}


def test_no_other_distribution_owns_our_import_names() -> None:
    owners = {
        distribution.metadata["Name"]
        for distribution in distributions()
        for file in distribution.files or ()
        if file.parts[0] in PACKAGES and file.suffix == ".py"
    }
    assert owners <= {"acumen-server"}


# Built from parts, so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile("|".join(("/" + "work/", "/" + "root/", "/" + "home/[a-z]", "/" + "Users/[a-z]")))


def test_no_path_of_one_machine_is_in_the_tree() -> None:
    places = [str(ROOT) + "/"] if len(ROOT.parts) > 2 else []
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if MACHINE_PATHS.search(text) or any(place in text for place in places):
            found.append(str(path.relative_to(ROOT)))
    assert not found


@pytest.mark.parametrize(
    "lock",
    [
        "requirements.lock",
        "requirements-build.lock",
        "requirements-dev.lock",
        "tests/clients/airflow/requirements.lock",
    ],
)
def test_locks_hold_versions_and_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[A-Za-z0-9_.-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_the_node_lock_has_integrity_and_no_address() -> None:
    text = (ROOT / "tests/sdk/node/package-lock.json").read_text()
    assert '"resolved"' not in text
    assert text.count('"integrity"') == text.count('"node_modules/')


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    for lock, wanted in (
        ("requirements.lock", project["project"]["dependencies"]),
        ("requirements-build.lock", groups["build"]),
        ("requirements-dev.lock", groups["dev"]),
    ):
        locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE))
        for requirement in wanted:
            match = re.match(r"[A-Za-z0-9_.-]+", requirement)
            assert match is not None
            assert match[0].lower().replace("_", "-") in locked, requirement


@pytest.mark.parametrize(
    "name",
    [
        "LICENSE",
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "Makefile",
        "Dockerfile",
        ".ci/run",
    ],
)
def test_what_a_visitor_looks_for_is_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


def test_the_license_is_apache_2() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def links_in(path: Path) -> Iterator[str]:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


def anchors_of(path: Path) -> set[str]:
    """The anchors of a document's headings, made as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for path in tracked_files():
        if path.suffix != ".md":
            continue
        for link in links_in(path):
            if "://" in link:
                continue
            target, _, anchor = link.partition("#")
            file = (path.parent / target).resolve() if target else path
            if not file.exists() or (anchor and anchor not in anchors_of(file)):
                broken.append(f"{path.relative_to(ROOT)}: {link}")
    assert not broken
