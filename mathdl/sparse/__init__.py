"""Sparse Jacobians and Hessians: the structure is found in the program, and used to compute no more than is there.

``jacobian`` and ``hessian`` make a `Plan`; colourings of patterns stand in `mathdl.sparse.coloring`.
Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

from mathdl.sparse.choosing import hessian, jacobian
from mathdl.sparse.plan import Plan

__all__ = ["Plan", "hessian", "jacobian"]
