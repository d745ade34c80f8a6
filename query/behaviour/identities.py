"""Which ids are one actor, by statements that two ids are.

A statement is a *link*, of an anonymous id to a user, or an *alias*, of one user to another. They count in
their order:

- A link gives the anonymous id to the user's actor, unless the id has been given before, or has been a user
  itself. So it never makes two users one.
- An alias makes the actors of both ids one.
- The id of the user that a statement names stands for the actor. What is one already stays as it is, so
  cycles do no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from query.behaviour.sequences import Flags, Integers


@dataclass(frozen=True, slots=True)
class Statements:
    """Statements in their order, of ids numbered from 0 to ``size`` - 1."""

    ids: Integers
    users: Integers
    aliases: Flags
    size: int


@dataclass(frozen=True, slots=True)
class Owners:
    """The ids that belong to others, and the id that stands for the actor of each."""

    ids: Integers
    actors: Integers


def owners_of(told: Statements) -> Owners:
    """IdLinks of ids that are named by nothing else are taken together; only the others one by one."""
    first_as_user = _first_rows(told.users, told.size)
    in_alias = np.zeros(told.size, dtype=bool)
    in_alias[told.ids[told.aliases]] = True
    in_alias[told.users[told.aliases]] = True
    entangled = in_alias | (first_as_user < len(told.users))
    one_by_one = entangled[told.ids] | told.aliases
    parents = _followed(told, np.flatnonzero(one_by_one), first_as_user)
    plain_rows = np.flatnonzero(~one_by_one)
    plain, first = np.unique(told.ids[plain_rows], return_index=True)
    roots = np.arange(told.size)
    for one in parents:
        roots[one] = _root(parents, one)
    others = np.fromiter(parents, dtype=np.int64, count=len(parents))
    return Owners(
        np.concatenate([plain, others]),
        np.concatenate([roots[told.users[plain_rows[first]]], roots[others]]),
    )


def _first_rows(ids: Integers, size: int) -> Integers:
    """The first row with each id; the number of rows where there is none."""
    rows = np.full(size, len(ids), dtype=np.int64)
    rows[ids[::-1]] = np.arange(len(ids) - 1, -1, -1)
    return rows


def _followed(told: Statements, rows: Integers, first_as_user: Integers) -> dict[int, int]:
    """The id that each id was given to by these statements."""
    parents: dict[int, int] = {}
    for row, one, user, alias in zip(
        rows.tolist(),
        told.ids[rows].tolist(),
        told.users[rows].tolist(),
        told.aliases[rows].tolist(),
        strict=True,
    ):
        root, actor = _root(parents, one), _root(parents, user)
        if root == actor:
            continue
        if alias:
            parents[root] = actor
        elif one not in parents and first_as_user[one] > row:
            parents[one] = actor
    return parents


def _root(parents: dict[int, int], one: int) -> int:
    """The id that stands for the actor; on the way there paths are shortened."""
    root = one
    while root in parents:
        root = parents[root]
    while one != root:
        parents[one], one = root, parents[one]
    return root
