"""Colourings are exact: sweeps of one colour never mix two entries of a row, and every entry is recovered as it was."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mathdl.errors import InvalidInput
from mathdl.sparse import coloring
from mathdl.sparse.coloring import ORDERS, column_coloring, row_coloring
from mathdl.sparse.symmetric import bicoloring, bicoloring_recovery, star_coloring, star_recovery

PROPERTY = settings(derandomize=True, deadline=None, max_examples=200, database=None)
patterns = hnp.arrays(bool, st.tuples(st.integers(0, 9), st.integers(0, 9)))
square = st.integers(0, 9).flatmap(lambda n: hnp.arrays(bool, (n, n)))
symmetric = square.map(lambda p: p | p.T)


def exact(pattern: Any, colors: Any) -> bool:
    """Tell whether no two columns of one colour meet in a row, by trying all pairs of columns."""
    dense = np.asarray(pattern.toarray() if sp.issparse(pattern) else pattern) != 0
    assert colors.shape == (dense.shape[1],)
    assert colors.dtype.kind == "i"
    assert set(colors.tolist()) == set(range(number(colors)))  # from 0, none left out
    pairs = combinations(range(dense.shape[1]), 2)
    return not any(colors[j] == colors[k] and np.any(dense[:, j] & dense[:, k]) for j, k in pairs)


def exact_sparse(pattern: Any, colors: Any) -> bool:
    """Tell the same of a large pattern: the product with the seed matrix has as many entries as the pattern."""
    n = pattern.shape[1]
    seed = sp.csr_array((np.ones(n), (np.arange(n), colors)), shape=(n, number(colors)))
    ones = sp.csr_array((np.ones(pattern.nnz), pattern.indices, pattern.indptr), shape=pattern.shape)
    return bool(np.all((ones @ seed).data == 1))


def number(colors: Any) -> int:
    return int(colors.max(initial=-1)) + 1


def fewest(pattern: Any) -> int:
    """Give the smallest number of colours, by trying all colourings, the columns one by one."""
    n = pattern.shape[1]
    meet = (pattern.T.astype(int) @ pattern.astype(int) > 0).tolist()

    def possible(colors: list[int], k: int) -> bool:
        j = len(colors)
        free = [c for c in range(k) if not any(meet[j][i] and colors[i] == c for i in range(j))] if j < n else []
        return j == n or any(possible([*colors, c], k) for c in free)

    return next(k for k in range(n + 1) if possible([], k))


def band(n: int, b: int) -> Any:
    return sp.csr_array(sp.diags_array([np.ones(n)] * (2 * b + 1), offsets=range(-b, b + 1), shape=(n, n)))


def grid(rows: int, columns: int) -> Any:
    a, b = sp.eye_array(rows), sp.eye_array(columns)
    return sp.csr_array(sp.kron(band(rows, 1), b) + sp.kron(a, band(columns, 1)))


def brusselator(n: int) -> Any:
    one = sp.eye_array(n // 2)
    return sp.csr_array(sp.block_array([[band(n // 2, 1), one], [one, band(n // 2, 1)]]))


def blocks(count: int, size: int) -> Any:
    return sp.csr_array(sp.kron(sp.eye_array(count), np.ones((size, size))))


def arrow(n: int) -> Any:
    pattern = sp.lil_array((n, n))
    pattern[0] = pattern[:, [0]] = 1
    pattern.setdiag(1)
    return sp.csr_array(pattern)


# -- columns and rows ------------------------------------------------------------------------------------------------


@PROPERTY
@given(patterns, st.sampled_from([None, *ORDERS]))
def test_columns_of_one_colour_share_no_row(pattern: Any, order: str | None) -> None:
    colors = column_coloring(pattern, order)
    assert exact(pattern, colors)
    assert number(colors) >= pattern.sum(axis=1).max(initial=min(1, pattern.shape[1]))
    np.testing.assert_array_equal(column_coloring(sp.csr_array(pattern), order), colors)
    assert exact(pattern.T, row_coloring(pattern, order))


@PROPERTY
@given(patterns)
def test_the_best_order_is_kept(pattern: Any) -> None:
    assert number(column_coloring(pattern)) == min(number(column_coloring(pattern, order)) for order in ORDERS)


@PROPERTY
@given(hnp.arrays(bool, st.tuples(st.integers(1, 5), st.integers(1, 6))))
def test_small_patterns_need_hardly_more_than_the_fewest_colours(pattern: Any) -> None:
    assert max(fewest(pattern), 1) <= number(column_coloring(pattern)) <= fewest(pattern) + 1


@PROPERTY
@given(patterns, st.sampled_from(list(ORDERS)))
def test_long_rows_are_coloured_as_short_ones_are(pattern: Any, order: str) -> None:
    rows, chosen = coloring.as_pattern(pattern), ORDERS[order](pattern)
    assert sorted(chosen.tolist()) == list(range(pattern.shape[1]))
    np.testing.assert_array_equal(coloring._greedy_with_long_rows(rows, chosen), coloring._greedy(rows, chosen))


def test_long_rows_that_send_on_to_each_other() -> None:
    pattern = coloring.as_pattern(np.random.default_rng(0).random((8, 400)) < 0.3)
    for chosen in (np.arange(400), np.arange(400)[::-1]):
        np.testing.assert_array_equal(
            coloring._greedy_with_long_rows(pattern, chosen), coloring._greedy(pattern, chosen)
        )


KNOWN: dict[str, tuple[Callable[[], Any], int]] = {
    "tridiagonal": (lambda: band(500, 1), 3),
    "band of 4": (lambda: band(300, 4), 9),
    "blocks of 6": (lambda: blocks(40, 6), 6),
    "diagonal": (lambda: band(50, 0), 1),
    "5-point stencil": (lambda: grid(30, 41), 5),
    "Brusselator 40": (lambda: brusselator(40), 4),
    "Brusselator 1000": (lambda: brusselator(1000), 4),
    "Brusselator 10000": (lambda: brusselator(10000), 4),
    "arrowhead": (lambda: arrow(60), 60),
    "a row full but for one": (lambda: sp.csr_array(np.eye(9) + np.outer(np.eye(9)[0], np.arange(9) < 8)), 8),
    "shuffled band": (lambda: band(400, 1)[:, np.random.default_rng(0).permutation(400)], 3),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_patterns_get_the_fewest_colours(name: str) -> None:
    build, optimum = KNOWN[name]
    pattern = build()
    colors = column_coloring(pattern)
    assert exact_sparse(pattern, colors)
    assert number(colors) == optimum


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (5, 4)])
def test_empty_patterns_need_one_colour_at_most(shape: tuple[int, int]) -> None:
    np.testing.assert_array_equal(column_coloring(np.zeros(shape)), np.zeros(shape[1]))
    np.testing.assert_array_equal(row_coloring(np.zeros(shape)), np.zeros(shape[0]))
    row_colors, column_colors = bicoloring(np.zeros(shape))
    assert row_colors.tolist() + column_colors.tolist() == [-1] * sum(shape)
    assert [part.size for part in bicoloring_recovery(np.zeros(shape), row_colors, column_colors)] == [0, 0, 0]


def test_large_patterns_are_coloured_exactly() -> None:
    r = np.random.default_rng(1)
    n, k = 50_000, 4
    pattern = sp.csr_array((np.ones(n * k), (r.integers(0, n, n * k), np.repeat(np.arange(n), k))), shape=(n, n))
    pattern.sum_duplicates()
    assert exact_sparse(pattern, column_coloring(pattern))


def test_a_long_row_is_coloured_without_a_graph() -> None:
    n = 20_000
    pattern = sp.csr_array(sp.vstack([sp.csr_array((np.arange(n) % 4 != 3)[None]), band(n, 1)]))
    colors = column_coloring(pattern)  # the graph of its columns would have more than 10⁸ edges
    assert exact_sparse(pattern, colors)
    assert number(colors) == 3 * n // 4


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.coo_array])
def test_stored_entries_count_whatever_their_value_and_nothing_is_changed(kind: Any) -> None:
    where = ([1, 1, 0, 0, 0], [2, 0, 1, 0, 1])
    given_ = kind(sp.coo_array((np.zeros(5), where), shape=(2, 3)))
    before = given_.copy()
    assert exact(np.array([[1, 1, 0], [1, 0, 1]]), column_coloring(given_))
    rows = coloring.as_pattern(given_)
    np.testing.assert_array_equal(rows.toarray(), [[True, True, False], [True, False, True]])
    assert rows.has_canonical_format
    assert (given_ != before).nnz == 0
    assert given_.nnz == before.nnz


def test_unsorted_rows_are_sorted_in_a_copy() -> None:
    indices = np.array([2, 0, 0, 1])
    pattern = sp.csr_array((np.zeros(4), indices, np.array([0, 3, 4])), shape=(2, 3))
    rows = coloring.as_pattern(pattern)
    assert rows.indices.tolist() == [0, 2, 1]
    assert rows.data.all()
    assert indices.tolist() == [2, 0, 0, 1]


def test_wrong_use_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"pattern: got shape \(3,\)"):
        column_coloring(np.ones(3))
    with pytest.raises(InvalidInput, match="order: got 'best'; wanted one of 'natural'"):
        column_coloring(np.eye(3), "best")
    with pytest.raises(InvalidInput, match="symmetric"):
        star_coloring([[1, 1], [0, 1]])
    with pytest.raises(InvalidInput, match="symmetric"):
        star_coloring(np.ones((2, 3)))
    with pytest.raises(InvalidInput, match="colors: got colours that leave an entry unreadable"):
        star_recovery(np.ones((3, 3)), [0, 1, 0])
    with pytest.raises(InvalidInput, match=r"colors: got int64 of shape \(2,\)"):
        star_recovery(np.ones((3, 3)), [0, 1])
    with pytest.raises(InvalidInput, match="colors: got float64"):
        star_recovery(np.ones((3, 3)), [0.0, 1.0, 2.0])
    with pytest.raises(InvalidInput, match="leave an entry unreadable"):
        bicoloring_recovery(np.ones((2, 2)), [-1, 0], [0, -1])


# -- symmetric -------------------------------------------------------------------------------------------------------


def star_is_exact(pattern: Any, colors: Any) -> bool:
    """Tell by definition: neighbours differ, and no path of four vertices has two colours."""
    near = [set(np.flatnonzero(row)) - {i} for i, row in enumerate(pattern)]
    for b, c in product(range(len(near)), repeat=2):
        if c not in near[b]:
            continue
        if colors[b] == colors[c]:
            return False
        for a, d in product(near[b] - {c}, near[c] - {b}):
            if a != d and colors[a] == colors[c] and colors[b] == colors[d]:
                return False
    return True


def recover_symmetric(values: Any, pattern: Any, colors: Any) -> Any:
    seed = np.zeros((len(colors), number(colors)))
    seed[np.arange(len(colors)), colors] = 1
    rows = coloring.as_pattern(pattern)
    read = (values @ seed)[star_recovery(pattern, colors)]
    return sp.csr_array((read, rows.indices, rows.indptr), shape=rows.shape)


@PROPERTY
@given(symmetric, st.booleans(), st.integers(0, 99))
def test_every_symmetric_matrix_is_recovered(pattern: Any, diagonal: bool, seed: int) -> None:
    n = len(pattern)
    pattern = pattern | np.eye(n, dtype=bool) if diagonal else pattern & ~np.eye(n, dtype=bool)
    colors = star_coloring(pattern)
    assert star_is_exact(pattern, colors)
    values = np.random.default_rng(seed).integers(1, 2**40, (n, n)).astype(float)  # their sums are exact
    values = (values + values.T) * pattern
    np.testing.assert_array_equal(recover_symmetric(values, pattern, colors).toarray(), values)


@PROPERTY
@given(symmetric)
def test_partial_diagonals_do_no_harm(pattern: Any) -> None:
    values = pattern * (1.0 + np.add.outer(np.arange(len(pattern)), np.arange(len(pattern))) ** 2)
    np.testing.assert_array_equal(recover_symmetric(values, pattern, star_coloring(pattern)).toarray(), values)


def test_a_star_colouring_gives_a_symmetric_result() -> None:
    pattern = band(30, 1)
    rng = np.random.default_rng(0)
    values = pattern.toarray() * rng.normal(size=pattern.shape)  # not symmetric: the mirror image is the same number
    read = recover_symmetric(values, pattern, star_coloring(pattern)).toarray()
    np.testing.assert_array_equal(read, read.T)


STARS: dict[str, tuple[Callable[[], Any], int]] = {
    "tridiagonal": (lambda: band(300, 1), 3),
    "arrowhead": (lambda: arrow(3000), 2),
    "blocks of 5": (lambda: blocks(30, 5), 5),
    "diagonal": (lambda: band(20, 0), 1),
    "nothing": (lambda: sp.csr_array((4, 4)), 1),
    "no unknowns": (lambda: sp.csr_array((0, 0)), 0),
}


@pytest.mark.parametrize("name", STARS)
def test_known_symmetric_patterns_get_the_fewest_colours(name: str) -> None:
    build, optimum = STARS[name]
    colors = star_coloring(build())
    assert number(colors) == optimum
    star_recovery(build(), colors)


def test_symmetry_saves_colours() -> None:
    for pattern in (grid(20, 20), brusselator(400), band(200, 3)):
        colors = star_coloring(pattern)
        star_recovery(pattern, colors)
        assert number(colors) <= number(column_coloring(pattern))


# -- rows and columns together ---------------------------------------------------------------------------------------


def recover(values: Any, pattern: Any, row_colors: Any, column_colors: Any) -> Any:
    """Compute the two compressed products, and read each entry where the recovery says."""
    seeds = []
    for colors in (row_colors, column_colors):
        seed = np.zeros((len(colors), number(colors)))
        used = np.flatnonzero(colors >= 0)
        seed[used, colors[used]] = 1
        seeds.append(seed)
    from_rows, lines, colors = bicoloring_recovery(pattern, row_colors, column_colors)
    read = np.empty(len(lines))
    read[from_rows] = (values.T @ seeds[0])[lines[from_rows], colors[from_rows]]
    read[~from_rows] = (values @ seeds[1])[lines[~from_rows], colors[~from_rows]]
    rows = coloring.as_pattern(pattern)
    return sp.csr_array((read, rows.indices, rows.indptr), shape=rows.shape)


@PROPERTY
@given(patterns, st.integers(0, 99))
def test_every_matrix_is_recovered_from_rows_and_columns(pattern: Any, seed: int) -> None:
    row_colors, column_colors = bicoloring(pattern)
    values = np.random.default_rng(seed).integers(1, 2**40, pattern.shape) * pattern.astype(float)
    np.testing.assert_array_equal(recover(values, pattern, row_colors, column_colors).toarray(), values)
    alone = min(number(column_coloring(pattern)), number(row_coloring(pattern)))
    assert number(row_colors) + number(column_colors) <= alone


@PROPERTY
@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(0, 4), st.integers(0, 99))
def test_every_limit_of_long_gives_a_recoverable_colouring(pattern: Any, limit: int, seed: int) -> None:
    from mathdl.sparse import symmetric as module

    row_colors, column_colors = module._cover(coloring.as_pattern(pattern), limit)
    values = np.random.default_rng(seed).integers(1, 2**40, pattern.shape) * pattern.astype(float)
    np.testing.assert_array_equal(recover(values, pattern, row_colors, column_colors).toarray(), values)


def test_arrowheads_need_three_sweeps() -> None:
    for pattern in (arrow(2000), arrow(2000)[::-1], sp.csr_array(arrow(500)[:, 1:])):
        row_colors, column_colors = bicoloring(pattern)
        bicoloring_recovery(pattern, row_colors, column_colors)
        assert number(row_colors) + number(column_colors) <= 3


def test_a_band_with_dense_rows_and_columns() -> None:
    pattern = band(400, 1).tolil()
    pattern[[7, 200]] = 1
    pattern[:, [3, 300, 301]] = 1
    pattern = sp.csr_array(pattern)
    row_colors, column_colors = bicoloring(pattern)
    values = pattern.toarray() * np.random.default_rng(0).integers(1, 2**40, pattern.shape)
    np.testing.assert_array_equal(recover(values, pattern, row_colors, column_colors).toarray(), values)
    assert number(row_colors) + number(column_colors) <= 2 + 3 + 3


def test_a_dense_column_beside_wide_rows_needs_two_sweeps() -> None:
    fan = sp.csr_array(sp.kron(sp.eye_array(30), np.ones((1, 10))))
    for pattern in (
        sp.csr_array(sp.hstack([np.ones((30, 1)), fan])),
        sp.csr_array(sp.vstack([np.ones((1, 30)), fan.T])),
    ):
        row_colors, column_colors = bicoloring(pattern)
        assert (number(row_colors), number(column_colors)) == (1, 1)
        bicoloring_recovery(pattern, row_colors, column_colors)
