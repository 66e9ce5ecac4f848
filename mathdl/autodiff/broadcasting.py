"""Tangents follow NumPy's broadcasting, and cotangents undo it; both may carry one more axis in front, of directions.

Everything here is written in NumPy, so that it can be differentiated in turn.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["Identity", "expand", "shifted", "unbroadcast"]


class Identity:
    """All unit directions of an array of this shape at once; made into an array only where that is needed."""

    __slots__ = ("dtype", "of")

    def __init__(self, of: tuple[int, ...], dtype: Any) -> None:
        self.of, self.dtype = of, dtype

    def array(self) -> np.ndarray[Any, Any]:
        """The directions, on a new first axis."""
        size = math.prod(self.of)
        return np.eye(size, dtype=self.dtype).reshape(size, *self.of)


def expand(t: Any, ndim: int, lead: int) -> Any:
    """Insert axes of length one after the first ``lead``, until ``t`` has ``ndim`` axes of its own."""
    missing = ndim + lead - t.ndim
    return np.reshape(t, t.shape[:lead] + (1,) * missing + t.shape[lead:]) if missing > 0 else t


def unbroadcast(g: Any, shape: tuple[int, ...], lead: int) -> Any:
    """Sum a cotangent over the axes along which an array of this shape was broadcast: the transpose of broadcasting."""
    new = g.ndim - lead - len(shape)
    if new and g.shape[lead + new :] == shape and type(g) is np.ndarray:  # such as a bias: the quick way
        return np.add.reduce(g, axis=lead if new == 1 else tuple(range(lead, lead + new)))
    axes = tuple(range(lead, lead + new)) + tuple(
        lead + new + k for k, n in enumerate(shape) if n == 1 and g.shape[lead + new + k] != 1
    )
    if axes:
        kept = g.shape[:lead] + shape
        g = np.sum(g, axis=axes)
        return g if g.shape == kept else np.reshape(g, kept)
    return g


def shifted(axis: int | tuple[int, ...], lead: int) -> Any:
    """Axes that count from the front, when ``lead`` more stand before them."""
    return axis + lead if isinstance(axis, int) else tuple(k + lead for k in axis)
