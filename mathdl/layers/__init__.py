"""Layers of networks: each one's value, its Jacobian in closed form, and the two products with it, `jvp` and `vjp`.

Parameters are a dict, what the backward pass needs is returned, and nothing is hidden: see `Layer`.
Explained in the chapter *Layer Jacobians*.
"""

from __future__ import annotations

from mathdl.layers.attention import Attention, MultiHeadAttention
from mathdl.layers.classification import CrossEntropy, LogSoftmax, MeanSquaredError, Softmax
from mathdl.layers.convolution import AveragePool1d, AveragePool2d, Conv1d, Conv2d, MaxPool1d, MaxPool2d
from mathdl.layers.elementwise import GELU, Dropout, ReLU, Sigmoid, Softplus, Tanh
from mathdl.layers.layer import Layer, Loss, Saved
from mathdl.layers.linear import Affine, Embedding, Reshape, Residual
from mathdl.layers.normalisation import BatchNorm, LayerNorm, RMSNorm
from mathdl.layers.recurrent import GatedRecurrent, Last, Recurrent

__all__ = [
    "GELU",
    "Affine",
    "Attention",
    "AveragePool1d",
    "AveragePool2d",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "CrossEntropy",
    "Dropout",
    "Embedding",
    "GatedRecurrent",
    "Last",
    "Layer",
    "LayerNorm",
    "LogSoftmax",
    "Loss",
    "MaxPool1d",
    "MaxPool2d",
    "MeanSquaredError",
    "MultiHeadAttention",
    "RMSNorm",
    "ReLU",
    "Recurrent",
    "Reshape",
    "Residual",
    "Saved",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]
