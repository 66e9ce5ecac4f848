"""The exercises of *Sensitivity*: margins, shares along a line, per cent, correlated errors, flips, a penalty's gradient.

Truths come from complex steps, loops and projections class by class; none repeats a solution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[Any]

_rng = np.random.default_rng(15)
_normal = _rng.standard_normal


def _gradient(f: Callable[[Array], Any], x: Array) -> Array:
    return numeric.jacobian(f, x, method="complex").value


# ------------------------------------------------------------------------------------------------- the margin's gradient


def _others(z: Array, c: int) -> list[int]:
    return [k for k in range(len(z)) if k != c]


def _margin_gradient(J: Array, z: Array, c: int) -> Array:
    """The gradient of the margin of the linear map with these logits and this Jacobian."""
    k = max(_others(z, c), key=lambda k: z[k])
    return _gradient(lambda delta: (z + J @ delta)[c] - (z + J @ delta)[k], np.zeros(J.shape[1]))


_MARGIN = Exercise(
    name="margin-gradient",
    task="Return the gradient by the input of z_c − max over k ≠ c of z_k, from the logits z and their Jacobian J.",
    truth=_margin_gradient,
    inputs=(
        (_normal((3, 4)), np.array([2.0, 0.5, 1.0]), 0),
        (_normal((4, 2)), np.array([0.3, 1.2, 3.1, -0.4]), 1),  # misread: c is not the largest
        (_normal((5, 3)), np.array([-1.0, 4.0, 0.2, 3.5, 1.0]), 1),
    ),
    derivative=True,
    hints=(
        "Near this input one class is the rival: the largest logit without c. Then the margin is a difference of two logits.",
        "Set z_c aside before you look for the largest: copy z, and write −inf at c. The gradient of a logit is a row of J.",
        "others = z.copy(); others[c] = −np.inf; J[c] − J[others.argmax()]",
    ),
    mistakes={
        "the rival is the largest of all logits, c among them; the rival is the largest of the others": lambda J, z, c: (
            J[c] - J[np.argmax(z)]
        ),
        "the sign is wrong: the margin grows with z_c, and this is the rival's row minus that of c": lambda J, z, c: (
            -_margin_gradient(J, z, c)
        ),
        "this is the gradient of the logit z_c alone; the rival's row has to be subtracted": lambda J, z, c: J[c],
        "this takes the two largest logits, whichever they are; the margin is that of class c, which may be misread": lambda J, z, c: (
            J[np.argsort(z)[-1]] - J[np.argsort(z)[-2]]
        ),
        "the rival is the smallest logit here; it is the largest of the others": lambda J, z, c: (
            J[c] - J[min(_others(z, c), key=lambda k: z[k])]
        ),
        "the mean of the other rows is subtracted; only the rival's counts": lambda J, z, c: (
            J[c] - J[_others(z, c)].mean(axis=0)
        ),
    },
)

# ----------------------------------------------------------------------------------------- integrated gradients, by hand


def _shares(slope: Callable[[Array], Array], x: Array, b: Array, steps: int) -> Array:
    total = np.zeros_like(x)
    for j in range(steps):
        t = (2 * j + 1) / (2 * steps)
        total += slope((1 - t) * b + t * x) * (x - b)
    return total / steps


def _summed(places: Callable[[int], Array], start: bool = True, factor: str = "x - b") -> Callable[..., Array]:
    """The same with other places t, from 0 in place of b, or with another factor."""

    def shares(slope: Callable[[Array], Array], x: Array, b: Array, steps: int) -> Array:
        origin = b if start else np.zeros_like(x)
        mean = np.mean([slope(origin + t * (x - origin)) for t in places(steps)], axis=0)
        return np.asarray(mean * {"x - b": x - b, "x": x, "1": 1.0, "b - x": b - x}[factor])

    return shares


def _middles(steps: int) -> Array:
    return (np.arange(steps) + 0.5) / steps


def _cubic_slope(x: Array) -> Array:
    """Of x_0 x_1² + x_1 x_2² and so on, around."""
    after, before = np.roll(x, -1), np.roll(x, 1)
    return np.asarray(after**2 + 2 * x * before)


def _wave_slope(x: Array) -> Array:
    """Of the sine of a weighted sum, plus a square."""
    w = np.arange(1.0, len(x) + 1)
    return np.asarray(w * np.cos(x @ w) + 2 * x)


_SHARES = Exercise(
    name="integrated-gradients",
    task="Return the integrated gradients of x against b by the midpoint rule: the gradients at t = (j + ½)/steps.",
    truth=_shares,
    inputs=(
        (_wave_slope, np.array([0.7, -0.4]), np.array([0.1, 0.3]), 3),
        (_cubic_slope, np.array([1.0, 2.0, -0.5, 0.3]), np.array([0.4, 0.0, 0.2, -1.0]), 5),
    ),
    hints=(
        "The points on the way are b + t (x − b). At which t are the middles of `steps` equal pieces of [0, 1]?",
        "Take the mean of slope(b + t (x − b)) over t = (j + ½)/steps, j = 0, …, steps − 1, and multiply by x − b.",
        "(x − b) * np.mean([slope(b + t * (x − b)) for t in (np.arange(steps) + 0.5) / steps], axis=0)",
    ),
    mistakes={
        "the factor x − b is missing: this is the mean gradient on the way, in other units than the output": _summed(
            _middles, factor="1"
        ),
        "the factor is x; it is x − b, how far each entry has moved from the baseline": _summed(_middles, factor="x"),
        "the sign is wrong: the way leads from b to x, so the factor is x − b": _summed(_middles, factor="b - x"),
        "the gradients are taken on the way from 0; it starts at the baseline b": _summed(_middles, start=False),
        "the gradients are taken at the left ends t = j/steps; the middles are at (j + ½)/steps": _summed(
            lambda steps: np.arange(steps) / steps
        ),
        "the gradients are taken at the right ends t = (j + 1)/steps; the middles are at (j + ½)/steps": _summed(
            lambda steps: (np.arange(steps) + 1) / steps
        ),
        "the gradients are taken at np.linspace(0, 1, steps), with both ends; the middles are at (j + ½)/steps": _summed(
            lambda steps: np.linspace(0, 1, steps)
        ),
        "this is the gradient at x alone, times x − b; it has to be averaged over the way": _summed(
            lambda steps: np.array([1.0])
        ),
        "the gradients are added up and not averaged: each stands for a piece of length 1/steps": lambda slope, x, b, steps: (
            _shares(slope, x, b, steps) * steps
        ),
    },
)

# ----------------------------------------------------------------------------------------------------- per cent by per cent


def _elasticity_matrix(J: Array, x: Array, y: Array) -> Array:
    """Entry by entry, the slope over the mean slope from zero."""
    E = np.empty_like(J)
    for i, j in np.ndindex(J.shape):
        E[i, j] = J[i, j] / (y[i] / x[j])
    return E


_ELASTICITY = Exercise(
    name="elasticity-matrix",
    task="Return the elasticities E_ij from the Jacobian J, the input x and the output y, shape (m, n).",
    truth=_elasticity_matrix,
    inputs=(
        (_normal((2, 3)), np.array([2.0, -0.5, 4.0]), np.array([3.0, -1.5])),
        (_normal((3, 3)), np.array([0.3, 7.0, 1.5]), np.array([-2.0, 0.8, 5.0])),
    ),
    hints=(
        "E_ij = J_ij x_j / y_i. Which of x and y belongs to the columns of J, and which to its rows?",
        "x has an entry for each column and broadcasts as it is. y has one for each row: make it a column, y[:, np.newaxis].",
        "J * x / y[:, np.newaxis]",
    ),
    mistakes={
        "the division by y is missing: this is the change of the output in its own units, for one per cent of the input": lambda J, x, y: (
            J * x
        ),
        "the factor x is missing: this is per cent of the output for one unit of the input": lambda J, x, y: (
            J / y[:, None]
        ),
        "x and y have changed places: multiply by the input, divide by the output": lambda J, x, y: y[:, None] * J / x,
        "this is transposed: row i belongs to output i": lambda J, x, y: (J * x / y[:, None]).T,
        "the size of y is taken; an elasticity has the sign of J x / y, and an output may be negative": lambda J, x, y: (
            J * x / np.abs(y)[:, None]
        ),
        "this divides by the sum of all outputs; each row is divided by its own": lambda J, x, y: J * x / np.sum(y),
    },
)

# --------------------------------------------------------------------------------------------------- correlated errors


def _covariance(J: Array, sd: Array, R: Array) -> Array:
    """Summed over all pairs of inputs."""
    out = np.zeros((len(J), len(J)))
    for a, b in np.ndindex(R.shape):
        out += np.outer(J[:, a], J[:, b]) * sd[a] * sd[b] * R[a, b]
    return out


def _correlation(*rows: list[float]) -> Array:
    return np.array(rows)


_COVARIANCE = Exercise(
    name="correlated-errors",
    task="Return the covariance of the outputs to first order, from J, standard deviations sd and correlations R of the inputs.",
    truth=_covariance,
    inputs=(
        (_normal((2, 3)), np.array([0.1, 0.4, 2.0]), _correlation([1, 0.5, 0], [0.5, 1, -0.3], [0, -0.3, 1])),
        (_normal((3, 2)), np.array([3.0, 0.5]), _correlation([1, -0.9], [-0.9, 1])),
        (_normal((2, 2)), np.array([0.2, 0.7]), _correlation([1, 0.6], [0.6, 1])),
    ),
    hints=(
        "First the covariance of the inputs: Σ_ab is the correlation R_ab times both standard deviations.",
        "Σ = np.outer(sd, sd) * R, and then J Σ Jᵀ.",
        "J @ (np.outer(sd, sd) * R) @ J.T",
    ),
    mistakes={
        "the correlations are ignored: off the diagonal of Σ stands R_ab sd_a sd_b": lambda J, sd, R: (
            J @ np.diag(sd**2) @ J.T
        ),
        "R is taken for the covariance; multiply its entries by both standard deviations": lambda J, sd, R: J @ R @ J.T,
        "the entries of R are multiplied by one of the two standard deviations only": lambda J, sd, R: (
            J @ (R * sd) @ J.T
        ),
        "standard deviations stand where variances belong": lambda J, sd, R: J @ np.diag(sd) @ J.T,
        "these are variances alone, on the diagonal; the outputs' errors are correlated too": lambda J, sd, R: np.diag(
            np.diag(_covariance(J, sd, R))
        ),
        "this is the correlation of the outputs; their covariance was asked for": lambda J, sd, R: (
            _covariance(J, sd, R) / np.sqrt(np.outer(np.diag(_covariance(J, sd, R)), np.diag(_covariance(J, sd, R))))
        ),
        "this is a vector of standard deviations; return the matrix J Σ Jᵀ": lambda J, sd, R: np.sqrt(
            np.diag(_covariance(J, sd, R))
        ),
    },
)

# ---------------------------------------------------------------------------------------------------- the nearest flip


def _boundaries(W: Array, b: Array, x: Array) -> dict[int, tuple[float, Array]]:
    """For each other class the gap of the logits, and the difference of the rows of W."""
    z = W @ x + b
    c = int(np.argmax(z))
    return {k: (float(z[c] - z[k]), W[k] - W[c]) for k in _others(z, c)}


def _flip(W: Array, b: Array, x: Array) -> Array:
    """The shortest of the projections on the boundaries."""
    steps = [gap * w / np.sum(w**2) for gap, w in _boundaries(W, b, x).values()]
    return min(steps, key=lambda step: float(np.sum(step**2)))


def _stepped(
    step: Callable[[float, Array], Array], rank: Callable[[float, Array], float] = lambda gap, w: gap / np.sqrt(w @ w)
) -> Callable[..., Array]:
    """The step to the boundary that is first by another rank, or another step to the same."""

    def flip(W: Array, b: Array, x: Array) -> Array:
        return step(*min(_boundaries(W, b, x).values(), key=lambda pair: rank(*pair)))

    return flip


_FLIP = Exercise(
    name="nearest-flip",
    task="Return the shortest change of x after which the linear classifier W x + b gives another class as much as its answer.",
    truth=_flip,
    inputs=(
        # The runner-up of the first two is not the nearest: its row of W differs little from the answer's.
        (np.array([[1.0, 0.0], [0.8, 0.1], [-3.0, 1.0]]), np.array([0.5, 0.5, 3.5]), np.array([1.0, 0.2])),
        (
            np.array([[0.2, 1.0, -1.0], [0.1, 1.1, -0.9], [2.0, -2.0, 0.5], [0.0, 0.0, 3.0]]),
            np.array([1.0, 0.6, 0.2, 0.1]),
            np.array([0.4, 0.3, -0.1]),
        ),
        (_normal((5, 4)), _normal(5), _normal(4)),
    ),
    hints=(
        "The border to class k is the plane where z_c = z_k, with the normal W_k − W_c. How far is it, and in which direction?",
        "Its distance is (z_c − z_k)/‖W_k − W_c‖. The nearest is the least distance, which need not be the least gap. The change is (z_c − z_k)(W_k − W_c)/‖W_k − W_c‖².",
        "For each k ≠ c: w = W[k] − W[c]; step = (z[c] − z[k]) * w / (w @ w). Keep the shortest step.",
    ),
    mistakes={
        "the rival is the runner-up, with the smallest gap; the nearest border has the smallest gap over ‖W_k − W_c‖": _stepped(
            lambda gap, w: gap * w / (w @ w), rank=lambda gap, w: gap
        ),
        "the sign is wrong: this walks away from the border": _stepped(lambda gap, w: -gap * w / (w @ w)),
        "this has the right direction and the length 1; it has to reach the border": _stepped(
            lambda gap, w: w / np.sqrt(w @ w)
        ),
        "the length is the gap of the logits; divide by ‖W_k − W_c‖ once for the direction and once for the slope": _stepped(
            lambda gap, w: gap * w / np.sqrt(w @ w)
        ),
        "the division by ‖W_k − W_c‖² is missing": _stepped(lambda gap, w: gap * w),
        "the sign of each entry is taken: that is shortest in the largest entry, and not in Euclidean length": _stepped(
            lambda gap, w: gap * np.sign(w) / np.sum(np.abs(w))
        ),
        "this is the changed input; return the change": lambda W, b, x: x + _flip(W, b, x),
    },
)

# ------------------------------------------------------------------------------------------------ a gradient of a gradient


def _penalty_gradient(w: Array, x: Array, s: float) -> Array:
    """The penalty is written with the gradient of the loss by the input, as the chain rule gives it."""

    def penalty(w: Array) -> Any:
        by_input = -s * w * np.exp(-s * (w @ x)) / (1 + np.exp(-s * (w @ x)))
        return np.sum(by_input * by_input)

    return _gradient(penalty, w)


def _terms(w: Array, x: Array, s: float) -> tuple[float, Array, Array]:
    """ρ = σ(−m), and the two terms of the gradient: of the factor w, and of the factor ρ."""
    rho = float(1 / (1 + np.exp(s * (w @ x))))
    return rho, 2 * rho**2 * w, -2 * rho**2 * (1 - rho) * (w @ w) * s * x


_PENALTY = Exercise(
    name="double-backprop",
    task="Return the gradient by w of ‖∇ₓ ℓ‖², for the logistic loss ℓ = log(1 + exp(−s w·x)) and a label s = ±1.",
    truth=_penalty_gradient,
    inputs=(
        (np.array([0.5, -1.0, 0.3]), np.array([0.2, 0.4, 1.0]), 1.0),
        (np.array([1.5, 0.2]), np.array([0.7, -0.6]), -1.0),
    ),
    derivative=True,
    hints=(
        "With the margin m = s w·x and ρ = 1/(1 + eᵐ): what is ∇ₓ ℓ? Then its squared length is a function of w in two places.",
        "∇ₓ ℓ = −s ρ w, so the penalty is ρ² ‖w‖². By the product rule: 2 ρ² w from the second factor. And ρ has the slope −ρ (1 − ρ) by m.",
        "2 ρ² w − 2 ρ² (1 − ρ) ‖w‖² s x",
    ),
    mistakes={
        "ρ is held constant: it depends on w as well, through the margin": lambda w, x, s: _terms(w, x, s)[1],
        "only ρ is differentiated; the factor ‖w‖² has the gradient 2 w": lambda w, x, s: _terms(w, x, s)[2],
        "the label s is missing beside x: the margin is s w·x": lambda w, x, s: (
            _terms(w, x, s)[1] + _terms(w, x, s)[2] / s
        ),
        "the second term has the wrong sign: ρ falls as the margin grows": lambda w, x, s: (
            _terms(w, x, s)[1] - _terms(w, x, s)[2]
        ),
        "the slope of ρ is ρ (1 − ρ) in size; the factor 1 − ρ is missing": lambda w, x, s: (
            _terms(w, x, s)[1] + _terms(w, x, s)[2] / (1 - _terms(w, x, s)[0])
        ),
        "this is half of the gradient: the 2 of the squares is missing": lambda w, x, s: (
            (_terms(w, x, s)[1] + _terms(w, x, s)[2]) / 2
        ),
        "this is the gradient of the loss by the input, −s ρ w; the gradient of its squared length by w was asked for": lambda w, x, s: (
            -s * _terms(w, x, s)[0] * w
        ),
    },
)

EXERCISES = (_MARGIN, _SHARES, _ELASTICITY, _COVARIANCE, _FLIP, _PENALTY)
