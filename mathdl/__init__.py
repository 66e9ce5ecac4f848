"""mathdl: the mathematics of deep learning in plain NumPy, as the course *From Jacobians to Adam* uses it.

The public names stand here. What needs SymPy, SciPy or Matplotlib is imported when it is first used,
so that ``import mathdl as md`` costs little more than ``import numpy``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mathdl import errors

if TYPE_CHECKING:
    from mathdl import checking, exercises, numeric, plot, symbolic
    from mathdl.checking import check_jacobian
    from mathdl.diagnosis import diagnose

__version__ = "0.1.0"
__all__ = ["check_jacobian", "checking", "diagnose", "errors", "exercises", "numeric", "plot", "symbolic"]

# public name -> (module, attribute in it, or None for the module itself)
_LAZY: dict[str, tuple[str, str | None]] = {
    "checking": ("mathdl.checking", None),
    "exercises": ("mathdl.exercises", None),
    "numeric": ("mathdl.numeric", None),
    "plot": ("mathdl.plot", None),
    "symbolic": ("mathdl.symbolic", None),
    "check_jacobian": ("mathdl.checking", "check_jacobian"),
    "diagnose": ("mathdl.diagnosis", "diagnose"),
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
