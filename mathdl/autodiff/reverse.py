"""Reverse mode: a tape of what was done, and cotangents pulled back along it, K of them at once on a leading axis.

A plain gradient carries no such axis. What a sweep has used, it frees.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from mathdl.autodiff.broadcasting import Identity, unbroadcast
from mathdl.autodiff.followed import Followed, is_sparse
from mathdl.autodiff.recording import Recorded, companion, put, run
from mathdl.autodiff.rules.steps import embed
from mathdl.autodiff.trace import (
    COPIED,
    ENTRY,
    KNOWS_IDENTITY,
    LINEAR,
    PART,
    SAME,
    SCALED,
    VIEW,
    Link,
    Trace,
    Traced,
    TracedArray,
    TracedNumber,
)

__all__ = ["Tape", "pull_back"]

_ARRAY: Final = np.ndarray
_NUMBER: Final = np.float64
_FLOAT: Final = np.dtype(float)


class Tape(Trace):
    """The steps of one run, in order; a traced array's mark is its number on the tape."""

    __slots__ = ("outlives", "steps", "values")

    def __init__(self, outlives: bool = False) -> None:
        super().__init__()
        self.outlives = outlives  # whether cotangents are pulled back later, when the caller may have changed constants
        self.steps: list[Sequence[Link]] = []
        self.values: dict[int, Followed] = {}  # while recording: what the steps' cotangents are named after

    def record(self, value: Any, links: Sequence[Link]) -> Traced:
        steps = self.steps
        mark = len(steps)
        steps.append(links)
        kind = type(value)
        if kind is _ARRAY:  # the frequent cases of `wrap`
            if value.dtype is _FLOAT and value.ndim and not self.ended:
                return TracedArray(value, self, mark)
        elif kind is _NUMBER:
            if not self.ended:
                return TracedNumber(value, self, mark)
        elif isinstance(value, Followed):
            self.values[mark] = value
        return self.wrap(value, mark)

    def keep_input(self, value: Any) -> Any:
        return value.copy()[()] if self.outlives and type(value) is np.ndarray else super().keep_input(value)

    def keep(self, constant: Any) -> Any:
        if type(constant) is np.ndarray:
            if self.outlives or constant.nbytes <= COPIED:
                return constant.copy()
            self.protect(constant)
        elif isinstance(constant, Traced):
            return constant.same()
        elif is_sparse(constant):
            if self.outlives or constant.format in ("lil", "dok") or constant.data.nbytes <= COPIED:
                return constant.copy()
            self.protect(constant.data)
            return copy.copy(constant)  # the same numbers, if others are put in their place
        return constant


def pull_back(tape: Tape, inputs: int, seeds: Sequence[tuple[int, Any]], lead: int, free: bool) -> list[Any]:
    """Pull cotangents of some steps back to the first ``inputs`` steps.

    Parameters
    ----------
    tape : Tape
        What was done.
    inputs : int
        How many inputs it begins with.
    seeds : sequence of (int, array or Identity)
        Steps and their cotangents, which have ``lead`` axes in front.
    lead : int
        1 if several cotangents travel together, else 0.
    free : bool
        Whether to empty the tape on the way.

    Returns
    -------
    list
        One cotangent for each input; None where the output does not depend on it.
    """
    steps, values = tape.steps, tape.values
    start = max((step for step, _ in seeds), default=-1)
    sweep = _Sweep(max(start + 1, inputs), lead)
    for step, seed in seeds:
        sweep.add(step, seed, False)
    cotangents, owned = sweep.cotangents, sweep.owned
    for step in range(start, inputs - 1, -1):
        g = cotangents[step]
        if g is None:
            continue
        cotangents[step] = None
        if values:
            companion(g, values.get(step))
        links = steps[step]
        if free:
            steps[step] = ()
        sweep.step(links, g, bool(owned[step]))
    for k in range(inputs if values else 0):
        companion(cotangents[k], values.get(k))
    return [
        None if g is None else _own(g, bool(own)) for g, own in zip(cotangents[:inputs], owned[:inputs], strict=True)
    ]


class _Sweep:
    """The cotangents on their way: one place for each step, and which arrays this sweep made and nobody else has."""

    __slots__ = ("cotangents", "lead", "owned")

    def __init__(self, steps: int, lead: int) -> None:
        self.cotangents: list[Any] = [None] * steps
        self.owned = bytearray(steps)
        self.lead = lead

    def add(self, mark: int, h: Any, fresh: bool) -> None:
        """Add to a cotangent; in place if its array is ours."""
        old = self.cotangents[mark]
        if old is None:
            self.cotangents[mark] = h
            self.owned[mark] = fresh
            return
        h = h.array() if type(h) is Identity else h
        if self.owned[mark] and not isinstance(h, Followed):
            old += h
            return
        h = (old.array() if type(old) is Identity else old) + h
        self.cotangents[mark] = h
        self.owned[mark] = type(h) is np.ndarray

    def step(self, links: Sequence[Link], g: Any, mine: bool) -> None:
        """Pull one cotangent back through one step. ``mine``: it may be overwritten for the last link."""
        lead, last, cotangents, owned = self.lead, len(links) - 1, self.cotangents, self.owned
        for k, (mark, kind, first, second, shape) in enumerate(links):
            if type(g) is Identity and not (
                (kind == SAME and shape is None) or (kind == LINEAR and shape == KNOWS_IDENTITY)
            ):
                g, mine = g.array(), True
            if kind == SCALED:
                factor = first(*second)
                if mine and k == last and not isinstance(factor, Followed):
                    g *= factor
                    h = g
                else:
                    h = g * factor
                fresh = type(h) is _ARRAY
            elif kind == LINEAR:
                h = second(g, lead)
                fresh = shape != VIEW and type(g) is _ARRAY and type(h) is _ARRAY
                mine = mine and fresh
                shape = None
            elif kind == PART:
                self.put(mark, g, first, shape)
                continue
            elif kind == ENTRY:
                h, fresh, mine, shape = g[(slice(None), *first) if lead else first], False, False, None
            elif kind == SAME:
                h, fresh, mine = g, mine and k == last, False
            else:
                h = -g
                fresh = type(h) is np.ndarray
            if shape is not None:
                h = unbroadcast(h, shape[0], lead)
                fresh = fresh and type(h) is _ARRAY and h.base is None  # a number is no array of ours
            if cotangents[mark] is None:
                cotangents[mark], owned[mark] = h, fresh
            else:
                self.add(mark, h, fresh)

    def put(self, mark: int, g: Any, key: tuple[Any, ...], shape: tuple[int, ...]) -> None:
        """The transpose of basic indexing; many parts of one array are collected in one array."""
        whole = self.cotangents[mark]
        if self.owned[mark]:
            if whole is not None and not isinstance(g, Followed):
                whole[(slice(None), *key) if self.lead else key] += g
                return
        elif isinstance(whole, Recorded) and not isinstance(g, Traced):
            self.cotangents[mark] = run(put, whole, (slice(None), *key) if self.lead else key, g)
            return
        h = embed(g, key, shape, self.lead)
        self.add(mark, h, type(h) is np.ndarray)


def _own(g: Any, own: bool) -> Any:
    """A result that the caller may write into: nobody else's array, and no view of one."""
    if type(g) is Identity:
        return g.array()
    return g.copy() if type(g) is np.ndarray and not own else g
