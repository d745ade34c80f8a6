"""Answers about paths equal those of a slow evaluator, over files, tails and mixtures of both."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from query.engine.engine import Engine
from query.language.analyses.sequence_nodes import PathsQuery
from tests.query import strategies
from tests.query.answers.test_reference import ask, checked, close
from tests.query.behaviour import paths_answer
from tests.query.support_source import Event


@checked(400)
@given(
    events=strategies.events_lists(),
    others=strategies.events_lists(5),
    query=strategies.paths_queries(),
    seed=st.integers(0, 2**32),
)
def test_paths_are_those_of_the_reference(
    engine: Engine, data_folder: Path, events: list[Event], others: list[Event], query: PathsQuery, seed: int
) -> None:
    collections = {"c": events, "d": others}

    found = ask(query, collections, engine, data_folder, seed)["result"]

    assert close(found, paths_answer.answer(query, collections)), found
