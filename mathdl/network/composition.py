"""Layers one after the other. Forward, each keeps what its derivative needs; backward, each hands its cotangent on.

A network is itself a layer, so networks nest, and a `Residual` goes around several layers.
Explained in the chapter *Backpropagation*.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from mathdl.arrays import describe, is_integer, want_integer
from mathdl.errors import InvalidInput
from mathdl.layers.layer import Layer, Loss, Params

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mathdl.network.summary import Summary

__all__ = ["Network"]


class Network(Layer):
    """y = f_k(... f_2(f_1(x))): layers by name, in the order in which they are given.

    The parameters are a dict with one dict for each layer that has any: ``{"hidden": {"W": ..., "b": ...}, ...}``.
    The Jacobian is the product of those of the layers, last layer first; ``vjp`` multiplies from the left, layer by
    layer, and never builds one.

    Parameters
    ----------
    **layers : Layer
        Their names are what messages, parameters and files call them.

    Raises
    ------
    InvalidInput
        If there is no layer, one is none, a name has a slash in it, or another layer than the first has several inputs.
        When it is called: as the layers themselves, with the name of the layer in front.

    References
    ----------
    Chapter *Backpropagation*.

    Examples
    --------
    >>> from mathdl.layers import Affine, ReLU
    >>> network = Network(hidden=Affine(3), gate=ReLU(), out=Affine(2))
    >>> params = network.initial((5, 4), rng=0)
    >>> {name: {key: array.shape for key, array in part.items()} for name, part in params.items()}
    {'hidden': {'W': (3, 4), 'b': (3,)}, 'out': {'W': (2, 3), 'b': (2,)}}
    >>> y, saved = network.forward(params, np.ones((5, 4)))
    >>> gparams, gx = network.vjp(params, saved, np.ones((5, 2)))
    >>> gparams["out"]["b"], gx.shape
    (array([5., 5.]), (5, 4))
    """

    layers: dict[str, Layer]

    def __init__(self, /, **layers: Layer) -> None:
        if not layers:
            raise InvalidInput("layers", "none", "at least one, such as Network(out=Affine(10))")
        first = next(iter(layers))
        for name, layer in layers.items():
            if not isinstance(layer, Layer):
                raise InvalidInput(name, describe(layer), "a layer, such as ReLU() or Affine(10)")
            if "/" in name:
                raise InvalidInput(name, "a name with a slash", "a name without: slashes lead to parameters inside")
            if name != first and layer.inputs != ("x",):
                raise InvalidInput(name, f"a layer with the inputs {', '.join(layer.inputs)}", "one input")
        self.layers = dict(layers)
        self.inputs = layers[first].inputs
        self.parameters = tuple(name for name, layer in layers.items() if layer.parameters)

    def __repr__(self) -> str:
        return f"Network({', '.join(f'{name}={layer!r}' for name, layer in self.layers.items())})"

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(f"{name}/{path}" for name, layer in self.layers.items() for path in layer.paths)

    # -------------------------------------------------------------------------------------------------- as every layer
    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        kept = []
        for name, layer in self.layers.items():
            own = params.get(name, {})
            try:
                layer.check(own, x)
                x, one = layer.value(own, x)
            except InvalidInput as error:
                raise self._named(name, error) from error
            kept.append(one)
        return x, tuple(kept)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        for (name, layer), one in zip(self.layers.items(), kept, strict=True):
            dx = layer.push(params.get(name, {}), one, dx, dparams.get(name, {}))
        return dx

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        return self._backward(params, list(kept), g, by_x=True)

    def pull_parameters(self, params: Params, kept: tuple[Any, ...], g: Any) -> dict[str, Any]:
        return self.backward(params, list(kept), g)

    def _backward(self, params: Params, kept: list[Any], g: Any, by_x: bool) -> tuple[dict[str, Any], Any]:
        """From the last layer to the first, each with what it has kept."""
        gparams = {}
        for name, layer in reversed(self.layers.items()):
            own, one = params.get(name, {}), kept.pop()
            if not (kept or by_x):
                found, g = layer.pull_parameters(own, one, g), None
            else:
                found, g = layer.pull(own, one, g)
            if name in self.parameters:
                gparams[name] = found
        return {name: gparams[name] for name in self.parameters}, g

    def dense(self, params: Params, x: Any, kept: tuple[Any, ...], by: str) -> Any:
        """The product of the layers' Jacobians, from the last to the one that ``by`` leads to."""
        begin, _, path = by.partition("/")
        J, shape, params = None, (), self._params(params)
        for name, layer in self.layers.items():
            own = params.get(name, {})
            if J is not None:
                after = layer.jacobian(own, x)
                m = math.prod(np.shape(after)) // max(np.size(x), 1)
                J = after.reshape(m, np.size(x)) @ J
            elif by in self.inputs or name == begin:
                J = layer.jacobian(own, x, path or by)
                shape = np.shape(J)[np.ndim(layer(own, x)) :]
                J = J.reshape(-1, math.prod(shape)) if J.size else np.zeros((J.size, math.prod(shape)))
            x = layer(own, x)
        assert J is not None
        return J.reshape(*np.shape(x), *shape)

    # ----------------------------------------------------------------------------------------------------- for training
    def initial(self, shape: tuple[int, ...], rng: np.random.Generator | int = 0) -> dict[str, Any]:
        """Parameters to begin with, for inputs of this shape (the batch's axis included).

        Parameters
        ----------
        shape : tuple of int
            Of X, or of some of its rows.
        rng : Generator or int
            Where the random weights come from, or a seed.

        Returns
        -------
        dict of str to dict of str to ndarray

        Raises
        ------
        InvalidInput
            If a layer lacks a size, or does not fit the one before it, or there is no such shape or seed.
        """
        if not isinstance(rng, np.random.Generator):
            rng = np.random.default_rng(
                want_integer(rng, "rng", 0, wanted="a Generator, or a seed: an integer, at least 0")
            )
        x, params = self.example(_as_shape(shape)), {}
        for name, layer in self.layers.items():
            with self._naming(name):
                own = layer.initial(np.shape(x), rng)
                x = layer(own, x)
            if layer.parameters:
                params[name] = own
        return params

    def example(self, shape: tuple[int, ...]) -> Any:
        return next(iter(self.layers.values())).example(shape)

    def redrawn(self, rng: np.random.Generator) -> Network:
        drawn = {name: layer.redrawn(rng) for name, layer in self.layers.items()}
        changed = any(layer is not self.layers[name] for name, layer in drawn.items())
        return Network(**drawn) if changed else self

    def measured_in(self, kept: tuple[Any, ...]) -> Any:
        each = zip(self.layers.items(), kept, strict=True)
        measured = {name: layer.measured_in(one) for (name, layer), one in each}
        return {name: one for name, one in measured.items() if one is not None} or None

    def evaluating(self, measured: Any = None) -> Network:
        """The network for evaluation: nothing is dropped, and batch norms use ``measured`` where it is given."""
        measured = measured or {}
        return Network(**{name: layer.evaluating(measured.get(name)) for name, layer in self.layers.items()})

    def value_and_grad(self, params: Params, x: Any, targets: Any, loss: Loss) -> tuple[float, dict[str, Any]]:
        """The loss of a batch, and its gradient by all parameters: one pass forward, one backward.

        Parameters
        ----------
        params : dict of str to dict of str to ndarray
        x : ndarray, shape (N, ...)
        targets : ndarray
            As the loss takes them.
        loss : Loss
            Such as ``CrossEntropy()``.

        Returns
        -------
        value : float
        gradient : dict of str to dict of str to ndarray
            The shapes of ``params``.

        Raises
        ------
        InvalidInput
            As ``forward``, or if the targets do not fit the outputs.

        Examples
        --------
        >>> from mathdl.layers import Affine, MeanSquaredError
        >>> params = {"out": {"W": np.array([[2.0]]), "b": np.zeros(1)}}
        >>> Network(out=Affine()).value_and_grad(params, np.ones((4, 1)), np.ones((4, 1)), MeanSquaredError())
        (1.0, {'out': {'W': array([[2.]]), 'b': array([2.])}})
        """
        params = self._params(params)
        y, kept = self.value(params, self._input(x))
        value, saved = loss.forward(y, targets)
        stack = list(kept)
        del kept
        return float(value), self.backward(params, stack, loss.vjp(saved))

    def backward(self, params: Params, kept: list[Any], g: Any) -> dict[str, Any]:
        """`pull_parameters` that uses up ``kept``: what a layer has kept is free as soon as it was needed."""
        return self._backward(params, kept, g, by_x=False)[0]

    # ------------------------------------------------------------------------------------------------------ for looking
    def outputs(self, params: Params, x: Any) -> dict[str, Any]:
        """What each layer gives, by name: the pass forward, to look at.

        Raises
        ------
        InvalidInput
            As ``forward``.

        Examples
        --------
        >>> from mathdl.layers import ReLU, Softplus
        >>> Network(gate=ReLU(), smooth=Softplus()).outputs({}, np.array([-1.0]))["gate"]
        array([0.])
        """
        params, x = self._params(params), self._input(x)
        outputs = {}
        for name, layer in self.layers.items():
            with self._naming(name):
                outputs[name] = x = layer(params.get(name, {}), x)
        return outputs

    def summary(self, params: Params, shape: tuple[int, ...]) -> Summary:
        """Shapes, parameters, what the pass forward keeps, and what the Jacobians would take: a table that prints.

        Parameters
        ----------
        params : dict of str to dict of str to ndarray
        shape : tuple of int
            Of the input, the batch's axis included.

        Raises
        ------
        InvalidInput
            As ``forward``.
        """
        from mathdl.network.summary import summarise

        return summarise(self, self._params(params), _as_shape(shape))

    # --------------------------------------------------------------------------------------------------------- checking
    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        try:
            yield
        except InvalidInput as error:
            raise self._named(name, error) from error

    def _named(self, name: str, error: InvalidInput) -> InvalidInput:
        """The same error with the name of the layer in which it came up, and what stands before it."""
        names = list(self.layers)
        place = names.index(name)
        before = f", after {names[place - 1]!r}" if place else ""
        layer = f"layer {name!r} ({type(self.layers[name]).__name__}{before})"
        return InvalidInput(f"{layer}: {error.argument}", error.came, error.wanted)

    def _params(self, params: Params) -> Params:
        if not isinstance(params, Mapping):
            raise InvalidInput("params", describe(params), f"a dict with {self._wanted_names()}")
        if params.keys() != set(self.parameters):
            raise InvalidInput("params", f"the keys {sorted(map(str, params))}", self._wanted_names())
        checked = {}
        for name in self.parameters:
            with self._naming(name):
                checked[name] = self.layers[name]._params(params[name])
        return checked

    def _fits_params(self, params: Params, dparams: Params) -> None:
        for name, tangents in dparams.items():
            if name not in self.parameters:
                raise InvalidInput(f"dparams[{name!r}]", "no layer with parameters", self._wanted_names())
            with self._naming(name):
                self.layers[name]._fits_params(params[name], tangents)

    def _input(self, x: Any) -> Any:
        return next(iter(self.layers.values()))._input(x)

    def _fits(self, dx: Any, name: str, shape: tuple[Any, ...]) -> None:
        next(iter(self.layers.values()))._fits(dx, name, shape)


def _as_shape(shape: Any) -> tuple[int, ...]:
    """A shape as it is, or `InvalidInput`; an array is a likely mistake."""
    if not isinstance(shape, tuple) or not all(is_integer(n, 0) for n in shape):
        write = ": write .shape" if isinstance(shape, np.ndarray) else ", such as X.shape"
        raise InvalidInput("shape", describe(shape), f"a tuple of sizes{write}")
    return shape
