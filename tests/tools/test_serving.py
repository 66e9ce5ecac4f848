"""The host that pages are measured on and tested on."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tools.serving import TYPES, serve

PAGE = "<p>Text that is said again. " * 200


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HTTPConnection]:
    (tmp_path / "site" / "part").mkdir(parents=True)
    for name in ("a.html", "part/index.html", "a.js", "a.css", "a.svg", "sw.webmanifest", "a.json"):
        (tmp_path / "site" / name).write_text(PAGE, encoding="utf-8")
    (tmp_path / "site" / "a.woff2").write_bytes(bytes(range(256)))
    (tmp_path / "site" / "tiny.txt").write_text("a", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("not the site's", encoding="utf-8")
    with serve(tmp_path / "site") as address:
        connection = HTTPConnection(urlsplit(address).netloc, timeout=5)
        yield connection
        connection.close()


def get(host: HTTPConnection, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    host.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = host.getresponse()
    return answer, answer.read()


def test_text_is_compressed_for_those_who_can_read_it(host: HTTPConnection) -> None:
    plain, text = get(host, "/a.html")
    squeezed, body = get(host, "/a.html", Accept_Encoding="gzip, br")
    assert text.decode() == gzip.decompress(body).decode() == PAGE
    assert len(body) < len(text) / 5
    assert squeezed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["Content-Encoding"] is None
    assert plain.headers["Vary"] == squeezed.headers["Vary"] == "Accept-Encoding"
    assert plain.headers["ETag"] != squeezed.headers["ETag"]
    for name in ("/a.woff2", "/tiny.txt"):
        assert get(host, name, Accept_Encoding="gzip")[0].headers["Content-Encoding"] is None


def test_types_are_said_and_not_asked_of_the_machine(host: HTTPConnection) -> None:
    for name in ("/a.html", "/a.js", "/a.css", "/a.svg", "/a.woff2", "/sw.webmanifest", "/a.json"):
        assert get(host, name)[0].headers["Content-Type"] == TYPES[os.path.splitext(name)[1]]
    assert TYPES[".js"].startswith("text/javascript")
    assert TYPES[".woff2"] == "font/woff2"
    assert TYPES[".webmanifest"] == "application/manifest+json"


def test_what_has_not_changed_is_not_sent_again(host: HTTPConnection, tmp_path: Path) -> None:
    tag = get(host, "/a.html")[0].headers["ETag"]
    again, body = get(host, "/a.html", If_None_Match=tag)
    assert (again.status, body) == (304, b"")
    (tmp_path / "site" / "a.html").write_text("changed", encoding="utf-8")
    changed, body = get(host, "/a.html", If_None_Match=tag)
    assert (changed.status, body) == (200, b"changed")


def test_an_address_with_its_files_hash_is_kept_for_long(host: HTTPConnection) -> None:
    assert "immutable" in get(host, "/a.js?v=1f2e")[0].headers["Cache-Control"]
    assert "immutable" not in get(host, "/a.js")[0].headers["Cache-Control"]


def test_folders_missing_files_and_what_is_outside(host: HTTPConnection, tmp_path: Path) -> None:
    moved, _ = get(host, "/part?q=a")
    assert (moved.status, moved.headers["Location"]) == (301, "/part/?q=a")
    assert get(host, "/part/")[1].decode() == PAGE
    for path in ("/gone.html", "/../secret.txt", "/%2e%2e/secret.txt"):
        assert get(host, path)[0].status == 404
    (tmp_path / "site" / "404.html").write_text("nothing here", encoding="utf-8")
    missing, body = get(host, "/gone.html")
    assert (missing.status, body) == (404, b"nothing here")


def test_a_head_has_no_body(host: HTTPConnection) -> None:
    answer, body = get(host, "/a.html", "HEAD")
    assert (answer.status, body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(PAGE))
