"""Gradients for the optimizers of matrices, which do not depend on where one is, and the settings that are compared.

Muon on a function is chaotic: it makes a difference of a rounding error grow. With gradients that are given, an error
stays where it was made, and two programs can be held against each other for a thousand steps.
"""

from __future__ import annotations

import numpy as np

STEPS = 1000
SHAPES = {"square": (3, 3), "tall": (5, 2), "wide": (2, 4)}
STORED = [1, 2, 3, 10, 11, 30, 100, 300, 1000]

SETTINGS = {
    "Muon": {"rate": 0.05, "beta": 0.9, "weight_decay": 0.1},
    "Muon, no look ahead": {"rate": 0.05, "beta": 0.9, "weight_decay": 0.1, "nesterov": False},
    "Muon, as AdamW": {"rate": 0.05, "beta": 0.9, "weight_decay": 0.1, "scale": "match_rms_adamw", "steps": 3},
    "Shampoo": {"rate": 0.05, "epsilon": 0.3},
    "SOAP": {"rate": 0.05, "beta1": 0.9, "beta2": 0.8, "epsilon": 0.05, "every": 7},
    "SOAP, a new basis in each step": {"rate": 0.05, "beta1": 0.7, "beta2": 0.95, "epsilon": 0.01, "every": 1},
}


def start(shape):
    return np.random.default_rng(99).normal(size=shape)


def gradient(k, shape):
    """That of step k: of full rank, with sides of different sizes, so that there is something to precondition.

    The longer side always spans the same space. SOAP's first basis is made of one gradient, which says nothing about
    the vectors outside of that space: there two programs may differ, and no gradient has anything there.
    """
    r = min(shape)
    mixed = np.random.default_rng(k).normal(size=(r, r)) * np.array([3.0, 1.0, 0.3])[:r]
    sides = np.random.default_rng(1234)
    rows, columns = (np.eye(r) if size == r else sides.normal(size=(size, r)) for size in shape)
    return rows @ mixed @ columns.T
