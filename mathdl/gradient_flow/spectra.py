"""Singular values of a network's Jacobian: how much each direction grows or fades on the way through.

The whole Jacobian where it is small; else its products with vectors alone, by Lanczos' method in blocks.
Explained in the chapter *Gradient flow*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mathdl.arrays import describe, want_integer
from mathdl.errors import InvalidInput
from mathdl.layers.layer import Layer, Params, as_array

__all__ = ["effective_rank", "singular_values"]

# "auto" takes Lanczos' method for Jacobians with more entries, if so few singular values are asked for. Measured
# with 2 and 8 affine maps: at 1000 by 1000 both take equally long for ten values, at 500 by 500 for one or two.
_DENSE = 500_000
_FEW = 1 / 200
_CLOSE = 1e-8

Product = Callable[[Any], Any]


def singular_values(
    layer: Layer, params: Params, x: Any, count: int | None = None, method: str = "auto", seed: int = 0
) -> Any:
    """The singular values of the Jacobian of a layer or network at one input, largest first.

    Parameters
    ----------
    layer : Layer
        A network, or a part of one: ``Network(**some)``, with ``some`` a dict of layers out of ``network.layers``.
    params : dict
        Of the layer.
    x : ndarray
        One input, such as a batch of one.
    count : int, optional
        How many; by default all, m or n, whichever is less.
    method : {"auto", "dense", "lanczos"}
        ``"dense"`` builds the Jacobian, row by row or column by column, whichever is quicker, and decomposes it;
        ``"lanczos"`` needs tens of products J v and Jᵀ u for each value, and never builds it: for the largest few of
        many. ``"auto"`` takes the second where the Jacobian is large and ``count`` at most 1/200 of m and n.
    seed : int
        Of the vectors that Lanczos' method begins with.

    Returns
    -------
    ndarray, shape (count,)

    Raises
    ------
    InvalidInput
        If the layer is none or has several inputs, ``count`` is out of range, the method unknown, or x or the Jacobian
        not finite.

    Notes
    -----
    Lanczos' method keeps the span V of all (JᵀJ)ᵏ x for a block of ``count`` random x, and takes the singular values of
    J V. A single x would do in most cases, but finds a value that comes twice only once. It ends when each residual
    ‖Jᵀu - σ v‖ is at most 1e-8 σ, or rounding: a singular value is no farther away, and mostly as near as the square of
    that. If they do not get so small, V grows until it is everything.

    References
    ----------
    Chapter *Gradient flow*. G. Golub and W. Kahan, SIAM J. Numer. Anal. B 2 (1965) 205; blocks: G. H. Golub, F. T. Luk
    and M. L. Overton, ACM Trans. Math. Softw. 7 (1981) 149.

    Examples
    --------
    >>> from mathdl.layers import Affine
    >>> params = {"W": np.array([[3.0, 0.0], [0.0, 4.0]]), "b": np.zeros(2)}
    >>> singular_values(Affine(), params, np.ones(2))
    array([4., 3.])
    """
    if not isinstance(layer, Layer) or len(layer.inputs) > 1:
        raise InvalidInput("layer", describe(layer), "a layer or a network, with one input")
    y, saved = layer.forward(params, x)
    m, n = np.size(y), np.size(x)
    if m * n == 0:
        raise InvalidInput(
            "x", f"shape {np.shape(x)}, with an output of shape {np.shape(y)}", "at least one entry each"
        )
    if not np.all(np.isfinite(x)):
        raise InvalidInput("x", "NaN or infinity", "finite numbers")
    count = min(m, n) if count is None else want_integer(count, "count", 1, min(m, n))
    if method not in ("auto", "dense", "lanczos"):
        raise InvalidInput("method", repr(method), "'auto', 'dense' or 'lanczos'")
    if method == "auto":
        method = "lanczos" if m * n > _DENSE and count <= _FEW * min(m, n) else "dense"

    def push(v: Any) -> Any:
        return np.ravel(layer.jvp(params, saved, v.reshape(np.shape(x))))

    def pull(u: Any) -> Any:
        return np.ravel(layer.vjp(params, saved, u.reshape(np.shape(y)))[1])

    with np.errstate(all="ignore"):
        values = _dense(push, pull, m, n) if method == "dense" else _lanczos(push, pull, m, n, count, seed)
    return values[:count]


def _dense(push: Product, pull: Product, m: int, n: int) -> Any:
    """By the whole matrix, row by row or column by column: a pull takes longer, since it finds the parameters' too."""
    rows = _finite([pull(u) for u in np.eye(m)] if 4 * m < n else [push(v) for v in np.eye(n)])
    return np.linalg.svd(rows, compute_uv=False)


def _lanczos(push: Product, pull: Product, m: int, n: int, count: int, seed: int) -> Any:
    """By products with blocks of vectors. Rows: V, orthonormal; W, their images; U, an orthonormal basis of these."""
    if m < n:  # the singular values of Jᵀ are the same, and its vectors shorter
        push, pull, m, n = pull, push, n, m
    rng, rounding = np.random.default_rng(want_integer(seed, "seed", 0)), 1e-14 * math.sqrt(m + n)
    V, W, U, block = np.zeros((0, n)), np.zeros((0, m)), np.zeros((0, m)), rng.normal(size=(count, n))
    while True:
        new = _beyond(V, block)
        new = new if len(new) else _beyond(V, rng.normal(size=(1, n)))  # so that it ends, whatever the products are
        images = _finite([push(v) for v in new])
        V, W, U = np.concatenate([V, new]), np.concatenate([W, images]), np.concatenate([U, _beyond(U, images)])
        right, values, left = np.linalg.svd(W @ U.T, full_matrices=False)
        right, values, left = right[:, :count].T @ V, values[:count], left[:count] @ U
        largest = max(values[0], 5e-324)
        block = _finite([pull(u) for u in left]) / largest - (values / largest)[:, None] * right
        wrong = np.linalg.norm(block, axis=1) > np.maximum(_CLOSE * values / largest, rounding)
        if len(V) == n or not np.any(wrong):
            return values
        block = block[wrong]


def _beyond(V: Any, block: Any) -> Any:
    """Orthonormal rows for what the block has beyond V: twice, for the first time may leave rounding alone."""
    for _ in range(2):
        block = block - (block @ V.T) @ V
        _, sizes, block = np.linalg.svd(block, full_matrices=False)
    return block[sizes > 0.1]


def _finite(rows: list[Any]) -> Any:
    """The vectors as rows of an array, or `InvalidInput`."""
    stacked = np.stack(rows)
    if not np.all(np.isfinite(stacked)):
        raise InvalidInput("x", "a Jacobian with NaN or infinity", "an input and parameters at which it is finite")
    return stacked


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
    values = as_array(values, "values")
    if values.ndim != 1 or values.dtype.kind not in "fiu" or not np.all(np.isfinite(values)) or np.any(values < 0):
        raise InvalidInput("values", describe(values), "a vector of finite numbers that are not negative")
    if not np.any(values):
        return 0.0
    shares = values / np.max(values)  # a sum of very large ones would overflow
    shares /= np.sum(shares)
    shares = shares[shares > 0]
    return math.exp(-float(np.sum(shares * np.log(shares))))
