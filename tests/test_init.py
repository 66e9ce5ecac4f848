"""``import mathdl`` is light, and says what it has."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import mathdl as md

HEAVY = ("sympy", "scipy", "matplotlib", "IPython", "sklearn", "jax", "torch")


def _loaded_after(code: str) -> set[str]:
    """Which of the heavy packages a fresh Python has loaded after running some code."""
    code += f"\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return set(result.stdout.split())


def test_importing_loads_nothing_heavy() -> None:
    assert _loaded_after("import mathdl as md; dir(md); md.errors; md.__version__") == set()


def test_heavy_packages_come_with_first_use() -> None:
    assert "sympy" in _loaded_after("import mathdl as md; md.symbolic")
    assert "matplotlib" in _loaded_after("import mathdl as md; md.plot")


def test_differences_need_no_sympy_and_no_matplotlib() -> None:
    assert not {"sympy", "matplotlib"} & _loaded_after("import mathdl as md; md.numeric.jacobian; md.check_jacobian")


@pytest.mark.parametrize("name", md.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(md, name) is getattr(md, name)
    assert name in dir(md)


def test_names_are_found_again_after_they_were_forgotten() -> None:
    """The lazy way itself, also where another test has loaded everything."""
    for name, (module, attribute) in md._LAZY.items():
        loaded = importlib.import_module(module)
        md.__dict__.pop(name, None)
        assert getattr(md, name) is (loaded if attribute is None else getattr(loaded, attribute))
        assert name in vars(md)


def test_the_list_of_names_is_sorted_complete_and_has_none_twice() -> None:
    assert list(md.__all__) == sorted(md.__all__)
    assert set(md.__all__) == {"errors", *md._LAZY}
    md.numeric  # noqa: B018  loaded names are not listed a second time
    names = md.__dir__()
    assert names == sorted(set(names))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'jacobain'; it has autodiff, check_jacobian, .*symbolic"):
        md.jacobain  # noqa: B018
    assert not hasattr(md, "nothing")


def test_the_version_is_a_version() -> None:
    assert all(part.isdigit() for part in md.__version__.split(".")[:2])
