"""The exercises of *Layer Jacobians*: the gradient of a loss, three pulls, and a count of what layers forget.

Truths are gradients of ⟨g, y⟩ by complex step, and ranks of Jacobians found so; none repeats a solution.
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
Map = Callable[[Array], Any]

_rng = np.random.default_rng(10)
_normal = _rng.standard_normal


def _gradient(f: Map, x: Array) -> Array:
    return numeric.jacobian(f, x, method="complex").value


# ----------------------------------------------------------------------------------------------- targets of any sum


def _weighted_loss(Z: Array, T: Array) -> Any:
    E = np.exp(Z)
    return -np.sum(T * np.log(E / np.sum(E, axis=1, keepdims=True))) / len(Z)


def _P(Z: Array) -> Array:
    E = np.exp(Z)
    return np.asarray(E / E.sum(axis=1, keepdims=True))


def _sums(T: Array) -> Array:
    return np.asarray(T.sum(axis=1, keepdims=True))


_TARGETS = Exercise(
    name="targets-of-any-sum",
    task="Return the gradient by Z of −(1/N) Σ T log softmax(Z), for targets T of any sum.",
    truth=lambda Z, T: _gradient(lambda Z: _weighted_loss(Z, T), Z),
    inputs=(
        (np.array([[0.5, -1.0, 0.2]]), np.array([[0.1, 1.1, 0.1]])),
        (_normal((4, 3)), _rng.uniform(0.2, 2.0, (4, 3))),
        (_normal((2, 6)), _normal((2, 6))),
    ),
    derivative=True,
    hints=(
        "The cotangent of log p is −t, one row at a time. What does the pull of log-softmax make of a cotangent g?",
        "It makes g − p Σ g. With g = −t that is p Σ t − t: where the sum is 1, p − t. And the mean over rows?",
        "(P * T.sum(axis=1, keepdims=True) − T) / N",
    ),
    mistakes={
        "this is (P − T)/N, which is right only for rows of T that sum to 1; p has to be multiplied by Σ t": lambda Z, T: (
            (_P(Z) - T) / len(Z)
        ),
        "the mean's 1/N is missing": lambda Z, T: _P(Z) * _sums(T) - T,
        "the mean runs over the N rows, not over all N k entries": lambda Z, T: (_P(Z) * _sums(T) - T) / Z.size,
        "the sign is wrong: with its minus the loss falls where a wanted logit rises": lambda Z, T: (
            (T - _P(Z) * _sums(T)) / len(Z)
        ),
        "p is multiplied by the sum of all targets; each row has a sum of its own": lambda Z, T: (
            (_P(Z) * T.sum() - T) / len(Z)
        ),
        "p is multiplied by column sums of T; the sum over the classes of one row is wanted": lambda Z, T: (
            (_P(Z) * T.sum(axis=0) - T) / len(Z)
        ),
        "only t is multiplied by the sum; it belongs to p": lambda Z, T: (_P(Z) - T * _sums(T)) / len(Z),
        "the rows of T have been divided by their sums, which is the gradient of another loss": lambda Z, T: (
            (_P(Z) - T / _sums(T)) / len(Z)
        ),
        "softmax has been taken over all of Z; each row is a distribution of its own": lambda Z, T: (
            (np.exp(Z) / np.exp(Z).sum() * _sums(T) - T) / len(Z)
        ),
        "the pull of softmax is missing: this is the cotangent of log p, −T/N": lambda Z, T: -T / len(Z),
    },
)

# -------------------------------------------------------------------------------------------------- norm by groups


def _grouped(X: Array, groups: int, epsilon: float) -> Any:
    x = X.reshape(len(X), groups, X.shape[1] // groups)
    centred = x - np.mean(x, axis=2, keepdims=True)
    return np.reshape(centred / np.sqrt(np.mean(centred * centred, axis=2, keepdims=True) + epsilon), X.shape)


def _slipped_norm(slip: str) -> Callable[..., Array]:
    """The backward pass of group norm, with a slip."""

    def pull(X: Array, G: Array, groups: int, epsilon: float) -> Array:
        if slip == "whole row":
            groups = 1
        x, g = (M.reshape(len(X), groups, -1) for M in (X, G))
        if slip == "over the batch":
            centred = x - x.mean(axis=0)
            s, axis = np.sqrt((centred**2).mean(axis=0, keepdims=True) + epsilon), 0
        else:
            centred, axis = x - x.mean(axis=2, keepdims=True), 2
            s = np.sqrt(x.var(axis=2, keepdims=True, ddof=slip == "n - 1") + (0 if slip == "epsilon" else epsilon))
        xhat = centred / s
        mean = g.sum(axis=axis, keepdims=True) if slip == "sums" else g.mean(axis=axis, keepdims=True)
        along = (xhat * g).sum(axis=2, keepdims=True) if slip == "sums" else (xhat * g).mean(axis=axis, keepdims=True)
        terms = {"constants": g, "variance": g - mean, "mean": g - xhat * along, "centred": g - mean - centred * along}
        out = terms.get(slip, g - mean - xhat * along)
        return np.asarray(out if slip == "s" else out / s).reshape(X.shape)

    return pull


_GROUPS = Exercise(
    name="group-norm-pull",
    task="Return the pull of G through group norm.",
    truth=lambda X, G, groups, epsilon: _gradient(lambda X: np.sum(G * _grouped(X, groups, epsilon)), X),
    inputs=(
        (_normal((3, 8)), _normal((3, 8)), 2, 0.1),
        (0.5 * _normal((2, 9)) + 1, _normal((2, 9)), 3, 0.05),
        (_normal((4, 12)), _normal((4, 12)), 4, 0.02),
    ),
    derivative=True,
    hints=(
        "Each group of each row is a layer norm of its own. Reshape to (N, groups, n // groups), and take means over the last axis.",
        "The pull of layer norm is (g − mean(g) − x̂ mean(x̂ g)) / s with s = √(σ² + ε).",
        "Reshape X and G alike, compute x̂ and s with axis=2 and keepdims=True, then the pull, and reshape back to X.shape.",
    ),
    mistakes={
        "mean and variance are taken for constants: G / s. Both depend on every entry of their group": _slipped_norm(
            "constants"
        ),
        "the variance is taken for a constant; it gives the term − x̂ mean(x̂ g) / s": _slipped_norm("variance"),
        "the mean is taken for a constant; it gives the term − mean(g) / s": _slipped_norm("mean"),
        "this is layer norm, over the whole row; each group has a mean and a variance of its own": _slipped_norm(
            "whole row"
        ),
        "the means are taken over the batch, as in batch norm; here over the entries of one group of one row": _slipped_norm(
            "over the batch"
        ),
        "the division by s is missing at the end": _slipped_norm("s"),
        "ε is missing in s = √(σ² + ε)": _slipped_norm("epsilon"),
        "the variance is divided by its number less 1; σ² is the plain mean of squares": _slipped_norm("n - 1"),
        "sums stand where means belong: mean(g) and mean(x̂ g)": _slipped_norm("sums"),
        "in the last term x − μ stands in place of x̂ = (x − μ)/s": _slipped_norm("centred"),
    },
)

# ------------------------------------------------------------------------------------------- the kernel, with a stride


def _strided(K: Array, x: Array, stride: int, count: int) -> Any:
    return np.stack([np.sum(K * x[i * stride : i * stride + len(K)]) for i in range(count)])


def _correlated(x: Array, g: Array, stride: int, k: int) -> Array:
    return np.asarray([g @ x[a : a + stride * len(g) : stride][: len(g)] for a in range(k)])


_STRIDED = Exercise(
    name="strided-kernel-pull",
    task="Return the cotangent of the kernel K of y_i = Σ_a K_a x_{i s + a}.",
    truth=lambda x, g, stride, k: _gradient(lambda K: np.sum(g * _strided(K, x, stride, len(g))), np.ones(k)),
    inputs=(
        (_normal(11), _normal(5), 2, 3),
        (_normal(16), _normal(5), 3, 4),
        (_normal(8), _normal(6), 1, 3),
        (_normal(10), _normal(4), 2, 3),
    ),
    derivative=True,
    hints=(
        "∂y_i/∂K_a is the entry of x that K_a meets in window i. Which one is it?",
        "The pull sums over all windows, since they share the kernel: Σ_i g_i x_{i s + a}.",
        "starts = stride * np.arange(len(g)); entry a is g @ x[starts + a].",
    ),
    mistakes={
        "the stride is missing: window i begins at x_{i s}, not at x_i": lambda x, g, stride, k: _correlated(
            x, g, 1, k
        ),
        "the kernel runs the wrong way: entry a meets x_{i s + a}, not x_{i s + k − 1 − a}": lambda x, g, stride, k: (
            _correlated(x, g, stride, k)[::-1]
        ),
        "g runs the wrong way: g_i belongs to the window that begins at x_{i s}": lambda x, g, stride, k: _correlated(
            x, g[::-1], stride, k
        ),
        "the windows share the kernel, so that their contributions add up; this averages them": lambda x, g, stride, k: (
            _correlated(x, g, stride, k) / len(g)
        ),
        "the stride moves the place in the kernel, not the window: this is x_{i + a s}, as in a dilated convolution": lambda x, g, stride, k: (
            np.asarray([g @ np.resize(x[a * stride :], len(g)) for a in range(k)])
        ),
        "only the first window is counted; all of them use the kernel": lambda x, g, stride, k: g[0] * x[:k],
        "only the last window is counted; all of them use the kernel": lambda x, g, stride, k: (
            g[-1] * x[(len(g) - 1) * stride :][:k]
        ),
        "x is summed over the windows without its g_i": lambda x, g, stride, k: _correlated(
            x, np.ones_like(g), stride, k
        ),
    },
)

# ------------------------------------------------------------------------------------------------ windows that overlap


def _sliding_max(x: Array, size: int) -> Map:
    """The maximum of each window, as a function near x: its entry stays the one that is the first largest at x."""
    places = [i + int(np.argmax(x[i : i + size])) for i in range(len(x) - size + 1)]
    return lambda x: x[places]


def _each_window(change: Callable[[Array, Array, float], None]) -> Callable[..., Array]:
    """A pull that visits the windows: ``change`` writes into the window's part of the result."""

    def pull(x: Array, g: Array, size: int) -> Array:
        gx = np.zeros(len(x))
        for i, value in enumerate(g):
            change(gx[i : i + size], x[i : i + size], float(value))
        return gx

    return pull


def _overwritten(gx: Array, x: Array, value: float) -> None:
    gx[np.argmax(x)] = value


def _shared(gx: Array, x: Array, value: float) -> None:
    gx[x == x.max()] += value / np.sum(x == x.max())


def _all_get_it(gx: Array, x: Array, value: float) -> None:
    gx[x == x.max()] += value


def _last(gx: Array, x: Array, value: float) -> None:
    gx[len(x) - 1 - np.argmax(x[::-1])] += value


def _least(gx: Array, x: Array, value: float) -> None:
    gx[np.argmin(x)] += value


def _everywhere(gx: Array, x: Array, value: float) -> None:
    gx += value / len(x)


def _by_size(gx: Array, x: Array, value: float) -> None:
    gx[np.argmax(np.abs(x))] += value


def _times_maximum(gx: Array, x: Array, value: float) -> None:
    gx[np.argmax(x)] += value * x.max()


def _apart(x: Array, g: Array, size: int) -> Array:
    """Windows side by side, as if the stride were their size."""
    gx = np.zeros(len(x))
    for i, value in zip(range(0, len(x) - size + 1, size), g, strict=False):
        gx[i + np.argmax(x[i : i + size])] += value
    return gx


_OVERLAP = Exercise(
    name="sliding-max-pull",
    task="Return the pull of g through the maximum of sliding windows, where the first of several maxima counts.",
    truth=lambda x, g, size: _gradient(lambda v: np.sum(g * _sliding_max(x, size)(v)), x),
    inputs=(
        (np.array([1.0, 3.0, 2.0, 5.0, -6.0, 0.0]), np.array([1.0, 10.0, 100.0, 1000.0]), 3),
        (np.array([2.0, 2.0, 0.0, 2.0, 2.0, 1.0, -9.0]), _normal(5), 3),
        (_normal(12), _normal(9), 4),
    ),
    derivative=True,
    hints=(
        "The Jacobian has a single 1 in each row. In which column, for window i?",
        "Window i begins at i, so that its maximum stands at i + np.argmax(x[i : i + size]). np.argmax takes the first of several.",
        "One entry can be the maximum of several windows, and gets the sum of their g: gx[place] += g[i].",
    ),
    mistakes={
        "an entry that is the maximum of several windows gets only the last of their g; they have to add up": _each_window(
            _overwritten
        ),
        "where several entries are largest they share g here; the first takes all of it": _each_window(_shared),
        "where several entries are largest each gets the whole of g here; only the first does": _each_window(
            _all_get_it
        ),
        "where several entries are largest the last one gets g here; the first one should": _each_window(_last),
        "g has gone to the smallest entry of each window": _each_window(_least),
        "g is spread over the window, as in average pooling; the maximum takes all of it": _each_window(_everywhere),
        "the largest magnitude was looked for; a large negative entry is no maximum": _each_window(_by_size),
        "g is multiplied by the maximum; the slope of a maximum in its entry is 1": _each_window(_times_maximum),
        "the windows stand side by side here; they begin at every entry": _apart,
    },
)

# ------------------------------------------------------------------------------------------------ what is forgotten

_COUNT = Exercise(
    name="count-forgotten",
    task="Count the dimensions of the null spaces of six layers' Jacobians.",
    truth=np.array([1, 2, 48, 21, 8, 12]),
    hints=(
        "The null space has as many dimensions as there are inputs, less the rank. How many independent outputs are there?",
        "(4) The inputs are the 10 × 3 numbers of the table. (5) Each channel is a layer norm over its 6 numbers. (6) Which rank has A, if all of its rows are equal?",
        "(1) constants; (2) the mean and the part along x̂; (3) 64 − 16; (4) the 7 rows that nobody looked up; (5) 2 for each of 4 pixels; (6) 15 − 3.",
    ),
    mistakes={
        "these are the ranks; the null space has as many dimensions as there are inputs, less the rank": np.array(
            [9, 62, 16, 9, 16, 3]
        ),
        "in (4) a row that is looked up twice is one row: 3 rows are used, and 7 × 3 numbers are not": np.array(
            [1, 2, 48, 15, 8, 12]
        ),
        "in (4) the rows are counted, not their numbers; each has 3": np.array([1, 2, 48, 7, 8, 12]),
        "in (5) each of the 4 pixels has its own mean and variance, and forgets two directions": np.array(
            [1, 2, 48, 21, 2, 12]
        ),
        "in (5) the means run over the images, for each pixel, and not over the pixels, for each image": np.array(
            [1, 2, 48, 21, 12, 12]
        ),
        "in (6) all rows of A are equal if all queries are: its rank is 1, not 5": np.array([1, 2, 48, 21, 8, 0]),
        "in (2) at ε = 0 the part along x̂ is forgotten too, not only the mean": np.array([1, 1, 48, 21, 8, 12]),
        "in (1) softmax does not notice a constant added to all logits": np.array([0, 2, 48, 21, 8, 12]),
    },
)

EXERCISES = (_TARGETS, _GROUPS, _STRIDED, _OVERLAP, _COUNT)
