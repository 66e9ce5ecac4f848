"""`make notebooks`: turn every chapter into the executed notebook that readers open and that nbval compares with.

One way only: book/*.md is the source, notebooks/*.ipynb is made from it. Text outputs are kept, image bytes and
execution times are not, so that a notebook changes only where the chapter does.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

if __package__ is None:  # run as `python tools/notebooks.py`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tools.settings import BOOK, ENVIRONMENT, NOTEBOOKS, ROOT, chapters

EVAL = re.compile(r"\{eval\}`([^`]+)`")
LINK = re.compile(r"(\]\()([^)\s:]+\.md)?(#[\w-]+)?(\))")
PICTURE = re.compile(r"(\{(?:figure|image)\} )(\S+)")
SOLUTION = "# The solution\n"  # JupyterLab shows the first line of a folded cell: let it not be the answer
BIBLIOGRAPHY = BOOK / "appendix" / "bibliography.md"


def notebook_path(chapter: Path) -> Path:
    """Return where the notebook of a chapter stands."""
    return NOTEBOOKS / chapter.relative_to(BOOK).with_suffix(".ipynb")


def convert(chapter: Path) -> Any:
    """Return the notebook of a chapter, not executed, with links that work from where it will stand."""
    notebook = jupytext.reads(chapter.read_text(encoding="utf-8"), fmt="md:myst")
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        }
    )
    keys = set(re.findall(r"^\(([\w-]+)\)=$", BIBLIOGRAPHY.read_text(encoding="utf-8"), re.MULTILINE))
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        if "solution" in cell.metadata.get("tags", []):
            cell.source = SOLUTION + cell.source
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(lambda match: _relink(match, chapter, keys), cell.source)
            cell.source = PICTURE.sub(
                lambda match: match[1] + _from_notebook(chapter, chapter.parent / match[2]), cell.source
            )
    return notebook


def _from_notebook(chapter: Path, goal: Path) -> str:
    """Return the relative path from a chapter's notebook to ``goal``."""
    return Path(os.path.relpath(goal, notebook_path(chapter).parent)).as_posix()


def _relink(match: re.Match[str], chapter: Path, bibliography: set[str]) -> str:
    opening, target, anchor, closing = match[1], match[2], match[3] or "", match[4]
    if target is None:
        known = anchor[1:] in bibliography
        return f"{opening}{_from_notebook(chapter, BIBLIOGRAPHY)}{closing}" if known else match[0]
    source = (chapter.parent / target).resolve()
    if source in chapters():
        return f"{opening}{_from_notebook(chapter, notebook_path(source))}{anchor}{closing}"
    return f"{opening}{_from_notebook(chapter, source)}{closing}"


class Client(NotebookClient):
    """Executes cells and, as JupyterLab does, stores what the {eval} expressions of Markdown cells give."""

    async def async_execute_cell(self, cell: Any, cell_index: int, *args: Any, **keywords: Any) -> Any:
        if cell.cell_type == "markdown" and (expressions := EVAL.findall(cell.source)):
            client: Any = self.kc
            keys = {str(number): expression for number, expression in enumerate(expressions)}
            reply: Any = await self.async_wait_for_reply(client.execute("", silent=True, user_expressions=keys))
            results = reply["content"]["user_expressions"]
            cell.metadata["user_expressions"] = [
                {"expression": expression, "result": results[key]} for key, expression in keys.items()
            ]
            for key, expression in keys.items():
                if results[key]["status"] != "ok":
                    raise ValueError(f"{{eval}}`{expression}` raised {results[key]['ename']}: {results[key]['evalue']}")
        return await super().async_execute_cell(cell, cell_index, *args, **keywords)


def execute(notebook: Any, folder: Path) -> Any:
    """Run a notebook in ``folder`` and strip what would differ between two runs."""
    os.environ.update(ENVIRONMENT)
    Client(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,  # how a cell's prints are cut into messages is an accident of timing
    ).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind in [k for k in data if k.startswith("image/")]:
                del data[kind]
    notebook.metadata = convert_metadata(notebook.metadata)
    return notebook


def convert_metadata(metadata: Any) -> Any:
    """Return the metadata without the version of the Python that happened to run."""
    return nbformat.from_dict({"kernelspec": metadata["kernelspec"], "language_info": {"name": "python"}})


def main() -> int:
    wanted = {notebook_path(chapter): chapter for chapter in chapters()}
    for stray in set(NOTEBOOKS.rglob("*.ipynb")) - set(wanted):
        stray.unlink()
    only = sys.argv[1:]
    for path, chapter in wanted.items():
        if only and not any(word in str(chapter) for word in only):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            nbformat.write(execute(convert(chapter), chapter.parent), path)
        except (CellExecutionError, ValueError) as error:
            print(f"{chapter.relative_to(ROOT)}: {error}")
            return 1
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
