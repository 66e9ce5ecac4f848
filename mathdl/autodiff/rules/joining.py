"""Rules for functions that join arrays, take them apart, or choose between them.

Explained in the chapter *Automatic differentiation*.
All joining is concatenation; all splitting is gathering.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mathdl.autodiff.followed import Followed
from mathdl.autodiff.naming import refuse
from mathdl.autodiff.primitives import RULES, rule
from mathdl.autodiff.rules.steps import as_view, gathered, join_step, normal_axes, where_step
from mathdl.autodiff.trace import Traced, apply, concrete, lift

__all__: list[str] = []


# ------------------------------------------------------------------------------------------------ joining and splitting
@rule(np.concatenate)
def concatenate(arrays: Any, axis: int | None = 0) -> Any:
    if isinstance(arrays, Traced) and "matrixlib" in sys._getframe(3).f_code.co_filename:
        raise refuse("numpy.bmat", "it takes a traced array for a list", "np.block")
    parts = [lift(x) for x in arrays]
    if axis is None:
        parts, axis = [np.ravel(x) for x in parts], 0
    parts = [x if isinstance(x, Followed) else np.asarray(x) for x in parts]
    if any(x.ndim == 0 for x in parts):
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    axis = normal_axes(axis, parts[0].ndim)[0]
    return apply(join_step, parts, axis)


if hasattr(np, "concat"):
    RULES[np.concat] = RULES[np.concatenate]


@rule(np.stack)
def stack(arrays: Any, axis: int = 0) -> Any:
    parts = [lift(x) for x in arrays]
    return np.concatenate([np.expand_dims(x, axis) for x in parts], axis)


@rule(np.hstack)
def hstack(tup: Any) -> Any:
    parts = [np.atleast_1d(lift(x)) for x in tup]
    return np.concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@rule(np.vstack)
def vstack(tup: Any) -> Any:
    return np.concatenate([np.atleast_2d(lift(x)) for x in tup], 0)


@rule(np.dstack)
def dstack(tup: Any) -> Any:
    return np.concatenate([np.atleast_3d(lift(x)) for x in tup], 2)


@rule(np.column_stack)
def column_stack(tup: Any) -> Any:
    parts = [lift(x) for x in tup]
    return np.concatenate([x if np.ndim(x) > 1 else np.reshape(x, (-1, 1)) for x in parts], 1)


@rule(np.block)
def block(arrays: Any) -> Any:
    def joined(part: Any, depth: int) -> Any:
        if isinstance(part, list):
            return np.concatenate([joined(inner, depth - 1) for inner in part], axis=-depth)
        part = lift(part)
        return np.reshape(part, (1,) * (ndim - np.ndim(part)) + np.shape(part))

    def depth_of(part: Any) -> int:
        return 1 + max(map(depth_of, part)) if isinstance(part, list) else 0

    def ndim_of(part: Any) -> int:
        return max(map(ndim_of, part)) if isinstance(part, list) else np.ndim(part)

    ndim = max(depth_of(arrays), ndim_of(arrays))
    return joined(arrays, depth_of(arrays))


@rule(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    return np.concatenate([lift(arr), lift(values)], axis)


@rule(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    arr, values = lift(arr), lift(values)
    both = np.concatenate([np.ravel(arr), np.ravel(values)])
    numbers = np.arange(both.size)
    mine, new = numbers[: np.size(arr)].reshape(np.shape(arr)), numbers[np.size(arr) :].reshape(np.shape(values))
    return gathered(both, np.insert(mine, obj, new, axis))


def _splitting(function: Callable[..., Any]) -> Callable[..., Any]:
    def split(ary: Any, indices_or_sections: Any, axis: int | None = None) -> Any:
        ary = lift(ary)
        how = () if axis is None else (axis,)
        numbers = np.arange(ary.size).reshape(ary.shape)
        return [as_view(gathered(ary, part), ary) for part in function(numbers, indices_or_sections, *how)]

    return split


for _function in (np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit):
    rule(_function)(_splitting(_function))


if hasattr(np, "unstack"):

    @rule(np.unstack)
    def unstack(x: Any, axis: int = 0) -> Any:
        return tuple(np.moveaxis(x, axis, 0))


def _is_followed(x: Any) -> bool:
    return isinstance(x, Followed)


@rule(np.where)
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    condition = concrete(lift(condition))
    condition = np.not_equal(condition, 0) if _is_followed(condition) else np.array(condition, dtype=bool)
    if x is None and y is None:
        return np.nonzero(condition)
    return apply(where_step, (lift(x), lift(y)), condition)


@rule(np.select)
def choose_where(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    result = lift(default)
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        result = np.where(concrete(condition), choice, result)
    return result


@rule(np.copy)
def copy(a: Any) -> Any:
    return a.same() if isinstance(a, Traced) else np.copy(a)


@rule(np.full_like)
def full_like(a: Any, fill_value: Any) -> Any:
    fill_value = lift(fill_value)
    if isinstance(fill_value, Traced):
        filled: Any = RULES[np.broadcast_to].apply(fill_value, np.shape(a))
        return filled.same()
    return np.full_like(concrete(a), fill_value)


@rule(np.linspace)
def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, axis: int = 0) -> Any:
    start, stop = lift(start), lift(stop)
    shape = (num,) + (1,) * max(np.ndim(start), np.ndim(stop))
    part = np.reshape(np.arange(num) / max(num - 1 if endpoint else num, 1), shape)
    return np.moveaxis(start + (stop - start) * part, 0, axis)


@rule(np.real, np.real_if_close)
def real(val: Any) -> Any:
    return val


@rule(np.meshgrid)
def meshgrid(*xi: Any, indexing: str = "xy") -> Any:
    parts = [np.ravel(lift(x)) for x in xi]
    like = np.meshgrid(*(np.arange(x.size) for x in parts), indexing=indexing)  # type: ignore[call-overload]
    return tuple(gathered(x, np.array(places)) for x, places in zip(parts, like, strict=True))
