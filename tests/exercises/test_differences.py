"""The exercises of *Jacobians as differences*: what students get wrong is refused, and each slip gets its own sentence.

The wrong answers are written as a student would write them; several are in no table of known mistakes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.exceptions import ComplexWarning
from verdicts import told

from mathdl.exercises.differences import EXERCISES
from mathdl.exercises.judge import Exercise, judge

BY_NAME: dict[str, Exercise] = {exercise.name: exercise for exercise in EXERCISES}
EPS = np.finfo(float).eps


def diagnosis(name: str, attempt: Any) -> str:
    return told(BY_NAME[name], attempt)


# ------------------------------------------------------------------------------------------------ central differences


def central_right(f: Callable[..., Any], x: Any, h: float) -> Any:
    J = np.empty((len(f(x)), len(x)))
    for j in range(len(x)):
        up, down = x.copy(), x.copy()
        up[j] += h
        down[j] -= h
        J[:, j] = (f(up) - f(down)) / h / 2
    return J


def central_forward(f: Callable[..., Any], x: Any, h: float) -> Any:
    return np.stack([(f(x + h * e) - f(x)) / h for e in np.eye(len(x))], axis=1)


def central_backward(f: Callable[..., Any], x: Any, h: float) -> Any:
    return np.stack([(f(x) - f(x - h * e)) / h for e in np.eye(len(x))], axis=1)


def central_rows(f: Callable[..., Any], x: Any, h: float) -> Any:
    return np.array([(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(len(x))])


def central_by_h(f: Callable[..., Any], x: Any, h: float) -> Any:
    return np.stack([(f(x + h * e) - f(x - h * e)) / h for e in np.eye(len(x))], axis=1)


def central_precedence(f: Callable[..., Any], x: Any, h: float) -> Any:
    return np.stack([(f(x + h * e) - f(x - h * e)) / 2 * h for e in np.eye(len(x))], axis=1)


def central_undivided(f: Callable[..., Any], x: Any, h: float) -> Any:
    return np.stack([f(x + h * e) - f(x - h * e) for e in np.eye(len(x))], axis=1)


def central_flipped(f: Callable[..., Any], x: Any, h: float) -> Any:
    return np.stack([(f(x - h * e) - f(x + h * e)) / (2 * h) for e in np.eye(len(x))], axis=1)


def central_drifts(f: Callable[..., Any], x: Any, h: float) -> Any:
    J = []
    for j in range(len(x)):
        x[j] += h
        ahead = f(x)
        x[j] -= 2 * h
        J.append((ahead - f(x)) / (2 * h))
    return np.array(J).T


def central_all_at_once(f: Callable[..., Any], x: Any, h: float) -> Any:
    return (f(x + h) - f(x - h)) / (2 * h)


def central_near(f: Callable[..., Any], x: Any, h: float) -> Any:
    return np.stack([(f(x + h / 2 * e) - f(x - h / 2 * e)) / h for e in np.eye(len(x))], axis=1)


def central_half_near(f: Callable[..., Any], x: Any, h: float) -> Any:
    return central_near(f, x, h) / 2


def central_ahead(f: Callable[..., Any], x: Any, h: float) -> Any:
    return central_forward(f, x, 2 * h)


def central_far(f: Callable[..., Any], x: Any, h: float) -> Any:
    return central_right(f, x, 2 * h)


def central_behind(f: Callable[..., Any], x: Any, h: float) -> Any:
    return central_backward(f, x, h) / 2


def central_aliased(f: Callable[..., Any], x: Any, h: float) -> Any:
    columns = []
    for j in range(len(x)):
        up, down = x, x
        up[j] += h
        down[j] -= h
        columns.append((f(up) - f(down)) / (2 * h))
    return np.stack(columns, axis=1)


def central_own_step(f: Callable[..., Any], x: Any, h: float) -> Any:
    return central_right(f, x, 1e-5)


CENTRAL = {
    central_forward: "forward",
    central_backward: "backward",
    central_rows: "transposed",
    central_by_h: "divided by 2h and not by h",
    central_precedence: "from the left",
    central_undivided: "0.02",
    central_flipped: "wrong sign",
    central_drifts: "stays moved",
    central_all_at_once: "shape",
    central_near: "h apart and not 2h",
    central_half_near: "division is by 2h",
    central_ahead: "one side",
    central_far: "4h apart",
    central_behind: "first value",
    central_aliased: "makes no copy",
    central_own_step: "use the h you are given",
}


@pytest.mark.parametrize("attempt", CENTRAL, ids=lambda f: f.__name__)
def test_central_tells_mistakes_apart(attempt: Callable[..., Any]) -> None:
    said = diagnosis("central-jacobian", attempt)
    assert CENTRAL[attempt] in said
    assert not any(word in said for word in set(CENTRAL.values()) - {CENTRAL[attempt], "shape"}), said


def test_central_accepts_another_right_answer() -> None:
    assert judge(BY_NAME["central-jacobian"], central_right).status == "right"


# --------------------------------------------------------------------------------------------------------- Richardson

RICHARDSON: dict[str, Callable[..., Any]] = {
    "divide by 3": lambda D, h: 4 * D(h / 2) - D(h),
    "order h;": lambda D, h: 2 * D(h / 2) - D(h),
    "exchanged": lambda D, h: (4 * D(h) - D(h / 2)) / 3,
    "mean": lambda D, h: (D(h) + D(h / 2)) / 2,
    "h and 2h": lambda D, h: (4 * D(h) - D(2 * h)) / 3,
    "alone": lambda D, h: D(h / 2),
    "h^4": lambda D, h: (16 * D(h / 2) - D(h)) / 15,
    "not the right number": lambda D, h: (4 * D(h / 2) + D(h)) / 5,
    "raised TypeError": lambda D, h: (4 * D - D) / 3,
    "wanted ()": lambda D, h: [D(h), D(h / 2)],
    "D(h) alone": lambda D, h: D(h),
    "3 and not by 4": lambda D, h: (4 * D(h / 2) - D(h)) / 4,
    "brackets": lambda D, h: 4 * D(h / 2) - D(h) / 3,
    "sign is wrong": lambda D, h: (D(h) - 4 * D(h / 2)) / 3,
    "not towards it": lambda D, h: D(h / 2) + (D(h) - D(h / 2)) / 3,
    "not a quarter": lambda D, h: D(h / 2) + (D(h / 2) - D(h)) / 4,
    "correction alone": lambda D, h: (D(h / 2) - D(h)) / 3,
    "h / 2 and h / 4": lambda D, h: (4 * D(h / 4) - D(h / 2)) / 3,
    "h and h / 3": lambda D, h: D(h / 3) + (D(h / 3) - D(h)) / 8,
    "or nearly": lambda D, h: D(1e-5),
}


@pytest.mark.parametrize("word", RICHARDSON)
def test_richardson_tells_mistakes_apart(word: str) -> None:
    assert word in diagnosis("richardson-step", RICHARDSON[word])


def test_richardson_accepts_another_right_answer() -> None:
    assert judge(BY_NAME["richardson-step"], lambda D, h: D(h / 2) + (D(h / 2) - D(h)) / 3).status == "right"


# -------------------------------------------------------------------------------------------- the second derivative

SECOND: dict[str, float] = {
    "central first difference": (3 * EPS) ** (1 / 3),
    "forward difference": 2 * EPS**0.5,
    "not 3 eta": (36 * EPS) ** 0.25,
    "and not eta": (12 * EPS) ** 0.25,
    "24 eta": (24 * EPS) ** 0.25,
    "96 eta": (96 * EPS) ** 0.25,
    "order of magnitude": EPS**0.25,
    "fourth root": 48 * EPS,
    "one more square root": (48 * EPS) ** 0.5,
    "0.0001 is not the right number": 1e-4,
    "0 is not the right number": 0.0,
}


@pytest.mark.parametrize("word", SECOND)
def test_second_difference_tells_mistakes_apart(word: str) -> None:
    assert word in diagnosis("second-difference-step", SECOND[word])


def test_second_difference_truth_is_where_the_bound_is_least() -> None:
    h = np.geomspace(1e-5, 1e-2, 20_001)
    least = h[np.argmin(h**2 / 12 + 4 * EPS / h**2)]
    assert judge(BY_NAME["second-difference-step"], least).status == "right"
    assert judge(BY_NAME["second-difference-step"], 3.21e-4).status == "right"


# --------------------------------------------------------------------------------------------------- the complex step


def complex_right(f: Callable[..., Any], x: Any) -> Any:
    z = x.astype(complex)
    columns = []
    for j in range(len(z)):
        z[j] += 1e-30j
        columns.append(np.imag(f(z)) * 1e30)
        z[j] = x[j]
    return np.transpose(columns)


COMPLEX: dict[str, Callable[..., Any]] = {
    "divide it by h": lambda f, x: np.stack([f(x + 1e-20j * e).imag for e in np.eye(len(x))], axis=1),
    "real part holds": lambda f, x: np.stack([f(x + 1e-20j * e).real / 1e-20 for e in np.eye(len(x))], axis=1),
    "imaginary part is missing": lambda f, x: np.stack([f(x + 1e-20 * e).imag / 1e-20 for e in np.eye(len(x))], axis=1),
    "h = 1e-3 leaves": lambda f, x: np.stack([f(x + 1e-3j * e).imag / 1e-3 for e in np.eye(len(x))], axis=1),
    "h = 1e-5 leaves": lambda f, x: np.stack([f(x + 1e-5j * e).imag / 1e-5 for e in np.eye(len(x))], axis=1),
    "not by 2h": lambda f, x: np.stack([f(x + 1e-20j * e).imag / 2e-20 for e in np.eye(len(x))], axis=1),
    "h = 1e-2 leaves": lambda f, x: np.stack([f(x + 1e-2j * e).imag / 1e-2 for e in np.eye(len(x))], axis=1),
    "h = 0.1 leaves": lambda f, x: np.stack([f(x + 0.1j * e).imag / 0.1 for e in np.eye(len(x))], axis=1),
    "step of 1j": lambda f, x: np.stack([f(x + 1j * e).imag for e in np.eye(len(x))], axis=1),
    "transposed": lambda f, x: np.stack([f(x + 1e-20j * e).imag / 1e-20 for e in np.eye(len(x))]),
    "central differences with h = 1e-05": lambda f, x: central_right(f, x, 1e-5),
    "entries differ": lambda f, x: central_right(f, x, 3e-6),  # and no word about agreement
    "sign is wrong": lambda f, x: np.stack([f(x - 1e-20j * e).imag / 1e-20 for e in np.eye(len(x))], axis=1),
    "shape": lambda f, x: f(x + 1e-20j).imag / 1e-20,
}


@pytest.mark.parametrize("word", COMPLEX)
def test_complex_step_tells_mistakes_apart(word: str) -> None:
    assert word in diagnosis("complex-step-jacobian", COMPLEX[word])


def test_complex_step_in_a_float_array_is_told_that_the_imaginary_part_is_missing() -> None:
    def attempt(f: Callable[..., Any], x: Any) -> Any:
        columns = []
        for j in range(len(x)):
            z = x.copy()
            z[j] += 1e-20j
            columns.append(f(z).imag / 1e-20)
        return np.stack(columns, axis=1)

    with pytest.warns(ComplexWarning):
        assert "imaginary part is missing" in diagnosis("complex-step-jacobian", attempt)


def test_complex_step_that_is_not_taken_back_is_told_so() -> None:
    def attempt(f: Callable[..., Any], x: Any) -> Any:
        z, columns = x.astype(complex), []
        for j in range(len(x)):
            z[j] += 1e-20j
            columns.append(f(z).imag / 1e-20)
        return np.stack(columns, axis=1)

    assert "stays moved" in diagnosis("complex-step-jacobian", attempt)


def test_central_differences_are_not_accurate_enough_for_the_complex_exercise() -> None:
    assert judge(BY_NAME["complex-step-jacobian"], lambda f, x: central_right(f, x, 1e-5)).status == "not yet"


def test_complex_step_accepts_another_right_answer() -> None:
    assert judge(BY_NAME["complex-step-jacobian"], complex_right).status == "right"


# ------------------------------------------------------------------------------------------------- the absolute value

ABSOLUTE: dict[str, Callable[..., Any]] = {
    "this is real": np.abs,
    "negate the whole number": lambda t: np.where(t.real < 0, -t.real, t.real),
    "where t is negative": lambda t: np.where(t.real < 0, -t.real, t),
    "use np.sign(t.real)": lambda t: t * np.sign(t),
    "+1 everywhere": lambda t: np.abs(t.real) + 1j * t.imag,
    "wrong sign": lambda t: np.abs(t.real) - 1j * np.sign(t.real) * t.imag,
    "no size": lambda t: np.abs(t.real) + 1j * np.abs(t.imag),
    "entries differ": lambda t: -t,
    "raised AttributeError": lambda t: t.real.absolute(),
}


@pytest.mark.parametrize("word", ABSOLUTE)
def test_absolute_tells_mistakes_apart(word: str) -> None:
    assert word in diagnosis("complex-safe-absolute", ABSOLUTE[word])


@pytest.mark.parametrize(
    "attempt",
    [
        lambda t: np.sqrt(t * t),
        lambda t: t * np.sign(t.real),
        lambda t: np.abs(t) + 1j * t.imag * np.sign(t.real),
        lambda t: np.where(t.real > 0, t, -t),
    ],
)
def test_absolute_accepts_other_right_answers(attempt: Callable[..., Any]) -> None:
    assert judge(BY_NAME["complex-safe-absolute"], attempt).status == "right"


# --------------------------------------------------------------------------------------------------- the planted bug


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ("output layer", "further in"),
        ("first layer", "further out"),
        ("order of the product", "shapes"),
        ("tanh", "the tanh is the activation"),
        ("d_activation", "Jacobian of the activation"),
        ("the bias", "is not the answer"),
        (2, "wanted a word"),
    ],
)
def test_planted_bug_tells_wrong_answers_apart(answer: object, word: str) -> None:
    assert word in diagnosis("planted-bug", answer)


def test_planted_bug_accepts_the_answer_in_any_case() -> None:
    assert judge(BY_NAME["planted-bug"], "Activation ").status == "right"
