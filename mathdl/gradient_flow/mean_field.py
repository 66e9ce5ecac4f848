"""What theory predicts for wide random networks: how large signals settle, and whether gradients grow or fade.

Explained in the chapter *Gradient flow*.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from mathdl.arrays import describe, want_integer, want_number
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
        So many layers were gone through.
    settled : bool
        Whether the variance had settled by then, at a number, at zero or at infinity. Near χ = 1 it takes long; where
        it does not settle, ``variance`` and ``chi`` are those after so many layers, and not the limit.
    """

    variance: float
    chi: float
    layers: int
    settled: bool


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
    weight_variance = want_number(weight_variance, "weight_variance", "a finite number, positive", above=0.0)
    bias_variance = want_number(bias_variance, "bias_variance", "a finite number, not negative", least=0.0)
    q = want_number(start, "start", "a finite number, not negative", least=0.0)
    tolerance = want_number(tolerance, "tolerance", "a finite number, not negative", least=0.0)
    steps, settled, most = 0, False, want_integer(most, "most", 1)
    while not settled and steps < most and (1e-300 < q < 1e300 or steps == 0):
        new = weight_variance * _mean(lambda x: activation({}, x) ** 2, q) + bias_variance
        settled = abs(new - q) <= tolerance * q
        q, steps = new, steps + 1
    at = min(max(q, 1e-300), 1e300)
    q = 0.0 if q <= 1e-300 else math.inf if q >= 1e300 else q
    chi = weight_variance * _mean(lambda x: _slope(activation, x) ** 2, at)
    return MeanField(q, chi, steps, settled or q in (0.0, math.inf))


def _slope(activation: Elementwise, x: Any) -> Any:
    _, saved = activation.forward({}, x)
    return activation.jvp({}, saved, np.ones_like(x))


@functools.lru_cache(maxsize=64)
def _nodes(edge: float) -> tuple[Any, Any]:
    """Gauss-Legendre nodes on [0, edge] and [edge, 12], and their weights times the normal density.

    Beyond 12 the density is less than 1e-31.
    """
    nodes, weights = np.polynomial.legendre.leggauss(100)
    lengths = np.repeat([edge, 12 - edge], len(nodes))
    z = np.tile((nodes + 1) / 2, 2) * lengths + np.repeat([0.0, edge], len(nodes))
    return z, lengths * np.tile(weights / 2, 2) * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def _mean(function: Any, variance: float) -> float:
    """E[f(√q z)] for normal z: on both halves, so that a kink at zero costs no digits.

    Up to √q z = 20 an activation bends. Where q is large, that is a small part of a half, which has nodes of its own.
    """
    deviation = math.sqrt(variance)
    z, density = _nodes(6.0 if deviation < 3.5 else 2.0 ** math.ceil(math.log2(20 / deviation)))
    x = deviation * np.concatenate([z, -z])
    values = function(x)
    return float(density @ values[: len(z)] + density @ values[len(z) :])
