"""What stands in for an array while a function is followed, whether for its derivative or for its source.

It is no ndarray and cannot silently become one. Nothing else is said here: what each kind can do stands with the kind.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

__all__ = ["Followed"]


class Followed:
    """A value that is being followed: traced (`mathdl.autodiff.trace`) or recorded (`mathdl.autodiff.recording`)."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # as arrays, which are compared entry by entry
