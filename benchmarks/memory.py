"""How much memory a derivative needs at its peak, beside what it cannot do without.

Counted with tracemalloc, which sees every array that NumPy makes.
Explained in the chapters *Push and pull* and *Second derivatives*.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import mathdl as md
from benchmarks.workloads import WORKLOADS

__all__ = ["Peak", "peaks"]


class Peak(NamedTuple):
    what: str
    bytes: int
    unit: str
    units: float  # how many bytes one unit has


def peak(call: Callable[[], Any]) -> int:
    """Bytes that a call holds at once, at most, over what was there before."""
    call()  # what is made once and kept is no part of it
    gc.collect()
    tracemalloc.start()
    call()
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return highest


def _training() -> Iterator[Peak]:
    """The outputs of the layers are stored, and the gradients returned: less is not possible."""
    case = WORKLOADS["training"].make()
    p, X, y = case.args
    gradients = sum(part.nbytes for part in p)
    activations = sum(len(X) * bias.nbytes for bias in p[1::2])
    vg = md.value_and_grad(case.program(np))
    ways: dict[str, Callable[[], Any]] = {"traced": lambda: vg(p, X, y)}
    if hasattr(md, "compile"):
        c = md.compile(vg, p, X, y)
        ways = {"compiled": lambda: c(p, X, y), **ways}
    for name, call in ways.items():
        yield Peak(f"training gradient, {name}", peak(call), "stored activations + gradients", activations + gradients)


def _linear() -> Iterator[Peak]:
    for n in (10**5, 10**6):
        x = np.linspace(0.1, 1.0, n)

        def f(x: Any) -> Any:
            return np.tanh(x[1:] * x[:-1]) + np.sin(x[1:])

        def pulled(x: Any = x, f: Any = f) -> Any:
            return md.vjp(f, x)[1](np.ones(x.size - 1))

        yield Peak(f"vjp of f: Rⁿ→Rⁿ⁻¹, n = {n:,}", peak(pulled), "vectors of n numbers", 8.0 * n)


def _second() -> Iterator[Peak]:
    n = 10**5
    x = np.linspace(0.0, 1.0, n)

    def f(x: Any) -> Any:
        return np.sum(np.sin(x) ** 2) * np.sum(x)

    yield Peak(f"hvp, n = {n:,}", peak(lambda: md.hvp(f, x, x)), "vectors of n numbers", 8.0 * n)
    yield Peak(f"the Hessian it does not build, n = {n:,}", 8 * n * n, "vectors of n numbers", 8.0 * n)


def peaks() -> list[Peak]:
    return [*_training(), *_linear(), *_second()]
