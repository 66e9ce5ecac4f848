"""What holds for every exercise of the book: stubs never pass, truths do, and known mistakes are told apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from mathdl import exercises
from mathdl.exercises import Exercise
from mathdl.exercises.judge import judge

NAMES = exercises.names()


def _exercise(name: str) -> Exercise:
    return exercises._table()[name]


every_exercise = pytest.mark.parametrize("name", NAMES)


def _docstring_only(*_: Any) -> None:
    """Return what is asked."""


def _dots(*_: Any) -> Any: ...


def _returns_dots(*_: Any) -> Any:
    return ...


def _not_implemented(*_: Any) -> Any:
    raise NotImplementedError("your turn")


def _truths(exercise: Exercise) -> list[Any]:
    return [exercise.truth(*arguments) for arguments in exercise.inputs] if exercise.inputs else [exercise.truth]


def _as_attempt(exercise: Exercise, change: Callable[[Any], Any]) -> Any:
    """The truth, changed: a function if one is asked for, otherwise a value."""
    if exercise.inputs:
        return lambda *arguments: change(exercise.truth(*arguments))
    return change(exercise.truth)


def test_the_book_has_exercises() -> None:
    assert len(NAMES) >= 4 * len(exercises.CHAPTERS), "each chapter asks at least four questions that check themselves"
    for chapter in exercises.CHAPTERS:
        module = __import__(f"mathdl.exercises.{chapter}", fromlist=["EXERCISES"])
        assert module.EXERCISES, f"mathdl.exercises.{chapter} has no exercises"


@every_exercise
def test_stubs_are_not_attempted(name: str) -> None:
    exercise = _exercise(name)
    stubs: list[Any] = [None, ...]
    if exercise.inputs:
        stubs += [_docstring_only, _dots, _returns_dots, _not_implemented]
    for stub in stubs:
        assert judge(exercise, stub).status == "not attempted", stub


@every_exercise
def test_the_truth_is_right(name: str) -> None:
    exercise = _exercise(name)
    assert repr(judge(exercise, exercise.truth)) == f"✓ {name}: right"
    assert judge(exercise, _as_attempt(exercise, lambda t: t)).status == "right"


@every_exercise
def test_truths_are_usable(name: str) -> None:
    """Finite, not all zero, and the same when computed twice."""
    exercise = _exercise(name)
    first, second = _truths(exercise), _truths(exercise)
    for a, b in zip(first, second, strict=True):
        if isinstance(a, str):
            assert a.strip()
        else:
            assert np.all(np.isfinite(np.asarray(a)))
            np.testing.assert_array_equal(a, b)
    if not all(isinstance(t, str) for t in first):
        assert any(np.any(np.asarray(t) != 0) for t in first), "a truth of zeros would let a function of zeros pass"


@every_exercise
def test_functions_are_tried_on_several_inputs(name: str) -> None:
    exercise = _exercise(name)
    if not exercise.inputs:
        assert not callable(exercise.truth), "an exercise that asks for a function needs inputs to try it on"
        return
    assert callable(exercise.truth)
    assert len(exercise.inputs) >= 2, "one input could be answered by a constant"
    constant = _truths(exercise)[0]
    assert judge(exercise, lambda *_: constant).status == "not yet", "a constant answers this exercise"


@every_exercise
def test_mistakes_are_told_apart(name: str) -> None:
    exercise = _exercise(name)
    assert len(exercise.mistakes) >= 2, "at least two known mistakes"
    diagnoses = {}
    for sentence, wrong in exercise.mistakes.items():
        verdict = judge(exercise, wrong)
        assert verdict.status == "not yet", f"the mistake {sentence!r} passes"
        assert verdict.diagnosis == sentence, f"the mistake {sentence!r} is answered with {verdict.diagnosis!r}"
        assert verdict.hint == exercise.hints[0]
        diagnoses[sentence] = wrong
    for one, other in combinations(diagnoses, 2):
        assert one.strip().lower() != other.strip().lower()


@every_exercise
def test_sentences_read_well(name: str) -> None:
    exercise = _exercise(name)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name), "lower-case words joined by hyphens"
    for text in (exercise.task, *exercise.hints, *exercise.mistakes):
        assert len(text.split()) >= 2, text
        assert text == text.strip()
    assert len(set(exercise.hints)) == len(exercise.hints) >= 2, "at least two hints, each different"


@every_exercise
def test_check_gives_the_hints_in_order(name: str) -> None:
    exercise = _exercise(name)
    exercises._failures.clear()
    wrong = next(iter(exercise.mistakes.values()))
    given = [exercises.check(name, wrong).hint for _ in range(len(exercise.hints) + 2)]
    exercises._failures.clear()
    assert given == [*exercise.hints, exercise.hints[-1], exercise.hints[-1]]


def _real(truth: Any) -> np.ndarray[Any, Any]:
    return np.real(np.asarray(truth)).astype(float)


WRONG: dict[str, Callable[[Any], Any]] = {
    "zeros": lambda t: np.zeros_like(_real(t)),
    "NaN": lambda t: np.full_like(_real(t), np.nan),
    "infinity": lambda t: np.full_like(_real(t), np.inf),
    "the negative": lambda t: -_real(t),
    "another shape": lambda t: _real(t)[None],
    "slightly off": lambda t: _real(t) * 1.5 + 0.5,
    "complex": lambda t: _real(t) * 1j,
    "text": str,
    "a word": lambda t: "not this word",
    "a list of words": lambda t: ["a", "b"],
    "a dict": lambda t: {"a": 1},
    "an object": lambda t: object(),
    "an empty list": lambda t: [],
    "a ragged list": lambda t: [[1.0], [2.0, 3.0]],
}


@every_exercise
@pytest.mark.parametrize("kind", WRONG)
def test_nonsense_never_passes_and_never_crashes(kind: str, name: str) -> None:
    exercise = _exercise(name)
    if isinstance(exercise.truth, str) or (exercise.inputs and isinstance(_truths(exercise)[0], str)):
        attempt = _as_attempt(exercise, lambda t: {"text": 3.0, "a word": "not this word"}.get(kind, [kind]))
    else:
        attempt = _as_attempt(exercise, WRONG[kind])
    verdict = judge(exercise, attempt)
    assert verdict.status == "not yet"
    assert verdict.diagnosis


@every_exercise
def test_the_wrong_kind_of_thing_is_explained(name: str) -> None:
    exercise = _exercise(name)
    if exercise.inputs:
        verdict = judge(exercise, _truths(exercise)[0])
        assert "hand it over uncalled" in verdict.diagnosis
        assert judge(exercise, lambda: None).status == "not yet"
        assert "RuntimeError: oh" in judge(exercise, _raises).diagnosis
    else:
        assert "call the function first" in judge(exercise, lambda: exercise.truth).diagnosis


def _raises(*_: Any) -> Any:
    raise RuntimeError("oh")
