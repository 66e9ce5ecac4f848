"""How large values and gradients are at each layer: in one pass, and all along a training.

Explained in the chapter *Gradient flow*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from mathdl.arrays import want_integer
from mathdl.layers.layer import Loss, Params
from mathdl.network import Network, Step
from mathdl.optim.optimizer import norm

__all__ = ["Flow", "Recorder", "flow"]


class Flow(NamedTuple):
    """Sizes by layer, in the order of the network.

    Attributes
    ----------
    names : tuple of str
    outputs : ndarray, shape (layers,)
        The root mean square of each layer's output.
    cotangents : ndarray, shape (layers,)
        The norm of the loss's gradient by each layer's output, for one example: the batch's mean is taken out.
    parameters : dict of str to float
        The norm of the gradient by the parameters of each layer that has any.
    """

    names: tuple[str, ...]
    outputs: Any
    cotangents: Any
    parameters: dict[str, float]


def flow(network: Network, params: Params, x: Any, targets: Any, loss: Loss) -> Flow:
    """One pass forward and one backward, looked at layer by layer.

    Parameters
    ----------
    network : Network
    params : dict of str to dict of str to ndarray
    x : ndarray, shape (N, ...)
    targets : ndarray
        As the loss takes them.
    loss : Loss

    Returns
    -------
    Flow

    Raises
    ------
    InvalidInput
        As the network and the loss.

    References
    ----------
    Chapter *Gradient flow*.

    Examples
    --------
    >>> from mathdl.layers import Affine, MeanSquaredError
    >>> network = Network(first=Affine(1), second=Affine(1))
    >>> params = network.initial((1, 1))
    >>> params["first"]["W"][...], params["second"]["W"][...] = 3.0, 2.0
    >>> flow(network, params, np.ones((1, 1)), np.zeros((1, 1)), MeanSquaredError()).cotangents
    array([24., 12.])
    """
    saved, outputs, y = [], [], x
    params = network._params(params)
    for name, layer in network.layers.items():
        y, one = layer.forward(params.get(name, {}), y)
        saved.append(one)
        outputs.append(math.sqrt(float(np.mean(y * y))))
    g = loss.vjp(loss.forward(y, targets)[1])
    batch = len(y) if np.ndim(y) > 1 else 1
    cotangents, sizes = [], {}
    for (name, layer), one in zip(reversed(network.layers.items()), reversed(saved), strict=True):
        cotangents.append(float(np.linalg.norm(g)) * math.sqrt(batch))
        gparams, g = layer.vjp(params.get(name, {}), one, g)
        if name in network.parameters:
            sizes[name] = norm(gparams)
    parameters = {name: sizes[name] for name in network.parameters}
    return Flow(tuple(network.layers), np.array(outputs), np.array(cotangents[::-1]), parameters)


@dataclass
class Recorder:
    """What `mathdl.network.fit` calls after each step: it notes how large the gradient is, layer by layer.

    Parameters
    ----------
    every : int
        Note one step in so many.

    Attributes
    ----------
    steps : list of int
        The steps that were noted, counted from 0.
    loss : list of float
    gradients, parameters : dict of str to list of float
        The norm of the gradient by each layer's parameters, and of the parameters themselves.

    Raises
    ------
    InvalidInput
        If ``every`` is no integer, at least 1.

    References
    ----------
    Chapter *Gradient flow*; `mathdl.plot.recorded` draws it.

    Examples
    --------
    >>> from mathdl.layers import Affine
    >>> from mathdl.network import fit
    >>> X, labels = np.array([[-1.0], [1.0]]), np.array([0, 1])
    >>> network, recorder = Network(out=Affine(2)), Recorder(every=5)
    >>> fitted = fit(network, network.initial(X.shape), X, labels, epochs=20, watch=recorder, progress=False)
    >>> recorder.steps, recorder.gradients["out"][0] > recorder.gradients["out"][-1]
    ([0, 5, 10, 15], True)
    """

    every: int = 1
    steps: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    gradients: dict[str, list[float]] = field(default_factory=dict)
    parameters: dict[str, list[float]] = field(default_factory=dict)
    seen: int = 0

    def __post_init__(self) -> None:
        want_integer(self.every, "every", 1)

    def __call__(self, step: Step) -> None:
        if self.seen % self.every == 0:
            self.steps.append(self.seen)
            self.loss.append(step.loss)
            for name, gradient in step.gradient.items():
                self.gradients.setdefault(name, []).append(norm(gradient))
                self.parameters.setdefault(name, []).append(norm(step.params[name]))
        self.seen += 1
