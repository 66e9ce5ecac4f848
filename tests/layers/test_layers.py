"""Every layer: its values written again by hand, and all ways to its Jacobians agree, by every argument."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import CASES, VALUES, WAYS, Case, disagreement, units

import mathdl as md
from mathdl import layers
from mathdl.errors import InvalidInput, NotDifferentiable

PROPERTY = settings(derandomize=True, deadline=None, max_examples=15, database=None)
SEEDS = st.integers(0, 2**32 - 1)
every_layer = pytest.mark.parametrize("name", CASES)


def case_of(name, seed=0):
    return CASES[name](np.random.default_rng(seed))


def arrays(result):
    """All arrays of what vjp returned."""
    gparams, gx = result
    return [*gparams.values(), *(gx if isinstance(gx, tuple) else () if gx is None else (gx,))]


# ------------------------------------------------------------------------------------------------------------- values
@every_layer
@PROPERTY
@given(seed=SEEDS)
def test_the_value_is_the_one_written_by_hand(name, seed):
    case = case_of(name, seed)
    if name in VALUES:
        expected = VALUES[name](case.layer, case.params, case.x)
        found = case.layer(case.params, case.x)
        assert np.shape(found) == np.shape(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_every_layer_of_the_package_is_tested():
    tested = {type(case_of(name).layer).__name__ for name in CASES}
    made = {name for name in layers.__all__ if issubclass(getattr(layers, name), layers.Layer)}
    assert tested == made - {"Layer"}
    assert set(CASES) - set(VALUES) == {"Dropout"}  # whose values are tested below


# -------------------------------------------------------------------------------------------------------- derivatives
@every_layer
@PROPERTY
@given(seed=SEEDS)
def test_all_ways_to_the_jacobian_agree(name, seed):
    case = case_of(name, seed)
    for by in case.names:
        assert disagreement(case, by) is None, by


@every_layer
@PROPERTY
@given(seed=SEEDS)
def test_push_and_pull_are_adjoint(name, seed):
    """⟨g, J v⟩ = ⟨Jᵀ g, v⟩, with all arguments moving at once."""
    case, rng = case_of(name, seed), np.random.default_rng(seed + 1)
    y, saved = case.layer.forward(case.params, case.x)
    v = {by: rng.normal(size=np.shape(case.at(by))) for by in case.names}
    dx = case.still()
    for by in set(case.names) & set(case.layer.inputs):
        dx = tuple(v[n] for n in case.layer.inputs) if isinstance(case.x, tuple) else v[by]
    g = rng.normal(size=np.shape(y))
    pushed = np.sum(g * case.layer.jvp(case.params, saved, dx, {n: v[n] for n in case.params}))
    pulled = sum(np.sum(case.pulled(by, saved, g) * v[by]) for by in case.names)
    np.testing.assert_allclose(pushed, pulled, rtol=1e-9, atol=1e-9)


@every_layer
def test_nothing_is_written_into_and_nothing_is_kept(name):
    case = case_of(name, 3)
    before = [np.array(case.at(by)) for by in case.names]
    results = []
    for _ in range(2):
        y, saved = case.layer.forward(case.params, case.x)
        g = np.ones_like(y)
        results.append([y, *arrays(case.layer.vjp(case.params, saved, g))])
        np.testing.assert_array_equal(g, 1.0)
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)
    for by, kept in zip(case.names, before, strict=True):
        np.testing.assert_array_equal(case.at(by), kept)


@every_layer
def test_a_compiled_derivative_is_the_same(name):
    for seed in (1, 2):
        case = case_of(name, seed)
        for by in case.names:
            compiled = md.compile(md.jacobian(case.function(by)), case.at(by))
            np.testing.assert_allclose(compiled(case.at(by)), case.layer.jacobian(case.params, case.x, by), atol=1e-11)


@every_layer
def test_single_precision_stays_single_and_keeps_its_digits(name):
    case = case_of(name, 4)
    single = case.cast(np.float32)
    y, saved = case.layer.forward(case.params, case.x)
    y32, saved32 = case.layer.forward(single.params, single.x)
    assert y32.dtype == np.float32
    np.testing.assert_allclose(y32, y, rtol=1e-4, atol=1e-4)
    for by in case.names:
        v = np.ones_like(case.at(by))
        pushed, pushed32 = (
            c.layer.jvp(c.params, s, *c.tangents(by, v.astype(c.at(by).dtype)))
            for c, s in ((case, saved), (single, saved32))
        )
        dense, dense32 = (c.layer.jacobian(c.params, c.x, by) for c in (case, single))
        pulled, pulled32 = (c.pulled(by, s, np.ones_like(z)) for c, s, z in ((case, saved, y), (single, saved32, y32)))
        for one, other in ((pushed, pushed32), (dense, dense32), (pulled, pulled32)):
            assert other.dtype == np.float32
            np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3)


@every_layer
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_inputs_of_ten_thousand_give_finite_numbers_and_no_warning(name, kind):
    """Warnings are errors in these tests."""
    for seed in range(4):
        case = case_of(name, seed)
        for by in set(case.names) & set(case.layer.inputs):
            x = case.at(by)
            case = case.moved(by, 1e4 * np.sign(x + 1e-300) + x)
        case = case.cast(kind)
        y, saved = case.layer.forward(case.params, case.x)
        assert np.all(np.isfinite(y))
        assert all(np.all(np.isfinite(g)) for g in arrays(case.layer.vjp(case.params, saved, np.ones_like(y))))
        for by in case.names:
            assert np.all(
                np.isfinite(case.layer.jvp(case.params, saved, *case.tangents(by, np.ones_like(case.at(by)))))
            )
            assert np.all(np.isfinite(case.layer.jacobian(case.params, case.x, by)))


@every_layer
def test_inputs_that_are_not_contiguous_or_read_only(name):
    case = case_of(name, 6)
    for by in case.names:
        wide = np.zeros(tuple(2 * n for n in np.shape(case.at(by))))
        view = wide[tuple(slice(None, None, 2) for _ in wide.shape)]
        view[...] = case.at(by)
        view.flags.writeable = False
        again = case.moved(by, view)
        for way in ("closed form", "vjp of the identity", "jvp of the identity"):
            np.testing.assert_allclose(WAYS[way](again, by), WAYS[way](case, by), rtol=1e-12, atol=1e-12)


# ----------------------------------------------------------------------------------------- the tests see what is wrong
def _dropped(g):
    """One entry lost."""
    g = np.array(g)
    g.flat[np.argmax(np.abs(g))] = 0.0
    return g


PLANTED = {
    "sign": lambda g: -g,
    "factor": lambda g: 1.001 * g,
    "entry": _dropped,
    "order": lambda g: np.ravel(g)[::-1].reshape(np.shape(g)),  # as of a matrix transposed
    "term": lambda g: g - 1e-3 * np.mean(np.abs(g)),
}


def _wrong_vjp(layer, by, wrong):
    """The layer with a mistake in one result of its vjp."""

    class Wrong(type(layer)):
        def pull(self, params, kept, g):
            gparams, gx = super().pull(params, kept, g)
            if by in gparams:
                return {**gparams, by: wrong(gparams[by])}, gx
            if isinstance(gx, tuple):
                return gparams, tuple(wrong(p) if n == by else p for n, p in zip(self.inputs, gx, strict=True))
            return gparams, wrong(gx)

    Wrong.__name__ = type(layer).__name__
    made = object.__new__(Wrong)
    made.__dict__.update(layer.__dict__)
    return made


@every_layer
@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_planted_in_a_vjp_is_seen(name, mistake):
    """By one of a few cases, at least: with a single key, for example, attention's cotangent of Q is zero anyway."""
    for by in case_of(name).names:
        cases = (case_of(name, seed) for seed in range(7, 15))
        wrongs = (replace(case, layer=_wrong_vjp(case.layer, by, PLANTED[mistake])) for case in cases)
        assert any(disagreement(wrong, by) == "vjp of the identity" for wrong in wrongs), by


# --------------------------------------------------------------------------------------------- single layers' own facts
def test_the_slopes_at_a_kink_are_zero():
    x = np.array([0.0, -0.0])
    assert not np.any(layers.ReLU().jacobian({}, x))
    assert not np.any(md.jacobian(lambda x: layers.ReLU()({}, x))(x))


def test_the_tail_of_gelu_keeps_its_digits():
    """At -10 the formula with 1 + erf gives zero; mpmath gave these."""
    import mpmath

    with mpmath.workdps(60):
        expected = float(-10 * mpmath.ncdf(-10))
        slope = float(mpmath.diff(lambda x: x * mpmath.ncdf(x), -10))
    np.testing.assert_allclose(layers.GELU()({}, np.array([-10.0]))[0], expected, rtol=1e-13)
    np.testing.assert_allclose(layers.GELU().jacobian({}, np.array([-10.0]))[0, 0], slope, rtol=1e-12)


def test_the_slope_of_a_saturated_sigmoid_keeps_its_digits():
    slopes = np.diag(layers.Sigmoid().jacobian({}, np.array([-40.0, 40.0])))
    np.testing.assert_allclose(slopes, np.exp(-40.0), rtol=1e-14)


def test_dropout_keeps_the_mean_and_drops_what_it_says():
    x = np.ones(100_000)
    y = layers.Dropout(rate=0.3, seed=5)({}, x)
    assert abs(np.mean(y == 0) - 0.3) < 0.01
    np.testing.assert_allclose(np.unique(y), [0.0, 1 / 0.7])
    assert abs(np.mean(y) - 1) < 0.01
    assert np.any(y != layers.Dropout(rate=0.3, seed=6)({}, x))
    np.testing.assert_array_equal(layers.Dropout(rate=0.0)({}, x), x)


def test_the_softmax_jacobian_has_rank_k_less_one_and_constants_as_null_space():
    z = np.random.default_rng(0).normal(size=6)
    J = layers.Softmax().jacobian({}, z)
    assert np.linalg.matrix_rank(J) == 5
    np.testing.assert_allclose(J @ np.ones(6), 0.0, atol=1e-16)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_softmax_and_its_logarithm_at_ten_thousand(kind):
    z = np.array([1e4, -1e4, 1e4 - 1], kind)
    p, log_p = layers.Softmax()({}, z), layers.LogSoftmax()({}, z)
    tail = 1 / (1 + np.exp(-1.0))
    rtol = 4 * np.finfo(kind).eps
    np.testing.assert_allclose(p, np.array([tail, 0.0, 1 - tail]), rtol=rtol)
    np.testing.assert_allclose(log_p, np.array([np.log(tail), -2e4 + np.log(tail), np.log(1 - tail)]), rtol=rtol)


def test_the_logarithm_of_a_probability_near_one_keeps_its_digits():
    np.testing.assert_allclose(layers.LogSoftmax()({}, np.array([0.0, -50.0]))[0], -np.exp(-50.0), rtol=1e-15)


@pytest.mark.parametrize("layer", [layers.Softmax(), layers.LogSoftmax()])
def test_derivatives_of_saturated_probabilities_keep_their_digits(layer):
    """With p₁ = 1 - 3e-13, p₁ (1 - p₁) would have four digits; with 1 - 4e-18 none. Against mpmath."""
    for z in (np.array([30.0, 1.0, -2.0]), np.array([-3.0, 0.0, 40.0]), np.array([[50.0, 3.0], [0.0, 1.0]])):
        expected = np.zeros((*z.shape, *z.shape))
        for at in np.ndindex(*z.shape[:-1]):
            with mpmath.workdps(60):
                powers = [mpmath.exp(entry) for entry in z[at].tolist()]
                p = [power / mpmath.fsum(powers) for power in powers]
                for i, j in np.ndindex(len(p), len(p)):
                    entry = (i == j) - p[j]
                    expected[*at, i, *at, j] = entry * p[i] if isinstance(layer, layers.Softmax) else entry
        _, saved = layer.forward({}, z)
        ways = {
            "jacobian": layer.jacobian({}, z),
            "pull": np.stack([layer.vjp({}, saved, e)[1] for e in units(z.shape)]).reshape(expected.shape),
            "push": np.stack([layer.jvp({}, saved, e) for e in units(z.shape)], axis=-1).reshape(expected.shape),
        }
        for way, found in ways.items():
            np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=way)


def test_equal_largest_logits_have_the_derivative_of_the_formula():
    """Which of them is taken out of the sum must not show."""
    z = np.zeros((2, 3))
    for layer in (layers.Softmax(), layers.LogSoftmax()):
        J = layer.jacobian({}, z)
        np.testing.assert_allclose(md.jacobian(lambda z: layer({}, z))(z), J, atol=1e-16)  # noqa: B023
        assert np.ptp(J[0, :, 0][~np.eye(3, dtype=bool)]) < 1e-16


def test_layer_norm_is_a_projection_over_its_spread_exactly_without_epsilon():
    x = np.random.default_rng(1).normal(size=7)
    params = {"scale": np.ones(7), "shift": np.zeros(7)}
    P = layers.LayerNorm(epsilon=0.0).jacobian(params, x) * np.std(x)
    np.testing.assert_allclose(P @ P, P, atol=1e-14)
    assert np.linalg.matrix_rank(P) == 5
    P = layers.LayerNorm(epsilon=0.1).jacobian(params, x) * np.sqrt(np.var(x) + 0.1)
    assert np.max(np.abs(P @ P - P)) > 1e-3


def test_evaluation_with_the_statistics_of_the_batch_gives_the_values_of_training():
    case = case_of("BatchNorm in training", 8)
    M = case.x.size // case.x.shape[1]
    mean, variance = case.layer.measured_in(case.layer.forward(case.params, case.x)[1].kept)
    np.testing.assert_allclose(variance, np.moveaxis(case.x, 1, 0).reshape(len(mean), -1).var(axis=1, ddof=1))
    evaluation = case.layer.evaluating((mean, variance * (M - 1) / M))
    np.testing.assert_allclose(evaluation(case.params, case.x), case.layer(case.params, case.x), rtol=1e-10, atol=1e-12)


# ------------------------------------------------------------------------------------------------ beginning to train
SIZED = {
    "Affine": (layers.Affine(3), (2, 5)),
    "Embedding": (layers.Embedding(4, 3), (2, 5)),
    "Residual": (layers.Residual(layers.Affine(5)), (2, 5)),
    "Conv1d": (layers.Conv1d(4, 3, padding=1), (2, 5, 6)),
    "Conv2d": (layers.Conv2d(4, (2, 3), stride=2), (2, 5, 6, 7)),
    "LayerNorm": (layers.LayerNorm(), (2, 5)),
    "RMSNorm": (layers.RMSNorm(), (2, 5)),
    "BatchNorm": (layers.BatchNorm(), (2, 5, 3)),
    "MultiHeadAttention": (layers.MultiHeadAttention(2), (3, 4)),
    "Recurrent": (layers.Recurrent(3), (2, 4, 5)),
    "GatedRecurrent": (layers.GatedRecurrent(3), (2, 4, 5)),
}


def test_every_layer_with_parameters_can_be_initialised():
    assert set(SIZED) == {name.split()[0] for name in CASES if case_of(name).layer.parameters}
    for layer, shape in SIZED.values():
        x = np.ones(shape, int) if isinstance(layer, layers.Embedding) else np.ones(shape)
        params = layer.initial(shape, np.random.default_rng(0))
        assert np.all(np.isfinite(layer(params, x)))
        again = layer.initial(shape, np.random.default_rng(0))
        assert all(np.array_equal(params[name], again[name]) for name in layer.parameters)


@pytest.mark.parametrize(
    ("layer", "shape", "key", "variance"),
    [
        (layers.Affine(200), (1, 300), "W", 2 / 300),
        (layers.Embedding(200, 300), (1,), "E", 1 / 300),
        (layers.Conv1d(50, 4), (1, 60, 9), "K", 2 / 240),
        (layers.Conv2d(50, (2, 3)), (1, 60, 9, 9), "K", 2 / 360),
        (layers.MultiHeadAttention(2), (1, 200), "WV", 1 / 200),
    ],
)
def test_first_weights_have_the_variance_that_the_docstring_says(layer, shape, key, variance):
    W = layer.initial(shape, np.random.default_rng(1))[key]
    assert abs(np.mean(W)) < 5 * np.sqrt(variance / W.size)
    assert abs(np.var(W) / variance - 1) < 5 * np.sqrt(2 / W.size)


def test_a_mask_is_drawn_anew_for_a_step_and_none_in_evaluation():
    layer, x = layers.Residual(layers.Dropout(0.5, seed=1)), np.ones(50)
    masks = [layer.redrawn(np.random.default_rng(seed))({}, x) for seed in (0, 0, 1)]
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])
    np.testing.assert_array_equal(layer.evaluating()({}, x), 2 * x)


def test_a_layer_without_a_mask_or_statistics_of_its_own_stays_as_it_is():
    residual = layers.Residual(layers.Affine())
    assert residual.redrawn(np.random.default_rng(0)) is residual
    fixed = layers.Residual(layers.BatchNorm((np.zeros(2), np.ones(2))))
    saved = fixed.forward(NORM, ROWS)[1]
    assert fixed.measured_in(saved.kept) is None
    assert fixed.evaluating().layer is fixed.layer
    measured = layers.Residual(layers.BatchNorm()).measured_in(
        layers.Residual(layers.BatchNorm()).forward(NORM, ROWS)[1].kept
    )
    np.testing.assert_array_equal(measured, ([1.0, 1.0], [0.0, 0.0]))


@pytest.mark.parametrize("cell", [layers.Recurrent, layers.GatedRecurrent])
def test_truncated_derivatives_are_those_with_the_state_held_constant(cell):
    """Chunks of two steps, each begun with the last state as a number: the engine's derivative of that."""
    rng = np.random.default_rng(5)
    params = {name: rng.normal(size=np.shape(p)) for name, p in cell(3).initial((2, 5, 2), rng).items()}
    x, g = rng.normal(size=(2, 5, 2)), rng.normal(size=(2, 5, 3))
    whole, cut = cell(), cell(truncate=2)
    y, saved = cut.forward(params, x)
    np.testing.assert_array_equal(y, whole(params, x))

    def chunked(params, x):
        states, h = [], np.zeros((2, 3))
        for t in range(5):
            h = y[:, t - 1] if t in (2, 4) else h
            h = whole.step(params, x[:, t] @ params["W"].T + params["b"], h)[0]
            states.append(h)
        return np.sum(g * np.stack(states, axis=1))

    expected = md.grad(chunked)(params, x), md.grad(lambda x: chunked(params, x))(x)
    found = cut.vjp(params, saved, g)
    for name in params:
        np.testing.assert_allclose(found[0][name], expected[0][name], atol=1e-12)
        J = cut.jacobian(params, x, name)
        np.testing.assert_allclose(np.tensordot(g, J, 3), expected[0][name], atol=1e-12)
        v = rng.normal(size=np.shape(params[name]))
        pushed = cut.jvp(params, saved, np.zeros_like(x), {name: v})
        np.testing.assert_allclose(pushed, np.tensordot(J, v, v.ndim), atol=1e-12)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-12)
    np.testing.assert_allclose(np.tensordot(g, cut.jacobian(params, x), 3), expected[1], atol=1e-12)
    assert np.max(np.abs(whole.vjp(params, saved, g)[1] - found[1])) > 1e-3


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(2, 0, 3), (2, 1, 3), (0, 4, 3), (0, 0, 3)])
@pytest.mark.parametrize("cell", [layers.Recurrent, layers.GatedRecurrent])
def test_sequences_of_no_steps_or_one_and_batches_of_none(cell, shape, kind):
    rng = np.random.default_rng(8)
    params = {name: array.astype(kind) for name, array in cell(4).initial(shape, rng).items()}
    x = rng.normal(size=shape).astype(kind)
    for layer in (cell(), cell(truncate=1), cell(truncate=3)):
        y, saved = layer.forward(params, x)
        gparams, gx = layer.vjp(params, saved, np.ones_like(y))
        dy = layer.jvp(params, saved, np.ones_like(x), {name: np.ones_like(array) for name, array in params.items()})
        assert y.shape == dy.shape == (*shape[:2], 4)
        assert gx.shape == x.shape
        for name, array in params.items():
            assert gparams[name].shape == array.shape
            assert layer.jacobian(params, x, name).shape == y.shape + array.shape
            assert x.size or not np.any(gparams[name])
        assert all(array.dtype == kind for array in (y, dy, gx, *gparams.values(), layer.jacobian(params, x)))
    if shape[1] == 1:  # from a state of zero: no step to go back to
        whole, cut = (layer.jacobian(params, x) for layer in (cell(), cell(truncate=1)))
        np.testing.assert_array_equal(whole, cut)


def test_the_jacobian_between_two_times_is_the_product_of_the_steps():
    rng = np.random.default_rng(6)
    params = layers.Recurrent(3).initial((1, 4, 2), rng)
    x = rng.normal(size=(1, 4, 2))
    y = layers.Recurrent()(params, x)[0]
    J = layers.Recurrent().jacobian(params, x)[0, 3, :, 0, 1]
    D = [np.diag(1 - h**2) for h in y]
    np.testing.assert_allclose(J, D[3] @ params["U"] @ D[2] @ params["U"] @ D[1] @ params["W"])


def test_a_gate_that_is_shut_passes_state_and_gradient_unchanged():
    params = {"W": np.zeros((6, 1)), "U": np.zeros((6, 2)), "b": np.repeat([0.0, -40.0, 0.0], 2)}
    layer = layers.GatedRecurrent()
    _, kept = layer.step(params, np.zeros((1, 6)) + params["b"], np.array([[0.3, -0.7]]))
    np.testing.assert_allclose(layer.step_jacobians(params, kept)[1][0], np.eye(2), atol=1e-15)


def test_what_the_parameters_alone_are_pulled_to_is_the_same():
    for name in CASES:
        case = case_of(name, 11)
        y, saved = case.layer.forward(case.params, case.x)
        g = np.random.default_rng(0).normal(size=np.shape(y))
        alone = case.layer.pull_parameters(case.params, saved.kept, g)
        expected = case.layer.vjp(case.params, saved, g)[0]
        assert list(alone) == list(expected) == list(case.layer.parameters)
        assert all(np.array_equal(alone[by], expected[by]) for by in alone)


def test_an_embedding_row_that_is_looked_up_twice_gets_both_cotangents():
    params = {"E": np.zeros((3, 1))}
    _, saved = layers.Embedding().forward(params, np.array([2, 2, 0]))
    gparams, gx = layers.Embedding().vjp(params, saved, np.array([[1.0], [10.0], [5.0]]))
    np.testing.assert_array_equal(gparams["E"], [[5.0], [0.0], [11.0]])
    assert gx is None


def test_the_first_of_several_largest_is_the_one_that_max_pooling_takes():
    x = np.ones((1, 1, 2, 2))
    layer = layers.MaxPool2d(size=2)
    expected = np.array([[1.0, 0.0], [0.0, 0.0]])
    _, saved = layer.forward({}, x)
    np.testing.assert_array_equal(layer.vjp({}, saved, np.ones((1, 1, 1, 1)))[1][0, 0], expected)
    np.testing.assert_array_equal(layer.jacobian({}, x)[0, 0, 0, 0, 0, 0], expected)
    np.testing.assert_array_equal(md.jacobian(lambda x: layer({}, x))(x)[0, 0, 0, 0, 0, 0], expected)


def test_what_is_around_an_image_is_never_the_largest_and_counts_in_a_mean():
    x = np.full((1, 1, 2), -3.0)
    np.testing.assert_array_equal(layers.MaxPool1d(2, padding=1)({}, x), [[[-3.0, -3.0]]])
    np.testing.assert_array_equal(layers.AveragePool1d(2, padding=1)({}, x), [[[-1.5, -1.5]]])


def test_the_matrix_of_a_convolution_is_toeplitz():
    rng = np.random.default_rng(2)
    params = {"K": rng.normal(size=(1, 1, 3)), "b": rng.normal(size=1)}
    T = layers.Conv1d(padding=1).jacobian(params, rng.normal(size=(1, 1, 6)))[0, 0, :, 0, 0]
    assert T.shape == (6, 6)
    for k in range(-5, 6):
        expected = params["K"][0, 0, k + 1] if -1 <= k <= 1 else 0.0
        np.testing.assert_array_equal(np.diag(T, k), expected)


def test_no_position_sees_the_future():
    rng = np.random.default_rng(3)
    params = {name: rng.normal(size=(4, 4)) for name in ("WQ", "WK", "WV", "WO")}
    J = layers.MultiHeadAttention(2, np.tri(5, dtype=bool)).jacobian(params, rng.normal(size=(5, 4)))
    sees = np.any(J != 0, axis=(1, 3))
    np.testing.assert_array_equal(sees, np.tri(5, dtype=bool))


# --------------------------------------------------------------------------------------------------------- bad input
AFFINE = {"W": np.ones((2, 3)), "b": np.zeros(2)}
KERNEL = {"K": np.ones((1, 2, 3)), "b": np.zeros(1)}
HEADS = {name: np.ones((2, 2)) for name in ("WQ", "WK", "WV", "WO")}
ROWS = np.ones((3, 2))
RNG = np.random.default_rng(0)
CELL = {"W": np.ones((2, 1)), "U": np.ones((2, 2)), "b": np.zeros(2)}
NORM = {"scale": np.ones(2), "shift": np.zeros(2)}
BAD = {
    "no dict": (
        lambda: layers.Affine()([1.0], np.ones(3)),
        r"params: got a list .*wanted a dict with the keys 'W', 'b'",
    ),
    "missing": (lambda: layers.Affine()({"W": np.ones((2, 3))}, np.ones(3)), r"params: got the keys \['W'\]"),
    "none wanted": (
        lambda: layers.Tanh()(AFFINE, np.ones(3)),
        r"params: got the keys .* wanted no parameters: write \{\}",
    ),
    "W": (
        lambda: layers.Affine()({**AFFINE, "W": np.ones(3)}, np.ones(3)),
        r"params\['W'\]: got shape \(3,\); wanted a m",
    ),
    "b": (
        lambda: layers.Affine()({**AFFINE, "b": np.ones(3)}, np.ones(3)),
        r"params\['b'\]: got shape \(3,\); wanted sh",
    ),
    "x": (lambda: layers.Affine()(AFFINE, np.ones((3, 2))), r"x: got shape \(3, 2\); wanted shape \(\.\.\., 3\)"),
    "integers": (lambda: layers.Tanh()({}, np.arange(3)), r"x: got an array of int64.*\.astype\(float\)"),
    "strings": (lambda: layers.Tanh()({}, "abc"), r"x: got a str of length 3; wanted an array"),
    "ragged": (lambda: layers.Tanh()({}, [[1.0], [1.0, 2.0]]), r"x: got a ragged nest"),
    "g": (
        lambda: layers.Tanh().vjp({}, layers.Tanh().forward({}, np.ones((2, 3)))[1], np.ones(3)),
        r"g: got shape \(3,\); wanted shape \(2, 3\)",
    ),
    "dx": (
        lambda: layers.Tanh().jvp({}, layers.Tanh().forward({}, np.ones((2, 3)))[1], np.ones(3)),
        r"dx: got shape \(3,\); wanted shape \(2, 3\)",
    ),
    "dW": (
        lambda: layers.Affine().jvp(AFFINE, layers.Affine().forward(AFFINE, np.ones(3))[1], np.ones(3), {"W": 1.0}),
        r"dparams\['W'\]: got shape \(\); wanted shape \(2, 3\)",
    ),
    "dV": (
        lambda: layers.Affine().jvp(AFFINE, layers.Affine().forward(AFFINE, np.ones(3))[1], np.ones(3), {"V": 1.0}),
        r"dparams\['V'\]: got no parameter of this layer",
    ),
    "by": (lambda: layers.Affine().jacobian(AFFINE, np.ones(3), "V"), r"by: got 'V'; wanted one of 'x', 'W', 'b'"),
    "no logits": (lambda: layers.Softmax()({}, np.ones((2, 0))), r"x: got shape \(2, 0\)"),
    "a logit": (lambda: layers.LogSoftmax()({}, 1.0), r"x: got shape \(\)"),
    "rate": (lambda: layers.Dropout(rate=1.0), r"rate: got 1\.0; wanted a probability, at least 0 and less than 1"),
    "seed": (lambda: layers.Dropout(seed=-1), r"seed: got -1"),
    "width": (lambda: layers.Affine(0), r"width: got 0; wanted a number of outputs"),
    "no width": (lambda: layers.Affine().initial((1, 2), RNG), r"width: got None; .*such as Affine\(10\)"),
    "no inputs": (lambda: layers.Affine(2).initial((3, 0), RNG), r"x: got 0; wanted shape \(\.\.\., n\)"),
    "other width": (lambda: layers.Affine(3)(AFFINE, np.ones(3)), r"params\['W'\]: got shape \(2, 3\).*\(3, n\)"),
    "no rows given": (lambda: layers.Embedding().initial((1,), RNG), r"rows: got None"),
    "no embedding": (lambda: layers.Embedding(2).initial((1,), RNG), r"width: got None"),
    "no channels": (
        lambda: layers.Conv1d(size=2).initial((1, 2, 3), RNG),
        r"channels: got None; .*Conv1d\(channels, s",
    ),
    "zero channels": (lambda: layers.Conv1d(0, 3), r"channels: got 0"),
    "no kernel": (lambda: layers.Conv2d(4).initial((1, 2, 3, 3), RNG), r"size: got None; .*Conv2d\(channels, size\)"),
    "images wanted": (
        lambda: layers.Conv2d(4, 3).initial((1, 2), RNG),
        r"x: got shape \(1, 2\); wanted shape \(N, c, h",
    ),
    "kernel size": (lambda: layers.Conv1d(1, 0), r"size: got 0; wanted an integer, at least 1"),
    "other kernel": (
        lambda: layers.Conv1d(1, 2)(KERNEL, np.ones((1, 2, 4))),
        r"params\['K'\]: got shape \(1, 2, 3\); wanted shape \(1, c, 2\)",
    ),
    "no sequence": (
        lambda: layers.Recurrent(3).initial((2, 4), RNG),
        r"x: got shape \(2, 4\); wanted shape \(N, t, n\)",
    ),
    "no state": (
        lambda: layers.GatedRecurrent().initial((1, 2, 3), RNG),
        r"width: got None; .*GatedRecurrent\(width\)",
    ),
    "truncate": (lambda: layers.Recurrent(truncate=0), r"truncate: got 0; wanted a number of steps"),
    "U": (lambda: layers.GatedRecurrent()(CELL, np.ones((1, 2, 1))), r"params\['U'\]: got .*shape \(3 h, h\)"),
    "cell's width": (lambda: layers.Recurrent(5)(CELL, np.ones((1, 2, 1))), r"params\['U'\]: got .* with h = 5"),
    "cell's b": (lambda: layers.Recurrent()({**CELL, "b": np.zeros(1)}, np.ones((1, 2, 1))), r"params\['b'\]: got"),
    "cell's W": (
        lambda: layers.Recurrent()({**CELL, "W": np.zeros((1, 1))}, np.ones((1, 2, 1))),
        r"params\['W'\]: got",
    ),
    "not a sequence": (
        lambda: layers.Recurrent()(CELL, np.ones((2, 1))),
        r"x: got shape \(2, 1\); wanted shape \(N, t, 1\)",
    ),
    "uneven heads": (
        lambda: layers.MultiHeadAttention(2).initial((1, 3), RNG),
        r"x: got shape \(1, 3\); wanted a last",
    ),
    "no last step": (
        lambda: layers.Last()({}, np.ones((2, 0, 3))),
        r"x: got shape \(2, 0, 3\); wanted shape \(N, t, ...\) with t",
    ),
    "new shape": (lambda: layers.Reshape((2, -1))({}, np.ones((4, 3))), r"x: got shape \(4, 3\); wanted .* 2 entries"),
    "two left": (lambda: layers.Reshape((-1, -1)), r"shape: got \(-1, -1\); wanted a tuple of sizes"),
    "no shape": (lambda: layers.Reshape(4), r"shape: got 4; wanted a tuple of sizes"),
    "index": (
        lambda: layers.Embedding()({"E": np.ones((2, 2))}, np.array([0, 2])),
        r"x: got 2 at index \(1,\); wanted int.* 1$",
    ),
    "float index": (lambda: layers.Embedding()({"E": np.ones((2, 2))}, np.ones(1)), r"x: got an array of float64"),
    "table": (lambda: layers.Embedding()({"E": np.ones(2)}, np.array([0])), r"params\['E'\]: got shape \(2,\)"),
    "not square": (
        lambda: layers.Residual(layers.Affine())(AFFINE, np.ones(3)),
        r"layer: got one from shape \(3,\) to \(2,\)",
    ),
    "no layer": (lambda: layers.Residual(np.tanh), r"layer: got .*wanted a layer with one input"),
    "epsilon": (lambda: layers.LayerNorm(epsilon=-1.0), r"epsilon: got -1\.0"),
    "scale": (
        lambda: layers.LayerNorm()(NORM, np.ones(3)),
        r"params\['scale'\]: got shape \(2,\); wanted shape \(3,\)",
    ),
    "no spread": (lambda: layers.LayerNorm(epsilon=0.0)(NORM, np.ones(2)), r"x: got entries that are all equal"),
    "spread of rounding": (
        lambda: layers.LayerNorm(epsilon=0.0)({"scale": np.ones(3), "shift": np.zeros(3)}, np.full(3, 0.1)),
        r"x: got entries that are all equal",
    ),
    "masked": (lambda: layers.Tanh()({}, np.ma.masked_array(ROWS, ROWS > 0)), r"x: got a masked array; wanted .*fill"),
    "g of integers": (
        lambda: layers.Tanh().vjp({}, layers.Tanh().forward({}, ROWS)[1], np.ones((3, 2), int)),
        r"g: got an array of int64",
    ),
    "dparams": (
        lambda: layers.Affine().jvp(AFFINE, layers.Affine().forward(AFFINE, np.ones(3))[1], np.ones(3), [1.0]),
        r"dparams: got a list of length 1; wanted a dict",
    ),
    "ragged indices": (lambda: layers.Embedding()({"E": ROWS}, [[0], [1, 0]]), r"x: got a ragged nest"),
    "a rate that is none": (lambda: layers.Dropout(rate=False), r"rate: got False"),
    "a spread that is none": (lambda: layers.RMSNorm(epsilon=True), r"epsilon: got True"),
    "variance nan": (
        lambda: layers.BatchNorm((np.ones(1), np.array([np.nan]))),
        r"got a variance of nan",
    ),
    "no size": (lambda: layers.RMSNorm(epsilon=0.0)({"scale": np.ones(2)}, np.zeros(2)), r"x: got a row of zeros"),
    "batch of one": (
        lambda: layers.BatchNorm()(NORM, np.ones((1, 2))),
        r"x: got shape \(1, 2\): 1 number for each channel",
    ),
    "batch of none": (lambda: layers.BatchNorm()(NORM, np.ones((0, 2))), r"x: got shape \(0, 2\): 0 numbers for each"),
    "no batch": (lambda: layers.BatchNorm()(NORM, np.ones(2)), r"x: got shape \(2,\); wanted a batch"),
    "channels": (
        lambda: layers.BatchNorm()(NORM, np.ones((2, 3))),
        r"params\['scale'\]: got shape \(2,\); wanted shape \(3,\)",
    ),
    "statistics": (
        lambda: layers.BatchNorm(np.ones(2)),
        r"statistics: got an array.*wanted a tuple \(mean, variance\)",
    ),
    "their shape": (
        lambda: layers.BatchNorm((np.ones(3), np.ones(3)))(NORM, np.ones((2, 2))),
        r"statistics\[0\]: got shape \(3,\); wanted shape \(2,\)",
    ),
    "stride": (lambda: layers.Conv2d(stride=0), r"stride: got 0; wanted an integer, at least 1"),
    "padding": (lambda: layers.Conv1d(padding=-1), r"padding: got -1; wanted an integer, at least 0"),
    "size": (lambda: layers.MaxPool2d(size=(2, 2, 2)), r"size: got \(2, 2, 2\); wanted .* a tuple of 2"),
    "kernel": (lambda: layers.Conv2d()(KERNEL, np.ones((1, 2, 4, 4))), r"params\['K'\]: got shape \(1, 2, 3\)"),
    "kernel's b": (lambda: layers.Conv1d()({**KERNEL, "b": np.zeros(2)}, np.ones((1, 2, 4))), r"params\['b'\]: got"),
    "its channels": (lambda: layers.Conv1d()(KERNEL, np.ones((1, 3, 4))), r"x: got 3 channels.*wanted 2 channels"),
    "no room": (lambda: layers.Conv1d()(KERNEL, np.ones((1, 2, 2))), r"x: got shape \(1, 2, 2\); wanted room for a"),
    "room around": (lambda: layers.MaxPool2d(2, padding=2), r"padding: got 2; wanted less than the size"),
    "no image": (lambda: layers.AveragePool2d()({}, np.ones((4, 4))), r"x: got shape \(4, 4\); wanted shape \(N, c, h"),
    "mask": (lambda: layers.Attention(np.ones((2, 2))), r"mask: got an array of float64.*a matrix of booleans"),
    "blind": (lambda: layers.Attention(np.array([[True], [False]])), r"mask: got a row without True, 1"),
    "no tuple": (lambda: layers.Attention()({}, ROWS), r"x: got an array.*wanted a tuple \(Q, K, V\)"),
    "keys": (
        lambda: layers.Attention()({}, (ROWS, ROWS[:, :1], ROWS)),
        r"K: got shape \(3, 1\); wanted shape \(3, 2\)",
    ),
    "values": (lambda: layers.Attention()({}, (ROWS, ROWS, ROWS[None])), r"V: got shape \(1, 3, 2\); wanted shape"),
    "no keys": (
        lambda: layers.Attention()({}, (ROWS, ROWS[:0], ROWS[:0])),
        r"V: got shape \(0, 2\); wanted at least one",
    ),
    "no rows": (lambda: layers.Attention()({}, (ROWS[0], ROWS, ROWS)), r"Q: got shape \(2,\); wanted a matrix"),
    "mask's shape": (
        lambda: layers.Attention(np.ones((2, 2), bool))({}, (ROWS, ROWS, ROWS)),
        r"mask: got shape \(2, 2\); wanted shape \(3, 3\)",
    ),
    "heads": (lambda: layers.MultiHeadAttention(heads=0), r"heads: got 0"),
    "heads' rows": (lambda: layers.MultiHeadAttention(4)(HEADS, ROWS), r"params\['WQ'\]: got shape \(2, 2\); wanted"),
    "their mask": (lambda: layers.MultiHeadAttention(1, np.eye(2) > 0)(HEADS, ROWS), r"mask: got shape \(2, 2\)"),
    "WK": (lambda: layers.MultiHeadAttention()({**HEADS, "WK": np.ones((4, 2))}, ROWS), r"params\['WK'\]: got"),
    "WO": (lambda: layers.MultiHeadAttention()({**HEADS, "WO": np.ones((2, 3))}, ROWS), r"params\['WO'\]: got"),
    "no positions": (
        lambda: layers.MultiHeadAttention()(HEADS, ROWS[:0]),
        r"x: got shape \(0, 2\); wanted at least one",
    ),
    "variance": (lambda: layers.BatchNorm((np.ones(2), -np.ones(2))), r"statistics\[1\]: got a variance of -1"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_gets_an_error_that_names_it(bad):
    wrong, message = BAD[bad]
    with pytest.raises(InvalidInput, match=message):
        wrong()


@every_layer
def test_lists_serve_as_arrays(name):
    case = case_of(name, 5)
    y, saved = case.layer.forward(case.params, case.x)
    g, lists = np.ones_like(y), {by: np.asarray(p).tolist() for by, p in case.params.items()}
    again = case.x if isinstance(case.x, tuple) else case.x.tolist()
    np.testing.assert_array_equal(case.layer(lists, again), y)
    for one, other in zip(
        arrays(case.layer.vjp(case.params, saved, g)), arrays(case.layer.vjp(lists, saved, g.tolist())), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    for by in case.names:
        v = np.ones_like(case.at(by))
        pushed = case.layer.jvp(case.params, saved, *case.tangents(by, v))
        np.testing.assert_array_equal(case.layer.jvp(case.params, saved, *case.tangents(by, v.tolist())), pushed)


def test_a_tuple_of_indices_looks_up_rows_and_no_entry():
    E = np.arange(4.0).reshape(2, 2)
    np.testing.assert_array_equal(layers.Embedding()({"E": E}, (0, 1)), E)


def test_numbers_of_numpy_serve_as_those_of_python():
    assert layers.Dropout(np.float32(0.5)).rate == 0.5
    assert layers.LayerNorm(np.float32(0.5)).epsilon == 0.5
    assert layers.MultiHeadAttention(np.int64(2)).heads == 2


def test_one_number_a_channel_is_enough_in_evaluation():
    layer = layers.BatchNorm((np.zeros(2), np.ones(2)), epsilon=0.0)
    np.testing.assert_array_equal(layer(NORM, np.full((1, 2), 3.0)), np.full((1, 2), 3.0))


def test_an_embedding_has_no_derivative_by_its_integers():
    params, x = {"E": np.ones((2, 2))}, np.array([1])
    _, saved = layers.Embedding().forward(params, x)
    with pytest.raises(NotDifferentiable, match="take the derivative by 'E'"):
        layers.Embedding().jacobian(params, x)
    with pytest.raises(NotDifferentiable, match="take the derivative by 'E'"):
        layers.Embedding().jvp(params, saved, np.ones(1))


def test_nan_passes_through():
    """A network looks for the first layer where it appears: a layer does not hide it."""
    x = np.array([[np.nan, 1.0], [2.0, 1.0]])
    for name in ("ReLU", "GELU", "Tanh", "Sigmoid", "Softplus", "Softmax", "LogSoftmax"):
        with np.errstate(invalid="ignore"):  # logaddexp warns
            assert np.isnan(getattr(layers, name)()({}, x)[0, 0]), name
    assert np.isnan(layers.LayerNorm()(NORM, x)[0, 0])


@every_layer
def test_an_empty_batch_gives_an_empty_output_or_an_error(name):
    case = case_of(name, 9)
    if isinstance(case.x, tuple) or case.x.ndim < 2:
        return
    empty = Case(case.layer, case.params, case.x[:0])
    try:
        y, saved = case.layer.forward(empty.params, empty.x)
    except InvalidInput:
        assert name in ("BatchNorm in training", "MultiHeadAttention")  # of which the latter has one sequence here
        return
    assert y.shape[0] == 0
    assert all(np.all(g == 0) for g in arrays(case.layer.vjp(case.params, saved, y)))
