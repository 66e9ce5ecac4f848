"""Sizes by layer are those of values and gradients taken one by one."""

from __future__ import annotations

import numpy as np
import pytest

import mathdl as md
from mathdl import layers
from mathdl.errors import InvalidInput
from mathdl.gradient_flow import Recorder, flow
from mathdl.network import Momentum, Network, fit

NET = Network(a=layers.Affine(5), bend=layers.Tanh(), b=layers.Affine(3))
X = np.random.default_rng(0).normal(size=(7, 4))
LABELS = np.arange(7) % 3
PARAMS = NET.initial(X.shape)
LOSS = layers.CrossEntropy()


def test_sizes_are_those_of_the_engine():
    found = flow(NET, PARAMS, X, LABELS, LOSS)
    assert found.names == ("a", "bend", "b")
    outputs = NET.outputs(PARAMS, X)
    np.testing.assert_allclose(found.outputs, [np.sqrt(np.mean(y**2)) for y in outputs.values()])
    after = {
        "a": lambda y: LOSS(NET(PARAMS, X) if y is None else layers.Affine()(PARAMS["b"], np.tanh(y)), LABELS),
        "bend": lambda y: LOSS(layers.Affine()(PARAMS["b"], y), LABELS),
        "b": lambda y: LOSS(y, LABELS),
    }
    for size, (name, y) in zip(found.cotangents, outputs.items(), strict=True):
        each = 7 * md.grad(after[name])(y)  # without the mean's 1/N
        np.testing.assert_allclose(size, np.sqrt(np.mean(np.sum(each**2, axis=1))))
    gradient = md.grad(lambda params: LOSS(NET(params, X), LABELS))(PARAMS)
    for name in ("a", "b"):
        np.testing.assert_allclose(found.parameters[name], np.linalg.norm(md.flatten(gradient[name])[0]))


def test_the_size_does_not_depend_on_how_often_the_batch_is_repeated():
    one = flow(NET, PARAMS, X, LABELS, LOSS)
    two = flow(NET, PARAMS, np.tile(X, (3, 1)), np.tile(LABELS, 3), LOSS)
    np.testing.assert_allclose(one.cotangents, two.cotangents)
    np.testing.assert_allclose(one.outputs, two.outputs)


def test_a_recorder_notes_what_the_training_saw():
    recorder, steps = Recorder(every=2), []

    def watch(step):
        recorder(step)
        steps.append(
            (step.loss, np.linalg.norm(md.flatten(step.gradient["a"])[0]), md.flatten(step.params["b"])[0].copy())
        )

    fit(NET, PARAMS, X, LABELS, update=Momentum(0.1), epochs=5, batch=7, watch=watch, progress=False)
    assert recorder.steps == [0, 2, 4]
    np.testing.assert_allclose(recorder.loss, [steps[k][0] for k in (0, 2, 4)])
    np.testing.assert_allclose(recorder.gradients["a"], [steps[k][1] for k in (0, 2, 4)])
    np.testing.assert_allclose(recorder.parameters["b"], [np.linalg.norm(steps[k][2]) for k in (0, 2, 4)])


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_every_is_a_positive_integer(every):
    with pytest.raises(InvalidInput, match="every: got"):
        Recorder(every=every)
