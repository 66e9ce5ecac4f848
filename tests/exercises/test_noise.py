"""The exercises of *Noise, schedules, clipping*: wrong answers as students write them are told apart, right ones pass.

Right answers come from SciPy's Lyapunov solver, `md.optim`, the engine and algebra; none from the truths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from verdicts import answer_tests, told

import mathdl as md
from mathdl.exercises.noise import EXERCISES
from mathdl.optim import Clip, cosine, one_cycle

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
ERROR, SCALE, STATIONARY = "batch-error", "noise-scale", "stationary-covariance"
SCALED, CYCLE, CLIP, AVERAGE = "scaled-rate", "one-cycle-rate", "clip-jacobian", "debiased-average"


# -- right answers -----------------------------------------------------------------------------------------------------


def standard_errors(G: Any, B: int) -> Any:
    """The covariance of two different rows is −Σ/(N − 1)."""
    N, variance = len(G), np.diag(np.cov(G.T, bias=True))
    return np.sqrt((B * variance - B * (B - 1) * variance / (N - 1)) / B**2)


def noise_scale(small: Any, large: Any, b: int, B: int) -> Any:
    """As McCandlish and others write it (2018, appendix A)."""
    q, Q = ((G * G).sum() / len(G) for G in (small, large))
    return (q - Q) / (1 / b - 1 / B) / ((B * Q - b * q) / (B - b))


def stationary(H: Any, Sigma: Any, rate: float, B: int) -> Any:
    return scipy.linalg.solve_discrete_lyapunov(np.eye(len(H)) - rate * H, rate**2 * Sigma / B)


def scaled_rate(rate: float, B: int, B_new: int, h: float) -> Any:
    return 2 * B_new * rate / (B * (2 - rate * h) + B_new * rate * h)


def one_cycle_rate(k: int, low: float, peak: float, top: int, last: int) -> Any:
    if k <= top:
        return peak - cosine(peak - low, top)(k)
    return cosine(peak, last - top)(k - top)


def clip_jacobian(g: Any, c: float) -> Any:
    return md.jacobian(lambda g: Clip(c).update(g, {}, g)[0])(g)


def debiased(path: Any, beta: float) -> Any:
    weights = (1 - beta) * beta ** np.arange(len(path))[::-1]
    return weights @ path / weights.sum()


RIGHT: dict[str, Any] = {
    ERROR: standard_errors,
    SCALE: noise_scale,
    STATIONARY: stationary,
    SCALED: scaled_rate,
    CYCLE: one_cycle_rate,
    CLIP: clip_jacobian,
    AVERAGE: debiased,
}


# -- wrong answers, as they are written --------------------------------------------------------------------------------


def errors_written(line: str) -> Callable[..., Any]:
    def attempt(G: Any, B: int) -> Any:
        N = len(G)
        variance, factor = np.mean((G - G.mean(axis=0)) ** 2, axis=0), (N - B) / (N - 1)
        return {
            "with replacement": np.sqrt(variance / B),
            "variance": variance / B * factor,
            "over B": np.sqrt(variance * factor) / B,
            "factor": np.sqrt(variance / B) * factor,
            "rows": np.sqrt(variance),
            "ddof": np.sqrt(G.var(axis=0, ddof=1) / B * factor),
            "length": np.sqrt(np.sum(variance) / B * factor),
        }[line]

    return attempt


def scale_written(line: str) -> Callable[..., Any]:
    def attempt(small: Any, large: Any, b: int, B: int) -> Any:
        lengths = [np.linalg.norm(G, axis=1) for G in (small, large)]
        q, Q = (np.mean(length**2) for length in lengths)
        if line == "lengths":
            q, Q = (np.mean(length) ** 2 for length in lengths)
        if line == "mean gradient":
            q, Q = (np.linalg.norm(G.mean(axis=0)) ** 2 for G in (small, large))
        trace = (q - Q) / (1 / b - 1 / B)
        return {
            "divisor": trace / Q,
            "trace": trace,
            "reciprocal": (Q - trace / B) / trace,
            "sizes": (q - Q) / (B - b) / (Q - q / B),
            "ratio": q / Q,
        }.get(line, trace / (Q - trace / B))

    return attempt


def stationary_written(line: str) -> Callable[..., Any]:
    def attempt(H: Any, Sigma: Any, rate: float, B: int) -> Any:
        h, V = np.linalg.eigh(H)
        C = V.T @ Sigma @ V
        D = 1 - np.outer(1 - rate * h, 1 - rate * h)
        S = rate**2 * C / B / D
        return {
            "no B": V @ (S * B) @ V.T,
            "small rate": V @ (rate * C / B / np.add.outer(h, h)) @ V.T,
            "one rate": V @ (rate * C / B / D) @ V.T,
            "eigenbasis": S,
            "diagonal": V @ np.diag(np.diag(S)) @ V.T,
            "one step": rate**2 * Sigma / B,
            "one side": np.linalg.inv(H) @ Sigma * rate / B,
        }[line]

    return attempt


def scaled_written(line: str) -> Callable[..., Any]:
    def attempt(rate: float, B: int, B_new: int, h: float) -> Any:
        k = B_new / B
        r = rate / (2 - rate * h)
        return {
            "linear": k * rate,
            "stopped": min(k * rate, 2 / h),
            "root": k**0.5 * rate,
            "upside down": 2 * r / k / (1 + h * r / k),
            "same": rate,
            "half": k * r / (1 + h * k * r),
            "r": k * r,
        }[line]

    return attempt


def cycle_written(line: str) -> Callable[..., Any]:
    def attempt(k: int, low: float, peak: float, top: int, last: int) -> Any:
        u, v = k / top, (k - top) / (last - top)
        up, down = low + (peak - low) / 2 * (1 - np.cos(np.pi * u)), peak / 2 * (1 + np.cos(np.pi * v))
        other_up = {
            "line up": low + (peak - low) * u,
            "from zero": peak / 2 * (1 - np.cos(np.pi * u)),
            "sign": low + (peak - low) / 2 * (1 + np.cos(np.pi * u)),
            "whole": low + (peak - low) / 2 * (1 - np.cos(2 * np.pi * u)),
        }
        other_down = {
            "line down": peak * (1 - v),
            "from step 0": peak / 2 * (1 + np.cos(np.pi * k / last)),
            "length": peak / 2 * (1 + np.cos(np.pi * (k - top) / last)),
            "to low": low + (peak - low) / 2 * (1 + np.cos(np.pi * v)),
            "whole": peak / 2 * (1 + np.cos(2 * np.pi * v)),
        }
        return other_up.get(line, up) if k <= top else other_down.get(line, down)

    return attempt


def clip_written(line: str) -> Callable[..., Any]:
    def attempt(g: Any, c: float) -> Any:
        n, eye = np.linalg.norm(g), np.eye(len(g))
        P = np.outer(g, g) / n**2
        if line == "everywhere":
            return c / n * (eye - P)
        if line == "zero":
            return c / n * (eye - P) if n > c else 0 * eye
        if line == "entries":
            return np.diag(1.0 * (abs(g) < c))
        if n <= c:
            return eye
        return {
            "constant": c / n * eye,
            "not unit": c / n * (eye - np.outer(g, g)),
            "sign": c / n * (eye + P),
            "no factor": eye - P,
            "c": c * (eye - P),
            "along": c / n * P,
        }[line]

    return attempt


def average_written(line: str) -> Callable[..., Any]:
    def attempt(path: Any, beta: float) -> Any:
        T = len(path)
        w = (1 - beta) * beta ** np.arange(T - 1, -1, -1)
        v = beta * (1 - beta) ** np.arange(T - 1, -1, -1)
        return {
            "biased": w @ path,
            "first": w @ path + beta**T * path[0],
            "swapped": v @ path / v.sum(),
            "plain": path.sum(axis=0) / T,
            "reversed": w[::-1] @ path / w.sum(),
            "first weight": w @ path / (1 - beta),
            "off by one": w @ path / (1 - beta ** (T + 1)),
            "multiplied": w @ path * w.sum(),
        }[line]

    return attempt


WRONG: list[tuple[str, Any, str]] = [
    (ERROR, errors_written("with replacement"), "with replacement"),
    (ERROR, errors_written("variance"), "these are variances"),
    (ERROR, errors_written("over B"), "divided by √B"),
    (ERROR, errors_written("factor"), "belongs to the variance"),
    (ERROR, errors_written("rows"), "single rows"),
    (ERROR, errors_written("ddof"), "with N − 1"),
    (ERROR, errors_written("length"), "one length"),
    (SCALE, scale_written("divisor"), "still in the divisor"),
    (SCALE, scale_written("lengths"), "averaged and then squared"),
    (SCALE, scale_written("mean gradient"), "the noise has cancelled"),
    (SCALE, scale_written("trace"), "this is tr Σ"),
    (SCALE, scale_written("reciprocal"), "reciprocal"),
    (SCALE, scale_written("sizes"), "tr Σ (B − b)"),
    (SCALE, scale_written("ratio"), "ratio of the two"),
    (STATIONARY, stationary_written("no B"), "batch size is missing"),
    (STATIONARY, stationary_written("small rate"), "small rates only"),
    (STATIONARY, stationary_written("one rate"), "this has α"),
    (STATIONARY, stationary_written("eigenbasis"), "still in the eigenbasis"),
    (STATIONARY, stationary_written("diagonal"), "only the variances"),
    (STATIONARY, stationary_written("one step"), "single step"),
    (STATIONARY, stationary_written("one side"), "from both sides"),
    (SCALED, scaled_written("linear"), "neglects αh"),
    (SCALED, scaled_written("stopped"), "stopped at 2/h"),
    (SCALED, scaled_written("root"), "root of the batch size"),
    (SCALED, scaled_written("upside down"), "upside down"),
    (SCALED, scaled_written("same"), "does not change"),
    (SCALED, scaled_written("half"), "factor 2 is missing"),
    (SCALED, scaled_written("r"), "this is r"),
    (CYCLE, cycle_written("line up"), "way up is a straight line"),
    (CYCLE, cycle_written("line down"), "way down is a straight line"),
    (CYCLE, cycle_written("from step 0"), "jumps at the top"),
    (CYCLE, cycle_written("length"), "last − top steps are left"),
    (CYCLE, cycle_written("from zero"), "way up begins at 0"),
    (CYCLE, cycle_written("to low"), "ends at low"),
    (CYCLE, cycle_written("sign"), "sign of the cosine"),
    (CYCLE, cycle_written("whole"), "whole wave"),
    (CLIP, clip_written("constant"), "held constant"),
    (CLIP, clip_written("not unit"), "unit vector"),
    (CLIP, clip_written("sign"), "wrong sign"),
    (CLIP, clip_written("no factor"), "factor c/‖g‖ is missing"),
    (CLIP, clip_written("c"), "this has c"),
    (CLIP, clip_written("along"), "projection on g"),
    (CLIP, clip_written("everywhere"), "clips everywhere"),
    (CLIP, clip_written("zero"), "and not 0"),
    (CLIP, clip_written("entries"), "entry by entry"),
    (AVERAGE, average_written("biased"), "1 − β^T, is missing"),
    (AVERAGE, average_written("first"), "first row"),
    (AVERAGE, average_written("swapped"), "changed places"),
    (AVERAGE, average_written("plain"), "plain mean"),
    (AVERAGE, average_written("reversed"), "weights are upside down"),
    (AVERAGE, average_written("first weight"), "divides by 1 − β, their first"),
    (AVERAGE, average_written("off by one"), "off by one"),
    (AVERAGE, average_written("multiplied"), "has to be divided"),
]

test_right, test_wrong, test_differ = answer_tests(EXERCISE, RIGHT, WRONG)


def test_inputs_show_what_is_judged() -> None:
    clipped = {bool(np.linalg.norm(g) > c) for g, c in EXERCISE[CLIP].inputs}
    assert clipped == {True, False}
    beyond = [rate * B_new / B > 2 / h for rate, B, B_new, h in EXERCISE[SCALED].inputs]
    assert set(beyond) == {True, False}, "the linear rule and its end"
    for H, Sigma, rate, _ in EXERCISE[STATIONARY].inputs:
        assert np.linalg.eigvalsh(Sigma)[0] > 0, "no covariance"
        assert 0 < rate * np.linalg.eigvalsh(H)[-1] < 2, "no stationary covariance"


def test_all_batches_are_what_a_generator_draws() -> None:
    """The truth is an exact mean over batches; drawn ones come near it."""
    G, B = EXERCISE[ERROR].inputs[0]
    rng = np.random.default_rng(0)
    drawn = np.stack([G[rng.choice(len(G), B, replace=False)].mean(axis=0) for _ in range(4000)])
    np.testing.assert_allclose(drawn.std(axis=0), EXERCISE[ERROR].truth(G, B), rtol=0.06)


def test_the_cycle_is_that_of_the_package() -> None:
    """`one_cycle` has its peak at share · steps − 1 and its end at steps − 1; a last rate of almost 0."""
    rate = one_cycle(0.5, steps=101, share=31 / 101, start=25.0, end=1e12)
    for k in range(101):
        assert EXERCISE[CYCLE].truth(k, 0.02, 0.5, 30, 100) == pytest.approx(rate(k), abs=1e-9)


def test_the_scaled_rate_follows_the_linear_rule_while_it_is_small() -> None:
    assert EXERCISE[SCALED].truth(1e-4, 8, 32, 1.0) == pytest.approx(4e-4, rel=1e-3)
    assert EXERCISE[SCALED].truth(1.0, 8, 10**6, 1.0) < 2.0


def test_a_wrong_shape_is_named() -> None:
    assert "shape" in told(EXERCISE[AVERAGE], lambda path, beta: debiased(path.T, beta))
