"""What optimizers have in common: settings that can be changed between steps, and a step for each number by itself.

An optimizer is a map from a gradient, a state and parameters to a step and the next state. Most of them treat each
number alike, so that one `rule` on arrays says all. Explained in the chapters *Gradient descent* and *Adaptive steps*.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from mathdl.arrays import describe, is_finite, is_integer, is_number
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.trees import build, inputs, mapped, places
from mathdl.errors import InvalidInput

__all__ = ["Elementwise", "Optimizer", "Settings", "accept", "check_optimizer", "check_state", "norm"]

Schedule = Callable[[int], float]

BLOCK = 131072  # numbers that a step in place treats at once: more do not fit into the cache, fewer cost more calls


class Optimizer(Protocol):
    """What makes steps of gradients; trees are nested dicts, lists and tuples of arrays.

    One that updates each number without looking at the others may have a third method beside these,
    ``advance(gradient, state, params) -> state``, for vectors: it adds the step to ``params`` in place, and may write
    into the gradient and the state. `mathdl.network.fit` calls it, if it is there, with all parameters in one vector.
    """

    def initial(self, params: Any) -> Any:
        """The state before the first step."""

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """The step, which is added to the parameters, and the next state; nothing is written into."""


def plain(value: Any) -> Any:
    """A number as one of Python's own, which leaves arrays the type that they have; all else as it is."""
    if is_integer(value):
        return int(value)
    return float(value) if is_number(value) and not isinstance(value, Followed) else value


class Range(NamedTuple):
    """Which numbers a setting may be: at least ``least`` (more, if ``open``) and less than ``below``."""

    least: float
    below: float = math.inf
    open: bool = False
    schedule: bool = False

    def holds(self, value: Any) -> bool:
        if isinstance(value, Followed) or (self.schedule and callable(value)):
            return True
        number = plain(value)
        if not is_number(number) or not self.least <= number < self.below or number > sys.float_info.max:
            return False
        return not (self.open and number == self.least)

    def __str__(self) -> str:
        least = f"at least {self.least:g}"
        if self.open:
            least = f"more than {self.least:g}" if self.least else "positive"
        most = "" if self.below == math.inf else f" and less than {self.below:g}"
        return f"a number, {least}{most}" + (", or a schedule: a function of the step" if self.schedule else "")


RATE = Range(0.0, schedule=True)
SHARE = Range(0.0, 1.0)
NOT_NEGATIVE = Range(0.0)
POSITIVE = Range(0.0, open=True)


class Settings:
    """A dataclass whose numbers are checked whenever they are set, so that they may be changed between steps."""

    ranges: ClassVar[dict[str, Range]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        known = [field.name for field in fields(self)]  # type: ignore[arg-type]
        if name not in known:
            raise InvalidInput(f"{type(self).__name__}.{name}", describe(value), f"a setting: {', '.join(known)}")
        wanted = self.ranges.get(name)
        if wanted is not None and not wanted.holds(value):
            raise InvalidInput(name, repr(value), str(wanted))
        super().__setattr__(name, plain(value))


def at_step(rate: float | Schedule, step: int, name: str = "rate", wanted: Range = NOT_NEGATIVE) -> Any:
    """A rate, or what a schedule says for the step with this number, counted from 0."""
    if not callable(rate):
        return rate
    value = rate(step)
    if not wanted.holds(value):
        raise InvalidInput(f"{name}({step})", repr(value), str(wanted))
    return plain(value)


class Now(NamedTuple):
    """What holds in one step for all numbers: which step it is, counted from 1, the rate, and what else is kept."""

    step: int
    rate: Any
    kept: dict[str, Any]


class Elementwise(Settings):
    """An optimizer that is one `rule` for each number. Its state is ``{"step": 0, <moment>: tree, ...}``."""

    moments: ClassVar[tuple[str, ...]] = ()
    numbers: ClassVar[tuple[str, ...]] = ()  # what else the state has: single numbers
    rate: Any

    def rule(self, now: Now, g: Any, p: Any, *moments: Any) -> tuple[Any, ...]:
        """The step and the next moments, from the gradient g, the parameter p and the moments; arrays of one shape."""
        raise NotImplementedError

    def now(self, state: Any) -> Now:
        """What this step has for all numbers alike."""
        step = check_state(state, ("step", *self.moments, *self.numbers), self)
        return Now(step + 1, at_step(self.rate, step), {})

    def initial(self, params: Any) -> dict[str, Any]:
        inputs(params, "params")
        return {"step": 0, **{name: mapped(np.zeros_like, params) for name in self.moments}}

    def update(self, gradient: Any, state: Any, params: Any) -> tuple[Any, dict[str, Any]]:
        p, g = accept(gradient, params)
        now = self.now(state)
        old = self._moments(state, params, p)
        results = [self.rule(now, *arrays) for arrays in zip(g, p, *old, strict=True)]
        columns = zip(*results, strict=True) if results else [()] * (1 + len(old))
        step, *new = (build(params, iter(column)) for column in columns)
        return step, {"step": now.step, **dict(zip(self.moments, new, strict=True)), **now.kept}

    def in_place(self, now: Now, g: Any, p: Any, *moments: Any) -> None:
        """The same written into ``p`` and the moments; ``g`` is only read, and ``p`` written last."""
        step, *new = self.rule(now, g, p, *moments)
        for moment, value in zip(moments, new, strict=True):
            moment[...] = value
        p += step

    def advance(self, gradient: Any, state: Any, params: Any) -> dict[str, Any]:
        """One step in place: it is added to ``params``, and the state's arrays are written over.

        Parameters
        ----------
        gradient, params : ndarray, shape (n,)
        state : dict
            As `initial` made it for such a vector.

        Raises
        ------
        InvalidInput
            If the gradient is not finite, something does not fit, or an array cannot be written into; nothing is
            written then.
        """
        now = self.now(state)
        try:
            old = [state[name] for name in self.moments]
            alike, shape, kind = params.ndim == 1 and params.flags.writeable, params.shape, params.dtype
            for array in (gradient, *old):
                alike = alike and array.shape == shape and array.dtype is kind and type(array) is np.ndarray
                alike = alike and (array is gradient or array.flags.writeable)
            if not alike or not math.isfinite(gradient.dot(gradient)):
                self._refuse(gradient, state, params)
        except (AttributeError, IndexError, KeyError, TypeError):
            self._refuse(gradient, state, params)
            raise
        if params.size <= BLOCK:
            self.in_place(now, gradient, params, *old)
        else:
            for begin in range(0, params.size, BLOCK):
                self.in_place(now, *(array[begin : begin + BLOCK] for array in (gradient, params, *old)))
        state["step"] = now.step
        if now.kept:
            state.update(now.kept)
        return state  # type: ignore[no-any-return]

    def _refuse(self, gradient: Any, state: Any, params: Any) -> None:
        """Say what it is that cannot be used; nothing, if all can be used after all."""
        if not isinstance(params, np.ndarray) or params.ndim != 1:
            raise InvalidInput("params", describe(params), "a vector, for steps in place")
        p, _ = accept(gradient, params)
        moments = self._moments(state, params, p)
        names = ["params", *(f"state[{name!r}]" for name in self.moments)]
        for name, (array,) in zip(names, [[params], *moments], strict=True):
            if not isinstance(array, np.ndarray) or not array.flags.writeable:
                raise InvalidInput(name, f"{describe(array)}, for reading only", "one that can be written into: a copy")

    def _moments(self, state: Any, params: Any, p: list[Any]) -> list[list[Any]]:
        """The leaves of each moment, in the order of the parameters."""
        arrays = []
        for name in self.moments:
            arrays.append(aligned(state[name], params, f"state[{name!r}]"))
            check_kind(arrays[-1], p, params, f"state[{name!r}]")
        return arrays


# --------------------------------------------------------------------------------------------------- what can be used
def aligned(tree: Any, like: Any, name: str) -> list[Any]:
    """The leaves of a tree in the order of another's, or an error that says where the two differ."""
    if isinstance(like, dict):
        if not isinstance(tree, dict) or tree.keys() != like.keys():
            came = f"the keys {list(tree)}" if isinstance(tree, dict) else describe(tree)
            raise InvalidInput(name, came, f"the keys {list(like)}, as in params")
        return [leaf for key, part in like.items() for leaf in aligned(tree[key], part, f"{name}[{key!r}]")]
    if isinstance(like, (list, tuple)):
        if not isinstance(tree, (list, tuple)) or len(tree) != len(like):
            raise InvalidInput(name, describe(tree), f"{len(like)} parts, as in params")
        return [leaf for k, part in enumerate(like) for leaf in aligned(tree[k], part, f"{name}[{k}]")]
    if isinstance(tree, (dict, list, tuple)):
        raise InvalidInput(name, describe(tree), "an array, as in params")
    return [tree]


def accept(gradient: Any, params: Any) -> tuple[list[Any], list[Any]]:
    """The leaves of parameters and of a gradient that fits them and is finite, or `InvalidInput`."""
    p = inputs(params, "params")
    g = inputs(build(params, iter(aligned(gradient, params, "gradient"))), "gradient")
    check_kind(g, p, params, "gradient")
    for k, array in enumerate(g):
        if not isinstance(array, Followed) and not is_finite(array):
            place = places(params, "gradient")[k]
            bad = np.unravel_index(int(np.argmin(np.isfinite(array))), np.shape(array))
            at = f" at {tuple(map(int, bad))}" if bad else ""
            raise InvalidInput(place, f"{np.asarray(array)[bad]}{at}", "finite numbers; no step was made")
    return p, g


def check_kind(arrays: list[Any], like: list[Any], params: Any, name: str) -> None:
    """Raise `InvalidInput` unless the arrays have the shapes and types of the parameters."""
    for k, (array, p) in enumerate(zip(arrays, like, strict=True)):
        if type(array) is type(p) is np.ndarray and array.shape == p.shape and array.dtype is p.dtype:
            continue  # most are, and this is quickly seen
        if np.shape(array) != np.shape(p) or np.result_type(array) != np.result_type(p):
            place = places(params, "")[k]
            raise InvalidInput(name + place, describe(array), f"{describe(p)}, as params{place}")


def check_state(state: Any, keys: tuple[str, ...], optimizer: Any) -> Any:
    """How many steps a state has made, if that is among its keys; `InvalidInput` unless it has these and no others."""
    if not isinstance(state, dict) or state.keys() != set(keys):
        came = f"the keys {list(state)}" if isinstance(state, dict) else describe(state)
        raise InvalidInput("state", came, f"what {type(optimizer).__name__}.initial(params) gives")
    step = state.get("step", 0)
    if not ((type(step) is int and step >= 0) or isinstance(step, Followed) or is_integer(step, 0)):
        raise InvalidInput("state['step']", repr(step), "how many steps were made: an integer, at least 0")
    return step


def norm(tree: Any) -> float:
    """The Euclidean length of all arrays in a tree together; squares that overflow are avoided.

    Examples
    --------
    >>> norm({"a": np.array([3.0, 0.0]), "b": [np.array([[4.0]])]})
    5.0
    """
    arrays = inputs(tree, "tree", exact=False)
    top = max((float(np.max(np.abs(leaf), initial=0.0)) for leaf in arrays), default=0.0)
    if not 0 < top < math.inf:
        return top
    return top * math.sqrt(sum(float(np.sum(np.square(leaf / top))) for leaf in arrays))


def check_optimizer(update: Any, name: str) -> None:
    """Raise `InvalidInput` unless it has what an optimizer must have."""
    if isinstance(update, type) or not (hasattr(update, "initial") and hasattr(update, "update")):
        raise InvalidInput(name, describe(update), "an optimizer, such as Momentum(rate=0.1)")
