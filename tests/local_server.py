"""A local server for the tests: serves a folder with any headers, and fails on demand as servers do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

MIME = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".bin": "application/octet-stream",
    ".css": "text/css; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}

ISSUE_CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; style-src 'self'; "
    "img-src 'self' data:; base-uri 'none'"
)

#: A name that Chromium is told to find on this machine. Unlike 127.0.0.1 it is no secure context.
PLAIN_HOST = "plain.test"

#: What a fault does with a request whose right answer would be `body`.
Fault = Callable[["Handler", bytes], None]


@dataclass
class Site:
    """A served folder. Tests set `headers` for every answer, and `faults` by the end of a path."""

    folder: Path
    headers: dict[str, str]
    url: str = ""
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    #: Set when the test is over, so that a fault that keeps a connection open lets go of it.
    closed: threading.Event = field(default_factory=threading.Event)

    def fail(self, suffix: str, fault: Fault, *, times: int | None = None) -> None:
        """Answer requests for paths that end in `suffix` by `fault`, at most `times` times."""
        left = [times]

        def limited(handler: Handler, body: bytes) -> None:
            if left[0] == 0:
                handler.answer(body)
                return
            if left[0] is not None:
                left[0] -= 1
            fault(handler, body)

        self.faults[suffix] = limited

    def plain_url(self) -> str:
        """The same site by a name that is no secure context: what a page on plain HTTP meets."""
        return self.url.replace("127.0.0.1", PLAIN_HOST)


class Handler(BaseHTTPRequestHandler):
    """Serves `site.folder`, through the site's faults."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every body waits for the acknowledgement of its head

    def __init__(self, site: Site, *args: Any) -> None:
        self.site = site
        super().__init__(*args)

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.site.requests.append(path)
        target = (self.site.folder / path.lstrip("/")).resolve()
        if target.is_dir():
            target /= "index.html"
        if path == "/favicon.ico" and not target.exists():
            self.answer(b"", 204)  # every browser asks for it, and would call a 404 an error
            return
        if not target.is_relative_to(self.site.folder.resolve()) or not target.is_file():
            self.answer(b"not found", 404, mime="text/plain")
            return
        body = target.read_bytes()
        for suffix, fault in self.site.faults.items():
            if path.endswith(suffix):
                fault(self, body)
                return
        self.answer(body)

    def answer(self, body: bytes, status: int = 200, *, mime: str | None = None, length: int | None = None) -> None:
        """Send `body`. A `length` other than its own promises more than comes; -1 promises nothing."""
        self.send_response(status)
        suffix = Path(urlsplit(self.path).path).suffix or ".html"
        self.send_header("Content-Type", mime or MIME.get(suffix, "application/octet-stream"))
        if length != -1 and status != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        if length is not None:
            self.send_header("Connection", "close")
        for name, value in self.site.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length is not None

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output to the test."""


def missing(handler: Handler, body: bytes) -> None:
    """The file is not there."""
    handler.answer(b"<!doctype html><h1>Not found</h1>", 404, mime=MIME[".html"])


def html(handler: Handler, body: bytes) -> None:
    """A single-page server answers every address with its page."""
    handler.answer(b"<!doctype html><title>An app</title>", mime=MIME[".html"])


def html_as_file(handler: Handler, body: bytes) -> None:
    """The same page under the file's own type."""
    handler.answer(b"\n<html><title>An app</title></html>")


def broken(handler: Handler, body: bytes) -> None:
    """The server fails."""
    handler.answer(b"oh no", 500, mime="text/plain")


def closed(handler: Handler, body: bytes) -> None:
    """The connection ends without an answer."""
    handler.close_connection = True


def truncated(handler: Handler, body: bytes) -> None:
    """The connection ends in the middle of a body whose length was promised."""
    handler.answer(body[: len(body) // 2], length=len(body))


def cut(handler: Handler, body: bytes) -> None:
    """The body ends early, and nothing in the protocol says so."""
    handler.answer(body[: len(body) // 2], length=-1)


def longer(handler: Handler, body: bytes) -> None:
    """More comes than the file has."""
    handler.answer(body + bytes(1000))


def flipped(handler: Handler, body: bytes) -> None:
    """One bit of the file is another."""
    middle = len(body) // 2
    handler.answer(body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :])


def stalled(handler: Handler, body: bytes) -> None:
    """Half of the body comes, and then nothing, until the test is over."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    handler.site.closed.wait(60)
    handler.close_connection = True


class QuietServer(ThreadingHTTPServer):
    """A browser that hangs up in the middle of an answer is no news."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        return


class Running:
    """A site that is being served, until `stop()`."""

    def __init__(self, folder: Path, headers: dict[str, str]) -> None:
        self.site = Site(folder, headers)
        self._server = QuietServer(("127.0.0.1", 0), partial(Handler, self.site))
        self.site.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.site.closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
