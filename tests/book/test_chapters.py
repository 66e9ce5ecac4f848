"""Holds every page to the book's promises: no unchecked derivative, no undescribed figure, no unsolved exercise.

Each rule is a function that yields what is wrong and where. ``SAMPLE`` is a chapter that keeps all of them;
``MUTATIONS`` breaks it in every way the rules know, so that no rule can pass by not looking.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import nbformat
import pytest
from chapters import BIBLIOGRAPHY, ROOT, Block, Cell, Page, book, toc, words

Problem = tuple[int, str]


@dataclass(frozen=True)
class Book:
    """What a rule may ask about the other pages."""

    pages: dict[str, Page]
    exercises: tuple[str, ...]

    def places(self, wanted: Callable[[Page], Iterator[str] | list[str]]) -> Counter[str]:
        return Counter(name for page in self.pages.values() for name in wanted(page))


Rule = Callable[[Page, Book], Iterator[Problem]]
EVERYWHERE: dict[str, Rule] = {}
IN_CHAPTERS: dict[str, Rule] = {}


def everywhere(rule: Rule) -> Rule:
    EVERYWHERE[rule.__name__] = rule
    return rule


def in_chapters(rule: Rule) -> Rule:
    IN_CHAPTERS[rule.__name__] = rule
    return rule


# -- equations and their checks --------------------------------------------------------------------------------------

DERIVATIVE = re.compile(
    r"\\partial|∂|\\nabla|∇"
    r"|(?<![A-Za-z\\])J(?![A-Za-z])"  # the letter J standing alone, not in a word or a command
    r"|\\[dt]?frac\s*\{\s*d[^{}]*\}\s*\{\s*d"  # a fraction with a d above and below
    r"|\\(mathrm|operatorname|mathsf)\s*\{?\s*[dD]\b"  # an upright d or D
    r"|\bd\s*/\s*d\s*[a-z]\b"
    r"|('|\\prime\b\}?)\s*(\(|\\left\()"  # f'(x)
)


@dataclass(frozen=True)
class Check:
    """A call of check_jacobian: where, for which equation, and why it does not count ("" if it does)."""

    cell: Cell
    line: int
    equation: str
    flaw: str


def _is_call(node: ast.AST, dotted: str) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == dotted


def _checks(page: Page) -> list[Check]:
    found = []
    for cell in page.cells:
        shown = set()  # calls that always run and whose result the cell shows
        for statement in cell.statements:
            if isinstance(statement, ast.Expr):
                value: ast.expr = statement.value
                printed = _is_call(value, "print") or _is_call(value, "display")
                if printed and isinstance(value, ast.Call) and len(value.args) == 1:
                    value = value.args[0]
                shown.add(id(value))
        for node in cell.walk():
            if not (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("check_jacobian")):
                continue
            given = {k.arg: k.value for k in node.keywords}
            if "equation" not in given:
                continue
            label = given["equation"]
            claimed = node.args[1] if len(node.args) > 1 else given.get("claimed")
            function = node.args[0] if node.args else given.get("f")
            flaw = ""
            if not (isinstance(label, ast.Constant) and isinstance(label.value, str)):
                flaw = "its equation= is not a plain string"
            elif not _is_call(node, "md.check_jacobian"):
                flaw = "it is not called as md.check_jacobian"
            elif id(node) not in shown:
                flaw = "it is not a statement of its own at the top level of its cell, always run and shown"
            elif {"skip-execution", "raises-exception"} & set(cell.tags):
                flaw = f"its cell is tagged {', '.join(cell.tags)}"
            elif function is None or claimed is None or ast.dump(function) == ast.dump(claimed):
                flaw = "it compares a function with itself"
            elif "numeric" in ast.unparse(claimed):
                flaw = "what it claims is computed by differences, so that the formula is not checked"
            found.append(Check(cell, cell.line + node.lineno - 1, ast.unparse(label).strip("'\""), flaw))
    return found


def _labels(page: Page) -> list[str]:
    return [d.label for d in page.displays if d.label]


@everywhere
def equations_have_unique_labels(page: Page, book: Book) -> Iterator[Problem]:
    counts = book.places(_labels)
    for display in page.displays:
        if not display.label:
            yield display.line, "a display equation without label; write $$ ... $$ (eq-name)"
        elif not display.label.startswith("eq-"):
            yield display.line, f"the label {display.label} does not start with eq-"
        elif counts[display.label] > 1:
            yield display.line, f"the label {display.label} is given to {counts[display.label]} equations of the book"
        if r"\label" in display.tex or r"\tag" in display.tex:
            yield display.line, r"\label or \tag inside mathematics, which KaTeX does not know; label it behind the $$"


@everywhere
def equation_references_resolve(page: Page, book: Book) -> Iterator[Problem]:
    labels = book.places(_labels)
    for token, line in page.inline("myst_role"):
        if token.meta["name"] == "eq" and token.content not in labels:
            yield line, f"{{eq}}`{token.content}` names no equation of the book"


@everywhere
def derivatives_are_checked(page: Page, book: Book) -> Iterator[Problem]:
    checks = _checks(page)
    for display in page.displays:
        if not display.label.startswith("eq-d-"):
            continue
        mine = [c for c in checks if c.equation == display.label]
        if not mine:
            yield (
                display.line,
                (
                    f"the derivative {display.label} has no check; add a cell that ends with "
                    f'md.check_jacobian(f, claimed, x, equation="{display.label}")'
                ),
            )
        elif all(c.flaw for c in mine):
            yield mine[0].line, f"the check of {display.label} does not count: {mine[0].flaw}"


@everywhere
def checks_name_an_equation(page: Page, book: Book) -> Iterator[Problem]:
    labels = _labels(page)
    for check in _checks(page):
        if check.equation not in labels:
            yield check.line, f"check_jacobian names the equation {check.equation}, which this page does not have"
        elif not check.equation.startswith("eq-d-"):
            yield check.line, f"{check.equation} is checked as a derivative, so its label should start with eq-d-"


@everywhere
def checks_are_shown(page: Page, book: Book) -> Iterator[Problem]:
    for check in _checks(page):
        if check.flaw:
            continue
        stored = page.stored(check.cell)
        if stored is None:
            yield check.line, "this cell is not in the page's notebook; run make notebooks"
        elif not re.search(rf"✓ checked {re.escape(check.equation)}(?![\w-])", _output(stored)):
            yield (
                check.line,
                (
                    f'the stored output of this cell does not say "✓ checked {check.equation}"; '
                    "make the check the cell's last line and run make notebooks"
                ),
            )


@everywhere
def other_derivatives_say_why_unchecked(page: Page, book: Book) -> Iterator[Problem]:
    for display in page.displays:
        reason = _reason(page.lines, display.line)
        if display.label.startswith("eq-d-"):
            if reason is not None:
                yield display.line, f'{display.label} is labelled as checked and commented "no check"; decide for one'
            continue
        sign = DERIVATIVE.search(re.sub(r"\\(text|operatorname|mathrm)\{[^{}]{2,}\}", "", display.tex))
        if sign and (reason is None or len(reason) < 10):
            yield (
                display.line,
                (
                    f"{display.label or 'this display'} contains {sign[0].strip()}; if it states a "
                    "derivative, label it eq-d-... and check it, otherwise put `% no check: reason` "
                    "on the line above"
                ),
            )


def _reason(lines: list[str], line: int) -> str | None:
    """The reason in the comment lines directly above a line (counted from 1), or ``None``."""
    comment: list[str] = []
    k = line - 2
    while k >= 0 and lines[k].lstrip("> ").startswith("%"):
        comment.insert(0, lines[k].lstrip("> ").lstrip("%").strip())
        k -= 1
    text = " ".join(comment)
    return text.removeprefix("no check:").strip() if text.startswith("no check:") else None


@everywhere
def mathdl_is_not_replaced(page: Page, book: Book) -> Iterator[Problem]:
    for cell in page.cells:
        for node in cell.walk():
            replaced = isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del))
            if replaced and re.match(r"md(\.|$)", ast.unparse(node)):
                yield cell.line + node.lineno - 1, f"assigns to {ast.unparse(node)}, which the checks rely on"
            if isinstance(node, ast.alias) and node.asname == "md" and node.name != "mathdl":
                yield cell.line, f"md is {node.name} here; the checks need import mathdl as md"


# -- figures ---------------------------------------------------------------------------------------------------------

DRAWING = {"images", "jacobians", "matrix", "pattern", "error_curves", "warped_grid"}
NOT_DRAWING = {"close", "rc", "rc_context", "get_cmap", "cm", "style", "setp", "Normalize", "get_fignums"}


def _draws(node: ast.AST, local: set[str]) -> bool:
    """Whether running this code (function bodies aside) draws something."""
    if isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
        return False
    if isinstance(node, ast.Call):
        owner, _, name = ast.unparse(node.func).rpartition(".")
        if (owner == "plt" and name not in NOT_DRAWING) or (owner == "md.plot" and name in DRAWING):
            return True
        if not owner and name in local:
            return True
    return any(_draws(child, local) for child in ast.iter_child_nodes(node))


def _drawing_cells(page: Page) -> list[Cell]:
    local: set[str] = set()
    found = []
    for cell in page.cells:
        for node in cell.walk():
            if isinstance(node, ast.FunctionDef) and any(_draws(s, local) for s in node.body):
                local.add(node.name)
        if any(_draws(s, local) for s in cell.statements):
            found.append(cell)
    return found


@everywhere
def figures_are_described(page: Page, book: Book) -> Iterator[Problem]:
    names = book.places(lambda p: [f["name"] for f in p.figures])
    for figure in page.figures:
        if not figure["name"].startswith("fig-"):
            yield figure["line"], "a figure without name; write mystnb: figure: name: fig-..."
        elif names[figure["name"]] > 1:
            yield figure["line"], f"{names[figure['name']]} figures of the book are named {figure['name']}"
        if len(figure["caption"]) < 20:
            yield figure["line"], "a figure without caption (at least 20 characters): mystnb: figure: caption: ..."
        if len(figure["alt"]) < 20:
            yield (
                figure["line"],
                (
                    "a figure without alternative text (at least 20 characters); "
                    "write mystnb: image: alt: ... for someone who cannot see it"
                ),
            )
        elif figure["alt"] == figure["caption"]:
            yield figure["line"], "the alternative text repeats the caption; say what is drawn"
    for block in page.directives("figure", "image"):
        if len(str(block.options.get("alt", ""))) < 20:
            yield block.line, "an image without alternative text; write :alt: ... (at least 20 characters)"
        if block.name == "image" or len(block.content.strip()) < 20:
            yield block.line, "an image without caption; use {figure} with a caption of at least 20 characters"
    for token, line in page.inline("image"):
        if len(token.content) < 20:
            yield line, "an image without alternative text; write ![what it shows](...) (at least 20 characters)"
        if page.is_chapter:
            yield line, "an image without caption; use {figure}, with :alt: and a caption"


@everywhere
def plots_are_figures(page: Page, book: Book) -> Iterator[Problem]:
    drawing = _drawing_cells(page)
    for cell in page.cells:
        declared = "figure" in (cell.options.get("mystnb") or {})
        if cell in drawing and not declared:
            yield cell.line, "this cell draws, but has no mystnb: figure: (name, caption) and image: alt:"
        stored = page.stored(cell)
        if stored is None:
            continue
        images = sum(_is_image(output.get("data", {})) for output in stored.outputs)
        if images and not declared and cell not in drawing:
            yield cell.line, "this cell shows an image, but has no mystnb: figure: (name, caption) and image: alt:"
        if declared and images != 1:
            yield cell.line, f"this cell is a figure, but its stored output has {images} images instead of one"


def _is_image(data: dict[str, Any]) -> bool:
    """Whether an output is a picture; stored notebooks keep only its description."""
    return any(k.startswith("image/") for k in data) or "".join(data.get("text/plain", "")).startswith("<Figure size")


ADDRESS = re.compile(r"""(?:src|srcset|data|@import)\s*[=\s]\s*["']?((?:https?:)?//[^"'\s>]+)""")


@everywhere
def nothing_comes_from_another_host(page: Page, book: Book) -> Iterator[Problem]:
    outside = re.compile(r"^\s*(https?:)?//")
    for token, line in page.inline("image"):
        if outside.match(str(token.attrs.get("src", ""))):
            yield line, f"an image from another host: {token.attrs['src']}"
    for block in page.blocks:
        if block.kind == "directive" and block.name in ("figure", "image", "iframe") and outside.match(block.argument):
            yield block.line, f"an image from another host: {block.argument}"
        if block.kind in ("html_block", "html_inline") or block.name == "raw":
            for address in ADDRESS.findall(block.content):
                yield block.line, f"something from another host: {address}"
    for cell in page.cells:
        for node in cell.walk():
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.match(r"https?://", node.value):
                yield cell.line + node.lineno - 1, f"code that names another host: {node.value}"


# -- code ------------------------------------------------------------------------------------------------------------

REFUSED_TAGS = {
    "skip-execution",
    "raises-exception",
    "remove-cell",
    "remove-input",
    "remove-output",
    "remove-stderr",
    "remove-stdout",
    "nbval-skip",
    "nbval-raises-exception",
}


@everywhere
def cells_are_plain_python(page: Page, book: Book) -> Iterator[Problem]:
    for block in page.directives("code-cell"):
        if block.inside:
            yield block.line, f"a code cell inside {{{block.inside[-1]}}} is never run; put it outside"
    for cell in page.cells:
        magic = [k for k, line in enumerate(cell.source.splitlines()) if re.match(r"\s*([%!]|pip install)", line)]
        if magic:
            yield cell.line + magic[0], "a magic, shell or pip line; chapters are plain Python and install nothing"
        elif cell.tree is None:
            yield cell.line, "this cell is not valid Python"
        if re.search(r"\bpip\b.{0,20}\binstall\b", cell.source):
            yield cell.line, "installs something; everything a chapter needs is in requirements.txt"
        if re.search(r"#\s*(NBVAL_|PYTEST_VALIDATE)", cell.source):
            yield cell.line, "a comment that switches the comparison of outputs off"
        for tag in sorted(REFUSED_TAGS & set(cell.tags)):
            yield cell.start, f"the tag {tag} hides a cell from the reader or from the tests"
        if "nbval-ignore-output" in cell.tags and re.search(r"check_jacobian|exercises\.check", cell.source):
            yield cell.start, "nbval-ignore-output on a cell whose output is a check; time elsewhere"


@in_chapters
def cells_are_short(page: Page, book: Book) -> Iterator[Problem]:
    for cell in page.cells:
        length = sum(bool(line.strip()) for line in cell.source.splitlines())
        if length > 20 and "hide-input" not in cell.tags:
            yield cell.line, f"{length} lines of code in one cell (at most 20); split, fold or move to mathdl"


@in_chapters
def imports_stand_first(page: Page, book: Book) -> Iterator[Problem]:
    over = False  # whether a cell above did anything but import and call, as md.plot.style()
    for cell in page.cells:
        for node in cell.walk():
            if isinstance(node, (ast.Import, ast.ImportFrom)) and (over or node not in cell.statements):
                yield cell.line + node.lineno - 1, "an import below the first cells; import once, at the top"
        over |= not all(isinstance(s, (ast.Import, ast.ImportFrom, ast.Expr)) for s in cell.statements)


@everywhere
def evals_are_expressions(page: Page, book: Book) -> Iterator[Problem]:
    for token, line in page.inline("myst_role"):
        if token.meta["name"] != "eval":
            continue
        if not page.executable:
            yield line, "{eval} on a page that is not executed"
            continue
        try:
            tree = ast.parse(token.content, mode="eval")
        except SyntaxError:
            yield line, f"{{eval}}`{token.content}` is not a Python expression"
            continue
        bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        bound |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
        known = bound | set(dir(builtins)) | {n for cell in page.cells if cell.start < line for n in _defined(cell)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id not in known:
                yield line, f"{{eval}}`{token.content}` uses {node.id}, which no cell above defines"


def _defined(cell: Cell) -> Iterator[str]:
    for node in cell.walk():
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]


# -- the chapter's shape ---------------------------------------------------------------------------------------------

ALLOWED_DIRECTIVES = {
    "admonition",
    "note",
    "tip",
    "warning",
    "exercise",
    "solution",
    "code-cell",
    "math",
    "figure",
    "margin",
}
ALLOWED_ROLES = {"eq", "eval"}


@in_chapters
def front_matter_is_complete(page: Page, book: Book) -> Iterator[Problem]:
    if not page.executable:
        yield 1, "a page of a numbered part needs file_format: mystnb in its front matter, or nothing in it is run"
    description, minutes = page.front.get("description"), page.front.get("minutes")
    if not isinstance(description, str) or not 20 <= len(description) <= 155:
        came = f"{len(description)} characters" if isinstance(description, str) else "none"
        yield 1, f"the front matter needs a description of 20 to 155 characters (it has {came})"
    if not isinstance(minutes, int) or not 5 <= minutes <= 240:
        yield 1, "the front matter needs minutes: how long the chapter takes to work through"
    if page.front.get("kernelspec", {}).get("name") != "python3":
        yield 1, "the front matter needs kernelspec: name: python3"
    for key in sorted(set(page.front) - {"file_format", "kernelspec", "description", "minutes"}):
        yield 1, f"{key} in the front matter; settings that change how a chapter runs belong in _config.yml"


@in_chapters
def contract_is_complete(page: Page, book: Book) -> Iterator[Problem]:
    contracts = [b for b in page.directives("admonition") if "contract" in b.classes]
    if len(contracts) != 1:
        yield 1, f"{len(contracts)} contracts; write one {{admonition}} In this chapter with :class: contract"
        return
    contract = contracts[0]
    for item in ("You will be able to", "You need", "Time"):
        if f"**{item}**" not in contract.content:
            yield contract.line, f"the contract lacks **{item}**"
    minutes = re.search(r"\*\*Time\*\*\D*(\d+)", contract.content)
    if minutes and int(minutes[1]) != page.front.get("minutes"):
        yield contract.line, f"the contract says {minutes[1]} minutes, the front matter {page.front.get('minutes')}"
    sections = [line for level, _, line in page.headings() if level == 2]
    if sections and contract.line > sections[0]:
        yield contract.line, "the contract stands below the first section; put it near the top"


@in_chapters
def sections_are_in_order(page: Page, book: Book) -> Iterator[Problem]:
    headings = page.headings()
    titles = [(text, line) for level, text, line in headings if level == 1]
    if len(titles) != 1:
        yield 1, f"{len(titles)} headings of level 1; a chapter has one title"
    elif not any(b.kind == "myst_target" and b.content.startswith("chapter-") for b in page.blocks):
        yield titles[0][1], "no (chapter-...)= above the title"
    sections = [(text, line) for level, text, line in headings if level == 2]
    last = [text for text, _ in sections[-3:]]
    if last != ["Exercises", "Summary", "Sources"]:
        yield (
            (sections[-1][1] if sections else 1),
            (f"the last sections are {', '.join(last) or 'missing'}; they should be Exercises, Summary, Sources"),
        )
    level = 0
    for depth, text, line in headings:
        if depth > level + 1:
            yield line, f"the heading {text!r} skips a level"
        level = depth
        if text.strip().lower() in ("introduction", "conclusion", "overview", "background", "motivation"):
            yield line, f"the heading {text!r} says nothing; name what the section finds"
    for text, count in Counter(text for _, text, _ in headings).items():
        if count > 1:
            yield 1, f"{count} headings read {text!r}"
    sources = [line for text, line in sections if text == "Sources"]
    if sources and not any(line > sources[-1] for _, line in page.inline("link_open")):
        yield sources[-1], "the Sources cite nothing; link to the bibliography, [Author year](#key)"


@in_chapters
def prose_has_the_right_length(page: Page, book: Book) -> Iterator[Problem]:
    count = words(page)
    if not 1500 <= count <= 3200:
        yield 1, f"{count} words of prose; a chapter has 1500 to 3200"


@in_chapters
def only_known_directives(page: Page, book: Book) -> Iterator[Problem]:
    for block in page.blocks:
        if block.kind == "directive" and block.name not in ALLOWED_DIRECTIVES:
            allowed = ", ".join(sorted(ALLOWED_DIRECTIVES))
            yield block.line, f"the directive {{{block.name}}}, which a notebook shows raw; use {allowed}"
        if block.kind == "html_block":
            yield block.line, "raw HTML; write Markdown, and comments as lines starting with %"
    for token, line in page.inline("myst_role"):
        if token.meta["name"] not in ALLOWED_ROLES:
            yield line, f"the role {{{token.meta['name']}}}, which a notebook shows raw; use eq or eval"
    for _, line in page.inline("html_inline"):
        yield line, "raw HTML; write Markdown"


@everywhere
def margin_notes_are_short(page: Page, book: Book) -> Iterator[Problem]:
    for note in page.directives("margin"):
        length = len(re.sub(r"\$[^$]*\$|\]\([^)]*\)", " x ", note.content).split())
        if not 5 <= length <= 45:
            yield note.line, f"{length} words in the margin; a note there has 5 to 45"
        above = page.lines[note.line - 2 :: -1][:2]
        if note.inside or above[0].strip() or re.match(r"\s*([#%]|```|:::|\([\w-]+\)=|$)", above[1]):
            yield note.line, "a margin note stands below the paragraph that it belongs to, after an empty line"
        if "{eval}" in note.content:
            yield note.line, "a computed number in the margin; what a reader may skip needs no computing"


@everywhere
def mathematics_is_closed(page: Page, book: Book) -> Iterator[Problem]:
    for token, line in page.inline("text"):
        if "$" in token.content:
            yield line, f"a $ in the text, so that mathematics stays raw: {token.content.strip()[:60]!r}"


@everywhere
def links_resolve(page: Page, book: Book) -> Iterator[Problem]:
    targets = {target for other in book.pages.values() for target in other.targets}
    slugs = {re.sub(r"[^\w-]", "", t.lower().replace(" ", "-")) for _, t, _ in page.headings()}
    folder = PurePosixPath(page.path).parent
    for token, line in page.inline("link_open"):
        href = str(token.attrs.get("href", ""))
        if href.startswith("#"):
            if href[1:] not in targets | slugs:
                yield line, f"the link {href} leads nowhere; put ({href[1:]})= into {BIBLIOGRAPHY}.md, or mend it"
        elif not re.match(r"[a-z]+:", href):
            file = _normal(folder / href.partition("#")[0])
            if file.endswith(".md") and file.removesuffix(".md") not in book.pages:
                yield line, f"the link {href} leads to no page of the book"


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


# -- exercises -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exercise:
    """An exercise as the chapter prints it, with what follows it up to the next one."""

    label: str
    line: int
    stubs: list[Cell]
    solutions: list[Cell]
    prose: list[Block]  # {solution} directives, wherever they stand
    hints: list[Block]


def _exercises(page: Page) -> list[Exercise]:
    starts = page.directives("exercise")
    ends = [line for level, _, line in page.headings() if level <= 2] + [b.line for b in starts]
    found = []
    for block in starts:
        end = min((e for e in ends if e > block.line), default=10**9)
        label = str(block.options.get("label", ""))
        cells = [c for c in page.cells if block.line < c.start < end]
        hints = [
            b
            for b in page.directives("admonition")
            if block.line < b.line < end and "hint" in b.argument.lower() and {"tip", "dropdown"} <= set(b.classes)
        ]
        found.append(
            Exercise(
                label,
                block.line,
                [c for c in cells if "exercise" in c.tags],
                [c for c in cells if "solution" in c.tags],
                [b for b in page.directives("solution") if b.argument == label],
                hints,
            )
        )
    return found


def _checked_names(cell: Cell) -> list[str]:
    """Names of the exercises that a cell checks in statements that always run."""
    names = []
    for statement in cell.statements:
        if isinstance(statement, ast.Expr) and _is_call(statement.value, "md.exercises.check"):
            first = statement.value.args[0] if isinstance(statement.value, ast.Call) and statement.value.args else None
            names.append(str(first.value) if isinstance(first, ast.Constant) else "")
    return names


def _used_exercises(page: Page) -> list[str]:
    return sorted({name for cell in page.cells for name in _checked_names(cell)})


@in_chapters
def exercises_are_enough(page: Page, book: Book) -> Iterator[Problem]:
    exercises = _exercises(page)
    if len(exercises) < 5:
        yield 1, f"{len(exercises)} exercises; a chapter has at least five"
    if exercises and not any(e.stubs for e in exercises):
        yield 1, "no exercise in code"
    counts = book.places(lambda p: [str(b.options.get("label", "")) for b in p.directives("exercise")])
    for exercise in exercises:
        if not exercise.label.startswith("ex-"):
            yield exercise.line, "an exercise without :label: ex-..."
        elif counts[exercise.label] > 1:
            yield exercise.line, f"{counts[exercise.label]} exercises of the book are labelled {exercise.label}"


@in_chapters
def exercises_have_solutions(page: Page, book: Book) -> Iterator[Problem]:
    exercises = _exercises(page)
    for exercise in exercises:
        if not exercise.prose and not exercise.solutions:
            yield exercise.line, f"{exercise.label} has no solution: neither a {{solution}} nor a cell tagged solution"
        if len(exercise.prose) > 1 or len(exercise.solutions) > 1:
            yield exercise.line, f"{exercise.label} has more than one solution of a kind"
        if exercise.stubs and not exercise.solutions:
            yield exercise.line, f"{exercise.label} asks for code, but no cell tagged solution follows it"
    labels = {e.label for e in exercises}
    for block in page.directives("solution"):
        if block.argument not in labels:
            yield block.line, f"a solution of {block.argument or 'nothing'}, which is no exercise of this page"
        if "dropdown" not in block.classes:
            yield block.line, "an open solution; fold it with :class: dropdown"
    following = {id(c) for e in exercises for c in e.solutions}
    for cell in page.cells:
        if "solution" in cell.tags:
            if id(cell) not in following:
                yield cell.start, "a solution cell that follows no exercise"
            jupyter = cell.options.get("jupyter") or {}
            if "hide-input" not in cell.tags or not jupyter.get("source_hidden"):
                yield cell.start, "an open solution cell; tag it hide-input and set jupyter: source_hidden: true"


@in_chapters
def exercises_check_themselves(page: Page, book: Book) -> Iterator[Problem]:
    known: set[int] = set()
    for exercise in _exercises(page):
        names: dict[str, list[str]] = {}
        for role, cells in (("stub", exercise.stubs), ("solution", exercise.solutions)):
            for cell in cells:
                known.add(id(cell))
                names.setdefault(role, []).extend(_checked_names(cell))
                if exercise.stubs and len(_checked_names(cell)) != 1:
                    yield cell.line, f'the {role} of {exercise.label} should end with md.exercises.check("name", ...)'
                for name in _checked_names(cell):
                    if name not in book.exercises:
                        yield cell.line, f"md.exercises has no exercise {name!r}"
                yield from _verdicts(page, cell, role)
        if names.get("stub") and names.get("solution") and names["stub"] != names["solution"]:
            yield exercise.line, f"the stub checks {names['stub']}, the solution {names['solution']}"
    for cell in page.cells:
        if id(cell) not in known and any(_is_call(n, "md.exercises.check") for n in cell.walk()):
            yield cell.line, "a call of md.exercises.check in a cell that is tagged neither exercise nor solution"
        if id(cell) not in known and "exercise" in cell.tags:
            yield cell.start, "a cell tagged exercise that follows no exercise"


def _verdicts(page: Page, cell: Cell, role: str) -> Iterator[Problem]:
    stored = page.stored(cell)
    for name in _checked_names(cell):
        wanted = f"{name}: not attempted" if role == "stub" else f"✓ {name}: right"
        if stored is None:
            yield cell.line, "this cell is not in the page's notebook; run make notebooks"
        elif wanted not in _output(stored).splitlines():
            yield cell.line, f"the stored output of this {role} does not say {wanted!r}"


@in_chapters
def paper_exercises_have_hints(page: Page, book: Book) -> Iterator[Problem]:
    for exercise in _exercises(page):
        if not exercise.stubs and len(exercise.hints) < 2:
            yield (
                exercise.line,
                (
                    f"{exercise.label} has {len(exercise.hints)} hints; an exercise on paper has two, "
                    "{admonition} First hint and Second hint with :class: tip dropdown"
                ),
            )


def _output(stored: Any) -> str:
    """The text that a stored cell shows."""
    texts = []
    for output in stored.outputs:
        text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
        texts.append("".join(text))
    return "\n".join(texts)


# -- the book --------------------------------------------------------------------------------------------------------


def _registered() -> tuple[str, ...]:
    import mathdl as md

    return tuple(md.exercises.names())


def _the_book() -> Book:
    return Book(book(), _registered())


PAGES = sorted(book(), key=toc().index)
CHAPTERS = [name for name in PAGES if book()[name].is_chapter]


def _report(page: Page, book_: Book, rule: Rule) -> str:
    return "\n".join(f"{page.path}:{line}: {sentence}" for line, sentence in rule(page, book_))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("rule", EVERYWHERE)
def test_every_page(rule: str, name: str) -> None:
    report = _report(book()[name], _the_book(), EVERYWHERE[rule])
    assert not report, f"\n{report}"


@pytest.mark.parametrize("name", CHAPTERS)
@pytest.mark.parametrize("rule", IN_CHAPTERS)
def test_every_chapter(rule: str, name: str) -> None:
    report = _report(book()[name], _the_book(), IN_CHAPTERS[rule])
    assert not report, f"\n{report}"


def test_every_page_of_the_contents_exists() -> None:
    missing = [name for name in toc() if not (ROOT / f"{name}.md").exists()]
    assert not missing, f"_toc.yml lists pages that do not exist: {missing}"


def test_there_are_chapters_and_all_are_in_the_contents() -> None:
    files = {p.relative_to(ROOT).as_posix().removesuffix(".md") for p in ROOT.glob("book/[0-9]*-*/*.md")}
    assert len(files) >= 4, "where are the chapters? book/N-.../*.md matches fewer than four files"
    listed = {name for name in PAGES if name.startswith("book/") and name.split("/")[1][0].isdigit()}
    assert files == listed, f"pages that are not in _toc.yml: {sorted(files - listed)}"


def test_every_part_opens_with_a_page_of_its_own() -> None:
    """The first of its part, without a number, with one question and a link to each of its chapters."""
    for folder in sorted(ROOT.glob("book/[0-9]*-*")):
        pages = [name for name in PAGES if name.startswith(f"book/{folder.name}/")]
        assert pages[0] == f"book/{folder.name}/index"
        opener = book()[pages[0]]
        links = [str(token.attrs["href"]) for token, _ in opener.inline("link_open")]
        assert [f"{name.rpartition('/')[2]}.md" for name in pages[1:]] == links
        assert len(opener.directives("figure")) == 1
        assert 150 <= words(opener) <= 600


def test_every_registered_exercise_is_used_in_one_chapter() -> None:
    counts = Counter(name for n in CHAPTERS for name in _used_exercises(book()[n]))
    unused = [name for name in _registered() if counts[name] == 0]
    twice = [name for name, count in counts.items() if count > 1]
    assert not unused, f"exercises of mathdl.exercises that no chapter asks: {unused}"
    assert not twice, f"exercises that several chapters ask: {twice}"


# -- the rules themselves --------------------------------------------------------------------------------------------

_FILL = ("A tangent is a small arrow that says in which direction and how fast a point moves. " * 100).strip()
_CELL = "```{code-cell} python\n"
_NOTE = ":::{margin} A remark\nThe name is old and nobody uses it.\n:::\n"
SAMPLE = (
    f"""---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
description: How the slope of a square is found, and why a check belongs to it.
minutes: 40
---

(chapter-sample)=
# A sample

```{{admonition}} In this chapter
:class: contract
**You will be able to** differentiate a square.

**You need** [the conventions](../conventions.md).

**Time** About 40 minutes.
```

{_CELL}import matplotlib.pyplot as plt
import numpy as np

import mathdl as md

md.plot.style()
```

## The slope of a square is twice the side

{_FILL}

$$
\\frac{{\\partial f}}{{\\partial x}} = 2 x
$$ (eq-d-square)

{_CELL}def f(x):
    return x**2


slope = 2.0
md.check_jacobian(f, lambda x: 2 * x, np.array(3.0), equation="eq-d-square")
```

The slope in {{eq}}`eq-d-square` is {{eval}}`f"{{slope:.1f}}"` times $x$, as [Squire and Trapp 1998](#squire1998) knew.

% no check: it is the definition of the derivative
$$ f'(x) = \\lim_{{h \\to 0}} \\frac{{f(x+h) - f(x)}}{{h}} $$ (eq-definition)

$$ a^2 + b^2 = c^2 $$ (eq-pythagoras)

{_CELL}---
mystnb:
  figure:
    name: fig-square
    caption: |
      The square grows faster and faster.
  image:
    alt: A parabola that opens upwards, with its lowest point at the origin.
tags: [hide-input]
---
t = np.linspace(-1.0, 1.0)
plt.plot(t, f(t))
plt.show()
```

## Exercises

```{{exercise}} The slope of a cube
:label: ex-cube

Write the slope of a cube.
```

{_CELL}:tags: [exercise]

def cube_slope(x):
    \"\"\"Return the slope.\"\"\"
    ...


md.exercises.check("cube-slope", cube_slope)
```

{_CELL}---
tags: [hide-input, solution]
jupyter:
  source_hidden: true
---
def cube_slope(x):
    \"\"\"Return the slope.\"\"\"
    return 3 * x**2


md.exercises.check("cube-slope", cube_slope)
```
"""
    + "".join(
        f"""
```{{exercise}} On paper {k}
:label: ex-paper-{k}

Find a number.
```

```{{admonition}} First hint
:class: tip dropdown
Look left.
```

```{{admonition}} Second hint
:class: tip dropdown
Look right, number {k}.
```

```{{solution}} ex-paper-{k}
:class: dropdown
It is {k}.
```
"""
        for k in range(1, 5)
    )
    + """
## Summary

The slope of a square is $2x$.

## Sources

[Squire and Trapp 1998](#squire1998) is short.
"""
)

_OTHERS = {
    "book/conventions": Page("# Conventions\n\n$$ 1 + 1 = 2 $$ (eq-other)\n", "book/conventions.md"),
    BIBLIOGRAPHY: Page("# Bibliography\n\n(squire1998)=\nSquire and Trapp.\n", f"{BIBLIOGRAPHY}.md"),
}


def _executed(text: str) -> Any:
    """The notebook of a sample chapter, with the outputs that executing it would store."""
    notebook = nbformat.v4.new_notebook()
    for cell in Page(text).cells:
        outputs = []
        result = ""
        if "check_jacobian" in cell.source and "equation" in cell.source:
            result = "✓ checked eq-d-square: agrees with complex step at 5 points"
        elif "solution" in cell.tags:
            result = "✓ cube-slope: right"
        elif "exercise" in cell.tags:
            result = "cube-slope: not attempted"
        if result:
            outputs.append(nbformat.v4.new_output("execute_result", {"text/plain": result}, execution_count=1))
        if "figure" in cell.options.get("mystnb", {}):
            outputs.append(nbformat.v4.new_output("display_data", {"text/plain": "<Figure size 499x326 with 1 Axes>"}))
        notebook.cells.append(nbformat.v4.new_code_cell(cell.source, outputs=outputs))
    return notebook


def _problems(
    rule: str, text: str, notebook: Any = "fresh", exercises: tuple[str, ...] = ("cube-slope",)
) -> list[Problem]:
    page = Page(text, notebook=_executed(text) if notebook == "fresh" else notebook)
    pages = {**_OTHERS, "book/1-sample/01-sample": page}
    return list({**EVERYWHERE, **IN_CHAPTERS}[rule](page, Book(pages, exercises)))


CHECK = 'md.check_jacobian(f, lambda x: 2 * x, np.array(3.0), equation="eq-d-square")'
PLOT = "plt.plot(t, f(t))\n"
FIGURE_OPTIONS = SAMPLE[SAMPLE.index("---\nmystnb:") : SAMPLE.index("t = np.linspace")]
HINT = "```{admonition} Second hint\n:class: tip dropdown\nLook right, number 2.\n```\n"
SOLUTION = "```{solution} ex-paper-2\n:class: dropdown\nIt is 2.\n```\n"
SOLUTION_CELL = _CELL + SAMPLE[SAMPLE.index("---\ntags: [hide-input, sol") : SAMPLE.index("\n```{exercise} On paper 1")]
ALT = "A parabola that opens upwards, with its lowest point at the origin."
CHECK_STUB = '...\n\n\nmd.exercises.check("cube-slope", cube_slope)'
CHECK_SOLUTION = '3 * x**2\n\n\nmd.exercises.check("cube-slope", cube_slope)'
PYTHAGORAS = "$$ a^2 + b^2 = c^2 $$ (eq-pythagoras)"
MUTATIONS: list[tuple[str, str, str, str]] = [
    # rule, what stands in the sample, what replaces it, what the rule says then
    ("equations_have_unique_labels", " (eq-pythagoras)", "", "without label"),
    ("equations_have_unique_labels", PYTHAGORAS, "\\begin{align} a &= b \\end{align}", "without label"),
    ("equations_have_unique_labels", PYTHAGORAS, "```{math}\na = b\n```", "without label"),
    ("equations_have_unique_labels", "(eq-pythagoras)", "(pythagoras)", "does not start with eq-"),
    ("equations_have_unique_labels", "(eq-pythagoras)", "(eq-definition)", "is given to 2 equations"),
    ("equations_have_unique_labels", "(eq-pythagoras)", "(eq-other)", "is given to 2 equations"),
    ("equations_have_unique_labels", "= c^2 $$", "= c^2 \\label{x} $$", "inside mathematics"),
    ("equation_references_resolve", "{eq}`eq-d-square`", "{eq}`eq-d-sqare`", "names no equation"),
    ("derivatives_are_checked", CHECK, "", "has no check"),
    ("derivatives_are_checked", CHECK, CHECK.replace("eq-d-square", "eq-d-cube"), "has no check"),
    ("derivatives_are_checked", CHECK, CHECK.replace(', equation="eq-d-square"', ""), "has no check"),
    ("derivatives_are_checked", CHECK, f"# {CHECK}", "has no check"),
    ("derivatives_are_checked", CHECK, f"if False:\n    {CHECK}", "not a statement of its own"),
    ("derivatives_are_checked", CHECK, f"try:\n    {CHECK}\nexcept Exception:\n    pass", "not a statement of its own"),
    ("derivatives_are_checked", CHECK, f"def later():\n    {CHECK}", "not a statement of its own"),
    ("derivatives_are_checked", CHECK, f"report = {CHECK}", "not a statement of its own"),
    ("derivatives_are_checked", CHECK, f"False and {CHECK}", "not a statement of its own"),
    ("derivatives_are_checked", CHECK, CHECK.replace("md.", "mine."), "not called as md.check_jacobian"),
    ("derivatives_are_checked", CHECK, CHECK.replace('"eq-d-square"', '"eq-d-" + "square"'), "has no check"),
    ("derivatives_are_checked", CHECK, CHECK.replace("lambda x: 2 * x", "f"), "compares a function with itself"),
    (
        "derivatives_are_checked",
        CHECK,
        CHECK.replace("2 * x", "md.numeric.jacobian(f, x).value"),
        "computed by differences",
    ),
    ("derivatives_are_checked", "def f(x):", ":tags: [raises-exception]\n\ndef f(x):", "tagged raises-exception"),
    ("derivatives_are_checked", "def f(x):", ":tags: [skip-execution]\n\ndef f(x):", "tagged skip-execution"),
    ("checks_name_an_equation", "(eq-d-square)", "(eq-d-squared)", "which this page does not have"),
    ("checks_name_an_equation", CHECK, CHECK.replace("eq-d-square", "eq-pythagoras"), "should start with eq-d-"),
    ("other_derivatives_say_why_unchecked", "% no check: it is the definition of the derivative\n", "", "contains '("),
    (
        "other_derivatives_say_why_unchecked",
        "the definition of the derivative\n",
        "the definition\n\nA paragraph.\n\n",
        "'(",
    ),
    ("other_derivatives_say_why_unchecked", "it is the definition of the derivative", "yes", "contains '("),
    ("other_derivatives_say_why_unchecked", "a^2 + b^2 = c^2", "\\partial f", r"contains \partial"),
    ("other_derivatives_say_why_unchecked", "a^2 + b^2 = c^2", "\\nabla f = 0", r"contains \nabla"),
    ("other_derivatives_say_why_unchecked", "a^2 + b^2 = c^2", "J = W", "contains J"),
    ("other_derivatives_say_why_unchecked", "a^2 + b^2 = c^2", "\\mathbf{J}_f v", "contains J"),
    ("other_derivatives_say_why_unchecked", "a^2 + b^2 = c^2", "\\frac{\\mathrm{d} f}{\\mathrm{d} x}", "contains"),
    ("other_derivatives_say_why_unchecked", "a^2 + b^2 = c^2", "\\frac{df}{dx} = 2", "contains"),
    ("other_derivatives_say_why_unchecked", "a^2 + b^2 = c^2", "\\frac{d}{dx} x = 1", "contains"),
    ("other_derivatives_say_why_unchecked", "a^2 + b^2 = c^2", "\\mathrm{D} f", "contains"),
    ("other_derivatives_say_why_unchecked", "eq-pythagoras", "eq-pythagoras)\n\n$$ J $$ (eq-j", "contains J"),
    ("other_derivatives_say_why_unchecked", "$$\n\\frac{", "% no check: too easy to check\n$$\n\\frac{", "decide"),
    ("mathdl_is_not_replaced", "slope = 2.0", "md.check_jacobian = print", "which the checks rely on"),
    ("mathdl_is_not_replaced", "slope = 2.0", "md = np", "which the checks rely on"),
    ("mathdl_is_not_replaced", "import mathdl as md", "import mathdl_fake as md", "need import mathdl"),
    ("figures_are_described", "The square grows faster and faster.", "Growth.", "without caption"),
    ("figures_are_described", ALT, "A plot.", "alternative text"),
    ("figures_are_described", f"    alt: {ALT}\n", "    width: 1\n", "alternative text"),
    ("figures_are_described", ALT, "The square grows faster and faster.", "repeats the caption"),
    ("figures_are_described", "name: fig-square", "name: square", "without name"),
    ("figures_are_described", PYTHAGORAS, "![](a.png)", "without alternative text"),
    ("figures_are_described", PYTHAGORAS, "![A drawing of a triangle with squares](a.png)", "without caption"),
    ("figures_are_described", PYTHAGORAS, "```{figure} a.png\nA triangle and three squares.\n```", "alternative text"),
    (
        "figures_are_described",
        PYTHAGORAS,
        "```{figure} a.png\n:alt: A triangle and three squares.\n```",
        "without caption",
    ),
    ("plots_are_figures", FIGURE_OPTIONS, "", "this cell draws"),
    ("plots_are_figures", CHECK, "md.plot.matrix(np.eye(2))", "this cell draws"),
    ("plots_are_figures", CHECK, "def draw():\n    plt.plot([1])\n\n\ndraw()", "this cell draws"),
    (
        "nothing_comes_from_another_host",
        PYTHAGORAS,
        "![A triangle with three squares](https://a.org/b.png)",
        "an image from",
    ),
    ("nothing_comes_from_another_host", PYTHAGORAS, "```{figure} http://a.org/b.png\nA\n```", "an image from"),
    (
        "nothing_comes_from_another_host",
        PYTHAGORAS,
        "<script src='//a.org/b.js'></script>",
        "another host: //a.org/b.js",
    ),
    (
        "nothing_comes_from_another_host",
        "slope = 2.0",
        "slope = read('https://a.org/b')",
        "code that names another host",
    ),
    ("cells_are_plain_python", "slope = 2.0", "%timeit f(1)", "magic"),
    ("cells_are_plain_python", "slope = 2.0", "!ls", "magic"),
    ("cells_are_plain_python", "slope = 2.0", "run('pip install x')", "installs something"),
    ("cells_are_plain_python", "slope = 2.0", "slope = = 2.0", "not valid Python"),
    ("cells_are_plain_python", "slope = 2.0", "# NBVAL_SKIP", "switches the comparison"),
    ("cells_are_plain_python", "tags: [hide-input]\n", "tags: [remove-output]\n", "the tag remove-output"),
    (
        "cells_are_plain_python",
        "tags: [hide-input, solution]",
        "tags: [hide-input, solution, nbval-ignore-output]",
        "check",
    ),
    ("cells_are_plain_python", "It is 2.\n", "It is 2.\n~~~{code-cell}\n1 + 1\n~~~\n", "never run"),
    ("cells_are_short", "slope = 2.0\n", "slope = 2.0\n" * 20, "23 lines of code"),
    ("imports_stand_first", PLOT, f"import math\n{PLOT}", "an import below"),
    ("imports_stand_first", "    return x**2", "    import math\n    return x**2", "an import below"),
    ("evals_are_expressions", '{eval}`f"{slope:.1f}"`', "{eval}`slope +`", "is not a Python expression"),
    ("evals_are_expressions", '{eval}`f"{slope:.1f}"`', "{eval}`slop`", "uses slop, which no cell above defines"),
    ("evals_are_expressions", '{eval}`f"{slope:.1f}"`', "{eval}`t[0]`", "uses t, which no cell above defines"),
    ("evals_are_expressions", "file_format: mystnb\n", "", "not executed"),
    ("front_matter_is_complete", "file_format: mystnb\n", "", "file_format: mystnb"),
    (
        "front_matter_is_complete",
        "description: How",
        "subtitle: How",
        "a description of 20 to 155 characters (it has none)",
    ),
    ("front_matter_is_complete", "belongs to it.", "belongs to it." * 10, "a description of 20 to 155"),
    ("front_matter_is_complete", "minutes: 40", "minutes: long", "needs minutes"),
    ("front_matter_is_complete", "  name: python3", "  name: julia", "kernelspec"),
    (
        "front_matter_is_complete",
        "minutes: 40\n",
        "minutes: 40\nmystnb:\n  execution_mode: 'off'\n",
        "mystnb in the front matter",
    ),
    ("contract_is_complete", ":class: contract\n", "", "0 contracts"),
    ("contract_is_complete", "**You will be able to**", "You will be able to", "lacks **You will be able to**"),
    ("contract_is_complete", "**You need**", "You need", "lacks **You need**"),
    ("contract_is_complete", "**Time**", "Time", "lacks **Time**"),
    ("contract_is_complete", "About 40 minutes", "About 30 minutes", "says 30 minutes"),
    ("contract_is_complete", "# A sample\n", "# A sample\n\n## Too early\n", "below the first section"),
    ("sections_are_in_order", "## Summary", "## Sum", "the last sections are Exercises, Sum, Sources"),
    ("sections_are_in_order", "## Exercises", "## Practice", "the last sections are Practice"),
    (
        "sections_are_in_order",
        "is short.\n",
        "is short.\n\n## And more\n",
        "the last sections are Summary, Sources, And more",
    ),
    ("sections_are_in_order", "## The slope of a square is twice the side", "## Introduction", "says nothing"),
    ("sections_are_in_order", "## The slope of a square is twice the side", "### The slope", "skips a level"),
    ("sections_are_in_order", "## The slope of a square is twice the side", "# The slope", "2 headings of level 1"),
    ("sections_are_in_order", "## The slope of a square is twice the side", "## Summary", "2 headings read 'Summary'"),
    ("sections_are_in_order", "(chapter-sample)=\n", "", "no (chapter-...)="),
    ("sections_are_in_order", "[Squire and Trapp 1998](#squire1998) is short.", "Nothing.", "cite nothing"),
    ("prose_has_the_right_length", _FILL, "Short.", "words of prose"),
    ("prose_has_the_right_length", _FILL, f"{_FILL} {_FILL}", "words of prose"),
    ("prose_has_the_right_length", _FILL, f"```python\n{_FILL}\n```", "words of prose"),
    ("only_known_directives", PYTHAGORAS, "```{sidebar}\nAside.\n```", "the directive {sidebar}"),
    ("only_known_directives", "It is 2.\n", "It is 2.\n\n:::{tab-set}\nA\n:::\n", "the directive {tab-set}"),
    ("only_known_directives", PYTHAGORAS, "See {numref}`fig-square`.", "the role {numref}"),
    ("only_known_directives", PYTHAGORAS, "<div>raw</div>", "raw HTML"),
    ("only_known_directives", PYTHAGORAS, "A <b>raw</b> word.", "raw HTML"),
    ("margin_notes_are_short", PYTHAGORAS, f":::{{margin}}\n{_FILL}\n:::", "words in the margin"),
    ("margin_notes_are_short", "It is 2.\n", f"It is 2.\n{_NOTE}", "stands below the paragraph"),
    ("margin_notes_are_short", PYTHAGORAS, f"## Two squares\n\n{_NOTE}", "stands below the paragraph"),
    ("margin_notes_are_short", PYTHAGORAS, f"A word.\n\n{_NOTE}".replace("old", "{eval}`slope`"), "a computed number"),
    ("mathematics_is_closed", "is $2x$.", "is $2x.", "a $ in the text"),
    ("mathematics_is_closed", PYTHAGORAS, "A paragraph with $$x$$ inside.", "a $ in the text"),
    ("links_resolve", "(#squire1998) is", "(#squire1999) is", "the link #squire1999 leads nowhere"),
    ("links_resolve", "](../conventions.md)", "](../convention.md)", "leads to no page"),
    ("exercises_are_enough", "```{exercise} On paper 1\n:label: ex-paper-1\n", "```{note}\n", "4 exercises"),
    ("exercises_are_enough", ":label: ex-cube\n", "", "without :label:"),
    ("exercises_are_enough", ":label: ex-paper-2\n", ":label: ex-paper-1\n", "2 exercises of the book"),
    ("exercises_are_enough", ":tags: [exercise]\n", ":tags: [other]\n", "no exercise in code"),
    ("exercises_have_solutions", SOLUTION, "", "ex-paper-2 has no solution"),
    ("exercises_have_solutions", SOLUTION, SOLUTION * 2, "more than one solution"),
    ("exercises_have_solutions", SOLUTION, SOLUTION.replace("ex-paper-2", "ex-paper-9"), "which is no exercise"),
    ("exercises_have_solutions", SOLUTION, SOLUTION.replace(":class: dropdown\n", ""), "an open solution"),
    ("exercises_have_solutions", "tags: [hide-input, solution]", "tags: [solution]", "an open solution cell"),
    ("exercises_have_solutions", "  source_hidden: true\n", "  source_hidden: false\n", "an open solution cell"),
    ("exercises_have_solutions", SOLUTION_CELL, "", "ex-cube has no solution"),
    (
        "exercises_have_solutions",
        SOLUTION_CELL,
        "```{solution} ex-cube\n:class: dropdown\nIt.\n```\n",
        "no cell tagged solution",
    ),
    ("exercises_have_solutions", "## Exercises\n", f"{SOLUTION_CELL}\n## Exercises\n", "follows no exercise"),
    ("exercises_check_themselves", CHECK_STUB, "...", "the stub of ex-cube"),
    ("exercises_check_themselves", CHECK_SOLUTION, "3 * x**2", "the solution of"),
    ("exercises_check_themselves", CHECK_STUB, CHECK_STUB.replace("cube-slope", "cubes"), "'cubes'"),
    ("exercises_check_themselves", CHECK_STUB, CHECK_STUB.replace("cube-slope", "cubes"), "the stub checks"),
    (
        "exercises_check_themselves",
        "slope = 2.0",
        'md.exercises.check("cube-slope", 1)',
        "neither exercise nor solution",
    ),
    (
        "exercises_check_themselves",
        "## Exercises\n",
        f"{_CELL}:tags: [exercise]\n\n1\n```\n\n## Exercises\n",
        "follows no exercise",
    ),
    ("paper_exercises_have_hints", HINT, "", "ex-paper-2 has 1 hints"),
    ("paper_exercises_have_hints", HINT, HINT.replace("tip dropdown", "tip"), "ex-paper-2 has 1 hints"),
    ("paper_exercises_have_hints", HINT, HINT.replace("Second hint", "Second"), "ex-paper-2 has 1 hints"),
]


@pytest.mark.parametrize("rule", [*EVERYWHERE, *IN_CHAPTERS])
def test_a_good_chapter_keeps_the_rule(rule: str) -> None:
    assert _problems(rule, SAMPLE) == []


@pytest.mark.parametrize(("rule", "old", "new", "says"), MUTATIONS, ids=[f"{m[0]}-{m[3][:40]}" for m in MUTATIONS])
def test_a_broken_chapter_is_found(rule: str, old: str, new: str, says: str) -> None:
    assert old in SAMPLE
    problems = _problems(rule, SAMPLE.replace(old, new, 1))
    assert any(says in sentence for _, sentence in problems), f"{rule} said only {problems}"


def test_every_rule_is_broken_at_least_once() -> None:
    in_notebooks = {"checks_are_shown"}  # broken below
    assert {m[0] for m in MUTATIONS} | in_notebooks == {*EVERYWHERE, *IN_CHAPTERS}


def test_a_problem_is_reported_with_its_line() -> None:
    text = SAMPLE.replace(" (eq-pythagoras)", "")
    ((line, _),) = _problems("equations_have_unique_labels", text)
    assert "a^2 + b^2" in text.splitlines()[line - 1]
    text = SAMPLE.replace(PLOT, f"import math\n{PLOT}")
    ((line, _),) = _problems("imports_stand_first", text)
    assert text.splitlines()[line - 1] == "import math"
    text = SAMPLE.replace("It is 2.\n", "It is 2.\n\n$$ x $$\n")
    ((line, _),) = _problems("equations_have_unique_labels", text)
    assert text.splitlines()[line - 1] == "$$ x $$"


def _change(old: str, new: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        for cell in notebook.cells:
            for output in cell.outputs:
                if "text/plain" in output.get("data", {}):
                    output.data["text/plain"] = output.data["text/plain"].replace(old, new)

    return change


def _drop_image(notebook: Any) -> None:
    for cell in notebook.cells:
        cell.outputs = [o for o in cell.outputs if "<Figure" not in o.get("data", {}).get("text/plain", "")]


def _add_image(notebook: Any) -> None:
    notebook.cells[1].outputs.append(nbformat.v4.new_output("display_data", {"image/png": ""}))


def _no_cells(notebook: Any) -> None:
    notebook.cells = []


@pytest.mark.parametrize(
    ("rule", "change", "says"),
    [
        ("checks_are_shown", _change("✓ checked", "checked"), "does not say"),
        ("checks_are_shown", _change("eq-d-square", "eq-d-cube"), "does not say"),
        ("checks_are_shown", _change("eq-d-square", "eq-d-square-root"), "does not say"),
        ("checks_are_shown", _no_cells, "make notebooks"),
        ("exercises_check_themselves", _change("not attempted", "right"), "does not say"),
        ("exercises_check_themselves", _change("✓ cube-slope: right", "cube-slope: not yet"), "does not say"),
        ("exercises_check_themselves", _no_cells, "make notebooks"),
        ("plots_are_figures", _drop_image, "has 0 images"),
        ("plots_are_figures", _add_image, "shows an image"),
    ],
)
def test_a_broken_notebook_is_found(rule: str, change: Callable[[Any], None], says: str) -> None:
    notebook = _executed(SAMPLE)
    change(notebook)
    assert any(says in sentence for _, sentence in _problems(rule, SAMPLE, notebook))


def test_an_unknown_exercise_is_found() -> None:
    problems = _problems("exercises_check_themselves", SAMPLE, exercises=())
    assert any("no exercise 'cube-slope'" in sentence for _, sentence in problems)
