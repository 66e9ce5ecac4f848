"""The exercises of *A stack of gradients*: Jacobians by hand, their shapes, softmax and its relatives, a published bug.

The truth of every derivative is computed from the function itself, by complex step or differences, not by formula.
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


def _true_jacobian(f: Callable[[Array], Array], x: Array, method: str = "complex") -> NDArray[np.float64]:
    return numeric.jacobian(f, x, method=method).value


def _softmax(z: Array) -> Array:
    exponentials = np.exp(z)
    p: Array = exponentials / exponentials.sum(axis=0)
    return p


def _three_inputs(x: Array) -> Array:
    return np.array([x[0] * x[1] * x[2], x[0] ** 2 + np.cos(x[2])])


def _direction(x: Array) -> Array:
    u: Array = x / np.sqrt((x**2).sum(axis=0))  # not np.linalg.norm, which drops the imaginary part
    return u


def _relu_layer(A: Array, x: Array) -> Array:
    h: Array = np.maximum(0.0, A @ x)
    return h


def _softmax_of_logits(W: Array, b: Array, x: Array) -> Array:
    return _true_jacobian(lambda x: _softmax(W @ x + b), x)


_rng = np.random.default_rng(1)
_normal = _rng.standard_normal

_THREE_INPUTS = Exercise(
    name="three-inputs",
    task="Return the Jacobian of f(x) = (x0 x1 x2, x0² + cos x2), shape (2, 3).",
    truth=lambda x: _true_jacobian(_three_inputs, x),
    inputs=((np.array([1.0, 2.0, 3.0]),), (np.array([-0.5, 0.7, 1.9]),)),
    derivative=True,
    hints=(
        "Fill the matrix one entry at a time: row i belongs to output i, column j to input j.",
        "In the first row two of the three factors are constants each time: ∂(x0 x1 x2)/∂x0 = x1 x2.",
        "In the second row, x1 does not appear, so its entry is 0; and the derivative of cos is −sin.",
    ),
    mistakes={
        "the derivative of cos x2 is −sin x2: the last entry of row 1 has the wrong sign": lambda x: np.array(
            [[x[1] * x[2], x[0] * x[2], x[0] * x[1]], [2 * x[0], 0.0, np.sin(x[2])]]
        ),
        "the cosine depends on x2, the last input, so its derivative belongs in column 2 of row 1, not in column 1": lambda x: (
            np.array([[x[1] * x[2], x[0] * x[2], x[0] * x[1]], [2 * x[0], -np.sin(x[2]), 0.0]])
        ),
        "row 0 treats the product as a sum: for ∂(x0 x1 x2)/∂x0 the product x1 x2 is a constant factor, and it stays": lambda x: (
            np.array([[1.0, 1.0, 1.0], [2 * x[0], 0.0, -np.sin(x[2])]])
        ),
        "these are the two values of f, not their derivatives": _three_inputs,
    },
)

_COUNT_THE_AXES = Exercise(
    name="count-the-axes",
    task="For four functions, how many axes and how many entries has the Jacobian?",
    truth=np.array([[2, 64], [1, 5], [2, 100], [2, 3]]),
    hints=(
        "Write f(x).shape and x.shape side by side and join them: the Jacobian's shape is f(x).shape + x.shape.",
        "A number has the shape (), with no axes; an array with one entry has the shape (1,), with one axis.",
        "The four shapes are () + (8, 8), (5,) + (), (10,) + (10,) and (1,) + (3,).",
    ),
    mistakes={
        "row 3: the output x[:1] has the shape (1,), and its axis stays: the Jacobian is (1, 3), not squeezed to (3,)": np.array(
            [[2, 64], [1, 5], [2, 100], [1, 3]]
        ),
        "row 0: a gradient has the shape of its input, here (8, 8); nothing is flattened": np.array(
            [[1, 64], [1, 5], [2, 100], [2, 3]]
        ),
        "row 0: a scalar output has shape (), not (1,), so it adds no axis in front of (8, 8)": np.array(
            [[3, 64], [1, 5], [2, 100], [2, 3]]
        ),
        "row 1: a scalar input has shape (), not (1,), so it adds no axis behind (5,)": np.array(
            [[2, 64], [2, 5], [2, 100], [2, 3]]
        ),
        "row 2: softmax mixes its inputs, so every output has a slope for every input: 10 × 10 entries, not 10": np.array(
            [[2, 64], [1, 5], [1, 10], [2, 3]]
        ),
        "row 1: the power 1 is an output too; its derivative is 0 and counts as an entry, so there are five": np.array(
            [[2, 64], [1, 4], [2, 100], [2, 3]]
        ),
        "row 3: x[:1] does not depend on x[1] and x[2], but the zeros they give are entries of the Jacobian too": np.array(
            [[2, 64], [1, 5], [2, 100], [2, 1]]
        ),
        "the numbers are right and stand the other way round: each pair is [axes, entries]": np.array(
            [[64, 2], [5, 1], [100, 2], [3, 2]]
        ),
    },
)

_LOGITS_JACOBIAN = Exercise(
    name="logits-jacobian",
    task="Return the Jacobian of the logits z = W x + b with respect to x.",
    truth=lambda W, b, x: _true_jacobian(lambda x: W @ x + b, x),
    inputs=((_normal((10, 64)), _normal(10), _rng.random(64)), (_normal((3, 5)), _normal(3), _normal(5))),
    derivative=True,
    hints=(
        "Write one logit as a sum, z_i = Σ_j W_ij x_j + b_i. Which terms of it contain x_j?",
        "Only one term contains x_j, and x_j appears in it to the first power: its slope is the factor in front.",
        "∂z_i/∂x_j = W_ij, so the whole matrix is one you already have.",
    ),
    mistakes={
        "these are the logits themselves, not their derivatives": lambda W, b, x: W @ x + b,
        "W_ij x_j is what pixel j contributes to logit i; the slope of that contribution is W_ij, without x_j": lambda W, b, x: (
            W * x
        ),
        "this is the Jacobian of the probabilities; the logits come before softmax, so no p appears": _softmax_of_logits,
        "the bias is a constant: it vanishes when you differentiate": lambda W, b, x: W + b[:, None],
        "here each row of W is multiplied by its bias; in z it is only added, so it leaves no trace in the slopes": lambda W, b, x: (
            W * b[:, None]
        ),
        "here each row of W is multiplied by its probability; the logits come before softmax, so no p appears": lambda W, b, x: (
            _softmax(W @ x + b)[:, None] * W
        ),
        "x_j is the slope of z_i with respect to the weight W_ij; asked for is the slope with respect to the pixel x_j": lambda W, b, x: (
            np.tile(x, (len(b), 1))
        ),
    },
)

_SOFTMAX_TIMES_VECTOR = Exercise(
    name="softmax-times-vector",
    task="Return S v for the softmax Jacobian S at z, without building S.",
    truth=lambda z, v: _true_jacobian(_softmax, z) @ v,
    inputs=((_normal(10), _normal(10)), (_normal(4), _normal(4))),
    derivative=True,
    hints=(
        "Multiply out (diag(p) − p pᵀ) v, and look for the number hidden in the second term.",
        "diag(p) v is the elementwise product p * v, and pᵀv is one number.",
        "S v = p * v − p (pᵀv).",
    ),
    mistakes={
        "this is the elementwise p (1 − p) v: it keeps the diagonal of S and drops the other entries": lambda z, v: (
            _softmax(z) * (1 - _softmax(z)) * v
        ),
        "this is diag(p) v alone; the term − p (pᵀv) is missing": lambda z, v: _softmax(z) * v,
        "p * v − p subtracts p once; it has to be subtracted pᵀv times": lambda z, v: _softmax(z) * v - _softmax(z),
        "this subtracts the plain mean of v; softmax weighs the mean with p: pᵀv": lambda z, v: (
            _softmax(z) * (v - v.mean())
        ),
        "the sum of v stands where the weighted sum pᵀv belongs": lambda z, v: _softmax(z) * (v - v.sum()),
        "this uses z where the probabilities p = softmax(z) belong": lambda z, v: z * v - z * (z @ v),
        "in both terms the factor p is missing: entry i of S v is p_i (v_i − pᵀv)": lambda z, v: v - _softmax(z) @ v,
        "this subtracts the same number pᵀv from every entry; in entry i it has to be multiplied by p_i first": lambda z, v: (
            _softmax(z) * v - _softmax(z) @ v
        ),
        "both terms are right, but the second has to be subtracted, not added": lambda z, v: (
            _softmax(z) * v + _softmax(z) * (_softmax(z) @ v)
        ),
        "this is the second term, p (pᵀv), alone; it has to be subtracted from p * v": lambda z, v: (
            _softmax(z) * (_softmax(z) @ v)
        ),
        "the second term is p times the number pᵀv; here it is v times that number": lambda z, v: (
            _softmax(z) * v - v * (_softmax(z) @ v)
        ),
        "this subtracts p_i² in entry i; the second term is p_i pᵀv, with v in it": lambda z, v: (
            _softmax(z) * (v - _softmax(z))
        ),
        "z and v have changed places: S is taken at the logits z and multiplied by v": lambda z, v: (
            _true_jacobian(_softmax, v) @ z
        ),
    },
)

_TEMPERATURE_JACOBIAN = Exercise(
    name="temperature-jacobian",
    task="Return the Jacobian of softmax(z / T) with respect to z.",
    truth=lambda z, T: _true_jacobian(lambda z: _softmax(z / T), z),
    inputs=((_normal(10), 2.0), (_normal(4), 0.5)),
    derivative=True,
    hints=(
        "There are two functions in a row: first z ↦ z / T, then softmax. Each has a Jacobian.",
        "The Jacobian of z / T is the identity divided by T; softmax's Jacobian is taken at z / T, not at z.",
        "With p = softmax(z / T) the answer is (diag(p) − p pᵀ) / T.",
    ),
    mistakes={
        "the inner function z / T has the slope 1/T, and this factor is missing": lambda z, T: _true_jacobian(
            _softmax, z / T
        ),
        "the factor 1/T is there, but p is taken at the wrong point: it has to be softmax(z / T), not softmax(z)": lambda z, T: (
            _true_jacobian(_softmax, z) / T
        ),
        "this is the Jacobian of plain softmax: T appears nowhere": lambda z, T: _true_jacobian(_softmax, z),
        "z is divided by T, so the slope of the inner function is 1/T; this multiplies by T": lambda z, T: (
            _true_jacobian(_softmax, z / T) * T
        ),
        "only the diagonal is there: every probability depends on every logit": lambda z, T: (
            np.diag(np.diag(_true_jacobian(_softmax, z / T))) / T
        ),
        "the slope 1/T of the inner function belongs here once; this divides by T twice": lambda z, T: (
            _true_jacobian(_softmax, z / T) / T**2
        ),
        "the logits are to be divided by T before softmax; dividing the probabilities by T is another function": lambda z, T: (
            np.diag(_softmax(z) / T) - np.outer(_softmax(z) / T, _softmax(z) / T)
        ),
        "only diag(p) is divided by T; the factor 1/T belongs to p pᵀ as well": lambda z, T: (
            np.diag(_softmax(z / T)) / T - np.outer(_softmax(z / T), _softmax(z / T))
        ),
        "p − p pᵀ puts p into every row of the matrix; it belongs on the diagonal: np.diag(p)": lambda z, T: (
            (_softmax(z / T) - np.outer(_softmax(z / T), _softmax(z / T))) / T
        ),
    },
)

_UNIT_VECTOR_JACOBIAN = Exercise(
    name="unit-vector-jacobian",
    task="Return the Jacobian of u(x) = x / ‖x‖.",
    truth=lambda x: _true_jacobian(_direction, x),
    inputs=((np.array([3.0, 4.0]),), (_normal(6),)),
    derivative=True,
    hints=(
        "Write u_i = x_i / r with r = ‖x‖ and use the quotient rule; r depends on every x_j.",
        "From r² = Σ x_k² follows ∂r/∂x_j = x_j / r.",
        "∂u_i/∂x_j = δ_ij / r − x_i x_j / r³: an identity matrix and an outer product.",
    ),
    mistakes={
        "this treats ‖x‖ as a constant; it depends on x too, and gives a second term": lambda x: (
            np.eye(len(x)) / np.linalg.norm(x)
        ),
        "this is right up to a factor: everything is still to be divided by ‖x‖": lambda x: (
            np.eye(len(x)) - np.outer(x, x) / (x @ x)
        ),
        "the second term has the wrong power of ‖x‖: ∂r/∂x_j is x_j / r, which adds one more division by r": lambda x: (
            np.eye(len(x)) / np.linalg.norm(x) - np.outer(x, x) / (x @ x)
        ),
        "the second term is twice too large: 2 x_j is the derivative of ‖x‖²; that of ‖x‖ is x_j / ‖x‖": lambda x: (
            np.eye(len(x)) / np.linalg.norm(x) - 2 * np.outer(x, x) / np.linalg.norm(x) ** 3
        ),
        "the second term has the wrong sign: the quotient rule subtracts it": lambda x: (
            np.eye(len(x)) / np.linalg.norm(x) + np.outer(x, x) / np.linalg.norm(x) ** 3
        ),
        "this is the second term alone; the slope of the numerator x_i gives I / ‖x‖ as well": lambda x: (
            -np.outer(x, x) / np.linalg.norm(x) ** 3
        ),
        "only the second term is divided by ‖x‖; the identity has to be divided too": lambda x: (
            np.eye(len(x)) - np.outer(x, x) / np.linalg.norm(x) ** 3
        ),
        "the powers of ‖x‖ differ: it is I / ‖x‖ but x xᵀ / ‖x‖³": lambda x: (
            (np.eye(len(x)) - np.outer(x, x)) / np.linalg.norm(x) ** 3
        ),
        "everything is divided by ‖x‖ once too often": lambda x: (np.eye(len(x)) - np.outer(x, x) / (x @ x)) / (x @ x),
        "u @ u is a number, and it is 1; the matrix with the entries u_i u_j is np.outer(u, u)": lambda x: (
            (np.eye(len(x)) - 1.0) / np.linalg.norm(x)
        ),
        "u * u puts the entries u_j² into every row; the matrix with the entries u_i u_j is np.outer(u, u)": lambda x: (
            (np.eye(len(x)) - x * x / (x @ x)) / np.linalg.norm(x)
        ),
    },
)

_RELU_GATE = Exercise(
    name="relu-gate",
    task="Repair the Jacobian of h(x) = max(0, A x).",
    truth=lambda A, x: _true_jacobian(lambda x: _relu_layer(A, x), x, "richardson"),
    inputs=((_normal((16, 64)), _rng.random(64)), (_normal((7, 4)), _normal(4))),
    derivative=True,
    hints=(
        "Print the gate for a few layers. How often is it False?",
        "h is rectified already: none of its entries is negative. Ask the question of A x, or ask a sharper one of h.",
        "A unit passes its slope on only where A x > 0, which is where h > 0.",
    ),
    mistakes={
        "the gate is open everywhere: h = max(0, A x) is never negative, so h >= 0 is true and A comes through whole": lambda A, x: (
            A.copy()
        ),
        "the gate is inverted: it is open where the unit is off": lambda A, x: (A @ x <= 0)[:, None] * A,
        "the slope of max(0, a) is 1 where a > 0; this multiplies by the value h instead": lambda A, x: (
            _relu_layer(A, x)[:, None] * A
        ),
        "the gate belongs to the layer's outputs, one for each row of A; this gates the inputs": lambda A, x: (
            A * (x > 0)
        ),
        "the gate asks about the entries of A; a unit is on where its sum A x is positive, whatever its single weights": lambda A, x: (
            A * (A > 0)
        ),
        "np.sign is −1 where the unit is off; the slope of max(0, a) is 0 there": lambda A, x: (
            np.sign(A @ x)[:, None] * A
        ),
        "this is the gate alone; where it is open, the slope of the layer is the row of A": lambda A, x: (
            (A @ x > 0)[:, None] * np.ones_like(A)
        ),
    },
)

EXERCISES: tuple[Exercise, ...] = (
    _THREE_INPUTS,
    _COUNT_THE_AXES,
    _LOGITS_JACOBIAN,
    _SOFTMAX_TIMES_VECTOR,
    _TEMPERATURE_JACOBIAN,
    _UNIT_VECTOR_JACOBIAN,
    _RELU_GATE,
)
