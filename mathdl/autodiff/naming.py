"""Errors that say where: the function's full name, and the line of the caller's program.

A reader of the message is sent to the line that must change, not to one inside of mathdl or NumPy.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import os
import sys
from dis import opname
from types import FrameType
from typing import Any, Final

import numpy as np

from mathdl.errors import NotDifferentiable

__all__ = ["ORDER", "TRUTH", "asked_by_compiled_code", "call_site", "full_name", "innermost", "refuse"]

_HERE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NUMPY: Final = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
INSIDE: Final = (_HERE, _NUMPY, "<__array_function__")


# The instructions by which Python itself asks for the truth of a value, or for the order of two.
TRUTH: Final = ("TO_BOOL", "UNARY_NOT", "POP_JUMP", "JUMP_IF")
ORDER: Final = ("COMPARE_OP",)


def asked_by_compiled_code(frame: FrameType, instructions: tuple[str, ...]) -> bool:
    """Whether a question (``bool(x)``, ``x >= y``) that a frame asks does not come from one of these instructions.

    Then it is asked by what the frame has called: NumPy's loops over arrays of Python objects, ``max`` or ``sorted``,
    which take one of their operands after the answer.
    """
    return not opname[frame.f_code.co_code[frame.f_lasti]].startswith(instructions)


def call_site() -> str:
    """File and line of the call that led here: the first frame outside of mathdl and numpy."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INSIDE):
        frame = frame.f_back
    return _place(frame.f_code.co_filename, frame.f_lineno)


def _place(file: str, line: int) -> str:
    """File and line; for a notebook only the line, because Jupyter's names for its cells are numbers."""
    return f"line {line} of the cell" if "ipykernel_" in file else f"{os.path.basename(file)}:{line}"


def refuse(function: Any, reason: str, remedy: str) -> NotDifferentiable:
    """The error for a call that has no derivative here: it names the function, the line and what to write instead."""
    return NotDifferentiable(full_name(function), f"{reason} (at {call_site()})", remedy)


def full_name(function: Any) -> str:
    """``numpy.linalg.svd`` for the function of that name; a string stands for itself."""
    if isinstance(function, str):
        return function
    module = getattr(function, "__module__", None)
    if isinstance(function, np.ufunc) and not module:
        special = getattr(sys.modules.get("scipy.special"), function.__name__, None)
        module = "scipy.special" if special is function else "numpy"
    return f"{module or 'numpy'}.{getattr(function, '__name__', function)}"


def innermost(error: BaseException) -> str:
    """File and line of the innermost step outside of mathdl and numpy."""
    found, step = "?", error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        if not name.startswith(INSIDE):
            found = _place(name, step.tb_lineno)
        step = step.tb_next
    return found
