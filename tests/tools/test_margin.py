"""The directive ``{margin}``, and what finishes openers and drawings, on made-up pages; and the drawings themselves."""

from __future__ import annotations

import importlib
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bs4 import BeautifulSoup
from docutils import nodes

from tools.settings import ROOT

margin: Any = importlib.import_module("margin")
course: Any = importlib.import_module("course")
STATIC = ROOT / "book" / "_static"
DRAWINGS = ["thread.svg", "thread-narrow.svg", "part-1.svg", "part-2.svg", "part-3.svg", "part-4.svg"]


def _paired(body: str) -> str:
    context = {"body": body}
    margin.pair_notes(None, "book/a", "page.html", context, nodes.document(None, None))  # type: ignore[arg-type]
    return context["body"]


def test_a_note_is_tied_to_the_block_above_it() -> None:
    note = '<aside class="margin" role="note"><p>A remark.</p></aside>'
    page = BeautifulSoup(_paired(f"<section><p>One.</p><p>Two.</p>\n{note}<p>Three.</p></section>"), "html.parser")
    (pair,) = page.select("section > div.beside")
    assert [child.get_text() for child in pair.find_all(recursive=False)] == ["Two.", "A remark."]
    assert [child.name for child in page.section.find_all(recursive=False)] == ["p", "div", "p"]
    assert _paired("<p>One.</p>") == "<p>One.</p>"


def _parsed(text: str) -> nodes.document:
    """Parse MyST with the directive, without Sphinx."""
    from docutils.core import publish_doctree
    from docutils.parsers.rst import directives
    from myst_parser.parsers.docutils_ import Parser

    directives.register_directive("margin", margin.Margin)
    settings = {"myst_enable_extensions": ["colon_fence"], "report_level": 5}
    return publish_doctree(text, parser=Parser(), settings_overrides=settings)


def test_a_note_holds_its_paragraphs_and_begins_with_its_title() -> None:
    (plain,) = _parsed("Above.\n\n:::{margin}\nA *short* remark.\n:::\n").findall(margin.MarginNote)
    assert plain.astext() == "A short remark."
    (titled,) = _parsed("Above.\n\n:::{margin} A name\nA remark.\n:::\n").findall(margin.MarginNote)
    assert titled.astext() == "A name A remark."
    assert [strong.astext() for strong in titled.findall(nodes.strong)] == ["A name"]


def test_a_part_opens_with_its_number_and_chapters_keep_theirs() -> None:
    for name, part in (("book/3-back/index", "3"), ("book/index", None), ("book/3-back/14-a", None)):
        assert course.part_of(name) == part
        context = {"title": "Back"}
        page = BeautifulSoup("<h1>Back</h1><figure><p class='caption-number'>Fig. 1</p></figure>", "html.parser")
        course.open_part(page, name, context)
        course.number_only_chapters(page, name)
        assert [p.get_text() for p in page.select("p.part-number")] == ([f"Part {part}"] if part else [])
        assert context["title"] == (f"Part {part}: Back" if part else "Back")
        assert bool(page.select(".caption-number")) is name.endswith("14-a")


def test_a_drawing_with_a_tall_variant_offers_it(tmp_path: Path) -> None:
    folder = tmp_path / "book/_static"
    folder.mkdir(parents=True)
    (folder / "wide-narrow.svg").write_text('<svg viewBox="0 0 42 66"/>', encoding="utf-8")
    figure = '<figure><img src="../_images/{}.svg"/></figure>'
    page = BeautifulSoup(figure.format("wide") + figure.format("other"), "html.parser")
    course.suit_narrow_screens(SimpleNamespace(srcdir=tmp_path), page, lambda name, resource: f"../{name}")
    (source,) = page.select("figure > picture > source")
    assert source["srcset"] == "../_static/wide-narrow.svg"
    assert (source["width"], source["height"]) == ("42", "66")
    assert len(page.select("picture")) == 1


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings_are_complete(name: str) -> None:
    """Letters are outlines, so none is in need of a font; each has a title; its letters are not too small."""
    text = (STATIC / name).read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    width = float(root.attrib["viewBox"].split()[2])
    assert "<text" not in text
    assert "font-family" not in text
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    defined, used = set(re.findall(r'id="(g\d+)"', text)), set(re.findall(r'href="#(g\d+)"', text))
    assert used == defined
    shown = 577 if name == "thread.svg" else 322  # the least width it has on a page
    sizes = [1000 * float(size) for size in re.findall(r"scale\(([\d.]+) -", text)]
    assert min(sizes) * shown / width >= 10.9, f"letters of {min(sizes) * shown / width:.1f} pixels"
