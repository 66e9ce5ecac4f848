"""The exercises of *A fair race*: wrong answers as students write them are told apart, right ones pass.

Right answers come from closed forms, from SciPy and from the engine, not from the module's own truths.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from verdicts import answer_tests

import mathdl as md
from mathdl.exercises.fair_race import EXERCISES
from mathdl.optim import GradientDescent

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
UNIFORM, BEST, TRIALS = "log-uniform", "expected-best", "trials-needed"
PAIRED, SIGN, HYPER = "paired-difference", "sign-test", "hyper-gradient"


# -- right answers -----------------------------------------------------------------------------------------------------


def best(values: Any, k: int) -> Any:
    """The smallest value, and what each step up to the next one adds: it is climbed if all draws are above."""
    v = np.sort(values)
    n = len(v)
    return v[0] + sum((v[i] - v[i - 1]) * ((n - i) / n) ** k for i in range(1, n))


def sign(d: Any) -> Any:
    d = d[d != 0]
    return stats.binomtest(int(np.sum(d > 0)), len(d)).pvalue


def hyper(gradient: Any, hessian: Any, theta: Any, rate: float) -> Any:
    """The package's optimizer, run twice with a rate that the engine follows."""

    def moved(rate: Any) -> Any:
        descent, point = GradientDescent(rate), theta
        state = descent.initial(point)
        for _ in range(2):
            step, state = descent.update(gradient(point), state, point)
            point = point + step
        return point

    point, tangent = md.jvp(moved, (rate,), (1.0,))
    return gradient(point) @ tangent


RIGHT: dict[str, Any] = {
    UNIFORM: lambda u, low, high: low ** (1 - u) * high**u,
    BEST: best,
    TRIALS: lambda width, decades, chance: int(np.ceil(np.log1p(-chance) / np.log1p(-width / decades))),
    PAIRED: lambda a, b: [np.mean(a) - np.mean(b), stats.sem(a - b)],
    SIGN: sign,
    HYPER: hyper,
}


# -- wrong answers, as they are written --------------------------------------------------------------------------------


def best_written(line: str) -> Callable[..., Any]:
    def attempt(values: Any, k: int) -> Any:
        v = np.array(values) if line == "unsorted" else np.sort(values)
        n = len(v)
        if line == "max":
            v = v[::-1]
        if line == "without":
            weights = [math.comb(n - 1 - i, k - 1) / math.comb(n, k) for i in range(n)]
        elif line == "tail":
            weights = [((n - i) / n) ** k for i in range(n)]
        else:
            weights = [((n - i) / n) ** k - ((n - i - 1) / n) ** k for i in range(n)]
        return np.dot(weights, v)

    return attempt


def sign_written(line: str) -> Callable[..., Any]:
    def attempt(d: Any) -> Any:
        up, down = np.sum(d > 0), np.sum(d < 0)
        n = len(d) if line == "ties" else up + down
        w = max(up, down) if line == "more" else min(up, down)
        last = w if line == "open" else w + 1
        first = w if line == "only" else 0
        p = sum(math.comb(int(n), k) for k in range(first, last)) / 2.0**n
        p = p if line == "one" else 2 * p
        return p if line == "over" else min(1.0, p)

    return attempt


def hyper_written(line: str) -> Callable[..., Any]:
    def attempt(gradient: Any, hessian: Any, theta: Any, rate: float) -> Any:
        first, dot, slopes = theta, np.zeros_like(theta), []
        for _ in range(1 if line == "one step" else 2):
            g, H = gradient(theta), hessian(first if line == "old" else theta)
            slopes.append(g)
            bend = 0 if line in ("no Hessian", "last") else rate * H @ dot
            dot = -g if line == "last" else dot - g + (bend if line == "sign" else -bend)
            theta = theta - rate * g
        end = {"slope": slopes[0], "between": slopes[-1]}.get(line, gradient(theta))
        return end @ dot * {"log": rate, "up": -1}.get(line, 1)

    return attempt


WRONG: list[tuple[str, Any, str]] = [
    (UNIFORM, lambda u, low, high: low + (high - low) * u, "nine in ten"),
    (UNIFORM, lambda u, low, high: np.log(low) * (1 - u) + np.log(high) * u, "these are the logarithms; undo"),
    (UNIFORM, lambda u, low, high: np.log10(low) * (1 - u) + np.log10(high) * u, "logarithms to base 10; undo"),
    (UNIFORM, lambda u, low, high: np.exp(np.log10(low) * (1 - u) + np.log10(high) * u), "undone with exp"),
    (UNIFORM, lambda u, low, high: 10 ** (np.log(low) * (1 - u) + np.log(high) * u), "undone with powers of 10"),
    (UNIFORM, lambda u, low, high: high * (low / high) ** u, "wrong way"),
    (UNIFORM, lambda u, low, high: (high / low) ** u, "multiply by low"),
    (BEST, best_written("without"), "without replacement"),
    (BEST, best_written("max"), "expected largest"),
    (BEST, lambda values, k: values.min(), "smallest of all values"),
    (BEST, lambda values, k: values.mean(), "a single draw"),
    (BEST, lambda values, k: sorted(values)[0] if k == 1 else np.mean(sorted(values)[:k]), "k smallest values"),
    (BEST, lambda values, k: min(values[:k]), "first k values"),
    (BEST, best_written("unsorted"), "not sorted"),
    (BEST, best_written("tail"), "the first of them alone"),
    (TRIALS, lambda width, decades, chance: np.log(1 - chance) / np.log(1 - width / decades), "not a whole number"),
    (TRIALS, lambda width, decades, chance: int(np.log(1 - chance) / np.log(1 - width / decades)), "rounded down"),
    (TRIALS, lambda width, decades, chance: int(np.ceil(decades / width)), "one hit on average"),
    (TRIALS, lambda width, decades, chance: int(np.ceil(chance / (width / decades))), "do not add up"),
    (TRIALS, lambda width, decades, chance: int(np.ceil(np.log(1 - chance) / np.log(width / decades))), "p and 1 − p"),
    (TRIALS, lambda width, decades, chance: int(np.ceil(np.log(chance) / np.log(1 - width / decades))), "complement"),
    (PAIRED, lambda a, b: [(a - b).mean(), np.hypot(stats.sem(a), stats.sem(b))], "not paired"),
    (PAIRED, lambda a, b: [(a - b).mean(), (a - b).std(ddof=1)], "√n times less"),
    (PAIRED, lambda a, b: [(a - b).mean(), (a - b).std() / len(a) ** 0.5], "leave n − 1"),
    (PAIRED, lambda a, b: [(a - b).mean(), (a - b).std(ddof=1) / len(a)], "divided by √n"),
    (PAIRED, lambda a, b: [(b - a).mean(), stats.sem(b - a)], "this is b − a"),
    (PAIRED, lambda a, b: [(a - b).mean(), stats.sem(a - b) ** 2], "variance of the mean"),
    (SIGN, sign_written("one"), "one-sided"),
    (SIGN, sign_written("only"), "exactly so many"),
    (SIGN, sign_written("ties"), "ties are counted"),
    (SIGN, sign_written("more"), "more frequent sign"),
    (SIGN, sign_written("over"), "at most 1"),
    (SIGN, sign_written("open"), "ends too early"),
    (HYPER, hyper_written("no Hessian"), "the Hessian is missing"),
    (HYPER, hyper_written("sign"), "Hessian's term has the wrong sign"),
    (HYPER, hyper_written("old"), "taken at the first point"),
    (HYPER, hyper_written("one step"), "after one step"),
    (HYPER, hyper_written("last"), "only the last step"),
    (HYPER, hyper_written("slope"), "the one at the start"),
    (HYPER, hyper_written("between"), "the one between them"),
    (HYPER, hyper_written("log"), "by log α"),
    (HYPER, hyper_written("up"), "goes against the gradient"),
]

test_right, test_wrong, test_differ = answer_tests(EXERCISE, RIGHT, WRONG)


# -- the statements behind the answers ---------------------------------------------------------------------------------


def test_the_expected_best_is_what_draws_give() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=12)
    draws = rng.choice(values, size=(20000, 5)).min(axis=1)
    assert EXERCISE[BEST].truth(values[:5], 3) == pytest.approx(best(values[:5], 3))
    assert best(values, 5) == pytest.approx(draws.mean(), abs=0.02)


@pytest.mark.parametrize(("width", "decades", "chance"), [(0.4, 4.0, 0.9), (1.5, 5.0, 0.95)])
def test_the_trials_are_enough_and_one_less_is_not(width: float, decades: float, chance: float) -> None:
    k = EXERCISE[TRIALS].truth(width, decades, chance)
    miss = 1 - width / decades
    assert miss**k <= 1 - chance < miss ** (k - 1)


def test_five_seeds_never_reach_one_in_twenty_and_six_do() -> None:
    assert EXERCISE[SIGN].truth(np.ones(5)) == 1 / 16 > 0.05 > EXERCISE[SIGN].truth(np.ones(6))


def test_inputs_show_what_is_judged() -> None:
    assert any(np.any(d == 0) for (d,) in EXERCISE[SIGN].inputs), "ties would not be missed"
    assert any(k > 1 for _, k in EXERCISE[BEST].inputs)
    for gradient, hessian, theta, _ in EXERCISE[HYPER].inputs:
        assert np.allclose(md.jacobian(gradient)(theta), hessian(theta))
