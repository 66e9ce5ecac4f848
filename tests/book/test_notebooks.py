"""The stored notebooks are in step with the chapters, executed from top to bottom, and hold nothing that may differ.

Each check is a function that lists what is wrong with a notebook, and is tried on notebooks that are broken on purpose.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import nbformat
import pytest
from chapters import ROOT, book, notebook_path, toc

NOTEBOOKS = ROOT / "notebooks"
CHAPTERS = [name for name in toc() if name in book() and book()[name].executable]
EVAL = re.compile(r"\{eval\}`([^`]+)`")


@cache
def _converted(name: str) -> Any:
    from tools.notebooks import convert

    return convert(ROOT / f"{name}.md")


@cache
def _stored(name: str) -> Any:
    path = notebook_path(name)
    assert path.exists(), f"{path.relative_to(ROOT)} is missing; run make notebooks"
    return nbformat.read(path, as_version=4)


def out_of_step(stored: Any, converted: Any) -> Iterator[str]:
    """Where a stored notebook's inputs are not those of its chapter."""
    if len(stored.cells) != len(converted.cells):
        yield f"{len(stored.cells)} cells, but the chapter makes {len(converted.cells)}; run make notebooks"
        return
    if stored.metadata.get("kernelspec", {}).get("name") != converted.metadata.get("kernelspec", {}).get("name"):
        yield "another kernel than the chapter's"
    for k, (mine, wanted) in enumerate(zip(stored.cells, converted.cells, strict=True)):
        if mine.cell_type != wanted.cell_type:
            yield f"cell {k} is {mine.cell_type}, the chapter's is {wanted.cell_type}; run make notebooks"
        elif mine.source != wanted.source:
            yield f"cell {k} is not the chapter's: {_first_difference(mine.source, wanted.source)}; run make notebooks"
        elif _settings(mine) != _settings(wanted):
            yield f"cell {k} has the settings {_settings(mine)}, the chapter's {_settings(wanted)}; run make notebooks"


def _settings(cell: Any) -> dict[str, Any]:
    """A cell's metadata, tags included, without what executing adds."""
    return {key: value for key, value in cell.metadata.items() if key not in ("user_expressions", "execution")}


def _first_difference(a: str, b: str) -> str:
    for one, other in zip(a.splitlines(), b.splitlines(), strict=False):
        if one != other:
            return f"{one!r} instead of {other!r}"
    return f"{len(a.splitlines())} lines instead of {len(b.splitlines())}"


def not_executed(notebook: Any) -> Iterator[str]:
    """Where a notebook was not run from top to bottom in one go, or did not succeed."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code]
    if counts != list(range(1, len(code) + 1)):
        yield f"the cells were executed as {counts}; run make notebooks"
    for k, cell in enumerate(code, 1):
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"code cell {k} raised {output.ename}: {output.evalue}"
            if output.output_type == "stream" and output.name == "stderr":
                yield f"code cell {k} wrote to stderr: {output.text[:80]!r}"
            if output.output_type == "execute_result" and output.execution_count != cell.execution_count:
                yield f"code cell {k} has the output of another run"
    for k, cell in enumerate(notebook.cells):
        wanted = EVAL.findall(cell.source) if cell.cell_type == "markdown" else []
        stored = cell.metadata.get("user_expressions", [])
        if [e["expression"] for e in stored] != wanted:
            yield f"cell {k} has not the values of its {{eval}} expressions; run make notebooks"
        for expression in stored:
            if expression["result"].get("status") != "ok":
                yield f"{{eval}}`{expression['expression']}` in cell {k} failed"


LEAKS = {
    "an absolute path": re.compile(r"(?<![\w.])/(home|root|Users|tmp|work|usr|opt|var)/|[A-Z]:\\|site-packages"),
    "a memory address": re.compile(r"\b0x[0-9a-fA-F]{6,}\b"),
    "a time": re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d"),
    "an image": re.compile(r"data:image/|<svg\b|<img\b"),
}


def not_reproducible(notebook: Any) -> Iterator[str]:
    """What would differ on another machine or another day, or makes the file large."""
    for k, cell in enumerate(notebook.cells):
        for key in ("execution", "ExecuteTime"):
            if key in cell.metadata:
                yield f"cell {k} stores when it was executed"
        if cell.get("attachments"):
            yield f"cell {k} has attachments"
        for output in cell.get("outputs", []):
            for kind, content in output.get("data", {}).items():
                text = "".join(content) if isinstance(content, (str, list)) else str(content)
                if kind.startswith(("image/", "application/pdf")) and text:
                    yield f"cell {k} stores the bytes of an image ({kind})"
                elif kind.startswith("application/") and "json" not in kind:
                    yield f"cell {k} stores {kind}"
            yield from (f"cell {k}'s output holds {what}" for what in _leaks(output))
        for expression in cell.metadata.get("user_expressions", []):
            yield from (f"an {{eval}} in cell {k} holds {what}" for what in _leaks(expression["result"]))
    if "version" in notebook.metadata.get("language_info", {}):
        yield "the version of Python that happened to run is stored"


def _leaks(output: Any) -> Iterator[str]:
    texts = [output.get("text", ""), *output.get("data", {}).values(), *output.get("traceback", [])]
    for text in texts:
        joined = "".join(text) if isinstance(text, (str, list)) else str(text)
        for what, pattern in LEAKS.items():
            match = pattern.search(joined)
            if match:
                start = max(0, match.start() - 20)
                yield f"{what}: {joined[start : match.end() + 20]!r}"


def _none(problems: Iterator[str]) -> None:
    found = list(problems)
    assert not found, "\n" + "\n".join(found)


def test_there_are_chapters_with_code() -> None:
    assert len(CHAPTERS) >= 4


def test_the_tools_agree_on_what_is_a_chapter() -> None:
    from tools import notebooks

    assert [p.relative_to(ROOT).as_posix().removesuffix(".md") for p in notebooks.chapters()] == CHAPTERS


def test_every_chapter_has_its_notebook_and_none_is_left_over() -> None:
    wanted = {notebook_path(name).relative_to(ROOT).as_posix() for name in CHAPTERS}
    files = [p for p in NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts]
    there = {p.relative_to(ROOT).as_posix() for p in files}
    assert wanted - there == set(), "chapters without notebook; run make notebooks"
    assert there - wanted == set(), "notebooks without chapter; run make notebooks"


@pytest.mark.parametrize("name", CHAPTERS)
def test_in_step(name: str) -> None:
    _none(out_of_step(_stored(name), _converted(name)))


@pytest.mark.parametrize("name", CHAPTERS)
def test_executed(name: str) -> None:
    _none(not_executed(_stored(name)))


@pytest.mark.parametrize("name", CHAPTERS)
def test_reproducible(name: str) -> None:
    _none(not_reproducible(_stored(name)))


@pytest.mark.parametrize("name", CHAPTERS)
def test_valid(name: str) -> None:
    nbformat.validate(_stored(name))
    assert notebook_path(name).stat().st_size < 300_000


def test_conversion_is_the_same_each_time() -> None:
    from tools.notebooks import convert

    for name in CHAPTERS:
        assert convert(ROOT / f"{name}.md") == _converted(name)


# -- the checks themselves -------------------------------------------------------------------------------------------


def _sample() -> Any:
    """A notebook as make notebooks writes it."""
    v4 = nbformat.v4
    result = v4.new_output("execute_result", {"text/plain": "array([1., 2.])"}, execution_count=1)
    figure = v4.new_output("display_data", {"text/plain": "<Figure size 499x326 with 1 Axes>"})
    stream = v4.new_output("stream", name="stdout", text="0.25\n")
    prose = v4.new_markdown_cell("It is {eval}`x`.")
    prose.metadata["user_expressions"] = nbformat.from_dict(
        [{"expression": "x", "result": {"status": "ok", "data": {"text/plain": "3"}}}]
    )
    code = v4.new_code_cell("x", outputs=[result], execution_count=1)
    code.metadata["tags"] = ["hide-input"]
    last = v4.new_code_cell("f()", outputs=[stream, figure], execution_count=2)
    notebook = v4.new_notebook(cells=[code, prose, last])
    notebook.metadata["kernelspec"] = {"name": "python3"}
    return notebook


Change = Callable[[Any], object]


def _set(path: str, value: Any) -> Change:
    """Assign to ``notebook.<path>``."""
    return lambda notebook: exec(f"notebook.{path} = value", {"notebook": notebook, "value": value})


STEP_CHANGES: list[tuple[Change, str]] = [
    (_set("cells[0].source", "y"), "'y' instead of 'x'"),
    (_set("cells[0].source", "x\ny"), "2 lines instead of 1"),
    (_set("cells[1].source", "It is 3."), "not the chapter's"),
    (_set("cells[1].cell_type", "raw"), "is raw"),
    (_set("cells[0].metadata['tags']", []), "has the settings"),
    (_set("cells[2].metadata['tags']", ["exercise"]), "has the settings"),
    (_set("metadata['kernelspec']", {"name": "julia"}), "another kernel"),
    (lambda n: n.cells.pop(), "2 cells, but"),
    (lambda n: n.cells.reverse(), "not the chapter's"),
]
EXECUTION_CHANGES: list[tuple[Change, str]] = [
    (_set("cells[0].execution_count", None), "executed as [None, 2]"),
    (_set("cells[2].execution_count", 5), "executed as [1, 5]"),
    (_set("cells[0].outputs[0].execution_count", 7), "output of another run"),
    (_set("cells[2].outputs[0].name", "stderr"), "wrote to stderr"),
    (lambda n: n.cells[0].outputs.append(nbformat.v4.new_output("error", ename="Oops", evalue="no")), "raised Oops"),
    (_set("cells[1].metadata", nbformat.from_dict({})), "has not the values"),
    (_set("cells[1].metadata['user_expressions'][0]['expression']", "y"), "has not the values"),
    (_set("cells[1].metadata['user_expressions'][0]['result']['status']", "error"), "failed"),
]
REPRODUCIBILITY_CHANGES: list[tuple[Change, str]] = [
    (_set("cells[2].outputs[1].data['image/png']", "iVBORw0KGgo="), "bytes of an image"),
    (_set("cells[2].outputs[1].data['image/svg+xml']", ["<svg>", "</svg>"]), "bytes of an image"),
    (_set("cells[2].outputs[1].data['application/vnd.jupyter.widget']", "{}"), "stores application/"),
    (_set("cells[0].outputs[0].data['text/html']", "<img src='data:image/png;base64,iVBO'>"), "an image"),
    (_set("cells[0].outputs[0].data['text/plain']", "<function f at 0x7f3a2c1b>"), "a memory address"),
    (_set("cells[2].outputs[0].text", "/home/someone/book\n"), "an absolute path"),
    (_set("cells[2].outputs[0].text", "lib/site-packages/numpy\n"), "an absolute path"),
    (_set("cells[2].outputs[0].text", "2026-11-22T00:06:25\n"), "a time"),
    (_set("cells[1].metadata['user_expressions'][0]['result']['data']['text/plain']", "/tmp/x"), "an absolute path"),
    (_set("cells[0].metadata['execution']", {"iopub.execute_input": "2026"}), "when it was executed"),
    (_set("cells[1].attachments", {"a.png": {"image/png": "iVBO"}}), "attachments"),
    (_set("metadata['language_info']", {"version": "3.11.7"}), "version of Python"),
]


def test_a_good_notebook_passes() -> None:
    assert list(out_of_step(_sample(), _sample())) == []
    assert list(not_executed(_sample())) == []
    assert list(not_reproducible(_sample())) == []


@pytest.mark.parametrize(("change", "says"), STEP_CHANGES, ids=[c[1] for c in STEP_CHANGES])
def test_a_notebook_out_of_step_is_found(change: Change, says: str) -> None:
    stored = _sample()
    change(stored)
    assert any(says in problem for problem in out_of_step(stored, _sample()))


@pytest.mark.parametrize(("change", "says"), EXECUTION_CHANGES, ids=[c[1] for c in EXECUTION_CHANGES])
def test_a_notebook_not_executed_is_found(change: Change, says: str) -> None:
    stored = _sample()
    change(stored)
    assert any(says in problem for problem in not_executed(stored))


@pytest.mark.parametrize(("change", "says"), REPRODUCIBILITY_CHANGES, ids=[c[1] for c in REPRODUCIBILITY_CHANGES])
def test_a_notebook_that_may_differ_is_found(change: Change, says: str) -> None:
    stored = _sample()
    change(stored)
    assert any(says in problem for problem in not_reproducible(stored))


def test_an_edited_chapter_is_found() -> None:
    """One space more in one cell of a real chapter."""
    name = CHAPTERS[0]
    converted = copy.deepcopy(_converted(name))
    code = next(cell for cell in converted.cells if cell.cell_type == "code")
    assert list(out_of_step(converted, _converted(name))) == []
    code.source += " "
    assert len(list(out_of_step(converted, _converted(name)))) == 1
