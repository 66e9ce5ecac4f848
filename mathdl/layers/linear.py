"""The affine map, whose Jacobian is its weight matrix; rows of a table; an input added to an output; other axes.

Explained in the chapter *Layer Jacobians*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mathdl.arrays import is_integer
from mathdl.errors import InvalidInput, NotDifferentiable
from mathdl.layers.layer import Layer, Params, as_array, as_integers, block_diagonal, normal, want_shape, want_size

__all__ = ["Affine", "Embedding", "Reshape", "Residual"]


@dataclass(frozen=True, eq=False)
class Affine(Layer):
    """y = W x + b, for every row of x.

    The parameters are ``W``, shape (m, n), and ``b``, shape (m,); x has shape (..., n) and y has shape (..., m).
    J by x is W, the same everywhere. In a batch, with rows as examples: Y = X Wᵀ + b, and the cotangents are
    G W for X, Gᵀ X for W, and the column sums of G for b.

    Parameters
    ----------
    width : int, optional
        m, which ``initial`` needs to make W: He's normal weights of variance 2 / n.

    Raises
    ------
    InvalidInput
        If W is no matrix, has not ``width`` rows, or b or the last axis of x does not fit it.

    References
    ----------
    Chapter *Layer Jacobians*, "Affine".

    Examples
    --------
    >>> params = {"W": np.array([[1.0, 2.0], [0.0, 3.0]]), "b": np.zeros(2)}
    >>> Affine()(params, np.array([1.0, 1.0]))
    array([3., 3.])
    >>> Affine().jacobian(params, np.array([1.0, 1.0]))
    array([[1., 2.],
           [0., 3.]])
    """

    width: int | None = None
    parameters = ("W", "b")

    def __post_init__(self) -> None:
        if self.width is not None:
            want_size(self.width, "width", "a number of outputs, at least 1")

    def initial(self, shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, Any]:
        m = want_size(self.width, "width", "a number of outputs to begin with, such as Affine(10)")
        n = shape[-1] if shape else 0
        want_size(n, "x", f"shape (..., n) with n at least 1, not {shape}")
        return {"W": normal(rng, (m, n), 2 / n), "b": np.zeros(m)}

    def check(self, params: Params, x: Any) -> None:
        shape = params["W"].shape
        if len(shape) != 2 or self.width not in (None, shape[0]):
            raise InvalidInput("params['W']", f"shape {shape}", f"a matrix, shape ({self.width or 'm'}, n)")
        want_shape(params["b"], "params['b']", shape[:1])
        if x.shape[-1:] != shape[1:]:
            raise InvalidInput("x", f"shape {x.shape}", f"shape (..., {shape[1]}), since W has shape {shape}")

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        return x @ params["W"].T + params["b"], (x,)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        (x,) = kept
        dy = dx @ params["W"].T
        if "W" in dparams:
            dy = dy + x @ dparams["W"].T
        return dy + dparams["b"] if "b" in dparams else dy

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        W = params["W"]
        return self.pull_parameters(params, kept, g), g @ W

    def pull_parameters(self, params: Params, kept: tuple[Any, ...], g: Any) -> dict[str, Any]:
        G, X = _rows(g), _rows(kept[0])
        return {"W": G.T @ X, "b": np.add.reduce(G)}

    def by_x(self, params: Params, kept: tuple[Any, ...]) -> Any:
        (x,) = kept
        W = params["W"]
        return block_diagonal(np.broadcast_to(W, x.shape[:-1] + W.shape))

    def by_W(self, params: Params, kept: tuple[Any, ...]) -> Any:
        (x,) = kept  # y_i = Σ_k W_ik x_k: the entry for y_i and W_jk is x_k where i = j
        return np.einsum("ij,...k->...ijk", np.eye(len(params["W"]), dtype=x.dtype), x)

    def by_b(self, params: Params, kept: tuple[Any, ...]) -> Any:
        (x,) = kept
        m = len(params["b"])
        return np.broadcast_to(np.eye(m, dtype=x.dtype), (*x.shape[:-1], m, m)).copy()


def _rows(x: Any) -> Any:
    """A matrix with a row for each example."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


@dataclass(frozen=True, eq=False)
class Embedding(Layer):
    """Row x of a table: y = E[x], for integers x.

    The parameter is ``E``, shape (k, n); x has any shape and y has shape ``(*x.shape, n)``. It is the affine map of
    one-hot vectors, done without multiplying. There is no derivative by x: ``vjp`` gives None for it, and ``jvp``
    wants None.

    Parameters
    ----------
    rows, width : int, optional
        k and n, which ``initial`` needs to make E: normal entries of variance 1 / n, so that rows have length 1 or so.

    Raises
    ------
    InvalidInput
        If E is no matrix, or x is not made of integers from 0 to k - 1.
    NotDifferentiable
        If the Jacobian by x is asked for.

    References
    ----------
    Chapter *Layer Jacobians*, "Embedding".

    Examples
    --------
    >>> params = {"E": np.array([[1.0, 2.0], [3.0, 4.0]])}
    >>> y, saved = Embedding().forward(params, np.array([1, 1]))
    >>> Embedding().vjp(params, saved, np.array([[1.0, 0.0], [1.0, 5.0]]))
    ({'E': array([[0., 0.],
                  [2., 5.]])}, None)
    """

    rows: int | None = None
    width: int | None = None
    parameters = ("E",)

    def example(self, shape: tuple[int, ...]) -> Any:
        return np.zeros(shape, int)

    def initial(self, shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, Any]:
        k = want_size(self.rows, "rows", "a number of rows to begin with: Embedding(rows, width)")
        n = want_size(self.width, "width", "a width to begin with: Embedding(rows, width)")
        return {"E": normal(rng, (k, n), 1 / n)}

    def _input(self, x: Any) -> Any:
        return as_array(x, "x")  # of integers, which only the table's length says are right or wrong: see `check`

    def check(self, params: Params, x: Any) -> None:
        if np.ndim(params["E"]) != 2:
            raise InvalidInput("params['E']", f"shape {np.shape(params['E'])}", "a matrix, shape (k, n)")
        as_integers(x, "x", len(params["E"]))

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        return params["E"][x], (np.asarray(x),)

    def _fits(self, dx: Any, name: str, shape: tuple[Any, ...]) -> None:
        if dx is not None:
            raise _between_integers()

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        (x,) = kept
        return dparams["E"][x] if "E" in dparams else np.zeros_like(params["E"][x])

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        (x,) = kept
        gE = np.zeros_like(params["E"])
        np.add.at(gE, x, g)  # a row that was looked up twice gets both cotangents
        return {"E": gE}, None

    def by_x(self, params: Params, kept: tuple[Any, ...]) -> Any:
        raise _between_integers()

    def by_E(self, params: Params, kept: tuple[Any, ...]) -> Any:
        (x,) = kept
        k, n = params["E"].shape
        chosen, same = np.eye(k, dtype=params["E"].dtype)[x], np.eye(n, dtype=params["E"].dtype)
        return np.einsum("...r,ij->...irj", chosen, same)


def _between_integers() -> NotDifferentiable:
    return NotDifferentiable("Embedding", "its input is made of integers", "take the derivative by 'E'")


@dataclass(frozen=True, eq=False)
class Residual(Layer):
    """y = x + f(x): a layer with a way around it. J = I + J_f, so that it is near the identity where f is small.

    Parameters
    ----------
    layer : Layer
        f; its parameters are those of the whole. It has one input, and an output of the same shape.

    Raises
    ------
    InvalidInput
        If f gives another shape than it takes, or has several inputs.

    References
    ----------
    Chapter *Layer Jacobians*, "Residual". K. He, X. Zhang, S. Ren and J. Sun, CVPR (2016) 770.

    Examples
    --------
    >>> params = {"W": np.array([[0.0, 2.0], [0.0, 0.0]]), "b": np.zeros(2)}
    >>> Residual(Affine()).jacobian(params, np.ones(2))
    array([[1., 2.],
           [0., 1.]])
    """

    layer: Layer

    def __post_init__(self) -> None:
        if not isinstance(self.layer, Layer) or self.layer.inputs != ("x",):
            raise InvalidInput("layer", repr(self.layer), "a layer with one input")
        object.__setattr__(self, "parameters", self.layer.parameters)

    @property
    def paths(self) -> tuple[str, ...]:
        return self.layer.paths

    def initial(self, shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, Any]:
        return self.layer.initial(shape, rng)

    def redrawn(self, rng: np.random.Generator) -> Layer:
        drawn = self.layer.redrawn(rng)
        return self if drawn is self.layer else Residual(drawn)

    def measured_in(self, kept: tuple[Any, ...]) -> Any:
        return self.layer.measured_in(kept[0].kept)

    def evaluating(self, measured: Any = None) -> Layer:
        return Residual(self.layer.evaluating(measured))

    def _params(self, params: Params) -> Params:
        return self.layer._params(params)

    def _fits_params(self, params: Params, dparams: Params) -> None:
        self.layer._fits_params(params, dparams)

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        y, saved = self.layer.forward(params, x)
        if np.shape(y) != np.shape(x):
            raise InvalidInput("layer", f"one from shape {np.shape(x)} to {np.shape(y)}", "one that keeps the shape")
        return x + y, (saved, x)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        return dx + self.layer.jvp(params, kept[0], dx, dparams)

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        gparams, gx = self.layer.vjp(params, kept[0], g)
        return gparams, g + gx

    def dense(self, params: Params, x: Any, kept: tuple[Any, ...], by: str) -> Any:
        J = self.layer.jacobian(params, x, by)
        return J + np.eye(np.size(x), dtype=J.dtype).reshape(J.shape) if by == "x" else J


@dataclass(frozen=True, eq=False)
class Reshape(Layer):
    """The same numbers of each example with other axes: x has shape (N, ...), y has ``(N, *shape)``.

    Between a row of 64 pixels and an image of one channel, or between images and rows. J is the identity.

    Parameters
    ----------
    shape : tuple of int
        Of one example; one -1 in it stands for what is left. By default all numbers stand in one row.

    Raises
    ------
    InvalidInput
        If an example has another number of entries, or ``shape`` is none.

    References
    ----------
    Chapter *Layer Jacobians*, "Convolution".

    Examples
    --------
    >>> Reshape((1, 2, 2))({}, np.array([[1.0, 2.0, 3.0, 4.0]]))
    array([[[[1., 2.],
             [3., 4.]]]])
    """

    shape: tuple[int, ...] = (-1,)

    def __post_init__(self) -> None:
        sizes = self.shape if isinstance(self.shape, tuple) else (None,)
        if not all(is_integer(n, -1) and n != 0 for n in sizes) or sizes.count(-1) > 1:
            raise InvalidInput("shape", repr(self.shape), "a tuple of sizes, with at most one -1")

    def _target(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of y; the batch may be empty, which no -1 of NumPy's would allow."""
        entries, known = math.prod(shape[1:]), math.prod(n for n in self.shape if n != -1)
        if not shape or (entries % known if -1 in self.shape else entries != known):
            raise InvalidInput("x", f"shape {shape}", f"shape (N, ...) with {known} entries for each example")
        return (shape[0], *(entries // known if n == -1 else n for n in self.shape))

    def check(self, params: Params, x: Any) -> None:
        self._target(np.shape(x))

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        return np.reshape(x, self._target(np.shape(x))), (np.shape(x),)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        return np.reshape(dx, self._target(kept[0]))

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        return {}, np.reshape(g, kept[0])

    def dense(self, params: Params, x: Any, kept: tuple[Any, ...], by: str) -> Any:
        (shape,) = kept
        return np.eye(math.prod(shape), dtype=np.asarray(x).dtype).reshape(*self._target(shape), *shape)
