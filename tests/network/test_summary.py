"""The table of layers: its numbers counted again."""

from __future__ import annotations

import numpy as np
import pytest
from nets import NETS, random_params

from mathdl import layers
from mathdl.autodiff.trees import leaves
from mathdl.network import Network


@pytest.mark.parametrize("name", NETS)
def test_sizes_are_those_of_the_jacobians(name):
    network, shape = NETS[name]
    params = random_params(network, shape)
    summary = network.summary(params, shape)
    x = network.example(shape)
    assert [row.name for row in summary.rows] == list(network.layers)
    for row, (layer_name, layer) in zip(summary.rows, network.layers.items(), strict=True):
        own = params.get(layer_name, {})
        y = layer(own, x)
        assert row.kind == type(layer).__name__
        assert row.shape == y.shape
        assert row.parameters == sum(np.size(leaf) for leaf in leaves(own))
        assert (row.inputs, row.outputs) == (np.size(x) // len(x), np.size(y) // len(y))
        x = y
    total = summary.total
    assert total.parameters == sum(row.parameters for row in summary.rows)
    assert total.kept == sum(row.kept for row in summary.rows)
    assert total.entries == total.outputs * (total.inputs + total.parameters)
    assert (total.inputs, total.outputs) == (summary.rows[0].inputs, summary.rows[-1].outputs)


def test_what_two_layers_keep_is_counted_once():
    network = Network(a=layers.Tanh(), b=layers.Affine(2))
    rows = network.summary(network.initial((5, 3)), (5, 3)).rows
    assert rows[1].kept == 0  # the affine map keeps its input, which tanh keeps as its output
    assert rows[0].kept == 15  # tanh keeps its output alone


def test_it_prints_a_table_that_lines_up():
    network, shape = NETS["convolution"]
    text = str(network.summary(network.initial(shape), shape))
    assert repr(network.summary(network.initial(shape), shape)) == text
    head, *rows = text.splitlines()[: 2 + len(network.layers)]
    for row in rows:
        assert row[head.index("output") - 1] == " "
        assert row[: head.index("kind")].strip() in {*network.layers, "whole"}
    assert "conv" in text
    assert "2.2 MB" in str(
        Network(big=layers.Affine(64)).summary({"big": {"W": np.ones((64, 64)), "b": np.ones(64)}}, (1, 64))
    )
