"""Colouring by more than columns: a symmetric Hessian read on either side, a Jacobian swept by columns and by rows.

An entry may be lost in the sweep of its column if that of its row still shows it: both are one star colouring.
Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import block_array, csr_array

from mathdl.errors import InvalidInput
from mathdl.sparse.coloring import DEAR, GRAPH_ORDERS, Indices, as_pattern, column_coloring, row_coloring, without_loops

__all__ = ["bicoloring", "bicoloring_recovery", "star_coloring", "star_recovery"]


def _star(graph: Any, order: Indices, proper: bool) -> Indices:
    """Colour the vertices of `order` one by one so that every edge can be read at one of its two ends.

    The edge (v, w) can be read at v if no other neighbour of v has the colour of w. Vertices that are not in `order`
    stay without a colour (-1), and their edges are read at them. `proper`: neighbours get different colours. All sets
    of colours are bits: `seen[v]` of its neighbours, `twice[v]` of at least two of them, and `blocked[v]` of those
    neighbours that a second one of the same colour would make unreadable.
    """
    starts, ends = graph.indptr.tolist(), graph.indices.tolist()
    size = len(starts) - 1
    seen, twice, blocked, bits = [0] * size, [0] * size, [0] * size, [0] * size
    waiting = np.zeros(size, dtype=bool)
    waiting[order] = True
    never = (~waiting).tolist()
    for v in order.tolist():
        neighbors = ends[starts[v] : starts[v + 1]]
        taken = seen[v] if proper else 0
        for w in neighbors:
            taken |= seen[w] if never[w] or bits[w] & twice[v] else blocked[w]
        bit = bits[v] = ~taken & (taken + 1)
        for w in neighbors:
            if bits[w] & twice[v]:
                blocked[w] |= bit
            if not seen[w] & bit:
                seen[w] |= bit
                continue
            blocked[v] |= bits[w]
            if not twice[w] & bit:
                twice[w] |= bit
                first = next(x for x in ends[starts[w] : starts[w + 1]] if bits[x] == bit and x != v)
                blocked[first] |= bits[w]
    return np.array([bit.bit_length() - 1 for bit in bits], dtype=np.intp)


def _once(rows: Any, colors: Indices) -> tuple[NDArray[np.bool_], Any]:
    """Tell which stored entries are the only ones of their colour in their row; and count by (row, colour)."""
    width = int(colors.max(initial=-1)) + 2  # the colour -1 is a column of its own, which nothing is read from
    of = colors[rows.indices]
    keys = np.repeat(np.arange(rows.shape[0], dtype=np.int64), np.diff(rows.indptr)) * width + of + 1
    found, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return (counts[place] == 1) & (of >= 0), (found, counts, width)


def _symmetric(pattern: Any) -> Any:
    rows = as_pattern(pattern)
    if rows.shape[0] != rows.shape[1]:
        raise InvalidInput("pattern", f"shape {rows.shape}", "a symmetric pattern, as a Hessian has")
    other = csr_array(rows.T)
    other.sort_indices()
    if not (np.array_equal(rows.indptr, other.indptr) and np.array_equal(rows.indices, other.indices)):
        raise InvalidInput("pattern", "one that is not symmetric", "a symmetric pattern: pattern + pattern.T")
    return rows


def star_coloring(pattern: ArrayLike | Any) -> Indices:
    """Colour the columns of a symmetric matrix so that each entry can be read at its place or its mirror image.

    Neighbours (i, j with an entry off the diagonal) differ in colour, and no path of four vertices has only two
    colours. That needs fewer colours than `column_coloring`, which never looks at the mirror image. Several orders
    are tried and the best is kept.

    Parameters
    ----------
    pattern : sparse matrix or array_like, shape (n, n)
        A symmetric pattern: the stored entries (of an array, those that are not zero), with or without the diagonal.

    Returns
    -------
    ndarray of int, shape (n,)
        The colours, from 0.

    Raises
    ------
    InvalidInput
        If the pattern is not symmetric.

    References
    ----------
    Chapter *Structure and sparsity*.
    T. F. Coleman and J. J. Moré, "Estimation of sparse Hessian matrices and graph coloring problems",
    Mathematical Programming 28 (1984) 243-270; A. H. Gebremedhin, F. Manne and A. Pothen, "What color is your
    Jacobian? Graph coloring for computing derivatives", SIAM Review 47 (2005) 629-705.

    Examples
    --------
    >>> arrow = np.eye(6, dtype=bool)
    >>> arrow[0] = arrow[:, 0] = True
    >>> star_coloring(arrow), column_coloring(arrow)
    (array([0, 1, 1, 1, 1, 1]), array([0, 1, 2, 3, 4, 5]))
    """
    graph = without_loops(_symmetric(pattern))
    least = 2 if graph.nnz else min(1, graph.shape[0])
    best: Indices | None = None
    for order, dear in GRAPH_ORDERS.values():
        if best is not None and (best.max(initial=-1) + 1 == least or (dear and graph.nnz > DEAR)):
            break
        colors = _star(graph, order(graph), proper=True)
        if best is None or colors.max() < best.max():
            best = colors
    assert best is not None  # there is always the natural order
    return best


def star_recovery(pattern: ArrayLike | Any, colors: ArrayLike) -> tuple[Indices, Indices]:
    """Say where each entry of a symmetric matrix stands in its product with the colours' seed matrix.

    Parameters
    ----------
    pattern : sparse matrix or array_like, shape (n, n)
        A symmetric pattern with ``nnz`` entries.
    colors : array_like of int, shape (n,)
        A star colouring of it with ``k`` colours.

    Returns
    -------
    rows, columns : ndarrays of int, shape (nnz,)
        The entries' values in the order of a csr_array are ``B[rows, columns]``, where ``B = H @ seed``, shape (n,
        k), and ``seed[j, colors[j]] = 1``. An entry and its mirror image are read at one place, so that the result is
        symmetric.

    Raises
    ------
    InvalidInput
        If the pattern is not symmetric, or some entry cannot be read.

    Examples
    --------
    >>> arrow = np.array([[1., 2., 3.], [2., 4., 0.], [3., 0., 5.]])
    >>> colors = star_coloring(arrow)
    >>> seed = np.eye(2)[colors]
    >>> (arrow @ seed)[star_recovery(arrow, colors)]
    array([1., 2., 3., 2., 4., 3., 5.])
    """
    pattern = _symmetric(pattern)
    colors = _checked(colors, "colors", pattern.shape[1], least=0)
    _, (found, counts, width) = _once(pattern, colors)
    i = np.repeat(np.arange(pattern.shape[0], dtype=np.intp), np.diff(pattern.indptr))
    j = pattern.indices.astype(np.intp)
    first, second = np.minimum(i, j), np.maximum(i, j)

    def readable(row: Indices, column: Indices) -> NDArray[np.bool_]:
        keys = row.astype(np.int64) * width + colors[column] + 1
        return np.asarray(counts[np.searchsorted(found, keys)] == 1)

    here = readable(first, second)
    if not np.all(here | readable(second, first)):
        raise InvalidInput("colors", "colours that leave an entry unreadable", "those of star_coloring(pattern)")
    return np.where(here, first, second), colors[np.where(here, second, first)]


def _checked(colors: ArrayLike, name: str, size: int, least: int) -> Indices:
    array = np.asarray(colors)
    if array.shape != (size,) or (size and (array.dtype.kind not in "iu" or array.min() < least)):
        raise InvalidInput(name, f"{array.dtype} of shape {array.shape}", f"shape ({size},), integers from {least}")
    return array.astype(np.intp)


# -- rows and columns together ---------------------------------------------------------------------------------------
_LIMITS = 8  # so many limits of "long" are tried at most


def bicoloring(pattern: ArrayLike | Any) -> tuple[Indices, Indices]:
    """Colour some rows and some columns so that each entry can be read from the sweep of its row or of its column.

    A matrix with a few dense rows and a few dense columns needs many colours of either kind alone, and few of both. The
    longest rows are swept as rows, what is left as columns, or the other way round; several limits of "long" are tried,
    among them all and none, and the fewest colours are kept.

    Parameters
    ----------
    pattern : sparse matrix or array_like, shape (m, n)
        The stored entries (of an array, those that are not zero).

    Returns
    -------
    row_colors, column_colors : ndarrays of int, shapes (m,) and (n,)
        Colours from 0 each, and -1 where a row or column takes part in no sweep.

    Raises
    ------
    InvalidInput
        If the pattern is not two-dimensional.

    References
    ----------
    Chapter *Structure and sparsity*.
    T. F. Coleman and A. Verma, "The efficient computation of sparse Jacobian matrices using automatic
    differentiation", SIAM Journal on Scientific Computing 19 (1998) 1210-1233; A. H. Gebremedhin, F. Manne and A.
    Pothen, "What color is your Jacobian?", SIAM Review 47 (2005) 629-705.

    Examples
    --------
    >>> arrow = np.eye(6, dtype=bool)
    >>> arrow[0] = arrow[:, 0] = True
    >>> bicoloring(arrow)
    (array([ 0, -1, -1, -1, -1, -1]), array([0, 1, 1, 1, 1, 1]))
    """
    rows = as_pattern(pattern)
    m, n = rows.shape
    by_columns, by_rows = column_coloring(rows), row_coloring(rows)
    columns_only = (np.full(m, -1), np.where(np.bincount(rows.indices, minlength=n) > 0, by_columns, -1))
    rows_only = (np.where(np.diff(rows.indptr) > 0, by_rows, -1), np.full(n, -1))
    best = min(columns_only, rows_only, key=_total)
    best = _covered(rows, best)
    row_best, column_best = best
    other = _covered(csr_array(rows.T), (column_best, row_best))
    return min(best, other[::-1], key=_total)


def _total(colors: tuple[Indices, Indices]) -> int:
    return sum(int(each.max(initial=-1)) + 1 for each in colors)


def _covered(rows: Any, best: tuple[Indices, Indices]) -> tuple[Indices, Indices]:
    """Try several lengths from which on rows are swept as rows; what is better than the best known is kept."""
    lengths = np.diff(rows.indptr)
    limits = np.unique(lengths[lengths > 0])
    if len(limits) > _LIMITS:
        limits = limits[np.unique(np.geomspace(1, len(limits), _LIMITS).astype(int) - 1)]
    for limit in limits.tolist():
        if limit + 1 >= _total(
            best
        ):  # a row that is not swept needs a colour for each entry, and one is for the others
            break
        best = min(best, _cover(rows, limit), key=_total)
    return best


def _cover(rows: Any, limit: int) -> tuple[Indices, Indices]:
    """Sweep the rows that are longer than the limit as rows, and all columns that the others need."""
    m, n = rows.shape
    lengths = np.diff(rows.indptr)
    long = lengths > limit
    used = np.bincount(rows.indices[~np.repeat(long, lengths)], minlength=n) > 0
    graph = csr_array(block_array([[None, rows], [csr_array(rows.T), None]]))
    colors = _star(graph, np.concatenate([m + np.flatnonzero(used), np.flatnonzero(long)]), proper=False)
    return colors[:m], colors[m:]


def bicoloring_recovery(
    pattern: ArrayLike | Any, row_colors: ArrayLike, column_colors: ArrayLike
) -> tuple[NDArray[np.bool_], Indices, Indices]:
    """Say for each entry of a matrix whether a row's or a column's sweep shows it, and where.

    Parameters
    ----------
    pattern : sparse matrix or array_like, shape (m, n)
        With ``nnz`` entries (i, j) in the order of a csr_array.
    row_colors, column_colors : array_like of int, shapes (m,) and (n,)
        As from `bicoloring`; -1 is not swept.

    Returns
    -------
    from_rows : ndarray of bool, shape (nnz,)
        Whether the entry is read from the rows' sweeps.
    lines, colors : ndarrays of int, shape (nnz,)
        Where: with the columns' sweeps ``C = J @ column_seed``, shape (m, column colours), at ``C[lines, colors]``,
        where ``lines`` is i; with the rows' sweeps ``R = J.T @ row_seed``, shape (n, row colours), at ``R[lines,
        colors]``, where ``lines`` is j.

    Raises
    ------
    InvalidInput
        If some entry cannot be read.

    Examples
    --------
    >>> from_rows, lines, colors = bicoloring_recovery([[1, 1], [1, 0]], [0, -1], [0, -1])
    >>> from_rows, lines, colors
    (array([False,  True, False]), array([0, 1, 1]), array([0, 0, 0]))
    """
    rows = as_pattern(pattern)
    m, n = rows.shape
    of_rows = _checked(row_colors, "row_colors", m, least=-1)
    of_columns = _checked(column_colors, "column_colors", n, least=-1)
    i, j = np.repeat(np.arange(m, dtype=np.intp), np.diff(rows.indptr)), rows.indices.astype(np.intp)
    by_column, _ = _once(rows, of_columns)
    turned = csr_array((np.arange(rows.nnz), (j, i)), shape=(n, m))  # its data: where each entry stood before
    turned.sort_indices()
    by_row = np.empty(rows.nnz, dtype=bool)
    by_row[turned.data], _ = _once(turned, of_rows)
    if not np.all(by_column | by_row):
        raise InvalidInput("row_colors, column_colors", "colours that leave an entry unreadable", "those of bicoloring")
    return ~by_column, np.where(by_column, i, j), np.where(by_column, of_columns[j], of_rows[i])
