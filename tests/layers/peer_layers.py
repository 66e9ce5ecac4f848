"""Every layer and loss as JAX and PyTorch have it: their own functions, in float64.

A method bears the layer's name, and takes the layer, for its sizes and strides, and its arguments by name: parameters
and inputs. A layer without a method fails `test_oracles.py`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest


def _per_axis(value, x):
    """One number for each axis of a signal or an image."""
    return value if isinstance(value, tuple) else (value,) * (x.ndim - 2)


def _stride(layer):
    """Of a pooling."""
    return layer.size if layer.stride is None else layer.stride


class _Shared:
    """What is built of other layers, in the same way."""

    def Residual(self, layer, a):
        return a["x"] + getattr(self, type(layer.layer).__name__)(layer.layer, a)

    def Dropout(self, layer, a):
        """The mask is drawn from NumPy's generator, so it is taken as it is."""
        return a["x"] * self.constant(layer({}, np.ones(a["x"].shape)))

    def MultiHeadAttention(self, layer, a):
        def heads(name):
            y = a["x"] @ a[f"W{name}"].T
            return y.reshape(*y.shape[:-1], layer.heads, y.shape[-1] // layer.heads).swapaxes(-2, -3)

        y = self.Attention(layer, {name: heads(name) for name in "QKV"}).swapaxes(-2, -3)
        return y.reshape(*y.shape[:-2], math.prod(y.shape[-2:])) @ a["WO"].T

    def _through_time(self, a, step):
        """The states of a cell, from zero."""
        h, states = 0 * (a["x"][:, 0] @ a["W"][: a["U"].shape[1]].T), []
        for t in range(a["x"].shape[1]):
            h = step(a["x"][:, t] @ a["W"].T + a["b"], h)
            states.append(h)
        return self.stack(states)

    def Recurrent(self, layer, a):
        return self._through_time(a, lambda moved, h: self.tanh(moved + h @ a["U"].T))

    def Last(self, layer, a):
        return a["x"][:, -1]

    def GatedRecurrent(self, layer, a):
        k = a["U"].shape[1]

        def step(moved, h):
            gates = self.sigmoid(moved[:, : 2 * k] + h @ a["U"][: 2 * k].T)
            r, z = gates[:, :k], gates[:, k:]
            return (1 - z) * h + z * self.tanh(moved[:, 2 * k :] + (r * h) @ a["U"][2 * k :].T)

        return self._through_time(a, step)


class Jax(_Shared):
    def __init__(self):
        self.jax = pytest.importorskip("jax")
        self.jax.config.update("jax_enable_x64", True)
        self.np, self.nn, self.lax = self.jax.numpy, self.jax.nn, self.jax.lax
        self.constant = self.np.asarray
        self.tanh, self.sigmoid = self.np.tanh, self.nn.sigmoid
        self.stack = lambda states: self.np.stack(states, axis=1)

    def derivatives(self, f, arguments, g, tangents):
        """The value, the cotangents by name, and the tangent of the value; compiled at once, which is quicker."""
        jax = self.jax

        @jax.jit
        def all_of_it(arguments, g, tangents):
            y, pull = jax.vjp(f, arguments)
            return y, pull(g)[0], jax.jvp(f, (arguments,), (tangents,))[1]

        return jax.tree.map(np.asarray, all_of_it(arguments, g, tangents))

    def Affine(self, layer, a):
        return self.np.matmul(a["x"], a["W"].T) + a["b"]

    def Embedding(self, layer, a):
        return self.np.take(a["E"], a["x"], axis=0)

    def Reshape(self, layer, a):
        return self.np.reshape(a["x"], (len(a["x"]), *layer.shape))

    def ReLU(self, layer, a):
        return self.nn.relu(a["x"])

    def GELU(self, layer, a):
        return self.nn.gelu(a["x"], approximate=False)

    def Tanh(self, layer, a):
        return self.np.tanh(a["x"])

    def Sigmoid(self, layer, a):
        return self.nn.sigmoid(a["x"])

    def Softplus(self, layer, a):
        return self.nn.softplus(a["x"])

    def Softmax(self, layer, a):
        return self.nn.softmax(a["x"])

    def LogSoftmax(self, layer, a):
        return self.nn.log_softmax(a["x"])

    def LayerNorm(self, layer, a):
        return self.nn.standardize(a["x"], -1, epsilon=layer.epsilon) * a["scale"] + a["shift"]

    def RMSNorm(self, layer, a):
        return a["x"] * self.lax.rsqrt(self.np.mean(a["x"] ** 2, -1, keepdims=True) + layer.epsilon) * a["scale"]

    def BatchNorm(self, layer, a):
        x = self.np.moveaxis(a["x"], 1, -1)
        mean, variance = layer.statistics or (None, None)
        xhat = self.nn.standardize(x, tuple(range(x.ndim - 1)), mean, variance, layer.epsilon)
        return self.np.moveaxis(xhat * a["scale"] + a["shift"], -1, 1)

    def Conv1d(self, layer, a):
        stride, padding = (_per_axis(value, a["x"]) for value in (layer.stride, layer.padding))
        y = self.lax.conv_general_dilated(a["x"], a["K"], stride, [(p, p) for p in padding])
        return y + a["b"].reshape(-1, *(1,) * len(stride))

    Conv2d = Conv1d

    def _reduced(self, layer, x, start, function):
        sizes, strides = ((1, 1, *_per_axis(value, x)) for value in (layer.size, _stride(layer)))
        around = [(p, p) for p in (0, 0, *_per_axis(layer.padding, x))]
        return self.lax.reduce_window(x, start, function, sizes, strides, around)

    def MaxPool1d(self, layer, a):
        return self._reduced(layer, a["x"], -np.inf, self.lax.max)

    MaxPool2d = MaxPool1d

    def AveragePool1d(self, layer, a):
        return self._reduced(layer, a["x"], 0.0, self.lax.add) / math.prod(_per_axis(layer.size, a["x"]))

    AveragePool2d = AveragePool1d

    def Attention(self, layer, a):
        S = self.np.einsum("...td,...sd->...ts", a["Q"], a["K"]) / math.sqrt(a["Q"].shape[-1])
        return self.np.matmul(self.nn.softmax(S, where=layer.mask), a["V"])

    def CrossEntropy(self, loss, a):
        logs, t = self.nn.log_softmax(a["x"]), a["targets"]
        if t.dtype.kind == "f":
            return -self.np.mean(self.np.sum(t * logs, -1))
        return -self.np.mean(self.np.take_along_axis(logs, t[..., None], -1))

    def MeanSquaredError(self, loss, a):
        return self.np.mean(self.np.square(a["x"] - a["targets"]))


class Torch(_Shared):
    def __init__(self):
        self.torch = pytest.importorskip("torch")
        self.F = self.torch.nn.functional
        self.constant = self.torch.tensor
        self.tanh, self.sigmoid = self.torch.tanh, self.torch.sigmoid
        self.stack = lambda states: self.torch.stack(states, dim=1)

    def _exactly(self):
        """Its formula for attention, not a fused one that has no forward derivative."""
        attention = self.torch.nn.attention
        return attention.sdpa_kernel(attention.SDPBackend.MATH)

    def derivatives(self, f, arguments, g, tangents):
        arguments, tangents = (
            {name: self.constant(array) for name, array in arrays.items()} for arrays in (arguments, tangents)
        )
        with self._exactly():
            y, pull = self.torch.func.vjp(f, arguments)
            (cotangents,) = pull(self.constant(g))
            pushed = self.torch.func.jvp(f, (arguments,), (tangents,))[1]
        return y.numpy(), {name: part.numpy() for name, part in cotangents.items()}, pushed.numpy()

    def Affine(self, layer, a):
        return self.F.linear(a["x"], a["W"], a["b"])

    def Embedding(self, layer, a):
        return self.F.embedding(self.constant(a["x"]), a["E"])

    def Reshape(self, layer, a):
        return self.torch.reshape(a["x"], (len(a["x"]), *layer.shape))

    def ReLU(self, layer, a):
        return self.F.relu(a["x"])

    def GELU(self, layer, a):
        return self.F.gelu(a["x"])

    def Tanh(self, layer, a):
        return self.F.tanh(a["x"])

    def Sigmoid(self, layer, a):
        return self.F.sigmoid(a["x"])

    def Softplus(self, layer, a):
        return self.F.softplus(a["x"], threshold=40)  # by default it is linear from 20, where e^-20 is lost

    def Softmax(self, layer, a):
        return self.F.softmax(a["x"], -1)

    def LogSoftmax(self, layer, a):
        return self.F.log_softmax(a["x"], -1)

    def LayerNorm(self, layer, a):
        return self.F.layer_norm(a["x"], a["scale"].shape, a["scale"], a["shift"], layer.epsilon)

    def RMSNorm(self, layer, a):
        return self.F.rms_norm(a["x"], a["scale"].shape, a["scale"], layer.epsilon)

    def BatchNorm(self, layer, a):
        mean, variance = map(self.constant, layer.statistics) if layer.statistics else (None, None)
        training, epsilon = layer.statistics is None, layer.epsilon or 1e-300  # it wants one in training
        return self.F.batch_norm(a["x"], mean, variance, a["scale"], a["shift"], training, eps=epsilon)

    def Conv1d(self, layer, a):
        return self.F.conv1d(a["x"], a["K"], a["b"], layer.stride, layer.padding)

    def Conv2d(self, layer, a):
        return self.F.conv2d(a["x"], a["K"], a["b"], layer.stride, layer.padding)

    def MaxPool1d(self, layer, a):
        return self.F.max_pool1d(a["x"], layer.size, layer.stride, layer.padding)

    def MaxPool2d(self, layer, a):
        return self.F.max_pool2d(a["x"], layer.size, layer.stride, layer.padding)

    def AveragePool1d(self, layer, a):
        return self.F.avg_pool1d(a["x"], layer.size, layer.stride, layer.padding)

    def AveragePool2d(self, layer, a):
        return self.F.avg_pool2d(a["x"], layer.size, layer.stride, layer.padding)

    def Attention(self, layer, a):
        mask = None if layer.mask is None else self.constant(layer.mask)
        return self.F.scaled_dot_product_attention(a["Q"], a["K"], a["V"], mask)

    def CrossEntropy(self, loss, a):
        x, t = a["x"], self.constant(a["targets"])
        return self.F.cross_entropy(x.reshape(-1, x.shape[-1]), t.reshape(-1, *t.shape[x.ndim - 1 :]))

    def MeanSquaredError(self, loss, a):
        return self.F.mse_loss(a["x"], self.constant(a["targets"]))


PEERS = {"jax": Jax, "torch": Torch}
