"""Whoever keeps projects or collections in memory reads those that changed, however many there are."""

from __future__ import annotations

import pytest

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import Collection
from storage.catalog.tenants.records import AccessKey, KeyKind, Project
from storage.schema import LaneKind


@pytest.fixture
def project(catalog: Catalog) -> Project:
    return catalog.projects.ensure_first()[0]


def key_of(project: Project, digest: str = "d") -> AccessKey:
    return AccessKey(project.id, digest, b"", "Key", True, ("writes",), {}, 0)


class TestTenants:
    def test_the_first_look_is_at_all_of_them(self, catalog: Catalog, project: Project) -> None:
        other = catalog.projects.create("Other")
        found = catalog.tenants.since(-1)
        assert found.version == catalog.tenants.version()
        assert found.projects == (project, other)
        assert [one.id for one in found.organisations] == [project.organisation_id]

    def test_later_ones_are_at_what_has_changed(self, catalog: Catalog, project: Project) -> None:
        other = catalog.projects.create("Other")
        seen = catalog.tenants.version()
        assert catalog.tenants.since(seen).projects == ()
        changed = catalog.projects.update(other.id, name="Another")
        found = catalog.tenants.since(seen)
        assert (found.projects, found.gone_projects, found.organisations) == ((changed,), frozenset(), ())
        catalog.projects.renew_keys(project.id, {KeyKind.READ: None})
        assert catalog.tenants.since(found.version).projects == (catalog.projects.get(project.id),)
        assert catalog.tenants.since(seen).projects == (catalog.projects.get(project.id), changed)

    def test_a_project_changes_with_its_access_keys(self, catalog: Catalog, project: Project) -> None:
        catalog.projects.create("Other")

        def changed() -> tuple[Project, ...]:
            return catalog.tenants.since(catalog.tenants.version() - 1).projects

        catalog.access_keys.create(key_of(project))
        assert changed() == (project,)
        catalog.access_keys.activate(project.id, "d", active=False)
        assert changed() == (project,)
        catalog.access_keys.update(project.id, "d", name="Other", is_active=None, permitted=(), options={})
        assert changed() == (project,)
        catalog.access_keys.delete(project.id, "d")
        assert changed() == (project,)

    def test_what_was_deleted_is_told_and_what_is_brought_back(
        self, catalog: Catalog, project: Project
    ) -> None:
        seen = catalog.tenants.version()
        catalog.projects.delete(project.id)
        found = catalog.tenants.since(seen)
        assert (found.projects, found.gone_projects) == ((), frozenset({project.id}))
        catalog.projects.restore(project.id)
        assert catalog.tenants.since(found.version).projects == (project,)

    def test_projects_go_with_their_organisation(self, catalog: Catalog, project: Project) -> None:
        seen = catalog.tenants.version()
        catalog.organisations.delete(project.organisation_id, with_projects=True)
        found = catalog.tenants.since(seen)
        assert found.gone_projects == frozenset({project.id})
        assert found.gone_organisations == frozenset({project.organisation_id})

    def test_an_organisation_changes_with_its_key(self, catalog: Catalog, project: Project) -> None:
        seen = catalog.tenants.version()
        key = catalog.organisations.renew_key(project.organisation_id)
        assert [one.key for one in catalog.tenants.since(seen).organisations] == [key]


class TestCollections:
    def test_new_lanes_are_a_change_and_new_events_are_none(
        self, catalog: Catalog, collection: Collection
    ) -> None:
        seen = catalog.versions().data
        catalog.collections.ensure(collection.project_id, "another")
        catalog.logs.create()
        assert catalog.collections.changed_since(seen) == (catalog.versions().data, [])
        catalog.collections.add_lanes(collection.id, [("a", LaneKind.NUMBER)], 9)
        assert catalog.collections.changed_since(seen) == (catalog.versions().data, [collection.id])

    def test_lanes_that_go_and_names_that_are_freed_are_changes(
        self, catalog: Catalog, collection: Collection
    ) -> None:
        catalog.collections.add_lanes(collection.id, [("a", LaneKind.NUMBER)], 9)
        seen = catalog.versions().data
        catalog.collections.prune_lanes(collection.id, frozenset(), frozenset())
        assert catalog.collections.changed_since(seen)[1] == [collection.id]
