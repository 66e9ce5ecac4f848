"""A run that was saved, loaded and gone on with is, bit for bit, the run that never stopped."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from common import ELEMENTWISE, copied, made, same_bits, tree

from mathdl import layers, optim
from mathdl.autodiff.trees import mapped
from mathdl.errors import InvalidInput
from mathdl.network import Network, fit

OPTIMIZERS = {
    **{name: lambda name=name: made([(name, ELEMENTWISE[name])]) for name in ELEMENTWISE},
    "scheduled": lambda: optim.AdamW(optim.warm_up(optim.cosine(0.1, 20), 5)),
    "chain": lambda: optim.Chain(
        optim.Clip(0.5), optim.L2(0.1), optim.NAdam(0.1), optim.Decay(lambda k: 0.1 / (k + 1))
    ),
    "averaged": lambda: optim.Averaged(optim.Chain(optim.Clip(0.5), optim.AMSGrad(0.1)), beta=0.9),
    "split": lambda: optim.Split(matrices=optim.Momentum(0.1), others=optim.Averaged(optim.Lion(0.1))),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_by_steps_on_trees(name, dtype, tmp_path):
    optimizer, params = OPTIMIZERS[name](), tree(0, dtype)

    def go(optimizer, params, state, numbers):
        for k in numbers:
            step, state = optimizer.update(tree(k, dtype), state, params)
            params = mapped(np.add, params, step)
        return params, state

    whole = go(optimizer, params, optimizer.initial(params), range(1, 31))
    optim.save(tmp_path / "run", go(optimizer, params, optimizer.initial(params), range(1, 13)))
    again = optim.load(tmp_path / "run.npz")
    same_bits(go(OPTIMIZERS[name](), *again, range(13, 31)), whole)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_by_steps_in_place(name, tmp_path):
    def go(params, state, begin, end):
        optimizer = OPTIMIZERS[name]()
        for k in range(begin, end):
            state = optimizer.advance(np.random.default_rng(k).normal(size=9), state, params)
        return params, state

    start = np.random.default_rng(0).normal(size=9)
    whole = go(start.copy(), OPTIMIZERS[name]().initial(start), 1, 31)
    optim.save(tmp_path / "run", go(start.copy(), OPTIMIZERS[name]().initial(start), 1, 13))
    same_bits(go(*optim.load(tmp_path / "run"), 13, 31), whole)


# ------------------------------------------------------------------------------------------------------------- in fit
RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(23, 4)), RNG.integers(0, 3, size=23)
NET = Network(hidden=layers.Affine(5), norm=layers.BatchNorm(), gate=layers.Tanh(), drop=layers.Dropout(0.2),
              out=layers.Affine(3))  # fmt: skip
QUICK = {"batch": 8, "progress": False, "seed": 3}


@pytest.mark.parametrize("stops", [(4,), (1, 2, 5)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_that_stopped_goes_on_bit_for_bit(name, stops, tmp_path):
    """Weights, the optimizer's state, the order of the data, what is dropped, and the averages of a batch norm."""
    start = NET.initial(X.shape)
    whole = fit(NET, start, X, LABELS, update=OPTIMIZERS[name](), epochs=7, **QUICK)
    fitted = fit(NET, start, X, LABELS, update=OPTIMIZERS[name](), epochs=stops[0], **QUICK)
    for epochs in (*stops[1:], 7):
        optim.save(tmp_path / "training", fitted.state)
        state = optim.load(tmp_path / "training")
        fitted = fit(NET, None, X, LABELS, update=OPTIMIZERS[name](), epochs=epochs, resume=state, **QUICK)
    same_bits(fitted.params, whole.params)
    assert fitted.history == whole.history
    same_bits(fitted.state, whole.state)
    np.testing.assert_array_equal(fitted.network(fitted.params, X), whole.network(whole.params, X))


def test_with_patience_too():
    options = {"validation": (X[:9], LABELS[:9]), "patience": 2, "update": optim.Adam(0.3), **QUICK}
    start = NET.initial(X.shape)
    whole = fit(NET, start, X, LABELS, epochs=40, **options)
    assert len(whole.history.loss) < 40, "the test is about a training that stops by itself"
    for epochs in (1, len(whole.history.loss) - 1, len(whole.history.loss)):
        fitted = fit(NET, start, X, LABELS, epochs=epochs, **options)
        fitted = fit(NET, None, X, LABELS, epochs=40, resume=fitted.state, **options)
        same_bits(fitted.params, whole.params)
        assert fitted.history == whole.history


def test_the_state_is_not_changed_by_going_on():
    fitted = fit(NET, NET.initial(X.shape), X, LABELS, update=optim.Adam(), epochs=2, **QUICK)
    before = copied(fitted.state)
    fit(NET, None, X, LABELS, update=optim.Adam(), epochs=4, resume=fitted.state, **QUICK)
    same_bits(fitted.state, before)


VALIDATION = {"validation": (X[:9], LABELS[:9])}


def test_without_patience_the_last_parameters_are_kept_whatever_was_the_best_before():
    waiting = fit(
        NET, NET.initial(X.shape), X, LABELS, epochs=4, update=optim.Adam(0.3), patience=9, **VALIDATION, **QUICK
    )
    assert waiting.history.best < 3, "the test is about a best epoch that is not the last"
    fitted = fit(NET, None, X, LABELS, epochs=6, update=optim.Adam(0.3), resume=waiting.state, **VALIDATION, **QUICK)
    same_bits(fitted.params, fitted.state["params"])
    assert fitted.history.best is None


def test_patience_and_validation_are_refused_where_earlier_epochs_were_without():
    fitted = fit(NET, NET.initial(X.shape), X, LABELS, epochs=2, **QUICK)
    for more in ({}, {"patience": 1}):
        with pytest.raises(InvalidInput, match=r"^validation: got data for validation, which 2 of 2 epochs"):
            fit(NET, None, X, LABELS, epochs=4, resume=fitted.state, **VALIDATION, **more, **QUICK)


HISTORY = {"loss": [1.0], "accuracy": [], "validation_loss": [1.0], "validation_accuracy": [], "best": None}


@pytest.mark.parametrize(
    ("part", "value"),
    [("steps", value) for value in (-1, 1.5, "3", None, True)]
    + [("rng", value) for value in ({}, None, 3, {"bit_generator": "MT19937"}, {"bit_generator": "PCG64", "state": {}})]
    + [("history", value) for value in (None, {}, {**HISTORY, "more": []}, {**HISTORY, "loss": 1.0},
                                        {**HISTORY, "loss": ["a"]}, {**HISTORY, "best": 0}, {**HISTORY, "best": 7})],
)  # fmt: skip
def test_the_state_of_a_training_that_cannot_be_used_is_refused(part, value):
    state = fit(NET, NET.initial(X.shape), X, LABELS, epochs=1, **QUICK).state
    with pytest.raises(InvalidInput, match=rf"^resume\['{part}'\]: got .*; wanted that of fitted.state"):
        fit(NET, None, X, LABELS, epochs=2, resume={**state, part: value}, **QUICK)


@pytest.mark.parametrize("best", [3, {}, {"params": None}, {"params": {}, "measured": None}])
def test_a_best_epoch_that_cannot_be_used_is_refused(best):
    state = fit(NET, NET.initial(X.shape), X, LABELS, epochs=1, **VALIDATION, **QUICK).state
    with pytest.raises(InvalidInput, match=r"^resume\['history'\]"):
        fit(NET, None, X, LABELS, epochs=2, resume={**state, "best": best}, **VALIDATION, **QUICK)


# ---------------------------------------------------------------------------------------------------- what a file holds
def test_a_file_holds_every_bit(tmp_path):
    odd = {
        "numbers": [0.1 + 0.2, -0.0, math.inf, -math.inf, 5e-324, 2**70, True, None, "Lion", "ä/b"],
        "arrays": (np.array([np.nan, -0.0, 1e-310]), np.zeros((0, 3)), np.arange(3), np.float32(0.1), np.array(2.0)),
        "a/b": {"": np.ones(1), "c": ()},
        "a": {"b": np.zeros(1)},
    }
    optim.save(tmp_path / "odd", odd)
    same_bits(optim.load(tmp_path / "odd"), odd)


@pytest.mark.parametrize("bad", [{"f": lambda: 0}, {1: np.ones(1)}, [object()], np.array([object()]), np.array(["a"])])
def test_what_no_file_can_hold_is_refused(bad, tmp_path):
    with pytest.raises(InvalidInput, match=r"^state.*: got .*; wanted"):
        optim.save(tmp_path / "bad", bad)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        optim.load(tmp_path / "nothing")
    (tmp_path / "text").write_text("text")
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    np.savez(tmp_path / "pickled.npz", **{"state.json": np.array([{"a": 1}], dtype=object)}, allow_pickle=True)
    for name in ("text", "other.npz", "pickled.npz"):
        with pytest.raises(InvalidInput, match=r"^path: got a file that cannot be read"):
            optim.load(tmp_path / name)


def test_a_damaged_file_is_refused_wherever_the_damage_is(tmp_path):
    optim.save(tmp_path / "good", {"a": np.ones(9)})
    data = (tmp_path / "good.npz").read_bytes()
    for k in range(len(data)):
        (tmp_path / "bad").write_bytes(data[:k] + bytes([data[k] ^ 0xFF]) + data[k + 1 :])
        with contextlib.suppress(InvalidInput):  # or the bit says nothing about what is in it
            same_bits(optim.load(tmp_path / "bad"), {"a": np.ones(9)})
    for k in range(0, len(data), 50):
        (tmp_path / "bad").write_bytes(data[:k])
        with pytest.raises(InvalidInput, match=r"^path: got a file that cannot be read"):
            optim.load(tmp_path / "bad")


def test_masked_arrays_and_unknown_kinds_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"^state/a: got "):
        optim.save(tmp_path / "masked", {"a": np.ma.array([1.0, 2.0], mask=[False, True])})
    text = b'{"format": 1, "state": {"other": "0"}}'
    np.savez(tmp_path / "unknown.npz", **{"state.json": np.frombuffer(text, dtype=np.uint8), "0": np.ones(2)})
    with pytest.raises(InvalidInput, match=r"^path: got a file that cannot be read"):
        optim.load(tmp_path / "unknown")
