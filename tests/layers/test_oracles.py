"""Every layer and loss against JAX's and PyTorch's: values, vjp by the input and each parameter, and jvp.

Where a library is not installed, its tests are skipped by name (`make oracles` and `make peers` install them).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import CASES, Case
from peer_layers import PEERS

from mathdl import layers

SEEDS = st.integers(0, 2**32 - 1)
EXAMPLES = {"jax": 5, "torch": 40}  # JAX compiles each program
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's own use of it


@pytest.fixture(params=PEERS)
def name(request):
    return request.param


@pytest.fixture
def peer(name):
    return PEERS[name]()


def near(ours, theirs, what):
    assert np.shape(ours) == np.shape(theirs), what
    largest = min(max(1.0, float(np.max(np.abs(theirs), initial=0.0))), 1e3)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12 * largest, err_msg=what)


def direction(array):
    return np.sin(1.0 + np.arange(np.size(array))).reshape(np.shape(array))


def compare(peer, case):
    """All of a layer's products, with all its arguments moving at once, against those of the library."""
    arguments = {by: case.at(by) for by in case.names}
    integers = {} if set(case.layer.inputs) <= set(arguments) else {"x": case.x}
    y, saved = case.layer.forward(case.params, case.x)
    g, tangents = np.cos(direction(y)), {by: direction(array) for by, array in arguments.items()}

    dx = case.still()
    if not integers:
        dx = tuple(tangents[by] for by in case.layer.inputs) if isinstance(case.x, tuple) else tangents["x"]
    dy = case.layer.jvp(case.params, saved, dx, {by: tangents[by] for by in case.params})

    row = getattr(peer, type(case.layer).__name__)
    value, pulled, pushed = peer.derivatives(lambda a: row(case.layer, {**integers, **a}), arguments, g, tangents)
    near(y, value, "value")
    for by in arguments:
        near(case.pulled(by, saved, g), pulled[by], f"vjp by {by}")
    near(dy, pushed, "jvp")


def compare_loss(peer, loss, x, targets):
    value, saved = loss.forward(x, targets)
    row = getattr(peer, type(loss).__name__)
    found = peer.derivatives(
        lambda a: row(loss, {**a, "targets": targets}), {"x": x}, np.array(2.0), {"x": direction(x)}
    )
    near(value, found[0], "value")
    near(loss.vjp(saved, 2.0), found[1]["x"], "vjp")
    near(loss.jvp(saved, direction(x)), found[2], "jvp")


@pytest.mark.parametrize("library", PEERS)
def test_every_layer_and_loss_of_the_package_is_compared(library):
    made = {
        name
        for name in layers.__all__
        if issubclass(getattr(layers, name), (layers.Layer, layers.Loss)) and name not in ("Layer", "Loss")
    }
    assert made <= set(dir(PEERS[library]))
    assert made == {case.split()[0] for case in CASES} | {type(loss).__name__ for loss, _ in LOSSES.values()}


# ------------------------------------------------------------------------------------------------------- random shapes
@pytest.mark.parametrize("layer", CASES)
def test_a_layer(peer, name, layer):
    @settings(derandomize=True, deadline=None, max_examples=EXAMPLES[name], database=None)
    @given(SEEDS)
    def agree(seed):
        compare(peer, CASES[layer](np.random.default_rng(seed)))

    agree()


def _distributions(rng, shape):
    t = rng.uniform(size=shape) + 1e-3
    return t / t.sum(axis=-1, keepdims=True)


LOSSES = {
    "labels": (layers.CrossEntropy(), lambda rng, shape: rng.integers(0, shape[-1], size=shape[:-1])),
    "distributions": (layers.CrossEntropy(), _distributions),
    "squares": (layers.MeanSquaredError(), lambda rng, shape: rng.normal(size=shape)),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss(peer, name, loss):
    made, targets = LOSSES[loss]

    @settings(derandomize=True, deadline=None, max_examples=EXAMPLES[name], database=None)
    @given(SEEDS)
    def agree(seed):
        rng = np.random.default_rng(seed)
        shape = tuple(int(n) for n in rng.integers(1, 6, size=rng.integers(1, 4)))
        compare_loss(peer, made, rng.normal(size=shape), targets(rng, shape))

    agree()


# ----------------------------------------------------------------------------------------------------- large, and kinks
LARGE = np.array([[-1e4, -1e3, -40.0, -1.0], [0.5, 1e4, 1e4, -1e4], [1e4, 9999.0, 40.0, -1e4], [1e3, 1.0, 40.0, -9.0]])


@pytest.mark.parametrize(
    "layer", ["ReLU", "GELU", "Tanh", "Sigmoid", "Softplus", "Softmax", "LogSoftmax", "LayerNorm", "RMSNorm"]
)
def test_inputs_of_ten_thousand(peer, layer):
    made = getattr(layers, layer)()
    compare(peer, Case(made, {name: np.array([1.0, -2.0, 0.5, 3.0]) for name in made.parameters}, LARGE))


@pytest.mark.parametrize("mask", [None, np.tri(4, dtype=bool)])
def test_scores_of_ten_thousand(peer, mask):
    compare(peer, Case(layers.Attention(mask), {}, (LARGE, np.eye(4), np.arange(12.0).reshape(4, 3))))


def test_losses_of_logits_of_ten_thousand(peer):
    compare_loss(peer, layers.CrossEntropy(), LARGE, np.array([3, 0, 1, 2]))
    compare_loss(peer, layers.CrossEntropy(), LARGE, np.full((4, 4), 0.25))
    compare_loss(peer, layers.MeanSquaredError(), LARGE, LARGE.T)


@pytest.mark.parametrize("axes", [1, 2])
def test_ties_in_overlapping_windows_and_the_kink_of_relu(peer, axes):
    """The first of several largest counts, in all three libraries, and relu'(0) = 0."""
    x = np.random.default_rng(axes).integers(0, 3, size=(2, 3, *(7, 6)[:axes])).astype(float)
    compare(peer, Case({1: layers.MaxPool1d, 2: layers.MaxPool2d}[axes](size=3, stride=2), {}, x))
    compare(peer, Case(layers.ReLU(), {}, x - 1.0))


def test_rows_of_a_table_that_are_looked_up_again_and_again(peer):
    E = np.random.default_rng(0).normal(size=(4, 3))
    compare(peer, Case(layers.Embedding(), {"E": E}, np.array([[2, 2, 0], [2, 3, 2]])))


@pytest.mark.parametrize(
    ("stride", "padding", "size"), [(1, 0, (5, 6)), (2, 1, (6, 5)), (3, 2, (4, 4)), (2, 3, (2, 1))]
)
def test_strides_and_paddings_of_convolutions(peer, stride, padding, size):
    """Among them strides that leave entries over, and more padding than image."""
    rng = np.random.default_rng(1)
    params = {"K": rng.normal(size=(3, 2, 3, 2)), "b": rng.normal(size=3)}
    compare(peer, Case(layers.Conv2d(stride=stride, padding=padding), params, rng.normal(size=(2, 2, *size))))
    params = {"K": params["K"][..., 0], "b": params["b"]}
    compare(peer, Case(layers.Conv1d(stride=stride, padding=padding), params, rng.normal(size=(2, 2, size[0]))))


def test_what_dropout_leaves_is_scaled_as_elsewhere():
    torch = pytest.importorskip("torch")
    ones = np.ones(1000)
    theirs = torch.nn.functional.dropout(torch.tensor(ones), 0.3).numpy()
    np.testing.assert_allclose(np.unique(layers.Dropout(0.3)({}, ones)), np.unique(theirs), rtol=1e-15)
