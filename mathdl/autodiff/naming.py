"""Errors that say where: the function's full name, and the line of the caller's program.

A reader of the message is sent to the line that must change, not to one inside of mathdl or NumPy.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import os
import sys
import threading
from dis import opname
from types import FrameType
from typing import Any, Final

import numpy as np

from mathdl.errors import NotDifferentiable

__all__ = [
    "INSIDE",
    "ORDER",
    "SCIPY",
    "TRUTH",
    "asked_by_compiled_code",
    "begin_run",
    "call_site",
    "end_run",
    "full_name",
    "innermost",
    "refuse",
]

_HERE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NUMPY: Final = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
SCIPY: Final = os.path.join(os.path.dirname(os.path.dirname(_NUMPY)), "scipy") + os.sep
_LIBRARIES: Final = (_NUMPY, SCIPY, "<__array_function__")
INSIDE: Final = (_HERE, *_LIBRARIES, "<compiled ")


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
    """File and line of the call that led here: the first frame outside of mathdl, NumPy and SciPy."""
    return _place(*_caller())


def _caller() -> tuple[FrameType, FrameType | None]:
    """That frame, and the function of a library that it called, if this is a Python function."""
    frame, library = sys._getframe(2), None
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INSIDE):
        library = frame if frame.f_code.co_filename.startswith(_LIBRARIES) and _is_public(frame) else library
        frame = frame.f_back
    return frame, library


def _place(frame: FrameType, library: FrameType | None) -> str:
    place = _line(frame.f_code.co_filename, frame.f_lineno)
    return f"{place}, in {_public_name(library)}" if library is not None else place


def _line(file: str, line: int) -> str:
    """File and line; for a notebook only the line, because Jupyter's names for its cells are numbers."""
    return f"line {line} of the cell" if "ipykernel_" in file else f"{os.path.basename(file)}:{line}"


def _is_public(frame: FrameType) -> bool:
    return not frame.f_code.co_name.startswith(("_", "<")) and frame.f_code.co_name != "wrapper"


def _public_name(frame: FrameType) -> str:
    """``numpy.full`` for a frame of that function, wherever in NumPy it is written."""
    parts = [part for part in str(frame.f_globals.get("__name__", "")).split(".") if not part.startswith("_")]
    space = ".".join(parts[:2]) if parts[1:2] in (["linalg"], ["fft"], ["special"]) else parts[0]
    return f"{space}.{frame.f_code.co_name}"


def refuse(function: Any, reason: str, remedy: str) -> NotDifferentiable:
    """The error for a call that has no derivative here: it names the function, the line and what to write instead."""
    frame, library = _caller()
    name = full_name(function)
    if library is not None and library.f_code.co_name == name.rpartition(".")[2]:
        library = None
    error = NotDifferentiable(name, f"{reason} (at {_place(frame, library)})", remedy)
    if runs := _followed():
        runs[-1].append(error)
    return error


_here = threading.local()


def _followed() -> list[list[NotDifferentiable]]:
    """What has been refused in each run that is followed in this thread, one inside of the other."""
    try:
        runs: list[list[NotDifferentiable]] = _here.runs
    except AttributeError:
        runs = _here.runs = []
    return runs


def begin_run() -> list[NotDifferentiable]:
    """From here on, what is refused is noted: a program that catches the error does what it would not do otherwise."""
    refused: list[NotDifferentiable] = []
    _followed().append(refused)
    return refused


def end_run() -> None:
    """The run that began last has ended."""
    _followed().pop()


def full_name(function: Any) -> str:
    """``numpy.linalg.svd`` for the function of that name; a string stands for itself."""
    if isinstance(function, str):
        return function
    module = getattr(function, "__module__", None)
    if isinstance(function, np.ufunc) and not module:
        special = getattr(sys.modules.get("scipy.special"), function.__name__, None)
        module = "scipy.special" if special is function else "numpy"
    return f"{module or 'numpy'}.{getattr(function, '__name__', function)}"


def innermost(error: BaseException) -> tuple[str, str | None]:
    """File and line of the innermost step outside of the libraries, and the function of a library that it called."""
    found, library, step = call_site(), None, error.__traceback__
    while step is not None:
        frame = step.tb_frame
        name = frame.f_code.co_filename
        if not name.startswith(INSIDE):
            found, library = _line(name, step.tb_lineno), None
        elif library is None and frame.f_code.co_name in ("_array_function", "_array_ufunc"):
            library = full_name(frame.f_locals.get("func", frame.f_locals.get("ufunc")))
        elif library is None and name.startswith(_LIBRARIES) and _is_public(frame):
            library = _public_name(frame)
        step = step.tb_next
    return found, library
