"""Where things are, and the one environment in which chapters run: the same on every machine.

One BLAS thread and a fixed hash seed, because both can change the last digits or the order of what a chapter prints.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
EXPERIMENTS = BOOK / "_experiments"
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "_build"
SITE = BUILD / "html"

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}


def environment() -> dict[str, str]:
    """Return the environment for a process that executes chapters."""
    return {**os.environ, **ENVIRONMENT}


def pages() -> list[Path]:
    """Return the source of every page, in the order of ``_toc.yml``."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    names = [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]
    return [ROOT / f"{name}.md" for name in names]


def chapters() -> list[Path]:
    """Return the pages that hold code cells: those that become notebooks."""
    return [page for page in pages() if "file_format: mystnb" in page.read_text(encoding="utf-8")[:400]]
