"""Forward mode: each traced array carries its tangent, or K of them at once on a leading axis.

Nothing is recorded: a tangent is pushed through a step as soon as the step is taken.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mathdl.autodiff.broadcasting import Identity, expand
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.recording import companion
from mathdl.autodiff.trace import ENTRY, KNOWS_IDENTITY, LINEAR, NEGATED, PART, SAME, Link, Trace, Traced, place_entry

if TYPE_CHECKING:
    from mathdl.autodiff.reverse import Tape

__all__ = ["Tangents", "push", "push_forward"]


class Tangents(Trace):
    """One run with tangents; a traced array's mark is its tangent, or None where that is zero."""

    __slots__ = ("lead",)

    def __init__(self, lead: int) -> None:
        super().__init__()
        self.lead = lead

    def record(self, value: Any, links: Sequence[Link]) -> Traced:
        tangent = push(links, self.lead)
        if type(value) is not np.ndarray and isinstance(value, Followed):
            companion(tangent, value)
        return self.wrap(value, tangent)


def push(links: Sequence[Link], lead: int) -> Any:
    """The tangent of a step's result, from those of its arguments; None if all of these are zero."""
    total = None
    for t, kind, first, second, extra in links:
        if t is None:
            continue
        if type(t) is Identity and not (
            (kind == SAME and extra is None and len(links) == 1) or (kind == LINEAR and extra == KNOWS_IDENTITY)
        ):
            t = t.array()
        if kind == LINEAR:
            d = first(t, lead)
        elif kind == PART:
            d = t[(slice(None), *first) if lead else first]
        elif kind == ENTRY:
            d = place_entry(t, first, extra, lead)
        else:
            if extra is not None:
                t = expand(t, len(extra[1]), lead)
            d = t if kind == SAME else -t if kind == NEGATED else t * first(*second)
            if extra is not None and d.shape[lead:] != extra[1]:
                d = np.broadcast_to(d, d.shape[:lead] + extra[1])
        total = d if total is None else total + d
    return total


def push_forward(tape: Tape, seeds: Sequence[Any], end: int, lead: int) -> Any:
    """Push the tangents of the first steps of a tape forward to step ``end``."""
    tangents: list[Any] = list(seeds)
    for step in range(len(seeds), end + 1):
        tangents.append(push([(tangents[mark], *rest) for mark, *rest in tape.steps[step]], lead))
        if tape.values:
            companion(tangents[-1], tape.values.get(step))
    return tangents[end]
