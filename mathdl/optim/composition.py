"""Optimizers made of others: parts in a chain, clipped gradients, decay, averaged weights, matrices by themselves.

Explained in the chapters *Noise, schedules, clipping* and *Adaptive steps*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mathdl.arrays import describe
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.trees import build, inputs, leaves, mapped
from mathdl.errors import InvalidInput
from mathdl.optim.optimizer import (
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Optimizer,
    Range,
    Schedule,
    Settings,
    accept,
    aligned,
    at_step,
    check_kind,
    check_optimizer,
    check_state,
    norm,
)

__all__ = ["L2", "Averaged", "Chain", "Clip", "Decay", "Split"]


class Chain:
    """Several parts, one behind the other: the step of each is the gradient of the next, and the last gives the step.

    ``Chain(Clip(1.0), Adam())`` clips what Adam sees; ``Chain(L2(1e-4), Momentum())`` adds a penalty's gradient;
    ``Chain(Momentum(), Decay(1e-4))`` takes a share of the parameters off with each step.

    Parameters
    ----------
    *parts : Optimizer
        At least one; they stand in ``parts``.

    Raises
    ------
    InvalidInput
        If there is no part, or one is no optimizer; in `update`, as the parts.

    References
    ----------
    Chapter *Noise, schedules, clipping*.

    Examples
    --------
    >>> from mathdl.optim import Momentum
    >>> chain = Chain(Clip(1.0), Momentum(rate=1.0))
    >>> gradient = {"a": np.array([3.0]), "b": np.array([4.0])}
    >>> chain.update(gradient, chain.initial(gradient), gradient)[0]
    {'a': array([-0.6]), 'b': array([-0.8])}
    """

    def __init__(self, *parts: Optimizer) -> None:
        if not parts:
            raise InvalidInput("parts", "none", "at least one, such as Chain(Clip(1.0), Adam())")
        for k, part in enumerate(parts):
            check_optimizer(part, f"parts[{k}]")
        self.parts = parts

    def __repr__(self) -> str:
        return f"Chain({', '.join(map(repr, self.parts))})"

    def initial(self, params: Any) -> tuple[Any, ...]:
        return tuple(part.initial(params) for part in self.parts)

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, tuple[Any, ...]]:
        states = []
        for part, old in zip(self.parts, self._states(state), strict=True):
            gradient, new = part.update(gradient, old, params)
            states.append(new)
        return gradient, tuple(states)

    @property
    def advance(self) -> Callable[[Any, Any, Any], Any]:
        """The same in place; there if the parts in front change gradients only, and the last has it."""
        *front, last = self.parts
        changes = [part.change for part in front]  # type: ignore[attr-defined]
        behind = last.advance  # type: ignore[attr-defined]

        def advance(gradient: Any, state: Any, params: Any) -> Any:
            accept(gradient, params)
            states = self._states(state)
            for change, old in zip(changes, states, strict=False):
                gradient = change(gradient, old, params)
            return (*states[:-1], behind(gradient, states[-1], params))

        return advance

    def _states(self, state: Any) -> tuple[Any, ...]:
        if not isinstance(state, (tuple, list)) or len(state) != len(self.parts):
            raise InvalidInput("state", describe(state), f"a tuple of {len(self.parts)}, as initial(params) gives")
        return tuple(state)


class Change(Settings):
    """A part of a chain that has no state of its own: `changed` says what becomes of a gradient, leaf by leaf."""

    def changed(self, g: list[Any], p: list[Any]) -> list[Any]:
        raise NotImplementedError

    def initial(self, params: Any) -> dict[str, Any]:
        inputs(params, "params")
        return {}

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        p, g = accept(gradient, params)
        return build(params, iter(self.changed(g, p))), state

    def change(self, gradient: Any, state: Any, params: Any) -> Any:
        """The same for one vector that has been looked at."""
        return self.changed([gradient], [params])[0]


@dataclass
class Clip(Change):
    """Gradients that are too long are scaled down to the length ``largest``, in the direction that they have.

    Where a loss has a cliff, its gradient there is so long that a step along it goes far beyond what it knows.

    Parameters
    ----------
    largest : float
        How long a gradient may be, positive: the norm over all parameters together.

    Raises
    ------
    InvalidInput
        If the length is not positive; in `update`, if a gradient is not finite or does not fit the parameters.

    References
    ----------
    Chapter *Noise, schedules, clipping*. R. Pascanu, T. Mikolov and Y. Bengio, Proc. 30th ICML (2013) 1310.

    Examples
    --------
    >>> clip, gradient = Clip(1.0), np.array([3.0, 4.0])
    >>> clip.update(gradient, clip.initial(gradient), gradient)[0]
    array([0.6, 0.8])
    """

    largest: float

    ranges: ClassVar = {"largest": POSITIVE}

    def changed(self, g: list[Any], p: list[Any]) -> list[Any]:
        if any(isinstance(array, Followed) for array in g):
            length = np.sqrt(sum(np.sum(array * array) for array in g))
        else:
            length = norm(g)
        if not length < math.inf:
            raise InvalidInput("gradient", "numbers whose norm overflows", "smaller ones; no step was made")
        return g if length <= self.largest else [self.largest / length * array for array in g]


@dataclass
class L2(Change):
    """gradient + weight_decay p: the gradient of the penalty weight_decay ‖p‖² / 2. It stands in front.

    Parameters
    ----------
    weight_decay : float
        Not negative.

    Raises
    ------
    InvalidInput
        As in `Clip`.

    References
    ----------
    Chapter *Adaptive steps*, which shows where this differs from `Decay`.

    Examples
    --------
    >>> l2, p = L2(0.5), np.array([4.0])
    >>> l2.update(np.array([1.0]), l2.initial(p), p)[0]
    array([3.])
    """

    weight_decay: float

    ranges: ClassVar = {"weight_decay": NOT_NEGATIVE}

    def changed(self, g: list[Any], p: list[Any]) -> list[Any]:
        return [array + self.weight_decay * at for array, at in zip(g, p, strict=True)]


@dataclass
class Decay(Settings):
    """step - amount p: a share of each parameter goes with each step, whatever its gradient. It stands behind.

    `AdamW` has it built in, with its rate times ``weight_decay`` for the amount.

    Parameters
    ----------
    amount : float or schedule
        The share, at least 0 and less than 1, or a function of the number of steps made before.

    Raises
    ------
    InvalidInput
        As in `Clip`.

    References
    ----------
    Chapter *Adaptive steps*. I. Loshchilov and F. Hutter, ICLR (2019), arXiv:1711.05101.

    Examples
    --------
    >>> decay, p = Decay(0.25), np.array([4.0])
    >>> decay.update(np.array([-0.5]), decay.initial(p), p)[0]
    array([-1.5])
    """

    amount: float | Schedule

    ranges: ClassVar = {"amount": Range(0.0, 1.0, schedule=True)}

    def initial(self, params: Any) -> dict[str, Any]:
        inputs(params, "params")
        return {"step": 0}

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, dict[str, Any]]:
        p, step = accept(gradient, params)
        made = check_state(state, ("step",), self)
        amount = at_step(self.amount, made, "amount", SHARE)
        shrunk = [array - amount * at for array, at in zip(step, p, strict=True)]
        return build(params, iter(shrunk)), {"step": made + 1}


@dataclass
class Averaged(Settings):
    """An optimizer beside which a moving mean of the parameters is kept: average ← beta average + (1 - beta) p.

    The mean begins with the first parameters and is read by `average`. Steps are not changed.

    Parameters
    ----------
    optimizer : Optimizer
    beta : float
        How much of the mean is kept in a step, at least 0 and less than 1.

    Raises
    ------
    InvalidInput
        If the share is out of its range, or what makes the steps is no optimizer; in `update`, as the optimizer.

    References
    ----------
    Chapter *Noise, schedules, clipping*. B. T. Polyak and A. B. Juditsky, SIAM J. Control Optim. 30 (1992) 838.

    Examples
    --------
    >>> from mathdl.optim import GradientDescent
    >>> averaged, p = Averaged(GradientDescent(rate=1.0), beta=0.75), np.array([4.0])
    >>> step, state = averaged.update(p, averaged.initial(p), p)
    >>> p + step, averaged.average(state)
    (array([0.]), array([3.]))
    """

    optimizer: Optimizer
    beta: float = 0.999

    ranges: ClassVar = {"beta": SHARE}

    def __post_init__(self) -> None:
        check_optimizer(self.optimizer, "optimizer")

    def initial(self, params: Any) -> dict[str, Any]:
        return {"optimizer": self.optimizer.initial(params), "average": mapped(np.copy, params)}

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, dict[str, Any]]:
        check_state(state, ("optimizer", "average"), self)
        p, means = inputs(params, "params"), aligned(state["average"], params, "state['average']")
        check_kind(means, p, params, "state['average']")
        step, inner = self.optimizer.update(gradient, state["optimizer"], params)
        arrays = zip(means, p, aligned(step, params, "step"), strict=True)
        mean = (self.beta * mean + (1 - self.beta) * (at + s) for mean, at, s in arrays)
        return step, {"optimizer": inner, "average": build(params, mean)}

    def average(self, state: Any) -> Any:
        """The mean of the parameters, a tree like them."""
        check_state(state, ("optimizer", "average"), self)
        return state["average"]


@dataclass
class Split(Settings):
    """Two optimizers: one for the matrices among the parameters, and one for all others.

    `Muon`, `Shampoo` and `SOAP` are for matrices; ``Split(matrices=Muon(), others=AdamW())`` is the usual pair.

    Parameters
    ----------
    matrices, others : Optimizer
        For arrays with two axes, and with any other number of them. Each sees a list of its own arrays.

    Raises
    ------
    InvalidInput
        If one is no optimizer; in `update`, as the two.

    References
    ----------
    Chapter *Curvature*.

    Examples
    --------
    >>> from mathdl.optim import GradientDescent
    >>> split = Split(matrices=GradientDescent(rate=1.0), others=GradientDescent(rate=0.0))
    >>> p = {"W": np.ones((1, 2)), "b": np.ones(2)}
    >>> split.update(p, split.initial(p), p)[0]
    {'W': array([[-1., -1.]]), 'b': array([-0., -0.])}
    """

    matrices: Optimizer
    others: Optimizer

    def __post_init__(self) -> None:
        check_optimizer(self.matrices, "matrices")
        check_optimizer(self.others, "others")

    def initial(self, params: Any) -> dict[str, Any]:
        matrices, others = self._parts(leaves(params), leaves(params))
        return {"matrices": self.matrices.initial(matrices), "others": self.others.initial(others)}

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, dict[str, Any]]:
        p, g = accept(gradient, params)
        check_state(state, ("matrices", "others"), self)
        at, slopes = self._parts(p, p), self._parts(g, p)
        first, matrices = self.matrices.update(slopes[0], state["matrices"], at[0])
        second, others = self.others.update(slopes[1], state["others"], at[1])
        steps = {True: iter(first), False: iter(second)}
        step = build(params, iter([next(steps[np.ndim(array) == 2]) for array in p]))
        return step, {"matrices": matrices, "others": others}

    @staticmethod
    def _parts(arrays: list[Any], params: list[Any]) -> tuple[list[Any], list[Any]]:
        pairs = list(zip(arrays, params, strict=True))
        return [a for a, p in pairs if np.ndim(p) == 2], [a for a, p in pairs if np.ndim(p) != 2]
