"""What all layers share: values forward, tangents pushed, cotangents pulled, and the dense Jacobian for looking.

A layer is a value without state: parameters come in as a dict, and what the backward pass needs comes out beside the
output. Explained in the chapter *Layer Jacobians*.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mathdl.arrays import describe, want_integer
from mathdl.autodiff.followed import Followed
from mathdl.errors import InvalidInput

__all__ = ["Layer", "Loss", "Params", "Saved"]

Params = Mapping[str, Any]


class Saved(NamedTuple):
    """What ``forward`` keeps for ``jvp`` and ``vjp``.

    Attributes
    ----------
    x : tuple
        The shape of the input; a tuple of shapes where there are several inputs.
    y : tuple of int
        The shape of the output.
    kept : tuple
        The arrays that the derivatives need: which ones stands with each layer.
    """

    x: tuple[Any, ...]
    y: tuple[int, ...]
    kept: tuple[Any, ...]


class Layer:
    """A differentiable map y = f(params, x), its Jacobian in closed form, and the two products with it.

    Calling a layer gives y alone. It is plain NumPy, so that `mathdl.jacobian`, `mathdl.grad` and the others
    differentiate it too. The arrays are float64 or float32, and so are the results; complex ones are let through where
    the function is analytic, for the complex step.

    Attributes
    ----------
    parameters : tuple of str
        The keys of ``params``: none for most layers.
    inputs : tuple of str
        ``("x",)``, or the names of several inputs; then ``x``, its tangents and its cotangents are tuples.

    References
    ----------
    Chapter *Layer Jacobians*.

    Examples
    --------
    >>> from mathdl.layers import Tanh
    >>> y, saved = Tanh().forward({}, np.array([0.0, 1.0]))
    >>> Tanh().vjp({}, saved, np.array([1.0, 0.0]))
    ({}, array([1., 0.]))
    """

    parameters: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ("x",)

    @property
    def paths(self) -> tuple[str, ...]:
        """What ``jacobian`` calls the arrays in ``params``: their names, or in layers made of layers the way there."""
        return self.parameters

    # ------------------------------------------------------------------------------------------- what a layer defines
    def check(self, params: Params, x: Any) -> None:
        """Raise `InvalidInput` where shapes do not fit; most layers accept all."""

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        """The output, and what the derivatives need."""
        raise NotImplementedError

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        """The tangent of the output; ``dparams`` holds those parameters only that move."""
        raise NotImplementedError

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        """The cotangents of the parameters and of the input."""
        raise NotImplementedError

    def pull_parameters(self, params: Params, kept: tuple[Any, ...], g: Any) -> dict[str, Any]:
        """Those of the parameters alone, which is all that the first layer of a network is asked for."""
        return self.pull(params, kept, g)[0]

    # --------------------------------------------------------------------------- what some layers define, for training
    def example(self, shape: tuple[int, ...]) -> Any:
        """Some input of this shape, for finding out the shape of the output."""
        return np.random.default_rng(0).normal(size=shape)

    def initial(self, shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, Any]:
        """Parameters to begin with, for inputs of this shape (the batch's axis included).

        Weights are normal, with the variance that keeps the size of what passes through; shifts are zero, scales one.

        Raises
        ------
        InvalidInput
            If a size is missing that the shape does not tell, such as the width of an affine map.
        """
        return {}

    def redrawn(self, rng: np.random.Generator) -> Layer:
        """The layer for the next step of training: another mask where there is one, else the layer itself."""
        return self

    def measured_in(self, kept: tuple[Any, ...]) -> Any:
        """What evaluation needs to know of a batch in training: None for all layers but `BatchNorm`."""
        return None

    def evaluating(self, measured: Any = None) -> Layer:
        """The layer for evaluation, where what ``measured_in`` gave, or an average of it, is a constant."""
        return self

    # ----------------------------------------------------------------------------------------- what everybody calls
    def __call__(self, params: Params, x: Any) -> Any:
        return self.forward(params, x)[0]

    def forward(self, params: Params, x: Any) -> tuple[Any, Saved]:
        """The output, and what the derivatives need.

        Parameters
        ----------
        params : dict of str to ndarray
            One array for each name in ``parameters``.
        x : ndarray, or a tuple of them
            The input; its shapes stand with each layer.

        Returns
        -------
        y : ndarray
        saved : Saved

        Raises
        ------
        InvalidInput
            If a parameter is missing or unknown, if an array is not made of floating-point numbers, or if shapes do not
            fit; the message names the argument.
        """
        params, x = self._params(params), self._input(x)
        self.check(params, x)
        y, kept = self.value(params, x)
        return y, Saved(_shapes(x), np.shape(y), kept)

    def jvp(self, params: Params, saved: Saved, dx: Any, dparams: Params | None = None) -> Any:
        """Push tangents forward: the Jacobian by x times ``dx``, plus those by the parameters times ``dparams``.

        Parameters
        ----------
        params : dict of str to ndarray
            As ``forward`` had them.
        saved : Saved
            What ``forward`` returned.
        dx : ndarray, or a tuple of them
            The shape of ``x``.
        dparams : dict of str to ndarray, optional
            Parameters that are not in it do not move.

        Returns
        -------
        ndarray
            The shape of ``y``.

        Raises
        ------
        InvalidInput
            If a tangent has another shape than what it is a tangent of, or no such parameter exists.
        """
        params, dparams = self._params(params), dparams or {}
        if not isinstance(dparams, Mapping):
            raise InvalidInput("dparams", describe(dparams), "a dict with those parameters that move")
        self._fits_params(params, dparams)
        self._fits(dx, "dx", saved.x)
        return self.push(params, saved.kept, _as_arrays(dx), _as_arrays(dparams))

    def vjp(self, params: Params, saved: Saved, g: Any) -> tuple[dict[str, Any], Any]:
        """Pull a cotangent back: ``g`` times the Jacobian by each parameter, and by ``x``.

        Parameters
        ----------
        params : dict of str to ndarray
            As ``forward`` had them.
        saved : Saved
            What ``forward`` returned.
        g : ndarray
            The shape of ``y``.

        Returns
        -------
        gparams : dict of str to ndarray
            One array for each parameter, of its shape.
        gx : ndarray, or a tuple of them
            The shape of ``x``.

        Raises
        ------
        InvalidInput
            If ``g`` has another shape than ``y``.
        """
        g = as_floats(g, "g")
        want_shape(g, "g", saved.y)
        return self.pull(self._params(params), saved.kept, g)

    def jacobian(self, params: Params, x: Any, by: str = "x") -> Any:
        """The dense Jacobian in closed form: for looking, since it has as many entries as y and x multiplied.

        Parameters
        ----------
        params : dict of str to ndarray
        x : ndarray, or a tuple of them
        by : str
            The name of an input or of a parameter.

        Returns
        -------
        ndarray, shape y.shape + (the shape of what ``by`` names)

        Raises
        ------
        InvalidInput
            As ``forward``, or if ``by`` names nothing.
        """
        if by not in self.inputs + self.paths:
            raise InvalidInput("by", repr(by), f"one of {', '.join(map(repr, self.inputs + self.paths))}")
        return self.dense(params, x, self.forward(params, x)[1].kept, by)

    def dense(self, params: Params, x: Any, kept: tuple[Any, ...], by: str) -> Any:
        """The formula of the Jacobian by ``by``: the layer's method ``by_x``, ``by_W``, ..."""
        return getattr(self, f"by_{by}")(self._params(params), kept)

    # ------------------------------------------------------------------------------------------------------- checking
    def _wanted_names(self) -> str:
        return f"the keys {', '.join(map(repr, self.parameters))}" if self.parameters else "no parameters: write {}"

    def _params(self, params: Params) -> Params:
        if not isinstance(params, Mapping):
            raise InvalidInput("params", describe(params), f"a dict with {self._wanted_names()}")
        if set(params) != set(self.parameters):
            raise InvalidInput("params", f"the keys {sorted(map(str, params))}", self._wanted_names())
        return {name: as_floats(params[name], f"params[{name!r}]") for name in self.parameters}

    def _fits_params(self, params: Params, dparams: Params) -> None:
        for name, tangent in dparams.items():
            if name not in self.parameters:
                raise InvalidInput(f"dparams[{name!r}]", "no parameter of this layer", self._wanted_names())
            want_shape(tangent, f"dparams[{name!r}]", np.shape(params[name]))

    def _input(self, x: Any) -> Any:
        if len(self.inputs) == 1:
            return as_floats(x, "x")
        if not isinstance(x, tuple) or len(x) != len(self.inputs):
            raise InvalidInput("x", describe(x), f"a tuple ({', '.join(self.inputs)})")
        return tuple(as_floats(part, name) for part, name in zip(x, self.inputs, strict=True))

    def _fits(self, dx: Any, name: str, shape: tuple[Any, ...]) -> None:
        if len(self.inputs) == 1:
            want_shape(dx, name, shape)
        elif not isinstance(dx, tuple) or len(dx) != len(self.inputs):
            raise InvalidInput(name, describe(dx), f"a tuple, one tangent for each of {', '.join(self.inputs)}")
        else:
            for k, (part, wanted) in enumerate(zip(dx, shape, strict=True)):
                want_shape(part, f"{name}[{k}]", wanted)


class Loss:
    """One number for a batch of outputs and its targets, and its gradient by the outputs. Targets are constants.

    The same four as a layer, without parameters: ``forward``, ``jvp``, ``vjp``, ``jacobian``. A loss is a mean over the
    batch, so its derivatives carry that mean's 1/N.

    References
    ----------
    Chapter *Layer Jacobians*.

    Examples
    --------
    >>> from mathdl.layers import MeanSquaredError
    >>> MeanSquaredError()(np.array([[1.0], [3.0]]), np.array([[0.0], [3.0]]))
    np.float64(0.5)
    """

    def accept(self, x: Any, targets: Any) -> Any:
        """The targets as an array, or `InvalidInput`."""
        raise NotImplementedError

    def value(self, x: Any, targets: Any) -> tuple[Any, tuple[Any, ...]]:
        """The loss, and what its gradient needs."""
        raise NotImplementedError

    def gradient(self, kept: tuple[Any, ...]) -> Any:
        """The gradient by x: the one row of the Jacobian, with the shape of x."""
        raise NotImplementedError

    def __call__(self, x: Any, targets: Any) -> Any:
        return self.forward(x, targets)[0]

    def forward(self, x: Any, targets: Any) -> tuple[Any, Saved]:
        """The loss, a number, and what its derivatives need.

        Parameters
        ----------
        x : ndarray
            The outputs of a network, a row for each member of the batch; one row alone may be 1-D.
        targets : ndarray
            What they should be; its shape stands with each loss.

        Returns
        -------
        loss : float
        saved : Saved

        Raises
        ------
        InvalidInput
            If the batch is empty, or the targets do not fit.
        """
        x = as_floats(x, "x")
        if np.ndim(x) == 0:
            raise InvalidInput("x", "a single number", "one row, shape (k,), or a batch of them, shape (N, k)")
        if math.prod(np.shape(x)) == 0:
            raise InvalidInput("x", f"an empty batch, shape {np.shape(x)}", "at least one row, of at least one entry")
        loss, kept = self.value(x, self.accept(x, targets))
        return loss, Saved(np.shape(x), (), kept)

    def jvp(self, saved: Saved, dx: Any) -> Any:
        """The change of the loss when ``x`` changes by ``dx``: a number.

        Raises
        ------
        InvalidInput
            If ``dx`` has another shape than ``x``.
        """
        want_shape(dx, "dx", saved.x)
        return np.sum(self.gradient(saved.kept) * dx)

    def vjp(self, saved: Saved, g: Any = 1.0) -> Any:
        """``g`` times the gradient by ``x``, which has its shape.

        Raises
        ------
        InvalidInput
            If ``g`` is not a single number.
        """
        want_shape(g, "g", ())
        return g * self.gradient(saved.kept)

    def jacobian(self, x: Any, targets: Any) -> Any:
        """The gradient by ``x``, with its shape: a loss has no axes to put in front of it."""
        return self.vjp(self.forward(x, targets)[1])


# ---------------------------------------------------------------------------------------------- arrays and their shapes
def as_floats(value: Any, argument: str) -> Any:
    """An array (or a followed one, as it is) of floating-point numbers, or `InvalidInput`."""
    array = as_array(value, argument)
    if isinstance(array, Followed):
        return array
    if array.dtype.kind in "iub":
        raise InvalidInput(argument, describe(array), "floating-point numbers: write .astype(float), or 1.0 for 1")
    if array.dtype.kind not in "fc":
        raise InvalidInput(argument, describe(value), "an array of floating-point numbers")
    return array


def as_array(value: Any, argument: str) -> Any:
    """A plain array (or a followed one, as it is), or `InvalidInput`: other kinds of arrays multiply differently."""
    if type(value) is np.ndarray or isinstance(value, Followed):
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise InvalidInput(argument, "a masked array", "a plain array: write .filled(...)")
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InvalidInput(argument, "a ragged nest of sequences", "an array with rows of one length") from error


def _as_arrays(x: Any) -> Any:
    """Lists of numbers as arrays, in a tuple or a dict of them too."""
    if isinstance(x, Mapping):
        return {name: _as_arrays(part) for name, part in x.items()}
    if isinstance(x, tuple):
        return tuple(map(_as_arrays, x))
    return x if x is None or isinstance(x, Followed) else np.asarray(x)


def as_integers(value: Any, argument: str, below: int) -> Any:
    """An array of integers from 0 to ``below`` - 1, or `InvalidInput`; of a recorded one the values are not known."""
    array = as_array(value, argument)
    if array.dtype.kind not in "iu":
        raise InvalidInput(argument, describe(value), f"integers from 0 to {below - 1}")
    if not isinstance(array, Followed) and array.size and (np.min(array) < 0 or np.max(array) >= below):
        outside = np.argwhere((array < 0) | (array >= below))
        place = tuple(int(i) for i in outside[0])
        where = f" at index {place}" if place else ""
        raise InvalidInput(argument, f"{array[place]}{where}", f"integers from 0 to {below - 1}")
    return array


def want_shape(value: Any, argument: str, shape: tuple[int, ...]) -> None:
    """Raise `InvalidInput` unless ``value`` has this shape: broadcasting would hide a mistake."""
    if np.shape(value) != shape:
        raise InvalidInput(argument, f"shape {np.shape(value)}", f"shape {shape}")


def want_axes(x: Any, least: int, wanted: str) -> None:
    """Raise `InvalidInput` unless x has that many axes, and the last one an entry."""
    if np.ndim(x) < least or np.shape(x)[-1] == 0:
        raise InvalidInput("x", f"shape {np.shape(x)}", wanted)


def normal(rng: np.random.Generator, shape: tuple[int, ...], variance: float) -> Any:
    """Random weights with mean 0."""
    return rng.normal(scale=math.sqrt(variance), size=shape)


def want_size(value: Any, argument: str, wanted: str) -> int:
    """A size that a layer was given, at least 1, or `InvalidInput`."""
    return want_integer(value, argument, 1, wanted=wanted)


def _shapes(x: Any) -> tuple[Any, ...]:
    return tuple(map(np.shape, x)) if isinstance(x, tuple) else np.shape(x)


# ------------------------------------------------------------------------------------- dense Jacobians from their parts
def diagonal(d: Any) -> Any:
    """The Jacobian of y = d * x, shape d.shape + d.shape."""
    return np.diag(np.ravel(d)).reshape(d.shape * 2)


def block_diagonal(blocks: Any) -> Any:
    """One m-by-n Jacobian for each row: shape (*rows, m, n) -> (*rows, m, *rows, n), zero between different rows."""
    *rows, m, n = blocks.shape
    count = math.prod(rows)
    J = np.zeros((count, m, count, n), blocks.dtype)
    each = np.arange(count)
    J[each, :, each, :] = blocks.reshape(count, m, n)
    return J.reshape(*rows, m, *rows, n)
