"""How attempts are judged: what is right, what is a stub, what a wrong answer is told, and which hint comes."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from mathdl import exercises
from mathdl.errors import UnknownExercise
from mathdl.exercises import Exercise, Verdict
from mathdl.exercises.judge import judge

SQUARE = Exercise(
    "square",
    "Return the elementwise square.",
    lambda x: x**2,
    ("Multiply.", "Multiply x by itself.", "x * x"),
    {"this doubles instead of squaring": lambda x: 2 * x, "this cubes instead of squaring": lambda x: x**3},
    ((np.array([1.0, 3.0]),), (np.array([-0.5, 4.0, 1.0]),)),
)
SLOPE = Exercise(
    "slope",
    "Return the Jacobian of the elementwise square.",
    lambda x: np.diag(2 * x),
    ("2 x",),
    inputs=((np.array([1.0, 3.0, 5.0]),), (np.array([-1.0, 4.0]),)),
    derivative=True,
)
NUMBER = Exercise("number", "How many?", 6.0, ("More than five.",), {"you forgot to double": 3.0})
VECTOR = Exercise("vector", "Which?", np.array([1.0, 2.0, 0.0]), ())
WORD = Exercise("word", "Which side?", "left", ("Not right.",), {"that is where the sun rises": "east"})
SCALAR = Exercise("half", "Return half of x.", lambda x: x / 2, (), {}, ((4.0,), (6.0,)))


def stub_of_docstring(x: Any) -> None:
    """Return something."""


def stub_of_dots(x: Any) -> Any:
    """Return something."""
    return ...


def stub_that_raises(x: Any) -> Any:
    raise NotImplementedError


@pytest.mark.parametrize("exercise", [SQUARE, SLOPE, NUMBER, VECTOR, WORD])
@pytest.mark.parametrize("attempt", [None, ...])
def test_a_stub_value_is_not_attempted(exercise: Exercise, attempt: Any) -> None:
    assert judge(exercise, attempt) == Verdict(exercise.name, "not attempted")


@pytest.mark.parametrize("attempt", [stub_of_docstring, stub_of_dots, stub_that_raises, lambda x: None])
def test_a_stub_function_is_not_attempted(attempt: Callable[[Any], Any]) -> None:
    assert judge(SQUARE, attempt, failures=3) == Verdict("square", "not attempted")


@pytest.mark.parametrize(
    ("exercise", "attempt"),
    [
        (SQUARE, lambda x: x * x),
        (SQUARE, lambda x: [v * v for v in x]),
        (SQUARE, lambda x: x**2 * (1 + 1e-8)),
        (SLOPE, lambda x: np.diag(x) + np.diag(x)),
        (NUMBER, 6),
        (NUMBER, 6.0),
        (NUMBER, np.float32(6)),
        (NUMBER, np.array(6.0)),
        (NUMBER, 6 + 0j),
        (VECTOR, [1, 2, 0]),
        (VECTOR, (1.0, 2.0, 1e-9)),
        (WORD, "left"),
        (WORD, "  LEFT "),
        (SCALAR, lambda x: 0.5 * x),
    ],
)
def test_right(exercise: Exercise, attempt: Any) -> None:
    assert judge(exercise, attempt) == Verdict(exercise.name, "right")


@pytest.mark.parametrize(
    ("exercise", "attempt", "says"),
    [
        # known mistakes come first
        (SQUARE, lambda x: x + x, "this doubles instead of squaring"),
        (SQUARE, lambda x: x * x * x, "this cubes instead of squaring"),
        (NUMBER, 3, "you forgot to double"),
        (WORD, "East", "that is where the sun rises"),
        # a mistake must match on every input
        (SQUARE, lambda x: 2 * x if len(x) == 2 else x, "2 entries differ, the first at index (0,): 2"),
        # values
        (SQUARE, lambda x: np.where(x > 2, x**2, 0.0), "1 of 2 entries differ, the first at index (0,): 0"),
        (SQUARE, lambda x: np.full_like(x, np.nan), "2 of 2 entries differ, the first at index (0,): nan"),
        (SQUARE, lambda x: x**2 * (1 + 1e-5), "entries differ"),
        (VECTOR, [1.0, 2.0, 0.1], "1 of 3 entries differ, the first at index (2,): 0.1"),
        (VECTOR, [1.0, 2.0], "shape"),
        (VECTOR, 1.0, "shape"),
        (NUMBER, 5.0, "5 is not the right number"),
        (NUMBER, float("nan"), "nan is not the right number"),
        (NUMBER, float("inf"), "inf is not the right number"),
        (SCALAR, lambda x: x, "4 is not the right number for the input 4.0"),
        (SCALAR, lambda x: 2.0, "2 is not the right number for the input 6.0"),  # right on the first input only
        (WORD, "up", "'up' is not the answer"),
        (WORD, 1, "got the int 1; wanted a word"),
        # nothing that numbers can be read from
        (NUMBER, "6", "got a str of length 1; wanted a number"),
        (VECTOR, "left", "wanted numbers with shape (3,)"),
        (VECTOR, [[1.0], [2.0, 0.0]], "wanted numbers with shape (3,)"),
        (VECTOR, {"a": 1}, "got a dict of length 1"),
        (VECTOR, [1.0, 2.0, None], "wanted numbers with shape (3,)"),
        (SQUARE, lambda x: "four", "got a str of length 4"),
        # a value for a function and the other way round
        (SQUARE, np.array([1.0, 9.0]), "hand it over uncalled"),
        (NUMBER, lambda: 6.0, "call the function first"),
        # derivatives are diagnosed
        (SLOPE, lambda x: np.diag(-2 * x), "sign"),
        (SLOPE, lambda x: np.diag(x), "factor"),
        (SLOPE, lambda x: 2 * x, "shape"),
        (SLOPE, lambda x: np.full((len(x), len(x)), np.nan), "finite"),
        (SLOPE, lambda x: np.zeros((len(x), len(x))), "zero"),
    ],
)
def test_not_yet(exercise: Exercise, attempt: Any, says: str) -> None:
    verdict = judge(exercise, attempt)
    assert verdict.status == "not yet"
    assert says in verdict.diagnosis
    assert verdict.hint == (exercise.hints[0] if exercise.hints else "")


def test_complex_answers_are_judged_not_crashed_on() -> None:
    for exercise, attempt in ((NUMBER, 6 + 1j), (VECTOR, np.array([1, 2, 1j])), (SLOPE, lambda x: np.diag(2j * x))):
        verdict = judge(exercise, attempt)
        assert verdict.status == "not yet"
        assert "complex" in verdict.diagnosis


def test_booleans_are_numbers() -> None:
    mask = Exercise("mask", "Which entries are positive?", np.array([True, False]), ())
    assert judge(mask, np.array([True, False])).status == "right"
    assert judge(mask, [True, True]).status == "not yet"
    assert judge(Exercise("yes", "Is it?", True, ()), True).status == "right"


def test_unsigned_integers_do_not_wrap() -> None:
    counts = Exercise("counts", "How many?", np.array([0, 200], dtype=np.uint8), (), rtol=2.0)
    assert judge(counts, np.array([255, 200], dtype=np.uint8)).status == "right"  # within 400, but 0 - 255 wraps to 1
    assert judge(counts, np.array([401, 200])).status == "not yet"


def test_a_truth_of_zeros_has_an_absolute_tolerance() -> None:
    zeros = Exercise("zeros", "Which?", np.zeros(2), (), rtol=1e-3)
    assert judge(zeros, [5e-4, 0.0]).status == "right"
    assert judge(zeros, [5e-3, 0.0]).diagnosis == "1 of 2 entries differ, the first at index (0,): 0.005"


def test_a_sparse_matrix_counts_as_the_dense_one() -> None:
    for form in (sparse.csr_array, sparse.csc_matrix, sparse.coo_array):
        assert judge(SLOPE, lambda x, form=form: form(np.diag(2 * x))).status == "right"
        assert "sign" in judge(SLOPE, lambda x, form=form: form(np.diag(-2 * x))).diagnosis
    huge = sparse.eye_array(10**6)
    assert "wanted numbers with shape (3, 3)" in judge(SLOPE, lambda x: huge).diagnosis  # and no terabytes on the way


# Two square roots are right; which one is not asked.
ROOT = Exercise(
    "root",
    "Return an array whose square is x.",
    np.sqrt,
    ("Which sign?",),
    {"this is the square": np.square, "this is x itself": lambda x: x},
    ((np.array([4.0, 9.0]),), (np.array([16.0]),)),
    examine=lambda root, x: None if np.allclose(root**2, x) else f"its square begins with {root[0] ** 2:g}",
)


@pytest.mark.parametrize("signs", [1, -1])
def test_every_right_answer_passes_where_there_are_several(signs: int) -> None:
    assert judge(ROOT, lambda x: signs * np.sqrt(x)).status == "right"


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        (lambda x: x**2, "this is the square"),  # known mistakes come first
        (lambda x: np.sqrt(x) + 1, "its square begins with 9"),
        (lambda x: np.where(x > 10, 1.0, np.sqrt(x)), "its square begins with 1"),  # right on the first input only
        (lambda x: np.sqrt(x)[:1], "the result has shape (1,); wanted (2,)"),
        (lambda x: 1j * np.sqrt(x), "complex"),
        (lambda x: "2", "wanted numbers with shape (2,)"),
    ],
)
def test_what_is_examined_is_told_what_is_wrong(attempt: Callable[[Any], Any], says: str) -> None:
    verdict = judge(ROOT, attempt)
    assert verdict.status == "not yet"
    assert says in verdict.diagnosis


def test_examining_cannot_spoil_the_inputs() -> None:
    def examine(result: Any, x: Any) -> None:
        x[:] = 0

    spoils = Exercise("spoils", "Return x.", lambda x: x, (), inputs=((np.ones(2),),), examine=examine)
    assert judge(spoils, lambda x: x).status == "right"
    assert np.array_equal(spoils.inputs[0][0], np.ones(2))


TOTAL = Exercise(
    "total",
    "Return the sum of all x_i x_j, without a matrix.",
    lambda x: x.sum() ** 2,
    ("Factor it.",),
    {"this is the sum of squares": lambda x: (x**2).sum()},
    ((np.array([1.0, 2.0]),), (np.arange(300.0),)),
    memory=100_000,
    too_large="square the sum",
)


@pytest.mark.parametrize("running", [False, True])
def test_what_is_right_and_too_large_is_told_so(running: bool) -> None:
    if running:
        tracemalloc.start()
    before = np.ones((200, 200))  # held by others, and ...
    np.ones((500, 500)).sum()  # ... held earlier: neither is the attempt's
    try:
        verdict = judge(TOTAL, lambda x: np.outer(x, x).sum())
        assert verdict.status == "not yet"
        assert verdict.hint == "Factor it."
        where = r"called with an array of float64 with shape \(300,\)"
        says = rf"the result is right, but {where} it held 0\.\d MB at once: square the sum"
        assert re.fullmatch(says, verdict.diagnosis)
        assert judge(TOTAL, lambda x: x.sum() * x.sum()).status == "right"
        assert judge(TOTAL, lambda x: np.outer(x, x).trace()).diagnosis == "this is the sum of squares"
        assert tracemalloc.is_tracing() is running
        assert before.nbytes > TOTAL.memory
    finally:
        tracemalloc.stop()


def test_what_an_attempt_imports_or_prepares_once_is_not_weighed() -> None:
    kept: list[Any] = []

    def attempt(x: Any) -> Any:
        if not kept:
            kept.append(np.ones((200, 200)))
        return x.sum() ** 2

    assert judge(TOTAL, attempt).status == "right"


def test_an_attempt_that_fails_when_weighed_is_told_where() -> None:
    calls: list[Any] = []

    def attempt(x: Any) -> Any:
        calls.append(x)
        return x.sum() ** 2 if len(calls) < 3 else calls[7]

    assert "IndexError" in judge(TOTAL, attempt).diagnosis


def test_an_attempt_that_raises_is_told_where() -> None:
    def attempt(x: Any) -> Any:
        y = x[7]
        return y

    diagnosis = judge(SQUARE, attempt).diagnosis
    assert "called with an array of float64 with shape (2,) it raised IndexError" in diagnosis
    assert "y = x[7]" in diagnosis


def test_the_students_own_line_is_named_when_numpy_raises() -> None:
    def attempt(x: Any) -> Any:
        return np.linalg.inv(np.zeros((2, 2)))

    assert "return np.linalg.inv(np.zeros((2, 2)))" in judge(SQUARE, attempt).diagnosis


def test_a_function_with_other_arguments_is_told_so_without_a_line_of_ours() -> None:
    diagnosis = judge(SQUARE, lambda: 1.0).diagnosis
    assert "takes 0 positional arguments" in diagnosis
    assert "attempt(" not in diagnosis


def test_an_attempt_cannot_spoil_the_inputs() -> None:
    def attempt(x: Any) -> Any:
        result = x**2
        x[:] = 0
        return result

    assert judge(SQUARE, attempt).status == "right"
    assert judge(SQUARE, lambda x: x**2).status == "right"
    assert np.array_equal(SQUARE.inputs[0][0], [1.0, 3.0])


def test_hints_come_in_order_and_the_last_repeats() -> None:
    given = [judge(SQUARE, lambda x: x, failures=k).hint for k in range(5)]
    assert given == ["Multiply.", "Multiply x by itself.", "x * x", "x * x", "x * x"]


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (Verdict("a", "right"), "✓ a: right"),
        (Verdict("a", "not attempted"), "a: not attempted"),
        (Verdict("a", "not yet", "it is transposed"), "a: not yet: it is transposed"),
        (Verdict("a", "not yet", "it is transposed", "Swap."), "a: not yet: it is transposed\n  Hint: Swap."),
    ],
)
def test_a_verdict_prints_as_one_sentence(verdict: Verdict, text: str) -> None:
    assert repr(verdict) == text


# -- the table and check() -------------------------------------------------------------------------------------------


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A book with one chapter that has two exercises, and no attempts so far."""
    modules = {"mathdl.exercises.only": SimpleNamespace(EXERCISES=(SQUARE, NUMBER))}
    monkeypatch.setattr(exercises, "CHAPTERS", ("only",))
    monkeypatch.setattr(exercises.importlib, "import_module", modules.__getitem__)
    exercises._failures.clear()
    exercises._table.cache_clear()
    yield
    exercises._table.cache_clear()
    exercises._failures.clear()


@pytest.mark.usefixtures("table")
def test_names_are_in_the_order_of_the_book() -> None:
    assert exercises.names() == ("square", "number")


@pytest.mark.usefixtures("table")
def test_check_counts_wrong_attempts_of_each_exercise_alone() -> None:
    def wrong(x: Any) -> Any:
        return x

    assert exercises.check("square", wrong).hint == "Multiply."
    assert exercises.check("square", wrong).hint == "Multiply x by itself."
    assert exercises.check("number", 1.0).hint == "More than five."
    assert exercises.check("square", ...).status == "not attempted"  # does not count
    assert exercises.check("square", lambda x: x * x).status == "right"  # neither
    assert exercises.check("square", wrong).hint == "x * x"


@pytest.mark.usefixtures("table")
def test_an_unknown_exercise_names_the_nearest() -> None:
    with pytest.raises(UnknownExercise, match="did you mean square"):
        exercises.check("sqare", 1)
    with pytest.raises(UnknownExercise, match=r"md\.exercises\.names\(\) lists them"):
        exercises.check("zzz", 1)
    with pytest.raises(UnknownExercise, match="no exercise is called"):
        exercises.check(["square"], 1)  # type: ignore[arg-type]


def test_two_exercises_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercises, "CHAPTERS", ("one", "two"))
    monkeypatch.setattr(exercises.importlib, "import_module", lambda name: SimpleNamespace(EXERCISES=(SQUARE,)))
    exercises._table.cache_clear()
    with pytest.raises(ValueError, match="two exercises are called 'square'"):
        exercises.names()
    exercises._table.cache_clear()


def test_a_number_that_holds_for_one_input_only_is_said_of_that_input() -> None:
    slopes = Exercise(
        "slopes",
        "the slopes of x³",
        lambda x: 3 * x**2,
        ("a hint",),
        derivative=True,
        inputs=((np.array([1.0, 1.0]),), (np.array([2.0, 2.0]),)),
    )
    assert judge(slopes, lambda x: 6 * x**2).diagnosis.startswith("The claim is")
    varying = judge(slopes, lambda x: 6 * x**3).diagnosis
    assert varying.startswith("for the first input that differs, the claim is")


def test_an_answer_that_is_right_to_six_digits_only_is_not_called_wrong() -> None:
    exact = Exercise("exact", "∂x²", lambda x: 2 * x, ("a hint",), derivative=True, inputs=((np.ones(3),),), rtol=1e-12)
    assert judge(exact, lambda x: 2 * x + 1e-9).diagnosis == "right to six digits, and the exercise asks for more"


def test_one_slip_told_with_two_shapes_is_one_slip() -> None:
    inputs = tuple((np.arange(float(m * n)).reshape(m, n),) for m, n in ((2, 3), (4, 5)))
    same = Exercise("same", "the Jacobian of W x", lambda W: W, ("a hint",), derivative=True, inputs=inputs)
    assert judge(same, lambda W: W.T).diagnosis == "The claim is transposed: its shape is (3, 2) where (2, 3) is due."
