"""Serves a folder as a good static host does: text compressed, types and caching right, connections kept open.

Used wherever a page is looked at or measured: by the page tests and by `make site-report`. A page is measured as its
readers get it, so the server must not be the reason for a number.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

# Said here and not asked of the machine: on some systems the registry calls JavaScript text/plain.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".epub": "application/epub+zip",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".ipynb": "application/json",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xml": "text/xml; charset=utf-8",
}
COMPRESSED = {".css", ".html", ".ipynb", ".js", ".json", ".md", ".svg", ".txt", ".webmanifest", ".xml"}
A_YEAR = "public, max-age=31536000, immutable"  # for an address that changes with its content
A_WHILE = "public, max-age=600"


class Answer(NamedTuple):
    """What a file is sent as."""

    plain: bytes
    compressed: bytes | None  # none where it would not be smaller
    tag: str


@functools.lru_cache(maxsize=4096)
def _read(path: Path, changed: int, size: int) -> Answer:
    """Read and compress a file once; its time and size are in the key, so that a changed file is read again."""
    plain = path.read_bytes()
    compressed = gzip.compress(plain, 6, mtime=0) if path.suffix in COMPRESSED else None
    if compressed is not None and len(compressed) >= len(plain):
        compressed = None
    return Answer(plain, compressed, f'"{hashlib.sha256(plain).hexdigest()[:20]}"')


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open: many small files
    wbufsize = -1  # an answer's head and body leave together ...
    disable_nagle_algorithm = True  # ... and at once

    def do_GET(self) -> None:
        self._send(with_body=True)

    def do_HEAD(self) -> None:
        self._send(with_body=False)

    def _send(self, *, with_body: bool) -> None:
        address = urlsplit(self.path)
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            if not address.path.endswith("/"):
                self.send_response(HTTPStatus.MOVED_PERMANENTLY)
                self.send_header("Location", f"{address.path}/" + (f"?{address.query}" if address.query else ""))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path /= "index.html"
        status = HTTPStatus.OK
        if not path.is_file():
            status, path = HTTPStatus.NOT_FOUND, Path(self.directory) / "404.html"
            if not path.is_file():
                self.send_error(status)
                return
        state = path.stat()
        answer = _read(path, state.st_mtime_ns, state.st_size)
        squeezed = answer.compressed is not None and "gzip" in self.headers.get("Accept-Encoding", "")
        body = answer.compressed if squeezed and answer.compressed is not None else answer.plain
        tag = answer.tag[:-1] + '-gz"' if squeezed else answer.tag  # two representations, two names
        if status is HTTPStatus.OK and tag in self.headers.get("If-None-Match", ""):
            status, body = HTTPStatus.NOT_MODIFIED, b""
        self.send_response(status)
        self.send_header("ETag", tag)
        self.send_header("Cache-Control", A_YEAR if address.query.startswith("v=") else A_WHILE)
        if answer.compressed is not None:
            self.send_header("Vary", "Accept-Encoding")
        if status is not HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", TYPES.get(path.suffix.lower(), "application/octet-stream"))
            self.send_header("Content-Length", str(len(body)))
            if squeezed:
                self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:  # a browser that hangs up is no error
        pass


@contextmanager
def serve(folder: Path, port: int = 0) -> Iterator[str]:
    """Serve a folder to this machine alone; gives its address, which ends without a slash."""
    server = _Server(("127.0.0.1", port), functools.partial(_Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
