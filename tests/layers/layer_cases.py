"""Every layer with random parameters and inputs, and what it computes written again, one number at a time.

A new layer gets a row in CASES, and then passes through every test. ``Ways`` are the ways to one Jacobian.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import erfc

import mathdl as md
from mathdl import layers


@dataclass(frozen=True)
class Case:
    """A layer at a point."""

    layer: Any
    params: dict[str, Any]
    x: Any

    @property
    def names(self):
        """By which inputs and parameters it can be differentiated."""
        x = self.x if isinstance(self.x, tuple) else (self.x,)
        real = [name for name, part in zip(self.layer.inputs, x, strict=True) if part.dtype.kind == "f"]
        return (*real, *self.layer.parameters)

    def at(self, by):
        if by in self.params:
            return self.params[by]
        return self.x[self.layer.inputs.index(by)] if isinstance(self.x, tuple) else self.x

    def moved(self, by, value):
        """The same with another value of one argument."""
        if by in self.params:
            return replace(self, params={**self.params, by: value})
        if not isinstance(self.x, tuple):
            return replace(self, x=value)
        place = self.layer.inputs.index(by)
        return replace(self, x=(*self.x[:place], value, *self.x[place + 1 :]))

    def cast(self, kind):
        def one(array):
            return array.astype(kind) if array.dtype.kind == "f" else array

        x = tuple(map(one, self.x)) if isinstance(self.x, tuple) else one(self.x)
        return replace(self, params={name: one(p) for name, p in self.params.items()}, x=x)

    def function(self, by):
        def f(value):
            case = self.moved(by, value)
            return case.layer(case.params, case.x)

        return f

    def tangents(self, by, v):
        """The arguments dx and dparams of jvp when one argument moves along v."""
        if by in self.params:
            return self.still(), {by: v}
        if isinstance(self.x, tuple):
            return tuple(v if n == by else np.zeros_like(self.at(n)) for n in self.layer.inputs), None
        return v, None

    def still(self):
        if isinstance(self.x, tuple):
            return tuple(map(np.zeros_like, self.x))
        return np.zeros_like(self.x) if self.x.dtype.kind == "f" else None

    def pulled(self, by, saved, g):
        gparams, gx = self.layer.vjp(self.params, saved, g)
        if by in self.params:
            return gparams[by]
        return gx[self.layer.inputs.index(by)] if isinstance(self.x, tuple) else gx


def units(shape):
    n = math.prod(shape)
    return np.eye(n).reshape(n, *shape)


# ------------------------------------------------------------------------------------------------- ways to a Jacobian
def _closed_form(case, by):
    return case.layer.jacobian(case.params, case.x, by)


def _rows(case, by):
    y, saved = case.layer.forward(case.params, case.x)
    rows = [case.pulled(by, saved, g) for g in units(np.shape(y))]
    return np.reshape(rows, np.shape(y) + np.shape(case.at(by)))


def _columns(case, by):
    y, saved = case.layer.forward(case.params, case.x)
    columns = []
    for v in units(np.shape(case.at(by))):
        dx, dparams = case.tangents(by, v)
        columns.append(case.layer.jvp(case.params, saved, dx, dparams))
    return np.moveaxis(np.reshape(columns, (len(columns), *np.shape(y))), 0, -1).reshape(
        np.shape(y) + np.shape(case.at(by))
    )


def differences(f, x, analytic):
    """The complex step, or central differences: errors near 1e-15 and 1e-9."""
    y, columns = f(x), []
    for v in units(np.shape(x)):
        columns.append(f(x + 1e-30j * v).imag / 1e-30 if analytic else (f(x + 1e-5 * v) - f(x - 1e-5 * v)) / 2e-5)
    return np.moveaxis(np.reshape(columns, (len(columns), *np.shape(y))), 0, -1).reshape(np.shape(y) + np.shape(x))


WAYS: dict[str, Callable[[Case, str], Any]] = {
    "closed form": _closed_form,
    "vjp of the identity": _rows,
    "jvp of the identity": _columns,
    "autodiff, reverse": lambda case, by: md.jacobian(case.function(by), "reverse")(case.at(by)),
    "autodiff, forward": lambda case, by: md.jacobian(case.function(by), "forward")(case.at(by)),
}

# Not analytic, or without a complex version in SciPy: these are compared with central differences.
REAL_ONLY = ("GatedRecurrent", "ReLU", "Sigmoid", "Softplus", "MaxPool1d", "MaxPool2d")


def disagreement(case, by):
    """The first way that gives another Jacobian than differences of values do, or None."""
    analytic = type(case.layer).__name__ not in REAL_ONLY
    expected = differences(case.function(by), case.at(by), analytic)
    tolerance = 1e-11 if analytic else 1e-7
    scale = 1 + np.max(np.abs(expected), initial=0.0)
    for name, way in WAYS.items():
        found = way(case, by)
        if np.shape(found) != expected.shape or not np.allclose(found, expected, rtol=0, atol=tolerance * scale):
            return name
    return None


# -------------------------------------------------------------------------------------------------- layers at a point
def _shape(rng, axes=2):
    return tuple(int(n) for n in rng.integers(1, 4, size=axes))


def _lead(rng):
    return _shape(rng, int(rng.integers(0, 3)))


def _separate(rng, shape):
    """Numbers in random order, no two (and none and zero) nearer than 0.04: away from kinks and from ties."""
    n = math.prod(shape)
    return (rng.permutation(n).reshape(shape) - n // 2 + 0.4) / 10


def _without_parameters(layer, draw=lambda rng, shape: rng.normal(size=shape)):
    return lambda rng: Case(layer(), {}, draw(rng, (*_lead(rng), int(rng.integers(1, 5)))))


def _affine(rng):
    m, n = _shape(rng)
    return Case(
        layers.Affine(), {"W": rng.normal(size=(m, n)), "b": rng.normal(size=m)}, rng.normal(size=(*_lead(rng), n))
    )


def _embedding(rng):
    k, n = _shape(rng)
    return Case(layers.Embedding(), {"E": rng.normal(size=(k, n))}, rng.integers(0, k, size=_lead(rng)))


def _residual(rng):
    n = int(rng.integers(1, 4))
    params = {"W": rng.normal(size=(n, n)), "b": rng.normal(size=n)}
    return Case(layers.Residual(layers.Affine()), params, rng.normal(size=(*_lead(rng), n)))


def _reshape(rng):
    shape = _shape(rng, 3)
    new = rng.permutation(shape[1:]).tolist() if rng.integers(2) else [-1]
    return Case(layers.Reshape(tuple(new)), {}, rng.normal(size=shape))


def _dropout(rng):
    layer = layers.Dropout(rate=float(rng.choice([0.0, 0.3, 0.8])), seed=int(rng.integers(100)))
    return Case(layer, {}, rng.normal(size=_lead(rng)))


def _norm(layer):
    def make(rng):
        n = int(rng.integers(2, 6))
        params = {name: rng.normal(size=n) for name in layer.parameters}
        epsilon = float(rng.choice([0.0, 1e-5, 0.5]))
        return Case(layer(epsilon=epsilon), params, rng.normal(size=(*_lead(rng), n)))

    return make


def _batch_norm(training):
    def make(rng):
        channels, N = _shape(rng)
        x = rng.normal(size=(N + 2, channels, *_lead(rng)))
        params = {"scale": rng.normal(size=channels), "shift": rng.normal(size=channels)}
        statistics = None if training else (rng.normal(size=channels), rng.uniform(0.1, 2.0, size=channels))
        return Case(layers.BatchNorm(statistics, epsilon=float(rng.choice([0.0, 1e-5, 0.5]))), params, x)

    return make


def _convolution(axes):
    def make(rng):
        c, d = _shape(rng)
        K = rng.normal(size=(d, c, *_shape(rng, axes)))
        stride, padding = (tuple(int(n) for n in rng.integers(low, low + 3, size=axes)) for low in (1, 0))
        sizes = [k + int(rng.integers(0, 4)) for k in K.shape[2:]]
        layer = (
            layers.Conv1d(stride=stride[0], padding=padding[0])
            if axes == 1
            else layers.Conv2d(stride=stride, padding=padding)
        )
        N = int(rng.integers(1, 3))
        return Case(layer, {"K": K, "b": rng.normal(size=d)}, rng.normal(size=(N, c, *sizes)))

    return make


def _pooling(layer, axes):
    def make(rng):
        size = _shape(rng, axes)
        stride = None if rng.integers(3) == 0 else _shape(rng, axes)
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in size)
        sizes = [k + int(rng.integers(0, 5)) for k in size]
        given = (size, stride, padding) if axes == 2 else (size[0], stride and stride[0], padding[0])
        return Case(layer(*given), {}, _separate(rng, (*_shape(rng), *sizes)))

    return make


def _mask(rng, t, s):
    if rng.integers(2):
        return None
    mask = rng.uniform(size=(t, s)) < 0.5
    mask[np.arange(t), rng.integers(0, s, size=t)] = True
    return mask


def _attention(rng):
    lead, (t, s, d, e) = _lead(rng), _shape(rng, 4)
    x = tuple(rng.normal(size=(*lead, *shape)) for shape in ((t, d), (s, d), (s, e)))
    return Case(layers.Attention(_mask(rng, t, s)), {}, x)


def _multi_head_attention(rng):
    lead, (t, n, m, d, e, heads) = _shape(rng, int(rng.integers(0, 2))), _shape(rng, 6)
    shapes = {"WQ": (heads * d, n), "WK": (heads * d, n), "WV": (heads * e, n), "WO": (m, heads * e)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return Case(layers.MultiHeadAttention(heads, _mask(rng, t, t)), params, rng.normal(size=(*lead, t, n)))


def _recurrent(layer, parts):
    def make(rng):
        N, t, n, h = _shape(rng, 4)
        shapes = {"W": (parts * h, n), "U": (parts * h, h), "b": (parts * h,)}
        params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
        return Case(layer(), params, rng.normal(size=(N, t, n)))

    return make


def _last(rng):
    return Case(layers.Last(), {}, rng.normal(size=(*_shape(rng), *_lead(rng))))


CASES: dict[str, Callable[[np.random.Generator], Case]] = {
    "Affine": _affine,
    "Embedding": _embedding,
    "Residual": _residual,
    "Reshape": _reshape,
    "ReLU": _without_parameters(layers.ReLU, _separate),
    "GELU": _without_parameters(layers.GELU),
    "Tanh": _without_parameters(layers.Tanh),
    "Sigmoid": _without_parameters(layers.Sigmoid),
    "Softplus": _without_parameters(layers.Softplus),
    "Dropout": _dropout,
    "Softmax": _without_parameters(layers.Softmax),
    "LogSoftmax": _without_parameters(layers.LogSoftmax),
    "LayerNorm": _norm(layers.LayerNorm),
    "RMSNorm": _norm(layers.RMSNorm),
    "BatchNorm in training": _batch_norm(True),
    "BatchNorm in evaluation": _batch_norm(False),
    "Conv1d": _convolution(1),
    "Conv2d": _convolution(2),
    "MaxPool1d": _pooling(layers.MaxPool1d, 1),
    "MaxPool2d": _pooling(layers.MaxPool2d, 2),
    "AveragePool1d": _pooling(layers.AveragePool1d, 1),
    "AveragePool2d": _pooling(layers.AveragePool2d, 2),
    "Attention": _attention,
    "MultiHeadAttention": _multi_head_attention,
    "Recurrent": _recurrent(layers.Recurrent, 1),
    "GatedRecurrent": _recurrent(layers.GatedRecurrent, 3),
    "Last": _last,
}


# --------------------------------------------------------------------------------- what they compute, number by number
def _each(function):
    return lambda layer, params, x: np.vectorize(function, otypes=[float])(x)


def _each_row(function):
    """The function of one row, given as a list, applied along the last axis."""
    return lambda layer, params, x: np.apply_along_axis(lambda row: function(layer, params, row.tolist()), -1, x)


def _plain_softmax(row):
    return [math.exp(z) / sum(map(math.exp, row)) for z in row]


def _plain_affine(layer, params, row):
    return [
        sum(w * x for w, x in zip(ws, row, strict=True)) + b for ws, b in zip(params["W"], params["b"], strict=True)
    ]


def _plain_layer_norm(layer, params, row):
    mean = sum(row) / len(row)
    s = math.sqrt(sum((x - mean) ** 2 for x in row) / len(row) + layer.epsilon)
    return [a * (x - mean) / s + b for x, a, b in zip(row, params["scale"], params["shift"], strict=True)]


def _plain_rms_norm(layer, params, row):
    r = math.sqrt(sum(x * x for x in row) / len(row) + layer.epsilon)
    return [a * x / r for x, a in zip(row, params["scale"], strict=True)]


def _plain_batch_norm(layer, params, x):
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        numbers = x[:, c].ravel().tolist()
        mean = sum(numbers) / len(numbers)
        variance = sum((number - mean) ** 2 for number in numbers) / len(numbers)
        if layer.statistics is not None:
            mean, variance = layer.statistics[0][c], layer.statistics[1][c]
        y[:, c] = params["scale"][c] * (x[:, c] - mean) / math.sqrt(variance + layer.epsilon) + params["shift"][c]
    return y


def _plain_embedding(layer, params, x):
    return np.array([params["E"][i] for i in x.ravel()]).reshape(*x.shape, -1)


def _two(value):
    """Of each size two: what holds for images holds for signals, which are images one pixel high."""
    return value if isinstance(value, tuple) else (1, value)


def _windows(x, kernel, stride):
    for i in range((x.shape[2] - kernel[0]) // stride[0] + 1):
        for j in range((x.shape[3] - kernel[1]) // stride[1] + 1):
            top, left = i * stride[0], j * stride[1]
            yield i, j, x[:, :, top : top + kernel[0], left : left + kernel[1]]


def _plain_convolution(layer, params, x):
    image = x.ndim == 4
    K = params["K"] if image else params["K"][:, :, None]
    (p, q), stride = layer.padding if image else (0, layer.padding), _two(layer.stride)
    wide = np.zeros((*x.shape[:2], (x.shape[2] if image else 1) + 2 * p, x.shape[-1] + 2 * q))
    wide[:, :, p : wide.shape[2] - p, q : wide.shape[3] - q] = x if image else x[:, :, None]
    found = {}
    for i, j, window in _windows(wide, K.shape[2:], stride):
        for n in range(len(x)):
            for d in range(len(K)):
                found[n, d, i, j] = np.sum(window[n] * K[d]) + params["b"][d]
    return _assembled(found, image)


def _plain_pooling(function, around):
    def plain(layer, params, x):
        image = x.ndim == 4
        p, q = layer.padding if image else (0, layer.padding)
        x = np.pad(x if image else x[:, :, None], ((0, 0), (0, 0), (p, p), (q, q)), constant_values=around)
        size, stride = _two(layer.size), _two(layer.size if layer.stride is None else layer.stride)
        found = {}
        for i, j, window in _windows(x, size, stride):
            for n in range(x.shape[0]):
                for c in range(x.shape[1]):
                    found[n, c, i, j] = function(window[n, c].ravel().tolist())
        return _assembled(found, image)

    return plain


def _assembled(found, image):
    y = np.zeros(tuple(1 + max(place) for place in zip(*found, strict=True)))
    for place, value in found.items():
        y[place] = value
    return y if image else y[:, :, 0]


def _plain_attention(layer, params, x):
    Q, K, V = x
    y = np.zeros((*Q.shape[:-1], V.shape[-1]))
    for place in np.ndindex(Q.shape[:-1]):
        *lead, t = place
        keys, values, q = K[tuple(lead)], V[tuple(lead)], Q[place]
        seen = [s for s in range(len(keys)) if layer.mask is None or layer.mask[t, s]]
        weights = _plain_softmax([float(keys[s] @ q) / math.sqrt(len(q)) for s in seen])
        y[place] = sum(weight * values[s] for weight, s in zip(weights, seen, strict=True))
    return y


def _plain_multi_head_attention(layer, params, x):
    """Head by head, each with its own rows of the matrices and its own columns of WO."""
    y = 0.0
    for head in range(layer.heads):
        W = {name: np.split(params[name], layer.heads)[head] for name in ("WQ", "WK", "WV")}
        columns = np.split(params["WO"], layer.heads, axis=1)[head]
        part = _plain_attention(layer, {}, (x @ W["WQ"].T, x @ W["WK"].T, x @ W["WV"].T))
        y = y + part @ columns.T
    return y


def _plain_recurrent(layer, params, x):
    y = np.zeros((*x.shape[:2], len(params["U"])))
    for n in range(len(x)):
        h = np.zeros(len(params["U"]))
        for t in range(x.shape[1]):
            h = y[n, t] = np.array(
                [
                    math.tanh(w @ x[n, t] + u @ h + b)
                    for w, u, b in zip(params["W"], params["U"], params["b"], strict=True)
                ]
            )
    return y


def _plain_gated(layer, params, x):
    k = params["U"].shape[1]
    y = np.zeros((*x.shape[:2], k))
    for n in range(len(x)):
        h = np.zeros(k)
        for t in range(x.shape[1]):
            r, z, c = np.zeros(k), np.zeros(k), np.zeros(k)
            for i in range(k):
                r[i], z[i] = (
                    1 / (1 + math.exp(-(params["W"][j] @ x[n, t] + params["U"][j] @ h + params["b"][j])))
                    for j in (i, k + i)
                )
            for i in range(k):
                j = 2 * k + i
                c[i] = math.tanh(params["W"][j] @ x[n, t] + params["U"][j] @ (r * h) + params["b"][j])
            h = y[n, t] = (1 - z) * h + z * c
    return y


VALUES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "Affine": _each_row(_plain_affine),
    "Embedding": _plain_embedding,
    "Residual": lambda layer, params, x: x + _each_row(_plain_affine)(layer, params, x),
    "Reshape": lambda layer, params, x: np.array([list(row.flat) for row in x]).reshape(len(x), *layer.shape),
    "ReLU": _each(lambda x: x if x > 0 else 0.0),
    "GELU": _each(lambda x: x * erfc(-x / math.sqrt(2)) / 2),
    "Tanh": _each(lambda x: (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x))),
    "Sigmoid": _each(lambda x: 1 / (1 + math.exp(-x))),
    "Softplus": _each(lambda x: math.log(1 + math.exp(x))),
    "Softmax": _each_row(lambda layer, params, row: _plain_softmax(row)),
    "LogSoftmax": _each_row(lambda layer, params, row: list(map(math.log, _plain_softmax(row)))),
    "LayerNorm": _each_row(_plain_layer_norm),
    "RMSNorm": _each_row(_plain_rms_norm),
    "BatchNorm in training": _plain_batch_norm,
    "BatchNorm in evaluation": _plain_batch_norm,
    "Conv1d": _plain_convolution,
    "Conv2d": _plain_convolution,
    "MaxPool1d": _plain_pooling(max, -np.inf),
    "MaxPool2d": _plain_pooling(max, -np.inf),
    "AveragePool1d": _plain_pooling(lambda window: sum(window) / len(window), 0.0),
    "AveragePool2d": _plain_pooling(lambda window: sum(window) / len(window), 0.0),
    "Attention": _plain_attention,
    "MultiHeadAttention": _plain_multi_head_attention,
    "Recurrent": _plain_recurrent,
    "GatedRecurrent": _plain_gated,
    "Last": lambda layer, params, x: np.array([sequence[len(sequence) - 1] for sequence in x]),
}
