"""K-FAC: the natural gradient of a network, with a Kronecker product in the place of each layer's Fisher information.

Explained in the chapter *Curvature*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mathdl.arrays import describe
from mathdl.autodiff.trees import mapped
from mathdl.errors import InvalidInput
from mathdl.layers.classification import CrossEntropy, probabilities
from mathdl.layers.layer import Layer
from mathdl.layers.linear import Affine
from mathdl.optim.curvature import OfFunctions, errors_of
from mathdl.optim.matrices import OneOf
from mathdl.optim.optimizer import POSITIVE, RATE, SHARE, Schedule, accept, at_step, check_state

if TYPE_CHECKING:
    from mathdl.network.composition import Network

__all__ = ["KFAC"]


@dataclass
class KFAC(OfFunctions):
    """step = - rate (G + √damping / π I)⁻¹ ∇W (A + π √damping I)⁻¹ for each affine layer; W has b as its last column.

    A = E[a aᵀ], with the layer's input a and a 1 after it for b. G = E[g gᵀ], with the gradient g by the layer's output
    of the negative logarithm of the likelihood, for labels that are not those of the data: for all that the model
    thinks possible, with its probabilities. A ⊗ G stands for the layer's block of the Fisher information. Both are
    means over the batches too, A ← share A + (1 - share) A_batch with share = min(decay, 1 - 1/t) in step t, and
    π² = (tr A / dim A) / (tr G / dim G) divides the damping between them.

    ``update((X, targets), state, params)`` takes a batch in the place of the gradient; what is minimised is the mean
    cross-entropy, or half the sum of the squared errors of an example. The state holds dicts ``"A"`` and ``"G"`` with a
    matrix for each layer.

    Parameters
    ----------
    network : Network
        All of its layers that have parameters are `Affine`, and what comes into those has the shape (N, n).
    rate : float or schedule
    damping : float
        Positive.
    decay : float
        At least 0 and less than 1: how slowly A and G forget.
    beta : float
        Momentum, at least 0 and less than 1: v ← beta v + (G + ...)⁻¹ ∇W (A + ...)⁻¹, and the step is - rate v.
    model : {"categorical", "normal"}
        Whether the outputs are logits of classes, or means of normal distributions of variance 1.

    Raises
    ------
    InvalidInput
        If a setting is out of its range, or a layer has parameters and is not affine; in `update`, if the batch does
        not fit the network, or its gradient is not finite.

    References
    ----------
    Chapter *Curvature*. J. Martens and R. Grosse, Proc. 32nd ICML (2015) 2408. There the labels are drawn; their mean
    over all of them is taken here, which needs a pass backward for each class.

    Examples
    --------
    >>> from mathdl.network import Network
    >>> network = Network(out=Affine(2))
    >>> kfac, params = KFAC(network, rate=1.0, damping=1e-6), network.initial((4, 1))
    >>> X, labels = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 1, 0, 1])
    >>> state = kfac.initial(params)
    >>> for _ in range(8):
    ...     step, state = kfac.update((X, labels), state, params)
    ...     params = {"out": {key: params["out"][key] + step["out"][key] for key in ("W", "b")}}
    >>> round(network.value_and_grad(params, X, labels, CrossEntropy())[0], 4)
    0.642
    """

    network: Network
    rate: float | Schedule = 0.1
    damping: float = 1e-2
    decay: float = 0.95
    beta: float = 0.0
    model: str = "categorical"

    ranges: ClassVar[dict[str, Any]] = {
        "rate": RATE, "damping": POSITIVE, "decay": SHARE, "beta": SHARE, "model": OneOf(("categorical", "normal")),
    }  # fmt: skip

    def __post_init__(self) -> None:
        if not isinstance(self.network, Layer) or not hasattr(self.network, "layers"):
            raise InvalidInput("network", describe(self.network), "a Network")
        for name, layer in self.network.layers.items():
            if layer.parameters and not isinstance(layer, Affine):
                came = f"the layer {name!r}, {type(layer).__name__}, with parameters"
                raise InvalidInput("network", came, "affine layers, and others without parameters")

    def initial(self, params: Any) -> dict[str, Any]:
        W = {name: _joined(own) for name, own in self.network._params(params).items()}
        zeros = {name: np.zeros_like(w) for name, w in W.items()}
        A = {name: np.zeros((w.shape[1],) * 2, w.dtype) for name, w in W.items()}
        G = {name: np.zeros((w.shape[0],) * 2, w.dtype) for name, w in W.items()}
        return {"step": 0, "A": A, "G": G, "velocity": zeros}

    def update(self, function: Any, state: Any, params: Any) -> tuple[Any, dict[str, Any]]:
        t = self._checked(state, params)["step"] + 1
        share, rate = min(self.decay, 1 - 1 / t), at_step(self.rate, state["step"])
        with np.errstate(all="ignore"):  # what is not finite gets an error with its name
            gradient, A_batch, G_batch = self._measured(function, params)
        A = {name: share * state["A"][name] + (1 - share) * new for name, new in A_batch.items()}
        G = {name: share * state["G"][name] + (1 - share) * new for name, new in G_batch.items()}
        v, step = {}, {}
        for name, own in gradient.items():
            left, right = _damped(G[name], A[name], self.damping)
            natural = np.linalg.solve(left, np.linalg.solve(right, _joined(own).T).T)
            v[name] = self.beta * state["velocity"][name] + natural
            step[name] = {"W": -rate * v[name][:, :-1], "b": -rate * v[name][:, -1]}
        return step, {"step": t, "A": A, "G": G, "velocity": v}

    def _checked(self, state: Any, params: Any) -> Any:
        wanted = self.initial(params)
        check_state(state, tuple(wanted), self)
        try:
            mapped(check_shape, wanted, state)
        except InvalidInput as error:
            raise InvalidInput("state", error.came, "what KFAC.initial(params) gives") from error
        return state

    def _measured(self, batch: Any, params: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """The gradient of a batch's loss, and A and G of each layer in this batch."""
        X, targets = _batch(batch)
        z, saved = self.network.forward(params, X)
        if np.ndim(z) != 2 or not len(z):
            raise InvalidInput("X", f"outputs of the shape {np.shape(z)}", "shape (N, k): a row for each example")
        if self.model == "categorical":
            gz, p = CrossEntropy().jacobian(z, targets), probabilities(z)
            possible = [(p - row) * np.sqrt(p @ row)[:, None] for row in np.eye(z.shape[1], dtype=z.dtype)]
        else:
            gz = errors_of(z, targets) / len(z)
            possible = [np.tile(row, (len(z), 1)) for row in np.eye(z.shape[1], dtype=z.dtype)]
        gradient, _ = self._backward(params, saved.kept, gz)
        accept(gradient, params)
        affine = {name: kept for name, kept in zip(self.network.layers, saved.kept, strict=True) if name in gradient}
        A = {name: _second_moment(_with_ones(kept[0], name)) for name, kept in affine.items()}
        each = [self._backward(params, saved.kept, cotangent)[1] for cotangent in possible]
        G = {name: sum(_second_moment(cotangents[name]) for cotangents in each) for name in gradient}
        return gradient, A, G

    def _backward(self, params: Any, kept: Any, g: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Gradients by the parameters, and the cotangents of the affine layers' outputs."""
        gradient, cotangents = {}, {}
        for (name, layer), one in reversed(list(zip(self.network.layers.items(), kept, strict=True))):
            if layer.parameters:
                cotangents[name] = g
            found, g = layer.pull(params.get(name, {}), one, g)
            if layer.parameters:
                gradient[name] = found
        return {name: gradient[name] for name in self.network.parameters}, cotangents


def _batch(batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise InvalidInput("function", describe(batch), "a batch: a pair (X, targets)")
    return batch[0], batch[1]


def check_shape(wanted: Any, came: Any) -> None:
    if np.shape(came) != np.shape(wanted):
        raise InvalidInput("state", describe(came), f"shape {np.shape(wanted)}")


def _joined(own: Any) -> Any:
    """W with b as its last column."""
    return np.concatenate([own["W"], own["b"][:, None]], axis=1)


def _with_ones(a: Any, name: str) -> Any:
    if np.ndim(a) != 2:
        raise InvalidInput("X", f"an input of layer {name!r} of the shape {np.shape(a)}", "shape (N, n)")
    return np.concatenate([a, np.ones((len(a), 1), a.dtype)], axis=1)


def _second_moment(rows: Any) -> Any:
    return rows.T @ rows / len(rows)


def _damped(G: Any, A: Any, damping: float) -> tuple[Any, Any]:
    """G and A with what makes them positive definite, more where they are large."""
    sizes = np.trace(A) / len(A), np.trace(G) / len(G)
    pi = float(np.sqrt(sizes[0] / sizes[1])) if min(sizes) > 0 else 1.0
    root = damping**0.5
    return G + root / pi * np.eye(len(G), dtype=G.dtype), A + root * pi * np.eye(len(A), dtype=A.dtype)
