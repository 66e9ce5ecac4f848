"""What is done when all pages are written: styles, fonts, pictures and the service worker, on small made-up sites."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import assets
import figures
import fonts
import offline
import pytest
import styles
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from PIL import Image

from tools.settings import ROOT

STATIC = ROOT / "book" / "_static"
SERIF = (STATIC / "fonts" / "source-serif-4-latin-wght-normal.woff2").read_bytes()
PAGE = """<!doctype html><html class="no-script" data-root="../"><head><title>One</title>
<script>document.documentElement.classList.remove("no-script")</script>
<link rel="icon" href="../_static/favicon.svg?v=0"><link rel="stylesheet" href="../_static/course.css?v=0">
<script defer src="../_static/course.js?v=0" data-index="later.js?v=0"></script></head>
<body><h1 id="top">Café &amp; ∂</h1><div class="shown">text</div>
<div class="highlight"><pre><span class="k">def</span> <span class="c1">Ω</span></pre></div>
<p>An <code>Ξ</code> here.</p>
<span class="katex"><span class="katex-mathml"><math><mi>Ψ</mi></math></span><span class="katex-html"><span
 class="mord mathnormal">x</span><span class="mord mathbf">Γ</span></span></span> after
<picture><source srcset="../_images/b.png 2x, ../_images/c.png"><img src="../_images/a.png"></picture></body></html>"""
STYLES = """/* keep: elsewhere */
@font-face { font-family: "Source Serif 4"; font-weight: 200 900; font-display: swap;
  src: url("fonts/source-serif-4-latin-wght-normal.woff2") format("woff2"); }
:root { color-scheme: light dark; --paper: light-dark(#fffefb, #16191e); }
.shown { color: light-dark(#123456, #abcdef); & .k { color: red; } &:hover { color: blue; } }
.absent { color: red } .shown .absent { color: red } .elsewhere { color: red }
.added { font-weight: 300 } .added::before { content: "\\00f7" }
:root[data-theme="dark"] .shown { color: white }
@media print { .shown { color: black } .absent { display: none } }
#top { color: red } #bottom { color: red }
.shown { animation: moving 1s } @keyframes moving { from { opacity: 0 } }
"""


def site(folder: Path) -> Any:
    """Return what the extension looks at of Sphinx, with a site of one page written into its output."""
    static = folder / "book" / "_static"
    for name in ("katex/katex.min.css", "katex/LICENSE", "favicon.svg", "fonts/LICENSE-source-serif-4"):
        (static / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(STATIC / name, static / name)
    for name in ("Main-Regular", "Main-Bold", "Math-Italic"):
        path = f"katex/fonts/KaTeX_{name}.woff2"
        (static / path).parent.mkdir(exist_ok=True)
        shutil.copy(STATIC / path, static / path)
    (static / "fonts" / "source-serif-4-latin-wght-normal.woff2").write_bytes(SERIF)
    (static / "course.css").write_text(STYLES, encoding="utf-8")
    (static / "course.js").write_text(
        'x.classList.add("added"); import("./later.js"); load("in-parts"); "×"', encoding="utf-8"
    )
    for name in ("later.js", "in-parts.js"):
        (static / name).write_text("1", encoding="utf-8")
    out = folder / "_build" / "html"
    (out / "book").mkdir(parents=True)
    (out / "book" / "index.html").write_text(PAGE, encoding="utf-8")
    (out / "_images").mkdir()
    for name in ("a", "b", "c", "card"):
        Image.new("RGB", (30, 20)).save(out / "_images" / f"{name}.png")
    (out / "book" / "index.ipynb").write_text("{}", encoding="utf-8")
    return SimpleNamespace(
        outdir=out,
        srcdir=folder,
        doctreedir=folder / "_build" / ".doctrees",
        builder=SimpleNamespace(name="html", images={}, get_target_uri=lambda name: f"{name}.html"),
        config=SimpleNamespace(root_doc="book/index", project="From Jacobians to Adam"),
    )


@pytest.fixture
def app(tmp_path: Path) -> Any:
    return site(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A site that is finished; looked at by several tests and changed by none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assets, "ALWAYS", "aZ—")  # a font of few letters is cut sooner
        app = site(tmp_path_factory.mktemp("site"))
        app.first = contents(build(app))
        app.second = contents(build(app))
    return app


def build(app: Any) -> Path:
    """Copy the static files as Sphinx does, some of its own among them, and finish the site."""
    shutil.copytree(app.srcdir / "book" / "_static", app.outdir / "_static", dirs_exist_ok=True)
    for name in ("basic.css", "doctools.js", "sub/theme.css"):
        (app.outdir / "_static" / name).parent.mkdir(exist_ok=True)
        (app.outdir / "_static" / name).write_text(".x {}", encoding="utf-8")
    assets.finish(app, None)
    return Path(app.outdir)


def glyphs(font: bytes) -> set[str]:
    return {chr(code) for code in TTFont(io.BytesIO(font)).getBestCmap()}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_site_is_finished_and_finished_again_the_same(built: Any) -> None:
    once = built.first
    assert built.second == once
    css = once["_static/course.css"].decode()

    # what pages use in both themes, on paper and by scripts stays, untranslated; the rest goes
    assert "light-dark(#123456,#abcdef)" in css
    assert "[data-theme=dark] .shown{color:#fff}" in css
    assert re.search(r"@media print\{\.shown\{color:#000\}", css)
    assert "& .k{color:red}" in css
    assert ".added" in css
    assert ".elsewhere" in css
    assert "#top" in css
    assert "@keyframes moving" in css
    assert ".highlight .k{color:light-dark(#" in css
    assert "#bottom" not in css
    assert ".shown .absent" not in css
    assert ".highlight .kd" not in css
    assert ".mathfrak" not in css
    assert css.count("KaTeX_Main-Bold.woff2") == css.count("KaTeX_Math-Italic.woff2") == 1
    assert "KaTeX_Main-Italic" not in css
    assert "url(katex/fonts/" in css
    assert ".woff)" not in css
    assert "font-weight:300 700" in css

    # fonts have the letters of their places, and what the styles and scripts add
    serif = glyphs(once["_static/fonts/source-serif-4-latin-wght-normal.woff2"])
    assert {"é", "a", "Z", "—", "×", "÷"} <= serif
    assert not {"ß", "Þ"} & serif
    assert glyphs(once["_static/katex/fonts/KaTeX_Main-Regular.woff2"]) == {"x", "Γ"}

    # nothing lies about that no page names; licences stay
    assert {"_static/later.js", "_static/in-parts.js", "_static/favicon.svg", "_static/katex/LICENSE"} <= set(once)
    assert "_static/fonts/LICENSE-source-serif-4" in once
    assert not {
        "_static/basic.css",
        "_static/doctools.js",
        "_static/sub/theme.css",
        "_static/katex/katex.min.css",
    } & set(once)

    # addresses carry the hash of what is there
    page = once["book/index.html"].decode()
    assert f"course.css?v={offline.fingerprint(once['_static/course.css'])}" in page
    assert f"later.js?v={offline.fingerprint(b'1')}" in page
    assert f"favicon.svg?v={offline.fingerprint(once['_static/favicon.svg'])}" in page


def test_a_build_that_failed_or_makes_no_site_is_left_alone(app: Any) -> None:
    before = contents(app.outdir)
    assets.finish(app, ValueError("a page cannot be read"))
    app.builder.name = "text"
    assets.finish(app, None)
    assert contents(app.outdir) == before


def test_text_is_told_apart_by_where_it_stands() -> None:
    used = assets.scan(PAGE)
    assert {"é", "&", "∂", "A", "f"} <= used.prose
    assert not {"Ω", "Ξ", "Ψ", "Γ", "{"} & used.prose
    assert used.maths - {" ", "\n"} == {"x", "Γ"}
    assert {"no-script", "top", "k", "katex-html", "mathbf"} <= used.names


def test_bold_and_slanted_faces_are_kept_where_a_rule_asks_for_them() -> None:
    css = (STATIC / "katex" / "katex.min.css").read_text(encoding="utf-8")
    assert styles.maths_styles(css, {"katex"})[1] == ["katex/fonts/KaTeX_Main-Regular.woff2"]
    _, files = styles.maths_styles(css, {"katex", "mathnormal", "mathbb", "delimsizing", "size3", "textbf"})
    names = " ".join(name.removeprefix("katex/fonts/KaTeX_").removesuffix(".woff2") for name in files)
    assert names == "AMS-Regular Main-Bold Main-Regular Math-BoldItalic Math-Italic Size3-Regular"


def test_a_cut_font_keeps_its_letters_figures_and_chosen_weights() -> None:
    font = TTFont(io.BytesIO(fonts.cut(SERIF, "fi0129é", (400, 600))))
    assert {chr(code) for code in font.getBestCmap()} == set("fi0129é")
    (axis,) = font["fvar"].axes
    assert (axis.minValue, axis.maxValue) == (400, 600)
    assert "tnum" in {record.FeatureTag for record in font["GSUB"].table.FeatureList.FeatureRecord}
    assert fonts.weights_used("a{font-weight:300}b{font:600 1rem x}@font-face{font-weight:200 900}") == (300, 700)


def test_the_font_that_stands_in_has_the_measures_of_the_one_to_come() -> None:
    rules = fonts.stand_in(SERIF, "Stand-in")
    real = TTFont(io.BytesIO(SERIF))
    found = re.findall(r'local\("([^"]+)"\).*?size-adjust:([\d.]+)%;ascent-override:([\d.]+)%', rules)
    assert [name for name, *_ in found] == ["DejaVu Serif", "Noto Serif", "Times New Roman", "Georgia"]
    for name, adjust, ascent in found:
        assert float(adjust) * float(ascent) / 1e4 == pytest.approx(real["hhea"].ascent / 1000, abs=1e-3), name
    assert float(found[2][1]) > 110 > float(found[3][1]) > 100 > float(found[0][1]), "Times is narrow, DejaVu is wide"


def test_what_was_made_once_is_not_made_again(tmp_path: Path) -> None:
    made = []

    def make() -> bytes:
        made.append(1)
        return b"result"

    first = fonts.Kept(tmp_path)
    assert [first.get(b"key", make), first.get(b"key", make), fonts.Kept(tmp_path).get(b"key", make)] == [b"result"] * 3
    assert len(made) == 1
    fonts.Kept(tmp_path).tidy()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("tag", "size"),
    [
        ('<svg width="72pt" height="36pt" viewBox="0 0 72 36">', (96, 48)),
        ("<svg viewBox='0 0 640 320'>", (640, 320)),
        ('<svg width="100%" viewBox="0 0 64 32">', (64, 32)),
        ('<svg width="128" viewBox="0,0,64,32">', (128, 64)),
        ('<svg stroke-width="3" height="2in" viewBox="0 0 10 20">', (96, 192)),
        ('<svg width="50%">', None),
    ],
)
def test_a_drawing_has_the_size_that_it_states(tag: str, size: tuple[float, float] | None) -> None:
    assert figures.svg_size(tag) == (None if size is None else pytest.approx(size))


def test_pictures_get_their_size_and_only_the_first_near_the_top_is_fetched_at_once(app: Any) -> None:
    (app.srcdir / "made").mkdir()
    Image.new("RGB", (300, 200)).save(app.srcdir / "made" / "b.png")
    (app.srcdir / "c.svg").write_text('<?xml version="1.0"?><svg width="30pt" height="15pt"></svg>', encoding="utf-8")
    app.builder.images = {"made/b.png": "b1.png", "c.svg": "c.svg"}
    source = '<h1>T</h1><img src="../_images/c.svg"/><img src="../_images/b1.png" width="150"/><img {} src="data:,"/>'
    page = BeautifulSoup(source + '<img src="../_images/a.png" width="50%"/>', "html.parser")
    figures.size_images(app, page, "book/index")
    first, second, inline, third = page.select("img")
    assert (first["width"], first["height"], first["loading"], first["fetchpriority"]) == ("40", "20", "eager", "high")
    assert (second["width"], second["height"], second["loading"], second["decoding"]) == ("150", "100", "lazy", "async")
    assert not inline.has_attr("width")
    assert (third["width"], third["height"], third["style"]) == ("30", "20", "width: 50%;")
    deep = BeautifulSoup(f"<p>{'word ' * 400}</p>" + source, "html.parser")
    figures.size_images(app, deep, "book/index")
    assert {image["loading"] for image in deep.select("img")} == {"lazy"}


def test_a_picture_without_a_size_is_a_warning(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr(figures.LOGGER, "warning", lambda *words, **_: said.append(words))
    figures.size_images(app, BeautifulSoup('<img src="../_images/gone.png"/>', "html.parser"), "book/index")
    assert said
    assert said[0][1] == "../_images/gone.png"


def test_the_worker_knows_every_file_that_reading_needs_and_no_other(built: Any) -> None:
    out = built.outdir
    worker = (out / "sw.js").read_text(encoding="utf-8")
    files = json.loads(re.search(r"Object\.entries\((\{.*?\})\)", worker)[1])
    first = json.loads(re.search(r"FIRST = (\[.*?\]);", worker)[1])
    assert not re.search(r'"(VERSION|HOME|SHELL|FILES)"', worker)
    assert {"_images/a.png", "_images/b.png", "_images/c.png", "_static/favicon.svg"} <= set(files)
    assert not {"_images/card.png", "book/index.ipynb", "sw.js"} & set(files), "only other sites are shown the card"
    assert {name: offline.fingerprint((out / name).read_bytes()) for name in files} == files
    assert {"book/index.html", "_static/course.css", "_static/course.js"} <= set(first) <= set(files)
    assert sum(name.endswith(".woff2") for name in first) == 4


def test_another_word_on_a_page_is_another_version(app: Any) -> None:
    page = app.outdir / "book" / "index.html"
    before = offline.worker(app.outdir, "book/index.html")
    assert offline.worker(app.outdir, "book/index.html") == before
    page.write_text(page.read_text(encoding="utf-8").replace("text<", "word<"), encoding="utf-8")
    after = offline.worker(app.outdir, "book/index.html")
    first, second = (re.search(r'THIS_VERSION = "(\w+)"', worker)[1] for worker in (before, after))
    assert first != second


def test_the_manifest_names_icons_of_the_sizes_it_says(built: Any) -> None:
    out = built.outdir
    manifest = json.loads((out / "manifest.webmanifest").read_text(encoding="utf-8"))
    assert (manifest["name"], manifest["start_url"]) == ("From Jacobians to Adam", "book/index.html")
    assert manifest["background_color"] == "#fffefb"
    for icon in manifest["icons"]:
        with Image.open(out / icon["src"]) as picture:
            assert f"{picture.width}x{picture.height}" == icon["sizes"]
            corner = picture.convert("RGBA").getpixel((0, 0))[3]
        assert corner == (255 if icon["purpose"] == "maskable" else 0), "a device cuts the corners of a maskable icon"
