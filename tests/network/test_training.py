"""Training: the steps are those written by hand, runs repeat, validation and patience, and what stops a run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from nets import digits, digits_cnn, digits_mlp

import mathdl as md
from mathdl import layers
from mathdl.autodiff.trees import leaves, mapped
from mathdl.errors import InvalidInput, NonFinite
from mathdl.network import Network, accuracy, fit, predict
from mathdl.optim import Adam, Averaged, Chain, Clip, Momentum, NAdam, load, save, warm_up

RNG = np.random.default_rng(0)
X = RNG.normal(size=(23, 4))
LABELS = RNG.integers(0, 3, size=23)
NET = Network(hidden=layers.Affine(5), gate=layers.Tanh(), out=layers.Affine(3))
PARAMS = NET.initial(X.shape)
QUICK = {"epochs": 3, "batch": 8, "progress": False}


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(leaves(one), leaves(other), strict=True))


# --------------------------------------------------------------------------------------------------------------- steps
def test_momentum_is_its_formula():
    momentum, params = Momentum(rate=0.1, beta=0.5), {"a": np.array([1.0]), "b": [np.array([2.0])]}
    gradient = {"b": [np.array([3.0])], "a": np.array([4.0])}  # in another order
    step, state = momentum.update(gradient, momentum.initial(params), params)
    np.testing.assert_allclose([step["a"][0], step["b"][0][0]], [-0.4, -0.3])
    step, state = momentum.update(gradient, state, params)
    np.testing.assert_allclose([step["a"][0], step["b"][0][0]], [-0.6, -0.45])  # v = 4 + 2, 3 + 1.5
    assert params["a"][0] == 1.0


def test_a_training_is_the_loop_that_one_writes_by_hand():
    """All batches of the same size, one epoch at a time, gradients by the engine."""
    fitted = fit(NET, PARAMS, X[:20], LABELS[:20], update=Momentum(0.2, 0.8), epochs=2, batch=5, seed=7, progress=False)
    rng = np.random.default_rng(7)
    params, velocity = PARAMS, mapped(np.zeros_like, PARAMS)
    losses = []
    for _ in range(2):
        order, total = rng.permutation(20), 0.0
        for rows in order.reshape(4, 5):

            def loss(params, rows=rows):
                return layers.CrossEntropy()(NET(params, X[rows]), LABELS[rows])

            value, gradient = md.value_and_grad(loss)(params)
            velocity = mapped(lambda v, g: 0.8 * v + g, velocity, gradient)
            params = mapped(lambda p, v: p - 0.2 * v, params, velocity)
            total += float(value) / 4
        losses.append(total)
    mapped(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), fitted.params, params)
    np.testing.assert_allclose(fitted.history.loss, losses, rtol=1e-10)


class OfTrees:
    """Momentum without its way in place."""

    initial, update = staticmethod(Momentum().initial), staticmethod(Momentum().update)


def test_the_way_in_place_and_the_way_of_trees_are_the_same_bit_by_bit():
    in_place, of_trees = (fit(NET, PARAMS, X, LABELS, update=update, **QUICK) for update in (Momentum(), OfTrees()))
    assert same(in_place.params, of_trees.params)
    assert in_place.history == of_trees.history


NOISY = Network(
    norm=layers.BatchNorm(), hidden=layers.Affine(5), gate=layers.Tanh(), drop=layers.Dropout(0.3), out=layers.Affine(3)
)
UPDATES = {
    "momentum": Momentum(0.05),
    "of trees": OfTrees(),
    "chain": Chain(Clip(0.1), Momentum(0.05)),
    "Adam, warmed up": Adam(warm_up(0.01, steps=7)),
    "NAdam, averaged": Averaged(NAdam(0.01), beta=0.9),
}


@pytest.mark.parametrize("update", UPDATES)
def test_a_resumed_training_is_bit_by_bit_that_without_a_break(update, tmp_path):
    options = {"update": UPDATES[update], "batch": 8, "progress": False, "validation": (X, LABELS), "patience": 4}
    start = NOISY.initial(X.shape)
    whole = fit(NOISY, start, X, LABELS, epochs=6, seed=3, **options)
    part = fit(NOISY, start, X, LABELS, epochs=2, seed=3, **options)
    save(tmp_path / "state", part.state)
    rest = fit(NOISY, None, X, LABELS, epochs=6, resume=load(tmp_path / "state"), **options)
    assert same(rest.params, whole.params)
    assert rest.history == whole.history
    assert same(rest.network.layers["norm"].statistics, whole.network.layers["norm"].statistics)
    save(tmp_path / "a", rest.state)
    save(tmp_path / "b", whole.state)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    once_more = fit(NOISY, None, X, LABELS, epochs=6, resume=part.state, **options)  # which has not been written into
    assert same(once_more.params, whole.params)
    assert not same(fit(NOISY, part.params, X, LABELS, epochs=4, seed=3, **options).params, whole.params)


def test_an_interrupted_training_goes_on_from_its_last_whole_epoch():
    def interrupt(step):
        if (step.epoch, step.batch) == (1, 1):
            raise KeyboardInterrupt

    with pytest.warns(RuntimeWarning, match="interrupted"):
        broken = fit(NET, PARAMS, X, LABELS, watch=interrupt, **QUICK)
    again = fit(NET, None, X, LABELS, resume=broken.state, **QUICK)
    assert same(again.params, fit(NET, PARAMS, X, LABELS, **QUICK).params)


def test_a_training_that_is_over_is_not_trained_further():
    done = fit(NET, PARAMS, X, LABELS, **QUICK)
    again = fit(NET, None, X, LABELS, resume=done.state, **QUICK)
    assert same(again.params, done.params)
    assert again.history == done.history


def test_parameters_of_two_precisions_keep_them():
    mixed = {**PARAMS, "out": mapped(lambda p: p.astype(np.float32), PARAMS["out"])}
    fitted = fit(NET, mixed, X, LABELS, **QUICK)
    assert fitted.params["out"]["W"].dtype == np.float32
    assert fitted.params["hidden"]["W"].dtype == np.float64
    expected = fit(NET, PARAMS, X, LABELS, **QUICK).params
    mapped(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), fitted.params, expected)


def test_every_example_is_used_once_an_epoch_in_batches_as_equal_as_can_be():
    seen = []

    class Watched(layers.Tanh):
        def value(self, params, x):
            seen.append(x[:, 0])
            return super().value(params, x)

    network = Network(first=Watched(), out=layers.Affine(3))
    rows = np.arange(23.0)[:, None]
    params = network.initial(rows.shape)
    seen.clear()
    fit(network, params, rows, LABELS, epochs=2, batch=6, progress=False)
    passes = [x for x in seen if len(x) > 2]  # the first try of the shapes takes two rows
    assert sorted(map(len, passes[:4])) == [5, 6, 6, 6]
    for epoch in (passes[:4], passes[4:]):
        np.testing.assert_array_equal(np.sort(np.concatenate(epoch)), np.arange(23.0))
    assert not np.array_equal(np.concatenate(passes[:4]), np.concatenate(passes[4:]))


def test_a_run_repeats_bit_by_bit_and_another_seed_is_another_run():
    network = Network(drop=layers.Dropout(0.3), **NET.layers)
    runs = [fit(network, PARAMS, X, LABELS, seed=seed, **QUICK) for seed in (1, 1, 2)]
    assert same(runs[0].params, runs[1].params)
    assert runs[0].history == runs[1].history
    assert not same(runs[0].params, runs[2].params)


def test_nothing_of_the_callers_is_changed():
    before = [x.copy() for x in (X, LABELS, *leaves(PARAMS))]
    fit(NET, PARAMS, X, LABELS, **QUICK)
    assert all(map(np.array_equal, before, (X, LABELS, *leaves(PARAMS))))


def test_masks_change_from_step_to_step():
    kept = []

    class Watched(layers.Tanh):
        def value(self, params, x):
            kept.append(x != 0)
            return super().value(params, x)

    network = Network(drop=layers.Dropout(0.5), look=Watched(), out=layers.Affine(3))
    params = network.initial((23, 4))
    kept.clear()
    fitted = fit(network, params, np.ones((23, 4)), LABELS, epochs=2, batch=23, progress=False)
    assert kept[0].all()  # the first try of shapes is in evaluation
    assert not np.array_equal(kept[1], kept[2])
    kept.clear()
    predict(network, params, np.ones((23, 4)))
    assert kept[0].all()
    assert fitted.network.layers["drop"].rate == 0.0


def test_batch_norm_evaluates_with_the_averages_of_the_training():
    """One batch is the whole data, so that all averages are the statistics of the data."""
    network = Network(norm=layers.BatchNorm(), out=layers.Affine(3))
    fitted = fit(network, network.initial(X.shape), X, LABELS, epochs=4, batch=23, progress=False)
    mean, variance = fitted.network.layers["norm"].statistics
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(variance, X.var(axis=0, ddof=1), rtol=1e-10)
    assert fitted.network(fitted.params, X[:1]).shape == (1, 3)  # a batch of one


def test_the_average_of_unequal_batches():
    network = Network(norm=layers.BatchNorm(), out=layers.Affine(3))
    fitted = fit(network, network.initial(X.shape), X, LABELS, epochs=2, batch=12, seed=3, progress=False)
    rng = np.random.default_rng(3)
    batches = [X[rows] for _ in range(2) for rows in np.array_split(rng.permutation(23), 2)]
    mean, variance = fitted.network.layers["norm"].statistics
    np.testing.assert_allclose(mean, np.mean([b.mean(axis=0) for b in batches], axis=0))
    np.testing.assert_allclose(variance, np.mean([b.var(axis=0, ddof=1) for b in batches], axis=0))


def test_batches_after_the_first_hundred_count_one_hundredth():
    network = Network(norm=layers.BatchNorm(), out=layers.Affine(3))
    fitted = fit(network, network.initial(X.shape), X, LABELS, epochs=75, batch=12, seed=3, progress=False)
    rng, expected = np.random.default_rng(3), np.zeros(4)
    batches = [X[rows] for _ in range(75) for rows in np.array_split(rng.permutation(23), 2)]
    for k, batch in enumerate(batches):
        expected += max(1 / (k + 1), 0.01) * (batch.mean(axis=0) - expected)
    np.testing.assert_allclose(fitted.network.layers["norm"].statistics[0], expected)


def test_what_a_watcher_sees():
    steps = []
    fitted = fit(NET, PARAMS, X, LABELS, watch=lambda step: steps.append(step), **QUICK)
    assert [(step.epoch, step.batch) for step in steps] == [(e, k) for e in range(3) for k in range(3)]
    assert same(steps[-1].params, fitted.params)
    sizes = np.array([8, 8, 7])
    means = [sizes @ [step.loss for step in steps[3 * e : 3 * e + 3]] / 23 for e in range(3)]
    np.testing.assert_allclose(fitted.history.loss, means)


# ------------------------------------------------------------------------------------------------------------- measured
def test_accuracy_and_validation_are_measured_as_they_say():
    fitted = fit(NET, PARAMS, X[:15], LABELS[:15], validation=(X[15:], LABELS[15:]), **QUICK)
    y = fitted.network(fitted.params, X[15:])
    assert fitted.history.validation_loss[-1] == layers.CrossEntropy()(y, LABELS[15:])
    assert fitted.history.validation_accuracy[-1] == np.mean(np.argmax(y, axis=1) == LABELS[15:])
    assert accuracy(NET, fitted.params, X[15:], LABELS[15:]) == fitted.history.validation_accuracy[-1]
    assert len(fitted.history.loss) == len(fitted.history.accuracy) == len(fitted.history.validation_loss) == 3
    assert fitted.history.best is None


def test_targets_that_are_no_labels_have_no_accuracy():
    network, targets = Network(out=layers.Affine(2)), RNG.normal(size=(23, 2))
    history = fit(network, network.initial(X.shape), X, targets, loss=layers.MeanSquaredError(), **QUICK).history
    assert history.accuracy == []
    assert history.loss[-1] < history.loss[0]


def test_patience_stops_and_goes_back_to_the_best():
    """Validated on labels that are wrong on purpose, a training can only get worse."""
    steps = {}
    options = {"validation": (X, (LABELS + 1) % 3), "epochs": 50, "batch": 8, "progress": False}

    def note(step):
        steps[step.epoch] = mapped(np.copy, step.params)

    fitted = fit(NET, PARAMS, X, LABELS, patience=4, watch=note, **options)
    losses = fitted.history.validation_loss
    assert fitted.history.best == int(np.argmin(losses))
    assert len(losses) == fitted.history.best + 5 < 50
    assert same(fitted.params, steps[fitted.history.best])


def test_patience_of_a_training_that_gets_better_lets_it_end():
    history = fit(NET, PARAMS, X, LABELS, validation=(X, LABELS), patience=2, **QUICK).history
    assert history.best == 2
    assert len(history.loss) == 3


def test_the_bar_can_be_seen_and_turned_off(capfd):
    fit(NET, PARAMS, X, LABELS, **QUICK)
    assert capfd.readouterr() == ("", "")
    fit(NET, PARAMS, X, LABELS, epochs=2, batch=8)
    assert "6/6" in capfd.readouterr().err


# ------------------------------------------------------------------------------------------------------- on real digits
def check_gradient(fitted, X, labels, tolerance):
    """The gradient of a trained network against central differences, along random directions."""
    vector, unflatten = md.flatten(fitted.params)
    loss = layers.CrossEntropy()
    _, gradient = fitted.network.value_and_grad(fitted.params, X, labels, loss)
    rng = np.random.default_rng(5)
    for _ in range(5):
        direction = rng.normal(size=vector.shape)
        direction /= np.linalg.norm(direction)
        h = 1e-6
        values = [loss(fitted.network(unflatten(vector + t * direction), X), labels) for t in (-2 * h, -h, h, 2 * h)]
        slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
        np.testing.assert_allclose(md.flatten(gradient)[0] @ direction, slope, atol=tolerance)


def test_a_small_network_learns_the_digits():
    found = []
    for seed in range(5):
        X, held_out, labels, held_out_labels = digits(seed)
        network = digits_mlp()
        fitted = fit(network, network.initial(X.shape, seed), X, labels, epochs=40, seed=seed, progress=False)
        found.append(accuracy(fitted.network, fitted.params, held_out, held_out_labels))
        check_gradient(fitted, held_out[:100], held_out_labels[:100], 1e-8)
    assert np.mean(found) >= 0.97
    assert np.min(found) >= 0.955


def test_a_small_convolutional_network_learns_them_better():
    found = []
    for seed in range(5):
        X, held_out, labels, held_out_labels = digits(seed)
        network = digits_cnn()
        fitted = fit(
            network,
            network.initial(X.shape, seed),
            X,
            labels,
            update=Momentum(0.05),
            epochs=12,
            seed=seed,
            progress=False,
        )
        found.append(accuracy(fitted.network, fitted.params, held_out, held_out_labels))
        check_gradient(fitted, held_out[:50], held_out_labels[:50], 1e-8)
    assert np.mean(found) >= 0.98
    assert np.min(found) >= 0.955


# --------------------------------------------------------------------------------------------------- what stops a run
def broken(row=17, value=np.nan):
    data = X.copy()
    data[row, 2] = value
    return data


def test_nan_in_the_data_stops_at_its_batch_and_names_the_row_and_the_layer():
    order = np.random.default_rng(0).permutation(23)
    k = [17 in rows for rows in np.array_split(order, 3)].index(True)
    steps = []
    with pytest.raises(NonFinite, match=r"layer 'hidden': NaN in its output, and in row 17 of X already") as caught:
        fit(NET, PARAMS, broken(), LABELS, watch=lambda step: steps.append(step.batch), **QUICK)
    assert (caught.value.epoch, caught.value.batch, caught.value.layer) == (0, k, "hidden")
    assert steps == list(range(k))


def test_infinity_is_named_as_such():
    network = Network(first=layers.ReLU(), **NET.layers)
    with pytest.raises(NonFinite, match=r"layer 'first': infinity in its output, and in row 17"):
        fit(network, PARAMS, broken(value=np.inf), LABELS, **QUICK)


def test_a_layer_in_a_network_in_the_network_is_named_by_the_way_there():
    network = Network(first=layers.Affine(5), block=Network(a=layers.Tanh(), b=Explodes()), out=layers.Affine(3))
    with np.errstate(over="ignore", invalid="ignore"):
        params = network.initial(X.shape)
    with pytest.raises(NonFinite, match="layer 'block/b': infinity in its output, from finite data"):
        fit(network, params, X, LABELS, **QUICK)


class Explodes(layers.Tanh):
    def function(self, x):
        return np.exp(1e4 * (1 + x * x))


def test_a_layer_that_overflows_is_named():
    network = Network(hidden=layers.Affine(5), big=Explodes(), out=layers.Affine(3))
    with pytest.raises(NonFinite, match=r"layer 'big': infinity in its output, from finite data") as caught:
        fit(network, PARAMS, X, LABELS, **QUICK)
    assert caught.value.layer == "big"


def test_a_rate_that_is_too_large_is_an_error_and_no_nan():
    network, targets = Network(out=layers.Affine(2)), RNG.normal(size=(23, 2))
    with pytest.raises(NonFinite, match="lower rate"):
        fit(
            network,
            network.initial(X.shape),
            X,
            targets,
            loss=layers.MeanSquaredError(),
            update=Momentum(1e3),
            epochs=200,
            progress=False,
        )


def test_a_gradient_that_is_not_finite_is_named_though_the_loss_is():
    class Steep(layers.Tanh):
        def slope(self, x, y):
            return np.full_like(y, np.inf)

    network = Network(hidden=layers.Affine(5), steep=Steep(), out=layers.Affine(3))
    with pytest.raises(NonFinite, match=r"layer 'hidden': its output is finite, the gradient of its parameters is not"):
        fit(network, PARAMS, X, LABELS, **QUICK)


def test_a_loss_that_is_not_finite_is_named_though_the_outputs_are():
    class Endless(layers.MeanSquaredError):
        def value(self, x, targets):
            return np.inf, (x - targets,)

    network, targets = Network(out=layers.Affine(2)), RNG.normal(size=(23, 2))
    with pytest.raises(NonFinite, match="the loss: it is not finite though all outputs are"):
        fit(network, network.initial(X.shape), X, targets, loss=Endless(), **QUICK)


def test_gradients_whose_squares_overflow_are_finite():
    class Loud(layers.MeanSquaredError):
        def gradient(self, kept):
            return 1e200 * super().gradient(kept)

    network, targets = Network(out=layers.Affine(2)), RNG.normal(size=(23, 2))
    options = {"loss": Loud(), "update": Momentum(1e-210), **QUICK}
    assert np.all(np.isfinite(fit(network, network.initial(X.shape), X, targets, **options).history.loss))


def test_nan_in_the_validation_stops_and_names_its_row():
    for patience in (None, 2):
        with pytest.raises(
            NonFinite, match=r"layer 'hidden': NaN in its output, and in row 17 of validation\[0\]"
        ) as e:
            fit(NET, PARAMS, X, LABELS, validation=(broken(), LABELS), patience=patience, **QUICK)
        assert (e.value.epoch, e.value.batch) == (0, 2)  # after the last batch of the first epoch


def test_nan_in_the_targets_is_named_as_such():
    network, targets = Network(out=layers.Affine(2)), RNG.normal(size=(23, 2))
    targets[11, 1] = np.nan
    with pytest.raises(NonFinite, match=r"the loss: all outputs are finite, row 11 of targets is not"):
        fit(network, network.initial(X.shape), X, targets, loss=layers.MeanSquaredError(), **QUICK)


def test_parameters_that_a_step_broke_are_named_as_such():
    class Jump(OfTrees):
        def update(self, gradient, state, params):
            return mapped(lambda g: np.full_like(g, np.inf), gradient), state

    with pytest.raises(NonFinite, match=r"batch 1: layer 'hidden': .*from finite data, but its parameters are not"):
        fit(NET, PARAMS, X, LABELS, update=Jump(), **QUICK)


def test_an_interruption_keeps_what_was_trained():
    network = Network(norm=layers.BatchNorm(), **NET.layers)
    params, kept = network.initial(X.shape), {}

    def interrupt(step):
        kept["params"] = mapped(np.copy, step.params)
        if (step.epoch, step.batch) == (1, 1):
            raise KeyboardInterrupt

    with pytest.warns(RuntimeWarning, match="interrupted after 5 steps, in epoch 1"):
        fitted = fit(network, params, X, LABELS, watch=interrupt, **QUICK)
    assert same(fitted.params, kept["params"])
    assert len(fitted.history.loss) == 1
    assert fitted.network.layers["norm"].statistics is not None
    with pytest.warns(RuntimeWarning, match="interrupted"):
        best = fit(network, params, X, LABELS, validation=(X, LABELS), patience=3, watch=interrupt, **QUICK)
    assert best.history.best == 0
    assert same(best.params, fit(network, params, X, LABELS, **{**QUICK, "epochs": 1}).params)


def test_single_precision_stays_single_in_a_training():
    network = Network(norm=layers.BatchNorm(), **NET.layers)
    params = mapped(lambda p: p.astype(np.float32), network.initial(X.shape))
    types = set()

    def note(step):
        types.update(array.dtype for array in leaves(step.gradient))

    for update in (Momentum(), OfTrees(), Momentum(np.float32(0.1))):
        fitted = fit(network, params, X.astype(np.float32), LABELS, update=update, watch=note, **QUICK)
        types.update(array.dtype for array in (*leaves(fitted.params), *fitted.network.layers["norm"].statistics))
    assert types == {np.dtype(np.float32)}


def test_an_array_in_two_places_is_two_parameters():
    network = Network(a=layers.Affine(4), gate=layers.Tanh(), b=layers.Affine(4), out=layers.Affine(3))
    params = network.initial(X.shape)
    shared = fit(network, {**params, "b": params["a"]}, X, LABELS, **QUICK).params
    apart = fit(network, {**params, "b": mapped(np.copy, params["a"])}, X, LABELS, **QUICK).params
    assert same(shared, apart)
    assert not same(shared["a"], shared["b"])


def trained(*data, **options):
    return lambda: fit(NET, PARAMS, *data, **{**QUICK, **options})


BAD = {
    "empty": (trained(X[:0], LABELS[:0]), r"X: got no rows, shape \(0, 4\); wanted at least one row"),
    "too few labels": (
        trained(X, LABELS[:-1]),
        r"targets: got an array of int64 with shape \(22,\); wanted one for each",
    ),
    "label": (trained(X, LABELS + 1), r"targets: got 3 at index \(\d+,\); wanted integers from 0 to 2"),
    "negative label": (trained(X, LABELS - 1), r"targets: got -1 at index"),
    "float labels": (trained(X, LABELS.astype(float)), r"targets: got an array of float64 .*\.astype\(int\)"),
    "boolean labels": (trained(X, LABELS > 0), r"targets: got an array of bool .*\.astype\(int\)"),
    "integer rows": (trained(X, np.eye(3, dtype=int)[LABELS]), r"targets: got an array of int64 .*\.astype\(float\)"),
    "shapes": (trained(X[:, :3], LABELS), r"layer 'hidden' \(Affine\): x: got shape \(2, 3\)"),
    "epochs": (trained(X, LABELS, epochs=0), r"epochs: got 0; wanted an integer, at least 1"),
    "batch": (trained(X, LABELS, batch=2.5), r"batch: got 2\.5; wanted an integer"),
    "patience alone": (trained(X, LABELS, patience=2), r"validation: got None; wanted data for validation"),
    "patience": (trained(X, LABELS, validation=(X, LABELS), patience=0), r"patience: got 0"),
    "validation label": (trained(X, LABELS, validation=(X, LABELS + 1)), r"validation\[1\]: got 3 at index"),
    "validation rows": (trained(X, LABELS, validation=(X, LABELS[:2])), r"validation\[1\]: got an array"),
    "integer pixels": (trained(X.astype(np.uint8), LABELS), r"^X: got an array of uint8 with shape \(23, 4\)"),
    "complex": (trained(X + 0j, LABELS), r"^X: got an array of complex128"),
    "ragged": (trained([[1.0], [2.0, 3.0]], LABELS[:2]), r"^X: got a ragged nest"),
    "validation shapes": (
        trained(X, LABELS, validation=(X[:, :3], LABELS)),
        r"^validation\[0\]\[:2\]: layer 'hidden' \(Affine\): x: got shape \(2, 3\)",
    ),
    "validation alone": (trained(X, LABELS, validation=X), r"^validation: got an array .* wanted a pair"),
    "seed": (trained(X, LABELS, seed=-1), r"^seed: got -1; wanted an integer, at least 0"),
    "no seed": (trained(X, LABELS, seed=None), r"^seed: got None"),
    "loss": (trained(X, LABELS, loss=layers.CrossEntropy), r"^loss: got .*; wanted a loss"),
    "update": (trained(X, LABELS, update=Momentum), r"^update: got .*; wanted an optimizer"),
    "update number": (trained(X, LABELS, update=0.1), r"^update: got the float 0\.1"),
    "network": (lambda: fit(layers.Affine(3), PARAMS["out"], X, LABELS), r"^network: got .*; wanted a Network"),
    "several inputs": (
        lambda: fit(Network(look=layers.Attention()), {}, (X, X, X), LABELS),
        r"^network: got one with the inputs Q, K, V",
    ),
    "first parameters": (
        lambda: fit(NET, mapped(lambda p: p * np.nan, PARAMS), X, LABELS, **QUICK),
        r"^params: got a number that is not finite in hidden/W",
    ),
    "labels in a column": (lambda: accuracy(NET, PARAMS, X, LABELS[:, None]), r"labels: got .* \(23, 1\); wanted int"),
    "labels one-hot": (lambda: accuracy(NET, PARAMS, X, np.eye(3)[LABELS]), r"labels: got an array of float64"),
    "rate of truth": (lambda: Momentum(True), r"rate: got True"),
    "rate": (lambda: Momentum(-0.1), r"rate: got -0\.1; wanted a number, at least 0"),
    "beta": (lambda: Momentum(beta=1.0), r"beta: got 1\.0; wanted a number, at least 0 and less than 1"),
    "resume nothing": (
        lambda: fit(NET, None, X, LABELS, resume={"params": PARAMS}),
        r"^resume: got a dict of length 1; wanted the state of a training",
    ),
    "resume with other parameters": (
        lambda: fit(NET, PARAMS, X, LABELS, resume=fit(NET, PARAMS, X, LABELS, **QUICK).state),
        r"^params: got a dict of length 2; wanted None",
    ),
    "resume with another optimizer": (
        lambda: fit(NET, None, X, LABELS, resume=fit(NET, PARAMS, X, LABELS, **QUICK).state, update=Adam(), epochs=5),
        r"^state: got the keys \['step', 'velocity'\]; wanted what Adam.initial",
    ),
    "accuracy of nothing": (lambda: accuracy(NET, PARAMS, X[:0], LABELS[:0]), r"X: got no rows"),
    "one label": (lambda: accuracy(NET, PARAMS, X, np.array(1)), r"labels: got an array of int64 with shape \(\)"),
    "other tree": (
        lambda: Momentum().update({"a": X}, {"b": X}, {"a": X}),
        r"state: got the keys \['b'\]; wanted what Momentum.initial\(params\) gives",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_gets_an_error_that_names_it(bad):
    wrong, message = BAD[bad]
    with pytest.raises(InvalidInput, match=message):
        wrong()


def test_a_batch_of_one():
    history = fit(NET, PARAMS, X, LABELS, epochs=1, batch=1, progress=False).history
    assert np.isfinite(history.loss[0])
    one = fit(NET, PARAMS, X[:1], LABELS[:1], **QUICK)
    assert one.history.loss[-1] < one.history.loss[0]
    network = Network(norm=layers.BatchNorm(), **NET.layers)
    with pytest.raises(
        InvalidInput, match=r"layer 'norm' \(BatchNorm\): x: got shape \(1, 4\): 1 number for each chan"
    ):
        fit(network, network.initial(X.shape), X, LABELS, epochs=1, batch=1, progress=False)


def test_the_error_keeps_what_it_says():
    error = NonFinite("hidden", "NaN", 1, 2, "wait")
    assert (error.layer, error.came, error.epoch, error.batch, error.remedy) == ("hidden", "NaN", 1, 2, "wait")
    assert isinstance(error, FloatingPointError)
    assert dataclasses.is_dataclass(Momentum)
