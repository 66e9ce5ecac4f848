"""The exercises of *Structure and sparsity*: wrong answers as students write them are told apart, right ones pass.

The right answers here are written in other ways than the module's; the counts are found by trying all colourings.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from scipy.optimize import root
from scipy.sparse import coo_array, csr_array, csr_matrix, diags_array, eye_array, lil_array
from scipy.sparse.linalg import spsolve
from verdicts import answer_tests, told

from mathdl.exercises.judge import judge
from mathdl.exercises.structure_and_sparsity import EXERCISES

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
SOFTMAX, TOEPLITZ, COLORING = "softmax-diagonal-plus-low-rank", "convolution-as-toeplitz", "greedy-coloring"
RECOVER, NEWTON, COUNT = "recover-from-sweeps", "newton-step", "count-sweeps"


def softmax_product(p: Any, V: Any) -> Any:
    return np.stack([p * (v - p @ v) for v in V.T], axis=1)


def toeplitz(w: Any, n: int) -> Any:
    column, row = np.zeros(n - len(w) + 1), np.zeros(n)
    column[0], row[: len(w)] = w[0], w
    return scipy.linalg.toeplitz(column, row)


def greedy(pattern: Any) -> Any:
    rows = [set(np.flatnonzero(pattern[:, j])) for j in range(pattern.shape[1])]
    colors: list[int] = []
    for j in range(len(rows)):
        c = 0
        while any(colors[k] == c and rows[k] & rows[j] for k in range(j)):
            c += 1
        colors.append(c)
    return np.array(colors)


def recover(B: Any, colors: Any, pattern: Any) -> Any:
    rows, columns = pattern.nonzero()
    return csr_array((B[rows, colors[columns]], (rows, columns)), shape=pattern.shape)


def newton(f: Any, jacobian: Any, y0: Any, h: float, steps: int = 20, slip: str = "") -> Any:
    """Newton's method as in a textbook, with a slip."""
    identity, y, frozen = eye_array(len(y0)), y0, jacobian(y0)
    for _ in range(steps):
        J = frozen if slip == "frozen" else jacobian(y)
        G = {
            "y for y0": lambda y: -h * f(y),
            "h in G": lambda y: y - y0 - f(y),
            "sign in G": lambda y: y - y0 + h * f(y),
            "back in time": lambda y: y - y0 + h * f(y),
            "steady": f,
        }.get(slip, lambda y: y - y0 - h * f(y))(y)
        M = {
            "identity": -h * J,
            "h": identity - J,
            "sign": identity + h * J,
            "back in time": identity + h * J,
            "J": J,
            "steady": J,
        }.get(slip, identity - h * J)
        y = y + spsolve(M.tocsc(), G) if slip == "plus" else y - spsolve(M.tocsc(), G)
    return y


def slipped(slip: str, steps: int) -> Any:
    return lambda f, jacobian, y0, h: newton(f, jacobian, y0, h, steps, slip)


def fixed_point(f: Any, jacobian: Any, y0: Any, h: float) -> Any:
    y = y0
    for _ in range(4):
        y = y0 + h * f(y)
    return y


def trapezoidal(f: Any, jacobian: Any, y0: Any, h: float) -> Any:
    return newton(f, jacobian, y0 + h / 2 * f(y0), h / 2)


def dense_newton(f: Any, jacobian: Any, y0: Any, h: float) -> Any:
    y = y0
    for _ in range(20):
        y = y - np.linalg.solve(np.eye(len(y)) - h * jacobian(y).toarray(), y - y0 - h * f(y))
    return y


RIGHT: dict[str, Any] = {
    SOFTMAX: softmax_product,
    TOEPLITZ: toeplitz,
    COLORING: greedy,
    RECOVER: recover,
    NEWTON: newton,
    COUNT: [1, 3, 10, 3, 1, 4],
}


def full_softmax(p: Any, V: Any) -> Any:
    return (np.diag(p) - np.outer(p, p)) @ V


def placed(w: Any, rows: int, n: int, first: int = 0) -> Any:
    """Row i has w from column i + first on."""
    T = np.zeros((rows, n))
    for (i, j), _ in np.ndenumerate(T):
        if 0 <= j - i - first < len(w):
            T[i, j] = w[j - i - first]
    return T


def circulant(w: Any, n: int) -> Any:
    return np.stack([np.roll(np.pad(w, (0, n - len(w))), i) for i in range(n)])


def by_neighbours(pattern: Any) -> Any:
    colors = [0]
    for j in range(1, pattern.shape[1]):
        touching = (pattern[:, j] & pattern[:, j - 1]).any()
        colors.append(1 if touching and colors[-1] == 0 else 0)
    return np.array(colors)


def one_more_than_all(pattern: Any) -> Any:
    colors: list[int] = []
    for j in range(pattern.shape[1]):
        near = [colors[k] for k in range(j) if (pattern[:, j] & pattern[:, k]).any()]
        colors.append(max(near) + 1 if near else 0)
    return np.array(colors)


def how_many_neighbours(pattern: Any) -> Any:
    colors: list[int] = []
    for j in range(pattern.shape[1]):
        colors.append(len({colors[k] for k in range(j) if np.any(pattern[:, j] * pattern[:, k])}))
    return np.array(colors)


def inverted(pattern: Any) -> Any:
    colors: list[int] = []
    for j in range(pattern.shape[1]):
        taken = {colors[k] for k in range(j) if not (pattern[:, j] & pattern[:, k]).any()}
        colors.append(min(set(range(j + 1)) - taken))
    return np.array(colors)


def colors_as_columns(B: Any, colors: Any, pattern: Any) -> Any:
    J = lil_array(pattern.shape)
    for i, j in zip(*pattern.nonzero(), strict=True):
        J[i, colors[j]] = B[i, colors[j]]
    return J.tocsr()


def color_of_the_row(B: Any, colors: Any, pattern: Any) -> Any:
    J = np.zeros(pattern.shape)
    for i, j in zip(*pattern.nonzero(), strict=True):
        J[i, j] = B[i, colors[i]]
    return J


def column_order(B: Any, colors: Any, pattern: Any) -> Any:
    columns, rows = pattern.T.tocsr().nonzero()
    return csr_array((B[rows, colors[columns]], pattern.nonzero()), shape=pattern.shape)


# exercise, wrong answer, a word that only its own diagnosis contains
WRONG: list[tuple[str, Any, str]] = [
    (SOFTMAX, lambda p, V: np.array([pi * row for pi, row in zip(p, V, strict=True)]), "diag(p) V alone"),
    (SOFTMAX, lambda p, V: np.outer(p, p @ V), "p (pᵀV) alone"),
    (SOFTMAX, lambda p, V: p[:, None] * (V + p @ V), "is added"),
    (SOFTMAX, lambda p, V: p[:, None] * (p @ V - V), "sign of everything"),
    (SOFTMAX, lambda p, V: p[:, None] * V - p[:, None] ** 2 * V, "only the diagonal"),
    (SOFTMAX, lambda p, V: p[:, None] * V - p[:, None] * np.sum(p @ V), "one number for each column"),
    (SOFTMAX, lambda p, V: p[:, None] * (V - np.mean(V, axis=0)), "plain mean"),
    (SOFTMAX, lambda p, V: p[:, None] * V - np.outer(p, V.sum(axis=0)), "plain sum"),
    (SOFTMAX, lambda p, V: V - p @ V, "log-softmax"),
    (SOFTMAX, lambda p, V: p[:, None] * V - p @ V, "in the second term"),
    (SOFTMAX, lambda p, V: p * V - np.outer(p, p @ V), "raised ValueError"),
    (SOFTMAX, lambda p, V: softmax_product(p, V)[:, 0], "shape"),
    (SOFTMAX, full_softmax, "matrix n × n"),
    (TOEPLITZ, lambda w, n: toeplitz(w[::-1], n), "wrong way"),
    (TOEPLITZ, lambda w, n: toeplitz(w, n).T, "transposed"),
    (TOEPLITZ, lambda w, n: np.stack([np.correlate(e, w, "same") for e in np.eye(n)], axis=1), 'mode="same"'),
    (TOEPLITZ, lambda w, n: np.stack([np.correlate(e, w, "full") for e in np.eye(n)], axis=1), 'mode="full"'),
    (TOEPLITZ, lambda w, n: diags_array(w, offsets=range(len(w)), shape=(n, n)), "lost a part"),
    (TOEPLITZ, circulant, "circulant"),
    (TOEPLITZ, lambda w, n: toeplitz(w, n)[:-1], "last row is missing"),
    (TOEPLITZ, lambda w, n: placed(w, n - len(w) + 1, n, first=1), "one column too far"),
    (TOEPLITZ, lambda w, n: np.flipud(toeplitz(w, n)), "reverse order"),
    (TOEPLITZ, lambda w, n: -toeplitz(w, n), "sign"),
    (COLORING, by_neighbours, "the one beside it only"),
    (COLORING, lambda pattern: 1 + greedy(pattern), "counted from 1"),
    (COLORING, lambda pattern: greedy(pattern.T), "colours of the rows"),
    (COLORING, one_more_than_all, "one more than the largest"),
    (COLORING, how_many_neighbours, "number of its neighbours' colours"),
    (COLORING, lambda pattern: list(range(pattern.shape[1])), "nothing is saved"),
    (COLORING, inverted, "wrong way round"),
    (COLORING, lambda pattern: np.arange(pattern.shape[1]) % max(pattern.sum(axis=1)), "bands only"),
    (COLORING, lambda pattern: greedy(pattern).astype(float), "wanted integers"),
    (COLORING, lambda pattern: greedy(pattern) - 1, "has the colour -1"),
    (COLORING, lambda pattern: 2 * greedy(pattern), "colour 1 is left out"),
    (COLORING, lambda pattern: 0 * greedy(pattern), "both have the colour 0, and they share row 0"),
    (COLORING, lambda pattern: np.arange(pattern.shape[1])[::-1], "more than needed"),
    (COLORING, lambda pattern: greedy(pattern)[:-1], "shape"),
    (RECOVER, lambda B, colors, pattern: B[:, colors], "belongs to one column of its colour"),
    (RECOVER, color_of_the_row, "colour of the row"),
    (RECOVER, colors_as_columns, "taken for columns"),
    (RECOVER, lambda B, colors, pattern: recover(B, colors, pattern).T, "transposed"),
    (RECOVER, lambda B, colors, pattern: B, "B itself"),
    (RECOVER, lambda B, colors, pattern: pattern, "this is the pattern"),
    (RECOVER, column_order, "wrong places"),
    (RECOVER, lambda B, colors, pattern: recover(B, 0 * colors, pattern), "entries differ"),
    (RECOVER, lambda B, colors, pattern: B[pattern.nonzero()], "raised IndexError"),
    (NEWTON, lambda f, jacobian, y0, h: y0 + h * f(y0), "explicit step"),
    (NEWTON, slipped("", 1), "single iteration"),
    (NEWTON, slipped("", 2), "iteration 2 of Newton's method"),
    (NEWTON, slipped("h in G", 8), "the h is missing in G(y)"),
    (NEWTON, lambda f, jacobian, y0, h: newton(f, jacobian, y0, 1.0), "missing everywhere"),
    (NEWTON, trapezoidal, "trapezoidal"),
    (NEWTON, lambda f, jacobian, y0, h: newton(f, jacobian, y0, h) - y0, "this is the update"),
    (NEWTON, dense_newton, "full matrix n × n"),
    (NEWTON, slipped("identity", 8), "identity is missing"),
    (NEWTON, slipped("h", 8), "the h is missing in the matrix"),
    (NEWTON, slipped("sign", 8), "sign of h J"),
    (NEWTON, slipped("plus", 8), "sign of the update"),
    (NEWTON, slipped("J", 8), "J alone"),
    (NEWTON, fixed_point, "without a matrix"),
    (NEWTON, slipped("y for y0", 8), "in place of y0"),
    (NEWTON, slipped("back in time", 8), "back in time"),
    (NEWTON, slipped("sign in G", 8), "and right in the matrix"),
    (NEWTON, slipped("steady", 8), "a state that stays"),
    (NEWTON, lambda f, jacobian, y0, h: newton(f, jacobian, y0, h) * np.nan, "not finite"),
    (NEWTON, lambda f, jacobian, y0, h: newton(f, jacobian, y0, h / 2), "does not solve the equation"),
    (COUNT, [1, 3, 10, 1000, 1, 4], "full row makes"),
    (COUNT, [1, 3, 10, 2, 1, 4], "do not separate"),
    (COUNT, [1, 3, 64, 3, 1, 4], "fewer outputs than inputs"),
    (COUNT, [1, 3, 320, 3, 1, 4], "row r of all"),
    (COUNT, [1, 3, 1, 3, 1, 4], "10 outputs each"),
    (COUNT, [1, 2, 10, 3, 1, 4], "three entries"),
    (COUNT, [1, 3, 10, 3, 1, 6], "from left to right"),
    (COUNT, [1, 3, 10, 3, 10**5, 4], "it is one row"),
    (COUNT, [10**6, 3, 10, 3, 1, 4], "depends on x_i alone"),
    (COUNT, [1, 3, 64, 1000, 10**5, 4], "column sweeps only"),
    (COUNT, [1, 3, 10, 3, 1, 5], "1 of 6 entries"),
    (COUNT, [1, 3, 10, 3, 1], "shape"),
]


test_right_answers_pass, test_wrong_answers_are_told, test_wrong_answers_differ = answer_tests(EXERCISE, RIGHT, WRONG)


@pytest.mark.parametrize(
    "kind", [csr_array, csr_matrix, coo_array, lambda J: J.toarray(), lambda J: J.toarray().tolist()]
)
def test_matrices_may_be_sparse_or_dense(kind: Any) -> None:
    assert judge(EXERCISE[RECOVER], lambda *a: kind(recover(*a))).status == "right"
    assert judge(EXERCISE[TOEPLITZ], lambda w, n: kind(csr_array(toeplitz(w, n)))).status == "right"


def test_recovered_entries_that_are_zero_may_be_stored_or_not() -> None:
    def pruned(*arguments: Any) -> Any:
        J = recover(*arguments)
        J.eliminate_zeros()
        return J

    assert recover(*EXERCISE[RECOVER].inputs[0]).nnz > pruned(*EXERCISE[RECOVER].inputs[0]).nnz
    assert judge(EXERCISE[RECOVER], pruned).status == "right"


# -- colourings: any that is no worse than greedy ----------------------------------------------------------------------


def from_the_right(pattern: Any) -> Any:
    return greedy(pattern[:, ::-1])[::-1]


def longest_first(pattern: Any) -> Any:
    order = np.argsort(-pattern.sum(axis=0), kind="stable")
    colors = np.empty(len(order), dtype=int)
    colors[order] = greedy(pattern[:, order])
    return colors


@pytest.mark.parametrize(
    "color", [from_the_right, longest_first, lambda pattern: greedy(pattern).max() - greedy(pattern)]
)
def test_another_colouring_passes_too(color: Any) -> None:
    (pattern,) = EXERCISE[COLORING].inputs[2]
    assert not np.array_equal(color(pattern), greedy(pattern))
    assert judge(EXERCISE[COLORING], color).status == "right"


@pytest.mark.parametrize("index", range(len(EXERCISE[COLORING].inputs)))
def test_each_clash_of_colours_is_found(index: int) -> None:
    """Give two columns that share a row one colour: the answer is refused, wherever they stand."""
    examine, (pattern,) = EXERCISE[COLORING].examine, EXERCISE[COLORING].inputs[index]
    colors = greedy(pattern)
    assert examine is not None
    assert examine(colors, pattern) is None
    for j, k in product(range(pattern.shape[1]), repeat=2):
        if j != k and (pattern[:, j] & pattern[:, k]).any():
            clash = colors.copy()
            clash[j] = clash[k]
            assert "both have the colour" in str(examine(clash, pattern))


# -- memory ------------------------------------------------------------------------------------------------------------


def test_a_matrix_that_is_built_is_weighed() -> None:
    told_of = told(EXERCISE[SOFTMAX], full_softmax)
    assert "the result is right, but called with an array of float64 with shape (1200,)" in told_of
    assert "MB at once" in told_of


def test_products_column_by_column_are_light_enough() -> None:
    def with_lists(p: Any, V: Any) -> Any:
        means = [sum(pi * vi for pi, vi in zip(p, v, strict=True)) for v in V.T]
        return [[pi * (x - mean) for x, mean in zip(row, means, strict=True)] for pi, row in zip(p, V, strict=True)]

    assert judge(EXERCISE[SOFTMAX], with_lists).status == "right"
    assert judge(EXERCISE[SOFTMAX], lambda p, V: np.einsum("i,ik->ik", p, V) - np.outer(p, p @ V)).status == "right"


# -- Newton's method ---------------------------------------------------------------------------------------------------


def test_other_ways_to_the_step_pass() -> None:
    def by_root(f: Any, jacobian: Any, y0: Any, h: float) -> Any:
        y = y0
        for _ in range(3):  # again from where it stopped, for the last digits
            y = root(lambda y: y - y0 - h * f(y), y, method="krylov", tol=1e-11, options={"maxiter": 200}).x
        return y

    def until_it_rests(f: Any, jacobian: Any, y0: Any, h: float) -> Any:
        y, update = y0, y0
        while np.linalg.norm(update) > 1e-10 or np.linalg.norm(y - y0 - h * f(y)) > 1e-11:  # a loop that has to end
            update = spsolve((eye_array(len(y)) - h * jacobian(y)).tocsc(), y - y0 - h * f(y))
            y = y - update
        return y

    assert judge(EXERCISE[NEWTON], until_it_rests).status == "right"
    examine = EXERCISE[NEWTON].examine
    assert examine is not None
    for arguments in EXERCISE[NEWTON].inputs[:3]:
        assert examine(by_root(*arguments), *arguments) is None


@pytest.mark.parametrize("slip", ["h", "identity", "sign", "plus", "J", "y for y0"])
def test_a_slip_is_told_however_often_it_is_iterated(slip: str) -> None:
    few, many = (told(EXERCISE[NEWTON], slipped(slip, steps)) for steps in (3, 20))
    start = "for the first input that differs, "  # where the others explode and cannot tell
    assert few.removeprefix(start) == many.removeprefix(start)


def test_the_inputs_can_tell() -> None:
    for p, V in EXERCISE[SOFTMAX].inputs:
        assert np.isclose(p.sum(), 1)
        assert len(p) == len(V)
    for w, n in EXERCISE[TOEPLITZ].inputs:
        assert not np.allclose(w, w[::-1]), "with symmetric weights the flip would not show"
        assert len(w) < n
    for B, colors, pattern in EXERCISE[RECOVER].inputs:
        S = np.zeros((len(colors), B.shape[1]))
        S[np.arange(len(colors)), colors] = 1
        assert (pattern.toarray() @ S).max() == 1, "two columns of one colour share a row"
        np.testing.assert_allclose(recover(B, colors, pattern) @ S, B)
    for f, jacobian, y0, h in EXERCISE[NEWTON].inputs:
        y, J = newton(f, jacobian, y0, h), jacobian(y0).toarray()
        v = np.linspace(-1, 1, len(y0))
        np.testing.assert_allclose(
            J @ v, (f(y0 + 1e-6 * v) - f(y0 - 1e-6 * v)) / 2e-6, rtol=1e-4, atol=1e-6 * np.abs(J).max()
        )
        assert abs(1 - h) > 1.1, "without h in the matrix the iteration might converge all the same"
        assert np.linalg.norm(y0 + h * f(y0) - y) > 0.3 * np.linalg.norm(y), "the explicit step would be a fair guess"


# -- the counts of sweeps, by trying all colourings of small cases -----------------------------------------------------


def readable(pattern: Any, row_colors: Any, column_colors: Any) -> bool:
    """Whether each entry stands alone in the sweep of its row's colour or of its column's; -1 is swept by none."""
    for i, j in np.argwhere(pattern):
        by_row = row_colors[i] >= 0 and sum(pattern[row_colors == row_colors[i], j]) == 1
        by_column = column_colors[j] >= 0 and sum(pattern[i, column_colors == column_colors[j]]) == 1
        if not (by_row or by_column):
            return False
    return True


def fewest(pattern: Any) -> int:
    m, n = pattern.shape
    for sweeps in range(1, m + n + 1):
        for rows in range(sweeps + 1):
            for row_colors in product(range(-1, rows), repeat=m):
                for column_colors in product(range(-1, sweeps - rows), repeat=n):
                    if readable(pattern, np.array(row_colors), np.array(column_colors)):
                        return sweeps
    raise AssertionError


def test_the_counts_are_what_the_answer_says() -> None:
    arrowhead = np.eye(4, dtype=bool)
    arrowhead[0] = arrowhead[:, 0] = True
    tridiagonal = abs(np.subtract.outer(np.arange(5), np.arange(5))) <= 1
    batch = np.kron(np.eye(2, dtype=bool), np.ones((1, 3), dtype=bool))
    batch_of_two_outputs = np.kron(np.eye(1, dtype=bool), np.ones((2, 4), dtype=bool))
    found = [fewest(p) for p in (np.eye(4, dtype=bool), tridiagonal, batch, batch_of_two_outputs, arrowhead)]
    assert found == [1, 3, 1, 2, 3]
    assert fewest(np.ones((1, 6), dtype=bool)) == 1


def test_the_tube_takes_four_and_six_from_left_to_right() -> None:
    n = 12
    near, same = abs(np.subtract.outer(np.arange(n), np.arange(n))) <= 1, np.eye(n, dtype=bool)
    pattern = np.block([[near, same], [same, near]])
    assert pattern.sum(axis=1).max() == pattern.sum(axis=0).max() == 4, "no fewer than the longest row"
    i = np.arange(n)
    assert readable(pattern, np.full(2 * n, -1), np.concatenate([i % 4, (i + 2) % 4]))
    assert greedy(pattern).max() + 1 == 6
