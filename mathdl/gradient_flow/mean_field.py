"""What theory predicts for wide random networks: how large signals settle, and whether gradients grow or fade.

Explained in the chapter *Gradient flow*.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from mathdl.arrays import describe
from mathdl.errors import InvalidInput
from mathdl.layers.elementwise import Elementwise

__all__ = ["MeanField", "mean_field"]


class MeanField(NamedTuple):
    """The limit of many wide layers.

    Attributes
    ----------
    variance : float
        q*: of the entries before the activation, where it settles with depth; infinity where it grows for ever.
    chi : float
        χ: the factor by which the squared norm of a gradient changes from one layer to the one before it.
    layers : int
        After how many layers the variance had settled.
    """

    variance: float
    chi: float
    layers: int


def mean_field(
    activation: Elementwise,
    weight_variance: float,
    bias_variance: float = 0.0,
    start: float = 1.0,
    tolerance: float = 1e-12,
    most: int = 100_000,
) -> MeanField:
    """Where the variance of the signal settles in a wide random network, and χ there.

    Each layer is y = W φ(x) + b, with W of variance ``weight_variance`` / n and b of variance ``bias_variance``.
    Entries of y are then normal, nearly, and their variance follows

        q ← weight_variance E[φ(√q z)²] + bias_variance,    z normal,

    and the Jacobian of a layer changes the squared norm of a cotangent by χ = weight_variance E[φ′(√q z)²] on average.
    χ < 1: gradients fade with depth; χ > 1: they explode; χ = 1 is the edge between.

    Parameters
    ----------
    activation : Elementwise
        φ, such as ``Tanh()``.
    weight_variance : float
        σ_w², positive.
    bias_variance : float
        σ_b², not negative.
    start : float
        The variance of the entries of the first layer: where the iteration begins.
    tolerance : float
        The variance has settled when it changes by no more than this, relatively.
    most : int
        So many iterations at most.

    Returns
    -------
    MeanField

    Raises
    ------
    InvalidInput
        If the activation is none, or a number out of range.

    References
    ----------
    Chapter *Gradient flow*. B. Poole et al., Advances in Neural Information Processing Systems 29 (2016);
    S. S. Schoenholz et al., ICLR (2017), arXiv:1611.01232.

    Examples
    --------
    >>> from mathdl.layers import ReLU
    >>> round(mean_field(ReLU(), weight_variance=2.0).chi, 6)
    1.0
    """
    if not isinstance(activation, Elementwise):
        raise InvalidInput("activation", describe(activation), "an elementwise layer, such as Tanh()")
    for name, value, least in (
        ("weight_variance", weight_variance, 1e-300),
        ("bias_variance", bias_variance, 0.0),
        ("start", start, 0.0),
        ("tolerance", tolerance, 0.0),
    ):
        if not isinstance(value, (int, float)) or not least <= value < math.inf:
            raise InvalidInput(
                name, repr(value), "a finite number, positive" if least else "a finite number, not negative"
            )
    q, steps, settled = start, 0, False
    while not settled and steps < most and (1e-300 < q < 1e300 or steps == 0):
        new = weight_variance * _mean(lambda x: activation({}, x) ** 2, q) + bias_variance
        settled = abs(new - q) <= tolerance * q
        q, steps = new, steps + 1
    q = 0.0 if q <= 1e-300 else math.inf if q >= 1e300 else q
    at = min(max(q, 1e-300), 1e300)
    return MeanField(q, weight_variance * _mean(lambda x: _slope(activation, x) ** 2, at), steps)


def _slope(activation: Elementwise, x: Any) -> Any:
    _, saved = activation.forward({}, x)
    return activation.jvp({}, saved, np.ones_like(x))


@functools.cache
def _nodes() -> tuple[Any, Any]:
    """Places z and their weights for E[f(z)] with z normal, on both halves: a kink at zero costs no digits.

    Gauss–Legendre on [0, 12] and [-12, 0]: beyond them the density is less than 1e-31.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    z = 6 * (nodes + 1)
    density = 6 * weights * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return np.concatenate([z, -z]), np.concatenate([density, density])


def _mean(function: Any, variance: float) -> float:
    """E[f(√q z)] for normal z."""
    z, density = _nodes()
    return float(density @ function(math.sqrt(variance) * z))
