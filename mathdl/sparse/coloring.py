"""Colouring: which columns of a sparse Jacobian one sweep can share, so that four sweeps do the work of thousands.

Two columns may share a sweep when no row has an entry in both, since then each row of the result holds one entry only.
The functions see patterns, never values. Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
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


def without_loops(graph: Any) -> Any:
    """Give the neighbours that a symmetric pattern tells of: nothing is its own neighbour."""
    graph = graph.tocoo()
    apart = graph.row != graph.col
    where = (graph.row[apart], graph.col[apart])
    return csr_array((np.ones(len(where[0]), bool), where), shape=graph.shape)


def column_graph(pattern: Any) -> Any:
    """Give the column intersection graph (n, n): two columns are neighbours if some row has an entry in both."""
    rows = as_pattern(pattern)
    ones = csr_array((np.ones(rows.nnz, np.int32), rows.indices, rows.indptr), shape=rows.shape)
    return without_loops(ones.T @ ones)


def _natural(graph: Any) -> Indices:
    return np.arange(graph.shape[1], dtype=np.intp)


def _largest_first(graph: Any) -> Indices:
    return np.argsort(-np.diff(graph.indptr), kind="stable")


def _smallest_last(graph: Any) -> Indices:
    """Take away the vertex with the fewest neighbours left, again and again; colour in the opposite order."""
    starts, neighbors = graph.indptr.tolist(), graph.indices.tolist()
    degree = [stop - start for start, stop in pairwise(starts)]
    heap = [(d, j) for j, d in enumerate(degree)]
    heapify(heap)
    order = []
    while heap:
        d, j = heappop(heap)
        if d != degree[j]:  # an older entry of a vertex that has lost neighbours since, or was taken
            continue
        degree[j] = -1
        order.append(j)
        for k in neighbors[starts[j] : starts[j + 1]]:
            if degree[k] > 0:
                degree[k] -= 1
                heappush(heap, (degree[k], k))
    return np.array(order[::-1], dtype=np.intp)


def _dsatur(graph: Any) -> Indices:
    """Next is the vertex whose neighbours have the most colours already; of those, the one with most neighbours."""
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


def _reverse_cuthill_mckee(graph: Any) -> Indices:
    """Neighbours close to each other: what depends on one place stands together, however the unknowns are stored."""
    if not graph.shape[1]:
        return _natural(graph)
    return np.asarray(reverse_cuthill_mckee(graph, symmetric_mode=True), dtype=np.intp)


def _order_columns(order: Callable[[Any], Indices], pattern: Any) -> Indices:
    return order(pattern if order is _natural else column_graph(pattern))


# The cheapest first, and whether it is a loop in Python over the graph, which large patterns cannot afford.
GRAPH_ORDERS: Mapping[str, tuple[Callable[[Any], Indices], bool]] = {
    "natural": (_natural, False),
    "reverse Cuthill-McKee": (_reverse_cuthill_mckee, False),
    "largest first": (_largest_first, False),
    "smallest last": (_smallest_last, True),
    "DSATUR": (_dsatur, True),
}
#: The orders that `column_coloring` tries, the cheapest first: name -> function(pattern) -> order of the columns.
ORDERS: Mapping[str, Callable[[Any], Indices]] = {
    name: partial(_order_columns, order) for name, (order, _) in GRAPH_ORDERS.items()
}
DEAR = 10**6  # up to so many neighbours in all, orders that are loops in Python are tried
_GRAPH = 3 * 10**7  # and up to so many the column graph is built at all


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


def _greedy_with_long_rows(pattern: Any, order: Indices) -> Indices:
    """Do as `_greedy` where bits would be too many: each row remembers for a colour it has seen a later one to try."""
    columns = csc_array(pattern)[:, order]
    rows = columns.indices.tolist()
    later: list[dict[int, int]] = [{} for _ in range(columns.shape[0])]
    full = [0] * columns.shape[0]  # the row has seen all colours below
    found = []
    for start, stop in pairwise(columns.indptr.tolist()):
        mine = rows[start:stop]
        color = max((full[i] for i in mine), default=0)
        tried = -1
        while color != tried:  # until no row sends it on
            tried = color
            for i in mine:
                color = _free(later[i], color)
        found.append(color)
        for i in mine:
            later[i][color] = color + 1
            full[i] = _free(later[i], full[i])
    colors = np.empty(len(found), dtype=np.intp)
    colors[order] = found
    return colors


def _free(later: dict[int, int], color: int) -> int:
    """Follow the chain to the first colour that is free, and shorten the chain for those that come after."""
    passed = []
    while color in later:
        passed.append(color)
        color = later[color]
    for each in passed:
        later[each] = color
    return color


_LONG = 4096  # entries of a row
_LARGE = 10**7  # neighbours in all, from which on a tenth more colours than the longest row has entries are enough


def column_coloring(pattern: ArrayLike | Any, order: str | None = None) -> Indices:
    """Colour the columns so that columns of one colour share no row: one sweep then computes all of them.

    The columns are coloured greedily in several orders (`ORDERS`), and the best result is kept; it is the best
    possible, and the search ends, when there are no more colours than entries in the longest row. Large patterns do
    without the orders that are loops in Python, and with a tenth more colours than that bound.

    Parameters
    ----------
    pattern : sparse matrix or array_like, shape (m, n)
        The stored entries (of an array, those that are not zero).
    order : str, optional
        A name in `ORDERS`: only this one is tried.

    Returns
    -------
    ndarray of int, shape (n,)
        The colours, from 0.

    Raises
    ------
    InvalidInput
        If the pattern is not two-dimensional, or no order has that name.

    References
    ----------
    Chapter *Structure and sparsity*.
    A. R. Curtis, M. J. D. Powell and J. K. Reid, "On the estimation of sparse Jacobian matrices", IMA
    Journal of Applied Mathematics 13 (1974) 117-119; T. F. Coleman and J. J. Moré, "Estimation of sparse Jacobian
    matrices and graph coloring problems", SIAM Journal on Numerical Analysis 20 (1983) 187-209; A. H. Gebremedhin, F.
    Manne and A. Pothen, "What color is your Jacobian? Graph coloring for computing derivatives", SIAM Review 47
    (2005) 629-705.

    Examples
    --------
    >>> tridiagonal = np.abs(np.subtract.outer(np.arange(7), np.arange(7))) <= 1
    >>> column_coloring(tridiagonal)
    array([0, 1, 2, 0, 1, 2, 0])
    """
    rows = as_pattern(pattern)
    if order is not None and order not in ORDERS:
        raise InvalidInput("order", repr(order), "one of " + ", ".join(map(repr, ORDERS)))
    lengths = np.diff(rows.indptr).astype(np.int64)
    longest = int(lengths.max(initial=min(1, rows.shape[1])))
    if longest == rows.shape[1]:  # a full row: no two columns can share a colour
        return np.arange(rows.shape[1], dtype=np.intp)
    work = int((lengths**2).sum())
    enough = longest + (longest // 10 if work > _LARGE else 0)
    greedy = _greedy_with_long_rows if longest > _LONG else _greedy
    best: Indices | None = None
    for chosen in _orders(rows, work) if order is None else [ORDERS[order](rows)]:
        colors = greedy(rows, chosen)
        if best is None or colors.max() < best.max():
            best = colors
        if best.max() + 1 <= enough:
            break
    assert best is not None  # there is always the natural order
    return best


def _orders(rows: Any, work: int) -> Iterator[Indices]:
    """Give the orders worth trying one by one; the graph that all but the first need is built once."""
    yield _natural(rows)
    if work > _GRAPH:
        return
    graph = column_graph(rows)
    for name, (order, dear) in GRAPH_ORDERS.items():
        if name != "natural" and not (dear and graph.nnz > DEAR):
            yield order(graph)


def row_coloring(pattern: ArrayLike | Any, order: str | None = None) -> Indices:
    """Colour the rows so that rows of one colour share no column: `column_coloring` of the transposed pattern.

    Parameters
    ----------
    pattern : sparse matrix or array_like, shape (m, n)
        The stored entries (of an array, those that are not zero).
    order : str, optional
        A name in `ORDERS`: only this one is tried.

    Returns
    -------
    ndarray of int, shape (m,)
        The colours, from 0.

    Raises
    ------
    InvalidInput
        If the pattern is not two-dimensional, or no order has that name.

    References
    ----------
    As `column_coloring`.

    Examples
    --------
    >>> row_coloring([[1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0]])
    array([0, 1, 1])
    """
    return column_coloring(as_pattern(pattern).T, order)
