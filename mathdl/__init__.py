"""mathdl: the mathematics of deep learning in plain NumPy, as the course *From Jacobians to Adam* uses it.

The public names stand here. What needs SymPy, SciPy or Matplotlib is imported when it is first used,
so that ``import mathdl as md`` costs little more than ``import numpy``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mathdl import errors

if TYPE_CHECKING:
    from mathdl import (
        autodiff,
        checking,
        exercises,
        gradient_flow,
        layers,
        network,
        numeric,
        optim,
        plot,
        sensitivity,
        sparse,
        symbolic,
    )
    from mathdl.autodiff import compile, flatten, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
    from mathdl.checking import check_jacobian
    from mathdl.diagnosis import diagnose

__version__ = "0.1.0"
__all__ = [
    "autodiff",
    "check_jacobian",
    "checking",
    "compile",
    "diagnose",
    "errors",
    "exercises",
    "flatten",
    "grad",
    "gradient_flow",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "layers",
    "network",
    "numeric",
    "optim",
    "plot",
    "sensitivity",
    "sparse",
    "symbolic",
    "value_and_grad",
    "vjp",
]

# public name -> (module, attribute in it, or None for the module itself)
_LAZY: dict[str, tuple[str, str | None]] = {
    "autodiff": ("mathdl.autodiff", None),
    "checking": ("mathdl.checking", None),
    "exercises": ("mathdl.exercises", None),
    "gradient_flow": ("mathdl.gradient_flow", None),
    "layers": ("mathdl.layers", None),
    "network": ("mathdl.network", None),
    "numeric": ("mathdl.numeric", None),
    "optim": ("mathdl.optim", None),
    "plot": ("mathdl.plot", None),
    "sensitivity": ("mathdl.sensitivity", None),
    "sparse": ("mathdl.sparse", None),
    "symbolic": ("mathdl.symbolic", None),
    "check_jacobian": ("mathdl.checking", "check_jacobian"),
    "compile": ("mathdl.autodiff", "compile"),
    "diagnose": ("mathdl.diagnosis", "diagnose"),
    "flatten": ("mathdl.autodiff", "flatten"),
    "grad": ("mathdl.autodiff", "grad"),
    "hessian": ("mathdl.autodiff", "hessian"),
    "hvp": ("mathdl.autodiff", "hvp"),
    "jacobian": ("mathdl.autodiff", "jacobian"),
    "jvp": ("mathdl.autodiff", "jvp"),
    "value_and_grad": ("mathdl.autodiff", "value_and_grad"),
    "vjp": ("mathdl.autodiff", "vjp"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'mathdl' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _LAZY[name]
    loaded = importlib.import_module(module)
    value = loaded if attribute is None else getattr(loaded, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
