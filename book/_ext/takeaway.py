"""What a reader can take along from a page, and where else it can be opened; the lines at the end of every page.

A chapter is offered as a notebook: executed, with its pictures, and in plain Markdown, so that it reads well wherever
notebooks are opened. It is made from the notebook that the build executed, which stands in ``_build/jupyter_execute``.

Links to GitHub, Binder and Colab appear once ``repository: url:`` is set in ``_config.yml``, and nowhere before.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import nbformat
import yaml
from cards import make_fonts, plain, site_address, size_of_png, to_png
from offline import replace
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
SOLUTION = "# The solution\n"  # JupyterLab shows the first line of a folded cell: let it not be the answer


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", end_page, priority=910)  # after the page's text is finished
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def end_page(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Write the page's notebook into the site, and put the lines about the page under its text."""
    if doctree is None or not context.get("body"):
        return
    notebook = write_notebook(app, pagename, context["body"])
    context["body"] += page_end(app, pagename, context, notebook)


# -- the end of a page -----------------------------------------------------------------------------------------------


def page_end(app: Sphinx, pagename: str, context: dict[str, Any], notebook: str | None) -> str:
    """Return what stands under every page: what to take along, the API it uses, how to cite it, where else it is."""
    pathto = context["pathto"]
    source = f'<a href="{pathto("_sources/" + context["sourcename"], True)}">its source in MyST Markdown</a>'
    if notebook is None:
        lines = [("Source", source.replace("its source", "this page"))]
    else:
        lines = [
            (
                "Take along",
                f'<a href="{pathto(notebook, True)}" download>this page as a notebook</a>, executed, with its '
                f"pictures; {source}",
            )
        ]
    entries = ", ".join(
        f'<a href="{pathto("book/appendix/api")}#{anchor}"><code>md.{name}</code></a>'
        for name, anchor in api_entries(app, pagename)
    )
    if entries:
        lines.append(("Used from mathdl", entries))
    title = plain(context["title"])
    file = str(app.env.doc2path(pagename, base=False))
    online = links_online(repository(Path(app.srcdir)), file, notebook, title)
    if online:
        lines.append(("Online", online))
    lines.append(("Cite", citation(app, pagename, title)))
    text = "".join(f"<p><strong>{name}</strong> {what}</p>" for name, what in lines).replace("<p></p>", "")
    return f'<aside class="about-page" aria-label="About this page">{text}</aside>'


def citation(app: Sphinx, pagename: str, title: str) -> str:
    """Return how to cite a page, in words and, folded, as BibTeX."""
    project, author, year = app.config.project, app.config.author, app.config.copyright
    where = "" if title == project else f"“{html.escape(title)}”, in "
    words = (
        f"{html.escape(author)} ({year}). {where}<em>{html.escape(project)}</em>, version {package_version()}. "
        "Text and figures CC BY 4.0, code BSD-3-Clause."
    )
    address = site_address(app)
    entry = bibtex(project, author, year, title, address and address + app.builder.get_target_uri(pagename))
    return words + fold("BibTeX", entry)


def bibtex(project: str, author: str, year: str, title: str, address: str) -> str:
    """Return the entry of a page for a bibliography."""
    number, name = re.match(r"(?:(\d+)\.\s+)?(.*)", title, re.DOTALL).groups()
    key = "-".join(re.findall(r"[a-z]+", project.lower())) + f"-{year}" + (f"-{number}" if number else "")
    whole = name == project
    lines = [
        f"  author  = {{{{{author}}}}}",
        f"  title   = {{{project if whole else name}}}",
        *([] if whole else [f"  note    = {{{f'Chapter {number} of' if number else 'In'} {project}}}"]),
        f"  version = {{{package_version()}}}",
        f"  year    = {{{year}}}",
        *([f"  url     = {{{address}}}"] if address else []),
    ]
    return f"@misc{{{key},\n" + ",\n".join(lines) + "\n}\n"


def api_entries(app: Sphinx, pagename: str) -> list[tuple[str, str]]:
    """Return the documented names of mathdl that a chapter's code uses, with their anchors on the API page."""
    text = Path(app.env.doc2path(pagename)).read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```\{code-cell\}.*?^```", text, re.DOTALL | re.MULTILINE))
    documented = {name: entry.node_id for name, entry in app.env.domaindata["py"]["objects"].items()}
    shorthand = {
        name.rpartition(".")[2]: name
        for name in documented
        if name.startswith(("mathdl.checking.", "mathdl.diagnosis."))
    }
    found: dict[str, str] = {}
    for used in sorted(set(re.findall(r"\bmd\.([a-z_]+(?:\.\w+)?)", code))):
        full = f"mathdl.{used}" if f"mathdl.{used}" in documented else shorthand.get(used)
        if full is not None and full.count(".") > 1:
            found[used] = documented[full]
    return list(found.items())


def package_version() -> str:
    import mathdl

    return mathdl.__version__


# -- the repository --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Repository:
    """Where the course's files are published."""

    url: str
    branch: str = "main"

    @property
    def github(self) -> str | None:
        """``OWNER/NAME`` if it is on GitHub."""
        match = re.fullmatch(r"https?://(?:www\.)?github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", self.url)
        return match and match[1]


def repository(root: Path) -> Repository | None:
    """Return the repository that ``_config.yml`` names, if it does.

    Read from the file, because Jupyter Book hands on its own repository's address where none is set.
    """
    file = root / "_config.yml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    found = (settings or {}).get("repository") or {}
    return Repository(str(found["url"]).strip(), str(found.get("branch") or "main")) if found.get("url") else None


def links_online(place: Repository | None, file: str, notebook: str | None, title: str) -> str:
    """Return the links from a page to its places on the web: nothing, while the course has no address there."""
    if place is None:
        return ""
    if place.github is None:
        return f'<a href="{html.escape(place.url)}">the course’s repository</a>'
    home, branch = f"https://github.com/{place.github}", quote(place.branch)
    links = [
        ("see it on GitHub", f"{home}/blob/{branch}/{quote(file)}"),
        ("edit it", f"{home}/edit/{branch}/{quote(file)}"),
    ]
    first = ""
    if notebook:
        start = urlencode({"labpath": notebook})
        colab = f"https://colab.research.google.com/github/{place.github}/blob/{branch}/{quote(notebook)}"
        links += [
            ("open it in Binder", f"https://mybinder.org/v2/gh/{place.github}/{quote(place.branch, safe='')}?{start}"),
            ("open it in Colab", colab),
        ]
        first = fold(
            "What Colab has to be told first",
            f'!git clone --depth 1 {home} course\nimport sys; sys.path.insert(0, "/content/course")\n',
            "Run this in a cell of its own, above the others:",
        )
    links.append(("report an error", f"{home}/issues/new?{urlencode({'title': f'Error in “{title}”: '})}"))
    return " · ".join(f'<a href="{html.escape(address)}">{name}</a>' for name, address in links) + first


def fold(title: str, text: str, before: str = "") -> str:
    """Return a fold with a text to copy, which stands after the paragraph that is open."""
    return (
        f"</p><details><summary>{title}</summary>{before and f'<p>{before}</p>'}"
        f'<div class="highlight"><pre tabindex="0">{html.escape(text, quote=False)}</pre></div></details><p>'
    )


# -- the notebook ----------------------------------------------------------------------------------------------------


@dataclass
class Facts:
    """What a page shows and its Markdown does not: numbers, values, and where links lead."""

    values: list[str] = field(default_factory=list)  # of {eval}, in their order
    equations: dict[str, str] = field(default_factory=dict)  # label to "1.2"
    exercises: dict[str, str] = field(default_factory=dict)  # label to "Exercise 1.2"
    figures: dict[str, str] = field(default_factory=dict)  # name to "Fig. 1.2"
    link: Callable[[str], str | None] = lambda target: target  # an address in the Markdown to one that works
    picture: Callable[[str], bytes | None] = lambda target: None  # a picture's file to a PNG
    pictures: dict[str, bytes] = field(default_factory=dict)  # those that a cell asked for

    @classmethod
    def of(cls, body: str) -> Facts:
        """Read the facts off a page's HTML."""
        values = re.findall(r'<span class="(?:[\w-]+ )*output text_plain">(.*?)</span>', body, re.DOTALL)
        own = re.findall(r'id="equation-([\w-]+)"[^>]*>\s*<span class="eqno">\(([\d.]+)\)', body)
        other = re.findall(r'href="[^"]*#equation-([\w-]+)"[^>]*>(?:<[^>]+>)*\(([\d.]+)\)', body)
        exercise = r'id="([\w-]+)"[^>]*>\s*<p class="admonition-title"><span class="caption-number">(Exercise [\d.]+)'
        figure = r'<figure\b[^>]*\bid="([\w-]+)"(?:(?!</figure>).)*?<span class="caption-number">(Fig\. [\d.]+)'
        return cls(
            values=[html.unescape(re.sub(r"<[^>]+>", "", value)).strip() for value in values],
            equations=dict(own + other),
            exercises=dict(re.findall(exercise, body)),
            figures=dict(re.findall(figure, body, re.DOTALL)),
        )


def write_notebook(app: Sphinx, pagename: str, body: str) -> str | None:
    """Write the notebook of a page into the site, if it has one; return its path from the site's root."""
    executed = Path(app.outdir).parent / "jupyter_execute" / f"{pagename}.ipynb"
    if pagename not in app.env.metadata or app.env.metadata[pagename].get("file_format") != "mystnb":
        return None
    if not executed.exists():
        return None
    path = notebook_path(pagename)
    facts = Facts.of(body)
    facts.link = lambda target: leads_to(app, pagename, target)

    kept = Path(app.outdir).parent / "cards"
    fonts = make_fonts(Path(app.srcdir, "book/_static/fonts"), kept / "fonts")
    drawn: set[Path] = set()

    def png(drawing: str) -> tuple[bytes, int, int]:
        """Draw a figure, or take it from an earlier build, as ``make book`` may have had to begin anew."""
        key = hashlib.sha256(drawing.encode()).hexdigest()[:24]
        path = kept / "figures" / pagename.replace("/", "-") / f"{key}.png"
        if not path.exists():
            replace(path, to_png(drawing, fonts, zoom=2)[0])
        drawn.add(path)
        data = path.read_bytes()
        return data, *(side // 2 for side in size_of_png(data))

    def picture(target: str) -> bytes | None:
        file = Path(app.srcdir, pagename).parent / target
        if file.suffix == ".svg" and file.is_file():
            return png(file.read_text(encoding="utf-8"))[0]
        return file.read_bytes() if file.suffix == ".png" and file.is_file() else None

    facts.picture = picture
    made = convert(nbformat.read(executed, as_version=4), facts, note(app, pagename), png)
    for old in set((kept / "figures" / pagename.replace("/", "-")).glob("*.png")) - drawn:
        old.unlink()
    if facts.values:
        LOGGER.warning("%d computed numbers of the page are not in its notebook", len(facts.values), location=pagename)
    replace(Path(app.outdir, path), nbformat.writes(made).encode())
    return path


def notebook_path(pagename: str) -> str:
    """Return where the notebook of a page stands, in the site as in the repository."""
    return f"notebooks/{pagename.removeprefix('book/')}.ipynb"


def note(app: Sphinx, pagename: str) -> str:
    """Return the lines that a notebook opens with: what it is, and what it needs."""
    address, place = site_address(app), repository(Path(app.srcdir))
    name = f"*{app.config.project}*"
    if address:
        name = f"[{name}]({address}{app.builder.get_target_uri(pagename)})"
    folder = f"[the course's folder]({place.url})" if place else "the course's folder"
    return (
        f"> A page of {name}, version {package_version()}, as the site shows it. To run it, you need the course's "
        f"package `mathdl`: get {folder}, and in it type `make lab`, or install it with `pip install -e .` where you "
        "run notebooks. Text and figures CC BY 4.0, code BSD-3-Clause."
    )


def leads_to(app: Sphinx, pagename: str, target: str) -> str | None:
    """Return where a link of a page leads from its notebook: to the site, if it is published, else beside it.

    ``None`` where it leads to another place of the same notebook that has no address there.
    """
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return target
    file, _, anchor = target.partition("#")
    page = os.path.normpath(os.path.join(os.path.dirname(pagename), file)).replace(os.sep, "/") if file else pagename
    page = page.removesuffix(".md")
    labels = app.env.domaindata["std"]["anonlabels"]
    if anchor in labels and (not file or labels[anchor][0] == page):
        page, anchor = labels[anchor][:2]
    address = site_address(app)
    if page == pagename and not address:
        return None
    if page not in app.env.found_docs:
        return address + target if address and file else None
    place = app.builder.get_target_uri(page) + (f"#{anchor}" if anchor else "")
    if address:
        return address + place
    is_notebook = app.env.metadata.get(page, {}).get("file_format") == "mystnb"
    goal = notebook_path(page) if is_notebook else place
    return os.path.relpath(goal, os.path.dirname(notebook_path(pagename))).replace(os.sep, "/")


def convert(notebook: Any, facts: Facts, opening: str, png: Callable[[str], tuple[bytes, int, int]]) -> Any:
    """Return an executed notebook as a reader takes it along: plain Markdown, pictures that show everywhere."""
    cells = [nbformat.v4.new_markdown_cell(opening)]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            facts.pictures = {}
            text = to_markdown(cell.source, facts)
            made = nbformat.v4.new_markdown_cell(text)
            for name, data in facts.pictures.items():
                made.setdefault("attachments", {})[name] = {"image/png": base64.b64encode(data).decode()}
            cells.append(made)
            continue
        tags = list(cell.metadata.get("tags", []))
        source = SOLUTION + cell.source if "solution" in tags else cell.source
        metadata = {key: cell.metadata[key] for key in ("tags", "jupyter") if cell.metadata.get(key)}
        made = nbformat.v4.new_code_cell(source, metadata=metadata, execution_count=cell.execution_count)
        made.outputs = [_output(output, png) for output in cell.outputs]
        cells.append(made)
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if caption := figure.get("caption"):
            number = facts.figures.get(figure.get("name", ""), "")
            text = to_markdown(caption.strip(), facts)
            cells.append(nbformat.v4.new_markdown_cell(f"**{number}** {text}" if number else text))
    for position, cell in enumerate(cells):
        cell.id = f"cell-{position:03d}"  # nbformat's own are random
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata = nbformat.from_dict(
        {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        }
    )
    nbformat.validate(made)
    return made


def _output(output: Any, png: Callable[[str], tuple[bytes, int, int]]) -> Any:
    """Return an output with its drawing as PNG: JupyterLab shows SVG only in notebooks that it trusts."""
    output = nbformat.from_dict(json.loads(json.dumps(output)))
    drawing = output.get("data", {}).pop("image/svg+xml", None)
    if drawing is not None:
        data, width, height = png(drawing if isinstance(drawing, str) else "".join(drawing))
        output.data["image/png"] = base64.b64encode(data).decode()
        output.metadata = nbformat.from_dict({"image/png": {"width": width, "height": height}})
    return output


FENCE = re.compile(r"^(`{3,}|:{3,})\{([\w:-]+)\} *(.*)$")
PLAIN_FENCE = re.compile(r"^(`{3,}|~{3,})")
OPTION = re.compile(r"^:([\w-]+): *(.*)$")
TOKEN = re.compile(  # what has a meaning of its own inside prose; whatever stands in maths or code is left alone
    r"\{(?P<role>[\w:-]+)\}`(?P<content>[^`]+)`"
    r"|(?P<display>(?<!\\)\$\$.*?\$\$)(?: *\((?P<label>[\w-]+)\))?"
    r"|(?P<maths>(?<![\\$])\$(?:\\.|[^$\\])+\$)"
    r"|(?P<code>(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`))"
    r"|(?<!!)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<goal>[^)\s]+)\)",
    re.DOTALL,
)


def to_markdown(text: str, facts: Facts) -> str:
    """Return MyST Markdown as the plain Markdown that every program for notebooks shows.

    Blocks become quotations and folds, references the numbers that the page shows, and computed numbers the values
    that they had.
    """
    return "\n".join(_blocks(text.split("\n"), facts)).strip("\n")


def _blocks(lines: list[str], facts: Facts) -> Iterator[str]:
    prose: list[str] = []
    k = 0
    while k < len(lines):
        line = lines[k]
        opening = FENCE.match(line)
        plain_opening = PLAIN_FENCE.match(line)
        if opening or plain_opening:
            yield from _prose(prose, facts)
            prose = []
            fence = (opening or plain_opening)[1]
            end = next(
                (j for j in range(k + 1, len(lines)) if re.fullmatch(rf"{fence[0]}{{{len(fence)},}} *", lines[j])),
                len(lines),
            )
            if opening:
                yield from _directive(opening[2], opening[3].strip(), lines[k + 1 : end], facts)
            else:
                yield from lines[k : end + 1]
            k = end + 1
            continue
        if not re.fullmatch(r"\([\w-]+\)= *", line) and not line.startswith("% "):
            prose.append(line)
        k += 1
    yield from _prose(prose, facts)


def _directive(name: str, argument: str, lines: list[str], facts: Facts) -> Iterator[str]:
    options = {}
    while lines and (option := OPTION.match(lines[0])):
        options[option[1]] = option[2]
        lines = lines[1:]
    folded = "dropdown" in options.get("class", "")
    if name == "figure":
        yield from _figure(argument, options, lines, facts)
        return
    if name == "container":  # says how a page looks
        yield from _blocks(lines, facts)
        return
    if name == "exercise":
        number = facts.exercises.get(options.get("label", ""), "Exercise")
        title = f"{number} ({_inline(argument, facts)})" if argument else number
    elif name == "solution":
        number = facts.exercises.get(argument, "the exercise")
        title = f"Solution to {number}"
    else:
        title = _inline(argument, facts) if argument or name == "margin" else name.capitalize()
    body = "\n".join(_blocks(lines, facts)).strip("\n").split("\n")
    if folded:
        yield from ("<details>", f"<summary>{title}</summary>", "", *body, "", "</details>")
    else:
        yield from (f"> {line}".rstrip() for line in (*([f"**{title}**", ""] if title else []), *body))


def _figure(target: str, options: dict[str, str], lines: list[str], facts: Facts) -> Iterator[str]:
    alt = options.get("alt", "").replace("[", "(").replace("]", ")")
    if found := facts.picture(target):
        name = f"{Path(target).stem}.png"
        facts.pictures[name] = found
        yield from (f"![{alt}](attachment:{name})", "")
    number = facts.figures.get(options.get("name", ""))
    caption = "\n".join(_blocks(lines, facts)).strip("\n")
    yield from (f"**{number}** {caption}" if number else caption).split("\n")


def _prose(lines: list[str], facts: Facts) -> Iterator[str]:
    if lines:
        yield from _inline("\n".join(lines), facts).split("\n")


def _inline(text: str, facts: Facts) -> str:
    """Return a stretch of prose with its references, values and links written out."""

    def written_out(match: re.Match[str]) -> str:
        found = match.groupdict()
        if found["role"] == "eval":
            return facts.values.pop(0) if facts.values else match[0]
        if found["role"]:
            number = facts.equations.get(found["content"])
            return f"({number})" if found["role"] == "eq" and number else found["content"]
        if found["display"]:
            number = facts.equations.get(found["label"] or "")
            formula, indent = found["display"].removesuffix("$$"), ""
            if indented := re.search(r"\n( *)$", formula):
                indent = indented[1]
            return f"{formula.rstrip()}\n{indent}\\tag{{{number}}}\n{indent}$$" if number else found["display"]
        if found["text"]:
            goal, words = facts.link(found["goal"]), TOKEN.sub(written_out, found["text"])
            return f"[{words}]({goal})" if goal else words
        return match[0]

    return TOKEN.sub(written_out, text)
