"""A recorded program without what is unused, computed twice or a detour: steps become values.

Each value learns its name here too: what the program calls it, or dz if it is the derivative by z.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mathdl.autodiff.followed import is_sparse
from mathdl.autodiff.recording import Recorded, Step, embedded, filled, found_in, put, replaced, scattered, summed

__all__ = ["LARGE", "Cleaner", "Value", "axes_of", "is_fresh", "is_uniform", "moderate", "parts_of"]

LARGE: Final = 2**13  # bytes: results of this size are written over operands that nobody needs any more


class Value:
    """A step of the cleaned-up program: its arguments are values, or plain Python and NumPy objects."""

    __slots__ = ("args", "derived", "function", "kwargs", "label", "step", "uses")

    def __init__(self, step: Step, args: Any, kwargs: Any) -> None:
        self.step, self.args, self.kwargs, self.function = step, args, kwargs, step.function
        self.label: str | None = None  # what the program calls it
        self.derived: tuple[int, str, Value | None] | None = None  # (1, "z", z), if it is the derivative by z
        self.uses = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return _shape_of(self.step)

    @property
    def dtype(self) -> Any:
        return getattr(self.step.value, "dtype", None)

    @property
    def large(self) -> bool:
        return getattr(self.step.value, "nbytes", 0) >= LARGE


def _shape_of(step: Step) -> tuple[int, ...]:
    """The shape of a step's result; () for several results at once."""
    return () if isinstance(step.value, (tuple, list)) else np.shape(step.value)


def parts_of(value: Value) -> list[Value]:
    """The values in a value's arguments."""
    return list(found_in((value.args, value.kwargs), Value))


# Functions whose result is a new array, whatever their arguments: only over such a result may be written.
FRESH: Final = {
    *(np.matmul, np.sum, np.mean, np.max, np.min, np.prod, np.cumsum, np.cumprod, np.concatenate, np.where, np.take),
    *(np.bincount, np.array, np.linalg.inv, np.linalg.solve, embedded, put, scattered, filled, summed),
}


def is_fresh(value: Value) -> bool:
    f = value.function
    return isinstance(f, np.ufunc) or isinstance(getattr(f, "__self__", None), np.ufunc) or f in FRESH


class Cleaner:
    """Steps become values: unused ones are left out, equal ones become one, and detours are cut short."""

    def __init__(self, steps: list[Step], results: list[Step]) -> None:
        self.values: list[Value] = []
        self.of: dict[int, Value] = {}
        self.known: dict[Any, Value] = {}
        needed = _needed(steps, results)
        for step in steps:
            if step.place in needed:
                self.of[step.place] = self.clean(step)
        self._label(steps)

    def convert(self, x: Any) -> Any:
        """An argument, with values in place of recorded arrays."""
        return replaced(x, lambda r: self.of[r.step.place])

    def clean(self, step: Step) -> Value:
        args, kwargs = self.convert(step.args), self.convert(step.kwargs)
        if step.function is None:
            value = Value(step, args, kwargs)
            self.values.append(value)
            return value
        args = self._with_scalars(step, args)
        args = _folded(step, args)
        same = _shortcut(step, args, kwargs)
        if same is not None:
            return same
        key = (step.function, _key(args), _key(kwargs))
        found = self.known.get(key)
        if found is not None:
            return found
        value = Value(step, args, kwargs)
        self.values.append(value)
        self.known[key] = value
        return value

    def _with_scalars(self, step: Step, args: Any) -> Any:
        """Elementwise: a constant array of equal entries becomes a number, and broadcasting is left to NumPy."""
        if not isinstance(step.function, np.ufunc) or step.function.signature is not None or len(args) != 2:
            return args
        shape, dtype = _shape_of(step), getattr(step.value, "dtype", None)
        result = list(args)
        for k in (0, 1):
            mine, other = result[k], result[1 - k]
            candidate = mine
            if isinstance(mine, np.ndarray) and mine.size and mine.dtype == dtype and is_uniform(mine):
                same = mine.dtype == np.dtype(float) == getattr(other, "dtype", None)
                candidate = float(mine.flat[0]) if same else mine.flat[0]
            elif isinstance(mine, Value) and mine.function is np.broadcast_to:
                candidate = mine.args[0]
            if candidate is not mine and _broadcast(candidate, other) == shape:
                result[k] = candidate
        return tuple(result)

    def _label(self, steps: list[Step]) -> None:
        """Names: what the program says, and dz for what is the derivative by z."""
        known: dict[int, tuple[int, Step]] = {}  # of each step: how often to write d, and before whose name
        for step in steps:
            value = self.of.get(step.place)
            if step.label is not None:
                known[step.place] = (0, step)
                if value is not None and value.label is None:
                    value.label = step.label
        for step in steps:
            value = self.of.get(step.place)
            for other in step.companions:
                if other.place in known:
                    order, base = known[other.place]
                    known.setdefault(step.place, (order + 1, base))
                    if value is not None and value.derived is None:
                        value.derived = (order + 1, str(base.label), self.of.get(base.place))


def _needed(steps: list[Step], results: list[Step]) -> set[int]:
    needed = {step.place for step in results}
    for step in reversed(steps):
        if step.place in needed:
            needed.update(part.step.place for part in found_in((step.args, step.kwargs), Recorded))
    return needed | {step.place for step in steps if step.function is None}


def _key(x: Any) -> Any:
    """Something hashable that is equal for equal arguments only."""
    if isinstance(x, Value):
        return ("value", id(x))
    if isinstance(x, (tuple, list)):
        return (type(x).__name__, *map(_key, x))
    if isinstance(x, dict):
        return tuple((name, _key(part)) for name, part in x.items())
    if isinstance(x, slice):
        return ("slice", _key(x.start), _key(x.stop), _key(x.step))
    if isinstance(x, np.ndarray):
        return ("array", x.shape, x.dtype.str, x.tobytes())
    if is_sparse(x):
        return ("sparse", id(x))
    return (type(x), repr(x)) if isinstance(x, (float, np.floating)) else (type(x), x)


def is_uniform(x: np.ndarray[Any, Any]) -> bool:
    return bool(np.all(x == x.flat[0]))


def _broadcast(a: Any, b: Any) -> Any:
    try:
        return np.broadcast_shapes(*(x.shape if isinstance(x, Value) else np.shape(x) for x in (a, b)))
    except ValueError:
        return None


def _is_number(x: Any, number: float) -> bool:
    return isinstance(x, (int, float, np.number)) and not isinstance(x, bool) and x == number


def _shortcut(step: Step, args: Any, kwargs: Any) -> Value | None:
    """The value that this step only passes on."""
    shape, dtype, f = _shape_of(step), getattr(step.value, "dtype", None), step.function
    if kwargs:
        return None

    def same(x: Any) -> Value | None:
        return x if isinstance(x, Value) and x.shape == shape and x.dtype == dtype else None

    if f is np.multiply and (_is_number(args[0], 1) or _is_number(args[1], 1)):
        return same(args[1] if _is_number(args[0], 1) else args[0])
    if f in (np.divide, np.power) and _is_number(args[1], 1):
        return same(args[0])
    if f in (np.reshape, np.broadcast_to, np.positive):
        return same(args[0])
    if f is np.transpose and isinstance(args[0], Value) and args[0].function is np.transpose and not args[0].kwargs:
        inner = args[0]
        if axes_of(args, len(shape)) == tuple(np.argsort(axes_of(inner.args, len(shape)))):
            return same(inner.args[0])
    return None


def moderate(number: float) -> bool:
    """Whether two factors can be made this one: with far larger or smaller ones, it is no longer the same product."""
    return 1e-100 < abs(number) < 1e100


def _folded(step: Step, args: Any) -> Any:
    """2 * (3 * x) as 6 * x."""
    if step.function is not np.multiply:
        return args
    for number, other in ((args[0], args[1]), (args[1], args[0])):
        if type(number) is float and isinstance(other, Value) and other.function is np.multiply and other.shape:
            for inner, rest in (other.args, other.args[::-1]):
                if (
                    type(inner) in (float, int)
                    and isinstance(rest, Value)
                    and rest.dtype == other.dtype
                    and rest.dtype.kind == "f"
                    and moderate(number * inner)
                ):
                    return (number * inner, rest)
    return args


def axes_of(args: Any, ndim: int) -> tuple[int, ...]:
    axes = args[1] if len(args) > 1 else None
    return tuple(range(ndim))[::-1] if axes is None else tuple(int(k) % ndim for k in axes)
