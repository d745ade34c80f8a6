"""Claims to tokens: one winner, for as long as the claim holds."""

from __future__ import annotations

from storage.catalog.catalog import Catalog
from storage.catalog.stored.records import request_scope
from tests.support.catalogs import HOUR_US, claim_of


class TestClaims:
    def test_the_first_claim_wins_and_later_ones_learn_of_it(self, catalog: Catalog) -> None:
        first = claim_of("t", 1)
        assert catalog.claims.take([first], 0, HOUR_US) == [first]
        later = claim_of("t", 5, log_id=2)
        other = claim_of("u", 6, log_id=2)
        assert catalog.claims.take([later, other], 1, HOUR_US) == [first, other]

    def test_of_many_claims_some_may_be_taken(self, catalog: Catalog) -> None:
        """One that is taken, one that expired, one twice, and the rest new: each learns who has its token."""
        taken, expired = claim_of("t3", 1, at_us=HOUR_US), claim_of("t5", 2, at_us=0)
        catalog.claims.take([taken, expired], 0, HOUR_US)
        claims = [claim_of(f"t{number}", 9, log_id=2, at_us=HOUR_US) for number in range(1_300)]
        again = claim_of("t7", 10, log_id=2, at_us=HOUR_US)
        expected = [*claims, claims[7]]
        expected[3] = taken
        assert catalog.claims.take([*claims, again], HOUR_US, HOUR_US) == expected
        assert catalog.claims.find([("c1", "t5")]) == {("c1", "t5"): claims[5]}

    def test_within_one_call_the_first_wins(self, catalog: Catalog) -> None:
        a, b, other_scope = claim_of("t", 1), claim_of("t", 2), claim_of("t", 3, scope="c2")
        assert catalog.claims.take([a, b, other_scope], 0, HOUR_US) == [a, a, other_scope]

    def test_asking_again_for_the_same_event_wins_again(self, catalog: Catalog) -> None:
        first = claim_of("t", 1)
        catalog.claims.take([first], 0, HOUR_US)
        assert catalog.claims.take([first], 0, HOUR_US) == [first]

    def test_an_expired_claim_gives_way(self, catalog: Catalog) -> None:
        first, late = claim_of("t", 1, at_us=0), claim_of("t", 2, at_us=HOUR_US)
        assert catalog.claims.take([first], 0, HOUR_US) == [first]
        assert catalog.claims.take([late], HOUR_US - 1, HOUR_US) == [first]
        assert catalog.claims.take([late], HOUR_US, HOUR_US) == [late]
        assert catalog.claims.find([("c1", "t")]) == {("c1", "t"): late}

    def test_more_claims_than_one_statement_binds(self, catalog: Catalog) -> None:
        claims = [claim_of(f"t{number}", number) for number in range(1_300)]
        assert catalog.claims.take(claims, 0, HOUR_US) == claims
        assert len(catalog.claims.find([(claim.scope, claim.token) for claim in claims])) == 1_300
        catalog.claims.void(1, range(1_299))
        assert list(catalog.claims.find((c.scope, c.token) for c in claims).values()) == [claims[-1]]

    def test_only_the_events_own_claims_are_voided(self, catalog: Catalog) -> None:
        mine, theirs = claim_of("t", 1), claim_of("u", 1, log_id=2)
        catalog.claims.take([mine, theirs], 0, HOUR_US)
        catalog.claims.void(1, [1, 2])
        assert catalog.claims.find([("c1", "t"), ("c1", "u")]) == {("c1", "u"): theirs}

    def test_sealing_voids_the_claims_of_events_that_were_lost(self, catalog: Catalog) -> None:
        log_id = catalog.logs.create()
        base = 1 << 62
        claims = [claim_of(f"t{number}", base + number, log_id=log_id) for number in range(4)]
        theirs = claim_of("u", base + 9, log_id=log_id + 1)
        catalog.claims.take([*claims, theirs], 0, HOUR_US)
        catalog.logs.seal(log_id, 0, base + 1)
        held = catalog.claims.find((claim.scope, claim.token) for claim in (*claims, theirs))
        assert list(held.values()) == [*claims[:2], theirs]

    def test_sealing_a_log_without_recovered_claims_voids_all(self, catalog: Catalog) -> None:
        log_id = catalog.logs.create()
        catalog.claims.take([claim_of("t", 0, log_id=log_id)], 0, HOUR_US)
        catalog.logs.seal(log_id, 0, None)
        assert catalog.claims.find([("c1", "t")]) == {}

    def test_claims_outlive_their_log(self, catalog: Catalog) -> None:
        log_id = catalog.logs.create()
        mine = claim_of("t", 3, log_id=log_id)
        catalog.claims.take([mine], 0, HOUR_US)
        catalog.logs.seal(log_id, 0, 3)
        catalog.logs.remove(log_id)
        assert catalog.claims.take([claim_of("t", 9, log_id=99)], 0, HOUR_US) == [mine]

    def test_old_claims_are_purged_a_few_at_a_time(self, catalog: Catalog) -> None:
        claims = [claim_of(f"t{at_us}", at_us, at_us=at_us) for at_us in range(10)]
        catalog.claims.take(claims, 0, HOUR_US)
        assert [catalog.claims.purge(5, 3) for _ in range(3)] == [3, 2, 0]
        assert set(catalog.claims.find((c.scope, c.token) for c in claims).values()) == set(claims[5:])

    def test_claims_leave_the_version_alone(self, catalog: Catalog) -> None:
        version = catalog.versions()
        catalog.claims.take([claim_of("t", 1)], 0, HOUR_US)
        catalog.claims.void(1, [1])
        catalog.claims.purge(1, 1)
        assert catalog.claims.take([], 0, HOUR_US) == []
        assert catalog.versions() == version

    def test_a_purged_project_leaves_no_keys_of_its_requests(self, catalog: Catalog) -> None:
        project, other = catalog.projects.create("Gone"), catalog.projects.create("Other")
        scopes = [request_scope(one.id) for one in (project, other)]
        catalog.claims.take([claim_of("k", n, scope=scope) for n, scope in enumerate(scopes)], 0, HOUR_US)
        catalog.projects.delete(project.id)
        (deleted,) = catalog.projects.deleted()
        assert catalog.projects.begin_purge(deleted)
        catalog.projects.end_purge(deleted)
        assert [scope for scope, _ in catalog.claims.find((scope, "k") for scope in scopes)] == scopes[1:]
