"""The exercises of *Gradient descent*: wrong answers as students write them are told apart, right ones pass.

Right answers come from `mathdl.optim`, from SciPy and from closed forms, not from the module's own truths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import linalg, optimize
from verdicts import answer_tests

import mathdl as md
from mathdl.exercises.gradient_descent import EXERCISES
from mathdl.optim import GradientDescent, as_map, minimise

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
EXCESS, BEST, RADIUS = "excess-loss", "best-rate", "update-radius"
EXACT, HALVES, ORDER, ESCAPE = "exact-step", "backtracking", "convergence-order", "saddle-escape"


# -- right answers -----------------------------------------------------------------------------------------------------


def excess(H: Any, e: Any, rate: float, steps: int) -> Any:
    """The last value of a run of the package's own descent, whose minimum is at zero."""
    return minimise(lambda v: v @ H @ v / 2, e, GradientDescent(rate), steps).values[-1]


def best(H: Any) -> Any:
    """From the condition number, and from the two largest singular values of H and its inverse."""
    kappa, L = np.linalg.cond(H), np.linalg.norm(H, 2)
    return [2 * kappa / (L * (kappa + 1)), (kappa - 1) / (kappa + 1)]


def radius(gradient: Any, theta: Any, rate: float) -> Any:
    f, z = as_map(GradientDescent(rate), gradient, theta)
    return np.abs(np.linalg.eigvals(md.jacobian(f)(z))).max()


def exact(H: Any, b: Any, theta: Any) -> Any:
    """Where the slope along the line is zero, by a root finder."""
    g = H @ theta - b
    return optimize.brentq(lambda a: g @ (H @ (theta - a * g) - b), 0, 1e4, xtol=1e-14, rtol=1e-14)


def backtrack(f: Any, gradient: Any, theta: Any, longest: float, c: float) -> Any:
    a, g = longest, gradient(theta)
    while f(theta - a * g) > f(theta) - c * a * (g @ g):
        a /= 2
    return a


def order(errors: Any) -> Any:
    p, _ = linalg.solve(np.stack([np.log(errors[-3:-1]), np.ones(2)], axis=1), np.log(errors[-2:]))
    return p


def escape(curvature: float, rate: float, start: float, goal: float) -> Any:
    grown = np.log(start) + np.log1p(-rate * curvature) * np.arange(5000)
    return int(np.argmax(grown >= np.log(goal)))


RIGHT: dict[str, Any] = {
    EXCESS: excess,
    BEST: best,
    RADIUS: radius,
    EXACT: exact,
    HALVES: backtrack,
    ORDER: order,
    ESCAPE: escape,
}


# -- wrong answers, as they are written --------------------------------------------------------------------------------


def excess_written(line: str) -> Callable[..., Any]:
    def attempt(H: Any, e: Any, rate: float, steps: int) -> Any:
        values, Q = np.linalg.eigh(H)
        c = {"entries": e, "rows": Q @ e}.get(line, Q.T @ e)
        power = {"once": steps / 2, "late": steps + 1, "start": 0}.get(line, steps)
        factor = np.abs(1 - rate * values) ** power if line != "once" else (1 - rate * values) ** steps
        if line == "once":
            return np.sum(values * factor * c**2) / 2
        c = factor * c
        return np.sum((1 if line == "distance" else values) * c**2) / (1 if line == "half" else 2)

    return attempt


def best_written(line: str) -> Callable[..., Any]:
    def attempt(H: Any) -> Any:
        values = np.linalg.eigvalsh(H)
        mu, L = values[0], values[-1]
        kappa = L / mu
        rate = {"1/L": 1 / L, "2/L": 2 / L, "half": 1 / (mu + L), "mean": 1 / values.mean()}.get(line, 2 / (mu + L))
        factor = np.max(np.abs(1 - rate * values))
        factor = {
            "negative": 1 - rate * L,
            "kappa": 1 - 1 / kappa,
            "loss": factor**2,
            "root": (kappa**0.5 - 1) / (kappa**0.5 + 1),
        }.get(line, factor)
        return np.array([rate, factor])

    return attempt


def radius_written(line: str) -> Callable[..., Any]:
    def attempt(gradient: Any, theta: Any, rate: float) -> Any:
        sign = 1 if line == "uphill" else -1
        update = {"hessian": gradient, "no I": lambda v: rate * gradient(v)}.get(
            line, lambda v: v + sign * rate * gradient(v)
        )
        J = md.jacobian(update)(theta)
        values = np.linalg.eigvals(J).real
        return {
            "largest": values.max(),
            "smallest": np.abs(values).min(),
            "steepest": abs(values.min()),
            "norm": np.linalg.norm(J),
            "signed": values[np.abs(values).argmax()],
        }.get(line, np.abs(values).max())

    return attempt


def exact_written(line: str) -> Callable[..., Any]:
    def attempt(H: Any, b: Any, theta: Any) -> Any:
        g = H @ theta + {"plus": b, "no b": 0 * b}.get(line, -b)
        a = (g @ g) / (g @ H @ g)
        return {
            "upside down": 1 / a,
            "not squared": np.linalg.norm(g) / (g @ H @ g),
            "one": 1 / (g @ H @ g),
            "twice": 2 * a,
            "half": a / 2,
            "gradient": (g @ H @ g) / (H @ g @ H @ g),
            "sign": -a,
        }.get(line, a)

    return attempt


def backtrack_written(line: str) -> Callable[..., Any]:
    def attempt(f: Any, gradient: Any, theta: Any, longest: float, c: float) -> Any:
        a, g = longest, gradient(theta)
        square = {"not squared": np.linalg.norm(g), "plus": -g @ g}.get(line, g @ g)
        d = {"unit": -g / np.linalg.norm(g), "uphill": g}.get(line, -g)
        for _ in range(200):
            promised = {"any": 0.0, "no a": c * square, "first a": c * longest * square, "no c": a * square}.get(
                line, c * a * square
            )
            if f(theta + a * d) <= f(theta) - promised:
                break
            a = a / (10 if line == "tenth" else 2)
        return {"once more": a / 2, "refused": 2 * a}.get(line, a)

    return attempt


def order_written(line: str) -> Callable[..., Any]:
    def attempt(errors: Any) -> Any:
        e = errors[:3] if line == "first" else errors[-3:]
        a, b, c = e if line == "no logs" else np.log(e)
        return {
            "upside down": (b - a) / (c - b),
            "no constant": c / b,
            "factor": e[2] / e[1],
            "slope": c - b,
            "factors": (e[2] / e[1]) / (e[1] / e[0]),
        }.get(line, (c - b) / (b - a))

    return attempt


def escape_written(line: str) -> Callable[..., Any]:
    def attempt(curvature: float, rate: float, start: float, goal: float) -> Any:
        factor = {"sign": 1 + rate * curvature, "no rate": 1 - curvature}.get(line, 1 - rate * curvature)
        n = np.log(goal / start) / np.log(factor)
        if line == "small":
            n = np.log(goal / start) / (rate * abs(curvature))
        if line == "sum":
            n = (goal - start) / (rate * abs(curvature) * start)
        if line == "places":
            n = np.log(start / goal) / np.log(factor)
        return {"fraction": n, "down": np.floor(n), "one more": np.ceil(n) + 1}.get(line, np.ceil(n))

    return attempt


WRONG: list[tuple[str, Any, str]] = [
    (EXCESS, excess_written("once"), "2t times"),
    (EXCESS, excess_written("distance"), "half the squared distance"),
    (EXCESS, excess_written("half"), "½ is missing"),
    (EXCESS, excess_written("entries"), "entry by entry"),
    (EXCESS, excess_written("rows"), "this is Qe"),
    (EXCESS, excess_written("late"), "one step more"),
    (EXCESS, excess_written("start"), "loss at the start"),
    (BEST, best_written("1/L"), "this is 1/L"),
    (BEST, best_written("2/L"), "limit 2/L itself"),
    (BEST, best_written("half"), "half of the best one"),
    (BEST, best_written("negative"), "never negative"),
    (BEST, best_written("kappa"), "1 − 1/κ"),
    (BEST, best_written("loss"), "factor is squared"),
    (BEST, best_written("root"), "square roots of κ"),
    (BEST, best_written("mean"), "mean of all eigenvalues"),
    (BEST, lambda H: best(H)[::-1], "wrong order"),
    (RADIUS, radius_written("largest"), "not the largest in size"),
    (RADIUS, radius_written("hessian"), "of the Hessian"),
    (RADIUS, radius_written("smallest"), "smallest of the factors"),
    (RADIUS, radius_written("steepest"), "steepest direction alone"),
    (RADIUS, radius_written("uphill"), "I + αH"),
    (RADIUS, radius_written("no I"), "the I of the update"),
    (RADIUS, radius_written("norm"), "sum of all squared entries"),
    (RADIUS, radius_written("signed"), "take its size"),
    (EXACT, exact_written("upside down"), "upside down"),
    (EXACT, exact_written("plus"), "b was added"),
    (EXACT, exact_written("no b"), "left out"),
    (EXACT, exact_written("not squared"), "length of g is not squared"),
    (EXACT, exact_written("one"), "has not the length 1"),
    (EXACT, exact_written("twice"), "twice the way"),
    (EXACT, exact_written("half"), "half the way"),
    (EXACT, exact_written("gradient"), "new gradient the shortest"),
    (EXACT, exact_written("sign"), "sign is wrong"),
    (EXACT, lambda H, b, theta: 2 / np.linalg.eigvalsh(H)[[0, -1]].sum(), "best fixed rate"),
    (EXACT, lambda H, b, theta: 1 / np.linalg.norm(H, 2), "fixed rate 1/L"),
    (HALVES, backtrack_written("any"), "whatever makes the loss smaller"),
    (HALVES, backtrack_written("not squared"), "the slope along −g is −gᵀg"),
    (HALVES, backtrack_written("no a"), "length a is missing"),
    (HALVES, backtrack_written("first a"), "keeps the first length"),
    (HALVES, backtrack_written("no c"), "c is missing"),
    (HALVES, backtrack_written("once more"), "halved once more"),
    (HALVES, backtrack_written("refused"), "last length that was refused"),
    (HALVES, backtrack_written("tenth"), "divided by 10"),
    (HALVES, backtrack_written("plus"), "sign of the last term"),
    (HALVES, backtrack_written("unit"), "steps along g itself"),
    (HALVES, backtrack_written("uphill"), "walks uphill"),
    (ORDER, order_written("upside down"), "upside down"),
    (ORDER, order_written("no constant"), "taken for 1"),
    (ORDER, order_written("factor"), "constant of linear convergence"),
    (ORDER, order_written("first"), "first three errors"),
    (ORDER, order_written("no logs"), "logarithms are missing"),
    (ORDER, order_written("slope"), "slope over steps"),
    (ORDER, order_written("factors"), "quotient of the factors"),
    (ESCAPE, escape_written("fraction"), "not a whole number"),
    (ESCAPE, escape_written("down"), "rounded down"),
    (ESCAPE, escape_written("sign"), "sign of the curvature"),
    (ESCAPE, escape_written("small"), "small steps only"),
    (ESCAPE, escape_written("sum"), "same amount each step"),
    (ESCAPE, escape_written("places"), "changed places"),
    (ESCAPE, escape_written("no rate"), "rate is missing"),
    (ESCAPE, escape_written("one more"), "one step too many"),
]

test_right, test_wrong, test_differ = answer_tests(EXERCISE, RIGHT, WRONG)


# -- the statements behind the answers ---------------------------------------------------------------------------------


def test_all_that_the_slope_promised_is_never_given() -> None:
    """A convex loss lies above its tangent, so that c = 1 halves until nothing is left of the step."""
    f, gradient, theta, longest, c = EXERCISE[HALVES].inputs[0]
    assert backtrack_written("no c")(f, gradient, theta, longest, c) < 1e-6


def test_the_losses_have_the_gradients_they_are_given_with() -> None:
    for f, gradient, theta, _, _ in EXERCISE[HALVES].inputs:
        np.testing.assert_allclose(gradient(theta), md.grad(f)(theta), atol=1e-12)


@pytest.mark.parametrize("case", range(3))
def test_no_rate_is_better_than_the_best(case: int) -> None:
    (H,) = EXERCISE[BEST].inputs[case]
    rate, factor = EXERCISE[BEST].truth(H)
    for other in (0.99 * rate, 1.01 * rate):
        assert np.abs(1 - other * np.linalg.eigvalsh(H)).max() > factor


def test_inputs_show_what_is_judged() -> None:
    """The slowest direction is now the flattest, now the steepest, now the one that leaves a saddle."""
    kinds = set()
    for gradient, theta, rate in EXERCISE[RADIUS].inputs:
        values = np.linalg.eigvals(np.eye(len(theta)) - rate * md.jacobian(gradient)(theta)).real
        slowest = values[np.abs(values).argmax()]
        kinds.add("grows" if slowest > 1 else "jumps" if slowest < 0 else "creeps")
    assert kinds == {"grows", "jumps", "creeps"}
    for arguments in EXERCISE[HALVES].inputs[:4]:
        assert backtrack(*arguments) < arguments[3]
    f, gradient, theta, longest, c = EXERCISE[HALVES].inputs[4]
    assert backtrack(f, gradient, theta, longest, c) == longest, "one accepts the first length"


def test_two_rates_in_turn_are_better_than_the_best_one() -> None:
    """The paper exercise: its rates for κ = 10, and the factor of two steps over the whole range of eigenvalues."""
    mu, L = 1.0, 10.0
    rho, middle, half = (L - mu) / (L + mu), (mu + L) / 2, (L - mu) / 2
    rates = 1 / (middle - half / np.sqrt(2)), 1 / (middle + half / np.sqrt(2))
    curvatures = np.linspace(mu, L, 10_001)
    factor = np.abs((1 - rates[0] * curvatures) * (1 - rates[1] * curvatures)).max()
    assert factor == pytest.approx(rho**2 / (2 - rho**2), rel=1e-9)
    assert (round(rates[0], 2), round(factor, 3), round(rho**2, 3)) == (0.43, 0.503, 0.669)
