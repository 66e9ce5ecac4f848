"""Rules for statistics, sampled functions and polynomials: quantiles, covariances, NaN left out, interp, gradient.

Nearly all are written with functions that have rules of their own.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mathdl.autodiff.naming import refuse
from mathdl.autodiff.primitives import RULES, Rule, rule
from mathdl.autodiff.rules.reductions import root, sorted_rows
from mathdl.autodiff.rules.steps import gathered, normal_axes, picked, scatter
from mathdl.autodiff.trace import concrete, lift

__all__: list[str] = []


# -------------------------------------------------------------------------------------------------------- NaN left out
def _filled(a: Any, value: float) -> Any:
    a = lift(a)
    return np.where(np.isnan(concrete(a)), value, a)


def _leaving_out(function: Callable[..., Any], value: float) -> Callable[..., Any]:
    def reduce(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
        return function(_filled(a, value), axis=axis, keepdims=keepdims is True)

    return reduce


def _extreme(function: Callable[..., Any], value: float) -> Callable[..., Any]:
    def reduce(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
        a = lift(a)
        nothing = np.all(np.isnan(concrete(a)), axis=axis, keepdims=keepdims is True)
        return np.where(nothing, np.nan, function(_filled(a, value), axis=axis, keepdims=keepdims is True))

    return reduce


def _running(function: Callable[..., Any], value: float) -> Callable[..., Any]:
    return lambda a, axis=None: function(_filled(a, value), axis=axis)


rule(np.nansum)(_leaving_out(np.sum, 0.0))
rule(np.nanprod)(_leaving_out(np.prod, 1.0))
rule(np.nanmax)(_extreme(np.max, -np.inf))
rule(np.nanmin)(_extreme(np.min, np.inf))
rule(np.nancumsum)(_running(np.cumsum, 0.0))
rule(np.nancumprod)(_running(np.cumprod, 1.0))


def _present(a: Any, axis: Any, keepdims: bool) -> Any:
    return np.sum(~np.isnan(concrete(a)), axis=axis, keepdims=keepdims)


@rule(np.nanmean)
def nanmean(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    a = lift(a)
    return np.nansum(a, axis=axis, keepdims=keepdims is True) / _present(a, axis, keepdims is True)


@rule(np.nanvar)
def nanvar(a: Any, axis: Any = None, ddof: float = 0, keepdims: Any = False) -> Any:
    a = lift(a)
    apart = np.where(np.isnan(concrete(a)), 0.0, _filled(a, 0.0) - np.nanmean(a, axis=axis, keepdims=True))
    squares = np.sum(np.square(apart), axis=axis, keepdims=keepdims is True)
    n = _present(a, axis, keepdims is True) - ddof
    return squares / np.where(n > 0, n, np.nan)


@rule(np.nanstd)
def nanstd(a: Any, axis: Any = None, ddof: float = 0, keepdims: Any = False) -> Any:
    return root(np.nanvar(a, axis=axis, ddof=ddof, keepdims=keepdims is True))


# ----------------------------------------------------------------------------------------------- quantiles, covariances
@rule(np.quantile)
def quantile(a: Any, q: Any, axis: Any = None, keepdims: bool = False) -> Any:
    a, q = lift(a), lift(q)
    rows, kept = sorted_rows(a, axis)
    place = q * (rows.shape[-1] - 1.0)
    below = np.floor(concrete(place)).astype(int)
    above = np.minimum(below + 1, rows.shape[-1] - 1)
    y = rows[..., below] + (rows[..., above] - rows[..., below]) * (place - below)
    y = np.moveaxis(y, range(y.ndim - below.ndim, y.ndim), range(below.ndim)) if below.ndim else y
    y = np.where(np.isnan(concrete(rows)[..., -1]), np.nan, y)  # NaN is sorted to the end
    return np.reshape(y, below.shape + kept) if keepdims else y


@rule(np.percentile)
def percentile(a: Any, q: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return quantile(a, lift(q) / 100.0, axis, keepdims)


@rule(np.cov)
def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None) -> Any:
    rows = _variables(m, rowvar)
    if y is not None:
        rows = np.concatenate([rows, _variables(y, rowvar)])
    apart = rows - np.mean(rows, axis=1, keepdims=True)
    n = rows.shape[1] - (ddof if ddof is not None else 0 if bias else 1)
    return np.squeeze(apart @ np.transpose(apart) / np.float64(n))  # in double precision, as in NumPy


def _variables(m: Any, rowvar: bool) -> Any:
    m = lift(m)
    return np.transpose(m) if not rowvar and np.ndim(m) == 2 else np.atleast_2d(m)


@rule(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    c = np.cov(x, y, rowvar)
    if np.ndim(c) == 0:
        return c / c
    deviations = np.sqrt(np.diagonal(c))
    return c / deviations[:, None] / deviations[None, :]


@rule(np.bincount)
def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    numbers = np.asarray(concrete(x))
    if weights is None:
        return np.bincount(numbers, minlength=minlength)
    return scatter(lift(weights), numbers, 0, (max(int(np.max(numbers, initial=-1)) + 1, minlength),))


# ------------------------------------------------------------------------------------------- functions given by samples
@rule(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """At an inner knot the slope is that of the right-hand interval, at the ends that of the inner one."""
    x, xp, fp = lift(x), lift(xp) * 1.0, lift(fp)
    x = x if hasattr(x, "shape") else np.float64(x)
    plain, knots = concrete(x), concrete(xp)
    if len(knots) == 1:
        y = x * 0.0 + fp[0]
    else:
        k = np.clip(np.searchsorted(knots, plain, side="right") - 1, 0, len(knots) - 2)
        (x0, x1), (y0, y1) = ((picked(array, (k,)), picked(array, (k + 1,))) for array in (xp, fp))
        width = x1 - x0
        width = np.where(concrete(width) == 0, 1.0, width)  # two knots at one place: a jump
        y = y0 + (x - x0) * ((y1 - y0) / width)
    y = np.where(plain < knots[0], fp[0] if left is None else left, y)
    return np.where(plain > knots[-1], fp[-1] if right is None else right, y)


@rule(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    f = lift(f)
    axes = normal_axes(axis, f.ndim)
    spacings = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    if len(spacings) != len(axes):
        raise TypeError("invalid number of arguments")
    slopes = tuple(_slopes(f, lift(h), k, edge_order) for h, k in zip(spacings, axes, strict=True))
    return slopes[0] if len(slopes) == 1 else slopes


def _slopes(f: Any, h: Any, axis: int, edge_order: int) -> Any:
    """Second-order differences for any distances between the samples; one-sided ones at the ends."""
    y = np.moveaxis(f, axis, 0)
    n = y.shape[0]
    if n < edge_order + 1:
        raise ValueError("Shape of array too small to calculate a numerical gradient")
    steps = np.diff(h) if np.ndim(h) else np.broadcast_to(h, (n - 1,))
    steps = np.reshape(steps, (n - 1,) + (1,) * (y.ndim - 1))
    slopes = (y[1:] - y[:-1]) / steps
    if n == 2:
        return np.moveaxis(np.concatenate([slopes, slopes]), 0, axis)
    before, after = steps[:-1], steps[1:]
    inner = (
        (slopes[:-1] * after + slopes[1:] * before) / (before + after) if np.ndim(h) else (y[2:] - y[:-2]) / (2.0 * h)
    )
    first, last = slopes[:1], slopes[-1:]
    if edge_order == 2:
        first = first + (first - slopes[1:2]) * steps[:1] / (steps[:1] + steps[1:2])
        last = last + (last - slopes[-2:-1]) * steps[-1:] / (steps[-1:] + steps[-2:-1])
    return np.moveaxis(np.concatenate([first, inner, last]), 0, axis)


@rule(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, period: float = 2 * np.pi) -> Any:
    p = lift(p)
    plain = concrete(p)
    return p + (np.unwrap(plain, discont, axis, period=period) - plain)


@rule(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any) -> Any:
    x = lift(x)
    if concrete(x).dtype.kind != "f":
        raise refuse(np.piecewise, "its result has the type of x, which holds no real numbers", "x.astype(float)")
    conditions = np.asarray(concrete(condlist), dtype=bool)
    conditions = conditions[None] if conditions.ndim == min(np.ndim(x), 1) else conditions
    if len(funclist) == len(conditions) + 1:
        conditions = np.concatenate([conditions, ~np.any(conditions, axis=0, keepdims=True)])
    if len(funclist) != len(conditions):
        raise ValueError(f"with {len(conditions)} condition(s), either that many or one more functions are expected")
    y = np.zeros_like(concrete(x))
    for condition, function in zip(conditions, funclist, strict=True):
        if np.any(condition):
            new = lift(function(x[condition]) if callable(function) else function)
            entries = np.concatenate([np.ravel(y), np.ravel(np.broadcast_to(new, (int(np.sum(condition)),)))])
            numbers = np.arange(np.size(x)).reshape(np.shape(x))
            numbers[condition] = np.arange(np.size(x), np.size(entries))
            y = gathered(entries, numbers)
    return y


@rule(np.apply_along_axis)
def apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any) -> Any:
    arr = lift(arr)
    axis = normal_axes(axis, arr.ndim)[0]
    moved = np.moveaxis(arr, axis, -1)
    rows = np.reshape(moved, (-1, arr.shape[axis]))
    made = np.stack([lift(func1d(row, *args)) for row in rows])
    y = np.reshape(made, moved.shape[:-1] + made.shape[1:])
    new = made.ndim - 1
    return np.moveaxis(y, range(y.ndim - new, y.ndim), range(axis, axis + new)) if new else y


@rule(np.apply_over_axes)
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    y = lift(a)
    for axis in normal_axes(axes, y.ndim):
        less = func(y, axis)
        y = less if np.ndim(less) == np.ndim(y) else np.expand_dims(less, axis)
    return y


# ---------------------------------------------------------------------------------------------------------- polynomials
@rule(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    x = lift(x)
    powers = np.arange(len(x) if N is None else N)
    return x[:, None] ** (powers if increasing else powers[::-1])


@rule(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    zeros = np.atleast_1d(lift(seq_of_zeros))
    if zeros.ndim != 1:
        raise refuse(np.poly, "of a matrix it takes eigenvalues, which may be complex", "the zeros, as a vector")
    y = np.ones(1)
    for zero in zeros:
        y = np.concatenate([y, np.zeros(1)]) - np.concatenate([np.zeros(1), y * zero])
    return y


def _leading(p: Any) -> Any:
    """Coefficients as poly1d holds them: without leading zeros."""
    p = np.trim_zeros(np.atleast_1d(lift(p)), "f")
    return p if len(p) else np.zeros(1)


@rule(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    return np.convolve(_leading(a1), _leading(a2))


def _aligned(combine: Callable[..., Any]) -> Callable[..., Any]:
    def add(a1: Any, a2: Any) -> Any:
        one, two = np.atleast_1d(lift(a1)), np.atleast_1d(lift(a2))
        n = max(len(one), len(two))
        return combine(*(np.concatenate([np.zeros(n - len(p)), p]) for p in (one, two)))

    return add


rule(np.polyadd)(_aligned(np.add))
rule(np.polysub)(_aligned(np.subtract))


@rule(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    p = lift(p)
    for _ in range(int(m)):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


@rule(np.polyint)
def polyint(p: Any, m: int = 1) -> Any:
    p = lift(p)
    for _ in range(int(m)):
        p = np.concatenate([p / np.arange(len(p), 0, -1), np.zeros(1)])
    return p


@rule(np.polyfit)
def polyfit(x: Any, y: Any, deg: int) -> Any:
    lines = np.vander(np.atleast_1d(lift(x)) + 0.0, int(deg) + 1)
    scale = np.sqrt(np.sum(np.square(lines), axis=0))
    solution = np.linalg.pinv(lines / scale) @ lift(y)
    return np.transpose(np.transpose(solution) / scale)


@rule(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    a, v = np.atleast_1d(lift(a)), np.atleast_1d(lift(v))
    if len(v) > len(a):  # NumPy slides the shorter one, and turns the result
        return np.flip(correlate(v, a, mode))
    return np.convolve(a, np.flip(v), mode)  # type: ignore[call-overload]


def _log_sum_exp(array: Any, axis: Any = 0, keepdims: Any = False) -> Any:
    a = lift(array)
    top = np.max(concrete(a), axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    y = np.log(np.sum(np.exp(a - top), axis=axis, keepdims=True)) + top
    return y if keepdims else np.squeeze(y, tuple(normal_axes(axis, a.ndim)))


RULES["logaddexp.reduce"] = Rule(np.sum, _log_sum_exp)


@rule(np.logspace)
def logspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, axis: int = 0) -> Any:
    return np.power(base, np.linspace(start, stop, num, endpoint, axis=axis))


@rule(np.geomspace)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, axis: int = 0) -> Any:
    start, stop = lift(start), lift(stop)
    if np.any(concrete(start) <= 0) or np.any(concrete(stop) <= 0):
        raise refuse(np.geomspace, "between negative numbers it has no derivative rule", "-np.geomspace(-a, -b)")
    return np.exp(np.linspace(np.log(start), np.log(stop), num, endpoint, axis=axis))


@rule(np.choose)
def choose(a: Any, choices: Any) -> Any:
    index = np.asarray(concrete(a))
    parts = np.broadcast_arrays(index, *(lift(choice) for choice in choices))
    stacked = np.stack([lift(part) for part in parts[1:]])
    if np.any(index < 0) or np.any(index >= len(stacked)):
        raise ValueError("invalid entry in choice array")
    shape = parts[0].shape
    numbers = np.arange(stacked.size).reshape(stacked.shape)
    return gathered(stacked, np.choose(np.broadcast_to(index, shape), list(numbers)))


@rule(np.divmod)
def divmod_(x1: Any, x2: Any) -> Any:
    return np.floor_divide(x1, x2), np.remainder(x1, x2)


@rule(np.modf)
def modf(x: Any) -> Any:
    whole = np.modf(concrete(x))[1]
    return x - whole, whole


@rule(np.frexp)
def frexp(x: Any) -> Any:
    exponent = np.frexp(concrete(x))[1]
    return np.ldexp(x, -exponent), exponent
