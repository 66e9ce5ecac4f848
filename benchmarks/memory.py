"""How much memory a derivative needs at its peak, beside what it cannot do without.

Counted with tracemalloc, which sees every array that NumPy makes; once by what the system gives to a process.
Explained in the chapters *Push and pull*, *Second derivatives* and *Structure and sparsity*.
"""

from __future__ import annotations

import gc
import importlib.util
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import mathdl as md
from benchmarks.workloads import WORKLOADS

__all__ = ["Peak", "peaks", "resident"]


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


def _tridiagonal(n: int) -> Any:
    """A sparse Jacobian from its planning on: how many entries it has."""

    def f(x: Any) -> Any:
        U = np.concatenate([np.zeros(1), x, np.zeros(1)])
        return U[:-2] - U[1:-1] ** 2 + np.sin(U[2:])

    x = np.linspace(0.0, 1.0, n)
    return md.sparse.jacobian(f, x)(x).nnz


def _status(key: str) -> int:
    """Bytes that Linux counts for this process. (`getrusage` would count those of the process that started it, too.)"""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return 1024 * int(line.split()[1])


def resident(n: int) -> int:
    """By how many bytes this process grows, at most, for a tridiagonal Jacobian."""
    _tridiagonal(10)  # what is imported is no part of it
    before = _status("VmRSS")
    _tridiagonal(n)
    return _status("VmHWM") - before


def _sparse(n: int = 10**6) -> Iterator[Peak]:
    if importlib.util.find_spec("mathdl.sparse") is None:
        return
    what = f"tridiagonal Jacobian, planned and evaluated, n = {n:,}"
    entries = 8.0 * _tridiagonal(n)
    yield Peak(what, peak(lambda: _tridiagonal(n)), "entries", entries)
    if sys.platform == "linux":
        code = f"from benchmarks.memory import resident; print(resident({n}))"
        grown = int(subprocess.check_output([sys.executable, "-c", code], text=True))
        yield Peak(f"{what}: its process", grown, "entries", entries)


def peaks() -> list[Peak]:
    return [*_training(), *_linear(), *_second(), *_sparse()]
