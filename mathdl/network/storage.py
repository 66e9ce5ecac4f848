"""A network and its parameters in one .npz file: arrays and a plain description, so that loading runs no code.

Explained in the chapter *Backpropagation*.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import numpy as np

from mathdl import layers
from mathdl.arrays import describe
from mathdl.errors import InvalidInput
from mathdl.layers.layer import Layer, Params
from mathdl.network.composition import Network

__all__ = ["load", "save"]

_FORMAT = 1
_DESCRIPTION = "network.json"


def save(path: str | os.PathLike[str], network: Network, params: Params) -> None:
    """Write a network and its parameters to one ``.npz`` file.

    Parameters
    ----------
    path : str or path
        Written over if it is there. ``.npz`` is added where it is missing.
    network : Network
        Of layers of `mathdl.layers`: that of a `Fitted` for evaluation, or the one that `fit` was given to train on.
    params : dict of str to dict of str to ndarray

    Raises
    ------
    InvalidInput
        If the parameters are not those of the network, or a layer is not one of `mathdl.layers`.

    Examples
    --------
    >>> import tempfile
    >>> from mathdl.layers import Affine, Tanh
    >>> network = Network(squash=Tanh(), out=Affine(2))
    >>> params = network.initial((1, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/network", network, params)
    ...     again, loaded = load(f"{folder}/network.npz")
    >>> again, np.array_equal(loaded["out"]["W"], params["out"]["W"])
    (Network(squash=Tanh(), out=Affine(width=2)), True)
    """
    arrays: dict[str, Any] = {}
    description = {"format": _FORMAT, "network": _described(network, arrays, "network")}
    _put(network._params(params), arrays, "params")
    text = np.frombuffer(json.dumps(description).encode(), dtype=np.uint8)
    np.savez(path, allow_pickle=False, **{_DESCRIPTION: text}, **arrays)


def load(path: str | os.PathLike[str]) -> tuple[Network, dict[str, Any]]:
    """Read what `save` wrote.

    Parameters
    ----------
    path : str or path
        As `save` had it: the file may have ``.npz`` after it.

    Returns
    -------
    network : Network
    params : dict of str to dict of str to ndarray

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InvalidInput
        If `save` has not written it, or its parameters are not those of its network. Pickled objects are never read.
    """
    path = os.fspath(path)
    try:
        return _read(f"{path}.npz" if os.path.exists(f"{path}.npz") else path)
    except (InvalidInput, OSError):
        raise
    except Exception as error:  # what a damaged file, or one made to harm, can raise is not to be listed
        came = f"a file that cannot be read ({type(error).__name__}: {error})"
        raise InvalidInput("path", came, "one that mathdl.network.save wrote") from error


def _read(path: str) -> tuple[Network, dict[str, Any]]:
    with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    description = json.loads(arrays.pop(_DESCRIPTION).tobytes())
    if description["format"] != _FORMAT:
        raise InvalidInput("path", f"a file of format {description['format']}", f"one of format {_FORMAT}")
    network = _made(description["network"], arrays)
    if not isinstance(network, Network):
        raise InvalidInput("path", f"a file with {describe(network)}", "one that mathdl.network.save wrote")
    params: dict[str, Any] = {}
    for key, array in arrays.items():
        *way, last = key.split("/")[1:]
        inside = params
        for name in way:
            inside = inside.setdefault(name, {})
        inside[last] = array
    return network, dict(network._params(params))


def _put(params: Params, arrays: dict[str, Any], path: str) -> None:
    for name, value in params.items():
        if isinstance(value, dict):
            _put(value, arrays, f"{path}/{name}")
        else:
            arrays[f"{path}/{name}"] = np.asarray(value)


def _described(value: Any, arrays: dict[str, Any], path: str) -> Any:
    """A layer, or the value of one of its fields, in words that JSON has; arrays go to ``arrays``."""
    if isinstance(value, Network):
        return {"layers": {name: _described(layer, arrays, f"{path}/{name}") for name, layer in value.layers.items()}}
    if isinstance(value, Layer):
        kind = type(value).__name__
        if getattr(layers, kind, None) is not type(value) or not dataclasses.is_dataclass(value):
            raise InvalidInput(path, f"a layer {kind}", "layers of mathdl.layers, which a file can name")
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {"kind": kind, "fields": {name: _described(v, arrays, f"{path}/{name}") for name, v in fields.items()}}
    if isinstance(value, tuple):
        return [_described(part, arrays, f"{path}/{k}") for k, part in enumerate(value)]
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"array": path}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InvalidInput(path, describe(value), "numbers, arrays and layers, which a file can hold")


def _made(description: Any, arrays: dict[str, Any]) -> Any:
    """What `_described` described. Nothing but the layers of `mathdl.layers` is ever made."""
    if isinstance(description, list):
        return tuple(_made(part, arrays) for part in description)
    if not isinstance(description, dict):
        return description
    if "layers" in description:
        return Network(**{name: _made(layer, arrays) for name, layer in description["layers"].items()})
    if "array" in description:
        return arrays.pop(description["array"])
    kind = description["kind"]
    made = getattr(layers, kind) if kind in layers.__all__ else None
    if not isinstance(made, type) or not issubclass(made, Layer):
        raise InvalidInput("path", f"a file with a layer {kind!r}", "one that mathdl.network.save wrote")
    return made(**{name: _made(value, arrays) for name, value in description["fields"].items()})
