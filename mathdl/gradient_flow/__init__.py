"""How gradients grow and fade in a network: singular values of products of Jacobians, norms by layer, first weights.

Explained in the chapter *Gradient flow*.
"""

from __future__ import annotations

from mathdl.gradient_flow.initialisers import he, lsuv, orthogonal, xavier
from mathdl.gradient_flow.mean_field import MeanField, mean_field
from mathdl.gradient_flow.norms import Flow, Recorder, flow
from mathdl.gradient_flow.spectra import effective_rank, singular_values

__all__ = [
    "Flow",
    "MeanField",
    "Recorder",
    "effective_rank",
    "flow",
    "he",
    "lsuv",
    "mean_field",
    "orthogonal",
    "singular_values",
    "xavier",
]
