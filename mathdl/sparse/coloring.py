"""Colouring: which columns of a sparse Jacobian one sweep can share, so that four sweeps do the work of thousands.

Two columns may share a sweep when no row has an entry in both, since then each row of the result holds one entry only.
The functions see patterns, never values. Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array, csr_array, issparse
from scipy.sparse.csgraph import reverse_cuthill_mckee

from mathdl.errors import InvalidInput

__all__ = ["ORDERS", "column_coloring", "row_coloring"]

Indices = NDArray[np.intp]


def as_pattern(pattern: Any) -> Any:
    """Give the stored entries of a sparse matrix, or the nonzero ones of an array, as a canonical csr_array of bool."""
    if not issparse(pattern):
        pattern = np.asarray(pattern) != 0
    if pattern.ndim != 2:
        raise InvalidInput("pattern", f"shape {pattern.shape}", "a matrix with shape (m, n)")
    rows = csr_array(pattern)
    if rows.has_canonical_format:
        return csr_array((np.ones(rows.nnz, bool), rows.indices, rows.indptr), shape=rows.shape)
    rows = csr_array((np.ones(rows.nnz, bool), rows.indices.copy(), rows.indptr.copy()), shape=rows.shape)
    rows.sum_duplicates()
    rows.data[:] = True
    return rows


# -- orders ----------------------------------------------------------------------------------------------------------


def column_graph(pattern: Any) -> Any:
    """Give the column intersection graph (n, n), without loops: two columns are neighbours if some row meets both."""
    rows = as_pattern(pattern)
    ones = csr_array((np.ones(rows.nnz, np.int32), rows.indices, rows.indptr), shape=rows.shape)
    graph = (ones.T @ ones).tocoo()
    apart = graph.row != graph.col
    where = (graph.row[apart], graph.col[apart])
    return csr_array((np.ones(len(where[0]), bool), where), shape=graph.shape)


def _natural(pattern: Any) -> Indices:
    return np.arange(pattern.shape[1])


def _largest_first(pattern: Any) -> Indices:
    """Columns that share rows with many others first; those met twice count twice, which needs no graph."""
    rows = as_pattern(pattern)
    lengths = np.diff(rows.indptr)
    met = np.bincount(rows.indices, np.repeat(lengths - 1, lengths), minlength=rows.shape[1])
    return np.argsort(-met, kind="stable")


def _smallest_last(pattern: Any) -> Indices:
    """Take away the column with the fewest neighbours left, again and again; colour in the opposite order."""
    graph = column_graph(pattern)
    return _peel(graph.indptr.tolist(), graph.indices.tolist())[::-1]


def _peel(starts: list[int], neighbors: list[int]) -> Indices:
    degree = [stop - start for start, stop in pairwise(starts)]
    heap = [(d, j) for j, d in enumerate(degree)]
    heapify(heap)
    order = []
    while heap:
        d, j = heappop(heap)
        if d != degree[j]:  # an older entry of a column that has lost neighbours since, or was taken
            continue
        degree[j] = -1
        order.append(j)
        for k in neighbors[starts[j] : starts[j + 1]]:
            if degree[k] > 0:
                degree[k] -= 1
                heappush(heap, (degree[k], k))
    return np.array(order, dtype=np.intp)


def _dsatur(pattern: Any) -> Indices:
    """Next is the column whose neighbours have the most colours already; of those, the one with most neighbours."""
    graph = column_graph(pattern)
    starts, neighbors = graph.indptr.tolist(), graph.indices.tolist()
    degree = [stop - start for start, stop in pairwise(starts)]
    taken = [0] * len(degree)  # the colours of the neighbours, as bits
    heap = [(0, -d, j) for j, d in enumerate(degree)]
    heapify(heap)
    order, done = [], [False] * len(degree)
    while heap:
        saturation, _, j = heappop(heap)
        if done[j] or -saturation != taken[j].bit_count():
            continue
        done[j] = True
        order.append(j)
        bit = ~taken[j] & (taken[j] + 1)
        for k in neighbors[starts[j] : starts[j + 1]]:
            if not done[k] and not taken[k] & bit:
                taken[k] |= bit
                heappush(heap, (-taken[k].bit_count(), -degree[k], k))
    return np.array(order, dtype=np.intp)


def _reverse_cuthill_mckee(pattern: Any) -> Indices:
    """Neighbours close to each other: what depends on one place stands together, however the unknowns are stored."""
    if not pattern.shape[1]:
        return np.arange(0)
    return np.asarray(reverse_cuthill_mckee(column_graph(pattern), symmetric_mode=True), dtype=np.intp)


#: The orders that `column_coloring` tries, the cheapest first: name -> function(pattern) -> order of the columns.
ORDERS: Mapping[str, Callable[[Any], Indices]] = {
    "natural": _natural,
    "reverse Cuthill-McKee": _reverse_cuthill_mckee,
    "largest first": _largest_first,
    "smallest last": _smallest_last,
    "DSATUR": _dsatur,
}


# -- colouring -------------------------------------------------------------------------------------------------------


def _greedy(pattern: Any, order: Indices) -> Indices:
    """Give each column in turn the lowest colour that no row of it has seen; the colours a row has seen are bits."""
    columns = csc_array(pattern)[:, order]
    rows = columns.indices.tolist()
    seen = [0] * columns.shape[0]
    bits = []
    for start, stop in pairwise(columns.indptr.tolist()):
        mine = rows[start:stop]
        taken = 0
        for i in mine:
            taken |= seen[i]
        bit = ~taken & (taken + 1)  # the lowest that is not taken
        for i in mine:
            seen[i] |= bit
        bits.append(bit)
    colors = np.empty(len(bits), dtype=np.intp)
    colors[order] = [bit.bit_length() - 1 for bit in bits]
    return colors


def column_coloring(pattern: ArrayLike | Any, order: str | None = None) -> Indices:
    """Colour the columns so that columns of one colour share no row."""
    rows = as_pattern(pattern)
    if order is not None and order not in ORDERS:
        raise InvalidInput("order", repr(order), "one of " + ", ".join(map(repr, ORDERS)))
    longest = int(np.diff(rows.indptr).max(initial=0))
    if longest == rows.shape[1]:  # a full row: no two columns can share a colour
        return np.arange(rows.shape[1])
    best = None
    for name in ORDERS if order is None else [order]:
        colors = _greedy(rows, ORDERS[name](rows))
        if best is None or colors.max() < best.max():
            best = colors
        if best.max() + 1 == longest:
            break
    assert best is not None
    return best


def row_coloring(pattern: ArrayLike | Any, order: str | None = None) -> Indices:
    """Colour the rows so that rows of one colour share no column: `column_coloring` of the transposed pattern."""
    return column_coloring(as_pattern(pattern).T, order)


def star_coloring(pattern: Any) -> Any:
    raise NotImplementedError


star_recovery = bicoloring = bicoloring_recovery = star_coloring
