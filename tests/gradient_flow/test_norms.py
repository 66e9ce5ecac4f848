"""Sizes by layer are those of values and gradients taken one by one."""

from __future__ import annotations

import numpy as np
import pytest

import mathdl as md
from mathdl import layers
from mathdl.autodiff.trees import mapped
from mathdl.errors import InvalidInput
from mathdl.gradient_flow import Recorder, flow
from mathdl.network import Network, fit
from mathdl.optim import Momentum

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


@pytest.mark.parametrize("network", ["images", "sequences", "one row"])
def test_one_example_is_one_row_of_the_output(network):
    """The mean over a batch is taken out, whatever axes the layers have; a row alone is a batch of one."""
    rng = np.random.default_rng(3)
    made, x, targets = {
        "images": (
            Network(conv=layers.Conv2d(2, 3), gate=layers.Tanh(), line=layers.Reshape((-1,)), out=layers.Affine(3)),
            rng.normal(size=(5, 1, 4, 4)),
            np.arange(5) % 3,
        ),
        "sequences": (
            Network(cell=layers.Recurrent(4), out=layers.Affine(3)),
            rng.normal(size=(5, 6, 2)),
            rng.integers(0, 3, size=(5, 6)),
        ),
        "one row": (NET, X[0], np.array(2)),
    }[network]
    params = made.initial(x.shape, 2)
    found = flow(made, params, x, targets, LOSS)
    batch = 1 if network == "one row" else 5
    each = []
    for k in range(batch):
        one, target = (x, targets) if batch == 1 else (x[k : k + 1], targets[k : k + 1])
        y = made.outputs(params, one)
        last = list(y.values())[-1]
        each.append(np.sum(md.grad(lambda y, target=target: LOSS(y, target))(last) ** 2))
    assert found.cotangents[-1] == pytest.approx(np.sqrt(np.mean(each)))


@pytest.mark.parametrize("update", ["in place", "by steps"])
def test_a_recorder_sees_the_gradient_before_it_is_used_up_in_nested_networks_too(update):
    class Steps:
        """The same, without a method that writes into its arguments."""

        initial, update = staticmethod(Momentum(0.1).initial), staticmethod(Momentum(0.1).update)

    inner = Network(a=layers.Affine(5), bend=layers.Tanh(), around=layers.Residual(layers.Affine(5)))
    network = Network(inner=inner, bend=layers.ReLU(), out=layers.Affine(3))
    params, recorder, before = network.initial(X.shape), Recorder(), []
    optimizer = Momentum(0.1) if update == "in place" else Steps()
    fitted = fit(network, params, X, LABELS, update=optimizer, epochs=3, batch=7, watch=recorder, progress=False)
    own = params
    velocity = optimizer.initial(own)
    for _ in range(3):  # by hand
        _, gradient = network.value_and_grad(own, X, LABELS, LOSS)
        step, velocity = Momentum(0.1).update(gradient, velocity, own)
        own = mapped(np.add, own, step)
        before.append(
            {name: [np.linalg.norm(md.flatten(tree[name])[0]) for tree in (gradient, own)] for name in ("inner", "out")}
        )
    for name in ("inner", "out"):
        np.testing.assert_allclose(recorder.gradients[name], [row[name][0] for row in before])
        np.testing.assert_allclose(recorder.parameters[name], [row[name][1] for row in before])
    np.testing.assert_allclose(md.flatten(fitted.params)[0], md.flatten(own)[0])


def test_every_may_be_a_number_of_numpy():
    assert Recorder(every=np.int64(2)).every == 2


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_every_is_a_positive_integer(every):
    with pytest.raises(InvalidInput, match="every: got"):
        Recorder(every=every)
