"""The steps that rules are made of: maps that move entries and change none, each with its transpose.

What a function does to positions it does to an array of numbers 0, 1, 2, ...; gathering by these is the whole rule.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mathdl.autodiff.broadcasting import expand, shifted, unbroadcast
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.recording import embedded, indexed, run, scattered
from mathdl.autodiff.trace import FRESH, VIEW, Traced, TracedArray, apply

__all__ = [
    "as_view",
    "broadcast_step",
    "cast_step",
    "embed",
    "embed_step",
    "ensure",
    "ensured_step",
    "gather",
    "gather_step",
    "gathered",
    "join_step",
    "normal_axes",
    "padded",
    "picked",
    "positions",
    "reshape_step",
    "scatter",
    "scatter_at_step",
    "scatter_step",
    "select_step",
    "transpose_step",
    "where_step",
]


def as_view(result: Any, x: Any) -> Any:
    """Note that in NumPy the result shares its memory with ``x``: then neither can be written into."""
    if isinstance(result, Traced):
        result.shared = True
    if isinstance(x, Traced):
        x.shared = True
    return result


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes as a tuple of numbers that count from the front; None means all."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    result = []
    for k in axes:
        k = int(k)
        if not -ndim <= k < ndim:
            raise np.exceptions.AxisError(k, ndim)
        result.append(k % ndim)
    if len(set(result)) != len(result):
        raise ValueError("duplicate value in 'axis'")
    return tuple(result)


def cast_step(x: Any, dtype: Any) -> Any:
    own = x.dtype
    return x.astype(dtype), [(lambda t, lead: t.astype(dtype), lambda g, lead: g.astype(own), VIEW)]


def reshape_step(x: Any, shape: Any) -> Any:
    y, own = np.reshape(x, shape), x.shape
    new = y.shape
    return y, [
        (
            lambda t, lead: np.reshape(t, t.shape[:lead] + new),
            lambda g, lead: np.reshape(g, g.shape[:lead] + own),
            VIEW,
        )
    ]


def transpose_step(x: Any, axes: tuple[int, ...]) -> Any:
    back = tuple(int(k) for k in np.argsort(axes))

    def moved(order: tuple[int, ...]) -> Any:
        return lambda t, lead: np.transpose(t, (*range(lead), *shifted(order, lead)))

    return np.transpose(x, axes), [(moved(axes), moved(back), VIEW)]


def broadcast_step(x: Any, shape: tuple[int, ...]) -> Any:
    own = x.shape

    def push(t: Any, lead: int) -> Any:
        return np.broadcast_to(expand(t, len(shape), lead), t.shape[:lead] + shape)

    return np.broadcast_to(x, shape), [(push, lambda g, lead: unbroadcast(g, own, lead), VIEW)]


def gather_step(x: Any, numbers: Any, lead: int, own: tuple[int, ...]) -> Any:
    """Entries by number; -1 gives zero. ``lead`` axes of x stand in front and stay."""

    def push(t: Any, more: int) -> Any:
        return gather(t, numbers, lead + more, own)

    def pull(g: Any, more: int) -> Any:
        return scatter(g, numbers, lead + more, own)

    if isinstance(x, Traced):  # of an outer trace
        return gather(x, numbers, lead, own), [(push, pull, FRESH)]
    head = x.shape[:lead]
    entries = np.reshape(x, (*head, math.prod(own)))
    if entries.shape[-1] == 0:
        return np.zeros(head + numbers.shape, x.dtype), [(push, pull, FRESH)]
    y = run(np.take, entries, numbers, -1)
    return np.where(numbers < 0, 0.0, y).astype(x.dtype) if _has_gaps(numbers) else y, [(push, pull, FRESH)]


def _has_gaps(numbers: Any) -> bool:
    """Whether some entry is to be zero; positions that are computed (by a recorded sort, say) have no such entries."""
    return not isinstance(numbers, Followed) and bool(np.any(numbers < 0))


def scatter_step(g: Any, numbers: Any, lead: int, own: tuple[int, ...]) -> Any:
    """Add each entry of g to the place it was gathered from."""

    def push(t: Any, more: int) -> Any:
        return scatter(t, numbers, lead + more, own)

    def pull(c: Any, more: int) -> Any:
        return gather(c, numbers, lead + more, own)

    if isinstance(g, Traced):  # of an outer trace
        return scatter(g, numbers, lead, own), [(push, pull, FRESH)]
    head = g.shape[:lead]
    rows, size = math.prod(head), math.prod(own)
    where, what = numbers.ravel(), np.reshape(g, (rows, numbers.size))
    if _has_gaps(where):
        where, what = where[where >= 0], what[:, where >= 0]
    if g.dtype.itemsize > 8:  # bincount adds in double precision
        exact = np.zeros((rows, size), g.dtype)
        np.add.at(exact.T, where, what.T)
        return exact.reshape(head + own), [(push, pull, FRESH)]
    if rows != 1:
        where = (where + size * np.arange(rows)[:, None]).ravel()
    sums = np.bincount(where, weights=what.ravel(), minlength=rows * size)
    return sums.astype(g.dtype, copy=False).reshape(head + own), [(push, pull, FRESH)]


def gather(x: Any, numbers: Any, lead: int, own: tuple[int, ...]) -> Any:
    """The entries of ``x``, an array of shape ``own`` behind ``lead`` axes, at these flat positions (-1: zero)."""
    return (
        apply(gather_step, (x,), numbers, lead, own) if isinstance(x, Traced) else gather_step(x, numbers, lead, own)[0]
    )


def scatter(g: Any, numbers: Any, lead: int, own: tuple[int, ...]) -> Any:
    """The transpose of `gather`."""
    if isinstance(g, Traced):
        return apply(scatter_step, (g,), numbers, lead, own)
    return scatter_step(g, numbers, lead, own)[0]


def embed_step(g: Any, key: Any, shape: tuple[int, ...], lead: int) -> Any:
    if isinstance(g, Traced):  # of an outer trace
        y = embed(g, key, shape, lead)
    else:
        y = run(embedded, g, (slice(None),) * lead + key, g.shape[:lead] + shape)

    def pull(c: Any, more: int) -> Any:
        return c[(slice(None),) * (lead + more) + key]

    return y, [(lambda t, more: embed(t, key, shape, lead + more), pull, VIEW)]


def embed(g: Any, key: Any, shape: tuple[int, ...], lead: int) -> Any:
    """Zeros of this shape with ``g`` at ``key``, behind ``lead`` axes: the transpose of basic indexing."""
    if isinstance(g, Traced):
        return apply(embed_step, (g,), key, shape, lead)
    key, shape = (slice(None),) * lead + key, g.shape[:lead] + shape
    return run(embedded, g, key, shape) if isinstance(g, Followed) else embedded(g, key, shape)


def join_step(*arrays_and_axis: Any) -> Any:
    *arrays, axis = arrays_and_axis
    y = np.concatenate(arrays, axis=axis)
    ends = np.cumsum([x.shape[axis] for x in arrays]).tolist()
    return y, [_joined(axis, end - x.shape[axis], end, y.shape) for x, end in zip(arrays, ends, strict=True)]


def _joined(axis: int, begin: int, end: int, shape: tuple[int, ...]) -> Any:
    key = (slice(None),) * axis + (slice(begin, end),)
    return (
        lambda t, lead: embed(t, key, shape, lead),
        lambda g, lead: g[(slice(None),) * lead + key],
        VIEW,
    )


def where_step(x: Any, y: Any, condition: Any) -> Any:
    value = np.where(condition, x, y)
    shape = value.shape

    def maps(operand: Any, mask: Any) -> Any:
        own = np.shape(operand)

        def push(t: Any, lead: int) -> Any:
            d = np.where(mask, expand(t, len(shape), lead), np.zeros((), t.dtype))
            return d if d.shape[lead:] == shape else np.broadcast_to(d, d.shape[:lead] + shape)

        return push, lambda g, lead: unbroadcast(np.where(mask, g, np.zeros((), g.dtype)), own, lead), FRESH

    return value, [maps(x, condition), maps(y, ~condition)]


def ensure(check: Callable[[Any], Any], x: Any) -> Any:
    """``x``, after a check that returns it or raises an error; a compiled program makes the same check."""
    return apply(ensured_step, (x,), check)


def ensured_step(x: Any, check: Callable[[Any], Any]) -> Any:
    checked = ensure(check, x) if isinstance(x, Traced) else run(check, x)
    return checked, [(lambda t, lead: t, lambda g, lead: g, VIEW)]


def _as_array(x: Any) -> Any:
    return x if hasattr(x, "shape") else np.asarray(x)


def positions(x: Any, move: Callable[[Any], Any]) -> Any:
    """Gather the entries of ``x`` that ``move`` brings from an array of their numbers."""
    x = _as_array(x)
    own = x.shape
    numbers = np.arange(math.prod(own)).reshape(own)
    places = move(numbers)
    return gathered(x, places if isinstance(places, Followed) else np.array(places))


def padded(x: Any, move: Callable[[Any], Any]) -> Any:
    """As `positions`, for functions that fill up with zeros."""
    x = _as_array(x)
    own = x.shape
    numbers = np.arange(1, math.prod(own) + 1).reshape(own)
    return gathered(x, np.array(move(numbers)) - 1)


def select_step(x: Any, key: tuple[Any, ...]) -> Any:
    """``x[key]`` with arrays of integers in the key, next to each other."""
    own = np.shape(x)

    def push(t: Any, lead: int) -> Any:
        return picked(t, (slice(None),) * lead + key)

    def pull(g: Any, lead: int) -> Any:
        return scatter_at(g, (slice(None),) * lead + key, g.shape[:lead] + own)

    return picked(x, key), [(push, pull, FRESH)]


def picked(x: Any, key: tuple[Any, ...]) -> Any:
    """``x[key]``, where the key may be recorded while the array is not."""
    return x[key] if isinstance(x, TracedArray) else run(indexed, x, key)


def scatter_at_step(g: Any, key: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    def push(t: Any, lead: int) -> Any:
        return scatter_at(t, (slice(None),) * lead + key, t.shape[:lead] + shape)

    return scatter_at(g, key, shape), [(push, lambda c, lead: picked(c, (slice(None),) * lead + key), FRESH)]


def scatter_at(g: Any, key: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """Zeros of this shape, and ``g`` added at ``key``: the transpose of `select_step`."""
    return apply(scatter_at_step, (g,), key, shape) if isinstance(g, Traced) else run(scattered, g, key, shape)


def gathered(x: Any, numbers: Any) -> Any:
    return apply(gather_step, (x,), numbers, 0, x.shape)
