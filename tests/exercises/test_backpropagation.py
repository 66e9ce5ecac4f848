"""The exercises of *Backpropagation*: wrong answers as students write them are told apart, right ones pass.

Right answers come from the engine or from loops over images, counts from counting products as they happen.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from verdicts import answer_tests, told

import mathdl as md
from mathdl.exercises.backpropagation import EXERCISES

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
TANH, TIED, FIRST = "tanh-layer-pull", "tied-autoencoder", "first-layer-gradient"
RESIDUAL, FUSED, COUNT = "residual-pull", "fused-cross-entropy", "count-passes"


# -- right answers -----------------------------------------------------------------------------------------------------


def tanh_layer(X: Any, W: Any, b: Any, G: Any) -> Any:
    """Image by image."""
    total = np.zeros((len(W), W.shape[1] + 1))
    for x, g in zip(X, G, strict=True):
        total += np.outer(g * (1 - np.tanh(W @ x + b) ** 2), [*x, 1.0])
    return total


def tied(W: Any, X: Any) -> Any:
    return md.grad(lambda V: np.mean(np.sum((np.tanh(X @ V.T) @ V - X) ** 2, axis=1)))(W)


def first_layer(W1: Any, b1: Any, w2: Any, X: Any, t: Any) -> Any:
    return md.grad(lambda V: np.mean((np.maximum(X @ V.T + b1, 0) @ w2 - t) ** 2))(W1)


def residual(X: Any, W: Any, b: Any, G: Any) -> Any:
    """Row by row, with the Jacobian I + diag(gate) W."""
    rows = []
    for x, g in zip(X, G, strict=True):
        gate = np.diag((W @ x + b > 0).astype(float))
        rows.append((np.eye(len(x)) + gate @ W).T @ g)
    return np.array(rows)


def fused(Z: Any, labels: Any) -> Any:
    P = softmax(Z, axis=1)
    P[np.arange(len(Z)), labels] -= 1
    return P / len(Z)


RIGHT: dict[str, Any] = {
    TANH: tanh_layer,
    TIED: tied,
    FIRST: first_layer,
    RESIDUAL: residual,
    FUSED: fused,
    COUNT: [109184, 118016, 1.9, 218772],
}


# -- wrong answers, as they are written --------------------------------------------------------------------------------


def tanh_written(line: str) -> Callable[..., Any]:
    """Two lines of code as in the solution, with one of them changed."""

    def attempt(X: Any, W: Any, b: Any, G: Any) -> Any:
        A = X @ W.T + b
        Z = np.tanh(A)
        A_bar = {
            "no slope": G,
            "slope of A": G * (1 - A**2),
            "not squared": G * (1 - Z),
            "tanh twice": G * (1 - np.tanh(Z) ** 2),
            "the value": G * Z,
        }.get(line, G * (1 - Z**2))
        b_bar = {"mean": A_bar.mean(axis=0), "first": A_bar[0]}.get(line, A_bar.sum(axis=0))
        if line == "divided":
            return np.column_stack([A_bar.T @ X, b_bar]) / len(X)
        if line == "b first":
            return np.column_stack([b_bar, A_bar.T @ X])
        if line == "W alone":
            return A_bar.T @ X
        if line == "transposed":
            return np.column_stack([A_bar.T @ X, b_bar]).T
        return np.column_stack([A_bar.T @ X, b_bar])

    return attempt


def tied_written(line: str) -> Callable[..., Any]:
    def attempt(W: Any, X: Any) -> Any:
        N = len(X)
        H = np.tanh(X @ W.T)
        R_bar = {"no N": 2, "N twice": 2 / N**2, "no 2": 1 / N, "all entries": 2 / X.size}.get(line, 2 / N) * (
            H @ W - X
        )
        H_bar = R_bar @ W.T
        encoder = (H_bar if line == "no slope" else H_bar * (1 - H**2)).T @ X
        decoder = H.T @ R_bar
        return {"decoder": decoder, "encoder": encoder, "minus": decoder - encoder}.get(line, decoder + encoder)

    return attempt


def first_written(line: str) -> Callable[..., Any]:
    def attempt(W1: Any, b1: Any, w2: Any, X: Any, t: Any) -> Any:
        N, A = len(X), X @ W1.T + b1
        H = np.maximum(A, 0)
        z = H @ w2
        z_bar = {
            "no N": 2 * (z - t),
            "N twice": 2 * (z - t) / N**2,
            "no 2": (z - t) / N,
            "bare": z - t,
            "sign": 2 * (t - z) / N,
        }.get(line, 2 * (z - t) / N)
        H_bar = np.outer(z_bar, np.ones_like(w2) if line == "no w2" else w2)
        gate = {"none": 1.0, "output": H >= 0, "reverse": A < 0, "value": H}.get(line, A > 0)
        W1_bar = (H_bar * gate).T @ X
        return W1_bar.T if line == "transposed" else W1_bar

    return attempt


def residual_written(line: str) -> Callable[..., Any]:
    def attempt(X: Any, W: Any, b: Any, G: Any) -> Any:
        A = X @ W.T + b
        H = np.maximum(A, 0)
        gate = {"none": 1.0, "output": H >= 0, "Y": X + H > 0}.get(line, A > 0)
        if line == "skip gated":
            return G * gate + (G * gate) @ W
        if line == "affine":
            return G @ W
        branch = (G * gate) @ (W.T if line == "transposed" else W)
        return {"no skip": branch, "skip alone": G, "twice": 2 * G + branch}.get(line, G + branch)

    return attempt


def fused_written(line: str) -> Callable[..., Any]:
    def attempt(Z: Any, labels: Any) -> Any:
        N, k = Z.shape
        Y = np.eye(k)[labels]
        P = softmax(Z, axis=0 if line == "axis" else 1)
        slips: dict[str, Callable[[], Any]] = {
            "no N": lambda: P - Y,
            "N k": lambda: (P - Y) / (N * k),
            "N twice": lambda: (P - Y) / N**2,
            "sign": lambda: (Y - P) / N,
            "P": lambda: P / N,
            "Y": lambda: -Y / N,
            "brackets": lambda: P / N - Y,
            "by P": lambda: -Y / (N * P),
            "entrywise": lambda: P * (1 - P) * (-Y / (N * P)),
        }
        return slips.get(line, lambda: (P - Y) / N)()

    return attempt


def overflowing(Z: Any, labels: Any) -> Any:
    with np.errstate(all="ignore"):
        E = np.exp(Z)
        return (E / E.sum(axis=1, keepdims=True) - np.eye(Z.shape[1])[labels]) / len(Z)


WRONG: list[tuple[str, Any, str]] = [
    (TANH, tanh_written("no slope"), "slope of tanh is missing"),
    (TANH, tanh_written("slope of A"), "this is 1 − A²"),
    (TANH, tanh_written("not squared"), "this is 1 − Z"),
    (TANH, tanh_written("tanh twice"), "applied twice"),
    (TANH, tanh_written("the value"), "not by its slope"),
    (TANH, tanh_written("mean"), "b has the mean"),
    (TANH, tanh_written("first"), "first image alone"),
    (TANH, tanh_written("divided"), "carries the mean already"),
    (TANH, tanh_written("b first"), "wrong order"),
    (TANH, tanh_written("W alone"), "b is missing"),
    (TANH, tanh_written("transposed"), "transposed"),
    (TIED, tied_written("decoder"), "decoder alone"),
    (TIED, tied_written("encoder"), "encoder alone"),
    (TIED, tied_written("minus"), "subtracted"),
    (TIED, tied_written("no slope"), "slope of tanh"),
    (TIED, tied_written("no N"), "mean over the batch is missing"),
    (TIED, tied_written("N twice"), "applied twice"),
    (TIED, tied_written("no 2"), "half of the gradient"),
    (TIED, tied_written("all entries"), "all entries of X"),
    (FIRST, first_written("no N"), "1/N of the mean is missing"),
    (FIRST, first_written("N twice"), "applied twice"),
    (FIRST, first_written("no 2"), "2 of the square is missing"),
    (FIRST, first_written("bare"), "both missing"),
    (FIRST, first_written("sign"), "sign is wrong"),
    (FIRST, first_written("none"), "always open"),
    (FIRST, first_written("reverse"), "wrong way round"),
    (FIRST, first_written("value"), "output of ReLU stands"),
    (FIRST, first_written("no w2"), "w2 is missing"),
    (FIRST, first_written("transposed"), "transposed"),
    (RESIDUAL, residual_written("no skip"), "skip is forgotten"),
    (RESIDUAL, residual_written("skip alone"), "skip alone"),
    (RESIDUAL, residual_written("none"), "gate is missing"),
    (RESIDUAL, residual_written("Y"), "block's output"),
    (RESIDUAL, residual_written("transposed"), "W is transposed"),
    (RESIDUAL, residual_written("twice"), "counts twice"),
    (RESIDUAL, residual_written("skip gated"), "skip is gated"),
    (RESIDUAL, residual_written("affine"), "both missing"),
    (FUSED, fused_written("no N"), "batch is missing"),
    (FUSED, fused_written("N k"), "all entries"),
    (FUSED, fused_written("N twice"), "applied twice"),
    (FUSED, fused_written("sign"), "uphill"),
    (FUSED, fused_written("P"), "not subtracted"),
    (FUSED, fused_written("Y"), "probabilities are missing"),
    (FUSED, fused_written("brackets"), "with brackets"),
    (FUSED, fused_written("axis"), "down the columns"),
    (FUSED, fused_written("by P"), "gradient by P"),
    (FUSED, fused_written("entrywise"), "entry by entry"),
    (FUSED, overflowing, "not finite"),
    (COUNT, [109184, 218368, 2.0, 218772], "pulls back to the images"),
    (COUNT, [109184, 118016, 1.9, 218368], "biases are not nudged"),
    (COUNT, [109184, 118016, 1.9, 109386], "central difference takes two"),
    (COUNT, [109184, 118016, 2.1, 218772], "1 of 4 entries differ, the first at index (2,)"),
    (COUNT, [109184, 118016, 2.0, 218772], "(3) is 2 only"),
]

test_right, test_wrong, test_differ = answer_tests(EXERCISE, RIGHT, WRONG)


def test_a_gate_asked_of_the_output_is_no_gate() -> None:
    """`>= 0` of what ReLU gave is always true: the slip in print is the missing gate."""
    assert told(EXERCISE[FIRST], first_written("output")) == told(EXERCISE[FIRST], first_written("none"))
    assert told(EXERCISE[RESIDUAL], residual_written("output")) == told(EXERCISE[RESIDUAL], residual_written("none"))


def test_a_transposed_square_matrix_is_named_for_what_it_is() -> None:
    """A transposed result has another shape, since m and n differ; W of the residual is square, and not symmetric."""
    for name in (TANH, FIRST):
        for arguments in EXERCISE[name].inputs:
            shape = np.shape(EXERCISE[name].truth(*arguments))
            assert shape[0] != shape[1]
    for _, W, _, _ in EXERCISE[RESIDUAL].inputs:
        assert not np.allclose(W, W.T)


def test_inputs_show_what_is_judged() -> None:
    for W1, b1, _, X, _ in EXERCISE[FIRST].inputs:
        A = X @ W1.T + b1
        assert 0 < np.mean(A > 0) < 1, "a gate that is never shut would not be missed"
        assert abs(A).min() > 1e-3, "too near a kink"
    for X, W, b, _ in EXERCISE[RESIDUAL].inputs:
        A = X @ W.T + b
        Y = X + np.maximum(A, 0)
        assert 0 < np.mean(A > 0) < 1
        assert np.any((A > 0) != (Y > 0)), "the gate of the output would be the gate of the layer"
    sizes = [len(arguments[0]) for arguments in EXERCISE[FUSED].inputs]
    assert min(sizes) > 1, "the mean over one image would not be missed"


def test_the_losses_are_those_of_the_package() -> None:
    """The squared error, and the cross-entropy, from SciPy and from the layers."""
    Z, labels = EXERCISE[FUSED].inputs[1]
    loss = md.layers.CrossEntropy()
    assert loss(Z, labels) == pytest.approx(-log_softmax(Z, axis=1)[np.arange(len(Z)), labels].mean())
    np.testing.assert_allclose(EXERCISE[FUSED].truth(Z, labels), loss.jacobian(Z, labels), rtol=1e-12)
    W1, b1, w2, X, t = EXERCISE[FIRST].inputs[1]
    net = md.network.Network(hidden=md.layers.Affine(), gate=md.layers.ReLU(), out=md.layers.Affine())
    params = {"hidden": {"W": W1, "b": b1}, "out": {"W": w2[None], "b": np.zeros(1)}}
    _, gradient = net.value_and_grad(params, X, t[:, None], md.layers.MeanSquaredError())
    np.testing.assert_allclose(EXERCISE[FIRST].truth(W1, b1, w2, X, t), gradient["hidden"]["W"], rtol=1e-12)


class Counting:
    """A matrix that notes the multiplications of each product it takes part in."""

    done = 0

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def __matmul__(self, other: Counting) -> Counting:
        assert self.shape[1] == other.shape[0]
        Counting.done += self.shape[0] * self.shape[1] * other.shape[1]
        return Counting(self.shape[0], other.shape[1])

    @property
    def T(self) -> Counting:
        return Counting(*self.shape[::-1])


def multiplications(widths: tuple[int, ...], N: int = 1) -> tuple[int, int]:
    """Forward and backward, counted while the passes are made."""
    weights = [Counting(m, n) for n, m in pairwise(widths)]
    Counting.done, kept, X = 0, [], Counting(N, widths[0])
    for W in weights:
        kept.append(X)
        X = X @ W.T
    forward, Counting.done, G = Counting.done, 0, X
    for k in reversed(range(len(weights))):
        assert (G.T @ kept[k]).shape == weights[k].shape
        if k:
            G = G @ weights[k]
    return forward, Counting.done


def test_the_counts_are_counted() -> None:
    forward, backward = multiplications((784, 128, 64, 10))
    assert [forward, backward] == RIGHT[COUNT][:2]
    forward, backward = multiplications((30,) * 11, N=4)
    assert backward / forward == RIGHT[COUNT][2]
    net = md.network.Network(**{f"l{n}": md.layers.Affine(n) for n in (128, 64, 10)})
    assert 2 * md.flatten(net.initial((1, 784)))[0].size == RIGHT[COUNT][3]
