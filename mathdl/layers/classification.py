"""From logits to probabilities and to a loss: softmax, its logarithm, and cross-entropy with both in one.

All are shifted by the largest logit, so that nothing overflows, and small losses and gradients keep their digits.
Explained in the chapter *Layer Jacobians*; the numbers in *Numbers that misbehave*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mathdl.arrays import describe
from mathdl.autodiff.followed import Followed
from mathdl.errors import InvalidInput
from mathdl.layers.layer import Layer, Loss, Params, as_floats, as_integers, block_diagonal, want_axes, want_shape

__all__ = ["CrossEntropy", "LogSoftmax", "MeanSquaredError", "Softmax"]


def _largest(z: Any, v: Any = None) -> tuple[Any, Any]:
    """The place of the largest logit of each row, and the logit there, or the entry of v.

    It is taken by its place, so that its derivative is that of one entry also where two are equally large.
    """
    place = np.argmax(np.real(z), axis=-1, keepdims=True)
    return place, entry_at(z if v is None else v, place)


def entry_at(x: Any, place: Any) -> Any:
    """One entry of each row, shape (..., 1): `numpy.take_along_axis`, which takes long for a few rows."""
    if isinstance(x, Followed) or isinstance(place, Followed):
        return np.take_along_axis(x, place, -1)
    rows = x.reshape(-1, x.shape[-1])
    return rows[np.arange(len(rows)), np.ravel(place)].reshape(place.shape)


def probabilities(z: Any) -> Any:
    """exp z / Σ exp z over the last axis."""
    e = np.exp(z - _largest(z)[1])
    return e / np.sum(e, axis=-1, keepdims=True)


def through_softmax(p: Any, v: Any) -> Any:
    """(diag(p) - p pᵀ) v for each row: the Jacobian of softmax times v, and its transpose times v.

    A constant added to v changes nothing. So v is shifted to be zero where p is largest: v - p·v would cancel there
    if p is nearly 1, and lose a product of the size 1 - p.
    """
    v = v - _largest(p, v)[1]
    return p * (v - np.sum(p * v, axis=-1, keepdims=True))


def _rests(p: Any) -> Any:
    """1 - p for each row of probabilities, the largest of them as the sum of the others, where 1 - p would cancel."""
    largest = np.arange(np.shape(p)[-1]) == _largest(p)[0]
    return np.where(largest, np.sum(np.where(largest, 0.0, p), axis=-1, keepdims=True), 1 - p)


def _with_diagonal(matrices: Any, diagonals: Any) -> Any:
    """The matrices with other diagonals."""
    return np.where(np.eye(np.shape(matrices)[-1], dtype=bool), diagonals[..., None], matrices)


def log_probabilities(z: Any) -> Any:
    """z - log Σ exp z over the last axis.

    The largest logit is taken out of the sum, not only subtracted: log1p of the others keeps a loss of 1e-20 from
    rounding to zero.
    """
    place, largest = _largest(z)
    shifted = z - largest
    others = np.where(np.arange(np.shape(z)[-1]) == place, 0.0, np.exp(shifted))
    return shifted - np.log1p(others.sum(axis=-1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Softmax(Layer):
    """p_i = exp z_i / Σ exp z over the last axis: x, the logits z, has shape (..., k); so has y, the probabilities p.

    J = diag(p) - p pᵀ for each row: symmetric, of rank k - 1, and J times a constant vector is zero, since adding a
    constant to all logits changes nothing. So both products are p * (v - p·v).

    Raises
    ------
    InvalidInput
        If x has no axis, or none along it.

    References
    ----------
    Chapter *Layer Jacobians*, "Softmax". P. Blanchard, D. J. Higham and N. J. Higham, IMA J. Numer. Anal. 41 (2021)
    2311.

    Examples
    --------
    >>> Softmax().jacobian({}, np.array([1e4, 1e4]))
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    """

    def check(self, params: Params, x: Any) -> None:
        want_axes(x, 1, "logits, shape (..., k) with k at least 1")

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        p = probabilities(x)
        return p, (p,)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        return through_softmax(kept[0], dx)

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        return {}, through_softmax(kept[0], g)

    def by_x(self, params: Params, kept: tuple[Any, ...]) -> Any:
        (p,) = kept
        return block_diagonal(_with_diagonal(-p[..., None] * p[..., None, :], p * _rests(p)))


@dataclass(frozen=True, eq=False)
class LogSoftmax(Layer):
    """log p = z - log Σ exp z over the last axis: x, the logits z, has shape (..., k), and so has y.

    J = I - 1 pᵀ for each row: J v = v - (p·v) 1, and Jᵀ g = g - (Σ g) p.

    Raises
    ------
    InvalidInput
        If x has no axis, or none along it.

    References
    ----------
    Chapter *Layer Jacobians*, "Softmax"; *Numbers that misbehave*.

    Examples
    --------
    >>> LogSoftmax()({}, np.array([1e4, 0.0]))
    array([     0., -10000.])
    """

    def check(self, params: Params, x: Any) -> None:
        want_axes(x, 1, "logits, shape (..., k) with k at least 1")

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        y = log_probabilities(x)
        return y, (y,)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        dx = dx - _largest(kept[0], dx)[1]  # changes nothing, as in `through_softmax`
        return dx - np.sum(np.exp(kept[0]) * dx, axis=-1, keepdims=True)

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        # g - p Σ g, with the entry's own term apart: g (1 - p) keeps its digits as -g expm1(log p)
        others = np.sum(g, axis=-1, keepdims=True) - g
        return {}, -g * np.expm1(kept[0]) - np.exp(kept[0]) * others

    def by_x(self, params: Params, kept: tuple[Any, ...]) -> Any:
        p = np.exp(kept[0])
        minus_p = np.broadcast_to(-p[..., None, :], (*p.shape, p.shape[-1]))
        return block_diagonal(_with_diagonal(minus_p, -np.expm1(kept[0])))


@dataclass(frozen=True, eq=False)
class CrossEntropy(Loss):
    """L = -(1/N) Σ t · log softmax(z), over the N rows of the logits z: softmax, logarithm and mean in one.

    Its gradient by z is (p - t) / N. With a label that is nearly certain, p - 1 is computed as expm1(log p), which
    keeps the digits that the subtraction would lose.

    x, the logits z, has shape (N, k), or (k,) for one row, or more axes in front, which all count as rows. ``targets``
    are labels, integers from 0 to k - 1 of shape (N,), or distributions t, shape (N, k), not negative with sums of 1.

    Raises
    ------
    InvalidInput
        If the batch is empty, a label out of range, a row of t no distribution, or a shape does not fit.

    References
    ----------
    Chapter *Layer Jacobians*, "Cross-entropy"; *Numbers that misbehave*.

    Examples
    --------
    >>> z, labels = np.array([[0.0, 0.0], [1e4, 0.0]]), np.array([0, 1])
    >>> CrossEntropy()(z, labels)
    np.float64(5000.34657359028)
    >>> CrossEntropy().jacobian(z, labels)
    array([[-0.25,  0.25],
           [ 0.5 , -0.5 ]])
    """

    def accept(self, x: Any, targets: Any) -> Any:
        t: Any = targets if isinstance(targets, Followed) else np.asarray(targets)
        rows, k = np.shape(x)[:-1], np.shape(x)[-1]
        if t.dtype.kind == "i" and np.shape(t) == (*rows, k) != rows:
            raise InvalidInput("targets", describe(t), "labels, or distributions as floats: write .astype(float)")
        if t.dtype.kind in "iu":
            want_shape(t, "targets", rows)
            return as_integers(t, "targets", k)
        if np.shape(t) == rows and t.dtype.kind in "bf":
            raise InvalidInput("targets", describe(t), "labels as integers: write .astype(int)")
        t = as_floats(targets, "targets")
        want_shape(t, "targets", (*rows, k))
        if not isinstance(t, Followed):
            _want_distributions(t)
        return t

    def value(self, x: Any, targets: Any) -> tuple[Any, tuple[Any, ...]]:
        log_p = log_probabilities(x)
        N = math.prod(np.shape(x)[:-1])
        if targets.dtype.kind in "iu":
            chosen = entry_at(log_p, np.reshape(targets, (*np.shape(targets), 1)))
            return -np.sum(chosen) / N, (log_p, targets, N)
        impossible = (targets == 0) & np.isneginf(np.real(log_p))  # 0 log 0 counts as 0
        return -np.sum(targets * np.where(impossible, 0.0, log_p)) / N, (log_p, targets, N)

    def gradient(self, kept: tuple[Any, ...]) -> Any:
        log_p, t, N = kept
        if t.dtype.kind in "iu":
            at_label = np.arange(log_p.shape[-1]) == t[..., None]
            return np.where(at_label, np.expm1(log_p), np.exp(log_p)) / N
        return np.where(t > 0.5, np.expm1(log_p) + (1 - t), np.exp(log_p) - t) / N  # 1 - t is exact there


def _want_distributions(t: Any) -> None:
    """Each row of the targets must be a distribution: only for those is the gradient p - t."""
    sums = np.sum(t, axis=-1)
    slack = 4 * t.shape[-1] * np.finfo(t.dtype).eps + 1e-12
    wrong = np.argwhere(~((np.min(t, axis=-1) >= 0) & (np.abs(sums - 1) <= slack)))
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        raise InvalidInput(
            "targets",
            f"a row with sum {sums[place]:.6g} and least entry {np.min(t[place]):.3g}"
            + (f" at index {place}" * bool(place)),
            "distributions: rows that are not negative and have sums of 1, or integer labels",
        )


@dataclass(frozen=True, eq=False)
class MeanSquaredError(Loss):
    """L = mean of (x - t)² over *all* entries of x: N rows of k make the divisor Nk. The gradient is 2 (x - t) / (Nk).

    x has any shape but (), and ``targets``, t, has the same.

    Raises
    ------
    InvalidInput
        If x is empty, or the targets have another shape: broadcasting (N,) against (N, 1) would hide a mistake.

    References
    ----------
    Chapter *Layer Jacobians*, "Squared error".

    Examples
    --------
    >>> MeanSquaredError().jacobian(np.array([[1.0], [3.0]]), np.array([[0.0], [3.0]]))
    array([[1.],
           [0.]])
    """

    def accept(self, x: Any, targets: Any) -> Any:
        t: Any = targets if isinstance(targets, Followed) else np.asarray(targets)
        if t.dtype.kind not in "iuf":
            raise InvalidInput("targets", describe(targets), "numbers")
        want_shape(t, "targets", np.shape(x))
        return t

    def value(self, x: Any, targets: Any) -> tuple[Any, tuple[Any, ...]]:
        r = x - targets
        return np.mean(r * r), (r,)

    def gradient(self, kept: tuple[Any, ...]) -> Any:
        (r,) = kept
        return 2 * r / r.size
