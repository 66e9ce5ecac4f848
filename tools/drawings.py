"""Draws the pictures of the landing page and of the parts' opening pages: book/_static/thread*.svg and part-*.svg.

Run `python tools/drawings.py` after a change here. What they show is computed: a real digit, real probabilities, the
steps that optimizers really take. Words are drawn as outlines, in the letters of the pages and of their formulas, so
that they fit and look the same on every machine.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

if __package__ is None:  # run as `python tools/drawings.py`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import matplotlib
import numpy as np
from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

from mathdl.plot import COLORS
from tools.settings import BOOK

STATIC = BOOK / "_static"
INK, QUIET, PALE, TINT = "#22262e", "#5a6070", "#c9c4b8", "#f6f3ec"
PUSH, PULL, STEP = COLORS["tangent"], COLORS["cotangent"], COLORS["reference"]
WORDS = {PUSH: "#a84300", PULL: "#00609c", STEP: "#00664a"}  # the same hues, dark enough for letters
FONTS = {
    "roman": ("fonts/source-serif-4-latin-wght-normal.woff2", 400),
    "bold": ("fonts/source-serif-4-latin-wght-normal.woff2", 600),
    "italic": ("katex/fonts/KaTeX_Math-Italic.woff2", None),
    "signs": ("katex/fonts/KaTeX_Main-Regular.woff2", None),
}
Array = np.ndarray[Any, np.dtype[np.float64]]


@cache
def font(name: str) -> TTFont:
    """Return one of the fonts that the pages use."""
    file, weight = FONTS[name]
    opened = TTFont(STATIC / file)
    return instantiateVariableFont(opened, {"wght": weight}) if weight else opened


def short(number: float) -> str:
    """Write a coordinate with as few digits as a drawing needs."""
    return f"{number:.1f}".removesuffix(".0")


class Drawing:
    """An SVG picture on white paper; lengths are in its own units, y points down."""

    def __init__(self, width: int, height: int, title: str, description: str) -> None:
        self.width, self.height, self.title, self.description = width, height, title, description
        self.parts: list[str] = []
        self.glyphs: dict[tuple[str, str], tuple[str, str, float]] = {}

    def glyph(self, face: str, character: str) -> tuple[str, float]:
        """Return the name of a letter's outline and how wide it is, in thousandths of its size."""
        if ord(character) not in font(face).getBestCmap():
            face = "signs"
        if (face, character) not in self.glyphs:
            glyphs = font(face).getGlyphSet()
            name = font(face).getBestCmap()[ord(character)]
            pen = SVGPathPen(glyphs, ntos=lambda number: str(round(number)))
            glyphs[name].draw(pen)
            self.glyphs[face, character] = (f"g{len(self.glyphs)}", pen.getCommands(), glyphs[name].width)
        name, _, width = self.glyphs[face, character]
        return name, width

    def text(self, x: float, y: float, words: str, size: float = 22, color: str = INK, anchor: str = "middle") -> None:
        """Write words: *x* is set as in formulas, **x** bold, and the sign after _ or ^ is lowered or raised."""
        face, drawn, place = "roman", [], 0.0
        for token in re.findall(r"\*\*|\*|[_^]?.", words):
            if token in ("*", "**"):
                style = "italic" if token == "*" else "bold"
                face = "roman" if face == style else style
                continue
            scale, rise = {"_": (0.7, -180), "^": (0.7, 380)}.get(token[0] if len(token) > 1 else "", (1.0, 0))
            name, width = self.glyph(face, token[-1])
            if token[-1] != " ":
                at = f'x="{short(place / scale)}"' + (f' y="{short(rise / scale)}"' if rise else "")
                drawn.append(f'<use href="#{name}" {at}' + (f' transform="scale({scale})"' if rise else "") + "/>")
            place += width * scale
        start = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * place * size / 1000
        fill = WORDS.get(color, color)
        scaled = f"{size / 1000:g}"
        self.parts.append(
            f'<g fill="{fill}" transform="translate({short(start)} {short(y)}) scale({scaled} -{scaled})">'
            + "".join(drawn)
            + "</g>"
        )

    def path(self, d: str, color: str = INK, width: float = 2, fill: str = "none", extra: str = "") -> None:
        """Draw a path, given as SVG writes it."""
        self.parts.append(f'<path d="{d}" stroke="{color}" stroke-width="{width:g}" fill="{fill}"{extra}/>')

    def rect(self, x: float, y: float, w: float, h: float, fill: str, stroke: str = "none", width: float = 1.5) -> None:
        """Draw a box."""
        line = f' stroke="{stroke}" stroke-width="{width:g}"' if stroke != "none" else ""
        box = f'x="{short(x)}" y="{short(y)}" width="{short(w)}" height="{short(h)}"'
        self.parts.append(f'<rect {box} fill="{fill}"{line}/>')

    def arrow(self, points: str, end: tuple[float, float], angle: float, color: str, width: float = 3) -> None:
        """Draw a path with a head at ``end``, turned by ``angle`` degrees (0 points right, 90 down)."""
        self.path(points, color, width, extra=' stroke-linecap="round"')
        s = 3.4 * width
        head = f"M0 0 L{short(-s)} {short(-0.55 * s)} Q{short(-0.7 * s)} 0 {short(-s)} {short(0.55 * s)} Z"
        place = f"translate({short(end[0])} {short(end[1])}) rotate({angle:g})"
        self.parts.append(f'<path d="{head}" fill="{color}" transform="{place}"/>')

    def cells(self, x: float, y: float, values: Array, side: float, cmap: str, largest: float | None = None) -> None:
        """Draw a matrix as an image; with a map of two colours zero is white."""
        colors = matplotlib.colormaps[cmap]
        low, high = (0.0, 1.0) if largest is None else (-largest, largest)
        same: dict[str, str] = {}  # one path for all cells of a colour, of which 48 are enough
        for i, j in np.ndindex(*values.shape):
            level = round(48 * (float(values[i, j]) - low) / (high - low)) / 48
            if level != (0.0 if largest is None else 0.5):
                cell = f"M{short(x + j * side)} {short(y + i * side)}h{short(side)}v{short(side)}h-{short(side)}z"
                color = matplotlib.colors.to_hex(colors(level))
                same[color] = same.get(color, "") + cell
        cells = "".join(f'<path fill="{color}" d="{d}"/>' for color, d in same.items())
        self.parts.append(f'<g shape-rendering="crispEdges">{cells}</g>')

    def bars(self, x: float, base: float, values: Array, width: float, scale: float, colors: list[str]) -> None:
        """Draw numbers as bars on a line; negative ones hang from it."""
        for k, value in enumerate(values):
            height = abs(value) * scale
            if height > 0.3:
                top = base - height if value > 0 else base
                self.rect(x + k * width + 0.14 * width, top, 0.72 * width, height, colors[k])
        self.path(f"M{short(x)} {short(base)} h{short(width * len(values))}", INK, 1.2)

    def save(self, name: str) -> None:
        """Write the picture into book/_static."""
        outlines = "".join(f'<path id="{name}" d="{d}"/>' for name, d, _ in self.glyphs.values() if d)
        text = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" aria-labelledby="t d">\n'
            f'<title id="t">{self.title}</title>\n<desc id="d">{self.description}</desc>\n'
            f'<defs>{outlines}</defs>\n<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>\n'
        )
        (STATIC / name).write_text(text + "\n".join(self.parts) + "\n</svg>\n", encoding="utf-8")
        print(f"wrote book/_static/{name}")


@cache
def classifier() -> tuple[Array, Array, Array]:
    """Return weights and bias of chapter 1's classifier, and the three that it reads as a seven."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    split = train_test_split(digits.data / 16, digits.target, test_size=0.25, stratify=digits.target, random_state=0)
    train, held, y_train, y_held = split
    model = LogisticRegression(solver="newton-cg", tol=1e-10).fit(train, y_train)
    threes = np.flatnonzero(y_held == 3)
    surest = model.predict_proba(held[threes]).max(axis=1)
    return model.coef_, model.intercept_, held[threes[surest.argmin()]]


def softmax(z: Array) -> Array:
    """Return the probabilities of logits."""
    e: Array = np.exp(z - z.max())
    p: Array = e / e.sum()
    return p


def thread(narrow: bool) -> Drawing:
    """The thread of the course: values go forward, gradients come back, and the weights take a step."""
    W, b, x = classifier()
    z = W @ x + b
    p = softmax(z)
    delta = p - np.eye(10)[3]
    by_x, by_p = W.T @ delta, -np.eye(10)[3] / p[3]
    drawing = Drawing(
        *((420, 662) if narrow else (960, 416)),
        "The thread of the course",
        "A handwritten 3 becomes ten scores, ten probabilities and a loss; orange arrows lead from each to the next. "
        "Blue arrows lead the gradient back to the pixels, and a green arrow from there to the weights.",
    )
    side = 112.0
    small = 18.0 if narrow else 19.0
    if narrow:
        fore = [(96.0, 30.0 + 190 * k) for k in range(4)]
        back = [(324.0, 30.0 + 190 * k) for k in range(4)]
    else:
        fore = [(92.0 + 258 * k, 40.0) for k in range(4)]
        back = [(92.0 + 258 * k, 272.0) for k in range(4)]
    names = ["64 pixels *x*", "10 scores *z*", "10 probabilities *p*", "loss *L*"]
    slopes = ["∇*_xL*", "*p* − *e*_3", "−1/*p*_3", "∂*L*/∂*L*"]
    black = [STEP if k == 3 else INK for k in range(10)]  # the right answer is green, as everywhere
    for k, ((cx, top), (dx, below)) in enumerate(zip(fore, back, strict=True)):
        left, right = cx - side / 2, dx - side / 2
        drawing.text(cx, top - 10, names[k], small)
        under = below - 10 if narrow else below + side + 24
        drawing.text(dx, under, slopes[k], small + 2, PULL)
        if k == 0:
            drawing.cells(left, top, x.reshape(8, 8), side / 8, "Greys")
            drawing.rect(left, top, side, side, "none", INK)
            drawing.cells(right, below, by_x.reshape(8, 8), side / 8, "RdBu_r", float(abs(by_x).max()))
            drawing.rect(right, below, side, side, "none", PULL)
        elif k == 1:
            scale = 0.94 * side / (z.max() - z.min())
            drawing.bars(left, top + 0.97 * side + z.min() * scale, z, side / 10, scale, black)
            drawing.bars(right, below + 0.3 * side, delta, side / 10, 0.68 * side / abs(delta).max(), [PULL] * 10)
        elif k == 2:
            drawing.bars(left, top + 0.97 * side, p, side / 10, 0.94 * side / p.max(), black)
            for digit in (3, 7):
                drawing.text(left + (digit + 0.5) * side / 10, top + 1.14 * side, str(digit), small, QUIET)
            drawing.bars(right, below + 0.1 * side, by_p, side / 10, 0.8 * side / abs(by_p).max(), [PULL] * 10)
        else:
            half = 24.0 if narrow else side / 2
            drawing.text(cx, top + half + 14, f"{-np.log(p[3]):.2f}", 40)
            drawing.text(dx, below + half + 14, "1", 40, PULL)
    maps = ["affine", "softmax", "−log"]
    for k in range(3):
        (cx, top), (dx, below) = fore[k], back[k]
        if narrow:
            start, end = top + side + (20 if k == 2 else 10), top + 190 - 34
            drawing.arrow(f"M{cx} {start} V{end - 6}", (cx, end), 90, PUSH)
            drawing.arrow(f"M{dx} {end} V{start + 6}", (dx, start), -90, PULL)
            drawing.text(cx - 18, end - 4, f"*J*_{k + 1}", 22, PUSH, "end")
            drawing.text(dx + 16, end - 4, f"*J*_{k + 1}^T", 22, PULL, "start")
        else:
            start, end = cx + side / 2 + 18, cx + 258 - side / 2 - 18
            middle, up, down = (start + end) / 2, top + side / 2, below + side / 2
            drawing.arrow(f"M{start} {up} H{end - 6}", (end, up), 0, PUSH)
            drawing.arrow(f"M{end} {down} H{start + 6}", (start, down), 180, PULL)
            drawing.text(middle, up - 14, f"*J*_{k + 1}", 26, PUSH)
            drawing.text(middle, up + 26, maps[k], small, QUIET)
            drawing.text(middle, down - 14, f"*J*_{k + 1}^T", 26, PULL)
    step = "*W* ← *W* − *α*∇*_WL*"
    if narrow:
        y = fore[0][1] + side + 30
        drawing.arrow(f"M{back[0][0] - 14} {y} H{fore[0][0] + 20}", (fore[0][0] + 14, y), 180, STEP)
        drawing.text(210, y - 10, step, 18, STEP)
    else:
        x0, y0, y1 = 92 + 129.0, back[0][1] + side / 2 - 44, fore[0][1] + side / 2 + 40
        drawing.arrow(f"M{x0} {y0} V{y1 + 6}", (x0, y1), -90, STEP)
        drawing.text(x0 + 14, (y0 + y1) / 2 + 6, step, 22, STEP, "start")
        drawing.text(944, (y0 + y1) / 2 - 6, "orange: small changes, pushed forward", small, PUSH, "end")
        drawing.text(944, (y0 + y1) / 2 + 18, "blue: gradients, pulled back", small, PULL, "end")
    return drawing


def part_1() -> Drawing:
    """One matrix read in two ways: a row of the digits' Jacobian as an image, a column as bars."""
    W, b, x = classifier()
    p = softmax(W @ x + b)
    J = (np.diag(p) - np.outer(p, p)) @ W
    row, column = 3, int(J[3].argmax())
    drawing = Drawing(
        640,
        438,
        "One matrix, read in two ways",
        "A matrix of 10 rows and 64 columns in red and blue. One row is drawn again below as an image of 8 by 8 "
        "pixels, one column as ten bars.",
    )
    largest = float(abs(J).max())
    drawing.text(32, 34, "**One matrix, read in two ways**", 25, INK, "start")
    x0, y0, side = 32.0, 62.0, 9.0
    drawing.cells(x0, y0, J, side, "RdBu_r", largest)
    drawing.rect(x0, y0, 64 * side, 10 * side, "none", INK)
    drawing.rect(x0 - 2, y0 + row * side - 1.5, 64 * side + 4, side + 3, "none", PULL, 3)
    drawing.rect(x0 + column * side - 1.5, y0 - 4, side + 3, 10 * side + 8, "none", PUSH, 3)
    drawing.text(x0 + 8, y0 + 10 * side + 30, "10 classes × 64 pixels", 22, QUIET, "start")
    ix, iy, cell = 40.0, 236.0, 16.0
    drawing.arrow(f"M{x0 - 2} {y0 + (row + 0.5) * side} H14 V300 H28", (34, 300), 0, PULL)
    drawing.cells(ix, iy, J[row].reshape(8, 8), cell, "RdBu_r", largest)
    drawing.rect(ix, iy, 8 * cell, 8 * cell, "none", PULL, 2)
    drawing.text(ix, iy + 8 * cell + 30, "A row asks: which pixels", 22, PULL, "start")
    drawing.text(ix, iy + 8 * cell + 58, "would make it a 3?", 22, PULL, "start")
    bx, base, wide = 390.0, 300.0, 21.0
    at = x0 + (column + 0.5) * side
    drawing.arrow(f"M{at} {y0 + 10 * side + 6} V236", (at, 242), 90, PUSH)
    drawing.bars(bx, base, J[:, column], wide, 62 / abs(J[:, column]).max(), [PUSH] * 10)
    for k in range(10):
        drawing.text(bx + (k + 0.5) * wide, base + (20 if J[k, column] > -0.02 else -8), str(k), 22, QUIET)
    drawing.text(bx - 20, iy + 8 * cell + 30, "A column answers: what", 22, PUSH, "start")
    drawing.text(bx - 20, iy + 8 * cell + 58, "does this pixel move?", 22, PUSH, "start")
    return drawing


def part_2() -> Drawing:
    """The same product from both ends: rows that stay rows, and squares that stay squares."""
    drawing = Drawing(
        640,
        420,
        "From the left, each result is one row",
        "The four factors of a gradient drawn to scale: a row, a wide matrix and two squares. Multiplied from the "
        "left all results are rows, from the right the first is a square and the second a wide matrix.",
    )
    drawing.text(32, 34, "**From the left, each result is one row**", 25, INK, "start")
    scale = 1.55
    big, flat, thin = 64 * scale, 10 * scale, 5.0
    middle, x0 = 116.0, 60.0
    shapes = [(flat, thin, "*r*"), (big, flat, "*W*_3"), (big, big, "*J*_2"), (big, big, "*J*_1")]
    for k, (w, h, name) in enumerate(shapes):
        drawing.rect(x0, middle - h / 2, w, h, TINT if k else PULL, INK if k else PULL)
        drawing.text(x0 + w / 2, middle + (h / 2 + 28 if h < 60 else 8), name, 26)
        if k < 3:
            drawing.path(f"M{short(x0 + w + 28)} {middle} h0.1", INK, 5, extra=' stroke-linecap="round"')
        x0 += w + 56
    from_left, from_right = 64 * 10 + 2 * 64**2, 64**3 + 10 * 64**2 + 640
    for y, color, name, count, steps in (
        (206.0, PULL, "from the left", from_left, [(big, thin), (big, thin), (big, thin)]),
        (302.0, PUSH, "from the right", from_right, [(big, big), (big, flat), (big, thin)]),
    ):
        count_text = f"{count:,}".replace(",", " ")
        drawing.text(32, y + 16, f"**{name}**", 23, color, "start")
        drawing.text(32, y + 44, count_text, 23, color, "start")
        drawing.text(32, y + 70, "multiplications", 22, QUIET, "start")
        x0 = 226.0
        for k, (w, h) in enumerate(steps):
            drawing.rect(x0, y + 8, w, h, color, color)
            if k < 2:
                drawing.arrow(f"M{x0 + w + 12} {y + 10} h18", (x0 + w + 36, y + 10), 0, color, 2.4)
            x0 += w + 48
    return drawing


def part_3() -> Drawing:
    """A small network: thin lines forward, and back from the loss lines as wide as each weight's share."""
    x = classifier()[2]
    rng = np.random.default_rng(4)
    image = x.reshape(4, 2, 4, 2).mean(axis=(1, 3))
    W1, W2 = rng.normal(0, np.sqrt(2 / 16), (8, 16)), rng.normal(0, np.sqrt(2 / 8), (10, 8))
    a = W1 @ image.ravel()
    h = np.maximum(a, 0)
    z_bar = softmax(W2 @ h) - np.eye(10)[3]
    by_W2 = np.outer(z_bar, h)
    by_W1 = np.outer((W2.T @ z_bar) * (a > 0), image.ravel())
    drawing = Drawing(
        640,
        446,
        "One pass back, and each weight knows its share",
        "A network of 16, 8 and 10 units. Blue lines from the loss back to the pixels are as wide as the derivative "
        "by each weight; units that are off let nothing through.",
    )
    drawing.text(32, 34, "**One pass back, and each weight knows its share**", 25, INK, "start")
    places = [
        [(176.0, 72 + 19.5 * k) for k in range(16)],
        [(356.0, 86 + 38.0 * k) for k in range(8)],
        [(524.0, 78 + 31.0 * k) for k in range(10)],
    ]
    loss = (604.0, 218.0)
    for level, shares in ((0, by_W1), (1, by_W2)):
        widest = abs(shares).max()
        for i, j in np.ndindex(*shares.shape):
            (x1, y1), (x2, y2) = places[level][j], places[level + 1][i]
            width = 7 * abs(shares[i, j]) / widest
            line = f"M{short(x1)} {short(y1)} L{short(x2)} {short(y2)}"
            if width > 0.35:
                drawing.path(line, PULL, round(width, 1), extra=' stroke-opacity="0.75"')
            else:
                drawing.path(line, PALE, 0.6)
    for i, (x1, y1) in enumerate(places[2]):
        drawing.path(f"M{x1} {y1} L{loss[0]} {loss[1]}", PULL, round(0.8 + 6 * abs(float(z_bar[i])), 1))
    side = 32.0
    drawing.cells(16, 150, image, side, "Greys")
    drawing.rect(16, 150, 4 * side, 4 * side, "none", INK)
    for (x1, y1), value in zip(places[0], image.ravel(), strict=True):
        dark = matplotlib.colors.to_hex(matplotlib.colormaps["Greys"](float(value)))
        drawing.parts.append(f'<circle cx="{x1}" cy="{short(y1)}" r="6.5" fill="{dark}" stroke="{INK}"/>')
    for k, units in enumerate(places[1:]):
        for i, (x1, y1) in enumerate(units):
            off = k == 0 and a[i] <= 0
            fill = "#ffffff" if off else INK
            drawing.parts.append(
                f'<circle cx="{x1}" cy="{short(y1)}" r="8" fill="{fill}" stroke="{INK}" stroke-width="1.5"/>'
            )
    drawing.parts.append(
        f'<circle cx="{loss[0]}" cy="{loss[1]}" r="17" fill="#ffffff" stroke="{PULL}" stroke-width="2.5"/>'
    )
    drawing.text(loss[0], loss[1] + 8, "*L*", 24, PULL)
    drawing.text(176, 410, "16 pixels", 22, QUIET)
    drawing.text(356, 410, "8 units", 22, QUIET)
    drawing.text(524, 410, "10 classes", 22, QUIET)
    drawing.arrow("M560 434 H150", (142, 434), 180, PULL)
    return drawing


def descents() -> tuple[dict[str, Array], dict[str, int]]:
    """Return the paths of three optimizers in one valley, and the steps until a thousandth of the way is left."""
    H = np.diag([1.0, 20.0])
    mu, L = 1.0, 20.0
    start = np.array([-10.0, 1.6])
    paths: dict[str, list[Array]] = {"gradient descent": [start], "momentum": [start], "Newton": [start]}
    best = (2 / (np.sqrt(mu) + np.sqrt(L))) ** 2
    beta = ((np.sqrt(L) - np.sqrt(mu)) / (np.sqrt(L) + np.sqrt(mu))) ** 2
    velocity = np.zeros(2)
    for _ in range(200):
        paths["gradient descent"].append(
            paths["gradient descent"][-1] - 2 / (mu + L) * H @ paths["gradient descent"][-1]
        )
        velocity = beta * velocity + H @ paths["momentum"][-1]
        paths["momentum"].append(paths["momentum"][-1] - best * velocity)
        paths["Newton"].append(0 * start)
    found = {name: np.array(path) for name, path in paths.items()}
    far = {name: np.linalg.norm(path, axis=1) / np.linalg.norm(start) for name, path in found.items()}
    return found, {name: int(np.flatnonzero(d > 1e-3)[-1]) + 1 for name, d in far.items()}


def part_4() -> Drawing:
    """One valley, three ways down."""
    paths, steps = descents()
    drawing = Drawing(
        640,
        450,
        "One valley, three ways down",
        "Ellipses of equal loss in a narrow valley. Gradient descent zigzags along it in many short steps, momentum "
        "swings, Newton's method goes to the minimum at once.",
    )
    drawing.text(32, 34, "**One valley, three ways down**", 25, INK, "start")
    cx, cy, unit = 442.0, 170.0, 40.0
    drawing.parts.append('<g clip-path="url(#v)">')
    drawing.parts.append('<clipPath id="v"><rect x="8" y="52" width="624" height="236"/></clipPath>')
    for level in np.linspace(1.4, 11.5, 7):
        ry = level / np.sqrt(20)
        drawing.parts.append(
            f'<ellipse cx="{cx}" cy="{cy}" rx="{short(level * unit)}" ry="{short(ry * unit)}" fill="none" '
            f'stroke="{PALE}" stroke-width="1.4"/>'
        )
    drawing.parts.append("</g>")
    colors = {"gradient descent": PULL, "momentum": STEP, "Newton": PUSH}
    for name, path in paths.items():
        shown = path[: min(len(path), 120)]
        points = [(cx + unit * float(u), cy - unit * float(v)) for u, v in shown]
        line = "M" + " L".join(f"{short(u)} {short(v)}" for u, v in points[: 2 if name == "Newton" else 60])
        dashed = ' stroke-dasharray="9 6"' if name == "Newton" else ""
        drawing.path(line, colors[name], 2.4, extra=f' stroke-linejoin="round"{dashed}')
        if name != "Newton":
            for u, v in points[:40]:
                drawing.parts.append(f'<circle cx="{short(u)}" cy="{short(v)}" r="3.6" fill="{colors[name]}"/>')
    u, v = cx + unit * paths["Newton"][0, 0], cy - unit * paths["Newton"][0, 1]
    drawing.parts.append(f'<circle cx="{short(u)}" cy="{short(v)}" r="6.5" fill="{INK}"/>')
    drawing.path(f"M{cx - 9} {cy} h18 M{cx} {cy - 9} v18", INK, 3)
    for k, (name, count) in enumerate(steps.items()):
        y = 330 + 38 * k
        dashed = ' stroke-dasharray="9 6"' if name == "Newton" else ""
        drawing.path(f"M32 {y - 7} h44", colors[name], 4, extra=dashed)
        what = "Newton’s method" if name == "Newton" else name
        drawing.text(92, y, f"{what}:", 23, colors[name], "start")
        drawing.text(330, y, f"{count} step" + ("s" if count > 1 else ""), 23, colors[name], "start")
    drawing.text(32, 440, "until a thousandth of the way is left", 22, QUIET, "start")
    return drawing


def main() -> None:
    thread(narrow=False).save("thread.svg")
    thread(narrow=True).save("thread-narrow.svg")
    for k, draw in enumerate((part_1, part_2, part_3, part_4), 1):
        draw().save(f"part-{k}.svg")


if __name__ == "__main__":
    main()
