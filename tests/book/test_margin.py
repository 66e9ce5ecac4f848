"""Looks at what stands beside the text and before it: margin notes, parts' openers, the landing page's first screen.

Needs the built site and Chromium, as ``test_site.py`` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsing
import pytest
from chapters import ROOT, book, toc

CHAPTERS = [name for name in toc() if name in book() and book()[name].directives("margin")]
OPENERS = [name for name in toc() if re.fullmatch(r"book/\d+-[^/]+/index", name)]

NOTES = """[...document.querySelectorAll('aside.margin')].map(note => {
    const box = note.getBoundingClientRect(), above = note.previousElementSibling.getBoundingClientRect();
    return {left: box.left, right: box.right, top: box.top + scrollY, bottom: box.bottom + scrollY,
            above: {right: above.right, top: above.top + scrollY, bottom: above.bottom + scrollY}}})"""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with browsing.serve(site) as url:
        yield url


def _beside(notes: list[dict[str, Any]], width: int) -> Iterator[str]:
    """What is wrong with notes on a screen that has a margin."""
    for k, note in enumerate(notes):
        if note["left"] < note["above"]["right"] + 8 or abs(note["top"] - note["above"]["top"]) > 12:
            yield f"note {k} does not stand beside its paragraph"
        if note["right"] > width:
            yield f"note {k} does not fit on the screen"
        if k and note["top"] < notes[k - 1]["bottom"]:
            yield f"note {k} lies on the one before"


def _below(notes: list[dict[str, Any]], width: int) -> Iterator[str]:
    """What is wrong with notes on a screen that has none."""
    for k, note in enumerate(notes):
        if note["top"] < note["above"]["bottom"] or note["right"] > width:
            yield f"note {k} does not stand below its paragraph"


def test_there_are_notes_and_openers() -> None:
    assert len(CHAPTERS) >= 21
    assert len(OPENERS) == 4


@pytest.mark.parametrize("name", CHAPTERS)
def test_notes_stand_beside_their_paragraphs_or_below(browser: Any, address: str, name: str) -> None:
    count = len(book()[name].directives("margin"))
    with browsing.visit(browser, f"{address}/{name}.html", javascript=False) as seen:
        for width, problems in ((1280, _beside), (1000, _below), (360, _below)):
            seen.page.set_viewport_size({"width": width, "height": 800})
            browsing.lay_out(seen.page)
            notes = seen.page.evaluate(NOTES)
            assert len(notes) == count
            assert not list(problems(notes, width)), width
    html = (ROOT / f"_build/html/{name}.html").read_text(encoding="utf-8")
    assert html.count('<aside class="margin" role="note">') == count


@pytest.mark.parametrize("name", OPENERS)
def test_an_opener_says_which_part_it_is_and_has_no_number(browser: Any, address: str, name: str) -> None:
    part = name.split("/")[1].partition("-")[0]
    with browsing.visit(browser, f"{address}/{name}.html") as seen:
        assert seen.page.locator("article p.part-number").all_text_contents() == [f"Part {part}"]
        assert seen.page.title().startswith(f"Part {part}: ")
        assert seen.page.locator("article .section-number, article .caption-number").count() == 0
        links = seen.page.locator("article ol a").evaluate_all("links => links.map(link => link.href)")
        written = [page for page in toc() if page.startswith(name.removesuffix("index")) and page != name]
        assert links == [f"{address}/{page}.html" for page in written]


def test_the_first_screen_holds_question_picture_and_the_way_in(browser: Any, address: str) -> None:
    with browsing.visit(browser, f"{address}/book/index.html", width=1280, height=800) as seen:
        for part in ("h1", "h1 + p", "figure img", "p > strong > a", ".facts"):
            box = seen.page.locator(f"article {part}").first.bounding_box()
            assert box is not None, part
            assert box["y"] + box["height"] <= 800, part


def test_a_narrow_screen_gets_the_tall_drawing(browser: Any, address: str) -> None:
    for width, drawing in ((1280, "thread.svg"), (360, "thread-narrow.svg")):
        with browsing.visit(browser, f"{address}/book/index.html", width=width, height=800) as seen:
            image = seen.page.locator("#fig-thread img")
            assert drawing in image.evaluate("image => image.currentSrc")
            assert image.evaluate("image => image.complete && image.naturalWidth > 0")


# -- the checks themselves -------------------------------------------------------------------------------------------


def test_misplaced_notes_are_found() -> None:
    good = {"left": 700, "right": 900, "top": 100, "bottom": 180, "above": {"right": 650, "top": 96, "bottom": 160}}
    below = {**good, "left": 20, "right": 300, "top": 170}
    assert not list(_beside([good], 1280))
    assert not list(_below([below], 360))
    for wrong in ({**good, "left": 600}, {**good, "top": 170}, {**good, "right": 1300}):
        assert list(_beside([wrong], 1280))
    assert list(_beside([good, {**good, "top": 104}], 1280))
    assert list(_below([good], 360))
    assert list(_below([{**below, "right": 400}], 360))
