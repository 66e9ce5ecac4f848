"""Wrong answers to the exercises of *Jacobians as formulas*, as students write them, and what they are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp
from verdicts import told

import mathdl as md
from mathdl.exercises.formulas import (
    CONSTANT_ENTRY,
    LOGSUMEXP,
    PRODUCT,
    SPHERICAL,
    TANH_LAYER,
    VERSINE,
    WRONG_ENTRY,
)
from mathdl.exercises.judge import Exercise, judge

R, THETA, PHI, X, Y = sp.symbols("r theta varphi x y", real=True)
PLACE = [R * sp.sin(THETA) * sp.cos(PHI), R * sp.sin(THETA) * sp.sin(PHI), R * sp.cos(THETA)]
J_SPHERICAL = md.symbolic.jacobian(PLACE, [R, THETA, PHI])
J_EXAMPLE = sp.Matrix([[2 * X * Y, X**2], [5, sp.cos(Y)]])


def softmax(z: Any) -> Any:
    u = np.exp(z - z.max())
    return u / u.sum()


def naive_softmax(z: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.exp(z) / np.sum(np.exp(z))


def pairwise_softmax(z: Any) -> Any:
    with np.errstate(over="ignore"):  # 1 / infinity is the right 0
        return 1 / np.exp(z - z[:, np.newaxis]).sum(axis=1)


def shifted_softmax(shift: Any) -> Any:
    def attempt(z: Any) -> Any:
        with np.errstate(all="ignore"):
            u = np.exp(z - shift(z))
            return u / u.sum()

    return attempt


def ragged(x: Any, y: Any) -> Any:
    return np.array([[2 * x * y, x**2], [5, np.cos(y)]])


def only_x_shaped(x: Any, y: Any) -> Any:
    return np.array([[2 * x * y, x**2], [np.full_like(x, 5.0), np.cos(y)]])


def broadcast(x: Any, y: Any) -> Any:
    x, y = np.broadcast_arrays(x, y)
    return np.array([[2 * x * y, x**2], [np.full(x.shape, 5.0), np.cos(y)]])


def loop_over_layer(W: Any, b: Any, x: Any) -> Any:
    J = np.zeros((2, 2))
    for i in range(2):
        for j in range(2):
            J[i, j] = W[i, j] / np.cosh(W[i] @ x + b[i]) ** 2
    return J


@pytest.mark.parametrize(
    ("exercise", "attempt"),
    [
        (SPHERICAL, md.symbolic.function(J_SPHERICAL, [R, THETA, PHI])),
        (SPHERICAL, lambda s: np.array(sp.lambdify([R, THETA, PHI], J_SPHERICAL)(*s))),
        (TANH_LAYER, loop_over_layer),
        (TANH_LAYER, lambda W, b, x: np.diag(1 - np.tanh(W @ x + b) ** 2) @ W),
        (CONSTANT_ENTRY, broadcast),
        (CONSTANT_ENTRY, md.symbolic.function(J_EXAMPLE, [X, Y])),
        (WRONG_ENTRY, (3, 1)),
        (PRODUCT, [80, 24]),
        (LOGSUMEXP, softmax),
        (LOGSUMEXP, pairwise_softmax),
        (VERSINE, lambda x: 2 * (np.sin(x / 2) / x) ** 2),
        (VERSINE, lambda x: 0.5 * np.sinc(x / (2 * np.pi)) ** 2),
        (VERSINE, lambda x: np.sin(x) ** 2 / (1 + np.cos(x)) / x**2),
    ],
)
def test_an_independent_right_answer_passes(exercise: Exercise, attempt: Any) -> None:
    verdict = judge(exercise, attempt)
    assert verdict.status == "right", verdict


@pytest.mark.parametrize(
    ("exercise", "attempt", "said"),
    [
        # spherical coordinates
        (SPHERICAL, md.symbolic.function(J_SPHERICAL.T, [R, THETA, PHI]), "transposed"),
        (SPHERICAL, md.symbolic.function(J_SPHERICAL[:, [0, 2, 1]], [R, THETA, PHI]), "Columns 1 and 2"),
        (SPHERICAL, md.symbolic.function(-J_SPHERICAL, [R, THETA, PHI]), "wrong sign"),
        (
            SPHERICAL,
            md.symbolic.function(
                md.symbolic.jacobian([p.subs(THETA, sp.pi / 2 - THETA) for p in PLACE], [R, THETA, PHI]),
                [R, THETA, PHI],
            ),
            "latitude",
        ),
        (SPHERICAL, md.symbolic.function(PLACE, [R, THETA, PHI]), "shape"),
        (SPHERICAL, md.symbolic.function(J_SPHERICAL * sp.diag(1, 1 / R, 1), [R, THETA, PHI]), "Column theta lacks"),
        (
            SPHERICAL,
            md.symbolic.function(J_SPHERICAL * sp.diag(1, 1 / R, 1 / R), [R, THETA, PHI]),
            "Columns theta and phi",
        ),
        (
            SPHERICAL,
            md.symbolic.function(
                md.symbolic.jacobian(
                    [p.subs({THETA: PHI, PHI: THETA}, simultaneous=True) for p in PLACE], [R, THETA, PHI]
                ),
                [R, THETA, PHI],
            ),
            "changed places",
        ),
        (SPHERICAL, md.symbolic.function(J_SPHERICAL[:2, :], [R, THETA, PHI]), "shape"),
        (
            SPHERICAL,
            md.symbolic.function(J_SPHERICAL * sp.diag(1, 1 / R, 1 / (R * sp.sin(THETA))), [R, THETA, PHI]),
            "own lengths",
        ),
        (SPHERICAL, md.symbolic.function(J_SPHERICAL, [R, THETA, PHI])(np.array([2.0, 0.7, 0.4])), "uncalled"),
        (SPHERICAL, J_SPHERICAL, "function"),
        # a layer
        (TANH_LAYER, lambda W, b, x: W * (1 - np.tanh(W @ x + b) ** 2), "columns of W"),
        (TANH_LAYER, lambda W, b, x: W @ np.diag(1 - np.tanh(W @ x + b) ** 2), "columns of W"),
        (TANH_LAYER, lambda W, b, x: W, "tanh has a slope"),
        (TANH_LAYER, lambda W, b, x: np.diag(1 - np.tanh(W @ x + b) ** 2), "with respect to Wx + b"),
        (TANH_LAYER, lambda W, b, x: 1 - np.tanh(W @ x + b) ** 2, "shape"),
        (TANH_LAYER, lambda W, b, x: np.diag(1 - np.tanh(W @ x + b)) @ W, "without the square"),
        (TANH_LAYER, lambda W, b, x: np.diag(1 - (W @ x + b) ** 2) @ W, "before the tanh"),
        (TANH_LAYER, lambda W, b, x: np.diag(1 - np.tanh(x) ** 2) @ W, "taken at x"),
        (TANH_LAYER, lambda W, b, x: np.diag(1 - np.tanh(W @ x) ** 2) @ W, "bias"),
        (TANH_LAYER, lambda W, b, x: (np.diag(1 - np.tanh(W @ x + b) ** 2) @ W).T, "transposed"),
        (TANH_LAYER, lambda W, b, x: np.diag(np.tanh(W @ x + b) ** 2 - 1) @ W, "wrong sign"),
        (TANH_LAYER, lambda W, b, x: np.diag(1 + np.tanh(W @ x + b) ** 2) @ W, "activation"),
        (TANH_LAYER, lambda W, b, x: np.diag(np.tanh(W @ x + b)) @ W, "activation"),
        # the constant
        (CONSTANT_ENTRY, ragged, "ValueError"),
        (CONSTANT_ENTRY, only_x_shaped, "ValueError"),
        (CONSTANT_ENTRY, lambda x, y: [[2 * x * y, x**2], [5, np.cos(y)]], "wanted numbers"),
        (CONSTANT_ENTRY, lambda x, y: np.moveaxis(broadcast(x, y), (0, 1), (-2, -1)), "points come first"),
        (CONSTANT_ENTRY, lambda x, y: np.swapaxes(broadcast(x, y), 0, 1), "transposed"),
        (
            CONSTANT_ENTRY,
            lambda x, y: np.array([[2 * x * y, x**2 + 0 * y], [0 * x * y, np.cos(y) + 0 * x]]),
            "not filled",
        ),
        (
            CONSTANT_ENTRY,
            lambda x, y: np.array([[2 * x * y, x**2 + 0 * y], [0 * x * y + 1, np.cos(y) + 0 * x]]),
            "is 1",
        ),
        (CONSTANT_ENTRY, lambda x, y: broadcast(x, y)[0], "shape"),
        (CONSTANT_ENTRY, lambda x, y: -broadcast(x, y), "entries differ"),
        # the wrong entry
        (WRONG_ENTRY, [4, 2], "from 1"),
        (WRONG_ENTRY, (1, 3), "Row first"),
        (WRONG_ENTRY, [0, 0], "sin(2x)"),
        (WRONG_ENTRY, [0, 1], "cos(2x)"),
        (WRONG_ENTRY, [2, 1], "exp(2y)"),
        (WRONG_ENTRY, [3, 0], "other entry"),
        (WRONG_ENTRY, [1, 0], "slope 2x"),
        (WRONG_ENTRY, [1, 1], "slope 2y"),
        (WRONG_ENTRY, [2, 0], "constant factor"),
        (WRONG_ENTRY, [4, 1], "count the row"),
        (WRONG_ENTRY, [3, 2], "count the column"),
        (WRONG_ENTRY, [0, 7], "differ"),
        (WRONG_ENTRY, 3, "shape"),
        (WRONG_ENTRY, "the last", "wanted numbers"),
        # the product
        (PRODUCT, [90, 24], "nine factors need eight"),
        (PRODUCT, [80, 26], "cost nothing more"),
        (PRODUCT, [80, 16], "put left and right together"),
        (PRODUCT, [80, 28], "full product"),
        (PRODUCT, [8, 24], "one entry"),
        (PRODUCT, [9, 24], "product itself"),
        (PRODUCT, [80, 45], "sp.cse"),
        (PRODUCT, [80, 46], "index (1,)"),
        (PRODUCT, [100, 24], "index (0,)"),
        (PRODUCT, 80, "shape"),
        # log-sum-exp
        (LOGSUMEXP, naive_softmax, "not finite"),
        (LOGSUMEXP, lambda z: np.exp(z - z.max()), "sum to 1"),
        (
            LOGSUMEXP,
            lambda z: (
                np.log(softmax(z) + 0.0)
                if z.max() < 900 and z.min() > -900
                else z - z.max() - np.log(np.sum(np.exp(z - z.max())))
            ),
            "logarithm",
        ),
        (LOGSUMEXP, lambda z: softmax(z) * (1 - softmax(z)), "diagonal"),
        (LOGSUMEXP, lambda z: np.diag(softmax(z)) - np.outer(softmax(z), softmax(z)), "one derivative too many"),
        (LOGSUMEXP, lambda z: softmax(z)[np.newaxis, :], "one-row"),
        (LOGSUMEXP, lambda z: z.max() + np.log(np.exp(z - z.max()).sum()), "shape"),
        (LOGSUMEXP, lambda z: -softmax(z), "wrong sign everywhere"),
        (LOGSUMEXP, lambda z: softmax(-z), "softmax of -z"),
        (LOGSUMEXP, lambda z: (z == z.max()) * 1.0, "max z"),
        (LOGSUMEXP, lambda z: softmax(np.clip(z, -100, 100)), "Clipped"),
        (LOGSUMEXP, shifted_softmax(np.mean), "not finite"),
        (LOGSUMEXP, shifted_softmax(np.min), "not finite"),
        # the rewriting
        (VERSINE, lambda x: (1 - np.cos(x)) / x**2, "as it stood"),
        (VERSINE, lambda x: 0.5 + 0 * x, "limit"),
        (VERSINE, lambda x: 0.5 - x**2 / 24, "series"),
        (VERSINE, lambda x: 0.5 - x**2 / 24 + x**4 / 720, "still not"),
        (VERSINE, lambda x: (np.sin(x / 2) / x) ** 2, "factor 2"),
        (VERSINE, lambda x: 2 * (np.sin(x) / x) ** 2, "halved"),
        (VERSINE, lambda x: 0.5 * np.sinc(x / 2) ** 2, "sinc"),
        (VERSINE, lambda x: np.sin(x) ** 2 / x**2, "1 + cos x"),
        (VERSINE, lambda x: 2 * np.sin(x / 2) / x**2, "square is missing"),
        (VERSINE, lambda x: np.sin(x) ** 2 / (1 + np.cos(x)), "divided by x²"),
        (VERSINE, lambda x: 2 * (2 * np.sin(x / 2) / x) ** 2, "factor in front is 1/2"),
        (VERSINE, lambda x: np.sin(x) / x / 2, "quotient of the derivatives"),
        (VERSINE, lambda x: np.cos(x) / 2, "used twice"),
        (VERSINE, lambda x: np.sinc(x / np.pi) ** 2 / 2, "angle must be halved: you need"),
        (VERSINE, lambda x: np.where(np.abs(x) < 1e-5, 0.5, 2 * np.sin(x / 2) / x**2), "entries differ"),
        (VERSINE, lambda x: 0.5, "shape"),
    ],
)
def test_a_wrong_answer_is_told_what_is_wrong(exercise: Exercise, attempt: Any, said: str) -> None:
    assert said in told(exercise, attempt)


def test_the_truth_of_the_wrong_entry_and_of_the_product_follow_from_sympy() -> None:
    x, y = sp.symbols("x y", positive=True)
    right = md.symbolic.jacobian([y * sp.sin(x) ** 2, sp.sqrt(x**2 + y**2), x / (1 + sp.exp(-y)), x**y], [x, y])
    by_hand = sp.Matrix(
        [
            [y * sp.sin(2 * x), (1 - sp.cos(2 * x)) / 2],
            [x / sp.sqrt(x**2 + y**2), y / sp.sqrt(x**2 + y**2)],
            [1 / (1 + sp.exp(-y)), x * sp.exp(y) / (1 + sp.exp(y)) ** 2],
            [y * x ** (y - 1), x**y * sp.log(y)],
        ]
    )
    wrong = [[i, j] for i in range(4) for j in range(2) if sp.simplify(right[i, j] - by_hand[i, j]) != 0]
    assert wrong == [list(WRONG_ENTRY.truth)]
    factors = sp.symbols("x:10")
    assert sp.count_ops([sp.prod(factors).diff(factor) for factor in factors]) == PRODUCT.truth[0]
    left, right_side = [factors[0]], [factors[-1]]
    for factor in factors[1:-1]:
        left.append(left[-1] * factor)
    for factor in factors[-2:0:-1]:
        right_side.append(right_side[-1] * factor)
    multiplications = (len(left) - 1) + (len(right_side) - 1)
    for i in range(10):
        entry = right_side[-1] if i == 0 else left[-1] if i == 9 else left[i - 1] * right_side[8 - i]
        multiplications += 0 < i < 9
        assert entry == sp.prod(factors).diff(factors[i])
    assert multiplications == PRODUCT.truth[1]
