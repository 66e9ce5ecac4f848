"""The exercises of *Momentum*: wrong answers as students write them are told apart, right ones pass.

Right answers come from closed forms and from the optimizers themselves, not from the module's own truths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from verdicts import answer_tests

import mathdl as md
from mathdl.exercises.momentum import EXERCISES

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
HEAVY, RADIUS, BEST, NESTEROV = "heavy-ball-block", "heavy-ball-radius", "best-heavy-ball", "nesterov-block"
SHIFT, PERIOD, CRITICAL = "look-ahead-shift", "oscillation-period", "critical-beta"


# -- right answers -----------------------------------------------------------------------------------------------------


def heavy(rate: float, beta: float, curvature: float) -> Any:
    def step(z: Any) -> Any:
        g = curvature * z[0]
        v = beta * z[1] + g
        return np.stack([z[0] - rate * v, v])

    return md.jacobian(step)(np.ones(2))


def radius(rate: float, beta: float, curvatures: Any) -> float:
    """From trace and determinant of each block."""
    t, d = 1 + beta - rate * curvatures, beta
    root = np.sqrt(t**2 / 4 - d + 0j)
    return float(np.abs([t / 2 + root, t / 2 - root]).max())


def best(mu: float, L: float) -> Any:
    k = np.sqrt(L / mu)
    return (2 / (np.sqrt(mu) + np.sqrt(L))) ** 2, ((k - 1) / (k + 1)) ** 2


RIGHT: dict[str, Any] = {
    HEAVY: heavy,
    RADIUS: radius,
    BEST: best,
    NESTEROV: lambda a, b, h: [[1 - a * h, -a * b * (1 - a * h)], [h, b * (1 - a * h)]],
    SHIFT: lambda a, b: [[1, -a * b], [0, 1]],
    PERIOD: lambda a, b, h: 2 * np.pi / np.arccos((1 + b - a * h) / 2 / np.sqrt(b)),
    CRITICAL: lambda a, h: (1 - np.sqrt(a * h)) ** 2,
}


# -- wrong answers, as they are written --------------------------------------------------------------------------------


def heavy_written(line: str) -> Callable[..., Any]:
    def attempt(rate: float, beta: float, curvature: float) -> Any:
        J = np.array([[1 - rate * curvature, -rate * beta], [curvature, beta]])
        if line == "uphill":
            J[0] = [1 + rate * curvature, rate * beta]
        if line == "old":
            J[0] = [1, -rate]
        if line == "mean":
            J[0, 0], J[1, 0] = 1 - rate * (1 - beta) * curvature, (1 - beta) * curvature
        if line == "rate inside":
            J = np.array([[1 - rate * curvature, -beta], [rate * curvature, beta]])
        if line == "no beta":
            J[0, 1] = -rate
        if line == "no gradient":
            J[0, 0] = 1
        return {"order": J[::-1, ::-1], "transposed": J.T}.get(line, J)

    return attempt


def radius_written(line: str) -> Callable[..., Any]:
    def attempt(rate: float, beta: float, curvatures: Any) -> Any:
        choose = {"real": lambda pair: pair.real.max(), "small": lambda pair: np.abs(pair).min()}
        of = choose.get(line, lambda pair: np.abs(pair).max())
        sizes = [of(np.linalg.eigvals([[1 - rate * h, -rate * beta], [h, beta]])) for h in curvatures]
        flat, steep = np.argmin(curvatures), np.argmax(curvatures)
        special = {
            "root": np.sqrt(beta),
            "flat": sizes[flat],
            "steep": sizes[steep],
            "fast": min(sizes),
            "descent": np.abs(1 - rate * curvatures).max(),
        }
        return special.get(line, max(sizes))

    return attempt


def best_written(line: str) -> Callable[..., Any]:
    def attempt(mu: float, L: float) -> Any:
        kappa = L / mu
        root = (np.sqrt(kappa) - 1) / (np.sqrt(kappa) + 1)
        rate, beta = 4 / (np.sqrt(mu) + np.sqrt(L)) ** 2, root**2
        return {
            "root": [rate, root],
            "rate": [np.sqrt(rate), beta],
            "descent": [2 / (mu + L), beta],
            "kappa": [rate, ((kappa - 1) / (kappa + 1)) ** 2],
            "swapped": [beta, rate],
            "nesterov": [1 / L, root],
            "careful": [1 / L, beta],
        }[line]

    return attempt


def nesterov_written(line: str) -> Callable[..., Any]:
    def attempt(a: float, b: float, h: float) -> Any:
        if line == "other form":
            return np.array([[1 - a * (1 + b) * h, -a * b * b], [h, b]])
        ahead = {"back": -a * b, "whole": a, "no rate": b}.get(line, a * b)
        second = np.array([h, b - h * ahead])
        J = np.stack([np.array([1.0, 0.0]) - a * (np.array([0.0, 1.0]) if line == "old" else second), second])
        return {"order": J[::-1, ::-1], "transposed": J.T}.get(line, J)

    return attempt


def period_written(line: str) -> Callable[..., Any]:
    def attempt(a: float, b: float, h: float) -> Any:
        r = np.linalg.eigvals([[1 - a * h, -a * b], [h, b]])[0]
        r = r if r.imag > 0 else r.conj()
        phi = np.angle(r)
        return {
            "half": np.pi / phi,
            "angle": phi,
            "radian": 1 / phi,
            "imaginary": 2 * np.pi / r.imag,
            "arctan": 2 * np.pi / np.arctan(r.imag / r.real),
            "degrees": 360 / phi,
            "continuous": 2 * np.pi / np.sqrt(a * h),
        }[line]

    return attempt


WRONG: list[tuple[str, Any, str]] = [
    (HEAVY, heavy_written("old"), "old velocity"),
    (HEAVY, heavy_written("order"), "other order"),
    (HEAVY, heavy_written("uphill"), "up the hill"),
    (HEAVY, heavy_written("rate inside"), "stands in the velocity"),
    (HEAVY, heavy_written("mean"), "is a mean"),
    (HEAVY, heavy_written("no beta"), "β is missing in the first row"),
    (HEAVY, heavy_written("no gradient"), "αλ is missing"),
    (HEAVY, heavy_written("transposed"), "transposed"),
    (RADIUS, radius_written("root"), "this is √β"),
    (RADIUS, radius_written("real"), "real part"),
    (RADIUS, radius_written("flat"), "only the smallest curvature"),
    (RADIUS, radius_written("steep"), "only the largest curvature"),
    (RADIUS, radius_written("small"), "smallest eigenvalue"),
    (RADIUS, radius_written("fast"), "fastest block"),
    (RADIUS, radius_written("descent"), "gradient descent's factor"),
    (BEST, best_written("root"), "β is the square"),
    (BEST, best_written("rate"), "the rate α is the square"),
    (BEST, best_written("descent"), "gradient descent's"),
    (BEST, best_written("kappa"), "√κ is wanted"),
    (BEST, best_written("swapped"), "swapped"),
    (BEST, best_written("nesterov"), "Nesterov's standard pair"),
    (BEST, best_written("careful"), "too careful"),
    (NESTEROV, heavy, "heavy ball's"),
    (NESTEROV, nesterov_written("other form"), "g + βv"),
    (NESTEROV, nesterov_written("back"), "looks back"),
    (NESTEROV, nesterov_written("whole"), "whole velocity"),
    (NESTEROV, nesterov_written("no rate"), "lacks α"),
    (NESTEROV, nesterov_written("old"), "old velocity"),
    (NESTEROV, nesterov_written("order"), "other order"),
    (NESTEROV, nesterov_written("transposed"), "transposed"),
    (SHIFT, lambda a, b: [[1, a * b], [0, 1]], "its inverse"),
    (SHIFT, lambda a, b: [[1, -a], [0, 1]], "β is missing"),
    (SHIFT, lambda a, b: [[1, -b], [0, 1]], "α is missing"),
    (SHIFT, lambda a, b: [[1, 0], [-a * b, 1]], "transposed"),
    (SHIFT, lambda a, b: [[1, -a * b], [0, b]], "not scaled"),
    (PERIOD, period_written("half"), "half a turn"),
    (PERIOD, period_written("angle"), "angle of one step"),
    (PERIOD, period_written("radian"), "one radian"),
    (PERIOD, period_written("imaginary"), "imaginary part"),
    (PERIOD, period_written("arctan"), "arc tangent"),
    (PERIOD, period_written("degrees"), "degrees"),
    (PERIOD, period_written("continuous"), "continuous ball"),
    (CRITICAL, lambda a, h: 1 - np.sqrt(a * h), "this is √β"),
    (CRITICAL, lambda a, h: (1 - a * h) ** 2, "root is missing"),
    (CRITICAL, lambda a, h: 1 - a * h, "gradient descent's factor"),
    (CRITICAL, lambda a, h: (1 + np.sqrt(a * h)) ** 2, "upper edge"),
    (CRITICAL, lambda a, h: 1 - 2 * np.sqrt(a * h), "limit for small"),
    (CRITICAL, lambda a, h: (1 - np.sqrt(a)) ** 2, "curvature is missing"),
]

test_right, test_wrong, test_differ = answer_tests(EXERCISE, RIGHT, WRONG)


# -- the statements behind the answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [0.1, 0.7])
@pytest.mark.parametrize("b", [0.3, 0.9])
def test_the_shift_takes_one_form_of_nesterov_to_the_other(a: float, b: float) -> None:
    h = 1.7
    P, ahead = EXERCISE[SHIFT].truth(a, b), EXERCISE[NESTEROV].truth(a, b, h)
    other = np.array([[1 - a * (1 + b) * h, -a * b * b], [h, b]])
    np.testing.assert_allclose(P @ ahead @ np.linalg.inv(P), other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("mu", "L"), [(1.0, 25.0), (0.3, 40.0)])
def test_no_pair_near_the_best_one_is_faster(mu: float, L: float) -> None:
    truth = EXERCISE[RADIUS].truth
    rate, beta = EXERCISE[BEST].truth(mu, L)
    ends = np.array([mu, L])
    reached = truth(rate, beta, ends)
    assert reached == pytest.approx((np.sqrt(L / mu) - 1) / (np.sqrt(L / mu) + 1), abs=1e-6)
    for da in (-0.02, 0.0, 0.02):
        for db in (-0.02, 0.0, 0.02):
            if da or db:
                assert truth(rate * (1 + da), beta * (1 + db), ends) > reached + 1e-4


def test_the_error_comes_round_after_a_period() -> None:
    """After whole periods heavy ball is back on the line it started on, smaller by the power of √β."""
    beta, curvature, turns = 0.81, 1.0, 12
    rate = 1 + beta - 2 * np.sqrt(beta) * np.cos(2 * np.pi / turns)
    assert EXERCISE[PERIOD].truth(rate, beta, curvature) == pytest.approx(turns)
    M = EXERCISE[HEAVY].truth(rate, beta, curvature)
    np.testing.assert_allclose(np.linalg.matrix_power(M, turns), 0.9**turns * np.eye(2), atol=1e-12)


def test_inputs_show_what_is_judged() -> None:
    radii = [(a, b, h) for a, b, h in EXERCISE[RADIUS].inputs]
    assert any(np.abs(1 - a * h).max() == 1 - a * h.min() for a, b, h in radii)
    assert any(((1 + b - a * h) ** 2 < 4 * b).all() for a, b, h in radii), "one with complex eigenvalues alone"
    assert any(1 + b - a * h < 0 for a, b, h in EXERCISE[PERIOD].inputs), "one that turns by more than a right angle"
