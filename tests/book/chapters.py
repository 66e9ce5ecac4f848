"""Reads the pages of the book as the tests see them: blocks with their lines, parsed by the site's own MyST parser.

``Page(text)`` is enough to test a rule on a made-up page; ``book()`` reads what ``_toc.yml`` lists.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import nbformat
import yaml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from tools.notebooks import SOLUTION

ROOT = Path(__file__).parents[2]
BIBLIOGRAPHY = "book/appendix/bibliography"


@cache
def _parser() -> Any:
    config = MdParserConfig(enable_extensions={"amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"})
    return create_md_parser(config, RendererHTML)


@dataclass(frozen=True)
class Block:
    """A piece of a page: ``kind`` is the parser's name for it, or "directive" for a fence with a name in braces."""

    kind: str
    line: int
    content: str
    info: str = ""
    name: str = ""  # a directive's name
    argument: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    inside: tuple[str, ...] = ()  # names of the directives around it
    children: tuple[Token, ...] = ()

    @property
    def classes(self) -> list[str]:
        return str(self.options.get("class", "")).split()


@dataclass(frozen=True)
class Display:
    """A display equation: its TeX, its label ("" if it has none) and the line it starts on."""

    tex: str
    label: str
    line: int


@dataclass(frozen=True)
class Cell:
    """A code cell: its source, its options, and the line of its first code line."""

    source: str
    options: dict[str, Any]
    line: int
    start: int  # the line of its fence

    @property
    def tags(self) -> list[str]:
        tags = self.options.get("tags", [])
        return [str(t) for t in tags] if isinstance(tags, list) else str(tags).split()

    @cached_property
    def tree(self) -> ast.Module | None:
        """Its syntax tree, or ``None`` if this is no Python (a rule of its own says so)."""
        try:
            return ast.parse(self.source)
        except SyntaxError:
            return None

    @property
    def statements(self) -> list[ast.stmt]:
        return self.tree.body if self.tree else []

    def walk(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree) if self.tree else iter(())


@dataclass
class Page:
    """A page of the book; ``notebook`` is its stored, executed notebook, if it has one."""

    text: str
    path: str = "book/1-sample/01-sample.md"
    notebook: Any = None

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def front(self) -> dict[str, Any]:
        if not self.text.startswith("---\n"):
            return {}
        meta = yaml.safe_load(self.text[4:].partition("\n---\n")[0])
        return meta if isinstance(meta, dict) else {}

    @property
    def executable(self) -> bool:
        return self.front.get("file_format") == "mystnb"

    @property
    def is_chapter(self) -> bool:
        """Whether it has a number, in the folder of a numbered part; the part's ``index.md`` has none."""
        return re.match(r"book/\d+-[^/]+/\d+-", self.path) is not None

    @cached_property
    def blocks(self) -> list[Block]:
        return list(_blocks(self.text, 0, ()))

    def directives(self, *names: str) -> list[Block]:
        return [b for b in self.blocks if b.kind == "directive" and b.name in names]

    @cached_property
    def cells(self) -> list[Cell]:
        return [
            Cell(b.content, b.options, b.line + _offset(self.lines, b), b.line)
            for b in self.directives("code-cell")
            if not b.inside
        ]

    @cached_property
    def displays(self) -> list[Display]:
        found = []
        for b in self.blocks:
            if b.kind == "math_block_label":
                found.append(Display(b.content, b.info, b.line))
            elif b.kind in ("math_block", "amsmath"):
                found.append(Display(b.content, "", b.line))
            elif b.kind == "directive" and b.name == "math":
                found.append(Display(b.content, str(b.options.get("label", "")), b.line))
        return found

    @cached_property
    def targets(self) -> set[str]:
        """Names that a ``#link`` can reach."""
        labels = {str(b.options["label"]) for b in self.blocks if "label" in b.options}
        labels |= {str(b.options["name"]) for b in self.blocks if "name" in b.options}
        return {b.content for b in self.blocks if b.kind == "myst_target"} | labels | {f["name"] for f in self.figures}

    @property
    def figures(self) -> list[dict[str, Any]]:
        """Name, caption and alt text of every figure that a cell draws."""
        found = []
        for cell in self.cells:
            mystnb = cell.options.get("mystnb") or {}
            if "figure" in mystnb:
                figure, image = mystnb["figure"] or {}, mystnb.get("image") or {}
                found.append(
                    {
                        "name": str(figure.get("name", "")),
                        "caption": str(figure.get("caption", "")).strip(),
                        "alt": str(image.get("alt", "")).strip(),
                        "line": cell.start,
                    }
                )
        return found

    def inline(self, kind: str) -> Iterator[tuple[Token, int]]:
        """Every inline token of a kind, with the line of its paragraph."""
        for block in self.blocks:
            for token in block.children:
                if token.type == kind:
                    yield token, block.line

    def headings(self) -> list[tuple[int, str, int]]:
        """Level, text and line of each heading."""
        return [(int(b.info), b.content, b.line) for b in self.blocks if b.kind == "heading"]

    def stored(self, cell: Cell) -> Any:
        """The stored notebook cell with this cell's source, or ``None``."""
        for candidate in self.notebook.cells if self.notebook else ():
            source = candidate.source.removeprefix(SOLUTION).strip()
            if candidate.cell_type == "code" and source == cell.source.strip():
                return candidate
        return None


def _offset(lines: list[str], block: Block) -> int:
    """How many lines below a cell's fence its code starts."""
    first = block.content.split("\n", 1)[0]
    for k in range(block.line, len(lines)):
        if first.strip() and lines[k].strip() == first.strip():
            return k + 1 - block.line
    return 1


def _options(content: str) -> tuple[dict[str, Any], str, int]:
    """Split a directive's content into options, body and the number of lines before the body."""
    lines = content.split("\n")
    if lines[0].strip() == "---":
        ends = [k for k, line in enumerate(lines[1:], 1) if line.strip() == "---"]
        if ends:
            options = yaml.safe_load("\n".join(lines[1 : ends[0]])) or {}
            return options, "\n".join(lines[ends[0] + 1 :]), ends[0] + 1
    options, used = {}, 0
    for line in lines:
        match = re.match(r"\s*:([\w-]+):\s*(.*)$", line)
        if not match:
            break
        value = match[2]
        options[match[1]] = yaml.safe_load(value) if value.startswith("[") else value
        used += 1
    while used and used < len(lines) and not lines[used].strip():
        used += 1
    return options, "\n".join(lines[used:]), used


def _blocks(text: str, above: int, inside: tuple[str, ...]) -> Iterator[Block]:
    heading = ""
    for token in _parser().parse(text):
        line = above + (token.map[0] if token.map else 0) + 1
        if token.type in ("fence", "colon_fence"):
            match = re.match(r"\{([^}]+)\}\s*(.*)$", token.info.strip())
            if not match:
                yield Block("code", line, token.content, token.info.strip(), inside=inside)
                continue
            options, body, used = _options(token.content)
            yield Block(
                "directive",
                line,
                body.rstrip("\n"),
                name=match[1],
                argument=match[2].strip(),
                options=options,
                inside=inside,
            )
            if match[1] not in ("code-cell", "code-block", "math", "eval-rst", "raw"):
                yield from _blocks(body, line + used, (*inside, match[1]))
        elif token.type == "heading_open":
            heading = token.tag.removeprefix("h")
        elif token.type == "inline" and heading:
            yield Block("heading", line, token.content, heading, inside=inside, children=tuple(_tree(token)))
            heading = ""
        elif token.type == "inline" or (token.map and not token.type.endswith(("_open", "_close"))):
            yield Block(token.type, line, token.content, token.info, inside=inside, children=tuple(_tree(token)))


def _tree(token: Token) -> Iterator[Token]:
    for child in token.children or ():
        yield child
        yield from _tree(child)


def words(page: Page) -> int:
    """How many words of prose a page has: without code, mathematics, front matter and comments."""
    text = []
    for block in page.blocks:
        if block.kind in ("inline", "heading"):
            text += [t.content for t in block.children if t.type in ("text", "code_inline")]
    return len(re.findall(r"[^\W_][\w'\u2019.,:-]*", " ".join(text)))


def toc(root: Path = ROOT) -> list[str]:
    """The pages of ``_toc.yml`` in the book's order, as paths without their suffix."""

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, list):
            for item in node:
                yield from walk(item)
        elif isinstance(node, dict):
            for key in ("root", "file"):
                if key in node:
                    yield str(node[key]).removesuffix(".md")
            for key in ("parts", "chapters", "sections", "subtrees", "entries"):
                yield from walk(node.get(key, []))

    path = root / "_toc.yml"
    return list(walk(yaml.safe_load(path.read_text(encoding="utf-8")))) if path.exists() else []


def notebook_path(page: str, root: Path = ROOT) -> Path:
    """Where the executed notebook of ``book/1-part/01-chapter`` is stored."""
    return root / "notebooks" / (page.removeprefix("book/").removesuffix(".md") + ".ipynb")


@cache
def book(root: Path = ROOT) -> dict[str, Page]:
    """Every page of the book that exists, by its path without suffix."""
    pages = {}
    for name in toc(root):
        source, notebook = root / f"{name}.md", notebook_path(name, root)
        if source.exists():
            stored = nbformat.read(notebook, as_version=4) if notebook.exists() else None
            pages[name] = Page(source.read_text(encoding="utf-8"), f"{name}.md", stored)
    return pages
