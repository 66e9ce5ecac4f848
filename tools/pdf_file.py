"""PDF as a file: what `tools/book_pdf.py` reads from what Chromium has written, and how the same is written smaller."""

from __future__ import annotations

import itertools
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from pypdf import PdfReader
from pypdf.generic import DictionaryObject, IndirectObject

#: A text in a PDF: in parentheses, with escapes, or in hexadecimal digits.
TITLE = re.compile(rb"/Title\s*(?:\((?:[^\\()]|\\.)*\)|<[0-9A-Fa-f\s]*>)", re.DOTALL)
PACKED = 200  # objects in one compressed stream


def destinations(reader: PdfReader) -> dict[str, int]:
    """Return the page, counted from 1, of each named place that something links to."""
    pages = {page.indirect_reference.idnum: n for n, page in enumerate(reader.pages, 1) if page.indirect_reference}
    found = {}
    for name, place in reader.named_destinations.items():
        page = place.raw_get("/Page") if "/Page" in place else None
        if isinstance(page, IndirectObject) and page.idnum in pages:
            found[name.removeprefix("/")] = pages[page.idnum]
    return found


def outline(reader: PdfReader) -> list[tuple[int, str, int]]:
    """Return the bookmarks: depth, text and page, counted from 1."""
    pages = {page.indirect_reference.idnum: n for n, page in enumerate(reader.pages, 1) if page.indirect_reference}
    found: list[tuple[int, str, int]] = []

    def walk(items: Any, depth: int) -> None:
        for item in items:
            if isinstance(item, list):
                walk(item, depth + 1)
            else:
                page = item.raw_get("/Page")
                found.append((depth, str(item.title), pages.get(getattr(page, "idnum", -1), 0)))

    walk(reader.outline, 0)
    return found


def raster_images(reader: PdfReader) -> int:
    """Return how many different pictures made of pixels the PDF holds, not counting masks."""
    found: set[int] = set()
    seen: set[int] = set()

    def walk(resources: Any) -> None:
        shapes: Any = resources.get_object().get("/XObject", DictionaryObject()).get_object() if resources else {}
        for name in shapes:
            raw = shapes.raw_get(name)
            key = raw.idnum if isinstance(raw, IndirectObject) else id(raw)
            if key in seen:
                continue
            seen.add(key)
            shape = raw.get_object()
            if shape.get("/Subtype") == "/Image":
                found.add(key)
            elif "/Resources" in shape:
                walk(shape["/Resources"])

    for page in reader.pages:
        walk(page.get("/Resources"))
    return len(found)


def rewritten(data: bytes, said: dict[str, str], titles: list[str]) -> bytes:
    """Return a PDF of Chromium's with a title and an author, opening with its bookmarks, in half the size.

    The bookmarks get the titles handed over: Chromium's own run words together where a heading has several styles.
    A tagged book is a hundred thousand small objects, which Chromium writes one by one and uncompressed. Here they are
    packed into compressed streams, as PDF allows since version 1.5.
    """
    objects, root, info = taken_apart(data)
    marks = list(bookmarks(objects, root))
    if len(marks) != len(titles):
        raise ValueError(f"Chromium has made {len(marks)} bookmarks of {len(titles)} headings.")
    for count, title in zip(marks, titles, strict=True):
        start, end = TITLE.search(objects[count]).span()  # type: ignore[union-attr]
        objects[count] = objects[count][:start] + b"/Title <%s>" % encoded(title) + objects[count][end:]
    objects[root] = objects[root][:-2] + b"/PageMode /UseOutlines>>"
    made = re.search(rb"/CreationDate \([^)]*\)", objects[info])
    words = b"".join(b"/%s <%s>" % (key.encode(), encoded(value)) for key, value in said.items())
    objects[info] = b"<<" + words + b"/Producer (Skia/PDF)" + (made[0] if made else b"") + b">>"
    return put_together(objects, root, info)


def taken_apart(data: bytes) -> tuple[dict[int, bytes], int, int]:
    """Return the objects of a PDF by number, and the numbers of its root and of what it says of itself."""
    start = int(data[data.rindex(b"startxref") + 9 :].split()[0])
    trailer = data[data.index(b"trailer", start) :]
    offsets = sorted(int(m[1]) for m in re.finditer(rb"(\d{10}) 00000 n", data[start:]))
    objects = {}
    for first, after in itertools.pairwise([*offsets, start]):
        match = re.match(rb"(\d+) 0 obj\s", data[first:after])
        if match is None:
            raise ValueError("Chromium has written a PDF that this tool cannot read.")
        objects[int(match[1])] = data[first + match.end() : data.rindex(b"endobj", first, after)].strip()
    root, info = (re.search(rb"/%s (\d+) 0 R" % key, trailer) for key in (b"Root", b"Info"))
    if root is None or info is None:
        raise ValueError("Chromium has written a PDF that this tool cannot read.")
    return objects, int(root[1]), int(info[1])


def put_together(objects: dict[int, bytes], root: int, info: int) -> bytes:
    """Return the PDF of these objects: streams as they are, everything else packed together and compressed."""
    small: dict[int, bytes] = {}
    places: dict[int, tuple[int, int, int]] = {}  # as the table at the end has them: kind, where, which
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")

    def write(count: int, text: bytes) -> None:
        places[count] = (1, len(out), 0)
        out.extend(b"%d 0 obj\n%s\nendobj\n" % (count, text))

    for count, text in objects.items():
        if re.search(rb">>\s*stream\r?\n", text):
            write(count, text)
        else:
            small[count] = text
    free, order = max(objects) + 1, list(small)
    for group in (order[k : k + PACKED] for k in range(0, len(order), PACKED)):
        starts = itertools.accumulate((len(small[count]) + 1 for count in group), initial=0)
        head = b" ".join(b"%d %d" % pair for pair in zip(group, starts, strict=False)) + b"\n"
        kind = b"/Type /ObjStm /N %d /First %d" % (len(group), len(head))
        write(free, compressed(kind, head + b"".join(small[count] + b"\n" for count in group)))
        places |= {count: (2, free, k) for k, count in enumerate(group)}
        free += 1
    end = len(out)
    places[free] = (1, end, 0)
    table = b"".join(struct.pack(">BIH", *places.get(count, (0, 0, 0))) for count in range(free + 1))
    kind = b"/Type /XRef /W [1 4 2] /Size %d /Root %d 0 R /Info %d 0 R" % (free + 1, root, info)
    write(free, compressed(kind, table))
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % end)


def compressed(kind: bytes, body: bytes) -> bytes:
    """Return a stream of this kind."""
    packed = zlib.compress(body, 9)
    return b"<<%s /Filter /FlateDecode /Length %d>>\nstream\n%s\nendstream" % (kind, len(packed), packed)


def bookmarks(objects: dict[int, bytes], root: int) -> Iterator[int]:
    """Yield the numbers of the objects that are bookmarks, in the order in which a reader sees them."""

    def link(count: int, key: bytes) -> int | None:
        match = re.search(rb"/%s (\d+) 0 R" % key, objects[count])
        return int(match[1]) if match else None

    def walk(parent: int) -> Iterator[int]:
        here = link(parent, b"First")
        while here is not None:
            yield here
            yield from walk(here)
            here = link(here, b"Next")

    outlines = link(root, b"Outlines")
    if outlines is not None:
        yield from walk(outlines)


def encoded(text: str) -> bytes:
    """Return a text as PDF writes it in hexadecimal, whatever letters it has."""
    return (b"\xfe\xff" + text.encode("utf-16-be")).hex().encode()
