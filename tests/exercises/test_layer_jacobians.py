"""The exercises of *Layer Jacobians*: wrong answers as students write them are told apart, right ones pass.

The right answers here are written in other ways than the module's; the counts are ranks of `mathdl.layers`' Jacobians.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from verdicts import answer_tests

from mathdl import layers
from mathdl.exercises.judge import judge
from mathdl.exercises.layer_jacobians import EXERCISES

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
TARGETS, GROUPS, STRIDED = "targets-of-any-sum", "group-norm-pull", "strided-kernel-pull"
OVERLAP, COUNT = "sliding-max-pull", "count-forgotten"


def weighted_gradient(Z: Any, T: Any) -> Any:
    rows = [softmax(z) * t.sum() - t for z, t in zip(Z, T, strict=True)]
    return np.array(rows) / len(rows)


def group_norm_pull(X: Any, G: Any, groups: int, epsilon: float) -> Any:
    """Group by group, by the dense Jacobian of layer norm."""
    width = X.shape[1] // groups
    params, out = {"scale": np.ones(width), "shift": np.zeros(width)}, np.empty_like(X)
    for a in range(len(X)):
        for start in range(0, X.shape[1], width):
            part = slice(start, start + width)
            out[a, part] = layers.LayerNorm(epsilon).jacobian(params, X[a, part]).T @ G[a, part]
    return out


def kernel_pull(x: Any, g: Any, stride: int, k: int) -> Any:
    return sum(g[i] * x[i * stride : i * stride + k] for i in range(len(g)))


def sliding_max_pull(x: Any, g: Any, size: int) -> Any:
    layer = layers.MaxPool1d(size, stride=1)
    return layer.vjp({}, layer.forward({}, x[None, None])[1], g[None, None])[1][0, 0]


def overwritten(x: Any, g: Any, size: int) -> Any:
    gx = np.zeros_like(x)
    gx[np.arange(len(g)) + np.lib.stride_tricks.sliding_window_view(x, size).argmax(axis=1)] += g
    return gx


def tied(x: Any, g: Any, size: int, share: bool = False) -> Any:
    gx = np.zeros_like(x)
    for i in range(len(g)):
        top = x[i : i + size] == x[i : i + size].max()
        gx[i : i + size] += g[i] * (top / top.sum() if share else top)
    return gx


def reversed_windows(x: Any, g: Any, size: int) -> Any:
    return sliding_max_pull(x[::-1].copy(), g[::-1].copy(), size)[::-1]


def norm_pull(
    X: Any, G: Any, groups: int, epsilon: float, ddof: int = 0, terms: str = "ab", divide: bool = True
) -> Any:
    x, g = X.reshape(len(X), groups, -1), G.reshape(len(X), groups, -1)
    s = np.sqrt(np.var(x, axis=-1, ddof=ddof, keepdims=True) + epsilon)
    xhat = (x - x.mean(-1, keepdims=True)) / s
    out = g.copy()
    if "a" in terms:
        out -= g.mean(-1, keepdims=True)
    if "b" in terms:
        out -= xhat * (xhat * g).mean(-1, keepdims=True)
    return (out / s if divide else out).reshape(X.shape)


RIGHT = {
    TARGETS: weighted_gradient,
    GROUPS: group_norm_pull,
    STRIDED: kernel_pull,
    OVERLAP: sliding_max_pull,
    COUNT: (1, 2, 48, 21, 8, 12),
}

WRONG = [
    (TARGETS, lambda Z, T: (softmax(Z, axis=1) - T) / Z.shape[0], "rows of T that sum to 1"),
    (TARGETS, lambda Z, T: weighted_gradient(Z, T) * len(Z), "1/N is missing"),
    (TARGETS, lambda Z, T: weighted_gradient(Z, T) / Z.shape[1], "not over all N k"),
    (TARGETS, lambda Z, T: -weighted_gradient(Z, T), "sign is wrong"),
    (TARGETS, lambda Z, T: (softmax(Z, axis=1) * T.sum() - T) / len(Z), "sum of all targets"),
    (TARGETS, lambda Z, T: (softmax(Z, axis=1) * T.sum(0) - T) / len(Z), "column sums"),
    (TARGETS, lambda Z, T: (softmax(Z, axis=1) - T * T.sum(1, keepdims=True)) / len(Z), "belongs to p"),
    (TARGETS, lambda Z, T: weighted_gradient(Z, T / T.sum(1, keepdims=True)), "another loss"),
    (TARGETS, lambda Z, T: (softmax(Z) * T.sum(1, keepdims=True) - T) / len(Z), "over all of Z"),
    (TARGETS, lambda Z, T: -T / len(Z), "cotangent of log p"),
    (TARGETS, lambda Z, T: -(T * log_softmax(Z, axis=1)).sum() / len(Z), "shape"),
    (GROUPS, lambda X, G, k, e: norm_pull(X, G, k, e, terms=""), "taken for constants"),
    (GROUPS, lambda X, G, k, e: norm_pull(X, G, k, e, terms="a"), "variance is taken for a constant"),
    (GROUPS, lambda X, G, k, e: norm_pull(X, G, k, e, terms="b"), "the mean is taken for a constant"),
    (GROUPS, lambda X, G, k, e: norm_pull(X, G, 1, e), "whole row"),
    (GROUPS, lambda X, G, k, e: norm_pull(X.T, G.T, 1, e).T, "over the batch"),
    (GROUPS, lambda X, G, k, e: norm_pull(X, G, k, e, divide=False), "division by s"),
    (GROUPS, lambda X, G, k, e: norm_pull(X, G, k, 0.0), "ε is missing"),
    (GROUPS, lambda X, G, k, e: norm_pull(X, G, k, e, ddof=1), "its number less 1"),
    (GROUPS, lambda X, G, k, e: group_norm_pull(X, G, k, e)[0], "shape"),
    (STRIDED, lambda x, g, s, k: kernel_pull(x, g, 1, k), "stride is missing"),
    (STRIDED, lambda x, g, s, k: kernel_pull(x, g, s, k)[::-1], "kernel runs the wrong way"),
    (STRIDED, lambda x, g, s, k: kernel_pull(x, g[::-1], s, k), "g runs the wrong way"),
    (STRIDED, lambda x, g, s, k: kernel_pull(x, g, s, k) / len(g), "averages"),
    (STRIDED, lambda x, g, s, k: g[0] * x[:k], "only the first window"),
    (STRIDED, lambda x, g, s, k: g[-1] * x[s * (len(g) - 1) : s * (len(g) - 1) + k], "only the last window"),
    (STRIDED, lambda x, g, s, k: kernel_pull(x, np.ones(len(g)), s, k), "without its g_i"),
    (STRIDED, lambda x, g, s, k: kernel_pull(x, g, s, k + 1), "raised ValueError"),
    (STRIDED, lambda x, g, s, k: kernel_pull(x, g, s, k)[:-1], "shape"),
    (OVERLAP, overwritten, "only the last of their g"),
    (OVERLAP, lambda x, g, size: tied(x, g, size, share=True), "they share g"),
    (OVERLAP, tied, "each gets the whole"),
    (OVERLAP, reversed_windows, "the last one gets g"),
    (OVERLAP, lambda x, g, size: sliding_max_pull(-x, g, size), "smallest"),
    (OVERLAP, lambda x, g, size: np.convolve(g, np.full(size, 1 / size)), "average pooling"),
    (OVERLAP, lambda x, g, size: sliding_max_pull(abs(x), g, size), "largest magnitude"),
    (OVERLAP, lambda x, g, size: sliding_max_pull(x, g, size)[: len(g)], "shape"),
    (COUNT, [9, 62, 16, 9, 16, 3], "these are the ranks"),
    (COUNT, [1, 2, 48, 15, 8, 12], "is one row"),
    (COUNT, [1, 2, 48, 7, 8, 12], "not their numbers"),
    (COUNT, [1, 2, 48, 21, 2, 12], "each of the 4 pixels"),
    (COUNT, [1, 2, 48, 21, 12, 12], "run over the images"),
    (COUNT, [1, 2, 48, 21, 8, 0], "equal if all queries"),
    (COUNT, [1, 1, 48, 21, 8, 12], "along x̂"),
    (COUNT, [0, 2, 48, 21, 8, 12], "does not notice a constant"),
    (COUNT, [1, 2, 48, 21, 8], "shape"),
]


test_right_answers_pass, test_wrong_answers_are_told, test_wrong_answers_differ = answer_tests(EXERCISE, RIGHT, WRONG)


def forgets(J: Any, inputs: int) -> int:
    return inputs - int(np.linalg.matrix_rank(J.reshape(-1, inputs)))


def test_the_counts_are_those_of_the_layers() -> None:
    rng = np.random.default_rng(0)
    pixels, channels = ({"scale": np.ones(n), "shift": np.zeros(n)} for n in (64, 4))
    Q, K, V = np.tile(rng.normal(size=4), (5, 1)), rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    found = [
        forgets(layers.Softmax().jacobian({}, rng.normal(size=10)), 10),
        forgets(layers.LayerNorm(epsilon=0.0).jacobian(pixels, rng.normal(size=64)), 64),
        forgets(layers.AveragePool2d(2).jacobian({}, rng.normal(size=(1, 1, 8, 8))), 64),
        forgets(layers.Embedding().jacobian({"E": rng.normal(size=(10, 3))}, np.array([2, 7, 2, 5, 7]), by="E"), 30),
        forgets(layers.BatchNorm(epsilon=0.0).jacobian(channels, rng.normal(size=(6, 4))), 24),
        forgets(layers.Attention().jacobian({}, (Q, K, V), by="V"), 15),
    ]
    assert judge(EXERCISE[COUNT], found).status == "right"


@pytest.mark.parametrize("name", [GROUPS, TARGETS])
def test_batches_have_rows_that_differ(name: str) -> None:
    for X, *_ in EXERCISE[name].inputs[1:]:
        assert len(X) > 1
        assert np.ptp(X, axis=0).min() > 0


def test_the_inputs_can_tell() -> None:
    x, _, size = EXERCISE[OVERLAP].inputs[1]
    windows = np.lib.stride_tricks.sliding_window_view(x, size)
    assert any(np.sum(w == w.max()) > 1 for w in windows), "a tie"
    assert len({i + int(w.argmax()) for i, w in enumerate(windows)}) < len(windows), "an entry that wins twice"
    assert all(abs(T.sum(axis=1) - 1).min() > 0.1 for _, T in EXERCISE[TARGETS].inputs)
    assert {stride for _, _, stride, _ in EXERCISE[STRIDED].inputs} == {1, 2, 3}
