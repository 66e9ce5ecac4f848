"""What stands in for an array while a function is followed, whether for its derivative or for its source.

It is no ndarray and cannot silently become one. Nothing else is said here: what each kind can do stands with the kind.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from mathdl.autodiff.naming import INSIDE

__all__ = ["Followed"]


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
