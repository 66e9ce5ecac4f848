"""Parameters whose arrays share the memory of one vector: a step is then a few passes over it, however many they are.

`mathdl.network.fit` trains in one. Explained in the chapter *Adaptive steps*.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mathdl.autodiff.trees import build, inputs
from mathdl.errors import InvalidInput
from mathdl.optim.optimizer import aligned, check_kind

__all__ = ["Arena"]


class Arena:
    """A copy of a tree of parameters in one vector.

    Parameters
    ----------
    params : tree of ndarray
        At least one array, all of one type of floating-point numbers. They are copied.

    Attributes
    ----------
    vector : ndarray, shape (n,)
        All numbers, in the order of the tree. Steps that are added to it in place show in ``params``.
    params : tree of ndarray
        Views of it, in the form that came.
    gathered : ndarray, shape (n,)
        Memory for a gradient, into which `gather` writes.

    Raises
    ------
    InvalidInput
        If there is no array, or they have several types.

    References
    ----------
    Chapter *Adaptive steps*.

    Examples
    --------
    >>> from mathdl.optim import Momentum
    >>> arena, momentum = Arena({"W": np.ones((1, 2)), "b": np.zeros(1)}), Momentum(rate=0.5)
    >>> state = momentum.initial(arena.vector)
    >>> gradient = arena.gather({"W": np.array([[1.0, 2.0]]), "b": np.ones(1)})
    >>> state = momentum.advance(gradient, state, arena.vector)
    >>> arena.params
    {'W': array([[0.5, 0. ]]), 'b': array([-0.5])}
    """

    def __init__(self, params: Any) -> None:
        arrays = [np.asarray(array) for array in inputs(params, "params")]
        types = sorted({str(array.dtype) for array in arrays})
        if len(types) != 1:
            raise InvalidInput("params", " and ".join(types) or "no array", "arrays, all of one type")
        self._arrays = arrays
        self.vector = np.concatenate([array.ravel() for array in arrays])
        self.gathered = np.empty_like(self.vector)
        ends = np.cumsum([array.size for array in arrays])
        views = zip(np.split(self.vector, ends[:-1]), arrays, strict=True)
        self.params = build(params, iter([view.reshape(array.shape) for view, array in views]))

    def gather(self, gradient: Any) -> Any:
        """A gradient of this form as a vector: ``gathered``, which the next call writes over.

        Parameters
        ----------
        gradient : tree of ndarray

        Returns
        -------
        ndarray, shape (n,)

        Raises
        ------
        InvalidInput
            If the form, a shape or a type is another than that of the parameters.
        """
        arrays = inputs(aligned(gradient, self.params, "gradient"), "gradient")
        check_kind(arrays, self._arrays, self.params, "gradient")
        return np.concatenate([np.ravel(array) for array in arrays], out=self.gathered)
