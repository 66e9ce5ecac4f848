"""Rules for functions that give the entries of one array a new place: reshaping, indexing, sorting, padding.

Explained in the chapter *Automatic differentiation*.
Most are one line: the function itself, applied to the numbers of the entries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mathdl.autodiff.followed import Followed
from mathdl.autodiff.naming import refuse
from mathdl.autodiff.primitives import RULES, Rule, rule
from mathdl.autodiff.recording import indexed, run
from mathdl.autodiff.rules.steps import (
    as_view,
    broadcast_step,
    cast_step,
    normal_axes,
    padded,
    positions,
    reshape_step,
    select_step,
    transpose_step,
)
from mathdl.autodiff.trace import Traced, apply, cast, concrete, lift

__all__: list[str] = []


# ------------------------------------------------------------------------------------------------------------ reshaping
RULES["cast"] = Rule(np.reshape, lambda x, dtype: apply(cast_step, (x,), dtype))


@rule(np.reshape)
def reshape(a: Any, shape: Any, order: str = "C") -> Any:
    a = lift(a)
    if order == "C":
        return as_view(apply(reshape_step, (a,), shape), a)
    if order != "F":
        raise refuse(np.reshape, f"order={order!r} has no derivative rule", 'order="C" or order="F"')
    backwards = tuple(shape)[::-1] if np.ndim(shape) else (int(shape),)
    return np.transpose(np.reshape(np.transpose(a), backwards))


@rule(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    if order not in ("C", "F"):
        raise refuse(np.ravel, f"order={order!r} has no derivative rule", 'order="C" or order="F"')
    return reshape(a, -1, order)


@rule(np.transpose, np.permute_dims)
def transpose(a: Any, axes: Any = None) -> Any:
    a = lift(a)
    order = tuple(range(a.ndim))[::-1] if axes is None else normal_axes(axes, a.ndim)
    if len(order) != a.ndim:
        raise ValueError("axes don't match array")
    return as_view(apply(transpose_step, (a,), order), a)


@rule(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


@rule(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    one, two = normal_axes(axis1, a.ndim)[0], normal_axes(axis2, a.ndim)[0]
    order = list(range(a.ndim))
    order[one], order[two] = two, one
    return np.transpose(a, order)


@rule(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    return np.transpose(a, _order_after(np.moveaxis, a.ndim, source, destination))


@rule(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    return np.transpose(a, _order_after(np.rollaxis, a.ndim, axis, start))


def _order_after(function: Callable[..., Any], ndim: int, *how: Any) -> tuple[int, ...]:
    """Which axes a function puts where: asked of an array with axes of length 0, 1, 2, ..."""
    moved: tuple[int, ...] = function(np.empty(tuple(range(ndim))), *how).shape
    return moved


@rule(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    return np.reshape(a, np.squeeze(np.empty(a.shape), axis).shape)


@rule(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    return np.reshape(a, np.expand_dims(np.empty(a.shape), axis).shape)


def _at_least(function: Callable[..., Any]) -> Callable[..., Any]:
    def at_least(*arys: Any) -> Any:
        results = [np.reshape(lift(a), function(np.empty(np.shape(a))).shape) for a in arys]
        return results[0] if len(results) == 1 else tuple(results)

    return at_least


for _function in (np.atleast_1d, np.atleast_2d, np.atleast_3d):
    rule(_function)(_at_least(_function))


@rule(np.broadcast_to)
def broadcast_to(array: Any, shape: Any) -> Any:
    array = lift(array)
    shape = (int(shape),) if np.ndim(shape) == 0 else tuple(int(n) for n in shape)
    return as_view(apply(broadcast_step, (array,), shape), array)


@rule(np.broadcast_arrays)
def broadcast_arrays(*args: Any) -> Any:
    lifted = [lift(a) for a in args]
    shape = np.broadcast_shapes(*map(np.shape, lifted))
    return tuple(np.broadcast_to(a, shape) for a in lifted)


# ------------------------------------------------------------------------------------------------ gathering by position
def _select(x: Any, key: tuple[Any, ...]) -> Any:
    """``x[key]`` with arrays in the key: as such if it is to be read in a compiled source, else by position."""
    parts: list[Any] = [part for part in key if isinstance(part, Followed)]
    if any(part.dtype.kind == "b" for part in parts):
        raise refuse(
            "x[mask]",
            "the shape of its result depends on values, and a compiled program has fixed shapes",
            "np.where(mask, x, 0.0), or the same without mathdl.compile",
        )
    if (parts or isinstance(concrete(x), Followed)) and _adjacent(key):
        return apply(select_step, (x,), key)
    return positions(x, lambda numbers: run(indexed, numbers, key))


def _adjacent(key: tuple[Any, ...]) -> bool:
    """Whether the arrays in a key stand side by side, so that an axis put before all others stays there."""
    arrays = [k for k, part in enumerate(key) if not (part is None or part is Ellipsis or isinstance(part, slice))]
    masks = any(isinstance(key[k], (list, np.ndarray)) and np.asarray(key[k]).dtype.kind == "b" for k in arrays)
    return not masks and arrays == list(range(arrays[0], arrays[-1] + 1))


RULES["select"] = Rule(np.take, _select)


def _plain(value: Any) -> Any:
    """An index: traced values can be none."""
    if isinstance(value, Traced):
        raise refuse("an index", "it is a traced value", "an index made of integers, such as np.argmax gives")
    return value


@rule(np.take)
def take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    return positions(lift(a), lambda numbers: np.take(numbers, _plain(indices), axis, None, mode))  # type: ignore[call-overload]


@rule(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    return positions(lift(arr), lambda numbers: np.take_along_axis(numbers, _plain(indices), axis=axis))


@rule(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    return positions(lift(a), lambda numbers: np.compress(concrete(condition), numbers, axis=axis))


@rule(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    return positions(lift(arr), lambda numbers: np.extract(concrete(condition), numbers))


@rule(np.sort)
def sort(a: Any, axis: int | None = -1, kind: Any = None) -> Any:
    a = lift(a)
    if axis is None:
        return np.sort(np.ravel(a))
    order = np.argsort(concrete(a), axis=axis, kind="stable")
    return positions(a, lambda numbers: np.take_along_axis(numbers, order, axis=axis))


@rule(np.partition)
def partition(a: Any, kth: Any, axis: int | None = -1) -> Any:
    a = lift(a)
    if axis is None:
        return np.partition(np.ravel(a), kth)
    order = np.argpartition(concrete(a), kth, axis=axis)
    return positions(a, lambda numbers: np.take_along_axis(numbers, order, axis=axis))


@rule(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    return positions(lift(a), lambda numbers: np.roll(numbers, shift, axis))


@rule(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    return positions(lift(x), lambda numbers: np.fft.fftshift(numbers, axes))


@rule(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    return positions(lift(x), lambda numbers: np.fft.ifftshift(numbers, axes))


if hasattr(np, "astype"):

    @rule(np.astype)
    def astype(x: Any, dtype: Any) -> Any:
        return cast(lift(x), np.dtype(dtype))


@rule(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    m = lift(m)
    axes = normal_axes(axis, m.ndim)
    return m[tuple(slice(None, None, -1) if k in axes else slice(None) for k in range(m.ndim))] if axes else m


@rule(np.fliplr)
def fliplr(m: Any) -> Any:
    return np.flip(m, 1)


@rule(np.flipud)
def flipud(m: Any) -> Any:
    return np.flip(m, 0)


@rule(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    return as_view(positions(lift(m), lambda numbers: np.rot90(numbers, k, axes)), m)


@rule(np.tile)
def tile(A: Any, reps: Any) -> Any:
    return positions(lift(A), lambda numbers: np.tile(numbers, reps))


@rule(np.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    return positions(lift(a), lambda numbers: np.repeat(numbers, repeats, axis))


@rule(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    return positions(lift(a), lambda numbers: np.resize(numbers, new_shape))


@rule(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    return positions(lift(arr), lambda numbers: np.delete(numbers, obj, axis))


@rule(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb") -> Any:
    filt = lift(filt)
    kept = np.flatnonzero(concrete(filt))
    begin = kept[0] if "f" in trim.lower() and len(kept) else 0
    end = kept[-1] + 1 if "b" in trim.lower() and len(kept) else len(filt)
    return filt[begin:end]


@rule(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return as_view(positions(lift(a), lambda numbers: np.diagonal(numbers, offset, axis1, axis2)), a)


@rule(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    return padded(lift(v), lambda numbers: np.diag(numbers, k))


@rule(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    return padded(lift(v), lambda numbers: np.diagflat(numbers, k))


def _lower(m: Any, k: int) -> Any:
    return np.tri(*np.shape(m)[-2:], k=k, dtype=bool)  # type: ignore[call-overload]


@rule(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    m = lift(m)
    return np.where(_lower(m, k), m, 0.0)


@rule(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    m = lift(m)
    return np.where(_lower(m, k - 1), 0.0, m)


@rule(np.pad)
def pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    array = lift(array)
    if mode not in ("constant", "edge", "reflect", "symmetric", "wrap") or np.any(np.asarray(constant_values) != 0):
        raise refuse(
            np.pad,
            f"mode={mode!r} with constant_values={constant_values} has no derivative rule",
            'mode="constant" with zeros, "edge", "reflect", "symmetric" or "wrap"',
        )
    return padded(array, lambda numbers: np.pad(numbers, pad_width, mode=mode))  # type: ignore[call-overload]
