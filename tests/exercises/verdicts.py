"""The tests that several chapters' exercises share: right answers pass, and each wrong one is told what is wrong.

That stubs are not attempted and hints come in order holds for every exercise: ``test_all_exercises.py`` sees to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from mathdl.exercises import Exercise
from mathdl.exercises.judge import judge

__all__ = ["answer_tests", "told"]

Test = Callable[..., None]


def told(exercise: Exercise, attempt: Any) -> str:
    """What a wrong answer is told; it must not pass, and it must get the first hint."""
    verdict = judge(exercise, attempt)
    assert verdict.status == "not yet", verdict
    assert verdict.hint == exercise.hints[0]
    return verdict.diagnosis


def answer_tests(
    exercises: Mapping[str, Exercise], right: Mapping[str, Any], wrong: Sequence[tuple[str, Any, str]]
) -> tuple[Test, Test, Test]:
    """The tests of a chapter: each exercise's right answer passes, wrong ones get a word of their own, all differ.

    ``right`` has an answer for each exercise, written independently of the truth; ``wrong`` has rows with the name of
    an exercise, an answer as a student would give it, and a word that only its diagnosis contains.
    """

    @pytest.mark.parametrize("name", exercises)
    def passes(name: str) -> None:
        verdict = judge(exercises[name], right[name])
        assert verdict.status == "right", verdict

    @pytest.mark.parametrize(("name", "attempt", "word"), wrong, ids=[f"{name}: {word}" for name, _, word in wrong])
    def is_told(name: str, attempt: Any, word: str) -> None:
        assert word in told(exercises[name], attempt)

    @pytest.mark.parametrize("name", exercises)
    def differ(name: str) -> None:
        sentences = [told(exercises[name], attempt) for exercise, attempt, _ in wrong if exercise == name]
        assert len(set(sentences)) == len(sentences) >= 4

    return passes, is_told, differ
