"""Which functions of NumPy can be differentiated: read from the tables of rules, and from nothing else.

A test calls every one of them and finds the same. Shown in the appendix *API*.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from mathdl.autodiff.primitives import CONSTANT, ELEMENTWISE, RULES

__all__ = ["NOT_OF_ARRAYS", "PUBLIC", "supported"]

# They read files, print, configure, make arrays of given shapes, or speak of types, shapes and integers only.
NOT_OF_ARRAYS: Final = frozenset(
    f"numpy.{name}"
    for name in """
    save savez savez_compressed savetxt load loadtxt genfromtxt fromfile fromregex info show_config show_runtime test
    seterr geterr seterrcall geterrcall setbufsize getbufsize set_printoptions get_printoptions get_include linalg.test
    fft.test memmap from_dlpack frompyfunc fromfunction fromiter fromstring frombuffer empty printoptions
    errstate eye identity indices mask_indices tri tril_indices triu_indices diag_indices bartlett blackman hamming
    hanning fft.fftfreq fft.rfftfreq broadcast_shapes isdtype issubdtype promote_types typename mintypecode
    base_repr binary_repr datetime_as_string datetime_data einsum_path format_float_positional
    format_float_scientific nested_iters ravel_multi_index unravel_index ones zeros
    """.split()
)
# They make arrays of what they are given, by Python's own protocols: a list of traced numbers is followed through them.
FOLLOWED: Final = frozenset(
    f"numpy.{name}"
    for name in """
    array asarray asanyarray ascontiguousarray asfortranarray asarray_chkfinite require full row_stack
    """.split()
)


def _public() -> Iterator[tuple[str, Any]]:
    for space, module in (("numpy", np), ("numpy.linalg", np.linalg), ("numpy.fft", np.fft)):
        for name in sorted(dir(module)):
            found = getattr(module, name)
            if not name.startswith("_") and callable(found) and not inspect.isclass(found):
                yield f"{space}.{name}", found


PUBLIC: Final[dict[str, Any]] = dict(_public())


def supported() -> dict[str, list[str]]:
    """Which public functions of ``numpy``, ``numpy.linalg`` and ``numpy.fft`` can be differentiated.

    Returns
    -------
    dict of str to list of str
        ``"derivative"``: those with a derivative; ``"constant"``: those whose result is piecewise constant, such as
        ``np.floor``; ``"refused"``: those that raise `NotDifferentiable`; ``"no function of arrays"``: those that a
        derivative cannot be asked of, such as ``np.eye``. Names that mean the same function are all listed.

    References
    ----------
    Appendix *API*.

    Examples
    --------
    >>> names = supported()
    >>> "numpy.sin" in names["derivative"], "numpy.floor" in names["constant"], "numpy.fft.fft" in names["refused"]
    (True, True, True)
    """
    kinds: dict[str, list[str]] = {"derivative": [], "constant": [], "refused": [], "no function of arrays": []}
    for name, function in PUBLIC.items():
        kinds[_kind(name, function)].append(name)
    return kinds


def _kind(name: str, function: Any) -> str:
    if name in NOT_OF_ARRAYS:
        return "no function of arrays"
    if function in CONSTANT:
        return "constant"
    return "derivative" if function in RULES or function in ELEMENTWISE or name in FOLLOWED else "refused"


_HEADINGS: Final = {
    "derivative": "have a derivative, forward and backward, of any order",
    "constant": "are piecewise constant or ask a question: they give a plain array, and the derivative is zero",
    "refused": "raise `NotDifferentiable`, which names the function, your line, and what to write instead",
    "no function of arrays": "are never asked for a derivative: they make arrays of a shape, read files, or print",
}


def listing() -> str:
    """The same as Markdown, with counts: what the appendix shows."""
    paragraphs = [f"NumPy {np.__version__} has {len(PUBLIC)} public functions of these names. Of them"]
    for kind, names in supported().items():
        short = " ".join(f"`{name.removeprefix('numpy.')}`" for name in names)
        paragraphs.append(f"**{len(names)}** {_HEADINGS[kind]}:\n{short}")
    return "\n\n".join(paragraphs) + "\n"


if __name__ == "__main__":
    print(listing())
