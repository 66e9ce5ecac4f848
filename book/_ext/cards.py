"""What other programs are told about a page: its metadata, its picture where it is linked to, icons, the site's map.

A page's picture is drawn while the page is written: its title, and the first figure that it shows. Nothing here asks
for a browser or the network, and the same page gives the same bytes; the drawings are kept in ``_build/cards`` under
a hash of what went into them, so a build that changes nothing draws nothing.

What needs the site's own address (canonical links, the site's map, whole addresses of pictures) appears once
``html: baseurl:`` is set in ``_config.yml``, and nowhere before.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import matplotlib
import resvg_py
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer
from offline import replace
from PIL import Image
from sphinx.application import Sphinx

WIDTH, HEIGHT = 1200, 630  # what networks show whole: 1.91 to 1
MARGIN = 64
PAPER, INK, QUIET, PALE, RULE = "#f9f5ec", "#20242c", "#5b6270", "#a49c8b", "#e2dbcc"
PUSH, PULL = "#d55e00", "#0072b2"
THEME = {"light": "#fffefb", "dark": "#16191e"}  # where the style sheet does not say it
TAGLINE = "The mathematics of deep learning, executed and checked"  # under the course's own name
LICENSE = "https://creativecommons.org/licenses/by/4.0/"
LARGEST = 120_000  # bytes of a picture; some networks leave out what takes long to fetch

#: Pages that Sphinx makes and nobody writes have no description of their own.
GENERATED = {
    "genindex": "Every function and class of mathdl, the course's package, from A to Z, with links to what they do.",
    "search": "Search the course for words, for formulas by their names, and for functions of mathdl.",
}


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", describe_page, priority=920)  # after the page's text is finished
    app.connect("build-finished", finish_site, priority=300)  # before others list the files of the site
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# -- metadata --------------------------------------------------------------------------------------------------------


def describe_page(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Put into the page's head what search engines, networks and telephones read; draw its picture."""
    own = doctree is not None
    card = pagename if own else app.config.root_doc
    if own:
        draw(app, pagename, plain(context.get("title", "")), first_figure(app, context.get("body") or ""))
    context["metatags"] = context.get("metatags", "") + metadata(app, pagename, context, card)


def metadata(app: Sphinx, pagename: str, context: dict[str, Any], card: str) -> str:
    """Return the elements of the page's head that are read by programs, one a line."""
    pathto, meta = context["pathto"], context.get("meta") or {}
    course = app.config.project
    title = re.sub(r"^\d+\.\s+", "", plain(context.get("title", ""))) or course
    about = meta.get("description") or GENERATED.get(pagename) or course
    light, dark = paper_colours(app)
    lines = [
        element("meta", name="description", content=about),
        element("meta", name="author", content=app.config.author),
        element("meta", name="theme-color", content=light, media="(prefers-color-scheme: light)"),
        element("meta", name="theme-color", content=dark, media="(prefers-color-scheme: dark)"),
        element("meta", property="og:title", content=title),
        element("meta", property="og:description", content=about),
        element("meta", property="og:type", content="book" if pagename == app.config.root_doc else "article"),
        element("meta", property="og:site_name", content=course),
        element("meta", property="og:locale", content="en_GB"),
        element("meta", name="twitter:card", content="summary_large_image"),
        element("link", rel="license", href=LICENSE),
        element("link", rel="icon", href=pathto("favicon.ico", True), sizes="32x32"),  # the layout names the SVG
        element("link", rel="apple-touch-icon", href=pathto("_static/icon-180.png", True)),
    ]
    for relation in ("prev", "next"):
        if neighbour := context.get(relation):
            lines.append(element("link", rel=relation, href=neighbour["link"], title=plain(neighbour["title"])))
    address = site_address(app)
    url = address and address + app.builder.get_target_uri(pagename)
    # An address should be whole here. Until the site has one, those who read half of it find the picture too.
    place = f"_static/cards/{quote(card)}.png"
    picture = address + place if address else pathto(place, True)
    if address:
        lines += [element("link", rel="canonical", href=url), element("meta", property="og:url", content=url)]
    lines += [
        element("meta", property="og:image", content=picture),
        element("meta", property="og:image:type", content="image/png"),
        element("meta", property="og:image:width", content=WIDTH),
        element("meta", property="og:image:height", content=HEIGHT),
        element("meta", property="og:image:alt", content=f"“{title}”, the title of the page, and a figure of it"),
    ]
    if pagename not in GENERATED:
        lines.append(linked_data(app, pagename, title, about, meta, url, picture))
    return "\n".join(lines) + "\n"


def linked_data(
    app: Sphinx, pagename: str, title: str, about: str, meta: dict[str, Any], url: str, picture: str
) -> str:
    """Return what the page is, in the vocabulary of schema.org: the book, a chapter of it, or another page."""
    whole = pagename == app.config.root_doc
    number = chapter_number(app, pagename)
    data: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": ["Book" if whole else "Chapter" if number else "WebPage", "LearningResource"],
        "name": title,
        "description": about,
        "inLanguage": app.config.language,
        "isAccessibleForFree": True,
        "license": LICENSE,
        "author": {"@type": "Organization", "name": app.config.author},
    }
    if number:
        data["position"] = number
    if minutes := meta.get("minutes"):
        data["timeRequired"] = f"PT{int(minutes)}M"
    if not whole:
        data["isPartOf"] = {"@type": "Book", "name": app.config.project}
        if address := site_address(app):
            data["isPartOf"]["url"] = address + app.builder.get_target_uri(app.config.root_doc)
    if url:
        data |= {"url": url, "image": picture}
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")  # or a title could end the element
    return f'<script type="application/ld+json">{text}</script>'


def element(name: str, /, **attributes: object) -> str:
    """Return an empty element with its attributes.

    >>> element("meta", name="author", content='A & "B"')
    '<meta name="author" content="A &amp; &quot;B&quot;">'
    """
    return f"<{name} " + " ".join(f'{key}="{html.escape(str(value))}"' for key, value in attributes.items()) + ">"


def plain(text: str) -> str:
    """Return a title without its markup."""
    return " ".join(BeautifulSoup(text, "html.parser").get_text().split())


def site_address(app: Sphinx) -> str:
    """Return where the site is published, with a slash at its end, or nothing while that is not set."""
    address = (app.config.html_baseurl or "").strip()
    return f"{address.rstrip('/')}/" if address else ""


def chapter_number(app: Sphinx, pagename: str) -> int | None:
    """Return the number of a chapter, or ``None`` for a page that has none."""
    numbers = app.env.toc_secnumbers.get(pagename, {}).get("")
    return int(numbers[0]) if numbers else None


def paper_colours(app: Sphinx) -> tuple[str, str]:
    """Return the page's colour in light and dark, as the style sheet names it, for what surrounds a page."""
    style = Path(app.srcdir, "book/_static/course.css")
    return _paper_colours(style.read_text(encoding="utf-8") if style.exists() else "")


@cache
def _paper_colours(style: str) -> tuple[str, str]:
    found = re.search(r"--paper:\s*light-dark\(\s*(#\w+)\s*,\s*(#\w+)\s*\)", style)
    return (found[1], found[2]) if found else (THEME["light"], THEME["dark"])


# -- pictures --------------------------------------------------------------------------------------------------------


def first_figure(app: Sphinx, body: str) -> Path:
    """Return the file of the first figure that a page shows; the course's thread, if it shows none."""
    files = {name: source for source, name in app.builder.images.items()}
    for pattern in (r"<figure\b.*?<img\b[^>]*?\bsrc=\"([^\"]+)\"", r"<img\b[^>]*?\bsrc=\"([^\"]+)\""):
        for address in re.findall(pattern, body, re.DOTALL):
            source = files.get(unquote(address.rpartition("/")[2]))
            if source and Path(source).suffix in (".svg", ".png") and Path(app.srcdir, source).exists():
                return Path(app.srcdir, source)
    return Path(app.srcdir, "book/_static/thread.svg")


def draw(app: Sphinx, pagename: str, title: str, figure: Path) -> Path:
    """Draw the picture of a page, or take it from an earlier build, and put it into the site; return its path."""
    kept = Path(app.outdir).parent / "cards"
    goal = Path(app.outdir) / "_static" / "cards" / f"{pagename}.png"
    label, name = split(title or app.config.project)
    fonts = make_fonts(Path(app.srcdir, "book/_static/fonts"), kept / "fonts")
    icon = Path(app.srcdir, "book/_static/favicon.svg")
    drawing = compose(name, label, app.config.project, figure, icon if icon.exists() else None, fonts)
    key = hashlib.sha256("\0".join([drawing, resvg_py.__version__, Image.__version__, *fonts.values()]).encode())
    stem = pagename.replace("/", "-")
    picture = kept / f"{stem}.{key.hexdigest()[:16]}.png"
    if not picture.exists():
        for old in kept.glob(f"{stem}.*.png"):
            old.unlink()
        replace(picture, render(drawing, fonts))
    replace(goal, picture.read_bytes())
    return goal


def split(title: str) -> tuple[str, str]:
    """Return what stands large and pale above a title, and the title.

    >>> split("12. Gradient flow"), split("Part 2: The chain rule"), split("Glossary")
    (('12', 'Gradient flow'), ('Part 2', 'The chain rule'), ('', 'Glossary'))
    """
    numbered = re.match(r"(\d+)\.\s+|(Part \d+): ", title)
    return (numbered[1] or numbered[2], title[numbered.end() :]) if numbered else ("", title)


def compose(title: str, label: str, course: str, figure: Path, icon: Path | None, fonts: dict[str, str]) -> str:
    """Return the picture as SVG: the title on the left and the figure on the right, or below it if it is wide."""
    shape = shape_of(figure)
    foot = HEIGHT - 46
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>']
    if shape > 2.1:  # a wide figure: the title above it
        width, height = inside(shape, WIDTH - 2 * MARGIN - 32, 350)
        left = MARGIN + (measure(label, 84, fonts["300"]) + 30 if label else -2)
        size, lines = fit(title, WIDTH - MARGIN - left, 84, 1, (78, 40), fonts["600"])
        if label:
            parts.append(words(label, MARGIN - 3, 112, 84, "300", PALE))
        parts.append(words(lines[0], left, 110, size, "600", INK))
        parts += panel(figure, MARGIN + 16, HEIGHT - 112 - height, width, height)
    else:
        for most in (572, 520, 470):  # a long word in the title gets more room, and the figure less
            width, height = inside(shape, most, 472)
            x = WIDTH - MARGIN - 16 - width
            size, lines = fit(title, x - 2 * MARGIN, 250 if label else 400, 4, (76, 40), fonts["600"])
            if size >= 60:
                break
        parts += panel(figure, x, 52 + (472 - height) / 2, width, height)
        top = 52.0
        if label:
            size_of_label = 136 if label.isdigit() else 84
            parts.append(words(label, MARGIN - 5, top + 0.72 * size_of_label, size_of_label, "300", PALE))
            top += 0.72 * size_of_label + 34
        for k, line in enumerate(lines):
            parts.append(words(line, MARGIN - 2, top + size * (0.92 + 1.12 * k), size, "600", INK))
        parts += thread(MARGIN, top + size * 1.12 * len(lines) + 34)
    left = MARGIN
    if icon is not None:
        parts.append(picture_at(icon, MARGIN, foot - 25, 34, 34))
        left += 50
    parts.append(words(TAGLINE if title == course else course, left, foot, 27, "400", QUIET))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
        + "".join(parts)
        + "</svg>"
    )


def words(text: str, x: float, y: float, size: float, weight: str, colour: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="\'Source Serif 4\', \'DejaVu Sans\'" font-weight="{weight}" '
        f'font-size="{size}" fill="{colour}">{html.escape(text)}</text>'
    )


def thread(x: float, y: float) -> list[str]:
    """The course's two colours under a title: a push to the right above a pull to the left."""
    return [
        f'<path d="M{x} {y} h88 m-8 -7 l9 7 l-9 7" fill="none" stroke="{PUSH}" stroke-width="3"/>',
        f'<path d="M{x + 90} {y + 16} h-88 m8 -7 l-9 7 l9 7" fill="none" stroke="{PULL}" stroke-width="3"/>',
    ]


def panel(figure: Path, x: float, y: float, width: float, height: float) -> list[str]:
    """Return a figure on the white that figures are drawn for, with a little room around it."""
    room = 16
    return [
        f'<rect x="{x - room:.1f}" y="{y - room:.1f}" width="{width + 2 * room:.1f}" '
        f'height="{height + 2 * room:.1f}" rx="10" fill="#ffffff" stroke="{RULE}"/>',
        picture_at(figure, x, y, width, height),
    ]


def picture_at(file: Path, x: float, y: float, width: float, height: float) -> str:
    kind = "image/png" if file.suffix == ".png" else "image/svg+xml"
    data = base64.b64encode(file.read_bytes()).decode()
    return (
        f'<image x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" href="data:{kind};base64,{data}"/>'
    )


def shape_of(figure: Path) -> float:
    """Return how many times as wide as high a figure is."""
    if figure.suffix == ".png":
        with Image.open(figure) as image:
            return image.width / image.height
    head = figure.read_text(encoding="utf-8")[:4000]
    if box := re.search(r'viewBox="[-\d.]+[ ,]+[-\d.]+[ ,]+([\d.]+)[ ,]+([\d.]+)"', head):
        return float(box[1]) / float(box[2])
    return 1.5


def inside(shape: float, width: float, height: float) -> tuple[float, float]:
    """Return the largest width and height of a shape that fit into a box."""
    return (width, width / shape) if shape * height >= width else (height * shape, height)


def fit(text: str, width: float, height: float, most: int, sizes: tuple[int, int], font: str) -> tuple[int, list[str]]:
    """Return the largest size at which a title fits a box in at most so many lines, and those lines."""
    for size in range(sizes[0], sizes[1] - 1, -2):
        lines = wrap(text, width, size, font)
        wide = max(measure(line, size, font) for line in lines)
        if len(lines) <= most and wide <= width and size * 1.12 * len(lines) <= height:
            return size, lines
    lines = wrap(text, width, sizes[1], font)
    if len(lines) > most:  # the smallest size is not small enough: the rest is left out, and one sees that
        lines = [*lines[: most - 1], lines[most - 1] + " …"]
    while len(lines[-1]) > 2 and measure(lines[-1], sizes[1], font) > width:
        lines[-1] = lines[-1].removesuffix("…").rstrip()[:-1].rstrip() + "…"
    return sizes[1], lines


def wrap(text: str, width: float, size: float, font: str) -> list[str]:
    """Return the lines of a text, as many as it needs and of lengths as equal as they can be."""

    def greedy(room: float) -> list[str]:
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and measure(longer, size, font) <= room:
                lines[-1] = longer
            else:
                lines.append(word)
        return lines or [""]

    count = len(greedy(width))
    for part in range(50, 101, 2):
        if len(lines := greedy(width * part / 100)) == count:
            return lines
    return greedy(width)


def measure(text: str, size: float, font: str) -> float:
    """Return the width of a text in a font, from the advance widths of its letters."""
    names, advances, unit = _metrics(font)
    return sum(advances.get(names.get(ord(letter), ".notdef"), (unit // 2, 0))[0] for letter in text) * size / unit


@cache
def _metrics(font: str) -> tuple[dict[int, str], dict[str, tuple[int, int]], int]:
    with TTFont(font) as file:
        return file.getBestCmap(), dict(file["hmtx"].metrics), file["head"].unitsPerEm


@cache
def make_fonts(source: Path, folder: Path) -> dict[str, str]:
    """Return the fonts of the pictures as files: the site's own in the weights used, and one for what it lacks."""
    made = {}
    for name, file, weight in (
        ("300", "source-serif-4-latin-wght-normal", 300),
        ("400", "source-serif-4-latin-wght-normal", 400),
        ("600", "source-serif-4-latin-wght-normal", 600),
        ("italic", "source-serif-4-latin-wght-italic", 400),
    ):
        variable = source / f"{file}.woff2"
        key = hashlib.sha256(variable.read_bytes()).hexdigest()[:12]
        path = folder / f"{file}-{weight}-{key}.ttf"
        if not path.exists():
            font = TTFont(variable, recalcTimestamp=False)
            fixed = instancer.instantiateVariableFont(font, {"wght": weight}, inplace=True)
            fixed.flavor = None
            text = io.BytesIO()
            fixed.save(text)
            replace(path, text.getvalue())
        made[name] = str(path)
    symbols = Path(matplotlib.get_data_path(), "fonts", "ttf")
    return {**made, "symbols": str(symbols / "DejaVuSans.ttf")}


def render(drawing: str, fonts: dict[str, str]) -> bytes:
    """Return a picture as PNG; one that would be slow to fetch has fewer colours."""
    picture, _, _ = to_png(drawing, fonts)
    for colours in (256, 128, 64):
        if len(picture) <= LARGEST:
            break
        file = io.BytesIO()
        image = Image.open(io.BytesIO(picture)).convert("RGB")
        image.quantize(colours, kmeans=1, dither=Image.Dither.NONE).save(file, format="PNG", optimize=True)
        picture = file.getvalue()
    return picture


def to_png(drawing: str, fonts: dict[str, str], zoom: int = 1) -> tuple[bytes, int, int]:
    """Return a drawing as PNG, and the width and height at which it is meant to be shown."""
    data = bytes(
        resvg_py.svg_to_bytes(
            svg_string=drawing,
            zoom=zoom,
            dpi=96,  # figures are measured in points
            skip_system_fonts=True,  # or the picture would depend on the machine
            font_files=list(fonts.values()),
            serif_family="Source Serif 4",
            sans_serif_family="Source Serif 4",
        )
    )
    width, height = size_of_png(data)
    return data, width // zoom, height // zoom


def size_of_png(data: bytes) -> tuple[int, int]:
    """Return width and height of a PNG, which says them in its first bytes."""
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


# -- the site --------------------------------------------------------------------------------------------------------


def finish_site(app: Sphinx, exception: Exception | None) -> None:
    """Write the icons, and what visiting programs look for at the site's root."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    icon = Path(app.srcdir, "book/_static/favicon.svg")
    if icon.exists():
        write_icons(icon, out)
    address = site_address(app)
    robots = "User-agent: *\nAllow: /\n"
    if address:
        robots += f"Sitemap: {address}sitemap.xml\n"
        pages = [app.config.root_doc, *sorted(app.env.found_docs - {app.config.root_doc})]
        replace(out / "sitemap.xml", sitemap([address + app.builder.get_target_uri(page) for page in pages]).encode())
    else:
        (out / "sitemap.xml").unlink(missing_ok=True)
    replace(out / "robots.txt", robots.encode())


def sitemap(addresses: list[str]) -> str:
    """Return the site's map for search engines."""
    places = "".join(f"<url><loc>{html.escape(address)}</loc></url>\n" for address in addresses)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{places}</urlset>\n'
    )


def write_icons(icon: Path, out: Path) -> None:
    """Draw the icon for what does not read SVG: older browsers, and home screens, which want no clear corners."""
    drawing = icon.read_text(encoding="utf-8")
    ground = re.search(r'<rect\b[^>]*\bfill="(#\w+)"', drawing)
    whole = re.sub(r'(<rect\b[^>]*?) rx="[^"]*"', r"\1", drawing, count=1) if ground else drawing
    data = resvg_py.svg_to_bytes(svg_string=whole, width=180, height=180, skip_system_fonts=True)
    replace(out / "_static" / "icon-180.png", bytes(data))
    images = [
        Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=drawing, width=size, height=size))))
        for size in (32, 16)
    ]
    file = io.BytesIO()
    images[0].save(file, format="ICO", sizes=[(32, 32), (16, 16)], append_images=images[1:])
    replace(out / "favicon.ico", file.getvalue())
