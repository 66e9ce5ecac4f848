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


# --------------------------------------------------------------------------------------------------------- through time
def _random_cell(cell, shape, width, seed=0):
    rng = np.random.default_rng(seed)
    params = {name: rng.normal(size=array.shape) for name, array in cell(width).initial(shape, rng).items()}
    return params, rng.normal(size=shape), rng.normal(size=(*shape[:2], width))


def _of_torch(torch, module, params, x, g):
    """The states of PyTorch's own module with these parameters, and the gradients by x, W, U and b."""
    names = {"W": "weight_ih_l0", "U": "weight_hh_l0", "b": "bias_ih_l0"}
    with torch.no_grad():
        module.bias_hh_l0.zero_()
        for name, theirs in names.items():
            getattr(module, theirs).copy_(torch.tensor(params[name]))
    x = torch.tensor(x, requires_grad=True)
    y, _ = module(x)
    y.backward(torch.tensor(g))
    grads = {name: getattr(module, theirs).grad.numpy() for name, theirs in names.items()}
    return y.detach().numpy(), {"x": x.grad.numpy(), **grads}


@pytest.mark.parametrize("shape", [(3, 7, 4), (1, 1, 1), (2, 60, 3)])
def test_the_plain_cell_is_the_module_of_torch(shape):
    torch = pytest.importorskip("torch")
    params, x, g = _random_cell(layers.Recurrent, shape, 5)
    module = torch.nn.RNN(shape[2], 5, batch_first=True, dtype=torch.float64)
    value, grads = _of_torch(torch, module, params, x, g)
    y, saved = layers.Recurrent().forward(params, x)
    found, gx = layers.Recurrent().vjp(params, saved, g)
    near(y, value, "value")
    near(gx, grads["x"], "x")
    for name in params:
        near(found[name], grads[name], name)


@pytest.mark.parametrize("shape", [(3, 7, 4), (1, 1, 1), (2, 60, 3)])
def test_the_gated_cell_is_the_module_of_torch_where_the_variants_agree(shape):
    """Torch has r ⊙ (U_c h) for U_c (r ⊙ h), the same for a diagonal U_c, and exchanges z and 1 - z: its sign."""
    torch = pytest.importorskip("torch")
    k = 4
    params, x, g = _random_cell(layers.GatedRecurrent, shape, k)
    params["U"][2 * k :] = np.diag(np.diag(params["U"][2 * k :]))
    sign = np.repeat([1.0, -1.0, 1.0], k)
    theirs = {name: (array.T * sign).T for name, array in params.items()}
    module = torch.nn.GRU(shape[2], k, batch_first=True, dtype=torch.float64)
    value, grads = _of_torch(torch, module, theirs, x, g)
    y, saved = layers.GatedRecurrent().forward(params, x)
    found, gx = layers.GatedRecurrent().vjp(params, saved, g)
    near(y, value, "value")
    near(gx, grads["x"], "x")
    for name in ("W", "b"):
        near((found[name].T * sign).T, grads[name], name)
    near(found["U"][: 2 * k] * sign[: 2 * k, None], grads["U"][: 2 * k], "U of the gates")
    near(np.diag(found["U"][2 * k :]), np.diag(grads["U"][2 * k :]), "U_c")


@pytest.mark.parametrize("truncate", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("cell", [layers.Recurrent, layers.GatedRecurrent])
def test_truncation_is_what_torch_calls_detach(cell, truncate):
    torch = pytest.importorskip("torch")
    params, x, g = _random_cell(cell, (3, 7, 4), 5, seed=1)
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in {**params, "x": x}.items()}
    row = getattr(PEERS["torch"](), cell.__name__)
    h, states = torch.zeros(3, 5, dtype=torch.float64), []
    for t in range(7):
        h = h.detach() if t % truncate == 0 else h
        h = _one_step(torch, cell, leaves, t, h)
        states.append(h)
    y = torch.stack(states, dim=1)
    near(y.detach().numpy(), row(cell(), leaves).detach().numpy(), "the same states")
    y.backward(torch.tensor(g))
    value, saved = cell(truncate=truncate).forward(params, x)
    found, gx = cell(truncate=truncate).vjp(params, saved, g)
    near(value, y.detach().numpy(), "value")
    near(gx, leaves["x"].grad.numpy(), "x")
    for name in params:
        near(found[name], leaves[name].grad.numpy(), name)


def _one_step(torch, cell, a, t, h):
    moved, U, k = a["x"][:, t] @ a["W"].T + a["b"], a["U"], h.shape[1]
    if cell is layers.Recurrent:
        return torch.tanh(moved + h @ U.T)
    r, z = torch.sigmoid(moved[:, : 2 * k] + h @ U[: 2 * k].T).split(k, dim=1)
    return (1 - z) * h + z * torch.tanh(moved[:, 2 * k :] + (r * h) @ U[2 * k :].T)
