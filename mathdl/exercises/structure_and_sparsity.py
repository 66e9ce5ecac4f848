"""The exercises of *Structure and sparsity*: products without a matrix, a convolution as one, colourings, a Newton step.

Truths come from complex steps, from one unit vector at a time, or from dense matrices; none repeats a solution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import splu

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[Any]
Map = Callable[[Array], Any]

_rng = np.random.default_rng(8)
_normal = _rng.standard_normal

# ----------------------------------------------------------------------------------- softmax: diagonal plus rank one


def _softmax(z: Array) -> Array:
    e = np.exp(z)
    return np.asarray(e / e.sum())


def _pushed(p: Array, V: Array) -> Array:
    """J V, for softmax at a z with softmax(z) = p: the derivative by t, at t = 0, of softmax(z + V t)."""
    return numeric.jacobian(lambda t: _softmax(np.log(p) + V @ t), np.zeros(V.shape[1]), method="complex").value


def _probabilities(n: int) -> Array:
    return _softmax(_normal(n))


_SOFTMAX_PRODUCT = Exercise(
    name="softmax-diagonal-plus-low-rank",
    task="Return J V for the Jacobian J = diag(p) − p pᵀ of softmax, without a matrix n × n.",
    truth=_pushed,
    inputs=(
        (np.array([0.2, 0.5, 0.3]), np.array([[1.0], [-2.0], [0.5]])),
        (_probabilities(6), _normal((6, 3))),
        (_probabilities(4), _normal((4, 4))),
        (_probabilities(1200), _normal((1200, 2))),
    ),
    derivative=True,
    memory=1_000_000,
    too_large="a matrix n × n is built on the way. J V = diag(p) V − p (pᵀV) needs nothing larger than V",
    hints=(
        "Take the two terms of J = diag(p) − p pᵀ one by one. What does diag(p) do to a column of V?",
        "diag(p) V multiplies row i of V by p_i. In p pᵀV take pᵀV first: one number for each column.",
        "p[:, None] * V − np.outer(p, p @ V)",
    ),
    mistakes={
        "this is diag(p) V alone; the term of rank one, p (pᵀV), has to be subtracted": lambda p, V: p[:, None] * V,
        "this is p (pᵀV) alone, the term that has to be subtracted from diag(p) V": lambda p, V: np.outer(p, p @ V),
        "the term of rank one is added; J = diag(p) − p pᵀ": lambda p, V: p[:, None] * V + np.outer(p, p @ V),
        "the sign of everything is wrong: this is p (pᵀV) − diag(p) V": lambda p, V: (
            np.outer(p, p @ V) - p[:, None] * V
        ),
        "of p pᵀ only the diagonal is kept, so that p (1 − p) multiplies each row alone, as for the logistic function": lambda p, V: (
            (p * (1 - p))[:, None] * V
        ),
        "this subtracts the sum over all columns from each of them; pᵀV has one number for each column": lambda p, V: (
            p[:, None] * (V - np.sum(p[:, None] * V))
        ),
        "this subtracts the plain mean of each column; the mean in J is weighted by p: pᵀV": lambda p, V: (
            p[:, None] * (V - V.mean(axis=0))
        ),
        "this subtracts the plain sum of each column; the rows are weighted by p: pᵀV": lambda p, V: (
            p[:, None] * (V - V.sum(axis=0))
        ),
        "the factor p in front is missing: V − pᵀV is the push of log-softmax": lambda p, V: V - p @ V,
        "in the second term the factor p in front is missing: diag(p) V − p (pᵀV)": lambda p, V: p[:, None] * V - p @ V,
        "p multiplies entry by entry along the wrong axis; row i of V belongs to p_i: p[:, None] * V": lambda p, V: (
            np.resize(p, V.shape[1]) * V - np.outer(p, p @ V)
        ),
    },
)

# -------------------------------------------------------------------------------------------- a convolution as a matrix


def _columns(product: Map, n: int) -> Array:
    """The matrix of a linear map, from its products with the unit vectors."""
    return np.stack([product(e) for e in np.eye(n)], axis=1)


def _bands(w: Array, n: int, rows: int, wrap: bool = False, shift: int = 0) -> Array:
    """Row i has w from column i + shift on; what would stand beyond the margins is cut off, or wrapped around."""
    T = np.zeros((rows, n))
    for i in range(rows):
        for j, weight in enumerate(w):
            if wrap or 0 <= i + j + shift < n:
                T[i, (i + j + shift) % n] += weight
    return T


_TOEPLITZ = Exercise(
    name="convolution-as-toeplitz",
    task='Return the matrix T with T @ x = np.correlate(x, w, "valid") for each x of length n.',
    truth=lambda w, n: _columns(lambda x: np.correlate(x, w, "valid"), n),
    inputs=((np.array([1.0, 2.0, 4.0]), 6), (_normal(4), 9), (_normal(2), 3)),
    derivative=True,
    hints=(
        "How many outputs are there, and which entries of x does the first of them use? And the second?",
        "y_i = Σ_j w_j x_{i+j}, for i from 0 to n − k: so T has the shape (n − k + 1, n), and row i has w from column i on.",
        "T = np.zeros((n − k + 1, n)), then for each i: T[i, i : i + k] = w. Or scipy.sparse.diags_array with offsets=range(k).",
    ),
    mistakes={
        "the weights run the wrong way: this is np.convolve, which reverses w; np.correlate does not": lambda w, n: (
            _columns(lambda x: np.convolve(x, w, "valid"), n)
        ),
        "T is transposed: it has a row for each output and a column for each input, (n − k + 1, n)": lambda w, n: (
            _bands(w, n, n - len(w) + 1).T
        ),
        'T is n × n, as for mode="same", with outputs where w sticks out over the margins; "valid" has only the n − k + 1 full overlaps': lambda w, n: (
            _bands(w, n, n, shift=-(len(w) // 2))
        ),
        "T has n rows, and the last k − 1 have lost a part of w; only the n − k + 1 rows with all of w belong to it": lambda w, n: (
            _bands(w, n, n)
        ),
        'T has n + k − 1 rows, as for mode="full", with every partial overlap; "valid" has only the n − k + 1 full ones': lambda w, n: (
            _bands(w, n, n + len(w) - 1, shift=1 - len(w))
        ),
        "T is circulant: its last rows wrap around to the left margin. A valid correlation stops before": lambda w, n: (
            _bands(w, n, n, wrap=True)
        ),
        "the last row is missing: w fits into n columns at n − k + 1 places, not n − k": lambda w, n: _bands(
            w, n, n - len(w)
        ),
        "everything is one column too far to the right: row 0 begins in column 0": lambda w, n: _bands(
            w, n, n - len(w) + 1, shift=1
        ),
        "the rows stand in reverse order: row 0 belongs to the left end of x": lambda w, n: _bands(
            w, n, n - len(w) + 1
        )[::-1],
    },
)

# ---------------------------------------------------------------------------------------------------- greedy colouring


def _conflicts(pattern: Array) -> Array:
    """Which columns share a row with which others."""
    counts = pattern.astype(int)
    shared = counts.T @ counts > 0
    np.fill_diagonal(shared, False)
    return np.asarray(shared)


def _color(conflicts: Array, order: Any = None, choose: Callable[[set[int]], int] | None = None) -> Array:
    """Colour one by one; ``choose`` gets the colours that are taken by neighbours."""
    colors = np.full(len(conflicts), -1)
    for j in range(len(conflicts)) if order is None else order:
        taken = {int(c) for c in colors[conflicts[j]] if c >= 0}
        colors[j] = min(set(range(len(taken) + 1)) - taken) if choose is None else choose(taken)
    return colors


def _touching(pattern: Array) -> Array:
    """Conflicts with the column to the left and to the right only."""
    shared = _conflicts(pattern)
    return np.asarray(np.triu(np.tril(shared, 1), -1))


def _examine_coloring(colors: Any, pattern: Array) -> str | None:
    """Any colouring with the colours 0, 1, ... will do, if no order of the columns could have made greedy use more."""
    colors, m, n = np.asarray(colors), *pattern.shape
    shared = _conflicts(pattern)
    bound = 1 + int(shared.sum(axis=1).max())
    here = f"for a pattern of shape ({m}, {n})"
    if colors.dtype.kind not in "iu":
        return f"the colours are of type {colors.dtype}; wanted integers, since they number the columns of a matrix"
    if colors.min() < 0:
        return f"{here} column {int(np.argmin(colors))} has the colour {colors.min()}; wanted are 0, 1, 2, …"
    for j, k in np.argwhere(np.triu(shared)):
        if colors[j] == colors[k]:
            row = int(np.argmax(pattern[:, j] & pattern[:, k]))
            return f"{here} columns {j} and {k} both have the colour {colors[j]}, and they share row {row}"
    if len(np.unique(colors)) > bound:
        return f"{here} no two columns of one colour share a row, but {len(np.unique(colors))} colours are more than needed: give each column the smallest that its neighbours leave free, and {bound} are enough"
    if len(np.unique(colors)) <= colors.max():
        missing = min(set(range(n)) - set(colors.tolist()))
        return f"{here} the colour {missing} is left out: count 0, 1, 2, … without gaps"
    return None


def _tridiagonal(n: int) -> Array:
    i = np.arange(n)
    return np.asarray(abs(i[:, None] - i) <= 1)


def _arrowhead(n: int) -> Array:
    pattern = np.eye(n, dtype=bool)
    pattern[:, -1] = pattern[-1] = True
    return pattern


def _scattered(m: int, n: int, density: float) -> Array:
    pattern = _rng.random((m, n)) < density
    pattern[:, n // 2] = False
    return pattern


# conflicts 0–2–3–1 in a chain: from left to right the colours are 0 0 1 2, though two colours are enough
_PATH = np.array([[True, False, True, False], [False, False, True, True], [False, True, False, True]])

_GREEDY_COLORING = Exercise(
    name="greedy-coloring",
    task="Colour the columns of a boolean pattern from left to right so that no two of one colour share a row.",
    truth=lambda pattern: _color(_conflicts(pattern)),
    inputs=(
        (_tridiagonal(7),),
        (_arrowhead(5),),
        (_PATH,),
        (_scattered(8, 8, 0.3),),
        (_scattered(5, 12, 0.25),),
        (_scattered(12, 6, 0.2),),
    ),
    examine=_examine_coloring,
    hints=(
        "Two columns share a row if pattern[:, j] & pattern[:, k] has a True. Which colours are not free for column j?",
        "For column j collect the colours of all earlier columns k < j that share a row with it, in a set. Its colour is the smallest of 0, 1, 2, … that is not in the set.",
        "taken = {colors[k] for k in range(j) if (pattern[:, j] & pattern[:, k]).any()}, then count c up from 0 while c in taken.",
    ),
    mistakes={
        "each column is compared with the one beside it only; columns further apart can share a row as well": lambda pattern: (
            _color(_touching(pattern))
        ),
        "the colours are counted from 1; begin with 0, so that they can number the columns of a matrix": lambda pattern: (
            _color(_conflicts(pattern)) + 1
        ),
        "these are colours of the rows, so that no two of one colour share a column; it is the columns that travel together": lambda pattern: (
            _color(_conflicts(pattern.T))
        ),
        "each column gets one more than the largest colour of its neighbours; a smaller one may be free": lambda pattern: (
            _color(_conflicts(pattern), choose=lambda taken: max(taken, default=-1) + 1)
        ),
        "each column gets the number of its neighbours' colours; that number may be taken itself: look for the smallest free one": lambda pattern: (
            _color(_conflicts(pattern), choose=len)
        ),
        "every column has a colour of its own: no two of one colour share a row, but nothing is saved": lambda pattern: (
            np.arange(pattern.shape[1])
        ),
        "the test is the wrong way round: columns that share a row get one colour, and others get different ones": lambda pattern: (
            _color(~_conflicts(pattern) & ~np.eye(pattern.shape[1], dtype=bool))
        ),
        "the colours repeat with the width of the longest row; that is right for bands only": lambda pattern: (
            np.arange(pattern.shape[1]) % pattern.sum(axis=1).max()
        ),
    },
)

# --------------------------------------------------------------------------------------- from the sweeps to the matrix


def _sweeps(pattern: Array, colors: list[int]) -> tuple[Array, Array, csr_array]:
    """A random Jacobian with this pattern, one of its entries zero, compressed."""
    J = np.where(pattern, _normal(pattern.shape), 0.0)
    J[tuple(np.argwhere(pattern)[1])] = 0.0
    S = np.zeros((pattern.shape[1], max(colors) + 1))
    S[np.arange(len(colors)), colors] = 1.0
    return J @ S, np.array(colors), csr_array(pattern)


def _recovered(B: Array, colors: Array, pattern: csr_array) -> Array:
    return np.where(pattern.toarray(), B[:, colors], 0.0)


def _filled(read: Callable[[Array, Array, Array, Array], tuple[Array, Array, Array]]) -> Callable[..., Array]:
    """The matrix with the entries, rows and columns that ``read`` makes of B, the colours and the pattern's places."""

    def recover(B: Array, colors: Array, pattern: csr_array) -> Array:
        J = np.zeros(pattern.shape)
        values, rows, columns = read(B, colors, *np.nonzero(pattern.toarray()))
        J[rows, columns] = values
        return J

    return recover


def _by_columns(B: Array, colors: Array, rows: Array, columns: Array) -> tuple[Array, Array, Array]:
    order = np.lexsort((rows, columns))
    return B[rows[order], colors[columns[order]]], rows, columns


# shorter and wider than high, so that a row's number is a column's number too
_GAPS = np.array(
    [[1, 0, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 1, 0], [0, 0, 0, 1, 1, 0, 0], [1, 0, 0, 0, 0, 1, 1]], dtype=bool
)

_RECOVER = Exercise(
    name="recover-from-sweeps",
    task="Return J from B = J S, the colours of its columns and its pattern.",
    truth=_recovered,
    inputs=(
        _sweeps(_tridiagonal(6), [0, 1, 2, 0, 1, 2]),
        _sweeps(_GAPS, [0, 0, 0, 1, 0, 2, 1]),
        _sweeps(np.eye(4, 6, dtype=bool), [0] * 6),
    ),
    hints=(
        "Column c of B is the sum of the columns of J that have the colour c. How many of them have an entry in row i?",
        "Only one, so nothing was added to it: J[i, j] = B[i, colors[j]] wherever the pattern has an entry (i, j), and 0 elsewhere.",
        "rows, columns = pattern.nonzero(), then csr_array((B[rows, colors[columns]], (rows, columns)), shape=pattern.shape)",
    ),
    mistakes={
        "B[:, colors] fills entries where the pattern has none: an entry of B belongs to one column of its colour, not to all of them": lambda B, colors, pattern: (
            B[:, colors]
        ),
        "the colour of the row was taken; the sweep that holds entry (i, j) is the colour of its column, colors[j]": _filled(
            lambda B, colors, rows, columns: (B[rows, np.minimum(colors[rows], B.shape[1] - 1)], rows, columns)
        ),
        "the colours were taken for columns: all entries stand in the first columns of J. B is read at colors[j], and J is written at j": _filled(
            lambda B, colors, rows, columns: (B[rows, colors[columns]], rows, colors[columns])
        ),
        "J is transposed: entry (i, j) belongs in row i": lambda B, colors, pattern: _recovered(B, colors, pattern).T,
        "these are the colours' sums as they came, B itself; each entry has to go to its column": lambda B, colors, pattern: (
            B
        ),
        "this is the pattern, ones where J has entries; their values stand in B": lambda B, colors, pattern: (
            pattern.toarray()
        ),
        "the right values, in the wrong places: they were read column by column and written row by row": _filled(
            _by_columns
        ),
        "every row has its entries from the first columns of B, in the order of the sweeps; entry (i, j) stands in B[i, colors[j]]": _filled(
            lambda B, colors, rows, columns: (B[rows, columns % B.shape[1]], rows, columns)
        ),
    },
)

# ------------------------------------------------------------------------------------------- a step of implicit Euler


class _Chemistry:
    """Diffusion on a line with fixed ends, a source, and a decay with the cube of the concentration."""

    def __init__(self, n: int) -> None:
        self.A = csr_array(diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(n, n)) * 20.0)

    def f(self, y: Array) -> Array:
        return np.asarray(self.A @ y - 4 * y**3 + 5)

    def jacobian(self, y: Array) -> csr_array:
        return csr_array(self.A - diags_array(12 * y**2))


def _linear(A: csr_array) -> tuple[Map, Map]:
    return lambda y: A @ y, lambda y: A.copy()


def _pendulum(y: Array) -> Array:
    return np.array([y[1], -np.sin(y[0]) - 0.3 * y[1]])


def _pendulum_jacobian(y: Array) -> csr_array:
    return csr_array(np.array([[0.0, 1.0], [-np.cos(y[0]), -0.3]]))


Residual = Callable[[Array, Array, Map, float], Array]
Matrix = Callable[[csr_array, csr_array, float], csr_array]


def _near(a: Array, b: Array, rtol: float) -> bool:
    return bool(np.max(np.abs(a - b)) <= rtol * np.max(np.abs(b)))


def _euler(y: Array, y0: Array, f: Map, h: float) -> Array:
    return np.asarray(y - y0 - h * f(y))


def _iterates(residual: Residual, matrix: Matrix, f: Map, jacobian: Map, y0: Array, h: float) -> list[Array]:
    """The first steps y − matrix⁻¹ residual from y0 on; fewer of them if they explode or stall."""
    identity, y, found = eye_array(len(y0), format="csr"), y0, []
    for _ in range(25):
        try:
            y = y - splu(matrix(identity, csr_array(jacobian(y)), h).tocsc()).solve(residual(y, y0, f, h))
        except RuntimeError:  # exactly singular
            break
        if not np.all(np.abs(y) < 1e50):
            break
        found.append(y)
    return found


def _implicit_step(f: Map, jacobian: Map, y0: Array, h: float) -> Array:
    """The same equation solved for the new y itself: (I − h J) y_new = y0 + h (f(y) − J y)."""
    identity, y = eye_array(len(y0), format="csr"), y0
    for _ in range(40):
        J = jacobian(y)
        y, before = splu((identity - h * J).tocsc()).solve(y0 + h * (f(y) - J @ y)), y
        if _near(y, before, 1e-14):
            break
    return y


# What else is iterated in place of y − (I − h J)⁻¹ (y − y0 − h f(y)), however many times: told by any of its iterates.
_SLIPS: dict[str, tuple[Residual, Matrix]] = {
    "the identity is missing in the matrix: the Jacobian of G(y) = y − y0 − h f(y) is I − h J": (
        _euler,
        lambda identity, J, h: -h * J,
    ),
    "the h is missing in the matrix: the Jacobian of G(y) = y − y0 − h f(y) is I − h J, not I − J": (
        _euler,
        lambda identity, J, h: identity - J,
    ),
    "the sign of h J is wrong in the matrix: the Jacobian of G(y) = y − y0 − h f(y) is I − h J": (
        _euler,
        lambda identity, J, h: identity + h * J,
    ),
    "the sign of the update is wrong: Newton's step is y − (I − h J)⁻¹ G(y)": (
        _euler,
        lambda identity, J, h: h * J - identity,
    ),
    "the matrix is J alone; the Jacobian of G(y) = y − y0 − h f(y) is I − h J": (_euler, lambda identity, J, h: J),
    "this repeats y = y0 + h f(y) without a matrix, which explodes for a large h": (
        _euler,
        lambda identity, J, h: identity,
    ),
    "G has the y of the last iterate in place of y0, so that every iteration is a step in time of its own": (
        lambda y, y0, f, h: -h * f(y),
        lambda identity, J, h: identity - h * J,
    ),
    "the sign of h is wrong, in G and in the matrix: this goes a step back in time": (
        lambda y, y0, f, h: y - y0 + h * f(y),
        lambda identity, J, h: identity + h * J,
    ),
    "the sign of h f(y) is wrong in G(y) = y − y0 − h f(y), and right in the matrix": (
        lambda y, y0, f, h: y - y0 + h * f(y),
        lambda identity, J, h: identity - h * J,
    ),
    "the h is missing in G(y) = y − y0 − h f(y); the matrix is right": (
        lambda y, y0, f, h: y - y0 - f(y),
        lambda identity, J, h: identity - h * J,
    ),
    "this looks for f(y) = 0, a state that stays; a step solves y − y0 − h f(y) = 0": (
        lambda y, y0, f, h: f(y),
        lambda identity, J, h: J,
    ),
}


@np.errstate(all="ignore")  # what explodes may overflow
def _examine_step(y1: Any, f: Map, jacobian: Map, y0: Array, h: float) -> str | None:
    y1 = np.asarray(y1)
    if _near(y1, _implicit_step(f, jacobian, y0, h), 1e-8):
        return None
    if not np.all(np.isfinite(y1)):
        return (
            "the result is not finite: the iteration has exploded. Is the matrix I − h J, and G(y) = y − y0 − h f(y)?"
        )
    for count, y in enumerate(_iterates(_euler, lambda identity, J, h: identity - h * J, f, jacobian, y0, h), 1):
        if _near(y1, y, 1e-9):
            return f"iteration {count} of Newton's method, where the tenth digit is not right yet: go on until the update is small"
    for sentence, slip in _SLIPS.items():
        if any(_near(y1, y, 1e-6) for y in _iterates(*slip, f, jacobian, y0, h)):
            return sentence
    size = np.linalg.norm(_euler(y1, y0, f, h))
    return f"this y does not solve the equation: y − y0 − h f(y) has the length {size:.2g}, and should be zero to ten digits"


def _trapezoidal(f: Map, jacobian: Map, y0: Array, h: float) -> Array:
    return _iterates(
        lambda y, y0, f, h: y - y0 - h / 2 * (f(y) + f(y0)),
        lambda identity, J, h: identity - h / 2 * J,
        *(f, jacobian, y0, h),
    )[-1]


_flow = csr_array(diags_array([3.0, -5.0, 1.0], offsets=[-1, 0, 1], shape=(5, 5)))
_short, _long = _Chemistry(30), _Chemistry(300)

_NEWTON_STEP = Exercise(
    name="newton-step",
    task="Return y1 with y1 − y0 − h f(y1) = 0 to ten digits, by Newton's method with a sparse solve.",
    truth=_implicit_step,
    inputs=(
        (*_linear(_flow), _normal(5), 4.0),
        (_short.f, _short.jacobian, _rng.random(30), 2.5),
        (_pendulum, _pendulum_jacobian, np.array([0.4, -0.2]), 2.2),
        (_long.f, _long.jacobian, np.sin(np.linspace(0.0, 3.0, 300)), 2.5),
    ),
    rtol=1e-8,
    examine=_examine_step,
    memory=500_000,
    too_large="a full matrix n × n is built on the way. Subtract from scipy.sparse.eye_array(n), not from np.eye(n), and solve with scipy.sparse.linalg.spsolve",
    hints=(
        "Call G(y) = y − y0 − h f(y). Newton's method repeats y ← y − G'(y)⁻¹ G(y). What is the Jacobian G'?",
        "G' = I − h J with J = jacobian(y), sparse again: scipy.sparse.eye_array(n) − h * jacobian(y). Begin with y = y0.",
        "for _ in range(20): y = y − spsolve((eye_array(n) − h * jacobian(y)).tocsc(), y − y0 − h * f(y))",
    ),
    mistakes={
        "this is the explicit step y0 + h f(y0); in the implicit one f is taken at y1, which has to be solved for": lambda f, jacobian, y0, h: (
            y0 + h * f(y0)
        ),
        "this is a single iteration of Newton's method, enough for a linear f only: go on until the update is small": lambda f, jacobian, y0, h: (
            _iterates(_euler, lambda identity, J, h: identity - h * J, f, jacobian, y0, h)[0]
        ),
        "h is missing everywhere: this is a step with h = 1": lambda f, jacobian, y0, h: _implicit_step(
            f, jacobian, y0, 1.0
        ),
        "this is the trapezoidal rule, with the mean of f(y0) and f(y1); implicit Euler takes f(y1) alone": _trapezoidal,
        "this is the update y1 − y0; return y1": lambda f, jacobian, y0, h: _implicit_step(f, jacobian, y0, h) - y0,
    },
)

# -------------------------------------------------------------------------------------------------- how many sweeps

_COUNT_SWEEPS = Exercise(
    name="count-sweeps",
    task="For six Jacobians, how many sweeps are enough to read them off, rows and columns allowed?",
    truth=np.array([1, 3, 10, 3, 1, 4]),
    hints=(
        "Columns that share no row can travel together as tangents, rows that share no column as cotangents.",
        "No fewer column sweeps than the longest row has entries, no fewer row sweeps than the longest column: often one of the two bounds is reached.",
        "In the arrowhead one row is full and one column. Pull the full row; then how many colours do the columns need in the rows that are left?",
    ),
    mistakes={
        "all but the arrowhead are right: its full row makes all columns differ, but one pull takes that row away": np.array(
            [1, 3, 10, 1000, 1, 4]
        ),
        "all but the arrowhead are right: 2 sweeps do not separate the full column from the diagonal once the full row is pulled": np.array(
            [1, 3, 10, 2, 1, 4]
        ),
        "all but the batch are right: these are its columns; each image has fewer outputs than inputs, so pull": np.array(
            [1, 3, 64, 3, 1, 4]
        ),
        "all but the batch are right: the images do not see each other, so that row r of all of them travels together": np.array(
            [1, 3, 320, 3, 1, 4]
        ),
        "all but the batch are right: a loss has one output for each image, but these images have 10 outputs each": np.array(
            [1, 3, 1, 3, 1, 4]
        ),
        "all but the three diagonals are right: a row in the middle has three entries, whose columns all differ": np.array(
            [1, 2, 10, 3, 1, 4]
        ),
        "all but the tube are right: six colours are what greedy uses from left to right; another order reaches four, the length of the longest row": np.array(
            [1, 3, 10, 3, 1, 6]
        ),
        "all but the gradient are right: it is one row, and one pull gives all of it": np.array(
            [1, 3, 10, 3, 100_000, 4]
        ),
        "all but the first are right: entry i of an elementwise function depends on x_i alone, so that all columns travel together": np.array(
            [1_000_000, 3, 10, 3, 1, 4]
        ),
        "these are column sweeps only; three of the six take fewer with pulls": np.array([1, 3, 64, 1000, 100_000, 4]),
    },
)

EXERCISES: tuple[Exercise, ...] = (
    _SOFTMAX_PRODUCT,
    _TOEPLITZ,
    _GREEDY_COLORING,
    _RECOVER,
    _NEWTON_STEP,
    _COUNT_SWEEPS,
)
