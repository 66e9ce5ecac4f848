"""The derivative of an array as a few diagonals: what slicing, joining and reshaping the array does to them.

A `Band` says: the entries in a box of the array depend each on one column, and the columns are evenly spaced.
Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

__all__ = [
    "Band",
    "Loose",
    "Piece",
    "Places",
    "columns_of",
    "ends_of",
    "evenly",
    "expanded",
    "full_box",
    "gathered",
    "part_of",
    "pieces",
    "reshaped",
    "rows_of",
    "select",
    "strides_of",
]

Box: TypeAlias = tuple[tuple[int, int], ...]
_MOST_PIECES: Final = 64


class Band(NamedTuple):
    """Entry i of the array, lo <= i < hi along each axis, depends on column ``base + sum(steps * i)``."""

    box: Box
    base: int
    steps: tuple[int, ...]

    @property
    def lengths(self) -> tuple[int, ...]:
        return tuple(hi - lo for lo, hi in self.box)

    @property
    def key(self) -> tuple[slice, ...]:
        return tuple(slice(lo, hi) for lo, hi in self.box)

    def moved(self, begin: tuple[int, ...]) -> Band:
        """The same in an array in which this one begins at another place."""
        box = tuple((lo + b, hi + b) for (lo, hi), b in zip(self.box, begin, strict=True))
        return Band(box, self.base - sum(s * b for s, b in zip(self.steps, begin, strict=True)), self.steps)


class Loose:
    """Entry ``rows[k]`` of the array, in C order, depends on column ``columns[k]``: no regularity is known."""

    __slots__ = ("columns", "rows")

    def __init__(self, rows: Any, columns: Any) -> None:
        self.rows, self.columns = rows, columns

    @property
    def lengths(self) -> tuple[int, ...]:
        return (len(self.rows),)


Places: TypeAlias = Band | Loose


def full_box(shape: tuple[int, ...]) -> Box:
    return tuple((0, n) for n in shape)


def evenly(begin: int, steps: tuple[int, ...], box: Box) -> Any:
    """begin + sum(steps * i) for all i in the box, as an array of its lengths."""
    numbers: Any = np.array(begin)
    for axis, (step, (lo, hi)) in enumerate(zip(steps, box, strict=True)):
        numbers = numbers + (step * np.arange(lo, hi)).reshape((-1,) + (1,) * (len(box) - 1 - axis))
    return np.broadcast_to(numbers, tuple(hi - lo for lo, hi in box))


def strides_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """How far apart in C order the neighbours along each axis are."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def rows_of(places: Places, shape: tuple[int, ...]) -> Any:
    """The numbers of the entries, in C order, as an array with the lengths of the box."""
    return places.rows if isinstance(places, Loose) else evenly(0, strides_of(shape), places.box)


def ends_of(band: Band) -> tuple[int, int]:
    """The first and the last column of a band."""
    ends = [(s * lo, s * (hi - 1)) for s, (lo, hi) in zip(band.steps, band.box, strict=True)]
    return band.base + sum(map(min, ends)), band.base + sum(map(max, ends))


def columns_of(places: Places) -> Any:
    return places.columns if isinstance(places, Loose) else evenly(places.base, places.steps, places.box)


def part_of(x: Any, box: Box, shape: tuple[int, ...]) -> Any:
    """The part in a box of an array that is broadcast to this shape; with as many axes as the shape, or a number."""
    ndim = np.ndim(x)
    if not ndim:
        return x
    skipped = len(shape) - ndim
    key: tuple[Any, ...] = tuple(
        slice(None) if n == 1 or (lo, hi) == (0, n) else slice(lo, hi)
        for n, (lo, hi) in zip(np.shape(x), box[skipped:], strict=True)
    )
    if skipped:
        key = (None,) * skipped + key
    return x if all(part == slice(None) for part in key) else x[key]


# ------------------------------------------------------------------------------------------------------- basic indexing
def select(band: Band, coefficient: Any, key: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[Band, Any] | None:
    """What is left of a band in ``x[key]``, and its coefficients; None if nothing is."""
    parts = _spelled_out(key, len(shape))
    lengths = np.shape(coefficient)
    box: list[tuple[int, int]] = []
    steps: list[int] = []
    cut: list[Any] = []
    base, axis = band.base, 0
    for part in parts:
        if part is None:
            box.append((0, 1))
            steps.append(0)
            cut.append(None)
            continue
        (lo, hi), step, n = band.box[axis], band.steps[axis], shape[axis]
        spread = bool(lengths) and lengths[axis] != 1
        axis += 1
        if not isinstance(part, slice):
            i = int(part) % n
            if not lo <= i < hi:
                return None
            base += step * i
            cut.append(i - lo if spread else 0)
            continue
        start, _, stride = part.indices(n)
        count = len(range(*part.indices(n)))
        if stride > 0:
            first, last = -((start - lo) // stride), -((start - hi) // stride)
        else:
            first, last = (start - hi) // -stride + 1, (start - lo) // -stride + 1
        first, last = max(first, 0), min(last, count)
        if first >= last:
            return None
        box.append((first, last))
        steps.append(step * stride)
        base += step * start
        begin, end = start + stride * first - lo, start + stride * (last - 1) - lo
        if not spread or (stride == 1 and begin == 0 and end == hi - lo - 1):
            cut.append(slice(None))
        else:
            stop: int | None = end + (1 if stride > 0 else -1)
            cut.append(slice(begin, None if stop == -1 else stop, stride if stride != 1 else None))
    if lengths and any(part != slice(None) for part in cut):
        coefficient = coefficient[tuple(cut)]
    return Band(tuple(box), base, tuple(steps)), coefficient


def _spelled_out(key: tuple[Any, ...], ndim: int) -> list[Any]:
    """A key with a part for each axis, in place of an ellipsis and of what is left out."""
    given = sum(part is not None and part is not Ellipsis for part in key)
    rest = [slice(None)] * (ndim - given)
    for k, part in enumerate(key):
        if part is Ellipsis:
            return [*key[:k], *rest, *key[k + 1 :]]
    return [*key, *rest]


# ---------------------------------------------------------------------------------------------- broadcasting, reshaping
def expanded(band: Band, coefficient: Any, own: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Band, Any]:
    """The band, and its coefficients, after the array has been broadcast to a shape."""
    new = len(shape) - len(own)
    box = full_box(shape[:new]) + tuple(
        (0, n) if n != m else lo_hi for lo_hi, m, n in zip(band.box, own, shape[new:], strict=True)
    )
    steps = (0,) * new + tuple(0 if n != m else s for s, m, n in zip(band.steps, own, shape[new:], strict=True))
    if new and np.ndim(coefficient):
        coefficient = coefficient[(None,) * new]
    return Band(box, band.base, steps), coefficient


def reshaped(band: Band, own: tuple[int, ...], new: tuple[int, ...]) -> Band | None:
    """The band in an array of another shape; None if the entries are no longer in one box, or evenly spaced."""
    box: list[tuple[int, int]] = []
    steps: list[int] = []
    base = band.base
    for old_axes, new_axes in _groups(own, new):
        flat = _flattened([(own[k], band.box[k], band.steps[k]) for k in old_axes])
        parts = None if flat is None else _split(*flat[:2], [new[k] for k in new_axes])
        if flat is None or parts is None:
            return None
        base += flat[2]
        box += [part[0] for part in parts]
        steps += [part[1] for part in parts]
    return Band(tuple(box), base, tuple(steps))


def _groups(own: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[range, range]]:
    """The fewest axes of the one shape and of the other that hold equally many entries."""
    groups = []
    i = j = 0
    while i < len(own) or j < len(new):
        end_i, end_j = min(i + 1, len(own)), min(j + 1, len(new))
        while (a := math.prod(own[i:end_i])) != (b := math.prod(new[j:end_j])):
            end_i, end_j = (end_i + 1, end_j) if a < b else (end_i, end_j + 1)
        groups.append((range(i, end_i), range(j, end_j)))
        i, j = end_i, end_j
    return groups


def _flattened(axes: list[tuple[int, tuple[int, int], int]]) -> tuple[tuple[int, int], int, int] | None:
    """One axis in place of several (length, box, step): its box and step, and what is added to the base."""
    axes = [axis for axis in axes if axis[0] != 1]
    if not axes:
        return (0, 1), 0, 0
    size, (lo, hi), step = axes.pop()
    shift = 0
    for n, (a, b), s in reversed(axes):
        if b - a == 1:
            shift += a * (s - step * size)
            lo, hi = a * size + lo, a * size + hi
        elif (lo, hi) == (0, size) and s == step * size:
            lo, hi = a * size, b * size
        else:
            return None
        size *= n
    return (lo, hi), step, shift


def _split(box: tuple[int, int], step: int, lengths: list[int]) -> list[tuple[tuple[int, int], int]] | None:
    """Several axes in place of one: the box and step of each."""
    if len(lengths) <= 1:
        return [(box, step)] if lengths else []
    inner = math.prod(lengths[1:])
    (lo, hi), first = box, box[0] // inner
    if lo % inner == 0 and hi % inner == 0:
        outer, rest = (first, hi // inner), _split((0, inner), step, lengths[1:])
    elif first == (hi - 1) // inner:
        outer, rest = (first, first + 1), _split((lo - first * inner, hi - first * inner), step, lengths[1:])
    else:
        return None
    return None if rest is None else [(outer, step * inner), *rest]


# ------------------------------------------------------------------------------------------------------------ gathering
class Piece(NamedTuple):
    """A box of an array of numbers in which they are evenly spaced: ``start`` at its first corner."""

    box: Box
    start: int
    steps: tuple[int, ...]


def pieces(numbers: Any) -> list[Piece] | None:
    """Cut an array of numbers into boxes in which they are evenly spaced; None if that takes too many."""
    runs = [_runs(numbers, axis) for axis in range(numbers.ndim)]
    if math.prod(map(len, runs)) > _MOST_PIECES:
        return None
    found = []
    for box in itertools.product(*runs):
        part = numbers[tuple(slice(lo, hi) for lo, hi in box)]
        corner = (0,) * part.ndim
        start = int(part[corner])
        steps = tuple(
            int(part[(*corner[:axis], 1, *corner[axis + 1 :])]) - start if n > 1 else 0
            for axis, n in enumerate(part.shape)
        )
        if not np.array_equal(part, evenly(start, steps, full_box(part.shape))):
            return None
        found.append(Piece(box, start, steps))
    return found


def _runs(numbers: Any, axis: int) -> list[tuple[int, int]]:
    """Where to cut along one axis, so that differences are the same all along each part."""
    n = numbers.shape[axis]
    if n <= 2:
        return [(0, n)] if n else []
    d = np.moveaxis(np.diff(numbers, axis=axis), axis, 0).reshape(n - 1, -1)
    changes = (np.flatnonzero((d[1:] != d[:-1]).any(axis=1)) + 1).tolist()  # d[k] differs from d[k - 1]
    if len(changes) > 4 * _MOST_PIECES:
        return [(0, 1)] * (_MOST_PIECES + 1)
    runs, begin, ends = [], 0, [*changes, n - 1]
    for k, end in enumerate(ends):
        if end <= begin:  # only the step between two runs differs
            continue
        if end - begin == 1 and k + 1 < len(ends) and ends[k + 1] - end > 1:  # one step, then a longer run
            runs.append((begin, end))
            begin = end
        else:
            runs.append((begin, end + 1))
            begin = end + 1
    return runs + ([(begin, n)] if begin < n else [])


def gathered(band: Band, coefficient: Any, own: tuple[int, ...], parts: list[Piece]) -> list[tuple[Band, Any]] | None:
    """What becomes of a band when entries are gathered by number, -1 giving zero; None if it is no slicing."""
    results = []
    for piece in parts:
        lengths = tuple(hi - lo for lo, hi in piece.box)
        if piece.start < 0:
            if any(piece.steps):
                return None
            continue
        axes = _axes_of(piece, lengths, own)
        if axes is None:
            return None
        corner = np.unravel_index(piece.start, own)
        key: list[Any] = list(map(int, corner))
        for axis, (of, stride) in axes.items():
            stop = key[of] + stride * lengths[axis]
            key[of] = slice(key[of], None if stop < 0 else stop, stride)
        found = select(band, coefficient, tuple(key), own)
        if found is not None:
            selected, c = _arranged(*found, axes, lengths)
            results.append((selected.moved(tuple(lo for lo, _ in piece.box)), c))
    return results


def _axes_of(piece: Piece, lengths: tuple[int, ...], own: tuple[int, ...]) -> dict[int, tuple[int, int]] | None:
    """For each axis of a piece along which the numbers change: which axis of the array it runs along, and how fast."""
    corner = np.unravel_index(piece.start, own)
    found: dict[int, tuple[int, int]] = {}
    strides = strides_of(own)
    for axis, (step, n) in enumerate(zip(piece.steps, lengths, strict=True)):
        if n == 1 or step == 0:
            continue
        for of, stride in enumerate(strides):
            end = int(corner[of]) + step // stride * (n - 1) if step % stride == 0 else -1
            if 0 <= end < own[of] and all(of != other for other, _ in found.values()):
                found[axis] = (of, step // stride)
                break
        else:
            return None
    return found


def _arranged(
    band: Band, coefficient: Any, axes: dict[int, tuple[int, int]], lengths: tuple[int, ...]
) -> tuple[Band, Any]:
    """The axes of a selected band in the order of the piece, with those along which nothing changes."""
    order = sorted(axes, key=lambda axis: axes[axis][0])  # the piece's axes, as the selected band has them
    box, of = full_box(lengths), {axis: k for k, axis in enumerate(order)}
    new = Band(
        tuple(band.box[of[axis]] if axis in of else box[axis] for axis in range(len(lengths))),
        band.base,
        tuple(band.steps[of[axis]] if axis in of else 0 for axis in range(len(lengths))),
    )
    if np.ndim(coefficient):
        if order != sorted(order):
            coefficient = np.transpose(coefficient, [of[axis] for axis in sorted(order)])
        if len(order) < len(lengths):
            coefficient = coefficient[tuple(slice(None) if axis in of else None for axis in range(len(lengths)))]
    return new, coefficient
