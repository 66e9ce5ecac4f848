"""Cross-entropy and squared error: values, the mean's 1/N, large logits, small losses, and targets that do not fit."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import differences, units

import mathdl as md
from mathdl import layers
from mathdl.errors import InvalidInput

PROPERTY = settings(derandomize=True, deadline=None, max_examples=25, database=None)
SEEDS = st.integers(0, 2**32 - 1)


def _labels(rng, shape):
    return rng.integers(0, shape[-1], size=shape[:-1])


def _distributions(rng, shape):
    t = rng.uniform(size=shape) * (rng.uniform(size=shape) < 0.7) + 1e-3
    return t / t.sum(axis=-1, keepdims=True)


def _plain_cross_entropy(x, t):
    rows = x.reshape(-1, x.shape[-1])
    if t.dtype.kind in "iu":
        t = np.eye(rows.shape[1])[t]
    total = 0.0
    for z, target in zip(rows.tolist(), t.reshape(rows.shape).tolist(), strict=True):
        norm = sum(map(math.exp, z))
        total -= sum(weight * math.log(math.exp(entry) / norm) for weight, entry in zip(target, z, strict=True))
    return total / len(rows)


def _plain_squares(x, t):
    return sum((a - b) ** 2 for a, b in zip(x.ravel().tolist(), t.ravel().tolist(), strict=True)) / x.size


LOSSES = {
    "labels": (layers.CrossEntropy(), _labels, _plain_cross_entropy),
    "distributions": (layers.CrossEntropy(), _distributions, _plain_cross_entropy),
    "squares": (layers.MeanSquaredError(), lambda rng, shape: rng.normal(size=shape), _plain_squares),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def drawn(name, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, size=rng.integers(1, 4)))
    loss, targets, plain = LOSSES[name]
    return loss, rng.normal(size=shape), targets(rng, shape), plain


def disagreement(loss, x, t):
    """The first way that gives another gradient than the complex step, or None."""
    expected = differences(lambda x: loss(x, t), x, analytic=True)
    value, saved = loss.forward(x, t)
    ways = {
        "closed form": loss.jacobian(x, t),
        "vjp": loss.vjp(saved, 2.0) / 2,
        "jvp": np.reshape([loss.jvp(saved, v) for v in units(x.shape)], x.shape),
        "autodiff": md.jacobian(loss)(x, t),
        "autodiff, grad": md.grad(loss)(x, t),
        "compiled": md.compile(md.value_and_grad(loss), x, t)(x, t)[1],
    }
    assert np.shape(value) == ()
    for way, found in ways.items():
        if found.shape != x.shape or not np.allclose(found, expected, rtol=1e-10, atol=1e-13):
            return way
    return None


@every_loss
@PROPERTY
@given(seed=SEEDS)
def test_values_and_all_ways_to_the_gradient_agree(name, seed):
    loss, x, t, plain = drawn(name, seed)
    np.testing.assert_allclose(loss(x, t), plain(x, t), rtol=1e-12, atol=1e-13)
    assert disagreement(loss, x, t) is None


@every_loss
@pytest.mark.parametrize("mistake", ["sign", "factor", "no 1/N", "a term"])
def test_a_mistake_planted_in_a_gradient_is_seen(name, mistake):
    loss, _, _, _ = drawn(name, 1)
    rng = np.random.default_rng(1)
    x, t = rng.normal(size=(3, 4)), LOSSES[name][1](rng, (3, 4))
    wrong = {
        "sign": lambda g: -g,
        "factor": lambda g: 1.001 * g,
        "no 1/N": lambda g: 3 * g,
        "a term": lambda g: g + np.exp(x) / np.sum(np.exp(x)),
    }[mistake]

    class Wrong(type(loss)):
        def gradient(self, kept):
            return wrong(super().gradient(kept))

    assert disagreement(Wrong(), x, t) == "closed form"


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_logits_of_ten_thousand(kind):
    """Against mpmath, in both precisions."""
    z = np.array([[1e4, -1e4, 0.0], [1e4, 1e4, 0.0], [-1e4, 0.0, 1e4]], kind)
    labels = np.array([1, 0, 2])
    with mpmath.workdps(50):
        logs = [
            mpmath.log(mpmath.fsum(map(mpmath.exp, map(float, row)))) - row[c]
            for row, c in zip(z.tolist(), labels, strict=True)
        ]
        expected = float(mpmath.fsum(logs) / 3)
    loss, saved = layers.CrossEntropy().forward(z, labels)
    assert loss.dtype == kind
    np.testing.assert_allclose(loss, expected, rtol=4 * np.finfo(kind).eps)
    gradient = layers.CrossEntropy().vjp(saved)
    assert gradient.dtype == kind
    np.testing.assert_allclose(
        gradient * 3, [[1, -1, 0], [-0.5, 0.5, 0], [0, 0, 0]], atol=1e-6 if kind is np.float32 else 1e-15
    )
    np.testing.assert_array_equal(md.grad(layers.CrossEntropy())(z, labels), gradient)


def test_a_tiny_loss_and_its_gradient_keep_their_digits():
    """p - 1 would be zero, and so would -log p: both are e^-50."""
    z, label = np.array([0.0, -50.0]), np.array(0)
    loss, saved = layers.CrossEntropy().forward(z, label)
    np.testing.assert_allclose(loss, np.exp(-50.0), rtol=1e-15)
    np.testing.assert_allclose(layers.CrossEntropy().vjp(saved), [-np.exp(-50.0), np.exp(-50.0)], rtol=1e-15)


def test_one_hot_targets_and_labels_give_the_same():
    rng = np.random.default_rng(2)
    z, labels = rng.normal(size=(5, 3)), rng.integers(0, 3, size=5)
    hot = np.eye(3)[labels]
    np.testing.assert_allclose(layers.CrossEntropy()(z, hot), layers.CrossEntropy()(z, labels), rtol=1e-14)
    np.testing.assert_allclose(
        layers.CrossEntropy().jacobian(z, hot), layers.CrossEntropy().jacobian(z, labels), atol=1e-16
    )


def test_one_hot_targets_keep_the_digits_that_labels_keep():
    z, label = np.array([0.0, -50.0]), np.array(0)
    by_label = layers.CrossEntropy().jacobian(z, label)
    np.testing.assert_allclose(layers.CrossEntropy().jacobian(z, np.array([1.0, 0.0])), by_label, rtol=1e-15)
    soft = np.array([1 - 2.0**-40, 2.0**-40])
    expected = 2.0**-40 - np.exp(-50.0)
    np.testing.assert_allclose(layers.CrossEntropy().jacobian(z, soft), [expected, -expected], rtol=1e-12)


def test_a_class_that_is_ruled_out_and_not_wanted_costs_nothing():
    """Its logit is -inf, its logarithm too, and 0 log 0 counts as 0."""
    z, t = np.array([[0.0, -np.inf, 1.0]]), np.array([[0.25, 0.0, 0.75]])
    rest = [0, 2]
    np.testing.assert_allclose(layers.CrossEntropy()(z, t), layers.CrossEntropy()(z[:, rest], t[:, rest]), rtol=1e-15)
    first = 1 / (1 + np.e) - 0.25
    expected = np.array([[first, 0.0, -first]])
    np.testing.assert_allclose(layers.CrossEntropy().jacobian(z, t), expected, rtol=1e-14)
    np.testing.assert_allclose(md.grad(layers.CrossEntropy())(z, t), expected, rtol=1e-14)
    assert layers.CrossEntropy()(z, np.array([[0.0, 1.0, 0.0]])) == np.inf


def test_the_loss_of_a_batch_given_twice_is_the_same_and_its_gradient_half():
    rng = np.random.default_rng(3)
    for name, (loss, targets, _) in LOSSES.items():
        x, t = rng.normal(size=(4, 3)), targets(rng, (4, 3))
        twice = np.concatenate([x, x]), np.concatenate([t, t])
        np.testing.assert_allclose(loss(*twice), loss(x, t), rtol=1e-14, err_msg=name)
        np.testing.assert_allclose(loss.jacobian(*twice)[:4], loss.jacobian(x, t) / 2, rtol=1e-13)


Z = np.zeros((2, 3))
CE, MSE = layers.CrossEntropy(), layers.MeanSquaredError()
BAD = {
    "too large": (lambda: CE(Z, np.array([0, 3])), r"targets: got 3 at index \(1,\); wanted integers from 0 to 2"),
    "negative": (lambda: CE(Z, np.array([-1, 0])), r"targets: got -1 at index \(0,\); wanted integers from 0 to 2"),
    "too few": (lambda: CE(Z, np.array([1])), r"targets: got shape \(1,\); wanted shape \(2,\)"),
    "float labels": (lambda: CE(Z, np.array([0.0, 1.0])), r"targets: got an array of float64 .*\.astype\(int\)"),
    "no distribution": (
        lambda: CE(Z, np.full((2, 3), 0.5)),
        r"targets: got a row with sum 1\.5.*have sums of 1",
    ),
    "negative weight": (
        lambda: CE(Z[0], np.array([1.5, -0.5, 0.0])),
        r"targets: got a row with sum 1 and least entry -0\.5",
    ),
    "nan": (lambda: CE(Z, np.full((2, 3), np.nan)), r"targets: got a row with sum nan"),
    "words": (lambda: CE(Z, ["cat", "dog"]), r"targets: got a list of length 2"),
    "empty": (lambda: CE(Z[:0], np.zeros(0, int)), r"x: got an empty batch, shape \(0, 3\); wanted at least one row"),
    "one number": (lambda: CE(1.0, 0), r"x: got a single number"),
    "integers": (lambda: CE(Z.astype(int), np.zeros(2, int)), r"x: got an array of int64"),
    "broadcast": (lambda: MSE(Z, np.zeros((2, 1))), r"targets: got shape \(2, 1\); wanted shape \(2, 3\)"),
    "nothing": (lambda: MSE(Z, None), r"targets: got None; wanted numbers"),
    "empty squares": (lambda: MSE(Z[:0], Z[:0]), r"x: got an empty batch"),
    "g": (lambda: CE.vjp(CE.forward(Z, np.zeros(2, int))[1], np.ones(2)), r"g: got shape \(2,\); wanted shape \(\)"),
    "dx": (
        lambda: CE.jvp(CE.forward(Z, np.zeros(2, int))[1], np.ones(3)),
        r"dx: got shape \(3,\); wanted shape \(2, 3\)",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_gets_an_error_that_names_it(bad):
    wrong, message = BAD[bad]
    with pytest.raises(InvalidInput, match=message):
        wrong()
