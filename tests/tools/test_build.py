"""Builds a book of two pages for real: what must fail fails, stays failed and says where; the rest is not run twice."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools import build, lab
from tools.settings import ROOT

TOC = """format: jb-book
root: book/index
parts:
  - caption: Only part
    chapters:
      - file: book/chapter
"""
CHAPTER = """---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---

# A chapter

$$
y = {tex}
$$ (eq-y)

```{{code-cell}} python
x = 1
```

```{{code-cell}} python
y = {code}
print(y)
```
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small book with this book's settings, extension, styles and tools."""
    root = tmp_path_factory.mktemp("book")
    for name in ("_config.yml", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    for folder in ("book/_ext", "book/_static", "book/_theme", "tools"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "_toc.yml").write_text(TOC, encoding="utf-8")
    (root / "mathdl").mkdir()
    (root / "mathdl" / "part.py").write_text("one = 1\n", encoding="utf-8")
    (root / "book" / "index.md").write_text("# A book\n\nText.\n", encoding="utf-8")
    return root


def run(root: Path, code: str = "x + 1", tex: str = "x^2") -> subprocess.CompletedProcess[str]:
    chapter = root / "book" / "chapter.md"
    text = CHAPTER.format(code=code, tex=tex)
    if not chapter.exists() or chapter.read_text(encoding="utf-8") != text:
        chapter.write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "tools/build.py"], cwd=root, text=True, capture_output=True, timeout=300, check=False
    )


def test_a_build_says_where_it_is_and_a_second_one_executes_nothing(book: Path) -> None:
    first = run(book)
    assert first.returncode == 0, first.stdout + first.stderr
    assert str(book / "_build" / "html" / "index.html") in first.stdout.splitlines()[-1]
    assert "Executed notebook" in first.stdout
    second = run(book)
    assert second.returncode == 0
    assert "Executed notebook" not in second.stdout


@pytest.mark.parametrize("changed", ["mathdl/part.py", "requirements.txt", "book/_data/table.csv", "_config.yml"])
def test_a_changed_package_lock_data_or_setting_executes_everything(book: Path, changed: str) -> None:
    assert run(book).returncode == 0
    path = book / changed
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    again = run(book)
    assert again.returncode == 0, again.stdout
    assert "Executed notebook" in again.stdout


def test_changed_looks_write_every_page_and_execute_nothing(book: Path) -> None:
    assert run(book).returncode == 0
    page = book / "_build" / "html" / "book" / "chapter.html"
    before = page.read_text(encoding="utf-8")
    with (book / "book" / "_static" / "course.css").open("a", encoding="utf-8") as file:
        file.write("\narticle { color: green; }\n")
    again = run(book)
    assert again.returncode == 0, again.stdout
    assert "Executed notebook" not in again.stdout
    after = page.read_text(encoding="utf-8")
    assert "course.css?v=" in after
    assert after != before


def test_a_chapter_that_raises_fails_names_chapter_cell_and_exception_and_stays_failed(book: Path) -> None:
    for _ in range(2):
        broken = run(book, code="x + missing")
        assert broken.returncode == 1
        last = broken.stdout.strip().splitlines()[-1]
        assert last == ("book/chapter.md: code cell 2 (line 18) raised NameError: name 'missing' is not defined")
    assert run(book).returncode == 0


def test_maths_that_katex_cannot_render_fails_the_build(book: Path) -> None:
    for _ in range(2):
        broken = run(book, tex=r"\nosuchcommand{x}")
        assert broken.returncode == 1
        assert "KaTeX cannot render" in broken.stdout
        assert "nosuchcommand" in broken.stdout


def course() -> Any:
    spec = importlib.util.spec_from_file_location("course", ROOT / "book" / "_ext" / "course.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_node_the_build_says_so_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    extension = course()
    assert Path(extension.node()).name.startswith("node")
    monkeypatch.setattr(extension.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(extension.shutil, "which", lambda name: None)
    with pytest.raises(extension.ExtensionError, match=r"Node\.js was not found"):
        extension.node()


def test_a_derivative_without_its_check_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    extension = course()
    equation = '<div class="math" id="equation-eq-d-y"><span class="eqno">(1)</span></div>'
    cell = '<div class="cell"><div class="cell_output">✓ checked {}: agrees</div></div>'
    warned: list[str] = []
    extension.LOGGER = type("Log", (), {"warning": staticmethod(lambda *args, **kwargs: warned.append(args[1]))})
    for label, expected in (("eq-d-y", []), ("eq-d-y-2", ["eq-d-y"]), ("eq-d", ["eq-d-y"])):
        warned.clear()
        page = extension.BeautifulSoup(equation + cell.format(label), "html.parser")
        extension.mark_checked_equations(page, "page")
        assert warned == expected
        assert (page.select_one("a.checked") is not None) == (not expected)


def test_lines_that_arrive_in_pieces_stay_lines() -> None:
    pieces = [
        {"output_type": "stream", "name": "stdout", "text": "passed:"},
        {"output_type": "stream", "name": "stderr", "text": "careful\n"},
        {"output_type": "stream", "name": "stdout", "text": " True\nnext\n"},
        {"output_type": "display_data"},
    ]
    joined = course().whole_streams(pieces)
    assert [output.get("text") for output in joined] == ["passed: True\nnext\n", "careful\n", None]


def test_a_column_without_a_name_has_no_head() -> None:
    table = "<table><thead><tr><th><p></p></th><th>rate</th></tr></thead></table>"
    page = course().BeautifulSoup(table, "html.parser")
    course().drop_empty_heads(page)
    assert [cell.name for cell in page.select("tr > *")] == ["td", "th"]


def test_the_digests_see_data_package_and_lock_and_the_looks() -> None:
    names, looks = {path.name for path in build.inputs()}, {path.name for path in build.looks()}
    assert {"requirements.txt", "_config.yml", "checking.py", "course.py", "digits.csv.gz"} <= names
    assert {"course.css", "layout.html", "thread.svg"} <= looks
    assert not names & {"course.css", "layout.html"}


def test_lab_copies_new_notebooks_and_never_overwrites_a_readers_answers(tmp_path: Path) -> None:
    source, work = tmp_path / "notebooks", tmp_path / "work"
    source.mkdir()
    (source / "a.ipynb").write_text("new", encoding="utf-8")
    assert lab.copy_new(source, work) == [work / "a.ipynb"]
    (work / "a.ipynb").write_text("answers", encoding="utf-8")
    assert lab.copy_new(source, work) == []
    assert (work / "a.ipynb").read_text(encoding="utf-8") == "answers"
