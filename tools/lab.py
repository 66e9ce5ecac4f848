"""`make lab`: copy new notebooks into work/ and open them in JupyterLab; what a reader has changed is never touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

if __package__ is None:  # run as `python tools/lab.py`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.settings import NOTEBOOKS, ROOT

WORK = ROOT / "work"


def copy_new(source: Path = NOTEBOOKS, work: Path = WORK) -> list[Path]:
    """Copy the notebooks that ``work`` does not have yet; return the copies made."""
    made = []
    for notebook in sorted(source.rglob("*.ipynb")):
        copy = work / notebook.relative_to(source)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(notebook, copy)
            made.append(copy)
    return made


if __name__ == "__main__":
    for copy in copy_new():
        print(f"new: {copy.relative_to(ROOT)}")
    # The course's folder is the root, so that links from a notebook to the book's pages open too.
    lab = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={ROOT}",
        f"--LabApp.default_url=/lab/tree/{WORK.name}/index.ipynb",
        *sys.argv[1:],
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sys.exit(subprocess.call(lab, env={**os.environ, "PATH": path}))
