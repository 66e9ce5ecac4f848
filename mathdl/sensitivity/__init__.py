"""What an output says about its input: which entries it listens to, how errors pass through, and how little fools it.

Every function takes any differentiable NumPy function. Explained in the chapter *Sensitivity*.
"""

from __future__ import annotations

from mathdl.sensitivity.adapters import from_sklearn
from mathdl.sensitivity.attribution import (
    Attribution,
    input_times_gradient,
    integrated_gradients,
    saliency,
    smooth_grad,
)
from mathdl.sensitivity.errors import elasticities, propagate, rank_features
from mathdl.sensitivity.robustness import Bounds, adversarial, jacobian_penalty, lipschitz_bounds

__all__ = [
    "Attribution",
    "Bounds",
    "adversarial",
    "elasticities",
    "from_sklearn",
    "input_times_gradient",
    "integrated_gradients",
    "jacobian_penalty",
    "lipschitz_bounds",
    "propagate",
    "rank_features",
    "saliency",
    "smooth_grad",
]
