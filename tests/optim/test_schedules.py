"""Schedules: rates that are those of PyTorch's and Optax's where they mean the same, and where they begin and end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from common import PROPERTY
from hypothesis import given
from hypothesis import strategies as st

from mathdl import optim

RATES, COUNTS = st.floats(1e-6, 10.0), st.integers(1, 60)


@PROPERTY
@given(rate=RATES, final=st.floats(0.0, 1.0), steps=COUNTS)
def test_cosine_goes_from_the_first_rate_to_the_last_and_stays(rate, final, steps):
    cosine = optim.cosine(rate, steps, final=final)
    rates = np.array([cosine(k) for k in range(steps + 4)])
    np.testing.assert_allclose(rates[0], rate, rtol=1e-12)
    np.testing.assert_allclose(rates[steps:], final, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(rates[: steps + 1] + rates[steps::-1], rate + final, rtol=1e-12)  # half a wave
    assert np.all(np.diff(rates) * (final - rate) >= -1e-15)


def test_cosine_is_its_formula():
    """Loshchilov and Hutter 2017, equation 5."""
    for k in range(11):
        wanted = 0.1 + 0.5 * (0.9 - 0.1) * (1 + math.cos(k / 10 * math.pi))
        assert optim.cosine(0.9, 10, final=0.1)(k) == pytest.approx(wanted, rel=1e-14)


@PROPERTY
@given(rate=RATES, every=COUNTS, factor=st.floats(0.01, 1.0))
def test_staircase_is_level_on_each_stair(rate, every, factor):
    stairs = optim.staircase(rate, every, factor)
    for k in range(3 * every):
        assert stairs(k) == pytest.approx(rate * factor ** (k // every), rel=1e-14)


@PROPERTY
@given(rate=RATES, steps=st.integers(0, 20), k=st.integers(0, 50))
def test_warm_up_rises_in_equal_parts_and_then_begins(rate, steps, k):
    after = optim.cosine(rate, 30)
    warmed = optim.warm_up(after, steps)
    assert warmed(k) == pytest.approx(rate * (k + 1) / steps if k < steps else after(k - steps), rel=1e-14)
    assert optim.warm_up(rate, steps)(k) == pytest.approx(rate * min(1, (k + 1) / steps if steps else 1), rel=1e-14)


@PROPERTY
@given(
    peak=RATES, steps=st.integers(8, 200), share=st.floats(0.2, 0.8), start=st.floats(1.0, 50.0), end=st.floats(1, 1e4)
)
def test_one_cycle_goes_up_to_the_peak_and_down(peak, steps, share, start, end):
    cycle = optim.one_cycle(peak, steps, share=share, start=start, end=end)
    rates = np.array([cycle(k) for k in range(steps + 3)])
    top = share * steps - 1
    np.testing.assert_allclose(rates[0], peak / start, rtol=1e-12)
    np.testing.assert_allclose(rates[steps - 1 :], peak / start / end, rtol=1e-9, atol=1e-14 * peak)
    assert np.all(rates <= peak * (1 + 1e-14))
    assert np.all(np.diff(rates[: math.floor(top) + 1]) >= -1e-15 * peak)
    assert np.all(np.diff(rates[math.ceil(top) :]) <= 1e-15 * peak)
    up = [k for k in range(steps) if k < top]
    wanted = [peak + (peak / start - peak) * (1 + math.cos(math.pi * k / top)) / 2 for k in up]
    np.testing.assert_allclose(rates[up], wanted, rtol=1e-9)


# Schedules of torch.optim.lr_scheduler, with their settings, and the rates that they had in PyTorch 2.13.
STEPS = 20
SCHEDULES = {
    "OneCycleLR": (
        optim.one_cycle(0.5, STEPS),
        {"max_lr": 0.5, "total_steps": STEPS, "cycle_momentum": False},
        [
            0.02,
            0.06583592135001265,
            0.18583592135001265,
            0.3341640786499874,
            0.45416407864998737,
            0.5,
            0.49373200311754367,
        ],
    ),
    "StepLR": (optim.staircase(0.3, 3, 0.5), {"step_size": 3, "gamma": 0.5}, [0.3, 0.3, 0.3, 0.15, 0.15, 0.15, 0.075]),
    "CosineAnnealingLR": (
        optim.cosine(0.4, STEPS, final=0.1),
        {"T_max": STEPS, "eta_min": 0.1},
        [0.4, 0.3981532510892707, 0.39265847744427307],
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rates_of_pytorch(name):
    ours, _, theirs = SCHEDULES[name]
    np.testing.assert_allclose([ours(k) for k in range(len(theirs))], theirs, rtol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.filterwarnings("ignore:Detected call of:UserWarning")
def test_the_rates_of_pytorch_as_it_is_now(name):
    torch = pytest.importorskip("torch")
    ours, settings, _ = SCHEDULES[name]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=ours(0))
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **settings)
    theirs = []
    for _ in range(STEPS):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose([ours(k) for k in range(STEPS)], theirs, rtol=1e-12, atol=1e-17)


def test_the_rates_of_optax_as_it_is_now():
    optax = pytest.importorskip("optax")
    pairs = [
        (optim.cosine(0.4, 20, final=0.1), optax.cosine_decay_schedule(0.4, 20, alpha=0.25)),
        (optim.staircase(0.3, 3, 0.5), optax.exponential_decay(0.3, 3, 0.5, staircase=True)),
        (optim.constant(0.3), optax.constant_schedule(0.3)),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose([ours(k) for k in range(25)], [float(theirs(k)) for k in range(25)], rtol=1e-6)
