"""When all pages are written: one stylesheet with what they use, their fonts cut to size, and nothing else beside them.

Everything is made from the files in ``book/_static`` and from the pages; never from what an earlier build left in the
output, so that building twice gives the same site. ``fonts.py`` cuts the fonts, ``offline.py`` writes what lets the
book be read without a network.
"""

from __future__ import annotations

import html
import json
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import lightningcss
import offline
from course import CODE_STYLES
from fonts import ALWAYS, Kept, cut_kept, stand_in, weights_used
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES, Token
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
STAND_IN = "Source Serif Fallback"  # the second name in the stylesheet's --prose
TAG = re.compile(
    r"""<!--.*?-->|<(?P<raw>script|style)\b[^>]*>(?P<text>.*?)</(?P=raw)\s*>
    |<(?P<end>/?)(?P<name>[a-zA-Z][\w-]*)(?P<attributes>(?:[^<>"']|"[^"]*"|'[^']*')*)>""",
    re.DOTALL | re.VERBOSE,
)
FACE = re.compile(r"@font-face\s*{([^}]*)}")
LICENCE = re.compile(r"(?i)\b(licen[cs]e|copying|notice|ofl)\b")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", add_script, priority=960)  # after theme.py has made the list
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_script(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Every page can start the keeping of the book."""
    context.setdefault("page_scripts", []).append("offline.js")


def finish(app: Sphinx, error: Exception | None) -> None:
    """Finish the site: styles, fonts, the versions in the addresses, the service worker."""
    if error is not None or app.builder.name != "html":
        return
    out, source = Path(app.outdir), Path(app.srcdir) / "book" / "_static"
    kept = Kept(Path(app.doctreedir).parent / ".assets")
    pages = {path: path.read_text(encoding="utf-8") for path in html_files(out)}
    used = everything_used(pages.values(), source, kept)
    written = write_styles(source, out / "_static", used, kept)
    removed = sweep(out / "_static", pages.values())
    kept.tidy()
    stamp(out, pages)
    offline.write(out, source, app.config.root_doc, str(app.config.project))
    sizes = ", ".join(f"{name} {size / 1024:.1f} KiB" for name, size in written.items())
    LOGGER.info("assets: %s; %d files that no page uses are left out", sizes, removed)


def html_files(out: Path) -> list[Path]:
    """Return the pages of the site."""
    apart = {"_static", "_sources", "reports"}
    return sorted(path for path in out.rglob("*.html") if not apart & set(path.relative_to(out).parts))


# -- what the pages use ----------------------------------------------------------------------------------------------


@dataclass
class Used:
    """What occurs in pages: names of classes and ids, and the characters set in the prose's and the maths' fonts."""

    names: set[str] = field(default_factory=set)
    prose: set[str] = field(default_factory=set)
    maths: set[str] = field(default_factory=set)

    def add(self, other: Used) -> None:
        self.names |= other.names
        self.prose |= other.prose
        self.maths |= other.maths


def scan(page: str) -> Used:
    """Return what one page uses. Text in ``pre`` and ``code`` is set in the reader's own font."""
    used = Used()
    position, inside, depth, setting = 0, "", 0, "prose"
    for tag in TAG.finditer(page):
        text, position = page[position : tag.start()], tag.end()
        if text and setting != "none":
            getattr(used, setting).update(html.unescape(text))
        if tag["raw"] == "script":
            used.names.update(re.findall(r"[\w-]+", tag["text"]))
        if not tag["name"]:
            continue
        attributes = tag["attributes"]
        for double, single in re.findall(r"""\b(?:class|id)=(?:"([^"]*)"|'([^']*)')""", attributes):
            used.names.update(html.unescape(double or single).split())
        if inside:
            if tag["name"] == inside and not attributes.endswith("/"):
                depth += -1 if tag["end"] else 1
            if depth == 0:
                inside, setting = "", "prose"
        elif not tag["end"]:
            for pattern, name in ((r"\bkatex-html\b", "maths"), (r"\bkatex-mathml\b", "none")):
                if re.search(pattern, attributes):
                    inside, depth, setting = tag["name"], 1, name
            if tag["name"] in ("pre", "code"):
                inside, depth, setting = tag["name"], 1, "none"
    return used


def everything_used(pages: Iterable[str], source: Path, kept: Kept) -> Used:
    """Return what all pages use, together with every word of our own scripts, which may be a class they set."""
    total = Used(prose=set(ALWAYS))
    for page in pages:
        key = re.sub(r"\?v=[\w-]+", "", page)

        def make(page: str = page) -> bytes:
            found = scan(page)
            return json.dumps([sorted(found.names), sorted(found.prose), sorted(found.maths)]).encode()

        total.add(Used(*map(set, json.loads(kept.get(b"scan" + key.encode(), make)))))
    for script in source.rglob("*.js"):
        if not script.name.endswith(".min.js"):
            text = script.read_text(encoding="utf-8")
            total.names.update(re.findall(r"[\w-]+", text))
            total.prose.update(character for character in text if character > "~")
    return total


# -- the stylesheet and its fonts ------------------------------------------------------------------------------------


def write_styles(source: Path, static: Path, used: Used, kept: Kept) -> dict[str, int]:
    """Write ``course.css`` and the fonts it names into the output; return the size of each file."""
    files = {}
    course = (source / "course.css").read_text(encoding="utf-8")
    for word in re.findall(r"/\*\s*keep:([^*]*)\*/", course):  # for pages that are made elsewhere from this stylesheet
        used.names.update(word.split())
    prose = used.prose | styled_characters(course)
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
    maths, maths_fonts = maths_styles((source / "katex" / "katex.min.css").read_text(encoding="utf-8"), used.names)
    for name in maths_fonts:
        files[name] = cut_kept(kept, (source / name).read_bytes(), used.maths)
    files["course.css"] = prune(maths + code_styles(used.names) + course, used.names).encode()
    for name, content in files.items():
        write(static / name, content)
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


# -- the output as a whole -------------------------------------------------------------------------------------------


def sweep(static: Path, pages: Iterable[str]) -> int:
    """Remove from ``_static`` what no page, style or script names, except the licences of what stays."""
    files = {path.relative_to(static).as_posix(): path for path in static.rglob("*") if path.is_file()}
    named = {unquote(name) for page in pages for name in re.findall(r"_static/([^\"'?#\s<>&)]+)", page)}
    found, fresh = set(), named & set(files)
    while fresh:
        found |= fresh
        reached = set()
        for name in fresh:
            if name.endswith(".css"):
                text = files[name].read_text(encoding="utf-8")
                for address in re.findall(r"url\([\"']?([^\"')?#]+)", text):
                    reached.add(posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(address))))
            elif name.endswith(".js"):
                text = files[name].read_text(encoding="utf-8")
                words = set(
                    re.findall(r"[\"'`]([\w-]+)[\"'`]", text)
                )  # of "search-text", a script may make the address
                for other in files:
                    whole = posixpath.basename(other)
                    if whole in text or posixpath.splitext(whole)[0] in words:
                        reached.add(other)
        fresh = (reached & set(files)) - found
    for name in files:
        folder = posixpath.dirname(name)
        if folder and LICENCE.search(posixpath.basename(name)) and any(o.startswith(folder + "/") for o in found):
            found.add(name)
    for name in set(files) - found:
        files[name].unlink()
    for folder in sorted((path for path in static.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return len(files) - len(found)


def stamp(out: Path, pages: dict[Path, str]) -> None:
    """Give every address that ends in ``?v=…`` the hash of the file that is there now.

    Pages are written before the stylesheet is, and a warm build does not write all of them again; so the version is
    put right in all of them here, at the end.
    """
    hashes: dict[Path, str] = {}
    for path, text in pages.items():

        def versioned(match: re.Match[str], folder: Path = path.parent) -> str:
            # search.js is told its index by a name that stands beside the script, not beside the page
            file = (out / "_static" if match[1] == "data-index" else folder) / unquote(match[2])
            if not file.is_file():
                return match[0]
            if file not in hashes:
                hashes[file] = offline.fingerprint(file.read_bytes())
            return f'{match[1]}="{match[2]}?v={hashes[file]}"'

        stamped = re.sub(r'\b(href|src|data-index)="([^"?#:]+)\?v=[\w-]*"', versioned, text)
        if stamped != text:
            write(path, stamped.encode())
            pages[path] = stamped


def write(path: Path, content: bytes) -> None:
    """Write a file unless it already holds just this."""
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
