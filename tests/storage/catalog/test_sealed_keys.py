"""Keys of projects and organisations at rest: nobody reads them without the server's secret."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from storage.catalog.catalog import Catalog
from storage.catalog.database.connection import connect
from storage.catalog.errors import InvalidName, WrongSecret
from storage.catalog.tenants.records import KeyKind, Project

SECRET = "a secret that is not the folder's own"


def folder_bytes(data: Path) -> bytes:
    """All that a copy of the catalog would hold."""
    return b"".join(path.read_bytes() for path in sorted(data.glob("catalog.sqlite*")))


def keys_of(project: Project) -> list[str]:
    return [project.master_key, project.write_key, project.read_key]


def test_no_key_stands_in_the_catalog(tmp_path: Path) -> None:
    with closing(Catalog.prepare(tmp_path)) as catalog:
        project, _ = catalog.projects.ensure_first()
        (organisation,) = catalog.organisations.all()
        renewed = catalog.organisations.renew_key(organisation.id)
        catalog.projects.renew_keys(project.id, {KeyKind.READ: None})
        after = catalog.projects.get(project.id)
        stored = folder_bytes(tmp_path)
        for key in [*keys_of(project), *keys_of(after), organisation.key, renewed]:
            assert key.encode() not in stored
        assert (after.master_key, after.write_key) == (project.master_key, project.write_key)
        assert after.read_key != project.read_key


def test_the_same_secret_opens_them_again(tmp_path: Path) -> None:
    with closing(Catalog.prepare(tmp_path, secret=SECRET)) as catalog:
        project, _ = catalog.projects.ensure_first()
    assert not (tmp_path / "secret.key").exists()
    with closing(Catalog.open(tmp_path, secret=SECRET)) as catalog:
        assert catalog.projects.all() == [project]


def test_keys_of_an_older_format_are_sealed_and_stay_what_they_are(tmp_path: Path) -> None:
    with closing(Catalog.prepare(tmp_path)) as catalog:
        project, _ = catalog.projects.ensure_first()
        (organisation,) = catalog.organisations.all()
    with closing(connect(tmp_path / "catalog.sqlite")) as connection, connection:
        connection.execute("UPDATE organisations SET key = ?", [organisation.key])
        for kind, key in zip(KeyKind, keys_of(project), strict=True):
            connection.execute("UPDATE project_keys SET key = ? WHERE kind = ?", [key, kind.value])
    assert project.read_key.encode() in folder_bytes(tmp_path)
    with closing(Catalog.prepare(tmp_path)) as catalog:
        assert catalog.projects.all() == [project]
        assert catalog.organisations.all() == [organisation]
        stored = folder_bytes(tmp_path)
    assert not [key for key in [*keys_of(project), organisation.key] if key.encode() in stored]


def test_with_another_secret_it_is_said_what_helps_and_new_keys_do(tmp_path: Path) -> None:
    with closing(Catalog.prepare(tmp_path)) as catalog:
        project, _ = catalog.projects.ensure_first()
        (organisation,) = catalog.organisations.all()
    with closing(Catalog.open(tmp_path, secret=SECRET)) as catalog:
        with pytest.raises(WrongSecret, match=f"secret.key .* acumen projects rekey {project.id}"):
            catalog.projects.all()
        with pytest.raises(WrongSecret, match=f"acumen orgs rekey {organisation.id}"):
            catalog.organisations.all()
        catalog.projects.renew_keys(project.id, dict.fromkeys(KeyKind))
        key = catalog.organisations.renew_key(organisation.id)
        assert catalog.projects.get(project.id).id == project.id
        assert [one.key for one in catalog.organisations.all()] == [key]


def test_keys_that_clients_have_are_taken_and_still_differ(tmp_path: Path) -> None:
    with closing(Catalog.prepare(tmp_path)) as catalog:
        project, _ = catalog.projects.ensure_first()
        catalog.projects.renew_keys(project.id, {KeyKind.WRITE: "A" * 64})
        assert catalog.projects.get(project.id).write_key == "A" * 64
        for key in (project.master_key, "short", "with space"):
            with pytest.raises(InvalidName):
                catalog.projects.renew_keys(project.id, {KeyKind.WRITE: key})
        assert catalog.projects.get(project.id).write_key == "A" * 64


@pytest.mark.parametrize("damaged", [b"\xb5\x00\xff", b"", b"text of another file\n"])
def test_a_damaged_secret_is_a_wrong_one(tmp_path: Path, damaged: bytes) -> None:
    with closing(Catalog.prepare(tmp_path)) as catalog:
        catalog.projects.ensure_first()
    (tmp_path / "secret.key").write_bytes(damaged)

    with closing(Catalog.open(tmp_path)) as catalog, pytest.raises(WrongSecret, match=r"secret\.key"):
        catalog.projects.all()
