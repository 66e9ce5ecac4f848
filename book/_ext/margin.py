"""The directive ``{margin}``: a short remark beside the paragraph above it, which one can leave out and lose nothing.

It becomes ``<aside class="margin" role="note">``. On a wide screen the style sheet puts it beside its paragraph, and
everywhere else it stands below, set apart; JupyterLab knows the same directive by the same name.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class MarginNote(nodes.General, nodes.Element):
    """A remark in the margin; its children are paragraphs."""


class Margin(SphinxDirective):
    """``:::{margin} Title``, where the title may be left out."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        self.assert_has_content()
        note = MarginNote()
        self.set_source_info(note)
        self.state.nested_parse(self.content, self.content_offset, note)
        if self.arguments and isinstance(first := note.next_node(nodes.paragraph), nodes.paragraph):
            words, _ = self.state.inline_text(self.arguments[0], self.lineno)
            first.insert(0, [nodes.strong("", "", *words), nodes.Text(" ")])
        return [note]


def visit_html(translator: Any, node: MarginNote) -> None:
    translator.body.append('<aside class="margin" role="note">\n')


def depart_html(translator: Any, node: MarginNote) -> None:
    translator.body.append("</aside>\n")


def pair_notes(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Tie each note to the block above it, so that a style sheet can place one beside the other."""
    if doctree is None or 'class="margin"' not in context.get("body", ""):
        return
    page = BeautifulSoup(context["body"], "html.parser")
    for note in page.select("aside.margin"):
        above = note.find_previous_sibling()
        if above is not None:
            pair = page.new_tag("div", attrs={"class": "beside"})
            above.insert_before(pair)
            pair.extend([above.extract(), note.extract()])
    context["body"] = str(page)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_node(MarginNote, html=(visit_html, depart_html))
    app.add_directive("margin", Margin)
    app.connect("html-page-context", pair_notes, priority=850)  # before course.py finishes the page
    return {"parallel_read_safe": True, "parallel_write_safe": True}
