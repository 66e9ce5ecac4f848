"""The exercises of *Noise, schedules, clipping*: batches as estimates, clouds, rates for them, clipping, moving means.

Truths come from all batches there are, from many steps of a recursion, from a table and from complex steps; none repeats
a solution.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[Any]

_rng = np.random.default_rng(19)
_normal = _rng.standard_normal

# ------------------------------------------------------------------------------------------------------ standard errors


def _standard_errors(G: Array, B: int) -> Array:
    """The spread of the means over all batches there are."""
    means = np.stack([G[list(batch)].mean(axis=0) for batch in combinations(range(len(G)), B)])
    return np.asarray(np.sqrt(np.mean((means - G.mean(axis=0)) ** 2, axis=0)))


_ERROR = Exercise(
    name="batch-error",
    task="Return the standard errors of a batch's gradient, entry by entry: B different rows of G, drawn at random.",
    truth=_standard_errors,
    inputs=((_normal((7, 3)), 3), (_normal((5, 2)) + 2.0, 4), (3 * _normal((9, 4)), 2)),
    hints=(
        "The variance of one row, drawn at random, is the variance over all N rows. A mean of B independent ones has a B-th of it.",
        "All B rows are different: without replacement comes the factor (N − B)/(N − 1). The standard error is the root of the variance.",
        "np.sqrt(G.var(axis=0) / B * (N − B) / (N − 1)), with N = len(G)",
    ),
    mistakes={
        "this is right for draws with replacement; for B different rows the factor (N − B)/(N − 1) is missing": lambda G, B: (
            G.std(axis=0) / np.sqrt(B)
        ),
        "these are variances; a standard error is the root": lambda G, B: _standard_errors(G, B) ** 2,
        "the standard deviation is divided by B; the variance is, so that the standard deviation is divided by √B": lambda G, B: (
            G.std(axis=0) / B * np.sqrt((len(G) - B) / (len(G) - 1))
        ),
        "the root of the factor (N − B)/(N − 1) is missing: it belongs to the variance": lambda G, B: (
            G.std(axis=0) / np.sqrt(B) * (len(G) - B) / (len(G) - 1)
        ),
        "this is the spread of single rows; a batch is a mean of B": lambda G, B: G.std(axis=0),
        "the variance is taken with N − 1, and the factor (N − B)/(N − 1) allows for that already: divide by N": lambda G, B: (
            G.std(axis=0, ddof=1) / np.sqrt(B) * np.sqrt((len(G) - B) / (len(G) - 1))
        ),
        "the entries are added up to one length; each entry has a standard error of its own": lambda G, B: np.sqrt(
            np.sum(_standard_errors(G, B) ** 2)
        ),
    },
)

# ----------------------------------------------------------------------------------------------- the noise scale


def _noise_scale(small: Array, large: Array, b: int, B: int) -> Array:
    """The two equations as a linear system."""
    squares = [np.mean(np.linalg.norm(G, axis=1) ** 2) for G in (small, large)]
    length, trace = np.linalg.solve([[1.0, 1 / b], [1.0, 1 / B]], squares)
    return np.asarray(trace / length)


def _scale_from(q: Callable[[Array], Any], divided: bool = True) -> Callable[..., Any]:
    """The same with another summary of the batches' gradients, or without what the larger batches' noise adds."""

    def scale(small: Array, large: Array, b: int, B: int) -> Any:
        trace = (q(small) - q(large)) / (1 / b - 1 / B)
        return trace / (q(large) - trace / B if divided else q(large))

    return scale


def _square(G: Array) -> Any:
    return np.mean(np.sum(G**2, axis=1))


def _batches(b: int, B: int, length: float, trace: float, P: int) -> tuple[Array, Array, int, int]:
    g = length * np.ones(P) / np.sqrt(P)
    small, large = (g + np.sqrt(trace / P / size) * _normal((40, P)) for size in (b, B))
    return small, large, b, B


_SCALE = Exercise(
    name="noise-scale",
    task="Return the noise scale tr Σ / ‖g‖² from gradients of batches of b (rows of small) and of B (rows of large).",
    truth=_noise_scale,
    inputs=(_batches(4, 64, 1.0, 30.0, 5), _batches(16, 128, 0.7, 12.0, 8), _batches(2, 10, 1.0, 3.0, 3)),
    hints=(
        "The mean squared length of batch gradients is ‖g‖² + tr Σ/b for the one, and ‖g‖² + tr Σ/B for the other. What are the unknowns?",
        "Subtract: the two means differ by tr Σ (1/b − 1/B). Then ‖g‖² is the mean for B less tr Σ/B.",
        "trace = (q − Q)/(1/b − 1/B); trace/(Q − trace/B), with q and Q the means of the squared lengths",
    ),
    mistakes={
        "what the noise adds to ‖g‖² is still in the divisor: subtract tr Σ/B": _scale_from(_square, divided=False),
        "the lengths are averaged and then squared; the equation is about the mean of their squares": _scale_from(
            lambda G: np.mean(np.linalg.norm(G, axis=1)) ** 2
        ),
        "this is the squared length of the mean gradient, in which the noise has cancelled; take squared lengths first, then the mean": _scale_from(
            lambda G: np.sum(G.mean(axis=0) ** 2)
        ),
        "this is tr Σ; divide it by ‖g‖²": lambda small, large, b, B: (
            (_square(small) - _square(large)) / (1 / b - 1 / B)
        ),
        "this is the reciprocal: the noise stands above": lambda small, large, b, B: (
            1 / _noise_scale(small, large, b, B)
        ),
        "the two means differ by tr Σ (1/b − 1/B), and not by tr Σ (B − b)": lambda small, large, b, B: (
            (_square(small) - _square(large)) / (B - b) / (_square(large) - _square(small) / B)
        ),
        "this is the ratio of the two mean squared lengths; solve for tr Σ and ‖g‖² first": lambda small, large, b, B: (
            _square(small) / _square(large)
        ),
    },
)

# --------------------------------------------------------------------------------------------- where the cloud settles


def _stationary(H: Array, Sigma: Array, rate: float, B: int) -> Array:
    """The recursion of the covariance, until it rests: each pass makes twice as many steps as the one before."""
    A, S = np.eye(len(H)) - rate * H, rate**2 * Sigma / B
    for _ in range(60):
        S, A = S + A @ S @ A.T, A @ A
    return np.asarray(S)


def _in_eigenbasis(entry: Callable[[Array, Array, float, int], Array]) -> Callable[..., Array]:
    """S with other entries in the eigenbasis; ``entry`` gets the pairs of eigenvalues' sums, their products, α and B."""

    def covariance(H: Array, Sigma: Array, rate: float, B: int) -> Array:
        h, V = np.linalg.eigh(H)
        C = V.T @ Sigma @ V
        return np.asarray(V @ (C * entry(h[:, None] + h, np.outer(h, h), rate, B)) @ V.T)

    return covariance


def _spd(n: int, low: float, high: float) -> Array:
    Q = np.linalg.qr(_normal((n, n)))[0]
    return np.asarray(Q @ np.diag(np.linspace(low, high, n)) @ Q.T)


_STATIONARY = Exercise(
    name="stationary-covariance",
    task="Return the covariance S with S = (I − αH) S (I − αH)ᵀ + α² Σ/B, for a symmetric H and a rate below 2/L.",
    truth=_stationary,
    inputs=(
        (_spd(3, 0.2, 1.5), _spd(3, 0.5, 2.0), 0.6, 4),
        (_spd(2, 0.1, 2.0), np.array([[2.0, 0.7], [0.7, 1.0]]), 0.3, 16),
        (np.array([[1.2]]), np.array([[3.0]]), 1.1, 2),
    ),
    hints=(
        "Take it to the eigenbasis of H: h, V = np.linalg.eigh(H), and C = VᵀΣV. There the equation falls apart, entry by entry.",
        "S_ij (1 − (1 − αh_i)(1 − αh_j)) = α² C_ij / B. And at the end back: V S Vᵀ.",
        "shrink = 1 − rate * h; V @ (rate**2 * C / B / (1 − np.outer(shrink, shrink))) @ V.T",
    ),
    mistakes={
        "the division by the batch size is missing: the noise is Σ/B": lambda H, Sigma, rate, B: _stationary(
            H, Sigma, rate, 1
        ),
        "this leaves out α² h_i h_j; it is right for small rates only": _in_eigenbasis(lambda s, p, a, B: a / B / s),
        "the noise comes in with α², since it is the covariance of αξ; this has α": _in_eigenbasis(
            lambda s, p, a, B: 1 / B / (s - a * p)
        ),
        "this is still in the eigenbasis; go back with V S Vᵀ": lambda H, Sigma, rate, B: (
            np.linalg.eigh(H)[1].T @ _stationary(H, Sigma, rate, B) @ np.linalg.eigh(H)[1]
        ),
        "only the variances along the eigenvectors are kept; Σ is not diagonal there, and S is not either": lambda H, Sigma, rate, B: (
            (lambda V, S: V @ np.diag(np.diag(V.T @ S @ V)) @ V.T)(np.linalg.eigh(H)[1], _stationary(H, Sigma, rate, B))
        ),
        "this is Σ shrunk once: the noise of a single step. It piles up until the pull balances it": lambda H, Sigma, rate, B: (
            rate**2 * Sigma / B
        ),
        "the noise is not carried along: each step shrinks the old covariance from both sides, by (1 − αh_i)(1 − αh_j), and not by 1 − αh_i alone": lambda H, Sigma, rate, B: (
            np.linalg.solve(rate * H, rate**2 * Sigma / B)
        ),
    },
)

# --------------------------------------------------------------------------------------------------- the scaled rate


def _scaled_rate(rate: float, B: int, B_new: int, h: float) -> Array:
    """Bisection: the variance grows with the rate, from 0 to infinity at 2/h."""

    def variance(a: float, size: int) -> float:
        return a / (size * h * (2 - a * h))

    low, high = 0.0, 2 / h
    for _ in range(200):
        middle = (low + high) / 2
        if variance(middle, B_new) < variance(rate, B):
            low = middle
        else:
            high = middle
    return np.asarray(low)


_SCALED = Exercise(
    name="scaled-rate",
    task="Return the rate at which batches of B_new hover with the variance that batches of B have at `rate`; curvature h.",
    truth=_scaled_rate,
    inputs=((0.5, 8, 64, 1.5), (0.1, 4, 8, 0.8), (1.2, 32, 8, 1.0), (0.05, 8, 512, 3.0)),
    hints=(
        "The variance is α σ²/(B h (2 − αh)). Write it down for both, and set them equal: σ² and one h cancel.",
        "With r = (B_new/B) α/(2 − αh) the equation is α_new/(2 − α_new h) = r. Solve it for α_new.",
        "2 r/(1 + r h)",
    ),
    mistakes={
        "this is the linear rule; it neglects αh beside 2, and sooner or later it is above 2/h": lambda rate, B, B_new, h: (
            rate * B_new / B
        ),
        "this is the linear rule, stopped at 2/h, where the variance is infinite": lambda rate, B, B_new, h: min(
            rate * B_new / B, 2 / h
        ),
        "this goes with the root of the batch size; the variance depends on α/B": lambda rate, B, B_new, h: (
            rate * np.sqrt(B_new / B)
        ),
        "the ratio of the batch sizes is upside down: larger batches allow larger rates": lambda rate, B, B_new, h: (
            _scaled_rate(rate, B_new, B, h)
        ),
        "the rate does not change here; but a larger batch is less noisy": lambda rate, B, B_new, h: rate,
        "the factor 2 is missing: α_new = 2 r/(1 + r h)": lambda rate, B, B_new, h: _scaled_rate(rate, B, B_new, h) / 2,
        "this is r; α_new/(2 − α_new h) = r has to be solved for α_new": lambda rate, B, B_new, h: (
            B_new / B * rate / (2 - rate * h)
        ),
    },
)

# ------------------------------------------------------------------------------------------------------- one cycle


def _wave(part: float) -> float:
    """From 0 to 1 along half a wave, by the half-angle formula."""
    return float(np.sin(np.pi * part / 2) ** 2)


def _one_cycle(k: int, low: float, peak: float, top: int, last: int) -> Array:
    if k <= top:
        return np.asarray((1 - _wave(k / top)) * low + _wave(k / top) * peak)
    return np.asarray(_wave((last - k) / (last - top)) * peak)


def _cycle(
    up: Callable[[int, float, float, int, int], float] | None = None,
    down: Callable[[int, float, float, int, int], float] | None = None,
) -> Callable[..., Any]:
    """The same with another way up or down."""

    def rate(k: int, low: float, peak: float, top: int, last: int) -> Any:
        way = up if k <= top else down
        return (way or _one_cycle)(k, low, peak, top, last)

    return rate


_CYCLE = Exercise(
    name="one-cycle-rate",
    task="Return the rate at step k: half a cosine wave from low (k = 0) to peak (k = top), then half a wave to 0 (k = last).",
    truth=_one_cycle,
    inputs=(*((k, 0.02, 0.5, 30, 100) for k in (0, 7, 20, 30, 31, 55, 90, 100)), (3, 0.1, 2.0, 4, 9)),
    hints=(
        "(1 − cos πu)/2 rises from 0 to 1 while u goes from 0 to 1. What is u on the way up? And on the way down?",
        "Up: low + (peak − low) (1 − cos(π k/top))/2. Down: u = (k − top)/(last − top), and (1 + cos πu)/2 falls from 1 to 0.",
        "k <= top: low + (peak − low)(1 − cos(π k/top))/2; else: peak (1 + cos(π (k − top)/(last − top)))/2",
    ),
    mistakes={
        "the way up is a straight line; half a cosine wave was asked for": _cycle(
            up=lambda k, low, peak, top, last: low + (peak - low) * k / top
        ),
        "the way down is a straight line; half a cosine wave was asked for": _cycle(
            down=lambda k, low, peak, top, last: peak * (last - k) / (last - top)
        ),
        "the way down is counted from step 0, as k/last, so that the rate jumps at the top; count from the top": _cycle(
            down=lambda k, low, peak, top, last: peak * (1 + np.cos(np.pi * k / last)) / 2
        ),
        "the way down has the length last; only last − top steps are left for it": _cycle(
            down=lambda k, low, peak, top, last: peak * (1 + np.cos(np.pi * (k - top) / last)) / 2
        ),
        "the way up begins at 0; it begins at low": _cycle(
            up=lambda k, low, peak, top, last: peak * (1 - np.cos(np.pi * k / top)) / 2
        ),
        "the way down ends at low; it goes on to 0": _cycle(
            down=lambda k, low, peak, top, last: low + (peak - low) * (1 + np.cos(np.pi * (k - top) / (last - top))) / 2
        ),
        "the way up goes from the peak to low: the sign of the cosine": _cycle(
            up=lambda k, low, peak, top, last: low + (peak - low) * (1 + np.cos(np.pi * k / top)) / 2
        ),
        "this is a whole wave on each way: half of one is cos from 0 to π": lambda k, low, peak, top, last: (
            low + (peak - low) * (1 - np.cos(2 * np.pi * k / top)) / 2
            if k <= top
            else peak * (1 + np.cos(2 * np.pi * (k - top) / (last - top))) / 2
        ),
    },
)

# ------------------------------------------------------------------------------------------- the Jacobian of clipping


def _clip_jacobian(g: Array, c: float) -> Array:
    """Of whichever of the two functions it is near g."""
    longer = np.linalg.norm(g) > c
    return numeric.jacobian(lambda g: g * c / np.sqrt(np.sum(g * g)) if longer else 1.0 * g, g, method="complex").value


def _unit(g: Array) -> Array:
    return np.asarray(g / np.linalg.norm(g))


def _where_clipped(J: Callable[[Array, float], Array]) -> Callable[..., Array]:
    """Another Jacobian where clipping acts, the right one elsewhere."""

    def jacobian(g: Array, c: float) -> Array:
        return J(g, c) if np.linalg.norm(g) > c else np.eye(len(g))

    return jacobian


_CLIP = Exercise(
    name="clip-jacobian",
    task="Return the Jacobian of g ↦ g min(1, c/‖g‖), shape (n, n), whether g is longer than c or not.",
    truth=_clip_jacobian,
    inputs=(
        (np.array([3.0, 4.0]), 2.0),
        (np.array([0.3, -0.4, 0.1]), 1.0),
        (np.array([1.0, -2.0, 2.0, 0.5]), 0.7),
    ),
    derivative=True,
    hints=(
        "Two cases. Where ‖g‖ < c nothing is clipped: what is the Jacobian of the identity?",
        "Beyond c the function is c g/‖g‖. By the product rule: c/‖g‖ I, less what the division by ‖g‖ adds; the gradient of ‖g‖ is ĝ = g/‖g‖.",
        "c/‖g‖ (I − ĝĝᵀ) where ‖g‖ > c, else I",
    ),
    mistakes={
        "the length is held constant: 1/‖g‖ depends on g as well, which gives − ĝĝᵀ": _where_clipped(
            lambda g, c: c / np.linalg.norm(g) * np.eye(len(g))
        ),
        "g g^T has to be made of the unit vector ĝ: divide by ‖g‖²": _where_clipped(
            lambda g, c: c / np.linalg.norm(g) * (np.eye(len(g)) - np.outer(g, g))
        ),
        "ĝĝᵀ has the wrong sign: a change along g does nothing, so it is taken away": _where_clipped(
            lambda g, c: c / np.linalg.norm(g) * (np.eye(len(g)) + np.outer(_unit(g), _unit(g)))
        ),
        "the factor c/‖g‖ is missing": _where_clipped(lambda g, c: np.eye(len(g)) - np.outer(_unit(g), _unit(g))),
        "the factor is c/‖g‖; this has c, as if g had the length 1": _where_clipped(
            lambda g, c: c * (np.eye(len(g)) - np.outer(_unit(g), _unit(g)))
        ),
        "this is the projection on g; what is left of a change is the part across, I − ĝĝᵀ": _where_clipped(
            lambda g, c: c / np.linalg.norm(g) * np.outer(_unit(g), _unit(g))
        ),
        "this clips everywhere; a gradient shorter than c passes as it is, with the Jacobian I": lambda g, c: (
            c / np.linalg.norm(g) * (np.eye(len(g)) - np.outer(_unit(g), _unit(g)))
        ),
        "shorter gradients pass as they are, so there the Jacobian is I, and not 0": lambda g, c: (
            _clip_jacobian(g, c) if np.linalg.norm(g) > c else np.zeros((len(g), len(g)))
        ),
        "this is the Jacobian of clipping entry by entry; here the whole gradient is scaled by its length": lambda g, c: (
            np.diag((np.abs(g) < c).astype(float))
        ),
    },
)

# -------------------------------------------------------------------------------------------- an average without its start


def _debiased(path: Array, beta: float) -> Array:
    """The weights written out: β^age, over their sum."""
    ages = np.arange(len(path))[::-1]
    return np.asarray(np.average(path, axis=0, weights=np.power(beta, ages)))


def _moving(path: Array, beta: float, start: Array | None = None) -> Array:
    mean = np.zeros(path.shape[1]) if start is None else start
    for theta in path:
        mean = mean + (1 - beta) * (theta - mean)
    return np.asarray(mean)


_AVERAGE = Exercise(
    name="debiased-average",
    task="Return the moving mean of the rows of path that begins with 0, divided by the sum of the weights the rows got.",
    truth=_debiased,
    inputs=((_normal((6, 3)) + 2.0, 0.9), (_normal((12, 2)), 0.5), (_normal((3, 4)) - 1.0, 0.99)),
    hints=(
        "Which weight has the last row in the mean? The one before it? What do they all add up to?",
        "The weights are (1 − β), (1 − β)β, (1 − β)β², … back in time; their sum over T rows is 1 − β^T.",
        "mean = beta * mean + (1 − beta) * theta for each row, from 0; then mean / (1 − beta**len(path))",
    ),
    mistakes={
        "the division by the sum of the weights, 1 − β^T, is missing: the mean still holds a part of its start, 0": _moving,
        "this begins with the first row, which then keeps a weight of its own; begin with 0 and divide": lambda path, beta: (
            _moving(path[1:], beta, path[0])
        ),
        "β and 1 − β have changed places: the mean keeps β of itself": lambda path, beta: _debiased(path, 1 - beta),
        "this is the plain mean of all rows; the weights fall with age": lambda path, beta: path.mean(axis=0),
        "the weights are upside down: the last row has the largest": lambda path, beta: _debiased(path[::-1], beta),
        "the sum of the weights is 1 − β^T for T rows; this divides by 1 − β, their first": lambda path, beta: (
            _moving(path, beta) / (1 - beta)
        ),
        "the exponent is off by one: after T rows the start has the weight β^T": lambda path, beta: (
            _moving(path, beta) / (1 - beta ** (len(path) + 1))
        ),
        "this is multiplied by 1 − β^T; it has to be divided": lambda path, beta: (
            _moving(path, beta) * (1 - beta ** len(path))
        ),
    },
)

EXERCISES = (_ERROR, _SCALE, _STATIONARY, _SCALED, _CYCLE, _CLIP, _AVERAGE)
