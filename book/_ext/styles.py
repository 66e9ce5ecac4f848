"""Makes the one stylesheet of the site: the book's rules, KaTeX's and the colours of code, without what no page uses.

``assets.py`` says what the pages use; ``fonts.py`` cuts the fonts that the rules name.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import lightningcss
from course import CODE_STYLES
from fonts import Kept, cut_kept, stand_in, weights_used
from offline import replace
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES, Token
from sphinx.errors import ExtensionError

STAND_IN = "Source Serif Fallback"  # the second name in the stylesheet's --prose
FACE = re.compile(r"@font-face\s*{([^}]*)}")


def write_styles(
    source: Path, static: Path, names: set[str], prose: set[str], maths_characters: set[str], kept: Kept
) -> dict[str, int]:
    """Write ``course.css`` and the fonts it names into the output; return the size of each file.

    ``names`` are the classes and ids that occur; the others are the characters set in the prose's and the maths' fonts.
    """
    files = {}
    course = (source / "course.css").read_text(encoding="utf-8")
    for word in re.findall(r"/\*\s*keep:([^*]*)\*/", course):  # for pages that are made elsewhere from this stylesheet
        names = names | set(word.split())
    prose = prose | styled_characters(course)
    weights = weights_used(course)

    def serif(face: re.Match[str]) -> str:
        name = re.search(r"url\([\"']?([^\"')]+\.woff2)", face[1])
        if name is None:
            return face[0]
        italic = re.search(r"font-style:\s*italic", face[1])
        range_ = (max(400, weights[0]) if italic else weights[0], weights[1])  # slanted and light is nowhere
        font = (source / name[1]).read_bytes()
        files[name[1]] = cut_kept(kept, font, prose, range_)
        face_rule = re.sub(r"(font-weight:\s*)\d+ \d+", rf"\g<1>{range_[0]} {range_[1]}", face[0])
        return face_rule if italic else stand_in(font, STAND_IN) + face_rule

    course = FACE.sub(serif, course)
    maths, maths_fonts = maths_styles((source / "katex" / "katex.min.css").read_text(encoding="utf-8"), names)
    for name in maths_fonts:
        files[name] = cut_kept(kept, (source / name).read_bytes(), maths_characters)
    files["course.css"] = prune(maths + code_styles(names) + course, names).encode()
    for name, content in files.items():
        replace(static / name, content)
    return {posixpath.basename(name): len(content) for name, content in files.items()}


def prune(css: str, names: set[str]) -> str:
    """Return the stylesheet small, and without rules for classes and ids that are not among ``names``."""
    bare = re.sub(r"/\*.*?\*/|url\([^)]*\)|\"[^\"]*\"", "", css, flags=re.DOTALL)
    symbols = set(re.findall(r"[.#](-?[A-Za-z_][\w-]*)", bare)) - set(re.findall(r"@keyframes\s+([\w-]+)", bare))
    try:
        return lightningcss.process_stylesheet(css, unused_symbols=symbols - names, minify=True)
    except ValueError as problem:
        raise ExtensionError(f"the stylesheet cannot be read: {problem}") from problem


def maths_styles(css: str, names: set[str]) -> tuple[str, list[str]]:
    """Return KaTeX's rules with only the font faces that pages need, and the paths of those fonts' files.

    A face is needed if a rule that survives asks for its family, and for its weight and slant where they are not
    regular (a rule for bold without a family makes the bold of every family needed).
    """
    css = css.replace("url(fonts/", "url(katex/fonts/")
    rules = prune(FACE.sub("", css), names)
    asked: dict[str, set[str]] = {}
    for block in re.findall(r"{([^{}]*)}", rules):
        bold = {"700"} if re.search(r"font-weight:\s*(700|bold)", block) else set()
        slant = {"italic"} if re.search(r"font-style:\s*italic", block) else set()
        for family in re.findall(r"KaTeX_\w+", block) or ["any"]:
            asked.setdefault(family, set()).update(bold | slant)
    faces, files = [], []
    for body in FACE.findall(css):
        face = {key: value.strip() for key, value in re.findall(r"(font-family|font-style|font-weight):([^;]+)", body)}
        family = face["font-family"].strip("\"'")
        special = {value for value in (face.get("font-style"), face.get("font-weight")) if value in ("italic", "700")}
        name = re.search(r"url\([\"']?([^\"')]+\.woff2)", body)
        if name and family in asked and special <= asked[family] | asked.get("any", set()):
            described = "".join(f"{key}:{value};" for key, value in face.items())
            faces.append(f'@font-face{{{described}font-display:swap;src:url({name[1]}) format("woff2")}}')
            files.append(name[1])
    return "".join(faces) + rules, files


def code_styles(names: set[str]) -> str:
    """Return the rules that colour code, one for both themes, for the classes of tokens that occur."""
    light, dark = (get_style_by_name(name) for name in CODE_STYLES)
    plain = light.style_for_token(Token), dark.style_for_token(Token)
    rules: dict[str, list[str]] = {}
    for token, name in STANDARD_TYPES.items():
        styles = light.style_for_token(token), dark.style_for_token(token)
        if not name or name not in names or styles == plain:
            continue
        declared = ""
        if styles[0]["color"] != plain[0]["color"] or styles[1]["color"] != plain[1]["color"]:
            first, second = (style["color"] or (plain[at]["color"]) for at, style in enumerate(styles))
            declared = f"color:light-dark(#{first},#{second});"
        declared += "font-weight:700;" * styles[0]["bold"] + "font-style:italic;" * styles[0]["italic"]
        if declared:
            rules.setdefault(declared, []).append(f".highlight .{name}")
    return "".join(f"{','.join(selectors)}{{{declared}}}" for declared, selectors in rules.items())


def styled_characters(css: str) -> set[str]:
    """Return what a stylesheet itself puts on the page, such as marks in ``content``, written out or as \\2713."""
    written = {character for character in css if character > "~"}
    return written | {chr(int(code, 16)) for code in re.findall(r"\\([0-9a-fA-F]{2,5})\b", css)}
