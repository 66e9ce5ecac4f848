"""The exercises of *Push and pull*: wrong answers as students write them are told apart, right ones pass.

The right answers here are written out by hand; the module takes its truth from the functions themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from verdicts import answer_tests

from mathdl.exercises.judge import judge
from mathdl.exercises.push_and_pull import EXERCISES

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
norm = np.linalg.norm


def normalise(x: Any, u: Any) -> Any:
    r = norm(x)
    return u / r - x * np.dot(x, u) / r**3


def embedding(n: int, index: Any, u: Any) -> Any:
    back = np.zeros((n, u.shape[1]))
    for j, i in enumerate(index):
        back[i] += u[j]
    return back


def convolution(w: Any, u: Any) -> Any:
    out = np.zeros(len(u) + len(w) - 1)
    for j, u_j in enumerate(u):
        out[j : j + len(w)] += w[::-1] * u_j
    return out


def gap(push: Any, pull: Any, v: Any, u: Any) -> Any:
    left, right = np.vdot(u, push(v)), np.vdot(pull(u), v)
    return np.abs(left - right) / (norm(u) * norm(push(v)))


def power(push: Any, pull: Any, v: Any) -> Any:
    v = pull(push(v))
    v = v / norm(v)
    return np.concatenate([v, [norm(push(v))]])


RIGHT: dict[str, Any] = {
    "normalise-pull": normalise,
    "embedding-pull": embedding,
    "convolution-pull": convolution,
    "relative-gap": gap,
    "power-step": power,
    "two-wrong-rules": [2, 4],
}


def by_assignment(n: int, index: Any, u: Any) -> Any:
    back = np.zeros((n, u.shape[1]))
    back[index] = u
    return back


def by_plus_equals(n: int, index: Any, u: Any) -> Any:
    back = np.zeros((n, u.shape[1]))
    back[index] += u
    return back


def first_occurrence(n: int, index: Any, u: Any) -> Any:
    back = np.zeros((n, u.shape[1]))
    seen, where = np.unique(index, return_index=True)
    back[seen] = u[where]
    return back


def mean_of_occurrences(n: int, index: Any, u: Any) -> Any:
    back = np.zeros((n, u.shape[1]))
    for i in set(index.tolist()):
        back[i] = u[index == i].mean(axis=0)
    return back


def counts(n: int, index: Any, u: Any) -> Any:
    back = np.zeros((n, u.shape[1]))
    np.add.at(back, index, 1.0)
    return back


def estimate_too_early(push: Any, pull: Any, v: Any) -> Any:
    pushed = push(v)
    new = pull(pushed)
    return np.append(new / norm(new), norm(pushed))


def never_divides(push: Any, pull: Any, v: Any) -> Any:
    v = pull(push(v))
    return np.append(v, norm(push(v)))


def estimates_the_square(push: Any, pull: Any, v: Any) -> Any:
    v = power(push, pull, v)[:-1]
    return np.append(v, v @ pull(push(v)))


def estimates_a_step_more(push: Any, pull: Any, v: Any) -> Any:
    v = power(push, pull, v)[:-1]
    return np.append(v, norm(pull(push(v))))


def length_before_division(push: Any, pull: Any, v: Any) -> Any:
    v = pull(push(v))
    size = norm(v)
    return np.append(v / size, size)


# exercise, wrong answer, a word that only its own diagnosis contains
WRONG: list[tuple[str, Any, str]] = [
    ("normalise-pull", lambda x, u: u / norm(x), "constant"),
    ("normalise-pull", lambda x, u: u - x / norm(x) * (x / norm(x) @ u), "division by"),
    ("normalise-pull", lambda x, u: u / norm(x) - x * (x @ u) / norm(x) ** 2, "whole bracket"),
    ("normalise-pull", lambda x, u: u / norm(x) + x * (x @ u) / norm(x) ** 3, "added"),
    ("normalise-pull", lambda x, u: (u - x * (x @ u)) / norm(x), "unit vector"),
    ("normalise-pull", lambda x, u: normalise(u, x), "changed places"),
    ("normalise-pull", lambda x, u: x * (x @ u) / norm(x) ** 3, "what is to be removed"),
    ("normalise-pull", lambda x, u: (u - (x / norm(x)) ** 2 * u) / norm(x), "one number"),
    ("normalise-pull", lambda x, u: u / norm(u), "normalises the cotangent"),
    ("normalise-pull", lambda x, u: -normalise(x, u), "sign"),
    ("normalise-pull", lambda x, u: (np.eye(len(x)) - np.outer(x, x) / (x @ x)) / norm(x), "shape"),
    ("embedding-pull", by_assignment, "only the last"),
    ("embedding-pull", first_occurrence, "only the first"),
    ("embedding-pull", mean_of_occurrences, "averages"),
    ("embedding-pull", counts, "counts"),
    ("embedding-pull", lambda n, index, u: u, "shape"),
    ("embedding-pull", lambda n, index, u: u[index], "raised IndexError"),
    ("embedding-pull", lambda n, index, u: -embedding(n, index, u), "sign"),
    ("convolution-pull", lambda w, u: np.convolve(u, w), "wrong way"),
    ("convolution-pull", lambda w, u: np.correlate(u, w, mode="same"), "longer than u: use"),
    ("convolution-pull", lambda w, u: np.correlate(u, w, mode="valid"), "shorter once more"),
    ("convolution-pull", lambda w, u: np.convolve(u[::-1], w), "in place of w"),
    ("convolution-pull", lambda w, u: np.convolve(u[::-1], w[::-1]), "reverse order"),
    ("convolution-pull", lambda w, u: np.pad(convolution(w, u)[: len(u)], (len(w) - 1, 0)), "margins"),
    ("convolution-pull", lambda w, u: -convolution(w, u), "sign"),
    ("relative-gap", lambda a, b, v, u: abs(np.vdot(u, a(v)) - np.vdot(b(u), v)), "still to be divided"),
    ("relative-gap", lambda a, b, v, u: gap(a, b, v, u) * norm(a(v)) / norm(v), "the norm of push(v)"),
    ("relative-gap", lambda a, b, v, u: abs(1 - np.vdot(b(u), v) / np.vdot(u, a(v))), "small by chance"),
    ("relative-gap", lambda a, b, v, u: abs(np.vdot(u, a(v)) - np.vdot(b(u), v)) / norm(b(u)) / norm(v), "of the pull"),
    (
        "relative-gap",
        lambda a, b, v, u: (np.vdot(u, a(v)) - np.vdot(b(u), v)) / (norm(u) * norm(a(v))),
        "absolute value",
    ),
    (
        "relative-gap",
        lambda a, b, v, u: abs(np.vdot(u, a(v)) + np.vdot(b(u), v)) / (norm(u) * norm(a(v))),
        "added",
    ),
    ("relative-gap", lambda a, b, v, u: gap(a, b, v, u) / (norm(u) * norm(a(v))), "squares"),
    ("relative-gap", lambda a, b, v, u: abs(u @ a(v) - b(u) @ v) / (norm(u) * norm(a(v))), "shape"),
    ("power-step", estimate_too_early, "old v"),
    ("power-step", never_divides, "grows"),
    ("power-step", estimates_a_step_more, "tends to σ₁²"),
    ("power-step", estimates_the_square, "take the root"),
    ("power-step", lambda a, b, v: power(a, b, v)[:-1], "only the new v"),
    ("power-step", lambda a, b, v: np.roll(power(a, b, v), 1), "wrong order"),
    ("power-step", length_before_division, "before the division"),
    ("power-step", lambda a, b, v: np.append(a(b(v)), 1.0), "raised ValueError"),
    ("two-wrong-rules", [4, 2], "wrong order"),
    ("two-wrong-rules", [3, 5], "from 1"),
    ("two-wrong-rules", [2, 2], "the first is right"),
    ("two-wrong-rules", [4, 4], "the second is right"),
    ("two-wrong-rules", [3, 4], "log_softmax"),
    ("two-wrong-rules", [1, 4], "differences is right"),
    ("two-wrong-rules", [2, 3], "1 of 2 entries"),
    ("two-wrong-rules", 2, "shape"),
]


test_right_answers_pass, test_wrong_answers_are_told, test_wrong_answers_differ = answer_tests(EXERCISE, RIGHT, WRONG)


def test_plus_equals_is_told_what_assignment_is_told() -> None:
    # On zeros the two do the same, and for the same reason.
    one, other = (judge(EXERCISE["embedding-pull"], wrong) for wrong in (by_assignment, by_plus_equals))
    assert one.diagnosis == other.diagnosis
    assert "np.add.at" in one.diagnosis


def test_the_inputs_can_tell() -> None:
    for _, index, _ in EXERCISE["embedding-pull"].inputs:
        assert len(np.unique(index)) < len(index), "without repeats assignment would be right"
    for w, _ in EXERCISE["convolution-pull"].inputs:
        assert not np.allclose(w, w[::-1]), "with symmetric weights the flip would not show"
    for arguments in EXERCISE["relative-gap"].inputs:
        assert gap(*arguments) > 0.01, "where the pull is right, any division gives zero"


def test_the_two_wrong_rules_are_what_the_chapter_says() -> None:
    x, rng = np.random.default_rng(3).normal(size=6), np.random.default_rng(4)
    c, s, p = np.arange(1, 7), x.std(), np.exp(x) / np.exp(x).sum()
    rules = [
        (lambda x: x**2, lambda v: 2 * x * v, lambda u: 2 * x * u),
        (np.diff, np.diff, lambda u: -np.diff(np.pad(u, 1))),
        (lambda x: np.cumsum(x) / c, lambda v: np.cumsum(v) / c, lambda u: np.cumsum(u[::-1])[::-1] / c),
        (lambda x: x - np.log(np.exp(x).sum()), lambda v: v - p @ v, lambda u: u - p * u.sum()),
        (lambda x: x / x.std(), lambda v: v / s, lambda u: u / s),
    ]
    v = rng.normal(size=6)
    fits_its_push, fits_its_function = [], []
    for f, push, pull in rules:
        u = rng.normal(size=push(v).shape)
        fits_its_push.append(bool(np.isclose(u @ push(v), pull(u) @ v, rtol=1e-10)))
        fits_its_function.append(np.allclose(push(v), (f(x + 1e-6 * v) - f(x - 1e-6 * v)) / 2e-6, atol=1e-7))
    assert fits_its_push == [True, True, False, True, True]
    assert fits_its_function == [True, True, True, True, False]
