"""Which deep networks learn: the share of digits read after ten epochs, for each depth and each gain of the weights.

Drawn and explained in the chapter *Gradient flow*, which trains a few of them again.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from mathdl.errors import NonFinite
from mathdl.layers import Affine, ReLU, Tanh
from mathdl.network import Network, accuracy, fit
from mathdl.optim import Momentum

DEPTHS = (2, 4, 8, 12, 16, 24, 32, 48, 64, 96)
GAINS = tuple(round(0.5 + 0.1 * k, 1) for k in range(20))
ACTIVATIONS = {"tanh": Tanh, "ReLU": ReLU}


@cache
def images() -> tuple[Any, Any]:
    """Three quarters of the digits, with their labels: those that the chapter trains with."""
    digits = load_digits()
    X, _, y, _ = train_test_split(
        digits.data / 16, digits.target, test_size=0.25, stratify=digits.target, random_state=0
    )
    return X, y


def share(activation: str, depth: int, gain: float) -> float:
    """Of the training images, how many a network of this depth has learned to read; 0 if its training broke off."""
    X, y = images()
    layers: dict[str, Any] = {}
    for k in range(depth):
        layers |= {f"affine{k}": Affine(64), f"phi{k}": ACTIVATIONS[activation]()}
    net = Network(**layers, out=Affine(10))
    params, rng = net.initial(X.shape), np.random.default_rng(0)
    for own in params.values():
        own["W"] = rng.normal(scale=gain / math.sqrt(own["W"].shape[1]), size=own["W"].shape)
    try:
        fitted = fit(net, params, X, y, epochs=10, batch=64, update=Momentum(rate=0.003), progress=False)
    except NonFinite:
        return 0.0
    return round(accuracy(net, fitted.params, X, y), 2)


def run() -> dict[str, Any]:
    """The whole map: for each activation a row for each depth, with a share for each gain."""
    shares = {name: [[share(name, depth, gain) for gain in GAINS] for depth in DEPTHS] for name in ACTIVATIONS}
    return {"depths": DEPTHS, "gains": GAINS, "shares": shares}
