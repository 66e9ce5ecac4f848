"""A file gives back the network and its parameters, and nothing that was not written by `save`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from nets import NETS, inputs, random_params

from mathdl import layers
from mathdl.autodiff.trees import leaves
from mathdl.errors import InvalidInput
from mathdl.network import Network, fit, load, save


@pytest.mark.parametrize("name", NETS)
def test_what_is_loaded_is_what_was_saved(name, tmp_path):
    network, shape = NETS[name]
    params = random_params(network, shape)
    save(tmp_path / "net.npz", network, params)
    again, loaded = load(tmp_path / "net.npz")
    assert repr(again) == repr(network)
    assert all(np.array_equal(a, b) for a, b in zip(leaves(params), leaves(loaded), strict=True))
    np.testing.assert_array_equal(again(loaded, inputs(name)), network(params, inputs(name)))


def test_statistics_masks_and_single_precision_come_back(tmp_path):
    X, labels = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32), np.arange(9) % 2
    network = Network(norm=layers.BatchNorm(), out=layers.Affine(2))
    params = {name: {k: v.astype(np.float32) for k, v in own.items()} for name, own in network.initial((9, 2)).items()}
    fitted = fit(network, params, X, labels, epochs=1, progress=False)
    save(tmp_path / "net.npz", fitted.network, fitted.params)
    again, loaded = load(tmp_path / "net.npz")
    assert loaded["out"]["W"].dtype == np.float32
    np.testing.assert_array_equal(again(loaded, X), fitted.network(fitted.params, X))
    masked = Network(look=layers.MultiHeadAttention(1, np.tri(2, dtype=bool)))
    params = masked.initial((2, 4))
    save(tmp_path / "masked.npz", masked, params)
    again, loaded = load(tmp_path / "masked.npz")
    np.testing.assert_array_equal(again.layers["look"].mask, np.tri(2, dtype=bool))


def test_nothing_in_the_file_is_pickled(tmp_path):
    network, shape = NETS["mlp"]
    save(tmp_path / "net.npz", network, network.initial(shape))
    with np.load(tmp_path / "net.npz", allow_pickle=False) as file:
        assert all(file[key].dtype.kind in "fu" for key in file.files)
        assert "params/hidden/W" in file.files
        assert json.loads(file["network.json"].tobytes())["network"]["layers"]["hidden"]["kind"] == "Affine"


def written(path, description, **arrays):
    np.savez(path, **{"network.json": np.frombuffer(json.dumps(description).encode(), np.uint8)}, **arrays)


TANH = {"kind": "Tanh", "fields": {}}
BAD_FILES = {
    "no layer of ours": {"format": 1, "network": {"layers": {"a": {"kind": "Loss", "fields": {}}}}},
    "hidden name": {"format": 1, "network": {"layers": {"a": {"kind": "__builtins__", "fields": {}}}}},
    "unknown field": {"format": 1, "network": {"layers": {"a": {"kind": "Tanh", "fields": {"b": 1}}}}},
    "later format": {"format": 2, "network": {"layers": {"a": TANH}}},
    "no network": {"format": 1, "network": 3},
    "no description": {"format": 1},
    "lost array": {"format": 1, "network": {"layers": {"a": {"array": "network/a"}}}},
    "a list": [],
}


@pytest.mark.parametrize("bad", BAD_FILES)
def test_a_file_that_save_did_not_write_is_refused(bad, tmp_path):
    written(tmp_path / "net.npz", BAD_FILES[bad])
    with pytest.raises(InvalidInput, match="path: got a file"):
        load(tmp_path / "net.npz")


def test_other_files_are_refused_in_words(tmp_path):
    np.savez(tmp_path / "arrays.npz", a=np.ones(2))
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "one.npy", np.ones(3))
    np.savez(tmp_path / "object.npz", **{"network.json": np.array([{}], dtype=object)})
    for name in ("arrays.npz", "text.npz", "one.npy", "object.npz"):
        with pytest.raises(InvalidInput, match="path: got a file that cannot be read"):
            load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.npz")


def test_damaged_files_and_files_made_to_harm_are_refused_in_words(tmp_path):
    network, shape = NETS["mlp"]
    save(tmp_path / "net.npz", network, network.initial(shape))
    whole = (tmp_path / "net.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    affine = {"format": 1, "network": {"layers": {"a": {"kind": "Affine", "fields": {}}}}}
    written(tmp_path / "twice.npz", affine, **{"params/a": np.ones(1), "params/a/W": np.ones((1, 1))})
    written(tmp_path / "astray.npz", affine, W=np.ones(1))
    deep = '{"kind":"Residual","fields":{"layer":' * 20000 + "3" + "}}" * 20000
    np.savez(tmp_path / "deep.npz", **{"network.json": np.frombuffer(deep.encode(), np.uint8)})
    for name in ("cut", "twice", "astray", "deep"):
        with pytest.raises(InvalidInput, match=r"path: got a file that cannot be read"):
            load(tmp_path / f"{name}.npz")


def test_the_suffix_may_be_left_out_of_both(tmp_path):
    network, shape = NETS["mlp"]
    save(tmp_path / "net.v1", network, network.initial(shape))
    assert (tmp_path / "net.v1.npz").exists()
    assert repr(load(tmp_path / "net.v1")[0]) == repr(load(str(tmp_path / "net.v1.npz"))[0]) == repr(network)


def test_names_may_be_of_any_alphabet(tmp_path):
    network = Network(**{"größe": layers.Affine(2), "ключ": layers.Tanh(), "file": layers.Affine(3)})
    save(tmp_path / "net.npz", network, network.initial((1, 2)))
    assert repr(load(tmp_path / "net.npz")[0]) == repr(network)


def test_parameters_that_do_not_fit_are_refused(tmp_path):
    network, shape = NETS["mlp"]
    with pytest.raises(InvalidInput, match=r"params: got the keys \['hidden'\]"):
        save(tmp_path / "net.npz", network, {"hidden": network.initial(shape)["hidden"]})
    written(tmp_path / "net.npz", {"format": 1, "network": {"layers": {"a": TANH}}}, **{"params/a/W": np.ones(2)})
    with pytest.raises(InvalidInput, match=r"params: got the keys \['a'\]"):
        load(tmp_path / "net.npz")


def test_fields_are_numbers_and_arrays(tmp_path):
    save(tmp_path / "net.npz", Network(drop=layers.Dropout(0.5, seed=np.int64(3))), {})
    assert load(tmp_path / "net.npz")[0].layers["drop"].seed == 3
    network = Network(look=layers.MultiHeadAttention(1, mask=[[True]]))
    with pytest.raises(InvalidInput, match="network/look/mask: got a list of length 1; wanted numbers, arrays"):
        save(tmp_path / "net.npz", network, network.initial((1, 2)))


def test_layers_of_ones_own_cannot_be_named_in_a_file(tmp_path):
    class Tanh(layers.Tanh):
        pass

    with pytest.raises(InvalidInput, match=r"network/mine: got a layer Tanh; wanted layers of mathdl\.layers"):
        save(tmp_path / "net.npz", Network(mine=Tanh()), {})
