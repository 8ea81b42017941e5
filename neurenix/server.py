"""A small web server for a folder, for this machine only, with the policy that a bundle runs under."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; "
    "style-src 'self'; img-src 'self' data:; base-uri 'none'"
)
SITE_HEADERS: Mapping[str, str] = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}

# Not the system's table: on Windows any program may have changed it.
_TYPES = {
    "": "application/octet-stream",
    ".bin": "application/octet-stream",
    ".c": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".wgsl": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class RunningServer:
    """Where a served folder can be reached."""

    url: str
    port: int


@contextmanager
def serve(
    directory: Path,
    port: int = 0,
    headers: Mapping[str, str] = SITE_HEADERS,
    log: Callable[[str], None] = lambda line: None,
) -> Iterator[RunningServer]:
    """Serve `directory` on 127.0.0.1 for the length of the block. Port 0 takes a free one.

    `headers` go out with every answer. `log` gets one line for each request.
    """
    folder = directory.resolve(strict=True)
    handler = functools.partial(_Handler, directory=str(folder), headers=headers, log=log)
    server = _Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield RunningServer(f"http://127.0.0.1:{server.server_port}/", server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    # A browser keeps idle connections open: the end must not wait for them.
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: what fails here is a browser that closed its connection early."""


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "neurenix"
    sys_version = ""
    timeout = 30
    disable_nagle_algorithm = True  # its wait for more to send costs each small file some 40 ms
    index_pages = ("index.html",)

    def __init__(
        self, *arguments: Any, headers: Mapping[str, str], log: Callable[[str], None], **keywords: Any
    ) -> None:
        self._extra = headers
        self._log = log
        super().__init__(*arguments, **keywords)

    def send_head(self) -> Any:
        # Another site's page may point its own host name at this address (DNS rebinding).
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        if host not in ("127.0.0.1", "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN, "served to this machine only")
            return None
        path = Path(self.translate_path(self.path))
        if not path.resolve().is_relative_to(self.directory):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def list_directory(self, path: Any) -> None:
        self.send_error(HTTPStatus.NOT_FOUND, "this folder has no index.html")

    def guess_type(self, path: Any) -> str:
        return _TYPES.get(Path(path).suffix.lower(), _TYPES[""])

    def send_header(self, keyword: str, value: str) -> None:
        # Without a date a browser cannot ask whether its copy is still good: it always gets the file.
        if keyword != "Last-Modified":
            super().send_header(keyword, value)

    def end_headers(self) -> None:
        for keyword, value in self._extra.items():
            self.send_header(keyword, value)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        self._log(format % arguments)
