"""Layer norm, batch norm and RMS norm: each entry is measured against the spread of the entries that it shares it with.

All three have one Jacobian, a projection divided by that spread; they differ in the axes that they average over.
Explained in the chapter *Layer Jacobians*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mathdl.arrays import describe, is_number
from mathdl.autodiff.followed import Followed
from mathdl.errors import InvalidInput
from mathdl.layers.layer import Layer, Params, as_floats, block_diagonal, diagonal, want_axes, want_shape

__all__ = ["BatchNorm", "LayerNorm", "RMSNorm"]

Axes = tuple[int, ...]


def _mean(x: Any, axes: Axes) -> Any:
    return np.mean(x, axis=axes, keepdims=True)


def _standardised(x: Any, axes: Axes, epsilon: float) -> tuple[Any, Any, Any]:
    """(x - μ) / s with s = √(σ² + ε), and s and μ."""
    mean = _mean(x, axes)
    centred = x - mean
    variance = _mean(centred * centred, axes)
    # Equal entries may have a mean that is off by its rounding, and then a spread of that size.
    rounding = 0.0 if epsilon else (x.size // mean.size * np.finfo(x.dtype).eps * np.abs(mean)) ** 2
    _want_spread(variance, epsilon, rounding, "entries that are all equal")
    s = np.sqrt(variance + epsilon)
    return centred / s, s, mean


def _projected(v: Any, xhat: Any, s: Any, axes: Axes) -> Any:
    """The Jacobian of x̂ times v, and its transpose times v, since it is symmetric: (v - mean v - x̂ mean(x̂ v)) / s."""
    return (v - _mean(v, axes) - xhat * _mean(xhat * v, axes)) / s


def _projection(xhat: Any, s: Any) -> Any:
    """The same as a matrix for each row: (I - 1 1ᵀ/n - x̂ x̂ᵀ/n) / s. At ε = 0 it is a projection, divided by s."""
    n = xhat.shape[-1]
    return (np.eye(n, dtype=xhat.dtype) - 1 / n - xhat[..., :, None] * xhat[..., None, :] / n) / s[..., None]


def _want_spread(variance: Any, epsilon: float, least: Any, came: str) -> None:
    if epsilon == 0 and not isinstance(variance, Followed) and np.any(variance <= least):
        raise InvalidInput("x", came, "some spread where epsilon is 0, or epsilon=1e-5")


def _check_epsilon(epsilon: Any) -> None:
    if not is_number(epsilon) or not 0 <= epsilon < math.inf:
        raise InvalidInput("epsilon", repr(epsilon), "a number, 0 or a little more")


def _check_rows(params: Params, x: Any) -> None:
    want_axes(x, 1, "shape (..., n) with n at least 1")
    for name, value in params.items():
        want_shape(value, f"params[{name!r}]", np.shape(x)[-1:])


def _scale_and_shift(n: int) -> dict[str, Any]:
    return {"scale": np.ones(n), "shift": np.zeros(n)}


def _over_rows(array: Any) -> Any:
    """The sum over all axes but the last."""
    return np.sum(array.reshape(-1, array.shape[-1]), axis=0)


def _diagonal_rows(d: Any) -> Any:
    """diag(d) for each row: the Jacobian of d * scale by the scale, shape (..., n, n)."""
    return d[..., None] * np.eye(d.shape[-1], dtype=d.dtype)


@dataclass(frozen=True, eq=False)
class LayerNorm(Layer):
    """y = scale * x̂ + shift with x̂ = (x - μ) / √(σ² + ε): mean and variance of each row, over the last axis.

    x has shape (..., n), and so has y; ``scale`` and ``shift`` have shape (n,). For each row, with s = √(σ² + ε),

        J = diag(scale) (I - 1 1ᵀ/n - x̂ x̂ᵀ/n) / s.

    At ε = 0 the matrix between is the projection that takes away the mean and the part along x̂.

    Parameters
    ----------
    epsilon : float
        Added to the variance.

    Raises
    ------
    InvalidInput
        If shapes do not fit, ``epsilon`` is negative, or a row has no variance and ``epsilon`` is 0.

    References
    ----------
    Chapter *Layer Jacobians*, "Normalisation". J. L. Ba, J. R. Kiros and G. E. Hinton, arXiv:1607.06450 (2016).

    Examples
    --------
    >>> params = {"scale": np.ones(2), "shift": np.zeros(2)}
    >>> LayerNorm(epsilon=0.0)(params, np.array([[0.0, 1e4], [3.0, 1.0]]))
    array([[-1.,  1.],
           [ 1., -1.]])
    """

    epsilon: float = 1e-5
    parameters = ("scale", "shift")

    def __post_init__(self) -> None:
        _check_epsilon(self.epsilon)

    def initial(self, shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, Any]:
        return _scale_and_shift(shape[-1])

    def check(self, params: Params, x: Any) -> None:
        _check_rows(params, x)

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        xhat, s, _ = _standardised(x, (-1,), self.epsilon)
        return params["scale"] * xhat + params["shift"], (xhat, s)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        xhat, s = kept
        dy = params["scale"] * _projected(dx, xhat, s, (-1,))
        return dy + dparams.get("scale", 0.0) * xhat + dparams.get("shift", 0.0)

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        xhat, s = kept
        gparams = {"scale": _over_rows(g * xhat), "shift": _over_rows(g)}
        return gparams, _projected(g * params["scale"], xhat, s, (-1,))

    def by_x(self, params: Params, kept: tuple[Any, ...]) -> Any:
        return block_diagonal(params["scale"][:, None] * _projection(*kept))

    def by_scale(self, params: Params, kept: tuple[Any, ...]) -> Any:
        return _diagonal_rows(kept[0])

    def by_shift(self, params: Params, kept: tuple[Any, ...]) -> Any:
        return _diagonal_rows(np.ones_like(kept[0]))


@dataclass(frozen=True, eq=False)
class RMSNorm(Layer):
    """y = scale * x / r with r = √(mean x² + ε): layer norm without its mean.

    x has shape (..., n), and so has y; ``scale`` has shape (n,). For each row, with x̂ = x / r,

        J = diag(scale) (I - x̂ x̂ᵀ/n) / r.

    Parameters
    ----------
    epsilon : float
        Added to the mean square.

    Raises
    ------
    InvalidInput
        If shapes do not fit, ``epsilon`` is negative, or a row is zero and ``epsilon`` is 0.

    References
    ----------
    Chapter *Layer Jacobians*, "Normalisation". B. Zhang and R. Sennrich, Advances in Neural Information Processing
    Systems 32 (2019).

    Examples
    --------
    >>> RMSNorm(epsilon=0.0)({"scale": np.ones(2)}, np.array([7.0, 1.0]))
    array([1.4, 0.2])
    """

    epsilon: float = 1e-5
    parameters = ("scale",)

    def __post_init__(self) -> None:
        _check_epsilon(self.epsilon)

    def initial(self, shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, Any]:
        return {"scale": np.ones(shape[-1])}

    def check(self, params: Params, x: Any) -> None:
        _check_rows(params, x)

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        square = _mean(x * x, (-1,))
        _want_spread(square, self.epsilon, 0.0, "a row of zeros")
        r = np.sqrt(square + self.epsilon)
        xhat = x / r
        return params["scale"] * xhat, (xhat, r)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        xhat, r = kept
        dxhat = (dx - xhat * _mean(xhat * dx, (-1,))) / r
        return params["scale"] * dxhat + dparams.get("scale", 0.0) * xhat

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        xhat, r = kept
        h = g * params["scale"]
        return {"scale": _over_rows(g * xhat)}, (h - xhat * _mean(xhat * h, (-1,))) / r

    def by_x(self, params: Params, kept: tuple[Any, ...]) -> Any:
        xhat, r = kept
        n = xhat.shape[-1]
        inner = np.eye(n, dtype=xhat.dtype) - xhat[..., :, None] * xhat[..., None, :] / n
        return block_diagonal(params["scale"][:, None] * inner / r[..., None])

    def by_scale(self, params: Params, kept: tuple[Any, ...]) -> Any:
        return _diagonal_rows(kept[0])


@dataclass(frozen=True, eq=False)
class BatchNorm(Layer):
    """y = scale * x̂ + shift with x̂ = (x - μ) / √(σ² + ε), one μ and σ² for each channel.

    x has shape (N, c), or (N, c, ...) for images: channels on axis 1. y has the same; ``scale``, ``shift`` have shape
    (c,).

    In training, without ``statistics``, μ and σ² are those of the batch, over all axes but 1. Then the examples depend
    on each other: J is that of layer norm over the M numbers of a channel. In evaluation, with ``statistics``, they are
    constants, and J is diagonal, scale / s. Averages over many batches are kept outside: `mathdl.network.fit` makes
    them while it trains.

    Parameters
    ----------
    statistics : tuple (mean, variance), optional
        Each of shape (c,).
    epsilon : float
        Added to the variance.

    Raises
    ------
    InvalidInput
        If shapes do not fit, ``epsilon`` is negative, or in training a channel has fewer than two numbers: its x̂ would
        be zero whatever x is.

    References
    ----------
    Chapter *Layer Jacobians*, "Normalisation". S. Ioffe and C. Szegedy, Proc. 32nd ICML (2015) 448.

    Examples
    --------
    >>> params, x = {"scale": np.ones(1), "shift": np.zeros(1)}, np.array([[1.0], [3.0]])
    >>> BatchNorm(epsilon=0.0)(params, x)
    array([[-1.],
           [ 1.]])
    >>> BatchNorm((np.zeros(1), np.ones(1)), epsilon=0.0)(params, x)
    array([[1.],
           [3.]])
    """

    statistics: tuple[Any, Any] | None = None
    epsilon: float = 1e-5
    parameters = ("scale", "shift")

    def __post_init__(self) -> None:
        _check_epsilon(self.epsilon)
        if self.statistics is not None:
            if not isinstance(self.statistics, tuple) or len(self.statistics) != 2:
                raise InvalidInput("statistics", describe(self.statistics), "a tuple (mean, variance), or None")
            mean, variance = (as_floats(part, f"statistics[{k}]") for k, part in enumerate(self.statistics))
            want_shape(variance, "statistics[1]", np.shape(mean))
            if not np.all(variance + self.epsilon > 0):  # nor nan
                raise InvalidInput("statistics[1]", f"a variance of {np.min(variance)}", "positive variances")

    def initial(self, shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, Any]:
        return _scale_and_shift(shape[1])

    def measured_in(self, kept: tuple[Any, ...]) -> tuple[Any, Any] | None:
        """Mean and variance of each channel of a batch in training, each of shape (c,).

        The variance is that of the population that the batch was drawn from: its M numbers are M - 1 to divide by.
        """
        if self.statistics is not None:
            return None
        xhat, s, mean = kept
        M = xhat.size // xhat.shape[1]
        return np.ravel(mean), np.ravel((s * s - self.epsilon) * (M / (M - 1)))

    def evaluating(self, measured: Any = None) -> Layer:
        """With the statistics ``measured``."""
        return self if measured is None else BatchNorm(measured, self.epsilon)

    def check(self, params: Params, x: Any) -> None:
        shape = np.shape(x)
        if len(shape) < 2:
            raise InvalidInput("x", f"shape {shape}", "a batch, shape (N, c) or (N, c, ...)")
        for name, value in params.items():
            want_shape(value, f"params[{name!r}]", shape[1:2])
        if self.statistics is not None:
            want_shape(self.statistics[0], "statistics[0]", shape[1:2])
        elif (each := math.prod(shape) // max(shape[1], 1)) < 2:
            raise InvalidInput(
                "x",
                f"shape {shape}: {each} number{'s' * (each != 1)} for each channel",
                "at least two in training; for evaluation BatchNorm(statistics=(mean, variance))",
            )

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        column = _columns(x)
        if self.statistics is None:
            xhat, s, mean = _standardised(x, _others(x), self.epsilon)
        else:
            kind = np.finfo(x.dtype).dtype
            mean, variance = (column(np.asarray(part, kind)) for part in self.statistics)
            s = np.sqrt(variance + self.epsilon)
            xhat = (x - mean) / s
        return column(params["scale"]) * xhat + column(params["shift"]), (xhat, s, mean)

    def _products(self, v: Any, xhat: Any, s: Any) -> Any:
        return _projected(v, xhat, s, _others(xhat)) if self.statistics is None else v / s

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        xhat, s, _ = kept
        column = _columns(xhat)
        dy = column(params["scale"]) * self._products(dx, xhat, s)
        if "scale" in dparams:
            dy = dy + column(dparams["scale"]) * xhat
        return dy + column(dparams["shift"]) if "shift" in dparams else dy

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        xhat, s, _ = kept
        axes = _others(xhat)
        gparams = {"scale": np.sum(g * xhat, axis=axes), "shift": np.sum(g, axis=axes)}
        return gparams, self._products(g * _columns(xhat)(params["scale"]), xhat, s)

    def by_x(self, params: Params, kept: tuple[Any, ...]) -> Any:
        xhat, s, _ = kept
        scale = _columns(xhat)(params["scale"])
        if self.statistics is not None:
            return diagonal(np.broadcast_to(scale / s, xhat.shape))
        first = np.moveaxis(xhat, 1, 0)  # channels first: then each has one row, of all its numbers
        rows = first.reshape(len(first), -1)
        J = block_diagonal(params["scale"][:, None, None] * _projection(rows, s.reshape(-1, 1)))
        return np.moveaxis(J.reshape(first.shape * 2), (0, xhat.ndim), (1, xhat.ndim + 1))

    def by_scale(self, params: Params, kept: tuple[Any, ...]) -> Any:
        xhat = kept[0]
        return np.moveaxis(_diagonal_rows(np.moveaxis(xhat, 1, -1)), -2, 1)

    def by_shift(self, params: Params, kept: tuple[Any, ...]) -> Any:
        return self.by_scale(params, (np.ones_like(kept[0]),))


def _others(x: Any) -> Axes:
    """All axes but the channels'."""
    return (0, *range(2, np.ndim(x)))


def _columns(x: Any) -> Any:
    """A function that gives a vector with one entry for each channel the axes of x, to multiply with it."""
    return lambda vector: np.reshape(vector, (-1,) + (1,) * (np.ndim(x) - 2))
