"""The exercises of *Automatic differentiation*: wrong answers as students write them are told apart, right ones pass.

The right answers here are written in other ways than the module finds its truths.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from verdicts import answer_tests

from mathdl import numeric
from mathdl.exercises.automatic_differentiation import EXERCISES

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}


def divide(p: Any, q: Any) -> Any:
    return [p[0] / q[0], (p[1] * q[0] - p[0] * q[1]) / q[0] ** 2]


def softplus(y: Any) -> Any:
    return -np.expm1(-y)


def sweep(steps: Any, n: int, u: float) -> Any:
    """By recursion: each step passes on to its arguments whatever arrives, path by path."""
    out = np.zeros(n)

    def arrive(place: int, c: float) -> None:
        if place < n:
            out[place] += c
        for argument, slope in steps[place]:
            arrive(argument, slope * c)

    arrive(len(steps) - 1, u)
    return out


RIGHT: dict[str, Any] = {
    "dual-divide": divide,
    "softplus-row": softplus,
    "tape-sweep": sweep,
    "count-directions": [1, 3, 20, 1, 32],
    "two-answers": [6, 5],
    "whose-gradient": [3, 2, 4],
}


def with_tangent(rule: Any) -> Any:
    return lambda p, q: (p[0] / q[0], rule(p[0], p[1], q[0], q[1]))


def loop(order: Any = reversed, add: bool = True, seed: Any = None, first: bool = False, every: bool = False) -> Any:
    def attempt(steps: Any, n: int, u: float) -> Any:
        bar = [0.0] * len(steps)
        bar[0 if first else -1] = u if seed is None else seed
        for k in order(range(len(steps))):
            for place, slope in steps[k]:
                bar[place] = (bar[place] if add else 0) + slope * bar[k]
        return np.array(bar if every else bar[:n])

    return attempt


def one_link(steps: Any, n: int, u: float) -> Any:
    bar = np.zeros(len(steps))
    bar[-1] = u
    for k in range(len(steps) - 1, n - 1, -1):
        place, slope = steps[k][0]
        bar[place] += slope * bar[k]
    return bar[:n]


def without_slopes(steps: Any, n: int, u: float) -> Any:
    return sweep([[(place, 1.0) for place, _ in links] for links in steps], n, u)


def out_of_range(steps: Any, n: int, u: float) -> Any:
    return loop()(steps, n, u)[len(steps)]


# exercise, wrong answer, a word that only its own diagnosis contains
WRONG: list[tuple[str, Any, str]] = [
    ("dual-divide", with_tangent(lambda p, dp, q, dq: dp / q + p * dq / q**2), "subtracted"),
    ("dual-divide", with_tangent(lambda p, dp, q, dq: (p * dq - q * dp) / q**2), "reversed"),
    ("dual-divide", with_tangent(lambda p, dp, q, dq: (q * dp - p * dq) / q), "square"),
    ("dual-divide", with_tangent(lambda p, dp, q, dq: dp / q), "constant"),
    ("dual-divide", with_tangent(lambda p, dp, q, dq: p * dq + q * dp), "product"),
    ("dual-divide", lambda p, q: p / q, "quotient of the tangents"),
    ("dual-divide", lambda p, q: divide(p, q)[1], "only the tangent"),
    ("dual-divide", lambda p, q: divide(p, q)[::-1], "wrong order"),
    ("dual-divide", lambda p, q: p[0] / q[0], "shape"),
    ("dual-divide", lambda p, q: divide(q, p), "entries differ"),
    ("dual-divide", lambda p, q: p.value / q.value, "raised AttributeError"),
    ("softplus-row", lambda y: 1 - 1 / np.exp(y), "every digit"),
    ("softplus-row", lambda y: 1 / (1 + np.exp(-y)), "as a function of x"),
    ("softplus-row", lambda y: np.expm1(-y), "the sign is lost"),
    ("softplus-row", lambda y: np.exp(-y), "missing from the slope"),
    ("softplus-row", lambda y: np.expm1(np.clip(y, 0, 700)), "divided by"),
    ("softplus-row", lambda y: 1 - y**2, "row of tanh"),
    ("softplus-row", lambda y: y * (1 - y), "logistic"),
    ("softplus-row", lambda y: 2 * softplus(y), "2 times too large"),
    ("softplus-row", lambda y: np.diag(softplus(y)), "shape"),
    ("tape-sweep", loop(add=False), "add up"),
    ("tape-sweep", loop(order=iter), "order of the run"),
    ("tape-sweep", loop(seed=1.0), "1 in place of u"),
    ("tape-sweep", one_link, "first link"),
    ("tape-sweep", loop(every=True), "of all steps"),
    ("tape-sweep", loop(first=True), "u stands at the first"),
    ("tape-sweep", without_slopes, "for the first input that differs"),
    ("tape-sweep", out_of_range, "raised IndexError"),
    ("count-directions", [1000, 3, 50, 1, 640], "tangents, one for each input"),
    ("count-directions", [1, 500, 20, 1, 32], "cotangents, one for each output"),
    ("count-directions", [1, 3, 20, 1000, 32], "single push"),
    ("count-directions", [1, 1, 1, 1, 1], "one run"),
    ("count-directions", [1, 3, 20, 1, 1], "weighted sum"),
    ("count-directions", [1, 3, 20, 1, 640], "1 of 5 entries"),
    ("count-directions", 57, "shape"),
    ("two-answers", [5, 6], "wrong order"),
    ("two-answers", [3, 5], "not the constant"),
    ("two-answers", [6, 3], "taken for a constant"),
    ("two-answers", [6, 6], "not its tangent"),
    ("two-answers", [1, 2], "the example of the chapter"),
    ("two-answers", [6, 8], "1 of 2 entries"),
    ("whose-gradient", [2, 3, 4], "changed places"),
    ("whose-gradient", [3, 2, 0], "a factor 2"),
    ("whose-gradient", [3, 2, 1], "product rule"),
    ("whose-gradient", [4, 3, 5], "from 1"),
    ("whose-gradient", [0, 2, 4], "1 of 3 entries"),
]


test_right_answers_pass, test_wrong_answers_are_told, test_wrong_answers_differ = answer_tests(EXERCISE, RIGHT, WRONG)


def test_the_row_is_the_slope_of_softplus() -> None:
    x = np.array([-40.0, -3.0, 0.0, 2.0])
    np.testing.assert_allclose(
        EXERCISE["softplus-row"].truth(np.logaddexp(0.0, x)), np.exp(x) / (1 + np.exp(x)), rtol=1e-14
    )


def test_the_small_inputs_are_needed() -> None:
    """Without them the difference that cancels would pass."""
    exercise = EXERCISE["softplus-row"]
    assert any(y.max() < 1e-16 for (y,) in exercise.inputs)
    for (y,) in exercise.inputs:
        loses = not np.allclose(1 - np.exp(-y), exercise.truth(y), rtol=1e-6, atol=0)
        assert loses == (y.max() < 1e-16)


def test_the_tapes_can_tell() -> None:
    """Some place is used twice in one step, some in several steps, and no u is 1 everywhere."""
    tapes = [steps for steps, _, _ in EXERCISE["tape-sweep"].inputs]
    assert any(len({place for place, _ in links}) < len(links) for steps in tapes for links in steps)
    users = [[place for links in steps for place in {p for p, _ in links}] for steps in tapes]
    assert any(len(places) > len(set(places)) for places in users)
    assert any(u != 1 for _, _, u in EXERCISE["tape-sweep"].inputs)
    for steps, n, _ in EXERCISE["tape-sweep"].inputs:
        for k, links in enumerate(steps):
            assert bool(links) == (k >= n)
            assert all(place < k for place, _ in links), "a step uses only what came before"


def test_the_three_programs_belong_to_their_functions() -> None:
    """As the chapter prints them, run, against differences of the functions."""
    functions: list[Any] = [
        lambda x: np.sum(np.tanh(x)),
        lambda x: np.sum(x * np.tanh(x)),
        lambda x: np.sum(np.log(1 + np.exp(x))),
        lambda x: np.log(np.sum(np.exp(x))),
        lambda x: np.sum(np.tanh(x) ** 2),
    ]
    x = np.array([0.3, -0.8, 1.1])
    e, t = np.exp(x), np.tanh(x)
    programs = [e / e.sum(), e / (1 + e), 2 * t * (1 - t * t)]
    belongs = [
        [k for k, f in enumerate(functions) if np.allclose(numeric.jacobian(f, x).value, program, atol=1e-7)]
        for program in programs
    ]
    assert belongs == [[k] for k in EXERCISE["whose-gradient"].truth]


def test_both_answers_are_what_the_chapter_computes() -> None:
    """With polynomials: the right one in x, the confused one in the one ε that both derivatives share."""
    right = np.polyval(np.polyder(np.polymul([1, 0], [1, 0])), 3.0)  # the inner derivative is x, so x · x
    inner = np.polymul([1, 3], [1, 2])[-2]  # the coefficient of ε in (3 + ε)(2 + ε)
    confused = np.polymul([1, 3], [inner])[-2]
    np.testing.assert_array_equal(EXERCISE["two-answers"].truth, [right, confused])
