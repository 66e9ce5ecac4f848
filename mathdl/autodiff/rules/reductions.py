"""Rules for sums, products, means, extremes and what is made of them, along any axes.

Products are taken pairwise and running products by doubling, so that no rule divides by an entry that may be zero.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mathdl.autodiff.broadcasting import shifted
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.naming import refuse
from mathdl.autodiff.primitives import rule
from mathdl.autodiff.rules.steps import normal_axes
from mathdl.autodiff.trace import FRESH, apply, concrete, lift

__all__ = ["count", "cumsum_step", "extreme_step", "root", "shares", "sorted_rows", "sum_step"]


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if k in axes else n for k, n in enumerate(shape))


def sum_step(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    own = x.shape
    kept = _kept(own, axes)

    def push(t: Any, lead: int) -> Any:
        return np.sum(t, axis=shifted(axes, lead), keepdims=keepdims)

    def pull(g: Any, lead: int) -> Any:
        if not isinstance(g, (np.ndarray, np.generic)):  # of an outer trace
            return np.broadcast_to(np.reshape(g, g.shape[:lead] + kept), g.shape[:lead] + own)
        spread = np.empty(g.shape[:lead] + own, g.dtype)
        spread[...] = g.reshape(g.shape[:lead] + kept)
        return spread

    return np.sum(x, axis=axes, keepdims=keepdims), [(push, pull, FRESH)]


@rule(np.sum)
def sum_(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    a = lift(a)
    return apply(sum_step, (a,), normal_axes(axis, a.ndim), keepdims is True)


def count(shape: tuple[int, ...], axis: Any) -> int:
    """How many entries are reduced to one."""
    return math.prod([shape[k] for k in normal_axes(axis, len(shape))])


@rule(np.mean)
def mean(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    a = lift(a)
    return sum_(a, axis, keepdims) / (a.size if axis is None else count(a.shape, axis))


@rule(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, keepdims: Any = False) -> Any:
    a = lift(a)
    if weights is None:
        return np.mean(a, axis=axis, keepdims=keepdims is True)
    w = lift(weights)
    if np.shape(w) != a.shape:
        if axis is None or np.ndim(axis) or np.ndim(w) != 1:
            raise refuse(np.average, "weights of another shape need one axis", "weights with the shape of a")
        shape = [1] * a.ndim
        shape[axis] = -1
        w = np.broadcast_to(np.reshape(w, shape), a.shape)
    total = np.sum(w, axis=axis, keepdims=keepdims is True)
    return np.sum(a * w, axis=axis, keepdims=keepdims is True) / total


@rule(np.var)
def var(a: Any, axis: Any = None, ddof: float = 0, keepdims: Any = False, mean: Any = None) -> Any:
    a = lift(a)
    centre = np.mean(a, axis=axis, keepdims=True) if mean is None or mean is np._NoValue else mean
    spread = np.square(a - centre)
    return np.sum(spread, axis=axis, keepdims=keepdims is True) / max(count(a.shape, axis) - ddof, 0)


@rule(np.std)
def std(a: Any, axis: Any = None, ddof: float = 0, keepdims: Any = False, mean: Any = None) -> Any:
    return root(np.var(a, axis=axis, ddof=ddof, keepdims=keepdims is True, mean=mean))


def root(squares: Any) -> Any:
    """The square root of a sum of squares; at zero its derivative is zero, as |x|'(0) = 0."""
    zero = concrete(squares) == 0
    if not isinstance(zero, Followed) and not np.any(zero):
        return np.sqrt(squares)
    return np.where(zero, 0.0, np.sqrt(np.where(zero, 1.0, squares)))


# ------------------------------------------------------------------------------------------------------------- extremes
def shares(x: Any, axes: tuple[int, ...], function: Callable[..., Any]) -> Any:
    """Of each entry, its part in the extreme value: ties share equally."""
    chosen = x == function(x, axis=axes, keepdims=True)
    return (chosen / np.sum(chosen, axis=axes, keepdims=True)).astype(x.dtype)


def extreme_step(x: Any, axes: tuple[int, ...], keepdims: bool, function: Callable[..., Any]) -> Any:
    plain = concrete(x)
    share = shares(plain, axes, function)
    kept = _kept(plain.shape, axes)

    def push(t: Any, lead: int) -> Any:
        return np.sum(t * share, axis=shifted(axes, lead), keepdims=keepdims)

    def pull(g: Any, lead: int) -> Any:
        return np.reshape(g, g.shape[:lead] + kept) * share

    return function(x, axis=axes, keepdims=keepdims), [(push, pull, FRESH)]


@rule(np.max, np.amax)
def max_(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    a = lift(a)
    return apply(extreme_step, (a,), normal_axes(axis, a.ndim), keepdims is True, np.max)


@rule(np.min, np.amin)
def min_(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    a = lift(a)
    return apply(extreme_step, (a,), normal_axes(axis, a.ndim), keepdims is True, np.min)


@rule(np.ptp)
def ptp(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return np.max(a, axis=axis, keepdims=keepdims is True) - np.min(a, axis=axis, keepdims=keepdims is True)


@rule(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    low = a_min if min is None or min is np._NoValue else min
    high = a_max if max is None or max is np._NoValue else max
    y = lift(a)
    y = y if low is None or low is np._NoValue else np.maximum(y, low)
    return y if high is None or high is np._NoValue else np.minimum(y, high)


def sorted_rows(a: Any, axis: Any) -> tuple[Any, tuple[int, ...]]:
    """The entries along some axes, sorted on one last axis; and the shape of a result that keeps the axes."""
    axes = normal_axes(axis, a.ndim)
    rest = tuple(k for k in range(a.ndim) if k not in axes)
    shape = (*(a.shape[k] for k in rest), count(a.shape, axis))
    return np.sort(np.reshape(np.transpose(a, (*rest, *axes)), shape), axis=-1), _kept(a.shape, axes)


@rule(np.median)
def median(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    a = lift(a)
    rows, kept = sorted_rows(a, axis)
    n = rows.shape[-1]
    middle = (rows[..., (n - 1) // 2] + rows[..., n // 2]) / 2
    middle = np.where(np.isnan(concrete(rows)[..., -1]), np.nan, middle)  # NaN is sorted to the end
    return np.reshape(middle, kept) if keepdims else middle


# ----------------------------------------------------------------------------------------------- products, running sums
@rule(np.prod)
def prod(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    a = lift(a)
    axes = normal_axes(axis, a.ndim)
    rest = tuple(k for k in range(a.ndim) if k not in axes)
    y = np.reshape(np.transpose(a, (*axes, *rest)), (count(a.shape, axes), *(a.shape[k] for k in rest)))
    if not y.shape[0]:
        return np.ones(_kept(a.shape, axes) if keepdims is True else y.shape[1:], a.dtype)
    while y.shape[0] > 1:
        half = y.shape[0] // 2
        pairs = y[:half] * y[half : 2 * half]
        y = np.concatenate([pairs, y[2 * half :]]) if y.shape[0] % 2 else pairs
    return np.reshape(y, _kept(a.shape, axes)) if keepdims is True else y[0]


def cumsum_step(x: Any, axis: int) -> Any:
    def push(t: Any, lead: int) -> Any:
        return np.cumsum(t, axis=axis + lead)

    def pull(g: Any, lead: int) -> Any:
        return np.flip(np.cumsum(np.flip(g, axis + lead), axis=axis + lead), axis + lead)

    return np.cumsum(x, axis=axis), [(push, pull, FRESH)]


@rule(np.cumsum)
def cumsum(a: Any, axis: int | None = None) -> Any:
    a = lift(a)
    if axis is None:
        a, axis = np.ravel(a), 0
    return apply(cumsum_step, (a,), normal_axes(axis, a.ndim)[0])


@rule(np.cumprod)
def cumprod(a: Any, axis: int | None = None) -> Any:
    a = lift(a)
    if axis is None:
        a, axis = np.ravel(a), 0
    y = np.moveaxis(a, axis, 0)
    step = 1
    while step < y.shape[0]:
        y = np.concatenate([y[:step], y[step:] * y[:-step]])
        step *= 2
    return np.moveaxis(y, 0, axis)


if hasattr(np, "cumulative_sum"):

    @rule(np.cumulative_sum)
    def cumulative_sum(x: Any, axis: int | None = None) -> Any:
        return np.cumsum(np.atleast_1d(x), axis=_only_axis(x, axis))

    @rule(np.cumulative_prod)
    def cumulative_prod(x: Any, axis: int | None = None) -> Any:
        return np.cumprod(np.atleast_1d(x), axis=_only_axis(x, axis))


def _only_axis(x: Any, axis: int | None) -> int:
    if axis is None and np.ndim(x) > 1:
        raise ValueError("For arrays which have more than one dimension ``axis`` argument is required.")
    return 0 if axis is None else axis


@rule(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    a = lift(a)
    if n == 0:
        return a
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n}")
    axis = normal_axes(axis, a.ndim)[0]
    ends = [None if end is None or end is np._NoValue else lift(end) for end in (prepend, append)]
    shape = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
    before, after = ([] if x is None else [np.broadcast_to(x, shape) if np.ndim(x) == 0 else x] for x in ends)
    y = np.concatenate([*before, a, *after], axis) if before or after else a
    for _ in range(n):
        head = (slice(None),) * axis
        y = y[(*head, slice(1, None))] - y[(*head, slice(None, -1))]
    return y


@rule(np.ediff1d)
def ediff1d(ary: Any) -> Any:
    return np.diff(np.ravel(ary))


@rule(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = lift(y)
    along, axis = axis, normal_axes(axis, y.ndim)[0]
    if x is None:
        width = lift(dx)
    else:
        x = lift(x)
        width = np.diff(x, axis=along) if np.ndim(x) > 1 else np.diff(x)
    if np.ndim(width) == 1:
        shape = [1] * y.ndim
        shape[axis] = -1
        width = np.reshape(width, shape)
    head = (slice(None),) * axis
    return np.sum(width * (y[(*head, slice(1, None))] + y[(*head, slice(None, -1))]) / 2.0, axis=along)


@rule(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return np.sum(np.diagonal(lift(a), offset, axis1, axis2), axis=-1)


@rule(np.linalg.trace)
def linalg_trace(x: Any, offset: int = 0) -> Any:
    return np.trace(x, offset, -2, -1)


@rule(np.linalg.diagonal)
def linalg_diagonal(x: Any, offset: int = 0) -> Any:
    return np.diagonal(x, offset, -2, -1)


@rule(np.nan_to_num)
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    plain = concrete(x)
    filled = np.nan_to_num(plain, nan=nan, posinf=posinf, neginf=neginf)
    return np.where(np.isfinite(plain), x, filled)
