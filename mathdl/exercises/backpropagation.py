"""The exercises of *Backpropagation*: backward passes of layers, of shared weights, of a skip, of losses, and their cost.

Truths come from complex steps and counts from loops; none repeats a solution.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[Any]

_rng = np.random.default_rng(11)
_normal = _rng.standard_normal


def _gradient(f: Callable[[Array], Any], x: Array) -> Array:
    return numeric.jacobian(f, x, method="complex").value


def _relu_near(A: Array) -> Callable[[Array], Array]:
    """ReLU around A, where no gate changes: linear, so that a complex step can pass."""
    is_open = A > 0
    return lambda a: np.asarray(is_open * a)


# ------------------------------------------------------------------------------------------------------- a tanh layer


def _tanh_layer(X: Array, W: Array, b: Array, G: Array) -> Array:
    """The gradient of the weighted outputs by W and b, side by side."""
    joined = np.column_stack([W, b])
    return _gradient(lambda V: np.sum(G * np.tanh(X @ V[:, :-1].T + V[:, -1])), joined)


def _tanh_slipped(
    slope: Callable[[Array], Array] = lambda A: 1 - np.tanh(A) ** 2, bias: Callable[[Array], Array] | None = None
) -> Callable[..., Array]:
    """The same by formula, with another slope or another sum for the bias."""

    def pulled(X: Array, W: Array, b: Array, G: Array) -> Array:
        A_bar = G * slope(X @ W.T + b)
        return np.column_stack([A_bar.T @ X, A_bar.sum(axis=0) if bias is None else bias(A_bar)])

    return pulled


_TANH_LAYER = Exercise(
    name="tanh-layer-pull",
    task="Return the cotangents of W and b of a layer tanh(X Wᵀ + b) side by side, shape (m, n + 1).",
    truth=_tanh_layer,
    inputs=(
        (_normal((3, 2)), _normal((4, 2)), _normal(4), _normal((3, 4))),
        (_normal((7, 5)), 0.5 * _normal((2, 5)), _normal(2), _normal((7, 2))),
    ),
    derivative=True,
    hints=(
        "Take the layer apart: A = X Wᵀ + b, then tanh entry by entry. What is the cotangent of A?",
        "It is G times the slope of tanh, 1 − tanh², at each entry of A. Then the affine layer: Āᵀ X for W, and the sum over the batch for b.",
        "A_bar = G * (1 − np.tanh(X @ W.T + b) ** 2), then np.column_stack([A_bar.T @ X, A_bar.sum(axis=0)])",
    ),
    mistakes={
        "the slope of tanh is missing: G has to be multiplied by 1 − tanh² before it meets X": _tanh_slipped(
            slope=np.ones_like
        ),
        "the slope is taken at the wrong place: tanh′ is 1 − Z² with the output Z = tanh(A), and this is 1 − A²": _tanh_slipped(
            slope=lambda A: 1 - A**2
        ),
        "the slope is evaluated at the output: this is 1 − tanh(Z)², and tanh is applied twice": _tanh_slipped(
            slope=lambda A: 1 - np.tanh(np.tanh(A)) ** 2
        ),
        "the slope of tanh is 1 − Z², and this is 1 − Z": _tanh_slipped(slope=lambda A: 1 - np.tanh(A)),
        "this multiplies by tanh itself, not by its slope": _tanh_slipped(slope=np.tanh),
        "b has the mean over the batch; each image uses the same b, so their shares are added: a sum": _tanh_slipped(
            bias=lambda A_bar: A_bar.mean(axis=0)
        ),
        "b has the share of the first image alone; sum over the batch, axis 0": _tanh_slipped(
            bias=lambda A_bar: A_bar[0]
        ),
        "everything is divided by N, the number of images; G comes from above and carries the mean already": lambda X, W, b, G: (
            _tanh_layer(X, W, b, G) / len(X)
        ),
        "the columns are in the wrong order: first those of W, then b": lambda X, W, b, G: np.roll(
            _tanh_layer(X, W, b, G), 1, axis=1
        ),
        "b is missing: append its cotangent as one more column": lambda X, W, b, G: _tanh_layer(X, W, b, G)[:, :-1],
    },
)

# ---------------------------------------------------------------------------------------------- a weight that is used twice


def _autoencoder(W: Array, X: Array) -> Any:
    return np.sum((np.tanh(X @ W.T) @ W - X) ** 2) / len(X)


def _tied_paths(W: Array, X: Array, gate: bool = True) -> tuple[Array, Array]:
    """What reaches W as the decoder, and what reaches it as the encoder."""
    H = np.tanh(X @ W.T)
    R_bar = 2 * (H @ W - X) / len(X)
    back = R_bar @ W.T * (1 - H**2 if gate else 1.0)
    return H.T @ R_bar, back.T @ X


_TIED = Exercise(
    name="tied-autoencoder",
    task="Return the gradient by W of the mean over the batch of ‖tanh(x Wᵀ) W − x‖², shape (m, n).",
    truth=lambda W, X: _gradient(lambda V: _autoencoder(V, X), W),
    inputs=((0.6 * _normal((2, 3)), _normal((4, 3))), (0.4 * _normal((3, 5)), _normal((7, 5)))),
    derivative=True,
    hints=(
        "W is used twice, in tanh(X Wᵀ) and in H W. Give the two uses different names, and pull to each of them. Then?",
        "With R = H W − X: R̄ = 2 R / N. The decoder's share is Hᵀ R̄. For the encoder go on: H̄ = R̄ Wᵀ, then the slope 1 − H², then Āᵀ X. Cotangents of the two uses add.",
        "H.T @ R_bar + ((R_bar @ W.T) * (1 − H**2)).T @ X",
    ),
    mistakes={
        "this is the share of the decoder alone, H W; W is used in tanh(X Wᵀ) as well, and the two cotangents add": lambda W, X: (
            _tied_paths(W, X)[0]
        ),
        "this is the share of the encoder alone, tanh(X Wᵀ); W is used in H W as well, and the two cotangents add": lambda W, X: (
            _tied_paths(W, X)[1]
        ),
        "the two shares are subtracted; where a weight is used twice they add": lambda W, X: (
            _tied_paths(W, X)[0] - _tied_paths(W, X)[1]
        ),
        "the slope of tanh, 1 − H², is missing on the way to the encoder": lambda W, X: sum(
            _tied_paths(W, X, gate=False)
        ),
        "the 1/N of the mean over the batch is missing": lambda W, X: sum(_tied_paths(W, X)) * len(X),
        "1/N is applied twice: it belongs to the loss, so R̄ = 2 R / N, and nothing further down": lambda W, X: (
            sum(_tied_paths(W, X)) / len(X)
        ),
        "this is half of the gradient: the 2 of the square is missing, or the two shares were averaged, and they add": lambda W, X: (
            sum(_tied_paths(W, X)) / 2
        ),
        "this divides by all entries of X; the loss is a sum over pixels, and a mean over the batch alone": lambda W, X: (
            sum(_tied_paths(W, X)) / X.shape[1]
        ),
    },
)

# ------------------------------------------------------------------------------------------- a network with a squared error


def _squared_error_gradient(W1: Array, b1: Array, w2: Array, X: Array, t: Array) -> Array:
    relu = _relu_near(X @ W1.T + b1)
    return _gradient(lambda V: np.sum((relu(X @ V.T + b1) @ w2 - t) ** 2) / len(X), W1)


def _first_layer(
    gate: Callable[[Array], Any] = lambda A: A > 0, factor: Callable[[int], float] = lambda N: 2 / N, w: bool = True
) -> Callable[..., Array]:
    """The gradient by W1 by formula, with another gate, another factor, or without the output's weights."""

    def gradient(W1: Array, b1: Array, w2: Array, X: Array, t: Array) -> Array:
        A = X @ W1.T + b1
        z_bar = factor(len(X)) * (np.maximum(A, 0) @ w2 - t)
        A_bar = np.outer(z_bar, w2 if w else np.ones_like(w2)) * gate(A)
        return np.asarray(A_bar.T @ X)

    return gradient


def _regression(N: int, n: int, m: int) -> tuple[Array, Array, Array, Array, Array]:
    return _normal((m, n)), _normal(m), _normal(m), _normal((N, n)), _normal(N)


_FIRST_LAYER = Exercise(
    name="first-layer-gradient",
    task="Return the gradient by W1 of the mean of (z − t)², where z = max(X W1ᵀ + b1, 0) w2, shape (m, n).",
    truth=_squared_error_gradient,
    inputs=(_regression(3, 2, 4), _regression(7, 5, 6)),
    derivative=True,
    hints=(
        "From the loss down: the cotangent of z, shape (N,), then that of H, shape (N, m), then the gate, then the affine layer.",
        "z̄ = 2 (z − t) / N. Each z_i is h_i · w2, so H̄ has the row z̄_i w2: an outer product. The gate is open where X W1ᵀ + b1 > 0.",
        "A_bar = np.outer(2 * (z − t) / N, w2) * (A > 0), then A_bar.T @ X",
    ),
    mistakes={
        "the 1/N of the mean is missing": _first_layer(factor=lambda N: 2.0),
        "1/N is applied twice: it belongs to the loss alone, z̄ = 2 (z − t) / N; the product with X sums over the batch": _first_layer(
            factor=lambda N: 2 / N**2
        ),
        "the factor 2 of the square is missing": _first_layer(factor=lambda N: 1 / N),
        "the factor 2 of the square and the 1/N of the mean are both missing": _first_layer(factor=lambda N: 1.0),
        "the sign is wrong: the gradient of (z − t)² by z is 2 (z − t), and this steps the other way": _first_layer(
            factor=lambda N: -2 / N
        ),
        "the gate is missing, or always open, as when `>= 0` is asked of the output of ReLU; it is open where X W1ᵀ + b1 > 0": _first_layer(
            gate=np.ones_like
        ),
        "the gate is the wrong way round: it is open where X W1ᵀ + b1 is positive": _first_layer(gate=lambda A: A <= 0),
        "the output of ReLU stands where its slope belongs, 1 or 0": _first_layer(gate=lambda A: np.maximum(A, 0)),
        "w2 is missing: H̄ has the rows z̄_i w2": _first_layer(w=False),
        "this is transposed: the gradient by W1 has its shape, (m, n), a row for each hidden unit": lambda *args: (
            _first_layer()(*args).T
        ),
    },
)

# ------------------------------------------------------------------------------------------------------- a residual block


def _residual(X: Array, W: Array, b: Array, G: Array) -> Array:
    relu = _relu_near(X @ W.T + b)
    return _gradient(lambda V: np.sum(G * (V + relu(V @ W.T + b))), X)


_Gate = Callable[[Array, Array], Any]


def _skipped(
    gate: _Gate = lambda A, Y: A > 0, skip: float = 1.0, turn: bool = False, through: bool = True
) -> Callable[..., Array]:
    """The pull by formula, with another gate, more or less of the skip, W turned, or without the branch."""

    def pulled(X: Array, W: Array, b: Array, G: Array) -> Array:
        A = X @ W.T + b
        branch = (G * gate(A, X + np.maximum(A, 0))) @ (W.T if turn else W)
        return np.asarray(skip * G + (branch if through else 0.0))

    return pulled


_RESIDUAL = Exercise(
    name="residual-pull",
    task="Return the cotangent of X, shape (N, n), for Y = X + max(X Wᵀ + b, 0) with a square W.",
    truth=_residual,
    inputs=(
        (_normal((4, 3)), _normal((3, 3)), 0.3 * _normal(3), _normal((4, 3))),
        (_normal((6, 4)), _normal((4, 4)), _normal(4), _normal((6, 4))),
    ),
    derivative=True,
    hints=(
        "X reaches Y by two ways: directly, and through the layer. What does each of them pull back?",
        "The direct way gives G as it is. The other: G times the gate, where X Wᵀ + b > 0, and then times W. The two add.",
        "G + (G * (X @ W.T + b > 0)) @ W",
    ),
    mistakes={
        "the skip is forgotten: X goes into Y directly as well, which adds G itself": _skipped(skip=0.0),
        "this is the skip alone; the cotangent also goes back through the layer": _skipped(through=False),
        "the gate is missing: where X Wᵀ + b is negative nothing of G passes the layer": _skipped(
            gate=lambda A, Y: np.ones_like(A)
        ),
        "the gate is asked of the block's output Y; ReLU saw A = X Wᵀ + b": _skipped(gate=lambda A, Y: Y > 0),
        "W is transposed: with rows as examples forward multiplies by Wᵀ, and backward by W": _skipped(turn=True),
        "the skip counts twice": _skipped(skip=2.0),
        "the skip is gated too; the gate belongs to the layer, and what goes directly passes no gate": lambda X, W, b, G: (
            (G * (X @ W.T + b > 0)) @ (np.eye(len(W)) + W)
        ),
        "the gate and the skip are both missing: this is G W, the pull of the affine map alone": _skipped(
            gate=lambda A, Y: np.ones_like(A), skip=0.0
        ),
    },
)

# ------------------------------------------------------------------------------------------- softmax and cross-entropy fused


def _cross_entropy_gradient(Z: Array, labels: Array) -> Array:
    """The largest entries are subtracted as constants, which changes no loss and lets nothing overflow."""
    largest = Z.max(axis=1, keepdims=True)

    def loss(V: Array) -> Any:
        shifted = V - largest
        return np.sum(np.log(np.sum(np.exp(shifted), axis=1)) - shifted[np.arange(len(Z)), labels]) / len(Z)

    return _gradient(loss, Z)


def _fused(
    axis: int = 1,
    factor: Callable[[tuple[int, ...]], float] = lambda shape: 1 / shape[0],
    minus: Callable[[Array, Array, int], Array] = lambda P, Y, N: P - Y,
) -> Callable[..., Array]:
    def gradient(Z: Array, labels: Array) -> Array:
        E = np.exp(Z - Z.max(axis=axis, keepdims=True))
        P, Y = E / E.sum(axis=axis, keepdims=True), np.eye(Z.shape[1])[labels]
        return np.asarray(factor(Z.shape) * minus(P, Y, len(Z)))

    return gradient


_FUSED = Exercise(
    name="fused-cross-entropy",
    task="Return the gradient of the mean cross-entropy by the logits Z, shape (N, k), also where logits are large.",
    truth=_cross_entropy_gradient,
    inputs=(
        (_normal((3, 4)), np.array([2, 0, 0])),
        (2 * _normal((6, 5)), np.array([4, 1, 1, 0, 2, 3])),
        (np.array([[1000.0, 998.0, 995.0], [-800.0, -801.0, -800.5]]), np.array([1, 0])),
    ),
    derivative=True,
    hints=(
        "Row i of the gradient is p_i minus the unit vector of its class, times what the mean adds. How is softmax taken of a row with entries near 1000?",
        "Subtract from each row its largest entry before exp: softmax does not change. Then (P − Y) / N, where Y has a 1 at the label of each row.",
        "P[np.arange(N), labels] −= 1 turns P into P − Y; at the end divide by N = len(Z).",
    ),
    mistakes={
        "the 1/N of the mean over the batch is missing": _fused(factor=lambda shape: 1.0),
        "this divides by all entries, N k; the mean is over the N rows": _fused(
            factor=lambda shape: 1 / (shape[0] * shape[1])
        ),
        "1/N is applied twice": _fused(factor=lambda shape: 1 / shape[0] ** 2),
        "the sign is wrong: this is (Y − P) / N, which steps uphill": _fused(minus=lambda P, Y, N: Y - P),
        "these are the probabilities over N; the 1 of the true class is not subtracted": _fused(
            minus=lambda P, Y, N: P
        ),
        "this is −Y / N: the probabilities are missing, as when the second term of softmax's Jacobian is dropped": _fused(
            minus=lambda P, Y, N: -Y
        ),
        "1/N multiplies P alone: (P − Y) / N, with brackets": _fused(minus=lambda P, Y, N: P - N * Y),
        "softmax goes down the columns; each row is an image, so the sum is over axis 1": _fused(axis=0),
        "this is the gradient by P, −Y / (N P), not by Z: the pull through softmax is missing": _fused(
            minus=lambda P, Y, N: -Y / P
        ),
        "softmax is taken entry by entry, with slopes p (1 − p); each probability depends on all logits of its row": _fused(
            minus=lambda P, Y, N: -Y * (1 - P)
        ),
    },
)

# --------------------------------------------------------------------------------------------------------- what it costs


def _counts(
    inputs_too: bool = False, biases: bool = True, sides: int = 2, layers: int = 10, ratio: float | None = None
) -> Array:
    """Multiplications for one image forward and backward, the ratio for equal layers, passes for central differences."""
    widths = (784, 128, 64, 10)
    forward = backward = parameters = 0
    for k, (n, m) in enumerate(pairwise(widths)):
        forward += n * m
        backward += n * m * (2 if k > 0 or inputs_too else 1)
        parameters += n * m + (m if biases else 0)
    ratio = ratio or (2 * layers - (0 if inputs_too else 1)) / layers
    return np.array([forward, backward, ratio, sides * parameters])


_COUNT = Exercise(
    name="count-passes",
    task="Count multiplications forward and backward, their ratio for ten equal layers, and the passes that nudging takes.",
    truth=_counts(),
    rtol=1e-8,  # the third number is small beside the others
    hints=(
        "Forward, each weight is one multiplication for one image. Backward, which two products does a layer need, and which of them does the first layer not need?",
        "Backward: one multiplication for each weight for W̄, and one more for X̄ in all layers but the first. For K equal layers that is (2K − 1)/K. Central differences nudge each weight and each bias up and down.",
        "(1) 784·128 + 128·64 + 64·10. (2) Twice that, less 784·128. (3) 19/10. (4) Twice the number of weights and biases.",
    ),
    mistakes={
        "the backward pass here also pulls back to the images, which training does not need: the first layer takes one product, not two": _counts(
            inputs_too=True
        ),
        "(3) is 2 only if the first layer, too, pulls back to its input, which training does not need": _counts(
            ratio=2.0
        ),
        "the biases are not nudged in (4); they are parameters too": _counts(biases=False),
        "(4) counts one pass for each parameter; a central difference takes two": _counts(sides=1),
    },
)

EXERCISES = (_TANH_LAYER, _TIED, _FIRST_LAYER, _RESIDUAL, _FUSED, _COUNT)
