"""Functions of one number, applied to each entry: the Jacobian is diagonal, and both products are one multiplication.

Dropout belongs here too: its factors are drawn, not computed.
Explained in the chapter *Layer Jacobians*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, ndtr

from mathdl.arrays import is_number, want_integer
from mathdl.errors import InvalidInput
from mathdl.layers.layer import Layer, Params, diagonal

__all__ = ["GELU", "Dropout", "Elementwise", "ReLU", "Sigmoid", "Softplus", "Tanh"]


class Elementwise(Layer):
    """A function of each entry, and its slope: J = diag(slope(x)). x has any shape, and y has the same.

    References
    ----------
    Chapter *Layer Jacobians*, "Elementwise".
    """

    by_output = False  # whether the slope needs the output, and not the input: the other is not kept

    def function(self, x: Any) -> Any:
        """The value at each entry."""
        raise NotImplementedError

    def slope(self, x: Any, y: Any) -> Any:
        """The derivative at each entry, from the input or from the output; the one that is not kept is None."""
        raise NotImplementedError

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        y = self.function(x)
        return y, (None, y) if self.by_output else (x, None)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        return self.slope(*kept) * dx

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        return {}, g * self.slope(*kept)

    def by_x(self, params: Params, kept: tuple[Any, ...]) -> Any:
        return diagonal(np.asarray(self.slope(*kept)))


@dataclass(frozen=True, eq=False)
class ReLU(Elementwise):
    """y = max(x, 0), with slope 1 where x > 0 and 0 elsewhere: at the kink too.

    x has any shape, and y has the same.

    References
    ----------
    Chapter *Layer Jacobians*, "Elementwise".

    Examples
    --------
    >>> ReLU().jacobian({}, np.array([-1.0, 0.0, 2.0]))
    array([[0., 0., 0.],
           [0., 0., 0.],
           [0., 0., 1.]])
    """

    by_output = True

    def function(self, x: Any) -> Any:
        return np.maximum(x, 0.0)

    def slope(self, x: Any, y: Any) -> Any:
        return np.asarray(y > 0, dtype=y.dtype)

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        return {}, g * (kept[1] > 0)


@dataclass(frozen=True, eq=False)
class GELU(Elementwise):
    """y = x Φ(x), where Φ(x) = (1 + erf(x / √2)) / 2 is the normal distribution; the slope is Φ(x) + x φ(x).

    This is the exact function, not its approximation by tanh. Φ is computed so that its tail at negative x keeps all
    digits, where 1 + erf would cancel. x has any shape, and y has the same.

    References
    ----------
    Chapter *Layer Jacobians*, "Elementwise". D. Hendrycks and K. Gimpel, arXiv:1606.08415 (2016).

    Examples
    --------
    >>> GELU()({}, np.array([-1e4, 0.0, 1e4]))
    array([   -0.,     0., 10000.])
    """

    def function(self, x: Any) -> Any:
        return x * ndtr(x)

    def slope(self, x: Any, y: Any) -> Any:
        return ndtr(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


@dataclass(frozen=True, eq=False)
class Tanh(Elementwise):
    """y = tanh x, with slope 1 - y².

    x has any shape, and y has the same.

    References
    ----------
    Chapter *Layer Jacobians*, "Elementwise".

    Examples
    --------
    >>> Tanh().jacobian({}, np.array([0.0]))
    array([[1.]])
    """

    by_output = True

    def function(self, x: Any) -> Any:
        return np.tanh(x)

    def slope(self, x: Any, y: Any) -> Any:
        return 1 - y * y


@dataclass(frozen=True, eq=False)
class Sigmoid(Elementwise):
    """y = 1 / (1 + e⁻ˣ), with slope y (1 - y).

    x has any shape, and y has the same; nothing overflows.

    References
    ----------
    Chapter *Layer Jacobians*, "Elementwise".

    Examples
    --------
    >>> Sigmoid()({}, np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """

    def function(self, x: Any) -> Any:
        return expit(x)

    def slope(self, x: Any, y: Any) -> Any:
        return expit(x) * expit(-x)  # y (1 - y) would lose the digits of a small slope at large x


@dataclass(frozen=True, eq=False)
class Softplus(Elementwise):
    """y = log(1 + eˣ), a smooth ReLU; its slope is the sigmoid of x.

    x has any shape, and y has the same; nothing overflows.

    References
    ----------
    Chapter *Layer Jacobians*, "Elementwise".

    Examples
    --------
    >>> Softplus()({}, np.array([-1e4, 1e4]))
    array([    0., 10000.])
    """

    def function(self, x: Any) -> Any:
        return np.logaddexp(x, 0.0)

    def slope(self, x: Any, y: Any) -> Any:
        return expit(x)


@dataclass(frozen=True, eq=False)
class Dropout(Layer):
    """y = x m / (1 - rate): entries are dropped with probability ``rate``, and the rest is scaled up to make up for it.

    The mask m is drawn from the seed, so that a call repeated gives the same, and so does the backward pass. For
    another mask take another layer: ``dataclasses.replace(layer, seed=...)``; for evaluation take ``rate=0.0``. The
    Jacobian is diag(m) / (1 - rate). x has any shape, and y has the same.

    Parameters
    ----------
    rate : float
        At least 0 and less than 1.
    seed : int
        Not negative.

    Raises
    ------
    InvalidInput
        If the rate or the seed is outside its range.

    References
    ----------
    Chapter *Layer Jacobians*, "Dropout". N. Srivastava et al., J. Mach. Learn. Res. 15 (2014) 1929.

    Examples
    --------
    >>> Dropout(rate=0.5, seed=0)({}, np.ones(6))
    array([2., 0., 0., 0., 2., 2.])
    """

    rate: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not is_number(self.rate) or not 0 <= self.rate < 1:
            raise InvalidInput("rate", repr(self.rate), "a probability, at least 0 and less than 1")
        want_integer(self.seed, "seed", 0)

    def redrawn(self, rng: np.random.Generator) -> Layer:
        return Dropout(self.rate, int(rng.integers(2**63)))

    def evaluating(self, measured: Any = None) -> Layer:
        return Dropout(0.0, self.seed)

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        kept = np.random.default_rng(self.seed).random(np.shape(x)) >= self.rate
        factor = np.asarray(kept / (1 - self.rate), dtype=np.finfo(x.dtype).dtype)
        return x * factor, (factor,)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        return kept[0] * dx

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        return {}, g * kept[0]

    def by_x(self, params: Params, kept: tuple[Any, ...]) -> Any:
        return diagonal(kept[0])
