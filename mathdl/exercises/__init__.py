"""Exercises that check themselves: what each asks, what is right, which mistakes are known, and graded hints.

``md.exercises.check("name", attempt)`` answers "not attempted", "not yet: ..." with a diagnosis and the next hint,
or "right". Each module beside this one holds the exercises of one chapter.
"""

from __future__ import annotations

import importlib
from collections import Counter
from difflib import get_close_matches
from functools import cache
from typing import Any

from mathdl.errors import UnknownExercise
from mathdl.exercises.judge import Exercise, Verdict, judge

__all__ = ["Exercise", "Verdict", "check", "names"]

# One module a chapter, in the book's order.
CHAPTERS = (
    "stack_of_gradients",
    "best_linear_map",
    "formulas",
    "differences",
    "products",
    "push_and_pull",
    "automatic_differentiation",
    "structure_and_sparsity",
    "second_derivatives",
    "layer_jacobians",
    "backpropagation",
    "gradient_flow",
    "through_time",
    "numbers_that_misbehave",
    "sensitivity",
    "gradient_descent",
    "momentum",
    "adaptive_steps",
    "noise",
    "curvature",
    "fair_race",
)

_failures: Counter[str] = Counter()  # how many wrong attempts so far: decides which hint comes next, nothing else


@cache
def _table() -> dict[str, Exercise]:
    table: dict[str, Exercise] = {}
    for chapter in CHAPTERS:
        for exercise in importlib.import_module(f"mathdl.exercises.{chapter}").EXERCISES:
            if exercise.name in table:
                raise ValueError(f"two exercises are called {exercise.name!r}")
            table[exercise.name] = exercise
    return table


def names() -> tuple[str, ...]:
    """Return the names of all exercises, in the order of the book.

    Examples
    --------
    >>> "logits-jacobian" in names()
    True
    """
    return tuple(_table())


def check(name: str, attempt: Any) -> Verdict:
    """Judge an attempt at an exercise.

    Parameters
    ----------
    name : str
        The exercise's name, as the chapter prints it.
    attempt : object
        A function, an array, a number or a word, whatever the exercise asks for. A function is called on copies
        of several inputs; what it writes into them is lost.

    Returns
    -------
    Verdict
        Shows as one sentence: "not attempted", "not yet: ..." with a diagnosis and the next hint, or "right".

    Raises
    ------
    UnknownExercise
        If no exercise has this name.

    Examples
    --------
    >>> check("logits-jacobian", ...)
    logits-jacobian: not attempted
    """
    table = _table()
    if not isinstance(name, str) or name not in table:
        near = get_close_matches(str(name), table, n=3)
        raise UnknownExercise(
            f"no exercise is called {name!r}; "
            + (f"did you mean {' or '.join(near)}?" if near else "md.exercises.names() lists them")
        )
    verdict = judge(table[name], attempt, _failures[name])
    if verdict.status == "not yet":
        _failures[name] += 1
    return verdict
