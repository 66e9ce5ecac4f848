"""Jacobians as programs: a NumPy function is followed step by step, and derivatives travel along, forward or backward.

Right, or a named error: what has no rule raises `mathdl.errors.NotDifferentiable` and says what to write instead.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

from mathdl.autodiff import operators  # noqa: F401  gives traced arrays what they can do
from mathdl.autodiff.compiling import Compiled, compile
from mathdl.autodiff.rules import (  # noqa: F401  they fill the table
    factors,
    joining,
    linear_algebra,
    products,
    reductions,
    shapes,
    statistics,
)
from mathdl.autodiff.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from mathdl.autodiff.trees import flatten

__all__ = ["Compiled", "compile", "flatten", "grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]
