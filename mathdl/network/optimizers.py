"""What makes steps of gradients: momentum, and gradients of limited length in front of it.

Explained in the chapters *Momentum* and *Backpropagation through time*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Protocol

import numpy as np

from mathdl.arrays import describe
from mathdl.autodiff.trees import leaves, mapped
from mathdl.errors import InvalidInput

__all__ = ["Clip", "Momentum", "Optimizer", "norm"]


class Optimizer(Protocol):
    """What `fit` asks of an optimizer; trees are nested dicts of arrays.

    One that updates each number without looking at the others may have a third method beside these,
    ``advance(gradient, state, params) -> state``, for vectors: it adds the step to ``params`` in place, and may write
    into the gradient and the state. `fit` calls it, if it is there, with all parameters in one vector.
    """

    def initial(self, params: Any) -> Any:
        """The state before the first step."""

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """The step, which is added to the parameters, and the next state; nothing is written into."""


@dataclass(frozen=True)
class Momentum:
    """v ← decay v + gradient, step = - rate v: gradient descent that keeps some of its speed.

    With ``decay=0.0`` it is plain gradient descent.

    Parameters
    ----------
    rate : float
        The learning rate, not negative.
    decay : float
        How much of the speed is left after a step, at least 0 and less than 1.

    Raises
    ------
    InvalidInput
        If one is out of its range.

    References
    ----------
    Chapter *Momentum*. B. T. Polyak, USSR Comput. Math. Math. Phys. 4 (1964) 1.

    Examples
    --------
    >>> momentum = Momentum(rate=0.5, decay=0.0)
    >>> x = np.array([4.0])
    >>> step, state = momentum.update(x, momentum.initial(x), x)
    >>> x + step
    array([2.])
    """

    rate: float = 0.1
    decay: float = 0.9

    def __post_init__(self) -> None:
        for name, value, below in (("rate", self.rate, math.inf), ("decay", self.decay, 1.0)):
            if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= value < below:
                raise InvalidInput(name, repr(value), f"a number, at least 0 and less than {below:g}")

    def initial(self, params: Any) -> Any:
        return mapped(np.zeros_like, params)

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        velocity = mapped(lambda v, g: self.decay * v + g, state, gradient)
        return mapped(lambda v: -self.rate * v, velocity), velocity

    def advance(self, gradient: Any, state: Any, params: Any) -> Any:
        """The same in place, for one array: the state is the velocity, and the gradient is written over."""
        state *= self.decay
        state += gradient
        params -= np.multiply(state, self.rate, out=gradient)
        return state


@dataclass(frozen=True)
class Clip:
    """An optimizer before which long gradients are cut: scaled down to some length, in the direction that they have.

    Where a loss has a cliff, its gradient there is so long that a step along it goes far beyond what it knows.

    Parameters
    ----------
    largest : float
        How long a gradient may be, positive: the norm over all parameters together.
    optimizer : Optimizer, optional
        What makes steps of these gradients: ``Momentum()`` unless told otherwise.

    Raises
    ------
    InvalidInput
        If the length is not positive, what stands behind it is no optimizer, or a gradient is not finite.

    References
    ----------
    Chapter *Backpropagation through time*. R. Pascanu, T. Mikolov and Y. Bengio, Proc. 30th ICML (2013) 1310.

    Examples
    --------
    >>> clip = Clip(1.0, Momentum(rate=1.0, decay=0.0))
    >>> gradient = {"a": np.array([3.0]), "b": np.array([4.0])}
    >>> clip.update(gradient, clip.initial(gradient), gradient)[0]
    {'a': array([-0.6]), 'b': array([-0.8])}
    """

    largest: float
    optimizer: Optimizer = field(default_factory=Momentum)

    def __post_init__(self) -> None:
        if not isinstance(self.largest, Real) or isinstance(self.largest, bool) or not 0 < self.largest < math.inf:
            raise InvalidInput("largest", repr(self.largest), "a positive number")
        check_optimizer(self.optimizer, "optimizer")

    def initial(self, params: Any) -> Any:
        return self.optimizer.initial(params)

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        scale = self._scale(gradient)
        cut = gradient if scale == 1 else mapped(lambda g: scale * g, gradient)
        return self.optimizer.update(cut, state, params)

    @property
    def advance(self) -> Callable[[Any, Any, Any], Any]:
        """There if the optimizer behind has it."""
        behind = self.optimizer.advance  # type: ignore[attr-defined]

        def advance(gradient: Any, state: Any, params: Any) -> Any:
            gradient *= self._scale(gradient)
            return behind(gradient, state, params)

        return advance

    def _scale(self, gradient: Any) -> float:
        length = norm(gradient)
        if not math.isfinite(length):
            raise InvalidInput("gradient", f"one of length {length}", "finite numbers")
        return 1.0 if length <= self.largest else self.largest / length


def norm(tree: Any) -> float:
    """The Euclidean length of all arrays in a tree together; squares that overflow are avoided.

    Examples
    --------
    >>> norm({"a": np.array([3.0, 0.0]), "b": [np.array([[4.0]])]})
    5.0
    """
    top = max((float(np.max(np.abs(leaf), initial=0.0)) for leaf in leaves(tree)), default=0.0)
    if not 0 < top < math.inf:
        return top
    return top * math.sqrt(sum(float(np.sum(np.square(leaf / top))) for leaf in leaves(tree)))


def check_optimizer(update: Any, name: str) -> None:
    """Raise `InvalidInput` unless it has what an optimizer must have."""
    if isinstance(update, type) or not (hasattr(update, "initial") and hasattr(update, "update")):
        raise InvalidInput(name, describe(update), "an optimizer, such as Momentum(rate=0.1)")
