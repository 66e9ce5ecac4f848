"""What stands in for an array while a function is followed, whether for its derivative or for its source.

It is no ndarray and cannot silently become one. Nothing else is said here: what each kind can do stands with the kind.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from mathdl.autodiff.naming import INSIDE, SCIPY

__all__ = ["Followed", "is_sparse", "length_or_scalar"]


class Followed:
    """A value that is being followed: traced (`mathdl.autodiff.trace`) or recorded (`mathdl.autodiff.recording`)."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # as arrays, which are compared entry by entry

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What ``isinstance`` is told outside of mathdl and NumPy: the program must not take another way than usual."""
        if sys._getframe(1).f_code.co_filename.startswith(INSIDE):
            return type(self)
        return np.ndarray if self.ndim else self.dtype.type  # type: ignore[attr-defined]


def is_sparse(x: Any) -> bool:
    """Whether an operand is a sparse matrix of SciPy's: nobody has one before ``scipy.sparse`` is loaded."""
    module = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(x))


def length_or_scalar(x: Any, length: int) -> int:
    """The length of a followed array; an error for SciPy's sparse matrices.

    They make of ``matrix @ x`` an array of Python objects, unless ``x`` is no sequence: then ``x`` itself is asked, and
    knows what to do.
    """
    if sys._getframe(2).f_code.co_filename.startswith(_SPARSE):
        raise TypeError("for a sparse matrix, a followed array is no sequence")
    return length


_SPARSE = SCIPY + "sparse" + os.sep
