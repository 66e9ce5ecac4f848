"""Where the entries of a sparse matrix stand in its arrays, when its diagonals are written into them one by one.

Rows are sorted and so are the columns in each row; a diagonal then has places that are evenly spaced, but for the ends.
Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Final

import numpy as np
from scipy import sparse

from mathdl.autodiff.recording import call_it, filled, run, summed
from mathdl.sparse.bands import Terms
from mathdl.sparse.diagonals import Band, Piece, Places, columns_of, ends_of, evenly, part_of, pieces, rows_of

__all__ = ["Layout"]

_FEW: Final = 40  # bands: with more, their entries are sorted instead of counted
_MOST_SLICES: Final = 8  # of one band, to write its entries into: with more, they are written by number


class Layout:
    """The pattern of a matrix given by diagonals, and the statements that fill its entries in.

    The matrix has a row for each entry of an array of this shape; of the columns it has those from ``first`` to
    ``last``, and leaves the others out.
    """

    def __init__(self, terms: Terms, shape: tuple[int, ...], first: int, last: int) -> None:
        self.used: list[tuple[Places, Any, Any]] = []  # the places, which of them are meant, and their coefficients
        self.positions: list[Any]  # of each, where in the arrays of the matrix its entries stand
        self.met_twice = False  # whether some entries are sums of several
        size = (math.prod(shape), last - first)
        bands = [places for places in terms if isinstance(places, Band)]
        if len(bands) == len(terms) <= _FEW and all(first <= lo and hi < last for lo, hi in map(ends_of, bands)):
            found = _ranked([band._replace(base=band.base - first) for band in bands], shape)
            if found is not None:
                self.used = [(band, None, c) for band, c in terms.items()]
                indices, indptr, self.positions = found
                self.pattern = _pattern(indices, indptr, size)
                return
        rows, columns = [], []
        for places, c in terms.items():
            of = columns_of(places)
            inside = (of >= first) & (of < last)
            if not inside.any():
                continue
            kept = None if inside.all() else inside.ravel()
            self.used.append((places, kept, c))
            row, column = np.ravel(rows_of(places, shape)), np.ravel(of) - first
            rows.append(row if kept is None else row[kept])
            columns.append(column if kept is None else column[kept])
        self.pattern, numbers, self.met_twice = _sorted(rows, columns, *size)
        self.positions = np.split(numbers, np.cumsum([len(row) for row in rows])[:-1]) if rows else []

    def fill(self, dtype: Any) -> Any:
        """The entries, in the order of the pattern."""
        where: list[Any] = []
        parts: list[Any] = []
        for (places, kept, c), numbers in zip(self.used, self.positions, strict=True):
            lengths = places.lengths
            if kept is not None:
                if np.ndim(c):
                    c = np.ravel(np.broadcast_to(c, lengths))[np.flatnonzero(kept)]
                lengths = (len(numbers),)
            for place, part in _statements(numbers.reshape(lengths), c):
                whole = isinstance(place, slice) and place == slice(0, self.pattern.nnz)
                where.append(slice(None) if whole else place)
                parts.append(part)
        if not self.met_twice:
            _constant_first(where, parts)
        function = summed if self.met_twice else filled
        result = run(function, self.pattern.nnz, np.dtype(dtype), tuple(where), tuple(parts))
        call_it(result, "J")
        return result


def _ranked(bands: list[Band], shape: tuple[int, ...]) -> tuple[Any, Any, list[Any]] | None:
    """Index arrays, and the places of each band in them, by counting; None if two bands meet in an entry.

    A band has at most one entry in each row: its place there is the number of bands that have one further left.
    """
    counts = np.zeros(shape, np.int32)
    for band in bands:
        counts[band.key] += 1
    indptr = np.zeros(counts.size + 1, np.int32 if len(bands) * counts.size < 2**31 else np.int64)
    np.cumsum(counts.ravel(), out=indptr[1:])
    begins = indptr[:-1].reshape(shape)
    positions: list[Any] = [np.array(begins[band.key]) for band in bands]
    for (one, mine), (two, others) in itertools.combinations(zip(bands, positions, strict=True), 2):
        common = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(one.box, two.box, strict=True))
        if any(lo >= hi for lo, hi in common):
            continue
        steps = tuple(s - t for s, t in zip(one.steps, two.steps, strict=True))
        further: Any = one.base - two.base
        if any(steps):
            further = evenly(further, steps, common)
        if np.any(further == 0):
            return None
        for band, places, later in ((one, mine, further > 0), (two, others, further < 0)):
            if np.any(later):
                places[tuple(slice(lo - a, hi - a) for (lo, hi), (a, _) in zip(common, band.box, strict=True))] += later
    indices = np.empty(indptr[-1], np.int32)
    for band, places in zip(bands, positions, strict=True):
        indices[places] = columns_of(band)
    return indices, indptr, positions


def _sorted(rows: list[Any], columns: list[Any], m: int, n: int) -> tuple[sparse.csr_array, Any, bool]:
    """The pattern, the place of each entry in it, and whether some have the same."""
    if not rows:
        return sparse.csr_array((m, n), dtype=bool), np.zeros(0, int), False
    row, column = np.concatenate(rows), np.concatenate(columns)
    count = len(row)
    ordered = sparse.coo_array((np.arange(1, count + 1), (row, column)), shape=(m, n)).tocsr()
    if ordered.nnz == count:
        ordered.sort_indices()
        numbers = np.empty(count, int)
        numbers[ordered.data - 1] = np.arange(count)
        return _pattern(ordered.indices, ordered.indptr, (m, n)), numbers, False
    keys, numbers = np.unique(row * n + column, return_inverse=True)
    indptr = np.searchsorted(keys, n * np.arange(m + 1))
    return _pattern(keys % n, indptr, (m, n)), numbers.ravel(), True


def _pattern(indices: Any, indptr: Any, shape: tuple[int, int]) -> sparse.csr_array:
    result = sparse.csr_array((np.ones(len(indices), bool), indices, indptr), shape=shape)
    result.has_canonical_format = True
    return result


def _statements(numbers: Any, c: Any) -> list[tuple[Any, Any]]:
    """Where to write which parts of the coefficients: into slices, or by number if there are too many."""
    cut = pieces(numbers)
    if cut is None or len(cut) > _MOST_SLICES or any(sum(step != 0 for step in piece.steps) > 1 for piece in cut):
        return [(numbers, c)]
    result = []
    for piece in cut:
        if any(step == 0 and hi - lo > 1 for step, (lo, hi) in zip(piece.steps, piece.box, strict=True)):
            result.append(_added_up(piece, c, numbers.shape))
            continue
        lengths = [hi - lo for lo, hi in piece.box]
        step = next((step for step in piece.steps if step), 1)
        count = math.prod(lengths)
        place: Any = _evenly_placed(piece.start, step, count)
        part = c
        if np.ndim(c):
            if count == 1:
                part = c[tuple(lo if n != 1 else 0 for (lo, _), n in zip(piece.box, np.shape(c), strict=True))]
            else:
                part = part_of(c, piece.box, numbers.shape)
                part = np.reshape(part, -1) if numbers.ndim > 1 else part
        result.append((place, part))
    return result


def _constant_first(where: list[Any], parts: list[Any]) -> None:
    """Of numbers that stand in several places: write the most frequent one everywhere, and then the rest."""
    numbers = [part for part in parts if isinstance(part, float)]
    most = max(numbers, key=numbers.count, default=0.0)
    if numbers.count(most) > 1:
        rest = [k for k, part in enumerate(parts) if not (isinstance(part, float) and part == most)]
        where[:] = [slice(None), *(where[k] for k in rest)]
        parts[:] = [most, *(parts[k] for k in rest)]


def _added_up(piece: Piece, c: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The same for coefficients that all belong to one entry, or to one for each step of the one axis that counts."""
    lengths = [hi - lo for lo, hi in piece.box]
    axes = tuple(axis for axis, step in enumerate(piece.steps) if step == 0)
    times = math.prod(lengths[axis] for axis in axes)
    part = c * times
    if np.ndim(c):
        part = np.sum(np.broadcast_to(part_of(c, piece.box, shape), tuple(lengths)), axis=axes)
    step, count = next(((step, n) for step, n in zip(piece.steps, lengths, strict=True) if step), (1, 1))
    return _evenly_placed(piece.start, step, count), part


def _evenly_placed(start: int, step: int, count: int) -> int | slice:
    if count == 1:
        return start
    stop: int | None = start + step * (count - 1) + (1 if step > 0 else -1)
    return slice(start, None if stop == -1 else stop, None if step == 1 else step)
