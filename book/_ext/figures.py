"""Gives every picture of a page its size, so that nothing moves when it arrives, and says which ones may wait.

``course.finish_page`` calls ``size_images`` while the page is written.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

from bs4 import BeautifulSoup, NavigableString, Tag
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
NEAR = 1200  # characters before a picture that most first screens still show; such a picture is fetched at once
PIXELS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4, "em": 16.0}


def size_images(app: Sphinx, page: BeautifulSoup, pagename: str) -> None:
    """Give each image of the page ``width``, ``height`` and the way it is to be fetched."""
    for number, image in enumerate(page.select("img[src]")):
        eager = number == 0 and text_before(image, NEAR) < NEAR
        image["loading"], image["decoding"] = ("eager", "auto") if eager else ("lazy", "async")
        if eager:
            image["fetchpriority"] = "high"
        if str(image["src"]).startswith(("data:", "http:", "https:", "//")):
            continue
        file = picture(app, str(image["src"]), pagename)
        size = natural_size(file) if file is not None else None
        if size is None:
            LOGGER.warning("the size of the picture %s is not known", image["src"], location=pagename)
        else:
            set_size(image, *size)


def text_before(image: Tag, enough: int) -> int:
    """How many characters of visible text stand before an image; counting stops at ``enough``."""
    total = 0
    for node in image.previous_elements:
        if isinstance(node, NavigableString) and not node.find_parent(["script", "style", "math"]):
            total += len(node.strip())
            if total >= enough:
                break
    return total


def picture(app: Sphinx, address: str, pagename: str) -> Path | None:
    """Find the file behind an image's address while the page is written, when ``_images`` is not yet filled."""
    path = unquote(address.partition("?")[0].partition("#")[0])
    name = posixpath.basename(path)
    candidates = [Path(app.srcdir) / source for source, stored in app.builder.images.items() if stored == name]
    folder = posixpath.dirname(app.builder.get_target_uri(pagename))
    target = posixpath.normpath(posixpath.join(folder, path))
    if "_static/" in target:
        candidates.append(Path(app.srcdir) / "book" / target[target.index("_static/") :])
    candidates += [
        Path(app.outdir) / target,
        Path(app.outdir) / "_images" / name,
        Path(app.doctreedir).parent / "jupyter_execute" / name,
    ]
    return next((file for file in candidates if file.is_file()), None)


def natural_size(file: Path) -> tuple[float, float] | None:
    """Width and height of a picture in CSS pixels, from an SVG's first tag or a bitmap's header."""
    if file.suffix == ".svg":
        head = re.search(r"<svg\b[^>]*>", file.read_text(encoding="utf-8"), re.DOTALL)
        return svg_size(head[0]) if head else None
    try:
        with Image.open(file) as bitmap:
            return bitmap.size
    except OSError:
        return None


def svg_size(tag: str) -> tuple[float, float] | None:
    """The size that an ``<svg …>`` tag states, by its width and height or by its view box."""
    said = dict(re.findall(r"""\s(width|height|viewBox)=["']([^"']+)["']""", tag))
    box = [float(part) for part in re.split(r"[\s,]+", said.get("viewBox", "").strip()) if part]
    width, height = (in_pixels(said.get(name, "")) for name in ("width", "height"))
    if len(box) == 4 and box[2] > 0 and box[3] > 0:
        if width and not height:
            height = width * box[3] / box[2]
        elif height and not width:
            width = height * box[2] / box[3]
        elif not width:
            width, height = box[2], box[3]
    return (width, height) if width and height else None


def in_pixels(length: str) -> float | None:
    """A CSS length in pixels; ``None`` for one that depends on what surrounds it."""
    match = re.fullmatch(r"\s*([\d.]+)\s*([a-z]*)\s*", length)
    return float(match[1]) * PIXELS[match[2]] if match and match[2] in PIXELS else None


def set_size(image: Tag, width: float, height: float) -> None:
    """Write the size into the tag; a width or height that the chapter chose stays, and the other follows it."""
    ratio = height / width
    chosen = {name: in_pixels(str(image.get(name, ""))) for name in ("width", "height")}
    for name in ("width", "height"):  # "50%" belongs into the style: the attributes then still give the ratio
        if image.has_attr(name) and chosen[name] is None:
            image["style"] = f"{name}: {image[name]}; {image.get('style', '')}".strip()
    if chosen["width"]:
        width, height = chosen["width"], chosen["height"] or chosen["width"] * ratio
    elif chosen["height"]:
        width, height = chosen["height"] / ratio, chosen["height"]
    image["width"], image["height"] = str(max(1, round(width))), str(max(1, round(height)))
