"""Convolution and pooling: windows slide over a signal or an image, and each is weighted, averaged, or searched.

A convolution is an affine map of windows; as a matrix of the whole image it is Toeplitz: few numbers, often repeated.
Explained in the chapter *Layer Jacobians*.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from mathdl.arrays import is_integer
from mathdl.errors import InvalidInput
from mathdl.layers.layer import Layer, Params, block_diagonal, normal, want_shape, want_size

__all__ = ["AveragePool1d", "AveragePool2d", "Conv1d", "Conv2d", "MaxPool1d", "MaxPool2d"]

Shape = tuple[int, ...]
_SIZES = {1: "n", 2: "h, w"}


@dataclass(frozen=True)
class Windows:
    """Windows of one shape, ``stride`` apart, over the last axes of an array."""

    kernel: Shape
    stride: Shape

    def counts(self, sizes: Shape) -> Shape:
        """How many fit, along each axis."""
        return tuple((n - k) // s + 1 for n, k, s in zip(sizes, self.kernel, self.stride, strict=True))

    def slices(self, sizes: Shape) -> Iterator[tuple[Any, ...]]:
        """For each place in the window: the slice of the array that has the entries there, of all windows."""
        counts = self.counts(sizes)
        for offset in product(*map(range, self.kernel)):
            each = zip(offset, counts, self.stride, strict=True)
            yield (..., *(slice(a, a + (count - 1) * s + 1, s) for a, count, s in each))

    def taken(self, x: Any, axis: int) -> Any:
        """The entries of all windows: a new axis for the place in the window; the last axes run over the windows."""
        return np.stack([x[part] for part in self.slices(np.shape(x)[-len(self.kernel) :])], axis)

    def added(self, parts: Any, shape: Shape) -> Any:
        """The transpose of ``taken``: what the windows have (its first axis is the place) summed where they overlap."""
        x = np.zeros(shape, parts.dtype)
        for part, place in zip(parts, self.slices(shape[-len(self.kernel) :]), strict=True):
            x[place] += part
        return x

    def positions(self, sizes: Shape) -> Any:
        """Which entry, counted through the array, each window has at each place: shape (places, windows)."""
        return self.taken(np.arange(math.prod(sizes)).reshape(sizes), 0).reshape(math.prod(self.kernel), -1)


def _per_axis(value: Any, axes: int, name: str, least: int) -> Shape:
    """One integer for each axis."""
    each = value if isinstance(value, tuple) else (value,) * axes
    if len(each) != axes or not all(is_integer(n, least) for n in each):
        raise InvalidInput(name, repr(value), f"an integer, at least {least}, or a tuple of {axes} of them")
    return tuple(map(int, each))


def _check_images(x: Any, axes: int, windows: Windows, padding: Shape) -> None:
    shape = np.shape(x)
    if len(shape) != axes + 2:
        raise InvalidInput("x", f"shape {shape}", f"shape (N, c, {_SIZES[axes]})")
    if any(n + 2 * p < k for n, p, k in zip(shape[2:], padding, windows.kernel, strict=True)):
        around = f" with {padding} zeros on each side" if any(padding) else ""
        raise InvalidInput("x", f"shape {shape}{around}", f"room for a window of {windows.kernel} in the last axes")


class _Sliding(Layer):
    """What convolutions and poolings share: room around the image."""

    axes: int
    padding: Any

    def _around(self) -> Shape:
        return _per_axis(self.padding, self.axes, "padding", 0)

    def _padded(self, x: Any) -> Any:
        """With zeros around."""
        return np.pad(x, ((0, 0), (0, 0), *((p, p) for p in self._around()))) if any(self._around()) else x

    def _padded_sizes(self, shape: Shape) -> Shape:
        return tuple(n + 2 * p for n, p in zip(shape[2:], self._around(), strict=True))

    def _cropped(self, x: Any) -> Any:
        return x[(..., *(slice(p, n - p) for p, n in zip(self._around(), x.shape[-self.axes :], strict=True)))]


class _Convolution(_Sliding):
    """What convolutions over one and two axes share."""

    channels: int | None
    size: Any
    stride: Any
    parameters = ("K", "b")

    def __post_init__(self) -> None:
        if self.channels is not None:
            want_size(self.channels, "channels", "a number of channels of the output, at least 1")
        if self.size is not None:
            _per_axis(self.size, self.axes, "size", 1)
        _per_axis(self.stride, self.axes, "stride", 1)
        _per_axis(self.padding, self.axes, "padding", 0)

    def initial(self, shape: Shape, rng: np.random.Generator) -> dict[str, Any]:
        example = f"{type(self).__name__}(channels, size)"
        d = want_size(self.channels, "channels", f"a number of channels to begin with: {example}")
        if self.size is None:
            raise InvalidInput("size", "None", f"the size of the kernel to begin with: {example}")
        if len(shape) != self.axes + 2:
            raise InvalidInput("x", f"shape {shape}", f"shape (N, c, {_SIZES[self.axes]})")
        K = (d, shape[1], *_per_axis(self.size, self.axes, "size", 1))
        return {"K": normal(rng, K, 2 / math.prod(K[1:])), "b": np.zeros(d)}

    def _wanted_kernel(self) -> str:
        size = (
            _SIZES[self.axes] if self.size is None else ", ".join(map(str, _per_axis(self.size, self.axes, "size", 1)))
        )
        return f"shape ({self.channels or 'd'}, c, {size})"

    def _windows(self, params: Params) -> Windows:
        return Windows(np.shape(params["K"])[2:], _per_axis(self.stride, self.axes, "stride", 1))

    def check(self, params: Params, x: Any) -> None:
        shape = np.shape(params["K"])
        fits = self.channels in (None, *shape[:1])
        fits = fits and (self.size is None or shape[2:] == _per_axis(self.size, self.axes, "size", 1))
        if len(shape) != self.axes + 2 or 0 in shape or not fits:
            raise InvalidInput("params['K']", f"shape {shape}", self._wanted_kernel())
        want_shape(params["b"], "params['b']", shape[:1])
        _check_images(x, self.axes, self._windows(params), self._around())
        if np.shape(x)[1] != shape[1]:
            wanted = f"{shape[1]} channels, since K has shape {shape}"
            raise InvalidInput("x", f"{np.shape(x)[1]} channels, shape {np.shape(x)}", wanted)

    def _columns(self, params: Params, x: Any) -> Any:
        """All windows of all images as columns, shape (c × places, N × windows)."""
        taken = self._windows(params).taken(np.moveaxis(self._padded(x), 1, 0), 1)
        channels, places, *windows = np.shape(taken)
        return np.reshape(taken, (channels * places, math.prod(windows)))

    def _images(self, params: Params, Y: Any, shape: Shape, by: Shape = ()) -> Any:
        """A row of results for each channel as images, shape (N, d, ...), from x of that shape; ``by`` at the end."""
        counts = self._windows(params).counts(self._padded_sizes(shape))
        return np.moveaxis(np.reshape(Y, (np.shape(Y)[0], shape[0], *counts, *by)), 0, 1)

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        columns = self._columns(params, x)
        Y = _matrix(params["K"]) @ columns + params["b"][:, None]
        return self._images(params, Y, np.shape(x)), (columns, np.shape(x))

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        columns, shape = kept
        dY = _matrix(params["K"]) @ self._columns(params, dx)
        if "K" in dparams:
            dY = dY + _matrix(dparams["K"]) @ columns
        if "b" in dparams:
            dY = dY + dparams["b"][:, None]
        return self._images(params, dY, shape)

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        _, (N, c, *_) = kept
        K, windows = params["K"], self._windows(params)
        # As for an affine map; then what each window gets is added where the window was.
        parts = (_matrix(K).T @ _by_channel(g)).reshape(c, math.prod(windows.kernel), N, *g.shape[2:])
        padded = windows.added(np.moveaxis(parts, 1, 0), (c, N, *self._padded_sizes(kept[1])))
        return self.pull_parameters(params, kept, g), np.moveaxis(self._cropped(padded), 0, 1)

    def pull_parameters(self, params: Params, kept: tuple[Any, ...], g: Any) -> dict[str, Any]:
        G = _by_channel(g)
        return {"K": (G @ kept[0].T).reshape(params["K"].shape), "b": G.sum(axis=1)}

    def by_x(self, params: Params, kept: tuple[Any, ...]) -> Any:
        _, (N, c, *inside) = kept
        K, windows, sizes = params["K"], self._windows(params), self._padded_sizes(kept[1])
        seen = windows.positions(sizes)
        T = np.zeros((len(K), seen.shape[1], c, math.prod(sizes)), K.dtype)
        for weights, places in zip(np.moveaxis(K.reshape(len(K), c, -1), 2, 0), seen, strict=True):
            T[:, np.arange(len(places)), :, places] = weights  # the same in every row: a Toeplitz matrix
        T = self._cropped(T.reshape(*T.shape[:3], *sizes)).reshape(len(K) * seen.shape[1], c * math.prod(inside))
        J = block_diagonal(np.broadcast_to(T, (N, *T.shape)))
        return J.reshape(N, len(K), *windows.counts(sizes), N, c, *inside)

    def by_K(self, params: Params, kept: tuple[Any, ...]) -> Any:
        columns, shape = kept
        same = np.eye(len(params["K"]), dtype=columns.dtype)
        J = same[:, None, :, None] * columns.T[:, None, :]  # as of an affine map by W, for each window
        return self._images(params, J, shape, params["K"].shape)

    def by_b(self, params: Params, kept: tuple[Any, ...]) -> Any:
        columns, shape = kept
        same = np.eye(len(params["b"]), dtype=columns.dtype)
        return self._images(params, np.repeat(same[:, None], columns.shape[1], axis=1), shape, same.shape[:1])


def _by_channel(g: Any) -> Any:
    """Images, shape (N, d, ...), with a row for each channel: shape (d, N × windows)."""
    return np.moveaxis(g, 1, 0).reshape(g.shape[1], -1) if g.size else g.reshape(g.shape[1], 0)


def _matrix(K: Any) -> Any:
    """The kernel with a row for each channel of the output."""
    d, *rest = np.shape(K)
    return np.reshape(K, (d, math.prod(rest)))


@dataclass(frozen=True, eq=False)
class Conv1d(_Convolution):
    """y[n, d, i] = b[d] + Σ over c and a of K[d, c, a] x[n, c, i stride + a - padding]: no flip, as usual in networks.

    The parameters are ``K``, shape (d, c, k), and ``b``, shape (d,); x has shape (N, c, n), and y has shape (N, d, m)
    with m = (n + 2 padding - k) // stride + 1. J by x is a Toeplitz matrix for each pair of channels, at stride 1; at
    other strides it has only some of its rows. Its transpose adds each window's cotangent where the window was.

    Parameters
    ----------
    channels, size : int, optional
        d and k, which ``initial`` needs to make K: He's normal weights of variance 2 / (c k).
    stride : int
        From one window to the next.
    padding : int
        Zeros on each side.

    Raises
    ------
    InvalidInput
        If shapes do not fit, no window has room, or ``stride`` or ``padding`` is out of range.

    References
    ----------
    Chapter *Layer Jacobians*, "Convolution".

    Examples
    --------
    >>> params = {"K": np.array([[[1.0, 2.0]]]), "b": np.zeros(1)}
    >>> x = np.array([[[5.0, 0.0, 1.0]]])
    >>> Conv1d()(params, x)
    array([[[5., 2.]]])
    >>> Conv1d().jacobian(params, x)[0, 0, :, 0, 0]
    array([[1., 2., 0.],
           [0., 1., 2.]])
    """

    channels: int | None = None
    size: int | None = None
    stride: int = 1
    padding: int = 0
    axes = 1


@dataclass(frozen=True, eq=False)
class Conv2d(_Convolution):
    """The same as `Conv1d` over two axes: J by x is a doubly block Toeplitz matrix for each pair of channels.

    The parameters are ``K``, shape (d, c, k, l), and ``b``, shape (d,); x has shape (N, c, h, w), and y has shape
    (N, d, (h + 2 padding - k) // stride + 1, (w + 2 padding - l) // stride + 1).

    Parameters
    ----------
    channels : int, optional
        How many come out, d.
    size : int or tuple of two int, optional
        (k, l), or one number for both.
    stride, padding : int or tuple of two int
        One for both axes, or one for each.

    Raises
    ------
    InvalidInput
        If shapes do not fit, no window has room, or ``stride`` or ``padding`` is out of range.

    References
    ----------
    Chapter *Layer Jacobians*, "Convolution".

    Examples
    --------
    >>> params = {"K": np.ones((1, 1, 2, 2)), "b": np.zeros(1)}
    >>> Conv2d(stride=2, padding=1)(params, np.ones((1, 1, 2, 2)))
    array([[[[1., 1.],
             [1., 1.]]]])
    """

    channels: int | None = None
    size: int | Shape | None = None
    stride: int | Shape = 1
    padding: int | Shape = 0
    axes = 2


class _Pooling(_Sliding):
    """What all poolings share."""

    size: Any
    stride: Any

    def __post_init__(self) -> None:
        if any(p >= k for p, k in zip(self._around(), self._windows().kernel, strict=True)):
            raise InvalidInput("padding", repr(self.padding), "less than the size: a window sees some of x")

    def _windows(self) -> Windows:
        size = _per_axis(self.size, self.axes, "size", 1)
        return Windows(size, size if self.stride is None else _per_axis(self.stride, self.axes, "stride", 1))

    def check(self, params: Params, x: Any) -> None:
        _check_images(x, self.axes, self._windows(), self._around())

    def _apart(self, T: Any, N: int, c: int, sizes: Shape) -> Any:
        """What is so for each image and channel, shape (N or 1, c or 1, windows, padded entries), as the Jacobian."""
        padded = tuple(n + 2 * p for n, p in zip(sizes, self._around(), strict=True))
        T = self._cropped(T.reshape(*T.shape[:3], *padded)).reshape(*T.shape[:3], math.prod(sizes))
        J = block_diagonal(np.broadcast_to(T, (N, c, *T.shape[2:])))
        return J.reshape(N, c, *self._windows().counts(padded), N, c, *sizes)


class _MaxPooling(_Pooling):
    """The largest entry of each window; the first of several."""

    def _walled(self, x: Any) -> Any:
        """With -inf around."""
        if not any(self._around()):
            return x
        return np.where(self._padded(np.ones((1, 1, *np.shape(x)[2:]))) > 0, self._padded(x), -np.inf)

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        taken = self._windows().taken(self._walled(x), 0)
        first = np.argmax(np.real(taken), axis=0, keepdims=True)
        return np.take_along_axis(taken, first, 0)[0], (first, np.shape(x))

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        return np.take_along_axis(self._windows().taken(self._padded(dx), 0), kept[0], 0)[0]

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        first, shape = kept
        windows = self._windows()
        places = np.arange(math.prod(windows.kernel)).reshape(-1, *(1,) * g.ndim)
        parts = np.where(places == first, g, np.zeros_like(g))
        return {}, self._cropped(windows.added(parts, (*shape[:2], *self._padded_sizes(shape))))

    def dense(self, params: Params, x: Any, kept: tuple[Any, ...], by: str) -> Any:
        first, (N, c, *sizes) = kept
        padded = self._padded_sizes(kept[1])
        seen = np.take_along_axis(self._windows().positions(padded)[:, None], first.reshape(1, N * c, -1), 0)[0]
        chosen = np.eye(math.prod(padded), dtype=np.asarray(x).dtype)[seen]  # a row selects one entry
        return self._apart(chosen.reshape(N, c, *chosen.shape[1:]), N, c, tuple(sizes))


class _AveragePooling(_Pooling):
    """The mean of each window."""

    def value(self, params: Params, x: Any) -> tuple[Any, tuple[Any, ...]]:
        return np.mean(self._windows().taken(self._padded(x), 0), axis=0), (np.shape(x),)

    def push(self, params: Params, kept: tuple[Any, ...], dx: Any, dparams: Params) -> Any:
        return np.mean(self._windows().taken(self._padded(dx), 0), axis=0)

    def pull(self, params: Params, kept: tuple[Any, ...], g: Any) -> tuple[dict[str, Any], Any]:
        (shape,) = kept
        windows = self._windows()
        count = math.prod(windows.kernel)
        parts = np.broadcast_to(g / count, (count, *g.shape))
        return {}, self._cropped(windows.added(parts, (*shape[:2], *self._padded_sizes(shape))))

    def dense(self, params: Params, x: Any, kept: tuple[Any, ...], by: str) -> Any:
        N, c, *sizes = kept[0]
        padded = self._padded_sizes(kept[0])
        A = np.eye(math.prod(padded), dtype=np.asarray(x).dtype)[self._windows().positions(padded)].mean(axis=0)
        return self._apart(A[None, None], N, c, tuple(sizes))


@dataclass(frozen=True, eq=False)
class MaxPool1d(_MaxPooling):
    """The largest of each window of a signal: x has shape (N, c, n), y has (N, c, m) with
    m = (n + 2 padding - size) // stride + 1.

    J selects: each row has a single 1, at the entry that was largest. Where several are, the first counts, here and
    when autodiff differentiates the layer, unlike `numpy.max`, which shares.

    Parameters
    ----------
    size : int
        Of the window.
    stride : int, optional
        From one window to the next; by default its size, so that windows do not overlap.
    padding : int
        On each side, less than the size; it is of -inf, so that it is never the largest.

    Raises
    ------
    InvalidInput
        If x has another number of axes, no window has room, or ``size``, ``stride`` or ``padding`` is out of range.

    References
    ----------
    Chapter *Layer Jacobians*, "Pooling".

    Examples
    --------
    >>> x = np.array([[[1.0, 3.0, 3.0, 2.0]]])
    >>> MaxPool1d(size=2).jacobian({}, x)[0, 0, :, 0, 0]
    array([[0., 1., 0., 0.],
           [0., 0., 1., 0.]])
    """

    size: int = 2
    stride: int | None = None
    padding: int = 0
    axes = 1


@dataclass(frozen=True, eq=False)
class MaxPool2d(_MaxPooling):
    """The largest of each window of an image, as `MaxPool1d`: x has shape (N, c, h, w), and y the number of windows.

    Parameters
    ----------
    size : int or tuple of two int
        Of the window.
    stride : int or tuple of two int, optional
        From one window to the next; by default its size.
    padding : int or tuple of two int
        On each side, less than the size; it is of -inf, so that it is never the largest.

    Raises
    ------
    InvalidInput
        If x has another number of axes, no window has room, or ``size``, ``stride`` or ``padding`` is out of range.

    References
    ----------
    Chapter *Layer Jacobians*, "Pooling".

    Examples
    --------
    >>> MaxPool2d(size=2)({}, np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """

    size: int | Shape = 2
    stride: int | Shape | None = None
    padding: int | Shape = 0
    axes = 2


@dataclass(frozen=True, eq=False)
class AveragePool1d(_AveragePooling):
    """The mean of each window of a signal: x has shape (N, c, n), y has (N, c, m) with
    m = (n + 2 padding - size) // stride + 1.

    J is that of a convolution whose weights are all 1 / size, channel by channel.

    Parameters
    ----------
    size : int
        Of the window.
    stride : int, optional
        From one window to the next; by default its size, so that windows do not overlap.
    padding : int
        On each side, less than the size; zeros, which count: the divisor is the size for every window.

    Raises
    ------
    InvalidInput
        If x has another number of axes, no window has room, or ``size``, ``stride`` or ``padding`` is out of range.

    References
    ----------
    Chapter *Layer Jacobians*, "Pooling".

    Examples
    --------
    >>> AveragePool1d(size=2)({}, np.array([[[1.0, 3.0, 5.0, 5.0]]]))
    array([[[2., 5.]]])
    """

    size: int = 2
    stride: int | None = None
    padding: int = 0
    axes = 1


@dataclass(frozen=True, eq=False)
class AveragePool2d(_AveragePooling):
    """The mean of each window of an image, as `AveragePool1d`: x has shape (N, c, h, w), and y the number of windows.

    Parameters
    ----------
    size : int or tuple of two int
        Of the window.
    stride : int or tuple of two int, optional
        From one window to the next; by default its size.
    padding : int or tuple of two int
        On each side, less than the size; zeros, which count: the divisor is the size for every window.

    Raises
    ------
    InvalidInput
        If x has another number of axes, no window has room, or ``size``, ``stride`` or ``padding`` is out of range.

    References
    ----------
    Chapter *Layer Jacobians*, "Pooling".

    Examples
    --------
    >>> AveragePool2d(size=2)({}, np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """

    size: int | Shape = 2
    stride: int | Shape | None = None
    padding: int | Shape = 0
    axes = 2
