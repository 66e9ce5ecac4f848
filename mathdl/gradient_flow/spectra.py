"""Singular values of a network's Jacobian: how much each direction grows or fades on the way through.

The whole Jacobian where it is small; else its products with vectors alone, by Lanczos' method.
Explained in the chapter *Gradient flow*.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mathdl.arrays import describe
from mathdl.errors import InvalidInput
from mathdl.layers.layer import Layer, Params

__all__ = ["effective_rank", "singular_values"]

# Below so many entries the dense Jacobian and LAPACK are faster than Lanczos' method: measured, see `make bench`.
_DENSE = 250_000


def singular_values(
    layer: Layer, params: Params, x: Any, count: int | None = None, method: str = "auto", seed: int = 0
) -> Any:
    """The singular values of the Jacobian of a layer or network at one input, largest first.

    Parameters
    ----------
    layer : Layer
        A network, or a part of one: ``Network(**dict(list(network.layers.items())[:3]))`` is its first three layers.
    params : dict
        Of the layer.
    x : ndarray
        One input, such as a batch of one.
    count : int, optional
        How many; by default all, m or n, whichever is less.
    method : {"auto", "dense", "lanczos"}
        ``"dense"`` builds the Jacobian, row by row or column by column, whichever are fewer, and decomposes it;
        ``"lanczos"`` needs a few products J v and Jᵀ u for each value, and never builds it: for the largest few of
        many. ``"auto"`` takes the second where the Jacobian is large and ``count`` at most a tenth of its rank.
    seed : int
        Of the vector that Lanczos' method begins with.

    Returns
    -------
    ndarray, shape (count,)

    Raises
    ------
    InvalidInput
        If ``count`` is out of range, or the method unknown, or Lanczos' method is asked for all of them.

    References
    ----------
    Chapter *Gradient flow*. G. Golub and W. Kahan, SIAM J. Numer. Anal. B 2 (1965) 205; the iteration is SciPy's
    ``svds``, by ARPACK.

    Examples
    --------
    >>> from mathdl.layers import Affine
    >>> params = {"W": np.array([[3.0, 0.0], [0.0, 4.0]]), "b": np.zeros(2)}
    >>> singular_values(Affine(), params, np.ones(2))
    array([4., 3.])
    """
    y, saved = layer.forward(params, x)
    m, n = np.size(y), np.size(x)
    if m * n == 0:
        raise InvalidInput(
            "x", f"shape {np.shape(x)}, with an output of shape {np.shape(y)}", "at least one entry each"
        )
    count = min(m, n) if count is None else count
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or not 1 <= count <= min(m, n):
        raise InvalidInput("count", repr(count), f"an integer from 1 to {min(m, n)}")
    if method not in ("auto", "dense", "lanczos"):
        raise InvalidInput("method", repr(method), "'auto', 'dense' or 'lanczos'")
    if method == "auto":
        method = "lanczos" if m * n > _DENSE and 10 * count <= min(m, n) else "dense"
    if method == "dense":
        return np.linalg.svd(_matrix(layer, params, saved, y, x), compute_uv=False)[:count]
    if count == min(m, n):
        raise InvalidInput("count", str(count), f"fewer than all {count} for Lanczos' method, or method='dense'")
    return _lanczos(layer, params, saved, y, x, count, seed)


def _matrix(layer: Layer, params: Params, saved: Any, y: Any, x: Any) -> Any:
    """The Jacobian as an m-by-n matrix, by the fewer of its rows and columns."""
    m, n = np.size(y), np.size(x)
    if m <= n:
        return np.stack([np.ravel(layer.vjp(params, saved, g)[1]) for g in np.eye(m).reshape(m, *np.shape(y))])
    return np.stack([np.ravel(layer.jvp(params, saved, v)) for v in np.eye(n).reshape(n, *np.shape(x))], axis=1)


def _lanczos(layer: Layer, params: Params, saved: Any, y: Any, x: Any, count: int, seed: int) -> Any:
    from scipy.sparse.linalg import LinearOperator, svds

    operator = LinearOperator(
        (np.size(y), np.size(x)),
        matvec=lambda v: np.ravel(layer.jvp(params, saved, v.reshape(np.shape(x)))),
        rmatvec=lambda u: np.ravel(layer.vjp(params, saved, u.reshape(np.shape(y)))[1]),
        dtype=np.float64,
    )
    start = np.random.default_rng(seed).normal(size=min(operator.shape))
    return np.sort(svds(operator, k=int(count), v0=start, return_singular_vectors=False))[::-1]


def effective_rank(values: Any) -> float:
    """How many directions pass, counted by their shares: exp of the entropy of the singular values' shares.

    n equal values count as n; one that outweighs all others as little more than 1.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Singular values, not negative.

    Returns
    -------
    float
        Between 1 and the number of values that are not zero; 0 where all are.

    Raises
    ------
    InvalidInput
        If they are no vector of numbers that are finite and not negative.

    References
    ----------
    Chapter *Gradient flow*. O. Roy and M. Vetterli, Proc. 15th European Signal Processing Conference (2007) 606.

    Examples
    --------
    >>> effective_rank(np.array([2.0, 2.0, 0.0])), effective_rank(np.zeros(3))
    (2.0, 0.0)
    """
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "fiu" or not np.all(np.isfinite(values)) or np.any(values < 0):
        raise InvalidInput("values", describe(values), "a vector of finite numbers that are not negative")
    total = np.sum(values)
    if total == 0:
        return 0.0
    shares = values / total
    shares = shares[shares > 0]
    return math.exp(-float(np.sum(shares * np.log(shares))))
