"""States of optimizers and trainings in one .npz file: arrays and a plain description, so that loading runs no code.

What is loaded has the very bits that were saved, so that a run goes on as if it had never stopped.
Explained in the chapter *Adaptive steps*.
"""

from __future__ import annotations

import io
import json
import os
from typing import Any

import numpy as np

from mathdl.arrays import describe
from mathdl.errors import InvalidInput

__all__ = ["load", "save"]

_DESCRIPTION = "state.json"
_FORMAT = 1


def save(path: str | os.PathLike[str], state: Any) -> None:
    """Write a state to one ``.npz`` file.

    Parameters
    ----------
    path : str or path
        Written over if it is there. ``.npz`` is added where it is missing.
    state : tree
        Nested dicts (with names for keys), lists and tuples of arrays, numbers, strings, booleans and None: the state
        of any optimizer of mathdl, with or without the parameters, or that of a `mathdl.network.Fitted`.

    Raises
    ------
    InvalidInput
        If something in it is none of these.

    Examples
    --------
    >>> import tempfile
    >>> from mathdl.optim import Adam
    >>> adam, x = Adam(), {"x": np.array([4.0])}
    >>> step, state = adam.update(x, adam.initial(x), x)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/state", (x, state))
    ...     x, state = load(f"{folder}/state")
    >>> x, state["step"]
    ({'x': array([4.])}, 1)
    """
    arrays: dict[str, Any] = {}
    text = json.dumps({"format": _FORMAT, "state": _described(state, arrays, "state")})
    np.savez(path, allow_pickle=False, **{_DESCRIPTION: np.frombuffer(text.encode(), dtype=np.uint8)}, **arrays)


def load(path: str | os.PathLike[str]) -> Any:
    """Read what `save` wrote.

    Parameters
    ----------
    path : str or path
        As `save` had it: the file may have ``.npz`` after it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InvalidInput
        If `save` has not written it. Pickled objects are never read.
    """
    path = os.fspath(path)
    path = f"{path}.npz" if os.path.exists(f"{path}.npz") else path
    with open(path, "rb") as file:
        data = file.read()
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        description = json.loads(arrays.pop(_DESCRIPTION).tobytes())
        if description["format"] == _FORMAT:
            return _made(description["state"], arrays)
    except Exception as error:  # what a damaged file, or one made to harm, can raise is not to be listed
        came = f"a file that cannot be read ({type(error).__name__}: {error})"
        raise InvalidInput("path", came, "one that mathdl.optim.save wrote") from error
    raise InvalidInput("path", f"a file of format {description['format']}", f"one of format {_FORMAT}")


def _described(value: Any, arrays: dict[str, Any], place: str) -> Any:
    """A part of a state in words that JSON has; arrays go to ``arrays``, named by their places."""
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise InvalidInput(place, f"the keys {list(value)}", "names")
        return {"dict": {key: _described(part, arrays, f"{place}/{key}") for key, part in value.items()}}
    if isinstance(value, (list, tuple)):
        parts = [_described(part, arrays, f"{place}/{k}") for k, part in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": parts}
    masked = isinstance(value, np.ma.MaskedArray)
    if isinstance(value, (np.ndarray, np.generic)) and not masked and np.asarray(value).dtype.kind in "biufc":
        name = str(len(arrays))  # places may have any character in them, or be alike
        arrays[name] = np.asarray(value)
        return {"array" if isinstance(value, np.ndarray) else "number": name}
    if isinstance(value, float):
        return {"float": value.hex()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise InvalidInput(place, describe(value), "arrays, numbers, strings, and dicts, lists and tuples of them")


def _made(description: Any, arrays: dict[str, Any]) -> Any:
    """What `_described` described."""
    if not isinstance(description, dict):
        return description
    ((kind, parts),) = description.items()
    if kind == "dict":
        return {key: _made(part, arrays) for key, part in parts.items()}
    if kind in ("list", "tuple"):
        made = [_made(part, arrays) for part in parts]
        return made if kind == "list" else tuple(made)
    if kind == "float":
        return float.fromhex(parts)
    return {"array": arrays[parts], "number": arrays[parts][()]}[kind]
