"""What the search collects from pages, on small made-up ones."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tools.settings import ROOT

spec = importlib.util.spec_from_file_location("finder", ROOT / "book" / "_ext" / "finder.py")
assert spec is not None
assert spec.loader is not None
finder = importlib.util.module_from_spec(spec)
sys.modules["finder"] = finder  # dataclasses look their module up
spec.loader.exec_module(finder)

MATHML = (
    '<span class="katex"><span class="katex-mathml"><math xmlns="http://www.w3.org/1998/Math/MathML"><semantics>'
    "<mrow>{}</mrow><annotation encoding='application/x-tex'>NOISE</annotation></semantics></math></span>"
    '<span aria-hidden="true" class="katex-html"><span>NOISE<span>NOISE</span></span></span></span>'
)
DERIVATIVE = (
    "<mfrac><mrow><mi>∂</mi><mi>p</mi></mrow><mrow><mi>∂</mi><mi>z</mi></mrow></mfrac><mo>=</mo><mi>diag</mi>"
    "<mo>⁡</mo><mo>(</mo><mi>p</mi><mo>)</mo><mo>−</mo><mi>p</mi><msup><mi>p</mi><mi>T</mi></msup><mi>.</mi>"
)
CHAPTER = f"""<html><body><nav>NOISE</nav><article><section id="layers">
<h1><span class="section-number">10</span>Layers<a class="headerlink" href="#layers">¶</a></h1>
<p class="chapter-line">NOISE</p>
<p>What a layer computes.</p>
<section id="the-softmax"><h2><span class="section-number">10.1. </span>The softmax<a class="headerlink">¶</a></h2>
<p>Every logit counts. With {MATHML.format("<msub><mi>z</mi><mi>i</mi></msub>")} the Lyapunov number is</p>
<div class="math" id="equation-eq-d-layer-softmax-lyapunov"><span class="eqno">(10.8)<a class="headerlink">¶</a>
<a class="checked" href="#x">✓ checked</a></span>{MATHML.format(DERIVATIVE)}</div>
<div class="cell"><div class="cell_input"><pre>NOISE</pre></div><div class="cell_output"><pre>NOISE</pre>
<figure id="fig-heat"><img alt="NOISE"><figcaption><p><span class="caption-number">Fig. 10.1 </span>
<span class="caption-text">A heat map. Dark is large.</span></p></figcaption></figure></div></div>
<section id="s-own-words"><h3>A deeper one</h3><div class="beside"><p>Deep words.</p><aside>A note.</aside>
</div></section>
<div class="exercise admonition" id="ex-two"><p class="admonition-title">
<span class="caption-number">Exercise 10.2 </span>
(A batch of two)</p><p>On paper.</p></div>
<details class="solution admonition"><summary>NOISE</summary><p>NOISE</p></details>
</section></section><aside class="about-page">NOISE</aside></article><footer>NOISE</footer></body></html>"""
API = """<article><section id="api"><h1>API</h1><dl class="py function"><dt class="sig sig-object py"
id="mathdl.autodiff.jacobian"><span>jacobian</span>(f)</dt><dd><p>The Jacobian of <code>f</code>.</p>
<p>NOISE</p></dd></dl>
<dl class="py class"><dt class="sig" id="mathdl.layers.ReLU">ReLU</dt><dd><p>A gate.</p><dl class="py method">
<dt class="sig" id="mathdl.layers.ReLU.pull">pull</dt><dd><p>Goes back.</p></dd></dl></dd></dl></section></article>"""
GLOSSARY = """<article><section id="glossary"><h1>Glossary</h1><dl class="simple myst">
<dt id="term-adjoint-identity">adjoint identity</dt><dd><p>Tests a pull (or a push). (<a href="x">Push and pull</a>)</p>
</dd></dl></section></article>"""
BIBLIOGRAPHY = """<article><section id="bibliography"><h1>Bibliography</h1><p id="ba2016">Ba, J. L. and Hinton, G. E.
(2016). <em>Layer normalization.</em> <a href="https://arxiv.org">arXiv</a></p></section></article>"""


@pytest.fixture(scope="module")
def chapter() -> Any:
    return finder.collect(CHAPTER, "book/10-layers.html")


def entry(page: Any, kind: int) -> Any:
    (only,) = [entry for entry in page.entries if entry.kind == kind]
    return only


def test_a_page_has_its_number_title_and_opening_words(chapter: Any) -> None:
    assert (chapter.number, chapter.title) == ("10", "Layers")
    opening = entry(chapter, finder.CHAPTER)
    assert (opening.anchor, opening.text) == ("", "What a layer computes.")


def test_code_and_what_stands_around_the_text_are_left_out(chapter: Any) -> None:
    assert "NOISE" not in repr(chapter)
    assert "checked" not in repr(chapter)
    assert "¶" not in repr(chapter)


def test_sections_have_their_own_words_only(chapter: Any) -> None:
    first, second = (entry for entry in chapter.entries if entry.kind == finder.SECTION)
    assert (first.number, first.title, first.anchor) == ("10.1", "The softmax", "the-softmax")
    assert first.text == "Every logit counts. With zᵢ the Lyapunov number is"
    assert (second.title, second.anchor, second.text) == ("A deeper one", "s-own-words", "Deep words. A note.")


def test_a_formula_is_named_by_its_label_and_shown_as_text(chapter: Any) -> None:
    found = entry(chapter, finder.FORMULA)
    assert found.anchor == "equation-eq-d-layer-softmax-lyapunov"
    assert found.number == "10.8"
    assert found.title == "softmax lyapunov, derivative"
    assert found.shown == "∂p/∂z = diag(p) − ppᵀ"
    assert found.under == "The softmax"
    assert set(found.names.split()) == {"diag", "derivative", "jacobian", "gradient"}


def test_names_of_formulas_are_spelt_as_in_the_text() -> None:
    page = finder.collect(CHAPTER, "book/10-layers.html")
    finder.spell([page])
    assert entry(page, finder.FORMULA).title == "Softmax Lyapunov, derivative"


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("eq-d-layer-softmax", "softmax, derivative"),
        ("eq-best-taylor", "taylor"),
        ("eq-jacobian", "jacobian"),
        ("eq-d-layer-affine-batch", "affine batch, derivative"),
    ],
)
def test_labels_become_names(label: str, name: str) -> None:
    assert finder.formula_name(label) == name


@pytest.mark.parametrize(
    ("mathml", "text"),
    [
        ("<mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></mfrac>", "(a + b)/2"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", "xᵢ²"),
        ("<msup><mi>R</mi><mrow><mi>m</mi><mo>×</mo><mi>n</mi></mrow></msup>", "R^(m×n)"),
        ("<msup><mi>f</mi><mo>′</mo></msup><mo>(</mo><mi>x</mi><mo>)</mo>", "f′(x)"),
        ("<mover accent='true'><mi>x</mi><mo>^</mo></mover>", "x\u0302"),
        ("<msqrt><mrow><mi>v</mi><mo>+</mo><mi>ε</mi></mrow></msqrt>", "√(v + ε)"),
        ("<mi>log</mi><mo>⁡</mo><mi>p</mi>", "log p"),
        ("<mo>&lt;</mo>", "<"),
    ],
)
def test_formulas_become_lines_of_text(mathml: str, text: str) -> None:
    assert finder.read_mathml(f"<math><mrow>{mathml}</mrow></math>")[0] == text


def test_mathml_that_cannot_be_read_still_gives_its_letters() -> None:
    assert finder.read_mathml("<math><mi>x</mi><annotation>NOISE</annotation></mrow></math>")[0] == "x"


def test_figures_and_exercises(chapter: Any) -> None:
    figure = entry(chapter, finder.FIGURE)
    assert (figure.number, figure.title, figure.text) == ("Fig. 10.1", "A heat map", "Dark is large.")
    exercise = entry(chapter, finder.EXERCISE)
    assert (exercise.number, exercise.title, exercise.text) == ("Exercise 10.2", "A batch of two", "On paper.")


def test_functions_have_the_names_that_readers_type() -> None:
    page = finder.collect(API, "book/appendix/api.html", finder.public_name)
    assert [(e.kind, e.title, e.anchor, e.shown) for e in page.entries if e.kind != finder.CHAPTER] == [
        (finder.FUNCTION, "md.jacobian", "mathdl.autodiff.jacobian", "The Jacobian of f."),
        (finder.FUNCTION, "md.layers.ReLU", "mathdl.layers.ReLU", "A gate."),
        (finder.MEMBER, "md.layers.ReLU.pull", "mathdl.layers.ReLU.pull", "Goes back."),
    ]


def test_terms_and_sources() -> None:
    term = entry(finder.collect(GLOSSARY, "book/appendix/glossary.html"), finder.TERM)
    assert (term.title, term.anchor) == ("adjoint identity", "term-adjoint-identity")
    assert term.shown == "Tests a pull (or a push)."
    source = entry(finder.collect(BIBLIOGRAPHY, "book/appendix/bibliography.html"), finder.SOURCE)
    assert (source.title, source.shown) == ("Layer normalization", "Ba, J. L. and Hinton, G. E. (2016)")


def test_terms_of_the_glossary_get_an_address() -> None:
    context = {"body": "<dl><dt>Armijo’s <em>condition</em></dt><dd>A step.</dd><dt id='kept'>Kept</dt></dl>"}
    finder.name_terms(None, "book/appendix/glossary", "page.html", context, None)
    assert '<dt id="term-armijo-s-condition">Armijo’s <em>condition</em></dt>' in context["body"]
    assert "<dt id='kept'>Kept</dt>" in context["body"]


def test_the_scripts_can_be_copied_into_a_page() -> None:
    page = finder.Page("a.html", "</script><script>alert(1)</script>", "1")
    page.entries = [finder.Entry(finder.SECTION, "x", "<!-- \u2028", text="</SCRIPT>\u2029")]
    for script in finder.index_scripts([page]):
        assert "</" not in script
        assert "<!--" not in script
        assert not {"\u2028", "\u2029"} & set(script)
        value = json.loads(re.sub(r"\\([/!])", r"\1", script[script.index("= ") + 2 :].rstrip(";\n")))
        assert "</script>" in repr(value).lower()


def test_only_the_comments_of_the_engine_are_left_out() -> None:
    script = "/** about */\nvar a = 1; // kept\n    /**\n     * more\n     */\n    // why\n    var b = '/** text */';\n"
    assert finder.without_comments(script) == "var a = 1; // kept\nvar b = '/** text */';\n"


def build(root: Path, pages: dict[str, str]) -> str:
    """Write pages as Sphinx would, then their index; return both scripts."""
    for name, text in pages.items():
        (root / f"{name}.html").write_text(text, encoding="utf-8")
    app = SimpleNamespace(
        builder=SimpleNamespace(name="html"), outdir=root, doctreedir=root, env=SimpleNamespace(found_docs=set(pages))
    )
    finder.write_index(app, None)
    return "".join((root / "_static" / f"search-{name}.js").read_text(encoding="utf-8") for name in ("index", "text"))


def test_pages_that_are_gone_or_changed_do_not_linger(tmp_path: Path) -> None:
    tag = '<script defer src="../_static/search.js?v=1"></script>'
    page = tag + "<article><section id='t'><h1>{}</h1><p>Words.</p></section></article>"
    first = build(tmp_path, {"a": page.format("Alpha"), "b": page.format("Beta")})
    assert "Alpha" in first
    assert "Beta" in first
    assert "Permission is hereby granted" in first  # the engine's licence goes where the engine goes
    shown = (tmp_path / "a.html").read_text(encoding="utf-8")
    version = re.search(r'data-index="search-index\.js\?v=(\w{10})"', shown)
    assert version
    second = build(tmp_path, {"a": shown.replace("Alpha", "Gamma")})  # a warm build: only this page is written
    assert "Gamma" in second
    assert "Alpha" not in second
    assert "Beta" not in second
    after = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert version[1] not in after
    assert len(re.findall("data-index", after)) == 1
    third = build(tmp_path, {"a": after})
    assert third == second
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == after


def test_a_changed_text_changes_the_version_that_pages_load(tmp_path: Path) -> None:
    """The text is named by the index, and the index by the pages: both addresses must be new."""
    tag = '<script src="_static/search.js?v=1"></script>'
    page = tag + "<article><section id='t'><h1>Alpha</h1><p>{}</p></section></article>"
    seen = set()
    for words in ("Some words.", "Other words."):
        build(tmp_path, {"a": page.format(words)})
        seen.add(re.search(r"data-index=\S*", (tmp_path / "a.html").read_text(encoding="utf-8"))[0])
    assert len(seen) == 2


def test_a_page_that_opens_a_part_is_numbered_by_it() -> None:
    page = finder.collect("<article><section><p class='part-number'>Part 2</p><h1>Chains</h1></section></article>", "a")
    assert (page.number, page.title, page.entries[0].number, page.entries[0].text) == ("Part 2", "Chains", "Part 2", "")


def test_a_page_that_is_the_same_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "<article><section id='t'><h1>Alpha</h1></section></article>"
    first = build(tmp_path, {"a": page})
    monkeypatch.setattr(finder, "collect", lambda *_: pytest.fail("read again"))
    assert build(tmp_path, {"a": page}) == first
