"""Parameters as nested dicts, lists and tuples of arrays: taken apart into leaves, and put together again.

``flatten`` makes one vector of them, which is what a Jacobian or an optimizer of vectors wants.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mathdl.arrays import describe
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.trace import Traced, collect
from mathdl.errors import InvalidInput, MathdlError, NotDifferentiable

__all__ = ["as_leaf", "build", "flatten", "inputs", "leaves", "mapped"]


def leaves(tree: Any) -> list[Any]:
    """The arrays of a tree, in order."""
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in leaves(part)]
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def places(tree: Any, name: str) -> list[str]:
    """Where each of them stands, such as ``params['W'][0]``: for messages."""
    if isinstance(tree, dict):
        return [place for key, part in tree.items() for place in places(part, f"{name}[{key!r}]")]
    if isinstance(tree, (list, tuple)):
        return [place for k, part in enumerate(tree) for place in places(part, f"{name}[{k}]")]
    return [name]


def inputs(tree: Any, name: str, exact: bool = True) -> list[Any]:
    """The leaves of a tree as arrays and numbers, or an error that says which is none.

    A point must be made of floating-point numbers; a direction (``exact=False``) may be written with integers too.
    """
    try:
        return [leaf if _is_plain(leaf) else as_leaf(leaf, "", exact) for leaf in leaves(tree)]
    except MathdlError:
        return [as_leaf(leaf, place, exact) for leaf, place in zip(leaves(tree), places(tree, name), strict=True)]


def _is_plain(leaf: Any) -> bool:
    return type(leaf) is np.ndarray and leaf.dtype.kind == "f" and bool(leaf.ndim)


def build(tree: Any, new: Iterator[Any]) -> Any:
    """A tree of the same form, with new leaves."""
    if isinstance(tree, dict):
        return type(tree)((key, build(part, new)) for key, part in tree.items())
    if isinstance(tree, (list, tuple)):
        parts = [build(part, new) if isinstance(part, (dict, list, tuple)) else next(new) for part in tree]
        if type(tree) is list:
            return parts
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return next(new)


def mapped(function: Callable[..., Any], tree: Any, *others: Any, name: str = "tree") -> Any:
    """A tree of ``function``'s results, over the leaves of one tree or, where they have the same place, of several.

    Dicts are matched by their keys, whatever the order; `InvalidInput` where the trees do not fit.
    """
    for k, other in enumerate(others):
        same = isinstance(other, dict) and other.keys() == tree.keys() if isinstance(tree, dict) else True
        if isinstance(tree, (list, tuple)):
            same = isinstance(other, (list, tuple)) and len(other) == len(tree)
        if not same:
            wanted = f"the keys {list(tree)}" if isinstance(tree, dict) else f"{len(tree)} parts"
            keys = f"the keys {list(other)}" if isinstance(other, dict) else describe(other)
            raise InvalidInput(f"tree {k + 2}, at {name}", keys, f"{wanted}, as in the first tree")
    if isinstance(tree, dict):
        return {
            key: mapped(function, part, *(other[key] for other in others), name=f"{name}[{key!r}]")
            for key, part in tree.items()
        }
    if isinstance(tree, (list, tuple)):
        parts = zip(tree, *others, strict=True)
        results = [mapped(function, *part, name=f"{name}[{k}]") for k, part in enumerate(parts)]
        return results if isinstance(tree, list) else tuple(results)
    return function(tree, *others)


def as_leaf(x: Any, name: str, exact: bool = True) -> Any:
    """One input as an array or a number, or a named error."""
    if isinstance(x, Traced):
        return x.same()
    if isinstance(x, Followed) and x.dtype.kind == "f":  # type: ignore[attr-defined]
        return x
    if isinstance(x, float):
        return x if isinstance(x, np.generic) else np.float64(x)
    array = np.asarray(x) if isinstance(x, (np.ndarray, np.generic, int, complex)) else None
    if array is None or array.dtype.kind not in "fiubcO":
        raise InvalidInput(name, describe(x), "an array of floating-point numbers, or a dict, list or tuple of them")
    if array.dtype.kind == "O":
        return collect(array)
    if array.dtype.kind == "c":
        raise NotDifferentiable(name, "it is complex, and only real derivatives are defined here", "use real numbers")
    if array.dtype.kind in "iu" and not exact:
        return array.astype(float)[()]
    if array.dtype.kind != "f":
        raise NotDifferentiable(
            name,
            f"it holds integers ({describe(x)}), between which a derivative has no meaning",
            f"write np.asarray({name}, dtype=float), or 1.0 in place of 1",
        )
    return array[()]


def flatten(tree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Make one vector of all arrays in a tree.

    Parameters
    ----------
    tree : array, or nested dict, list or tuple of arrays
        Floating-point arrays of any shapes.

    Returns
    -------
    vector : ndarray, shape (n,)
        All entries, in the order of the tree.
    unflatten : callable
        Takes such a vector and gives back a tree of the same form; traced vectors too.

    Raises
    ------
    InvalidInput
        If a leaf is not an array of numbers, or if ``unflatten`` gets a vector of another length.
    NotDifferentiable
        If a leaf is made of integers or complex numbers.

    References
    ----------
    Chapter *Automatic differentiation*.

    Examples
    --------
    >>> vector, unflatten = flatten({"W": np.ones((2, 2)), "b": np.zeros(2)})
    >>> vector
    array([1., 1., 1., 1., 0., 0.])
    >>> unflatten(2 * vector)["b"]
    array([0., 0.])
    """
    arrays = inputs(tree, "tree")
    ends = np.cumsum([0] + [int(x.size) for x in arrays]).tolist()
    vector = np.concatenate([np.reshape(x, -1) for x in arrays]) if arrays else np.zeros(0)

    def unflatten(v: Any) -> Any:
        if np.shape(v) != (ends[-1],):
            raise InvalidInput("vector", f"shape {np.shape(v)}", f"shape ({ends[-1]},)")
        v = v if isinstance(v, Followed) else np.asarray(v)
        parts = [
            np.reshape(v[begin:end], x.shape) if x.shape else v[begin]
            for begin, end, x in zip(ends, ends[1:], arrays, strict=False)
        ]
        return build(tree, iter([p if isinstance(p, Followed) else np.array(p)[()] for p in parts]))

    return vector, unflatten
