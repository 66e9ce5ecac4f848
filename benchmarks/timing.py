"""How things are timed: in rounds that take turns, so that a slow moment of the machine meets all of them.

A time is the median over the rounds of the mean over one batch of calls. The collector runs as it does for users.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["FULL", "QUICK", "Effort", "few", "import_times", "interleaved", "timed"]


class Effort(NamedTuple):
    rounds: int
    batch: float  # seconds of one batch


FULL = Effort(rounds=11, batch=0.02)
QUICK = Effort(rounds=5, batch=0.002)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The result of one call, and its seconds."""
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def _batch(call: Callable[[], Any], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def interleaved(calls: Mapping[str, Callable[[], Any]], effort: Effort) -> dict[str, float]:
    """Seconds of one call of each, by name."""
    counts = {}
    for name, call in calls.items():
        call()  # warm
        counts[name] = max(1, int(effort.batch / max(_batch(call, 3), 1e-9)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(effort.rounds):
        for name, call in calls.items():
            times[name].append(_batch(call, counts[name]))
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def few(call: Callable[[], Any], patience: float = 1.0) -> tuple[Any, float]:
    """The result of a call that may be long, and the median seconds of five, or of as many as patience allows."""
    result, first = timed(call)
    times = [first]
    while len(times) < 5 and sum(times) <= patience:
        times.append(timed(call)[1])
    return result, statistics.median(times)


def import_times(codes: Sequence[str], effort: Effort) -> list[float]:
    """Seconds of fresh Pythons that run each of these codes."""
    times: list[list[float]] = [[] for _ in codes]
    for _ in range(effort.rounds):
        for code, seconds in zip(codes, times, strict=True):
            command = [sys.executable, "-c", code]
            seconds.append(timed(lambda command=command: subprocess.run(command, check=True))[1])  # type: ignore[misc]
    return [statistics.median(seconds) for seconds in times]
