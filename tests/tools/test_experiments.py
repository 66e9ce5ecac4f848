"""Kept results: where they come from, and when they are no longer to be trusted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import experiments
from tools.settings import EXPERIMENTS

SCRIPT = """\"\"\"What for.\"\"\"
import mathdl.errors


def run():
    return {"answer": [42, 0.5]}
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "example.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.py")), ids=lambda path: path.stem)
def test_the_books_experiments_are_fresh(path: Path) -> None:
    assert experiments.stale(path) == "", f"run: make experiments ONLY={path.stem}"


def test_a_result_is_kept_and_goes_stale_with_the_code_but_not_with_its_words(script: Path) -> None:
    assert experiments.stale(script) == "it has never been run"
    experiments.measure(script)
    kept = json.loads(script.with_suffix(".json").read_text())
    assert kept["result"] == {"answer": [42, 0.5]}
    assert "mathdl/errors.py" in kept["used"]
    assert experiments.stale(script) == ""
    script.write_text(SCRIPT.replace("What for.", "What else.") + "# a comment\n")
    assert experiments.stale(script) == ""
    script.write_text(SCRIPT.replace("42", "43"))
    assert "has changed" in experiments.stale(script)


def test_a_result_goes_stale_with_the_package(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mathdl"
    package.mkdir()
    (package / "part.py").write_text("x = 1\n")
    monkeypatch.setattr(experiments, "ROOT", tmp_path)
    before = experiments.digest(script, ["mathdl/part.py"])
    (package / "part.py").write_text("x = 2\n")
    changed = experiments.digest(script, ["mathdl/part.py"])
    (package / "part.py").unlink()
    assert len({before, changed, experiments.digest(script, ["mathdl/part.py"])}) == 3


def test_only_the_named_ones_are_run_and_a_failure_is_told(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(experiments, "EXPERIMENTS", script.parent)
    other = script.with_name("other.py")
    other.write_text("def run():\n    raise SystemExit(3)\n")
    assert experiments.main(["nothing"]) == 2
    assert "no such experiment: nothing" in capsys.readouterr().out
    assert experiments.main(["example"]) == 0
    assert script.with_suffix(".json").exists()
    assert experiments.main([]) == 3
    assert "other: failed" in capsys.readouterr().out
