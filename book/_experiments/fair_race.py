"""A race of optimizers on digits: the same networks, the same batches, the same number of trials for each.

Drawn and explained in the chapter *A fair race*, which runs a few of the trainings again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from mathdl.errors import InvalidInput, NonFinite
from mathdl.layers import Affine, CrossEntropy, Tanh
from mathdl.network import Network, Step, accuracy, fit
from mathdl.optim import (
    KFAC,
    SOAP,
    AdaGrad,
    Adam,
    AdamW,
    AMSGrad,
    GradientDescent,
    Lion,
    Momentum,
    Muon,
    NAdam,
    Nesterov,
    RMSprop,
    Shampoo,
    Split,
)

GUESSING = math.log(10)  # the loss of one who knows nothing: what a training that broke off, or got worse, counts as
EPOCHS, BATCH = 10, 32
TRIALS, SEEDS = 48, 10  # trainings to choose the rate with, and trainings with the rate that was chosen
DECADES = 4  # how wide the range of rates is, with the centre below in its middle
EVERY = 4  # steps between two looks at the validation loss
TARGET = 0.15  # a validation loss: who is there first?
FIRST_TRIAL = 1000  # seeds of trials begin here, so that those of the race, from 0, are fresh
POSITIONS = np.random.default_rng(21).random(TRIALS)  # where in its range each trial's rate lies: the same for all
CHANGED_RATES, CHANGED_TRIALS, CHANGED_SEEDS = 13, 2, 5  # under other conditions: rates on a grid, twice each

NET = Network(hidden=Affine(32), bend=Tanh(), out=Affine(10))


class Runner(NamedTuple):
    """What makes an optimizer of a rate, and the rate that is usual for it: the centre of its range."""

    make: Callable[[float], Any]
    centre: float

    def rates(self, count: int = TRIALS) -> list[float]:
        """The rates of its first trials: log-uniform over the decades around the centre."""
        return [float(f"{self.centre * 10 ** (DECADES * (u - 0.5)):.3g}") for u in POSITIONS[:count]]


def _split(kind: Any) -> Callable[[float], Any]:
    """For matrices the optimizer itself; for biases AdamW, at a twentieth of its rate."""
    return lambda rate: Split(matrices=kind(rate), others=AdamW(rate / 20))


RUNNERS = {
    "gradient descent": Runner(GradientDescent, 0.1),
    "momentum": Runner(Momentum, 0.1),
    "Nesterov": Runner(Nesterov, 0.1),
    "AdaGrad": Runner(AdaGrad, 0.01),
    "RMSprop": Runner(RMSprop, 0.001),
    "Adam": Runner(Adam, 0.001),
    "AMSGrad": Runner(AMSGrad, 0.001),
    "AdamW": Runner(AdamW, 0.001),
    "NAdam": Runner(NAdam, 0.002),
    "Lion": Runner(Lion, 0.0001),
    "Muon": Runner(_split(Muon), 0.02),
    "Shampoo": Runner(_split(Shampoo), 0.1),
    "SOAP": Runner(_split(SOAP), 0.003),
    "K-FAC": Runner(lambda rate: KFAC(NET, rate), 0.1),
}
SHORT = ("gradient descent", "momentum", "Adam", "Lion", "Muon", "K-FAC")


# ----------------------------------------------------------------------------------------------------------- the track
class World(NamedTuple):
    """Data to train with and to choose with, how they are cut into batches, and a matrix that the images go through.

    The first weights go through its inverse, so that the network begins as the same function as without it.
    """

    batch: int = BATCH
    matrix: Any = None


@cache
def digits() -> dict[str, tuple[Any, Any]]:
    """Images and labels: three fifths to train with, a fifth to choose with, and a fifth for the end."""
    images, labels = load_digits(return_X_y=True)
    X, X_rest, y, y_rest = train_test_split(images / 16, labels, test_size=720, stratify=labels, random_state=0)
    X_val, X_test, y_val, y_test = train_test_split(X_rest, y_rest, test_size=360, stratify=y_rest, random_state=0)
    return {"train": (X, y), "validation": (X_val, y_val), "test": (X_test, y_test)}


def rotation() -> Any:
    """A random orthogonal matrix, 64 × 64: every pixel becomes a mixture of all."""
    return np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]


def units() -> Any:
    """A diagonal one, as if a pixel in the middle had been measured in units thirty times as small."""
    return np.diag(np.where(np.arange(64) == 28, 30.0, 1.0))


WORLDS = {
    "as it is": World(),
    "batches of 8": World(batch=8),
    "batches of 256": World(batch=256),
    "rotated": World(matrix=rotation()),
    "one column × 30": World(matrix=units()),
}


class Training(NamedTuple):
    """Its validation loss at the end, its parameters if it came so far, and the steps and losses on its way."""

    loss: float
    params: Any
    steps: list[int]
    curve: list[float]


def train(
    optimizer: Any, seed: int, world: World = WORLDS["as it is"], watch: bool = False, epochs: int = EPOCHS
) -> Training:
    """Train with one optimizer; the seed decides the first weights and the order of the images, for all alike."""
    (X, y), (X_val, y_val) = digits()["train"], digits()["validation"]
    params = NET.initial(X.shape, rng=seed)
    if world.matrix is not None:
        X, X_val = X @ world.matrix, X_val @ world.matrix
        params["hidden"]["W"] = params["hidden"]["W"] @ np.linalg.inv(world.matrix).T
    steps: list[int] = []
    curve: list[float] = []

    def look(step: Any) -> None:
        steps.append(len(steps) + 1)
        if len(steps) % EVERY == 0:
            curve.append(_loss(step.params, X_val, y_val))

    begin, end = EVERY - 1, None
    try:
        run_through = of_batches if isinstance(optimizer, KFAC) else of_gradients
        end = run_through(optimizer, params, X, y, epochs, world.batch, seed, look if watch else None)
    except NonFinite:
        pass
    loss = GUESSING if end is None else _loss(end, X_val, y_val)
    return Training(loss, end, steps[begin::EVERY], curve)


def of_gradients(optimizer: Any, params: Any, X: Any, y: Any, epochs: int, batch: int, seed: int, watch: Any) -> Any:
    """The parameters after a training with an optimizer that asks for gradients."""
    fitted = fit(
        NET, params, X, y, update=optimizer, epochs=epochs, batch=batch, seed=seed, watch=watch, progress=False
    )
    return fitted.params


def of_batches(optimizer: Any, params: Any, X: Any, y: Any, epochs: int, batch: int, seed: int, watch: Any) -> Any:
    """The same with one that asks for a batch; the batches are those that `fit` makes."""
    rng, state, count = np.random.default_rng(seed), optimizer.initial(params), math.ceil(len(X) / batch)
    for epoch in range(epochs):
        for k, rows in enumerate(np.array_split(rng.permutation(len(X)), count)):
            try:
                step, state = optimizer.update((X[rows], y[rows]), state, params)
            except InvalidInput as error:
                raise NonFinite("gradient", "not finite", epoch, k, str(error)) from error
            params = {
                layer: {key: array + step[layer][key] for key, array in own.items()} for layer, own in params.items()
            }
            if watch is not None:
                watch(Step(epoch, k, math.nan, {}, params))
    return params


def _loss(params: Any, X: Any, y: Any) -> float:
    with np.errstate(all="ignore"):
        value = float(CrossEntropy()(NET(params, X), y))
    return min(value, GUESSING) if math.isfinite(value) else GUESSING


# ------------------------------------------------------------------------------------------------------------ the race
def search(name: str, trials: int = TRIALS) -> list[float]:
    """The validation losses of an optimizer's trials, each with a seed of its own."""
    runner = RUNNERS[name]
    return [round(train(runner.make(rate), FIRST_TRIAL + k).loss, 4) for k, rate in enumerate(runner.rates(trials))]


def chosen(name: str, losses: list[float]) -> float:
    """The rate with the least of these losses."""
    return RUNNERS[name].rates(len(losses))[int(np.argmin(losses))]


def final(optimizer: Callable[[], Any], seeds: int = SEEDS) -> dict[str, Any]:
    """What fresh seeds give: the one place where the test images are looked at."""
    found: dict[str, list[Any]] = {"validation": [], "test": [], "right": [], "steps": []}
    curves = []
    for seed in range(seeds):
        training = train(optimizer(), seed, watch=True)
        there = [k for k, loss in zip(training.steps, training.curve, strict=True) if loss < TARGET]
        lost = training.params is None
        found["validation"].append(round(training.loss, 4))
        found["test"].append(GUESSING if lost else round(_loss(training.params, *digits()["test"]), 4))
        found["right"].append(0.1 if lost else round(accuracy(NET, training.params, *digits()["test"]), 4))
        found["steps"].append(there[0] if there else None)
        curves.append(training.curve)
    whole = max(map(len, curves))
    filled = [curve + [GUESSING] * (whole - len(curve)) for curve in curves]
    return found | {"curve": np.median(filled, axis=0).round(4).tolist()}


def race(name: str) -> dict[str, Any]:
    """One optimizer's trials, its race with the rate that they chose, and one with the usual rate."""
    losses, runner = search(name), RUNNERS[name]
    rate = chosen(name, losses)
    usual = final(lambda: runner.make(runner.centre))
    return {
        "rates": runner.rates(),
        "trials": losses,
        "chosen": rate,
        "final": final(lambda: runner.make(rate)),
        "usual": usual["validation"],
    }


def changed(name: str, world: World) -> dict[str, Any]:
    """The same in another world, shorter: rates on a grid, and the validation losses of a few fresh seeds."""
    runner = RUNNERS[name]
    rates = [float(f"{r:.3g}") for r in runner.centre * 10 ** np.linspace(-DECADES / 2, DECADES / 2, CHANGED_RATES)]
    trials = range(FIRST_TRIAL, FIRST_TRIAL + CHANGED_TRIALS)
    losses = [sum(train(runner.make(rate), seed, world).loss for seed in trials) for rate in rates]
    rate = rates[int(np.argmin(losses))]
    return {
        "rate": rate,
        "validation": [round(train(runner.make(rate), seed, world).loss, 4) for seed in range(CHANGED_SEEDS)],
    }


def run() -> dict[str, Any]:
    """All of it: some minutes."""
    return {
        "race": {name: race(name) for name in RUNNERS},
        "worlds": {which: {name: changed(name, world) for name in SHORT} for which, world in WORLDS.items()},
    }
