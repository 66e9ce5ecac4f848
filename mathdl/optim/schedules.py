"""Schedules: learning rates as functions of the number k of steps made before, for the ``rate`` of any optimizer.

Explained in the chapter *Noise, schedules, clipping*.
"""

from __future__ import annotations

import math

from mathdl.arrays import want_integer, want_number
from mathdl.errors import InvalidInput
from mathdl.optim.optimizer import RATE, Schedule, at_step

__all__ = ["constant", "cosine", "one_cycle", "staircase", "warm_up"]


def constant(rate: float) -> Schedule:
    """The same rate in each step.

    Examples
    --------
    >>> constant(0.1)(1000)
    0.1
    """
    rate = _rate(rate, "rate")
    return lambda k: rate


def staircase(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """rate · factor^⌊k / every⌋: the rate is multiplied by a factor after so many steps, again and again.

    Parameters
    ----------
    rate : float
        The first, not negative.
    every : int
        How many steps a stair has.
    factor : float
        Not negative.

    Raises
    ------
    InvalidInput
        If one is out of its range.

    References
    ----------
    Chapter *Noise, schedules, clipping*. The same as ``torch.optim.lr_scheduler.StepLR``.

    Examples
    --------
    >>> [staircase(1.0, every=2, factor=0.5)(k) for k in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    rate, every = _rate(rate, "rate"), want_integer(every, "every", 1)
    factor = _rate(factor, "factor")
    return lambda k: rate * factor ** (k // every)


def cosine(rate: float, steps: int, final: float = 0.0) -> Schedule:
    """final + (rate - final) (1 + cos(π k / steps)) / 2, and ``final`` afterwards: half a wave down.

    Parameters
    ----------
    rate, final : float
        The first and the last, not negative.
    steps : int
        After how many steps the last is reached.

    Raises
    ------
    InvalidInput
        If one is out of its range.

    References
    ----------
    Chapter *Noise, schedules, clipping*. I. Loshchilov and F. Hutter, ICLR (2017), arXiv:1608.03983, without restarts.

    Examples
    --------
    >>> [round(cosine(1.0, steps=4)(k), 4) for k in range(6)]
    [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]
    """
    rate, final, steps = _rate(rate, "rate"), _rate(final, "final"), want_integer(steps, "steps", 1)
    return lambda k: _between(rate, final, k / steps)


def warm_up(rate: float | Schedule, steps: int) -> Schedule:
    """Rates that rise in equal parts, rate (k + 1) / steps, and then what ``rate`` says, from its beginning.

    Parameters
    ----------
    rate : float or schedule
        What follows; the rise goes up to its first rate.
    steps : int
        How many steps the rise takes; with 0 there is none.

    Raises
    ------
    InvalidInput
        If one is out of its range.

    References
    ----------
    Chapter *Noise, schedules, clipping*. P. Goyal et al. (2017), arXiv:1706.02677.

    Examples
    --------
    >>> [warm_up(cosine(1.0, steps=2), steps=2)(k) for k in range(5)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    steps = want_integer(steps, "steps", 0)
    if not RATE.holds(rate):
        raise InvalidInput("rate", repr(rate), str(RATE))
    return lambda k: at_step(rate, k - steps) if k >= steps else at_step(rate, 0) * (k + 1) / steps


def one_cycle(peak: float, steps: int, share: float = 0.3, start: float = 25.0, end: float = 1e4) -> Schedule:
    """Half a wave up, from peak / start to the peak, and half a wave down, to peak / (start · end).

    Parameters
    ----------
    peak : float
        The largest rate, not negative.
    steps : int
        The whole length, at least 2; afterwards the last rate stays.
    share : float
        Of the length, for the way up: more than 0 and less than 1.
    start, end : float
        How many times smaller the first rate is than the peak, and the last one than the first: at least 1.

    Raises
    ------
    InvalidInput
        If one is out of its range.

    References
    ----------
    Chapter *Noise, schedules, clipping*. L. N. Smith and N. Topin (2018), arXiv:1708.07120. The same as
    ``torch.optim.lr_scheduler.OneCycleLR``.

    Examples
    --------
    >>> rate = one_cycle(1.0, steps=11, share=0.4, start=10.0, end=10.0)
    >>> [round(rate(k), 3) for k in (0, 3, 10, 20)]
    [0.1, 0.97, 0.01, 0.01]
    """
    peak, steps = _rate(peak, "peak"), want_integer(steps, "steps", 2)
    if want_number(share, "share", "a number, more than 0 and less than 1", above=0.0) >= 1:
        raise InvalidInput("share", repr(share), "a number, more than 0 and less than 1")
    start, end = (want_number(v, n, "a number, at least 1", least=1.0) for v, n in ((start, "start"), (end, "end")))
    top, last = share * steps - 1, steps - 1

    def rate(k: int) -> float:
        if k < top:
            return _between(peak / start, peak, k / top)
        return _between(peak, peak / (start * end), (k - top) / (last - top))

    return rate


def _between(begin: float, end: float, part: float) -> float:
    """From one rate to another along half a cosine wave."""
    return end + (begin - end) * (1 + math.cos(math.pi * min(part, 1.0))) / 2


def _rate(value: float, name: str) -> float:
    return want_number(value, name, "a number, not negative", least=0.0)
