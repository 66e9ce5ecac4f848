"""Cuts the fonts down to what the pages use, and shapes a local font to stand in until they have arrived.

``assets.py`` says which characters occur; what is cut is kept in ``_build/.assets``, so that it is cut once.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import fontTools
from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells each step of its work

FEATURES = ["ccmp", "kern", "liga", "lnum", "locl", "mark", "mkmk", "onum", "pnum", "tnum"]
# What the prose font has whether or not a page uses it today: searches and labels that scripts write need it.
ALWAYS = "".join(map(chr, range(0x20, 0x7F))) + "\u00a0\u00ad·×–—‘’“”…′←→↑↓✓−"
# How frequent letters are in English text, in parts of a thousand; a space follows every fifth letter.
LETTERS = "etaoinshrdlcumwfgypbvkjxqz "
FREQUENCY = 127, 91, 82, 75, 70, 67, 63, 61, 60, 43, 40, 28, 28, 24, 24, 22, 20, 20, 19, 15, 10, 8, 1, 1, 1, 1, 210
# Serif fonts that readers' systems have, the likeliest last, since the last that is there is used: the width of an
# average letter of English, in parts of the font's size.
LOCAL = {
    ("DejaVu Serif",): 0.512,
    ("Noto Serif",): 0.475,
    ("Times New Roman", "TimesNewRomanPSMT", "Liberation Serif", "LiberationSerif"): 0.400,
    ("Georgia",): 0.440,
}


class Kept:
    """A folder of things that take long to make, each under a hash of what it was made from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[str] = set()

    def get(self, key: bytes, make: Callable[[], bytes]) -> bytes:
        """Return what ``make`` makes, from the folder if it was made before from the same key."""
        name = hashlib.sha256(key).hexdigest()[:32]
        self.used.add(name)
        file = self.folder / name
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")  # a build that is stopped here leaves no half a file under the name
            part.write_bytes(make())
            part.replace(file)
        return file.read_bytes()

    def tidy(self) -> None:
        """Throw away what nobody asked for since this folder was opened."""
        for file in self.folder.glob("*"):
            if file.name not in self.used:
                file.unlink()


def cut(source: bytes, characters: Iterable[str], weights: tuple[int, int] | None = None) -> bytes:
    """Return a woff2 font that has only these characters and, if its weight varies, only these weights."""
    font = TTFont(io.BytesIO(source))
    options = subset.Options()
    options.layout_features = FEATURES
    options.hinting = False  # what a screen of today does not use
    options.name_IDs = [0, 1, 2, 13, 14]  # who made it and under which licence stays in the file
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=sorted({ord(character) for character in characters}))
    subsetter.subset(font)
    axes = {axis.axisTag: axis for axis in font["fvar"].axes} if "fvar" in font else {}
    if weights is not None and "wght" in axes:
        low, high = max(weights[0], axes["wght"].minValue), min(weights[1], axes["wght"].maxValue)
        font = instancer.instantiateVariableFont(font, {"wght": (low, high)})
    font.flavor = "woff2"
    result = io.BytesIO()
    font.save(result, reorderTables=None)
    return result.getvalue()


def cut_kept(kept: Kept, source: bytes, characters: Iterable[str], weights: tuple[int, int] | None = None) -> bytes:
    """Return ``cut`` of the same, made once."""
    wanted = "".join(sorted(set(characters)))
    key = b"\0".join((source, wanted.encode(), repr((weights, FEATURES, fontTools.version)).encode()))
    return kept.get(key, lambda: cut(source, wanted, weights))


def weights_used(css: str) -> tuple[int, int]:
    """Return the lightest and the heaviest weight that a stylesheet asks for; regular and bold are always wanted."""
    rules = re.sub(r"@font-face\s*{[^}]*}", "", css)
    found = re.findall(r"font-weight:\s*(\d{3})\b|\bfont:\s*(?:italic\s+)?(\d{3})\b", rules)
    numbers = [400, 700, *(int(one or other) for one, other in found)]
    return min(numbers), max(numbers)


def stand_in(source: bytes, family: str) -> str:
    """Return ``@font-face`` rules that give local serif fonts the measures of this one.

    Lines then break where they will break when the font has arrived, and stand as high: nothing moves.
    """
    font = TTFont(io.BytesIO(source))
    glyphs, advances, units = font.getBestCmap(), font["hmtx"], font["head"].unitsPerEm
    total = sum(share * advances[glyphs[ord(letter)]][0] for letter, share in zip(LETTERS, FREQUENCY, strict=True))
    width = total / sum(FREQUENCY) / units
    lines = font["hhea"]
    rules = []
    for names, local_width in LOCAL.items():
        factor = width / local_width
        sources = ",".join(f'local("{name}")' for name in names)
        measures = {"ascent": lines.ascent, "descent": -lines.descent, "line-gap": lines.lineGap}
        overrides = "".join(f"{key}-override:{100 * size / units / factor:.2f}%;" for key, size in measures.items())
        rules.append(
            f'@font-face{{font-family:"{family}";font-weight:200 900;src:{sources};'
            f"size-adjust:{100 * factor:.2f}%;{overrides}}}"
        )
    return "".join(rules)
