"""`make experiments`: run what takes longer than a chapter may, and keep its results beside the scripts.

`book/_experiments/NAME.py` has a function ``run`` that returns what JSON can hold; it goes to `NAME.json`, with a
digest of the code that made it. A test fails when that code has changed since. Arguments name those to run.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

if __package__ is None:  # run as `python tools/experiments.py`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.settings import EXPERIMENTS, ROOT, environment


def code(path: Path) -> str:
    """Return what a file of Python does, without comments, docstrings and layout."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Pass()
    return ast.dump(tree)


def digest(script: Path, used: list[str]) -> str:
    """Return a hash of a script and of the package's files that it used."""
    total = hashlib.sha256(code(script).encode())
    for name in used:
        path = ROOT / name
        total.update(code(path).encode() if path.exists() else b"gone")
    return total.hexdigest()


def load(script: Path) -> ModuleType:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure(script: Path) -> None:
    """Run one script in this process, and write its result."""
    result: dict[str, Any] = load(script).run()
    files = [Path(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())]
    package = ROOT / "mathdl"
    used = sorted({str(path.relative_to(ROOT).as_posix()) for path in files if path.is_relative_to(package)})
    parts = {"digest": digest(script, used), "used": used, "result": result}
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in parts.items())
    script.with_suffix(".json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def stale(script: Path) -> str:
    """Return why the kept result of a script is not to be trusted, or nothing."""
    kept = script.with_suffix(".json")
    if not kept.exists():
        return "it has never been run"
    written = json.loads(kept.read_text(encoding="utf-8"))
    if written["digest"] != digest(script, written["used"]):
        return "the script or the package has changed since it was run"
    return ""


def main(names: list[str]) -> int:
    """Run the experiments of these names, or all: each in a process of its own."""
    scripts = sorted(EXPERIMENTS.glob("*.py"))
    unknown = set(names) - {script.stem for script in scripts}
    if unknown:
        print(f"no such experiment: {', '.join(sorted(unknown))}")
        return 2
    for script in scripts:
        if names and script.stem not in names:
            continue
        start = time.perf_counter()
        command = [sys.executable, __file__, "--here", str(script)]
        status = subprocess.run(
            command, cwd=ROOT, env={**environment(), "PYTHONPATH": str(ROOT)}, check=False
        ).returncode
        if status:
            print(f"{script.stem}: failed")
            return status
        print(f"{script.stem}: {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        measure(Path(sys.argv[2]))
    else:
        sys.exit(main(sys.argv[1:]))
