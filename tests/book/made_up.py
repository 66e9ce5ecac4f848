"""A site of three pages in two parts, made up: what the two editions of the book are tried on."""

from __future__ import annotations

from pathlib import Path

TOC = [
    ("book/index", ""),
    ("book/1-first/index", "Part 1 · First"),
    ("book/1-first/01-one", "Part 1 · First"),
    ("book/1-first/02-two", "Part 1 · First"),
    ("book/appendix/words", "Appendix"),
]
ABOUT = {
    "title": "A made-up book",
    "author": "Nobody",
    "year": "2001",
    "version": "0.1",
    "subtitle": "What it is about",
}
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="120">'
    '<circle cx="60" cy="60" r="50" fill="#00609c"/></svg>'
)
MATHS = (
    '<span class="katex"><span class="katex-mathml"><math xmlns="http://www.w3.org/1998/Math/MathML"><semantics><mrow>'
    '<msub><mi>σ</mi><mi>max</mi><mo>\u2061</mo></msub></mrow><annotation encoding="application/x-tex">\\sigma_{\\max}'
    '</annotation></semantics></math></span><span aria-hidden="true" class="katex-html">'
    '<span class="base">σ</span></span></span>'
)


def code(text: str) -> str:
    return f'<div class="cell_input"><div class="highlight"><pre><span></span>{text}\n</pre></div></div>'


def folded(tag: str, prompt: str, inner: str, output: str) -> str:
    return (
        f'<div class="cell tag_hide-input {tag}"><details class="admonition hide above-input"><summary><p>{prompt}</p>'
        f'</summary>{code(inner)}</details><div class="cell_output">{output}</div></div>'
    )


def exercise(chapter: int, k: int) -> str:
    return (
        f'<div class="exercise admonition" id="ex-{k}"><p class="admonition-title"><span class="caption-number">'
        f"Exercise {chapter}.{k} </span> (Try)</p><p>What is it?</p></div>"
        '<details class="tip dropdown admonition"><summary class="admonition-title">First hint</summary><p>Think.</p>'
        '</details><div class="cell tag_exercise">'
        f"{code('answer = ...')}<div class='cell_output'><pre>it: not attempted</pre></div></div>"
        f"{folded('tag_solution', 'Show the solution', 'answer = 42', '<pre>it: right</pre>')}"
        f'<details class="solution dropdown admonition" id="book/solution-{k}"><summary>Solution to '
        f'<a href="#ex-{k}">Exercise</a></summary><p>Because of chapter {chapter}, exercise {k}.</p></details>'
    )


def chapter(number: int, title: str, other: str, paragraphs: int) -> str:
    text = "<p>" + "Words that fill a page, one after another. " * 14 + "</p>"
    return (
        f'<section id="{title.lower()}"><h1><span class="section-number">{number}</span>{title}'
        f'<a class="headerlink" href="#{title.lower()}">¶</a></h1><p class="chapter-line">5 minutes to read</p>'
        f'<p>See <a href="{other}">the other one</a> (or <a href="{other}">here</a>),'
        f' <a href="../appendix/words.html#word">a word</a>,'
        f' <a href="../../genindex.html">the index</a> and <a href="https://example.org/">a place</a>.</p>'
        f'<section id="same"><h2><span class="section-number">{number}.1. </span>A <code>section</code></h2>'
        f"{text * paragraphs}"
        f'<div class="math" id="equation-eq-d-it"><span class="eqno">({number}.1)'
        f'<a class="headerlink" href="#equation-eq-d-it">#</a><a class="checked" href="#check">✓ checked</a></span>'
        f'<span class="katex-display">{MATHS}</span></div>'
        f"<p>Here {MATHS}.</p><div id='check' class='cell'>{code('<span class=n>x</span> = 1')}</div>"
        f"{folded('', 'Show the code', 'draw()', FIGURE)}</section>"
        f'<section id="exercises"><h2><span class="section-number">{number}.2. </span>Exercises</h2>'
        f"{exercise(number, 1)}{exercise(number, 2)}</section></section>"
    )


FIGURE = (
    '<figure id="fig"><img alt="A disc." loading="lazy" src="../../_images/disc.svg"/><figcaption><p>A disc.</p>'
    '</figcaption><button class="play">Play</button></figure>'
)
PREFACE = (
    '<section id="a-made-up-book"><h1>A made-up book</h1><picture>'
    '<source srcset="narrow.svg"/><img alt="A disc." src="../_images/disc.svg"/></picture>'
    '<p><strong><a href="1-first/01-one.html">'
    'Begin</a></strong></p><details class="dropdown admonition"><summary>1. What is it?</summary>'
    "<p>It is 42.</p></details></section>"
)
OPENER = (
    '<section id="first"><p class="part-number">Part 1</p><h1>First</h1>'
    '<p>What this part is about.</p><section id="them"><h2>The chapters</h2>'
    '<ol><li><a href="01-one.html">One</a></li></ol></section></section>'
)
WORDS = '<section id="words"><h1>Words</h1><dl><dt id="word">word</dt><dd><p>A thing.</p></dd></dl></section>'


def site(folder: Path, paragraphs: int = 7) -> Path:
    """Write the site into a folder, and return the folder."""
    pages = {
        "book/index": PREFACE,
        "book/1-first/index": OPENER,
        "book/1-first/01-one": chapter(1, "One", "02-two.html#same", paragraphs),
        "book/1-first/02-two": chapter(2, "Two", "01-one.html#ex-2", paragraphs),
        "book/appendix/words": WORDS,
    }
    for name, body in pages.items():
        path = folder / f"{name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = f'<head><meta name="description" content="About {name}"></head>'
        end = '<aside class="about-page"><a href="../_sources/x.md">Source</a></aside>'
        path.write_text(
            f"<html>{head}<body><main><article>{body}{end}</article></main></body></html>", encoding="utf-8"
        )
    (folder / "_images").mkdir()
    (folder / "_images" / "disc.svg").write_text(SVG, encoding="utf-8")
    return folder
