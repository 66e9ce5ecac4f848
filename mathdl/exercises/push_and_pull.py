"""The exercises of *Push and pull*: pulls by hand, the adjoint test, a step of power iteration, two wrong rules to find.

The truth of every pull is the transpose of a Jacobian found by complex step or differences, times the cotangent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[Any]
Map = Callable[[Array], Any]

_norm = np.linalg.norm


def _true_pull(f: Map, x: Array, u: Array) -> Array:
    J = numeric.jacobian(f, x, method="complex").value
    return np.tensordot(u, J, axes=np.ndim(u))


_rng = np.random.default_rng(6)
_normal = _rng.standard_normal

# ------------------------------------------------------------------------------------------------------- x / ‖x‖

_NORMALISE_PULL = Exercise(
    name="normalise-pull",
    task="Return the pull of u through x / ‖x‖.",
    truth=lambda x, u: _true_pull(lambda x: x / np.sqrt((x**2).sum(axis=0)), x, u),
    inputs=((np.array([3.0, 4.0]), np.array([1.0, -2.0])), (_normal(7), _normal(7))),
    derivative=True,
    hints=(
        "Chapter 1 has the Jacobian: (I − y yᵀ) / ‖x‖ with y = x / ‖x‖. What is its transpose?",
        "Multiply out: (I − y yᵀ) u = u − y (yᵀu), and yᵀu is a single number.",
        "With r = ‖x‖ and y = x / r the pull is (u − y (y @ u)) / r.",
    ),
    mistakes={
        "this treats ‖x‖ as a constant; it depends on every entry of x, which gives the term − y (yᵀu) / ‖x‖": lambda x, u: (
            u / _norm(x)
        ),
        "the part along y is removed, but the division by ‖x‖ is missing": lambda x, u: u - x * (x @ u) / (x @ x),
        "only the first term is divided by ‖x‖; the whole bracket has to be": lambda x, u: (
            u / _norm(x) - x * (x @ u) / (x @ x)
        ),
        "the part along y has to be subtracted; here it is added": lambda x, u: (u + x * (x @ u) / (x @ x)) / _norm(x),
        "this uses x where the unit vector y = x / ‖x‖ belongs": lambda x, u: (u - x * (x @ u)) / _norm(x),
        "u and x have changed places: the Jacobian is taken at x and multiplied with u": lambda x, u: (
            (x - u * (x @ u) / (u @ u)) / _norm(u)
        ),
        "this is the part of u along y, divided by ‖x‖: what is to be removed, not what is left": lambda x, u: (
            x * (x @ u) / (x @ x) / _norm(x)
        ),
        "y * y * u multiplies entry by entry; y (yᵀu) needs the inner product y @ u, one number": lambda x, u: (
            (u - x**2 / (x @ x) * u) / _norm(x)
        ),
        "this normalises the cotangent; the pull is linear in u and multiplies it with the Jacobian at x": lambda x, u: (
            u / _norm(u)
        ),
    },
)

# ------------------------------------------------------------------------------------------- indexing with repeats


def _bare_write(n: int, index: Array, u: Array, add: bool = False) -> Array:
    back = np.zeros((n, u.shape[1]))
    back[index] = back[index] + u if add else u
    return back


def _first_wins(n: int, index: Array, u: Array) -> Array:
    return _bare_write(n, index[::-1], u[::-1])


def _averaged(n: int, index: Array, u: Array) -> Array:
    times = np.maximum(np.bincount(index, minlength=n), 1)[:, None]
    back: Array = _true_pull(lambda x: x[index], np.ones((n, u.shape[1])), u) / times
    return back


_EMBEDDING_PULL = Exercise(
    name="embedding-pull",
    task="Return the pull of u through y = x[index], where indices repeat.",
    truth=lambda n, index, u: _true_pull(lambda x: x[index], np.ones((n, u.shape[1])), u),
    inputs=((4, np.array([2, 0, 2, 1, 2]), _normal((5, 3))), (6, np.array([5, 5, 0]), _normal((3, 2)))),
    derivative=True,
    hints=(
        "Start from zeros of the shape of x. Row j of u belongs to row index[j] of x.",
        "Where an index occurs several times, several rows arrive at one place, and all of them count.",
        "back[index] += u writes once for each place. np.add.at(back, index, u), or a loop over j, adds every time.",
    ),
    mistakes={
        "of several rows with one index only the last is kept: back[index] = u, like back[index] += u, writes once to each place; np.add.at adds every time": _bare_write,
        "of several rows with one index only the first is kept; they have to add up": _first_wins,
        "this averages the rows that arrive at one place; the pull is their sum": _averaged,
        "this counts how often each index occurs; every occurrence has to bring its row of u": lambda n, index, u: (
            np.repeat(np.bincount(index, minlength=n)[:, None], u.shape[1], axis=1).astype(float)
        ),
    },
)

# ------------------------------------------------------------------------------------------ convolution, mode valid


def _valid(w: Array, x: Array) -> Array:
    n = len(x) - len(w) + 1
    terms = [w[i] * x[len(w) - 1 - i : len(w) - 1 - i + n] for i in range(len(w))]
    return np.asarray(sum(terms))


_CONVOLUTION_PULL = Exercise(
    name="convolution-pull",
    task="Return the pull of u through np.convolve(x, w, mode='valid'), with respect to x.",
    truth=lambda w, u: _true_pull(lambda x: _valid(w, x), np.ones(len(u) + len(w) - 1), u),
    inputs=(
        (np.array([0.4, 0.3, 0.2, 0.1]), _normal(6)),
        (np.array([2.0, -1.0, 0.5]), _normal(3)),
        (_normal(5), _normal(9)),
    ),
    derivative=True,
    hints=(
        "Which outputs does one entry x_l enter, and with which weights? Draw it for k = 3.",
        "Entry l of the pull is Σ_j w_{k−1−(l−j)} u_j: a convolution again, with the weights in reverse.",
        "n entries must come out of n − k + 1, so every overlap counts, however short: mode='full'.",
    ),
    mistakes={
        "the weights run the wrong way: the pull of a convolution is a correlation, with w reversed": lambda w, u: (
            np.convolve(u, w, mode="full")
        ),
        "the pull has the shape of x, (n,), which is longer than u: use every overlap, mode='full'": lambda w, u: (
            np.convolve(u, w[::-1], mode="same")
        ),
        "the pull has the shape of x, which is longer than u; this got shorter once more, because mode='valid' keeps only full overlaps": lambda w, u: (
            np.convolve(u, w[::-1], mode="valid")
        ),
        "u has been reversed in place of w": lambda w, u: np.convolve(u[::-1], w, mode="full"),
        "both u and w are reversed, so the result comes out in reverse order; only w has to be": lambda w, u: (
            np.convolve(u[::-1], w[::-1], mode="full")
        ),
        "every entry is shifted to the right end: x_0 enters y_0, so the margins of zeros stand on both sides of u": lambda w, u: (
            np.concatenate([np.zeros(len(w) - 1), np.convolve(u, w[::-1], mode="full")[: len(u)]])
        ),
    },
)

# ---------------------------------------------------------------------------------------------- the adjoint identity


class _Matrix:
    """x ↦ A x with whatever shapes the test asks for, and a pull that need not fit."""

    def __init__(self, A: Array, B: Array, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> None:
        self.A, self.B, self.x_shape, self.y_shape = A, B, x_shape, y_shape

    def push(self, v: Array) -> Array:
        pushed: Array = (self.A @ np.reshape(v, -1)).reshape(self.y_shape)
        return pushed

    def pull(self, u: Array) -> Array:
        pulled: Array = (self.B.T @ np.reshape(u, -1)).reshape(self.x_shape)
        return pulled


def _gap(push: Map, pull: Map, v: Array, u: Array) -> float:
    return abs(float(np.sum(u * push(v)) - np.sum(pull(u) * v)))


_A, _B = _normal((3, 5)), _normal((4, 6))
_flat = _Matrix(_A, _A + 0.3 * _normal((3, 5)), (5,), (3,))
_image = _Matrix(_B, _B * (1 + 0.2 * _normal((4, 6))), (2, 3), (2, 2))
_single = _Matrix(_A[:1], -_A[:1], (5,), ())

_RELATIVE_GAP = Exercise(
    name="relative-gap",
    task="Return |⟨u, Jv⟩ − ⟨Jᵀu, v⟩| / (‖u‖ ‖Jv‖) for a given push and pull.",
    # written with ravel and dot, apart from what the chapter shows
    truth=lambda push, pull, v, u: (
        abs(np.dot(np.ravel(u), np.ravel(push(v))) - np.dot(np.ravel(v), np.ravel(pull(u))))
        / np.sqrt(np.dot(np.ravel(u), np.ravel(u)) * np.dot(np.ravel(push(v)), np.ravel(push(v))))
    ),
    inputs=(
        (_flat.push, _flat.pull, _normal(5), _normal(3)),
        (_image.push, _image.pull, _normal((2, 3)), _normal((2, 2))),
        (_single.push, _single.pull, _normal(5), np.array(1.5)),
    ),
    hints=(
        "There are two numbers to compare: one uses only push(v), the other only pull(u).",
        "For arrays of any shape ⟨a, b⟩ is np.sum(a * b); np.linalg.norm(a) is the root of np.sum(a * a).",
        "abs(np.sum(u * push(v)) − np.sum(pull(u) * v)), divided by the norms of u and of push(v).",
    ),
    mistakes={
        "the gap is right; it has still to be divided by ‖u‖ ‖Jv‖": _gap,
        "the gap is right, but it is divided by ‖u‖ ‖v‖; the second factor is the norm of push(v)": lambda push, pull, v, u: (
            _gap(push, pull, v, u) / (_norm(u) * _norm(v))
        ),
        "the gap is right, but it is divided by |⟨u, Jv⟩|, which can be small by chance; divide by ‖u‖ ‖Jv‖": lambda push, pull, v, u: (
            _gap(push, pull, v, u) / abs(np.sum(u * push(v)))
        ),
        "the gap is right, but it is divided by the norms of the pull: ‖Jᵀu‖ ‖v‖ in place of ‖u‖ ‖Jv‖": lambda push, pull, v, u: (
            _gap(push, pull, v, u) / (_norm(pull(u)) * _norm(v))
        ),
        "the absolute value is missing: a gap is not negative": lambda push, pull, v, u: (
            (np.sum(u * push(v)) - np.sum(pull(u) * v)) / (_norm(u) * _norm(push(v)))
        ),
        "the two inner products are added; the identity says that their difference is zero": lambda push, pull, v, u: (
            abs(np.sum(u * push(v)) + np.sum(pull(u) * v)) / (_norm(u) * _norm(push(v)))
        ),
        "the gap is right, but it is divided by the squares of the norms; take the root": lambda push, pull, v, u: (
            _gap(push, pull, v, u) / (np.sum(u * u) * np.sum(push(v) ** 2))
        ),
    },
)

# ---------------------------------------------------------------------------------------------------- power iteration


def _step(push: Map, pull: Map, v: Array) -> Array:
    new: Array = pull(push(v))
    return np.asarray(new / _norm(new))


_square = _Matrix(_normal((4, 4)), np.zeros((4, 4)), (4,), (4,))
_square.B = _square.A
_wide = _Matrix(_A, _A, (5,), (3,))


def _dense_step(push: Map, pull: Map, v: Array) -> Array:
    """The same from the matrix itself, column by column."""
    J = np.stack([push(e) for e in np.eye(len(v))], axis=1)
    new = J.T @ J @ v
    new = new / np.sqrt(new @ new)
    return np.append(new, np.sqrt(new @ (J.T @ (J @ new))))


_POWER_STEP = Exercise(
    name="power-step",
    task="Return the next v of power iteration on JᵀJ and the estimate ‖Jv‖ of σ₁ with it.",
    truth=_dense_step,
    inputs=((_square.push, _square.pull, _normal(4)), (_wide.push, _wide.pull, _normal(5))),
    hints=(
        "JᵀJv: which of the two comes first, push or pull? The shapes tell.",
        "Divide pull(push(v)) by its norm. Only then push the new v and take the norm of that.",
        "np.append(v, np.linalg.norm(push(v))) joins the two, with the new v in both places.",
    ),
    mistakes={
        "the new v is right, but the estimate was made with the old v: push again after the division": lambda push, pull, v: (
            np.append(_step(push, pull, v), _norm(push(v)))
        ),
        "the new v is right, but the estimate was made with the old v: push again after the division (and divide the old one by its length)": lambda push, pull, v: (
            np.append(_step(push, pull, v), _norm(push(v)) / _norm(v))
        ),
        "the new v is not divided by its length, so it grows with every step and the estimate with it": lambda push, pull, v: (
            np.append(pull(push(v)), _norm(push(pull(push(v)))))
        ),
        "the new v is right, but the estimate is the length of JᵀJv, which tends to σ₁², not σ₁": lambda push, pull, v: (
            np.append(_step(push, pull, v), _norm(pull(push(_step(push, pull, v)))))
        ),
        "the new v is right, but the estimate is ‖Jv‖²; take the root": lambda push, pull, v: np.append(
            _step(push, pull, v), _norm(push(_step(push, pull, v))) ** 2
        ),
        "only the new v is there; append the estimate, so that the shape is (n + 1,)": _step,
        "both parts are right, in the wrong order: first the new v, then the estimate": lambda push, pull, v: np.append(
            _norm(push(_step(push, pull, v))), _step(push, pull, v)
        ),
        "the new v is right, but the estimate is the length of JᵀJv before the division; it is ‖Jv‖ with the new v": lambda push, pull, v: (
            np.append(_step(push, pull, v), _norm(pull(push(v))))
        ),
    },
)

# ---------------------------------------------------------------------------------------------------- two wrong rules

_TWO_WRONG_RULES = Exercise(
    name="two-wrong-rules",
    task="Of five rules, which has a pull that does not fit its push, and which a push that does not fit its function?",
    truth=np.array([2, 4]),
    hints=(
        "Run both tests on all five rules, at a random point or at z_p, and print a line for each.",
        "adjoint_gap compares push and pull, push_gap compares push and function. Each of them finds one rule.",
        "The numbers count from 0: squares is 0 and unit_variance is 4.",
    ),
    mistakes={
        "these are the two rules, in the wrong order: first the one whose pull does not belong to its push": np.array(
            [4, 2]
        ),
        "these are the two rules, counted from 1; in the list the first has the number 0": np.array([3, 5]),
        "the first is right; the second is no other rule that the adjoint test finds, but one that it passes and push_gap does not": np.array(
            [2, 2]
        ),
        "the second is right; the first is the one that adjoint_gap finds": np.array([4, 4]),
        "log_softmax only looks odd: its push subtracts ⟨p, v⟩ from every entry, and its pull p times the sum of u. Both tests pass it": np.array(
            [3, 4]
        ),
        "differences is right: pulling np.diff pads u with a zero at both ends and takes minus the differences. Both tests pass it": np.array(
            [1, 4]
        ),
    },
)

EXERCISES: tuple[Exercise, ...] = (
    _NORMALISE_PULL,
    _EMBEDDING_PULL,
    _CONVOLUTION_PULL,
    _RELATIVE_GAP,
    _POWER_STEP,
    _TWO_WRONG_RULES,
)
