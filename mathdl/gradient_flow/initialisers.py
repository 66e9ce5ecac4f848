"""First weights, drawn so that neither what goes forward nor what comes back grows or fades.

Explained in the chapter *Gradient flow*, where each is derived and measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mathdl.arrays import describe, want_integer, want_number
from mathdl.autodiff.trees import mapped
from mathdl.errors import InvalidInput
from mathdl.layers import Affine, Conv1d, Conv2d
from mathdl.layers.layer import Layer, Params
from mathdl.network import Network

__all__ = ["he", "lsuv", "orthogonal", "xavier"]

Draw = Callable[[tuple[int, ...], np.random.Generator], Any]


def xavier(network: Network, shape: tuple[int, ...], rng: np.random.Generator | int = 0) -> dict[str, Any]:
    """Weights of variance 2 / (n + m): a compromise between the pass forward and the pass backward.

    Let y = W x with W of shape (m, n), all entries independent, of mean 0 and variance v. Then Var y_i = n v E[x²], so
    the signal keeps its size if n v = 1. Backward, gx = Wᵀ g has Var gx_j = m v E[g²], which asks for m v = 1. Glorot
    and Bengio take the mean of the two demands. It is meant for activations that are near x at 0, such as tanh.

    Parameters
    ----------
    network : Network
        Whose affine maps and convolutions get new weights: for a convolution n = c k and m = d k, with k entries in the
        kernel, since so many numbers meet in one. Other parameters are as ``network.initial`` makes them.
    shape : tuple of int
        Of the input, the batch's axis included.
    rng : Generator or int
        Where the weights come from, or a seed.

    Returns
    -------
    dict of str to dict of str to ndarray

    References
    ----------
    Chapter *Gradient flow*. X. Glorot and Y. Bengio, Proc. 13th AISTATS (2010) 249.

    Examples
    --------
    >>> W = xavier(Network(out=Affine(300)), (1, 100))["out"]["W"]
    >>> bool(abs(np.var(W) * 200 - 1) < 0.05)
    True
    """

    def draw(size: tuple[int, ...], rng: np.random.Generator) -> Any:
        m, n = _fans(size)
        return rng.normal(scale=math.sqrt(2 / (n + m)), size=size)

    return _drawn(network, shape, rng, draw)


def he(network: Network, shape: tuple[int, ...], rng: np.random.Generator | int = 0) -> dict[str, Any]:
    """Weights of variance 2 / n, for rectified inputs.

    In y = W x with x = max(h, 0) and h symmetric about 0, half of E[h²] is lost: E[x²] = E[h²] / 2. So
    Var y_i = n v E[h²] / 2, which is E[h²] if v = 2 / n.

    Parameters
    ----------
    network, shape, rng
        As in `xavier`.

    Returns
    -------
    dict of str to dict of str to ndarray

    References
    ----------
    Chapter *Gradient flow*. K. He, X. Zhang, S. Ren and J. Sun, ICCV (2015) 1026.

    Examples
    --------
    >>> W = he(Network(out=Affine(300)), (1, 100))["out"]["W"]
    >>> bool(abs(np.var(W) * 50 - 1) < 0.05)
    True
    """

    def draw(size: tuple[int, ...], rng: np.random.Generator) -> Any:
        return rng.normal(scale=math.sqrt(2 / _fans(size)[1]), size=size)

    return _drawn(network, shape, rng, draw)


def orthogonal(
    network: Network, shape: tuple[int, ...], rng: np.random.Generator | int = 0, gain: float = 1.0
) -> dict[str, Any]:
    """Weights with orthonormal rows or columns, whichever are fewer, times ``gain``.

    All singular values of W are the gain, so that a product of square ones has all its singular values equal, where
    one of Gaussian matrices has a spectrum that spreads with each factor. A layer that narrows, from n to m < n, keeps
    m of n directions: the squared length of what passes falls to m / n of it, on average, and no gain of the layers
    after it brings the others back. The matrix is uniform among all orthogonal ones: Q of a Gaussian matrix's QR
    decomposition, with the signs that make the diagonal of R positive.

    Parameters
    ----------
    network, shape, rng
        As in `xavier`; a kernel counts as a matrix with a row for each channel of the output.
    gain : float
        Positive: 1 for tanh near 0, √2 for ReLU.

    Returns
    -------
    dict of str to dict of str to ndarray

    Raises
    ------
    InvalidInput
        If the gain is not positive.

    References
    ----------
    Chapter *Gradient flow*. A. M. Saxe, J. L. McClelland and S. Ganguli, ICLR (2014), arXiv:1312.6120; the signs:
    F. Mezzadri, Notices of the AMS 54 (2007) 592.

    Examples
    --------
    >>> W = orthogonal(Network(out=Affine(3)), (1, 5), gain=2.0)["out"]["W"]
    >>> np.allclose(W @ W.T, 4 * np.eye(3))
    True
    """
    gain = want_number(gain, "gain", "a positive number", above=0.0)

    def draw(size: tuple[int, ...], rng: np.random.Generator) -> Any:
        m, n = size[0], math.prod(size[1:])
        Q, R = np.linalg.qr(rng.normal(size=(max(m, n), min(m, n))))
        Q = Q * np.sign(np.diag(R))
        return gain * (Q if m >= n else Q.T).reshape(size)

    return _drawn(network, shape, rng, draw)


def lsuv(network: Network, params: Params, X: Any, tolerance: float = 0.05, most: int = 10) -> dict[str, Any]:
    """Weights scaled layer by layer until each affine map or convolution gives outputs of variance 1 on real data.

    What the other initialisers achieve on average, for the inputs that they assume, this does for these data: the
    output of layer after layer is measured, and its weights are divided by the standard deviation found. Begin with
    `orthogonal`. A layer's scale decides what the next one gets, so they are taken in order. In a residual the layers
    that it goes around are scaled, before their output is added.

    Parameters
    ----------
    network : Network
    params : dict of str to dict of str to ndarray
        To begin with; they are not changed.
    X : ndarray, shape (N, ...)
        Some data.
    tolerance : float
        How far from 1 the variance may stay.
    most : int
        So many times a layer is scaled at most: once is enough where b is zero.

    Returns
    -------
    dict of str to dict of str to ndarray

    Raises
    ------
    InvalidInput
        If a layer's output does not vary, so that no scale helps, or varies too much by its b alone.

    References
    ----------
    Chapter *Gradient flow*. D. Mishkin and J. Matas, ICLR (2016), arXiv:1511.06422.

    Examples
    --------
    >>> network, X = Network(out=Affine(50)), np.random.default_rng(0).normal(size=(200, 10))
    >>> params = lsuv(network, orthogonal(network, X.shape, gain=7.0), X)
    >>> bool(abs(np.var(network(params, X)) - 1) < 0.05)
    True
    """
    tolerance, most = want_number(tolerance, "tolerance", "a positive number", above=0.0), want_integer(most, "most", 1)
    new: dict[str, Any] = mapped(np.array, dict(network._params(params)))
    _scale(network, new, X, tolerance, most, "")
    return new


def _scale(layer: Any, params: dict[str, Any], x: Any, tolerance: float, most: int, path: str) -> None:
    """In place, and in networks and residuals too."""
    if isinstance(layer, Network):
        for name, part in layer.layers.items():
            own = params.get(name, {})
            _scale(part, own, x, tolerance, most, f"{path}/{name}" if path else name)
            x = part(own, x)
    elif hasattr(layer, "layer"):
        _scale(layer.layer, params, x, tolerance, most, path)
    elif key := _weights(layer):
        for _ in range(most + 1):
            variance = float(np.var(layer(params, x)))
            if not 0 < variance < math.inf:
                raise InvalidInput("X", f"outputs of layer {path!r} with variance {variance}", "outputs that vary")
            if abs(variance - 1) <= tolerance:
                return
            params[key] /= math.sqrt(variance)
        came = f"outputs of layer {path!r} with variance {variance:g}, after it was scaled {most} times"
        raise InvalidInput("params", came, "a b that varies less, a larger tolerance, or to scale more often")


def _weights(layer: Layer) -> str:
    """The name of a layer's weights, where it has such."""
    return "W" if isinstance(layer, Affine) else "K" if isinstance(layer, (Conv1d, Conv2d)) else ""


def _fans(size: tuple[int, ...]) -> tuple[int, int]:
    """How many numbers an entry of the input goes to, and an entry of the output comes from: m and n."""
    window = math.prod(size[2:])
    return size[0] * window, size[1] * window


def _drawn(network: Network, shape: tuple[int, ...], rng: np.random.Generator | int, draw: Draw) -> dict[str, Any]:
    if not isinstance(network, Layer):
        raise InvalidInput("network", describe(network), "a network, such as Network(out=Affine(10))")
    if not isinstance(rng, np.random.Generator):
        rng = np.random.default_rng(
            want_integer(rng, "rng", 0, wanted="a Generator, or a seed: an integer, at least 0")
        )
    return _redrawn(network, network.initial(shape, rng), rng, draw)


def _redrawn(layer: Any, params: dict[str, Any], rng: np.random.Generator, draw: Draw) -> dict[str, Any]:
    """The same parameters with other weights, in networks and around residuals too."""
    if isinstance(layer, Network):
        return {name: _redrawn(layer.layers[name], own, rng, draw) for name, own in params.items()}
    if hasattr(layer, "layer"):
        return _redrawn(layer.layer, params, rng, draw)
    key = _weights(layer)
    return {**params, key: draw(np.shape(params[key]), rng)} if key else params
