"""Optimizers: from gradient descent to Adam and past it, schedules, and what optimizers are composed of.

Each has ``initial(params)``, its state before the first step, and ``update(gradient, state, params)``, which gives the
step to add to the parameters and the next state. Parameters are nested dicts, lists and tuples of arrays.
Explained in Part 4.
"""

from __future__ import annotations

from mathdl.optim.arena import Arena
from mathdl.optim.composition import L2, Averaged, Chain, Clip, Decay, Split
from mathdl.optim.curvature import GaussNewton, LevenbergMarquardt, Minimum, NaturalGradient, Newton, lbfgs
from mathdl.optim.first_order import (
    AdaGrad,
    Adam,
    AdamW,
    AMSGrad,
    GradientDescent,
    Lion,
    Momentum,
    NAdam,
    Nesterov,
    RMSprop,
)
from mathdl.optim.kfac import KFAC
from mathdl.optim.matrices import SOAP, Muon, Shampoo, orthogonalised
from mathdl.optim.optimizer import Optimizer, norm
from mathdl.optim.running import Descent, as_map, minimise
from mathdl.optim.schedules import constant, cosine, one_cycle, staircase, warm_up
from mathdl.optim.storage import load, save

__all__ = [
    "KFAC",
    "L2",
    "SOAP",
    "AMSGrad",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Arena",
    "Averaged",
    "Chain",
    "Clip",
    "Decay",
    "Descent",
    "GaussNewton",
    "GradientDescent",
    "LevenbergMarquardt",
    "Lion",
    "Minimum",
    "Momentum",
    "Muon",
    "NAdam",
    "NaturalGradient",
    "Nesterov",
    "Newton",
    "Optimizer",
    "RMSprop",
    "Shampoo",
    "Split",
    "as_map",
    "constant",
    "cosine",
    "lbfgs",
    "load",
    "minimise",
    "norm",
    "one_cycle",
    "orthogonalised",
    "save",
    "staircase",
    "warm_up",
]
